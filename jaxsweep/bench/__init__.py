"""`bench`: the same trainings through jaxsweep and through what people use today, on this machine, side by side.

`work` says what is trained, `contenders` how each contender trains it, `child` runs one contender in a process of its
own, `race` measures them in turn, `suite` makes the tables. Nothing but the command line knows of it.
"""

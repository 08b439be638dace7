# PYTHON_ARGCOMPLETE_OK
"""The entry of `python -m jaxsweep`: the command line."""

from jaxsweep.cli import entry

if __name__ == "__main__":
    entry()

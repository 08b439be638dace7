"""Whether somebody acts on an interrupt: one that was swallowed on its way is to come again, and no other one."""

_acted = True


def comes() -> None:
    """Note that an interrupt is raised, on which nobody acts yet."""
    global _acted
    _acted = False


def act() -> None:
    """Note that the caller acts on an interrupt that it has caught, and does not raise it again."""
    global _acted
    _acted = True


def acted() -> bool:
    """Return whether somebody acts on the last interrupt, or none has come."""
    return _acted

"""Whether somebody acts on an interrupt: one that was swallowed on its way is to come again, and no other one."""

from collections.abc import Generator
from contextlib import contextmanager

_acted = True
_waits = False
_ends = False
_begun = False


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


@contextmanager
def waiting() -> Generator[None, None, None]:
    """Inside, the main thread waits for others to end, which another interrupt may end."""
    global _waits
    _waits = True
    try:
        yield
    finally:
        _waits = False


def waits() -> bool:
    """Return whether the main thread waits for others to end."""
    return _waits


def ends_process() -> None:
    """Note that the process ends after what it does now, whatever its threads do: what cannot be stopped is left."""
    global _ends
    _ends = True


def process_ends() -> bool:
    """Return whether threads need not be waited for that cannot be stopped."""
    return _ends


def begins() -> None:
    """Note that something has begun that an interrupt must not just cut off: a sweep, which is recorded."""
    global _begun
    _begun = True


def begun() -> bool:
    """Return whether something has begun that an interrupt must not just cut off."""
    return _begun

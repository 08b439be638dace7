"""Python's garbage collector, kept from looking at what was there before a sweep, again and again. No JAX.

A sweep of thousands keeps some objects of each network, and each time that these have grown by a quarter Python looks
at every object of the process: some hundred thousand of them are JAX's alone, and 200,000 networks have millions.
"""

import gc
import threading
from collections.abc import Generator
from contextlib import contextmanager

_lock = threading.Lock()
_users = 0


@contextmanager
def set_aside() -> Generator[None, None, None]:
    """Inside, the collector leaves alone what there was before; sweeps of several threads share that.

    Whoever has frozen objects already has plans of his own, which stay as they are.
    """
    global _users
    with _lock:
        first = not _users and not gc.get_freeze_count()
        if first:
            gc.freeze()
        shared = first or _users > 0
        _users += shared
    try:
        yield
    finally:
        with _lock:
            _users -= shared
            if shared and not _users:
                gc.unfreeze()


def collect_new() -> None:
    """Inside `set_aside`, collect what has become garbage in there.

    What a trace leaves behind are cycles, small for Python, which would let hundreds of them lie; each holds the text
    of a program, which is a megabyte.
    """
    gc.collect()


def set_aside_too() -> None:
    """Inside `set_aside`, leave alone what there is by now as well; what is garbage among it goes when that ends."""
    with _lock:
        if _users:
            gc.collect(1)  # the young, among which most garbage is
            gc.freeze()

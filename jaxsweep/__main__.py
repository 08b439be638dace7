# PYTHON_ARGCOMPLETE_OK
"""The entry of `python -m jaxsweep`: the command line."""

import os
import signal
from types import FrameType


def _end(number: int, frame: FrameType | None) -> None:
    """End at once: nothing has begun, or all is done and said."""
    os._exit(128 + number)


if __name__ == "__main__":
    # Before anything is imported and after the command has ended; in between `cli.interrupt` hears them.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        heard = getattr(signal, name, None)
        if heard is not None and (name != "SIGHUP" or signal.getsignal(heard) is not signal.SIG_IGN):  # under nohup
            signal.signal(heard, _end)

    from jaxsweep.cli import entry

    entry()

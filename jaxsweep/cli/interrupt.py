"""Ctrl-C, `kill` and a terminal that is closed: each ends a sweep early, and the exit code tells which it was.

Python raises an interrupt wherever the main thread happens to be. That may be a place which cannot pass it on: a
callback of the garbage collector (JAX has one), of a weak reference or a `__del__` prints it and goes on; C code that
asks whether an object has an attribute goes on without a word; an import may leave half a module behind, or abort in C
code. So an import is let end first, but for those before a sweep has begun, which take seconds together: there the
process ends at once. And an interrupt is raised once more until somebody acts on it (`interruption`) or it has come to
the end of the command.

Who interrupts a second time does not want to wait: not for workers, if these are waited for, else for nothing at all.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from jaxsweep import interruption

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
AGAIN_SECONDS = 0.02  # until an interrupt is raised that could not be, or was told to be swallowed
QUIET_SECONDS = 0.3  # until one is raised again that is neither on its way nor acted on: swallowed without a word
SAME_SECONDS = 0.25  # within which signals are one wish: who closes a session may send SIGTERM and SIGHUP
_IMPORTING = "<frozen importlib._bootstrap"  # how the files of Python's import begin


class Interrupts:
    """While this is entered, SIGNALS raise KeyboardInterrupt; `caught` is the last one that did, if any.

    SIGHUP stays ignored where `nohup` has asked for that.
    """

    _last = signal.SIGINT  # that raised one in this process

    def __init__(self) -> None:
        self.caught: int | None = None
        self._when = 0.0
        self._before: dict[signal.Signals, Any] = {}
        self._hook, self._shown = sys.unraisablehook, sys.excepthook

    def __enter__(self) -> Self:
        heard = [number for number in SIGNALS if not ignored(number)]
        try:
            self._before = {number: signal.signal(number, self._handle) for number in heard}
            if hasattr(signal, "setitimer"):
                self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._again)
        except ValueError:  # not the main thread, which alone may handle signals
            self._before = {}
        self._hook, sys.unraisablehook = sys.unraisablehook, self._swallowed
        self._shown, sys.excepthook = sys.excepthook, self._printed
        Interrupts._last = signal.SIGINT
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        sys.unraisablehook, sys.excepthook = self._hook, self._shown
        if self._before and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.caught is not None:
            if time.monotonic() - self._when < SAME_SECONDS:
                return
            # Another interrupt would strike what the first one lets be done: to record, to say what is recorded.
            if not interruption.waits():
                os._exit(128 + number)
        self.caught, self._when = number, time.monotonic()
        Interrupts._last = signal.Signals(number)
        interruption.comes()
        self._raise(number, frame)

    def _again(self, number: int, frame: FrameType | None) -> None:
        if interruption.acted():
            return
        if _on_its_way():
            self._later(QUIET_SECONDS)
            return
        self._raise(number, frame)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if _importing(frame):
            if interruption.process_ends() and not interruption.begun():
                _leave(128 + (self.caught or number))
            if self._later():
                return
        self._later(QUIET_SECONDS)
        raise KeyboardInterrupt

    def _swallowed(self, unraisable: Any) -> None:
        """Take what Python cannot raise: an interrupt comes again, anything else is told as ever."""
        if not (issubclass(unraisable.exc_type, KeyboardInterrupt) and self._later()):
            self._hook(unraisable)

    def _printed(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Take what C code (Cython's) prints before it says that it cannot raise it: of an interrupt nothing."""
        if not (issubclass(kind, KeyboardInterrupt) and self._later()):
            self._shown(kind, error, trace)

    def _later(self, seconds: float = AGAIN_SECONDS) -> bool:
        """Let an interrupt come again in a moment; return whether this system can."""
        if not hasattr(signal, "setitimer"):
            return False
        signal.setitimer(signal.ITIMER_REAL, seconds)
        return True

    @classmethod
    def exit_code(cls) -> int:
        """Return 128 + the signal that was caught last."""
        return 128 + cls._last


def ignored(number: signal.Signals) -> bool:
    """Return whether a signal is to be ignored: a closed terminal under `nohup`.

    A shell lets what it starts in the background ignore SIGINT, too; who sends that one to a sweep means it.
    """
    return number.name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN


def _leave(code: int) -> None:
    """End the process at once: nothing has begun, and imports may take seconds."""
    with suppress(OSError):  # closed, or full
        os.write(2, b"jaxsweep: interrupted\n")
    os._exit(code)


def _on_its_way() -> bool:
    """Return whether what runs now does so because of an interrupt: what is to be done on its way out."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _importing(frame: FrameType | None) -> bool:
    """Return whether code was interrupted that a module is imported by."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORTING):
            return True
        frame = frame.f_back
    return False

"""Ctrl-C and `kill`: both end a sweep early, and the exit code tells which it was."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While this is entered, SIGINT and SIGTERM raise KeyboardInterrupt; `caught` is the last one, if any."""

    current: "Interrupts | None" = None

    def __init__(self) -> None:
        self.caught: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        try:
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        except ValueError:  # not the main thread, which alone may handle signals
            self._before = {}
        Interrupts.current = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        Interrupts.current = None
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.caught = number
        raise KeyboardInterrupt

    @classmethod
    def exit_code(cls) -> int:
        """Return 128 + the signal that was caught last."""
        caught = cls.current.caught if cls.current is not None else None
        return 128 + (caught or signal.SIGINT)

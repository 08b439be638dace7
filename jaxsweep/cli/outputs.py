"""stdout and stderr as a process finds them: closed, full, or with a reader that has gone.

What is told on the way is worth less than what is trained: a stderr that takes no more ends nothing. Results that
stdout does not take are a failure, said on stderr once all is recorded.
"""

import io
import os
import sys
from typing import IO, Any, cast


class Steady:
    """A text stream that goes on as if all were well once its file takes no more."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # full, without a reader, or closed meanwhile
            return len(text)

    def writelines(self, lines: Any) -> None:
        """Write what can be written."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand over what can be."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = open(os.devnull, "w")  # noqa: PTH123, SIM115  what it holds back would fail again at the end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def make_steady() -> None:
    """See to it that this process has both streams, and that stderr ends nothing.

    A file that is opened later must not get the number of a stream that was closed: what libraries write there would be
    written into the file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the smallest number that is free
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that its encoding lacks is written out, and ends nothing
            stream.reconfigure(errors="backslashreplace")
    nowhere = open(os.devnull, "w")  # noqa: PTH123, SIM115  for as long as the process lives
    sys.stderr = cast(Any, Steady(sys.stderr or nowhere))
    if sys.stdout is None:
        sys.stdout = nowhere
        print("jaxsweep: stdout is closed: results are not shown", file=sys.stderr)

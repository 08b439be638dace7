"""The memory that the tiles of a sweep share."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from jaxsweep.errors import RequestError


class Room:
    """Lets a tile begin when it fits beside those that are training.

    Args:
        total: bytes that all tiles may take together.
    """

    def __init__(self, total: float) -> None:
        self.total = total
        self._taken = 0
        self._change = threading.Condition()

    def check(self, needed: int) -> None:
        """Raise RequestError if a tile that needs so many bytes would not even fit alone."""
        if needed > self.total:
            raise RequestError(
                f"one network of these shapes needs {needed / 2**20:.0f} MiB to train, and {self.total / 2**20:.0f} "
                "are available: narrower or shallower networks, or smaller batches, would fit"
            )

    @contextmanager
    def taken(self, needed: int) -> Generator[None, None, None]:
        """Wait until `needed` bytes are free, and hold them."""
        self.check(needed)
        with self._change:
            self._change.wait_for(lambda: self._taken + needed <= self.total)
            self._taken += needed
        try:
            yield
        finally:
            with self._change:
                self._taken -= needed
                self._change.notify_all()

"""A logical clock: trials train side by side in imaginary slots, each for as long as its epochs are many.

Which report a scheduler hears first then depends on the trials alone. On the real machine they arrive in any order; the
clock keeps those that are early until all before them are in.
"""

import heapq
from collections.abc import Callable, Sequence

from jaxsweep.schedulers.base import Go, Order, Report

LEAST_SLOTS = 64
SHARE = 4  # of the trials of a batch one in so many trains at a time, if nothing else is asked for


def slots_for(trials: int, slots: int | None) -> int:
    """Return how many imaginary slots there are for so many trials, if `slots` does not say it."""
    return max(LEAST_SLOTS, trials // SHARE) if slots is None else slots


class Clock:
    """Imaginary slots and the trials in them.

    Args:
        hear: is told of a trial when its time has come, and returns orders other than `Go`.
        pick: names the trial that takes a free slot, None if none wants to.
    """

    def __init__(self, hear: Callable[[Report], Sequence[Order]], pick: Callable[[], Go | None]) -> None:
        self.hear, self.pick = hear, pick
        self.slots, self.now = 1, 0
        self._trained: dict[int, int] = {}  # epochs of each trial, at the end of what it was last told
        self._running: list[tuple[int, int]] = []  # a heap of (time at which it stands still, trial)
        self._early: dict[int, Report] = {}  # reports whose time has not come

    @property
    def idle(self) -> bool:
        """Whether nothing trains."""
        return not self._running

    def fill(self) -> list[Order]:
        """Let trials that wait take the slots that are free, and return them."""
        orders: list[Order] = []
        while len(self._running) < self.slots and (go := self.pick()) is not None:
            length = go.until - self._trained.get(go.trial, 0)
            self._trained[go.trial] = go.until
            heapq.heappush(self._running, (self.now + length, go.trial))
            orders.append(go)
        return orders

    def report(self, reports: Sequence[Report]) -> list[Order]:
        """Take reports in any order, and return what follows from those whose time has come."""
        self._early.update({report.trial: report for report in reports})
        orders: list[Order] = []
        while self._running and self._running[0][1] in self._early:
            self.now, trial = heapq.heappop(self._running)
            orders += self.hear(self._early.pop(trial))
            orders += self.fill()
        return orders

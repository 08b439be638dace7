"""The median rule: a trial that has never been as good as the others were on average is stopped.

Golovin, Solnik, Moitra, Kochanski, Karro and Sculley, KDD 2017, section 3.2.2: at an epoch a trial is stopped if the
best that it has been worth is worse than the median of what the others were worth on average up to that epoch. Trials
train side by side on a logical clock, so that who the others are does not depend on the machine.
"""

from bisect import insort
from collections import deque
from collections.abc import Sequence

import numpy as np

from jaxsweep.schedulers.base import Entrant, Go, Order, Report, Scheduler, Stop
from jaxsweep.schedulers.clock import Clock, slots_for
from jaxsweep.search.base import whole
from jaxsweep.spec.space import Space


class Median(Scheduler):
    """The median rule, over all batches of a search.

    Args:
        grace: epochs before a trial is first looked at.
        every: epochs between one look and the next.
        least: how many others there must be at an epoch for the rule to hold.
        slots: trials that train at a time on the logical clock; by default 1 in 8 of a batch, at least 64.
        seed: without effect.
        space: without effect.
    """

    description = "the median rule: whoever was never as good as the median of the others stops"

    def __init__(
        self, *, grace: int = 3, every: int = 1, least: int = 10, slots: int | None = None, seed: int = 0,
        space: Space | None = None,
    ) -> None:  # fmt: skip
        super().__init__(seed=seed, space=space)
        self.grace, self.every, self.least = (
            whole("grace", grace, 1),
            whole("every", every, 1),
            whole("least", least, 1),
        )
        self.slots = None if slots is None else whole("slots", slots, 1)
        self._clock = Clock(self._hear, self._pick)
        self._entrants: dict[int, Entrant] = {}
        self._new: deque[int] = deque()
        self._resumed: deque[Go] = deque()
        self._means: dict[int, list[float]] = {}  # by epoch, of all that were there: mean merits until then, sorted

    def begin(self, entrants: Sequence[Entrant]) -> list[Order]:
        """See `Scheduler.begin`."""
        self._entrants = {each.trial: each for each in entrants}
        self._new.extend(sorted(self._entrants))
        self._clock.slots = slots_for(len(entrants), self.slots)
        return self._clock.fill()

    def report(self, reports: Sequence[Report]) -> list[Order]:
        """See `Scheduler.report`."""
        return self._clock.report(reports)

    def expected(self, entrants: Sequence[Entrant]) -> float:
        """See `Scheduler.expected`."""
        total = sum(each.epochs for each in entrants)
        # About half of them are stopped at the first looks, on curves that cross; fewer where all of them rise alike.
        return sum((min(self.grace, each.epochs) + each.epochs) / 2 for each in entrants) / total if total else 1.0

    def first_look(self, entrant: Entrant) -> int:
        """See `Scheduler.first_look`."""
        return self.grace

    def _hear(self, report: Report) -> list[Order]:
        over: list[Order] = [] if report.ended else [Stop(report.trial)]
        if report.diverged or not len(report.merits):
            return over
        epochs, merits = len(report.merits), report.merits[np.isfinite(report.merits)]
        others = self._means.setdefault(epochs, [])
        best = float(merits.max(initial=-np.inf))
        worse = len(others) >= self.least and best < _median(others)
        mean = float(merits.mean()) if len(merits) else -np.inf
        if np.isfinite(mean):  # what is worth nothing is no measure for others
            insort(others, mean)
        if worse or report.ended:
            return over
        self._resumed.append(Go(report.trial, min(epochs + self.every, self._entrants[report.trial].epochs)))
        return []

    def _pick(self) -> Go | None:
        if self._resumed:
            return self._resumed.popleft()
        if not self._new:
            return None
        trial = self._new.popleft()
        return Go(trial, min(self.grace, self._entrants[trial].epochs))


def _median(ordered: Sequence[float]) -> float:
    """Return the median of sorted finite numbers."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2

"""Asynchronous successive halving: whoever is in the best part of a rung goes on at once, without waiting for the rest.

Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht and Talwalkar, MLSys 2020, algorithm 2. Whenever a slot is
free, the best trial that can be promoted goes on, from the highest rung that has one; else a new trial begins. The
slots are those of a logical clock, not of the machine, so that the same sweep takes the same decisions everywhere.
A trial is stopped once so many are better that it cannot be promoted any more, at the latest when nothing else trains.
"""

import heapq
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence

from jaxsweep.schedulers.base import UNITS, Entrant, Go, Order, Report, Scheduler, Stop, merit_at, one_of, rungs
from jaxsweep.schedulers.clock import Clock, slots_for
from jaxsweep.schedulers.halving import share_of_halving
from jaxsweep.search.base import whole
from jaxsweep.spec.space import Space

Place = tuple[float, int]  # minus a trial's merit, and its number: the best first


class Rung:
    """Who reached a rung, of this batch of a search and of those before."""

    def __init__(self) -> None:
        self.ranked: list[Place] = []
        self.waiting: list[Place] = []  # a heap of those that have not gone on

    def enter(self, place: Place) -> None:
        """Take in a trial."""
        insort(self.ranked, place)
        heapq.heappush(self.waiting, place)

    def rank(self, place: Place) -> int:
        """Return how many trials are better."""
        return bisect_left(self.ranked, place)

    def promotable(self, eta: int) -> int | None:
        """Return the best trial that waits, if it is among the best of the rung."""
        if self.waiting and self.rank(self.waiting[0]) < len(self.ranked) // eta:
            return heapq.heappop(self.waiting)[1]
        return None


class ASHA(Scheduler):
    """Asynchronous successive halving, over all batches of a search.

    Args:
        eta: one trial in `eta` goes on from each rung, and trains `eta` times as long.
        first: the first rung.
        unit: what `first` counts, epochs or iterations.
        slots: trials that train at a time on the logical clock; by default 1 in 8 of a batch, at least 64. With
            few of them, more is known of each rung when a trial is promoted.
        seed: without effect.
        space: without effect.
    """

    description = "asynchronous halving: the best of each rung train on at once"

    def __init__(
        self, *, eta: int = 3, first: int = 1, unit: str = "epochs", slots: int | None = None, seed: int = 0,
        space: Space | None = None,
    ) -> None:  # fmt: skip
        super().__init__(seed=seed, space=space)
        self.eta, self.first = whole("eta", eta, 2), whole("first", first, 1)
        self.unit = one_of("unit", unit, UNITS)
        self.slots = None if slots is None else whole("slots", slots, 1)
        self._clock = Clock(self._hear, self._pick)
        self._rungs: list[Rung] = []
        self._budgets: dict[int, list[int]] = {}  # of each trial of this batch
        self._standing: dict[int, tuple[int, Report]] = {}  # the rung that a trial has reached, and what it was there
        self._new: deque[int] = deque()
        self._coming = 0  # trials of this batch that have not reached the first rung

    def begin(self, entrants: Sequence[Entrant]) -> list[Order]:
        """See `Scheduler.begin`."""
        self._budgets = {each.trial: rungs(each, self.first, self.eta, self.unit) for each in entrants}
        self._new.extend(sorted(self._budgets))
        self._coming = len(self._new)
        self._clock.slots = slots_for(len(entrants), self.slots)
        for rung in self._rungs:
            rung.waiting.clear()
        while len(self._rungs) < max(map(len, self._budgets.values()), default=0):
            self._rungs.append(Rung())
        self._standing.clear()
        return self._clock.fill()

    def report(self, reports: Sequence[Report]) -> list[Order]:
        """See `Scheduler.report`."""
        orders = self._clock.report(reports)
        if self._clock.idle:
            orders += [Stop(trial) for trial in sorted(self._standing) if not self._standing[trial][1].ended]
            self._standing.clear()
        return orders

    def expected(self, entrants: Sequence[Entrant]) -> float:
        """See `Scheduler.expected`."""
        return share_of_halving(entrants, 0, self.first, self.eta, self.unit)

    def _hear(self, report: Report) -> list[Order]:
        """Let a trial reach the rung that it has trained for."""
        trial = report.trial
        number = self._standing[trial][0] + 1 if trial in self._standing else 0
        self._coming -= number == 0
        return self._reach(number, report)

    def _reach(self, number: int, report: Report) -> list[Order]:
        trial, budgets = report.trial, self._budgets[report.trial]
        self._standing[trial] = number, report
        rung = self._rungs[number]
        place = -merit_at(report, budgets[min(number, len(budgets) - 1)]), trial
        rung.enter(place)
        if not report.ended and rung.rank(place) >= self._most(number) // self.eta:
            rung.waiting.remove(place)
            heapq.heapify(rung.waiting)
            del self._standing[trial]
            return [Stop(trial)]
        return []

    def _most(self, number: int) -> int:
        """Return how many trials there can be at most at a rung when the batch has ended."""
        most = len(self._rungs[0].ranked) + self._coming
        for rung in self._rungs[1 : number + 1]:
            most = max(most // self.eta, len(rung.ranked))
        return most

    def _pick(self) -> Go | None:
        for number in range(len(self._rungs) - 2, -1, -1):
            while (trial := self._rungs[number].promotable(self.eta)) is not None:
                report = self._standing[trial][1]
                if not report.ended:
                    budgets = self._budgets[trial]
                    return Go(trial, budgets[min(number + 1, len(budgets) - 1)])
                self._reach(number + 1, report)  # nothing is left to train: it takes its place there
        if not self._new:
            return None
        new = self._new.popleft()
        return Go(new, self._budgets[new][0])

"""Asynchronous successive halving: whoever is in the best part of a rung goes on at once, without waiting for the rest.

Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht and Talwalkar, MLSys 2020, algorithm 2. Whenever a slot is
free, the best trial that can be promoted goes on, from the highest rung that has one; else a new trial begins. The
slots are those of a logical clock, not of the machine, so that the same sweep takes the same decisions everywhere.
A trial is stopped once so many are better that it cannot be promoted any more, whatever comes, at the latest when
nothing else trains; this frees memory, and changes no promotion. Few trials promote nobody to the last rung: then,
when nothing else trains, the best of those promoted most often goes on, so that one of them has trained to its end. So
does the best of a rung at which few begin.
"""

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence

from jaxsweep.schedulers.base import UNITS, Entrant, Go, Order, Report, Scheduler, Stop, joins, merit_at, one_of, rungs
from jaxsweep.schedulers.clock import Clock, slots_for
from jaxsweep.schedulers.halving import share_of_halving
from jaxsweep.search.base import whole
from jaxsweep.spec.space import Space

Place = tuple[float, int]  # minus a trial's merit, and its number: the best first


class Rung:
    """Who reached a rung, of this batch of a search and of those before."""

    def __init__(self) -> None:
        self.ranked: list[Place] = []
        self.waiting: list[Place] = []  # those of this batch that have not gone on, the best first
        self.here = 0  # trials of this batch whose last rung this is, so far, and that are not over

    def enter(self, place: Place, waits: bool) -> None:
        """Take in a trial."""
        insort(self.ranked, place)
        if waits:
            insort(self.waiting, place)

    def promotable(self, eta: int) -> int | None:
        """Return the best trial that waits, if it is worth anything and among the best of the rung."""
        if self.waiting and math.isfinite(self.waiting[0][0]) and self._rank(self.waiting[0]) < len(self.ranked) // eta:
            return self.waiting.pop(0)[1]
        return None

    def hopeless(self, legal: int) -> int | None:
        """Return the worst trial that waits, if `legal` others or more are better."""
        if self.waiting and self._rank(self.waiting[-1]) >= legal:
            return self.waiting.pop()[1]
        return None

    def _rank(self, place: Place) -> int:
        return bisect_left(self.ranked, place)


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
        self._arrived = False  # whether one has been promoted to the last rung

    def begin(self, entrants: Sequence[Entrant]) -> list[Order]:
        """See `Scheduler.begin`."""
        self._budgets = {each.trial: rungs(each, self.first, self.eta, self.unit) for each in entrants}
        self._new.extend(sorted(self._budgets))
        self._coming = len(self._new)
        self._clock.slots = slots_for(len(entrants), self.slots)
        while len(self._rungs) < max(map(len, self._budgets.values()), default=0):
            self._rungs.append(Rung())
        for rung in self._rungs:
            rung.waiting, rung.here = [], 0
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

    def first_look(self, entrant: Entrant) -> int:
        """See `Scheduler.first_look`."""
        return rungs(entrant, self.first, self.eta, self.unit)[0]

    def _hear(self, report: Report) -> list[Order]:
        """Let a trial reach the rung that it has trained for, and stop those that have no hope any more."""
        trial = report.trial
        known = trial in self._standing
        number = self._standing[trial][0] + 1 if known else joins(self._budgets[trial])
        self._coming -= not known
        self._reach(number, report)
        stopped: list[Order] = []
        if report.diverged:
            stopped += self._over(trial)
        below = self._coming  # trials that may still reach a rung
        for rung in self._rungs:
            most = len(rung.ranked) + below
            while (hopeless := rung.hopeless(most // self.eta or 1)) is not None:
                stopped += self._over(hopeless)
            below += rung.here
        return stopped

    def _reach(self, number: int, report: Report) -> None:
        trial, budgets = report.trial, self._budgets[report.trial]
        if trial in self._standing:
            self._rungs[number - 1].here -= 1
        self._rungs[number].here += 1
        self._arrived |= number == len(self._rungs) - 1 > joins(budgets)
        self._standing[trial] = number, report
        place = -merit_at(report, budgets[min(number, len(budgets) - 1)]), trial
        self._rungs[number].enter(place, waits=not report.diverged)

    def _over(self, trial: int) -> list[Order]:
        """Forget a trial that goes on no more, and return the order that it needs."""
        number, report = self._standing.pop(trial)
        self._rungs[number].here -= 1
        return [] if report.ended else [Stop(trial)]

    def _pick(self) -> Go | None:
        while (promoted := self._promoted()) is not None:
            number, trial = promoted
            report, budgets = self._standing[trial][1], self._budgets[trial]
            if not report.ended:
                return Go(trial, budgets[min(number + 1, len(budgets) - 1)])
            self._reach(number + 1, report)  # nothing is left to train: it takes its place there
        if not self._new:
            return None
        new = self._new.popleft()
        return Go(new, self._budgets[new][0])

    def _promoted(self) -> tuple[int, int] | None:
        """Return the highest rung from which a trial can go on, and that trial."""
        below = self._rungs[:-1]
        for number in range(len(below) - 1, -1, -1):
            if (trial := below[number].promotable(self.eta)) is not None:
                return number, trial
        if self._new or not self._clock.idle:
            return None
        firsts = [(number, rung.waiting[0]) for number, rung in enumerate(below) if rung.waiting]
        alone = [each for each in firsts if self._unjudged(*each)]
        if self._arrived and not alone:
            return None
        number, place = min(alone or firsts, key=self._rank_of_last, default=(0, None))
        if place is None:
            return None
        below[number].waiting.remove(place)
        return number, place[1]

    def _unjudged(self, number: int, first: Place) -> bool:
        """Return whether so few came to the rung where a trial was first compared that nobody could go on from it."""
        rung = self._rungs[number]
        return len(rung.ranked) < self.eta and first == rung.ranked[0] and joins(self._budgets[first[1]]) == number

    def _rank_of_last(self, waiting: tuple[int, Place]) -> tuple[bool, int, Place]:
        """Return the key by which the one that goes on last of all is chosen, of those that wait first at each rung."""
        number, place = waiting
        return math.isinf(place[0]), joins(self._budgets[place[1]]) - number, place

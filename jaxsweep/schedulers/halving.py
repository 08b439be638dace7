"""Successive halving: all trials train a little, the better part of them goes on for longer, and so on.

Karnin, Koren and Somekh, ICML 2013; for networks Jamieson and Talwalkar, AISTATS 2016. At each rung all trials that
reached it are compared at once, so that decisions wait for the slowest of them.
"""

import math
from collections.abc import Sequence

from jaxsweep.schedulers.base import UNITS, Entrant, Go, Order, Report, Scheduler, Stop, joins, merit_at, one_of, rungs
from jaxsweep.search.base import whole
from jaxsweep.spec.space import Space


class Bracket:
    """Trials that are halved together.

    A trial that has ended by itself keeps its place at the rungs that follow, by what it came to in the end. One that
    is worth nothing goes on only where all are.
    """

    def __init__(self, entrants: Sequence[Entrant], rung: int, eta: int, budgets: dict[int, list[int]]) -> None:
        self.eta, self.budgets = eta, budgets  # of each trial, epochs at each rung
        self.rung = rung
        self.members = sorted(entrant.trial for entrant in entrants)
        self.last: dict[int, Report] = {}  # of each member
        self.waiting = set(self.members)

    def begin(self) -> list[Order]:
        """Return the orders for the first rung."""
        return [Go(trial, self._until(trial)) for trial in self.members]

    def report(self, report: Report) -> list[Order]:
        """Take one report; the last one that a rung waits for decides it."""
        self.last[report.trial] = report
        self.waiting.discard(report.trial)
        orders: list[Order] = []
        while not self.waiting and self.members:
            orders += self._decide()
        return orders

    def _until(self, trial: int) -> int:
        budgets = self.budgets[trial]
        return budgets[min(self.rung, len(budgets) - 1)]

    def _decide(self) -> list[Order]:
        """Choose the members of the next rung."""
        here = [trial for trial in self.members if joins(self.budgets[trial]) <= self.rung]
        later = [trial for trial in self.members if joins(self.budgets[trial]) > self.rung]
        merits = {trial: merit_at(self.last[trial], self._until(trial)) for trial in here}
        ranked = sorted(here, key=lambda trial: (-merits[trial], trial))
        best = ranked[: len(ranked) // self.eta or 1]
        chosen = [trial for trial in best if math.isfinite(merits[trial])] or ([] if later else best[:1])
        goes_on = [trial for trial in sorted(chosen) if not (self.last[trial].ended or self.last[trial].diverged)]
        stopped = {trial for trial in here if not self.last[trial].ended} - set(goes_on)
        over = not goes_on and all(self.last[trial].ended for trial in later)
        self.members = [] if over else sorted([*chosen, *later])
        self.waiting = set(goes_on)
        self.rung += 1
        return [*(Go(trial, self._until(trial)) for trial in goes_on), *(Stop(trial) for trial in sorted(stopped))]


class Halving(Scheduler):
    """Successive halving of each batch of a search.

    Args:
        eta: one trial in `eta` goes on from each rung, and trains `eta` times as long.
        first: the first rung.
        unit: what `first` counts, epochs or iterations.
        seed: without effect.
        space: without effect.
    """

    description = "successive halving: the best of each rung train on"

    def __init__(
        self, *, eta: int = 3, first: int = 1, unit: str = "epochs", seed: int = 0, space: Space | None = None
    ) -> None:
        super().__init__(seed=seed, space=space)
        self.eta, self.first = whole("eta", eta, 2), whole("first", first, 1)
        self.unit = one_of("unit", unit, UNITS)
        self._brackets: dict[int, Bracket] = {}  # of each trial

    def begin(self, entrants: Sequence[Entrant]) -> list[Order]:
        """See `Scheduler.begin`."""
        budgets = {each.trial: rungs(each, self.first, self.eta, self.unit) for each in entrants}
        bracket = Bracket(entrants, 0, self.eta, budgets)
        self._brackets = dict.fromkeys(budgets, bracket)
        return bracket.begin()

    def report(self, reports: Sequence[Report]) -> list[Order]:
        """See `Scheduler.report`."""
        return [order for report in reports for order in self._brackets[report.trial].report(report)]

    def expected(self, entrants: Sequence[Entrant]) -> float:
        """See `Scheduler.expected`."""
        return share_of_halving(entrants, 0, self.first, self.eta, self.unit)

    def first_look(self, entrant: Entrant) -> int:
        """See `Scheduler.first_look`."""
        return rungs(entrant, self.first, self.eta, self.unit)[0]


def share_of_halving(entrants: Sequence[Entrant], rung: int, first: int, eta: int, unit: str) -> float:
    """Return the share of the epochs of trials that are trained if they are halved from number `rung` on."""
    if not entrants:
        return 1.0
    trained = 0.0
    for entrant in entrants:
        budgets = rungs(entrant, first, eta, unit)
        before = 0
        begins = max(min(rung, len(budgets) - 1), joins(budgets))
        for number, epochs in enumerate(budgets[begins:]):
            trained += (len(entrants) // eta**number or 1) / len(entrants) * (epochs - before)
            before = epochs
    return trained / sum(entrant.epochs for entrant in entrants)

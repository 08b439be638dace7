"""Hyperband: brackets of successive halving side by side, from many trials cut early to few that train to the end.

Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, JMLR 18, 2018. With rungs at 1, 3, 9, 27 and 81 epochs there are five
brackets; trials are dealt out to them in the paper's proportions (81, 34, 15, 8, 5). All of them train at the same
time, so that one that waits for the last trials of a rung leaves no slot empty.
"""

from collections.abc import Sequence

from jaxsweep.schedulers.base import Entrant, Order, joins, rungs
from jaxsweep.schedulers.halving import Bracket, Halving, share_of_halving


class Hyperband(Halving):
    """Hyperband over each batch of a search.

    Args:
        eta: one trial in `eta` goes on from each rung, and trains `eta` times as long.
        first: the first rung of the bracket that cuts most.
        unit: what `first` counts, epochs or iterations.
        seed: without effect.
        space: without effect.
    """

    description = "hyperband: brackets of halving side by side, from the most cutting to none"

    def begin(self, entrants: Sequence[Entrant]) -> list[Order]:
        """See `Scheduler.begin`."""
        orders: list[Order] = []
        self._brackets = {}
        parts = [(rung, part) for rung, part in self._dealt(entrants).items() if part]
        # That with the most rungs waits most often, so it begins; those with long trainings follow, the longest first.
        for rung, part in parts[:1] + parts[:0:-1]:
            budgets = {each.trial: rungs(each, self.first, self.eta, self.unit) for each in part}
            bracket = Bracket(part, rung, self.eta, budgets)
            self._brackets.update(dict.fromkeys(budgets, bracket))
            orders += bracket.begin()
        return orders

    def expected(self, entrants: Sequence[Entrant]) -> float:
        """See `Scheduler.expected`."""
        total = sum(entrant.epochs for entrant in entrants)
        if not total:
            return 1.0
        parts = self._dealt(entrants).items()
        trained = sum(
            share_of_halving(part, rung, self.first, self.eta, self.unit) * sum(each.epochs for each in part)
            for rung, part in parts
        )
        return trained / total

    def _dealt(self, entrants: Sequence[Entrant]) -> dict[int, list[Entrant]]:
        """Return the trials of each bracket by its first rung; the most cutting comes first.

        They are dealt out in turn, so that configs that stand together in a batch do not share a bracket.
        """
        budgets = [rungs(each, self.first, self.eta, self.unit) for each in entrants]
        first, last = min(map(joins, budgets), default=0), max(map(len, budgets), default=1)
        count = last - first
        sizes = [-(-count * self.eta**rounds // (rounds + 1)) for rounds in range(count - 1, -1, -1)]
        total, parts = sum(sizes), [list[Entrant]() for _ in sizes]
        for number, entrant in enumerate(sorted(entrants, key=lambda each: each.trial), 1):
            lacking = [size * number - total * len(part) for size, part in zip(sizes, parts, strict=True)]
            parts[lacking.index(max(lacking))].append(entrant)
        return dict(enumerate(parts, first))

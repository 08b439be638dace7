"""Zooming in: an even design that narrows, round after round, around the best region seen so far.

This is what people do by hand. Goodfellow, Bengio and Courville, Deep Learning, 2016, section 11.4.3, describe it for
grids: look where the best values lie, and lay a finer grid there. There is no paper to follow beyond that: Sobol
points in the place of the grid, the median as the centre and what happens to choices are this project's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxsweep.search.base import Searcher, number, whole
from jaxsweep.search.cube import best_first
from jaxsweep.search.seen import Seen, strangers
from jaxsweep.search.sobol import SobolPoints
from jaxsweep.spec.distributions import Choice, Distribution, FloatArray, Int
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.metrics import Direction
from jaxsweep.spec.space import Space
from jaxsweep.streams import bit_generator

BEST, LEAST = 0.1, 5  # of all configs told: the share, and at least how many, that say where to look
SMALLEST = 0.05  # side of the box
LEVELS = 3  # of an integer: its side of the box holds the centre and both neighbours
OTHER = 0.1  # how likely a choice that is not among the best is, beside one that is
TRIES = 4  # at finding new configs in the box


class Zoom(Searcher):
    """Scrambled Sobol points, first of the whole space, then of a box around the median of the best configs told.

    A round ends when `per_round` results are there, and with each the box's side gets `shrink` times as long, down to
    a twentieth of the space; at the ends of the space the box is moved inwards. A choice keeps the values that occur
    among the best; each other one is drawn a tenth as often. It narrows around one region, and does not come back.

    Args:
        space: what to propose from.
        per_round: configs in a round, at least 2; an `ask` should be for one round.
        shrink: the side of the box beside that of the round before, in [0, 1].
        seed: an integer in [0, 2**63 - 1].
        direction: whether a larger or a smaller score is better.
    """

    description = "Sobol points that narrow, round after round, around the best region"

    def __init__(
        self,
        space: Space | None,
        *,
        per_round: int = 50,
        shrink: float = 0.5,
        seed: int = 0,
        direction: Direction = "maximize",
    ) -> None:
        super().__init__(space, seed=seed, direction=direction)
        self.per_round = whole("per_round", per_round, 2)
        self.shrink = number("shrink", shrink, 0, 1)
        self._points = SobolPoints(self.space.dimensions, self.seed, "zoom")
        self._bits = bit_generator(self.seed, "zoom")
        self._genes = np.empty((0, self.space.dimensions))  # of every config told; NaN where inactive
        self._merits = np.empty(0)
        self._seen = Seen()
        self._fresh = 0  # results since the box was narrowed last
        self._side = 1.0
        self._maps: list[_Stretch | _Weights] = []  # of each column; none before the first narrowing

    @property
    def batch(self) -> int:
        """The configs of a round."""
        return self.per_round

    def _propose(self, n: int) -> list[Config]:
        if self._fresh >= self.per_round and np.isfinite(self._merits).any():
            self._narrow()
        if self._maps:
            return self.space.from_unit(self._inside(n))
        genes = self.space.snap(self._points.draw(n))
        self._seen.add(genes)
        return self.space.from_unit(genes)

    def _learn(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray) -> None:
        genes = self.space.to_unit(configs)
        self._genes = np.concatenate([self._genes, genes])
        self._merits = np.concatenate([self._merits, merits])
        self._seen.add(genes)
        self._fresh += len(genes)

    def _narrow(self) -> None:
        """Lay a smaller box around the best configs told; which was told first has no effect."""
        order = best_first(self._genes, self._merits)
        finite = int(np.isfinite(self._merits).sum())
        best = self._genes[order[: min(finite, max(LEAST, round(BEST * finite)))]]
        self._side = max(SMALLEST, self.shrink * self._side)
        self._fresh = 0
        entries = [self.space.entries[name] for name in self.space.columns]
        self._maps = [
            _Weights(entry, values) if isinstance(entry, Choice) else _Stretch(entry, values, self._side)
            for entry, values in ((entry, _active(column)) for entry, column in zip(entries, best.T, strict=True))
        ]

    def _inside(self, n: int) -> FloatArray:
        """Return the genes of `n` configs, [n, dimensions], new ones of the box as far as there are any."""
        found = np.empty((0, self.space.dimensions))
        for _ in range(TRIES):
            u = self._points.draw(n - len(found))
            genes = self.space.snap(np.stack([each(x) for each, x in zip(self._maps, u.T, strict=True)], axis=1))
            genes = genes[self._seen.take(genes)]
            found = np.concatenate([found, genes])
            if len(found) == n:
                return found
        others = strangers(self.space, self._seen, self._bits, n - len(found))
        self._seen.add(others)
        return np.concatenate([found, others])


class _Stretch:
    """The part of a number's range that the box has, as a map of the unit interval into itself."""

    def __init__(self, entry: Distribution, values: FloatArray, side: float) -> None:
        centre = float(np.median(values)) if len(values) else 0.5
        # Where the entry was inactive in all of the best, nothing is known of it.
        self.side = min(1.0, max(side, LEVELS * _level(entry, centre))) if len(values) else 1.0
        self.low = min(max(centre - self.side / 2, 0.0), 1.0 - self.side)

    def __call__(self, u: FloatArray) -> FloatArray:
        return np.clip(self.low + self.side * u, 0.0, 1.0)


class _Weights:
    """How often each value of a choice is drawn, as a map of the unit interval to the middles of the values."""

    def __init__(self, entry: Choice, values: FloatArray) -> None:
        self.count = len(entry.values)
        kept = np.isin(np.arange(self.count), entry.codes_from_unit(values)) if len(values) else np.ones(self.count)
        weights = np.where(kept, 1.0, OTHER)
        self.ends = np.cumsum(weights) / weights.sum()

    def __call__(self, u: FloatArray) -> FloatArray:
        codes = np.minimum(np.searchsorted(self.ends, u, side="right"), self.count - 1)
        return np.asarray((codes + 0.5) / self.count)


def _active(column: FloatArray) -> FloatArray:
    return column[~np.isnan(column)]


def _level(entry: Distribution, centre: float) -> float:
    """Return how much of the unit interval has the value at `centre`: of an integer a stretch, else nothing."""
    if not isinstance(entry, Int):
        return 0.0
    if not entry.log:
        return 1 / (entry.high - entry.low + 1)
    value = int(entry.codes_from_unit(np.array([centre]))[0])
    return float(np.log((value + 1) / value) / np.log((entry.high + 1) / entry.low))

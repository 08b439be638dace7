"""Several objectives as one score, by weights that somebody states: for searchers that follow a single objective."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxsweep.search.base import Directions, Searcher
from jaxsweep.spec.distributions import FloatArray
from jaxsweep.spec.hyperparameters import Config


class Weighted(Searcher):
    """Another searcher, which is told a weighted sum of several objectives; no name leads to it.

    Each objective counts by how far it is from the median of the first scores that are told, in units of their
    interquartile range: of those that did not fail and meet the constraints, of the first `tell` that has two. From
    then on a config's sum is the same whenever it is told. (An objective without a range there counts as it is.)

    Args:
        searcher: that proposes, made to maximize.
        direction: of each objective.
        weights: [objectives], at least 0.
    """

    description = "another searcher, by a weighted sum of objectives"
    several = True

    def __init__(self, searcher: Searcher, direction: Directions, weights: Sequence[float]) -> None:
        super().__init__(searcher._space, seed=searcher.seed, direction=direction)
        self._searcher, self._weights = searcher, np.array(weights, np.float64)
        self._constrained = False
        self._units: tuple[FloatArray, FloatArray] | None = None  # middle and range of each objective

    @property
    def learns(self) -> bool:
        """Whether the searcher learns."""
        return self._searcher.learns

    @property
    def batch(self) -> int | None:
        """The batch of the searcher."""
        return self._searcher.batch

    @property
    def total(self) -> int | None:
        """The total of the searcher."""
        return self._searcher.total

    def remainder(self, asked: int) -> str | None:
        """Return what the searcher says."""
        return self._searcher.remainder(asked)

    def tell(
        self, configs: Sequence[Mapping[str, Any]], scores: Iterable[Any], violations: Iterable[float] | None = None
    ) -> None:
        """Report scores [n, objectives] of configs, as `Searcher.tell` takes them."""
        self._constrained = violations is not None
        super().tell(configs, scores, violations)

    def _propose(self, n: int) -> list[Config]:
        return self._searcher.ask(n)

    def _learn_several(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray, violations: FloatArray) -> None:
        good = merits[np.isfinite(merits).all(axis=1) & (violations == 0)]
        if self._units is None and len(good) > 1:
            low, middle, high = np.quantile(good, [0.25, 0.5, 0.75], axis=0)
            self._units = middle, np.where(high > low, high - low, 1.0)
        middle, unit = self._units or (np.zeros(len(self._weights)), np.ones(len(self._weights)))
        known = np.isfinite(merits).all(axis=1)
        scores = np.full(len(merits), np.nan)
        scores[known] = ((merits[known] - middle) / unit * self._weights).sum(axis=1)
        self._searcher.tell(configs, scores, violations if self._constrained else None)

"""Scrambled Sobol points: configs that fill the space more evenly than random ones.

Sobol, USSR Computational Mathematics and Mathematical Physics 7, 1967; scrambled as in Owen, Journal of Complexity
14, 1998.
"""

import numpy as np

from jaxsweep.search.base import Directions, Searcher
from jaxsweep.spec.distributions import FloatArray
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.space import Space
from jaxsweep.streams import generator

BITS = 30  # of a coordinate; the sequence has 2**BITS points, more than anyone trains


class SobolPoints:
    """The points of the Sobol sequence that a seed and a purpose scramble; drawing n, then m, gives the first n + m."""

    def __init__(self, dimensions: int, seed: int, purpose: str) -> None:
        from scipy.stats import qmc  # slow to import, and not every sweep needs it

        # A sequence has at least one dimension; a space of constants has none.
        self._engine = qmc.Sobol(max(1, dimensions), scramble=True, bits=BITS, rng=generator(seed, purpose, "sobol"))
        self._dimensions = dimensions
        self._started = False

    def draw(self, n: int) -> FloatArray:
        """Return the next `n` points, [n, dimensions]."""
        if n == 0:
            return np.empty((0, self._dimensions))
        # Its warning about numbers that are not powers of 2 comes with the first draw only.
        first = [] if self._started else [self._engine.random(1)]
        self._started = True
        rest = [self._engine.random(n - len(first))] if n > len(first) else []
        return np.concatenate([*first, *rest])[:, : self._dimensions]


class Sobol(Searcher):
    """The configs at the points of a scrambled Sobol sequence; the scrambling depends on the seed."""

    description = "scrambled Sobol points, which fill the space evenly"
    several = True

    def __init__(self, space: Space | None, *, seed: int = 0, direction: Directions = "maximize") -> None:
        super().__init__(space, seed=seed, direction=direction)
        self._points = SobolPoints(self.space.dimensions, self.seed, "search")

    def _propose(self, n: int) -> list[Config]:
        return self.space.from_unit(self._points.draw(n))

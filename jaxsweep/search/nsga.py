"""Generations of NSGA-II, in the unit cube: how `evolution` breeds where several objectives count.

Deb, Pratap, Agarwal and Meyarivan, A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE Transactions on
Evolutionary Computation 6, 2002: of all that is known the best population by the crowded comparison survives, parents
win binary tournaments by it, and constraints dominate as in its section VI. Numbers are crossed by simulated binary
crossover and mutated polynomially (Deb and Agrawal, Complex Systems 9, 1995; bounded by reflection at the ends),
choices are taken from either parent, or drawn anew as often as a number mutates.
"""

import numpy as np
from numpy.typing import NDArray

from jaxsweep.search.cube import choices, reflected
from jaxsweep.search.seen import Seen, strangers
from jaxsweep.spec.distributions import FloatArray
from jaxsweep.spec.pareto import crowded_order
from jaxsweep.spec.space import Space
from jaxsweep.streams import bit_generator, uniforms

CROSSED = 0.9  # probability with which a pair of parents is crossed
CROSSOVER, MUTATION = 5.0, 20.0  # distribution indices: the larger, the closer a child is to its parents
MORE = 2  # children made for each one that is wanted, since some are known already


class NSGA2:
    """Survivors and their children.

    Args:
        space: in whose unit cube they live.
        population: how many survive, at least.
        seed: an integer in [0, 2**63 - 1].
    """

    def __init__(self, space: Space, population: int, seed: int) -> None:
        self.space, self.population = space, population
        self._bits = bit_generator(seed, "evolution", "nsga2")
        self._choice = choices(space)
        self._seen = Seen()
        self._genes = np.empty((0, space.dimensions))  # of survivors and, behind them, of those told since
        self._merits: FloatArray = np.empty((0, 1))
        self._violations = np.empty(0)

    @property
    def knows(self) -> bool:
        """Whether it was told of any config."""
        return len(self._genes) > 0

    def learn(self, genes: FloatArray, merits: FloatArray, violations: FloatArray) -> None:
        """Take in snapped configs [n, dimensions], merits [n, objectives] (larger is better) and violations [n]."""
        merits = np.concatenate([self._merits, merits]) if self.knows else merits
        self._genes, self._merits = np.concatenate([self._genes, genes]), merits
        self._violations = np.concatenate([self._violations, violations])
        self._seen.add(genes)

    def bred(self, n: int) -> FloatArray:
        """Return the snapped genes of `n` children, [n, dimensions], new ones as far as the space has them."""
        self._select(max(n, self.population))
        children = self.space.snap(self._children(MORE * n))
        children = children[self._seen.new(children)[:n]]
        self._seen.add(children)
        if missing := n - len(children):
            others = strangers(self.space, self._seen, self._bits, missing)
            self._seen.add(others)
            children = np.concatenate([children, others])
        return children

    def _select(self, most: int) -> None:
        """Let the best survive, in the order of the crowded comparison; none that failed, unless nobody else is left.

        Equals stand in the order of their coordinates, so that who was told first has no effect.
        """
        by_genes = np.lexsort((*np.nan_to_num(self._genes, nan=-1.0).T, *self._merits.T, self._violations))
        order = by_genes[crowded_order(self._merits[by_genes], self._violations[by_genes])]
        alive = order[np.isfinite(self._merits[order]).all(axis=1)]
        chosen = (alive if len(alive) else order)[:most]
        self._genes, self._merits = self._genes[chosen], self._merits[chosen]
        self._violations = self._violations[chosen]

    def _parents(self, n: int) -> NDArray[np.intp]:
        """Return the positions of `n` winners of binary tournaments: survivors stand in order, so the first wins."""
        drawn = (uniforms(self._bits, n, 2) * len(self._genes)).astype(np.intp)
        winners: NDArray[np.intp] = drawn.min(axis=1)
        return winners

    def _children(self, n: int) -> FloatArray:
        """Return the genes of `n` children, [n, dimensions], by crossover of two parents and mutation."""
        shape = (n, self.space.dimensions)
        mother, father = self._genes[self._parents(n)], self._genes[self._parents(n)]
        drawn = uniforms(self._bits, *shape)
        mother = np.where(np.isnan(mother), father, mother)  # inactive in one parent
        mother = np.where(np.isnan(mother), drawn, mother)  # and in both
        father = np.where(np.isnan(father), mother, father)
        u = uniforms(self._bits, *shape)
        spread = np.where(u < 0.5, 2 * u, 1 / (2 - 2 * u)) ** (1 / (CROSSOVER + 1))
        crossed = (uniforms(self._bits, n, 1) < CROSSED) & (uniforms(self._bits, *shape) < 0.5)
        side = np.where(uniforms(self._bits, *shape) < 0.5, 1.0, -1.0)  # one of the two children of the paper
        middle, half = (mother + father) / 2, (father - mother) / 2
        numbers = np.where(crossed, middle + side * spread * half, mother)
        either = np.where(crossed & (side > 0), father, mother)
        u = uniforms(self._bits, *shape)
        step = np.where(u < 0.5, (2 * u) ** (1 / (MUTATION + 1)) - 1, 1 - (2 - 2 * u) ** (1 / (MUTATION + 1)))
        mutates = uniforms(self._bits, *shape) < 1 / max(1, shape[1])
        numbers = np.where(mutates, reflected(numbers + step), reflected(numbers))
        return np.where(self._choice, np.where(mutates, u, either), numbers)

"""A genetic algorithm for mixed spaces, which works in the unit cube.

Each generation is bred from the best of all configs told so far (a plus strategy: Beyer and Schwefel, Natural
Computing 1, 2002): two parents are drawn by rank, each gene comes from either (uniform crossover: Syswerda,
ICGA 1989), numbers mutate by a Gaussian step, reflected at the ends, and choices by a new draw. More children are
made than asked for, and those are kept whose neighbours among the configs told have the best ranks (pre-selection
with a kernel regression as surrogate: Jin, Swarm and Evolutionary Computation 1, 2011). That is what makes the
search robust to noisy scores, as those of small networks are: one lucky score lifts no region.

Only ranks of scores are used, so any monotone rescaling of the scores gives the same search.

Of several objectives the generations after the first are those of NSGA-II (`search/nsga.py`); of one, a config that
breaks a constraint ranks behind all that meet them, by how much it does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.search.base import Directions, Searcher, whole
from jaxsweep.search.cube import best_first, choices, one_hot, reflected, values
from jaxsweep.search.nsga import NSGA2
from jaxsweep.search.seen import keys
from jaxsweep.search.sobol import SobolPoints
from jaxsweep.spec.distributions import FloatArray
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.pareto import constrained
from jaxsweep.spec.space import Space
from jaxsweep.streams import generator

PARENTS = 0.5  # of a population: the best configs told so far that breed
LARGEST_STEP, SMALLEST_STEP = 0.3, 0.03  # of a mutation, in the unit cube; each child draws one on a log scale
NEW_CHOICE = 0.25  # probability with which a choice is drawn anew
CANDIDATES = 4  # children made for each one that is kept
BANDWIDTH = 0.2  # of the kernel, as a root mean square distance over dimensions, where FEW configs are known
FEW = 50
MEMORY = 10  # populations told last that the surrogate knows
WORK = 2 * 10**7  # at most so many distances in one pre-selection, about 0.2 s ...
MOST = 8000  # ... of so many children
BLOCK = 1000  # of which so many at a time


class Evolution(Searcher):
    """A genetic algorithm; an `ask` for one population at a time, told before the next, uses it best.

    Args:
        space: what to propose from.
        population: configs in a generation, at least 2; the first one consists of scrambled Sobol points, as far as it
            has not been told of others before it is asked.
        seed: an integer in [0, 2**63 - 1].
        direction: whether a larger or a smaller score is better, of several objectives of each.
    """

    description = "a genetic algorithm for mixed spaces; a generation is one batch"
    several = True

    def __init__(
        self, space: Space | None, *, population: int = 50, seed: int = 0, direction: Directions = "maximize"
    ) -> None:
        super().__init__(space, seed=seed, direction=direction)
        self.population = whole("population", population, 2)
        self._rng = generator(self.seed, "evolution")
        self._first = SobolPoints(self.space.dimensions, self.seed, "evolution")
        self._choice = choices(self.space)
        self._values = values(self.space)
        self._genes = np.empty((0, self.space.dimensions))  # of every config told; NaN where inactive
        self._merits = np.empty(0)
        self._seen: set[bytes] = set()
        self._crowd = NSGA2(self.space, self.population, self.seed)  # of several objectives

    @property
    def batch(self) -> int:
        """The population."""
        return self.population

    def _propose(self, n: int) -> list[Config]:
        breeding = np.isfinite(self._merits).sum() >= 2
        first = min(n, max(0, self.population - max(self.asked, len(self._merits)))) if breeding else n
        genes = self.space.snap(self._first.draw(first))
        if first < n:
            genes = np.concatenate([genes, self._bred(n - first)])
        self._seen.update(keys(genes))
        return self.space.from_unit(genes)

    def _learn(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray) -> None:
        genes = self.space.to_unit(configs)
        order = best_first(genes, merits)
        self._genes = np.concatenate([self._genes, genes[order]])
        self._merits = np.concatenate([self._merits, merits[order]])
        self._seen.update(keys(genes))

    def _learn_several(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray, violations: FloatArray) -> None:
        self._learn(configs, constrained(merits[:, 0], violations))  # of several: which are known and did not fail
        if merits.shape[1] > 1:
            self._crowd.learn(self.space.to_unit(configs), merits, violations)

    def _bred(self, n: int) -> FloatArray:
        """Return the genes of `n` children, [n, dimensions], new ones as far as the space has them."""
        if self._crowd.knows:
            return self._crowd.bred(n)
        ranked = np.argsort(-self._merits, kind="stable")
        known = np.arange(max(0, len(ranked) - MEMORY * self.population), len(ranked))
        made = max(n, min(CANDIDATES * n, WORK // max(1, len(known)), MOST))
        children = self.space.snap(self._children(ranked[: self._breeders(n)], made))
        children = children[self._new(children)]
        if len(children) > n:
            children = children[self._promising(children, known, n)]
        missing = n - len(children)
        return np.concatenate([children, self._strangers(missing, children)]) if missing else children

    def _strangers(self, n: int, children: FloatArray) -> FloatArray:
        """Return the genes of `n` random configs, [n, dimensions], where nothing new was left to breed.

        New ones come first; a small space may have none, and then anything goes.
        """
        self._seen.update(keys(children))
        random = self.space.snap(self._rng.random((CANDIDATES * n, self.space.dimensions)))
        new = self._new(random)
        chosen: FloatArray = random[np.concatenate([new, np.setdiff1d(np.arange(len(random)), new)])[:n]]
        return chosen

    def _breeders(self, n: int) -> int:
        """Return how many parents breed: a share of a generation, but none that failed."""
        return min(max(2, round(PARENTS * max(n, self.population))), int(np.isfinite(self._merits).sum()))

    def _children(self, parents: NDArray[np.intp], n: int) -> FloatArray:
        """Return the genes of `n` children of `parents`, best first, by crossover and mutation."""
        rng, shape = self._rng, (n, self.space.dimensions)
        weights = np.log(len(parents) + 0.5) - np.log(np.arange(1, len(parents) + 1))
        mother, father = self._genes[parents[rng.choice(len(parents), (2, n), p=weights / weights.sum())]]
        from_mother = rng.random(shape) < 0.5
        genes = np.where(from_mother, mother, father)
        genes = np.where(np.isnan(genes), np.where(from_mother, father, mother), genes)  # inactive in one parent
        genes = np.where(np.isnan(genes), rng.random(shape), genes)  # and in both
        steps = SMALLEST_STEP * (LARGEST_STEP / SMALLEST_STEP) ** rng.random((n, 1))
        numbers = reflected(genes + steps * rng.standard_normal(shape))
        drawn = np.where(rng.random(shape) < NEW_CHOICE, rng.random(shape), genes)
        return np.where(self._choice, drawn, numbers)

    def _new(self, genes: FloatArray) -> NDArray[np.intp]:
        """Return the positions of the snapped genes that nobody has seen, each once."""
        fresh = {key: row for row, key in enumerate(keys(genes)) if key not in self._seen}
        return np.array(sorted(fresh.values()), dtype=np.intp)

    def _promising(self, children: FloatArray, known: NDArray[np.intp], n: int) -> NDArray[np.intp]:
        """Return the `n` of `children` around which the configs told rank best, by Nadaraya-Watson regression."""
        from threadpoolctl import threadpool_limits

        ranks = np.empty(len(known))
        ranks[np.argsort(self._merits[known], kind="stable")] = np.arange(len(known))
        predicted = np.empty(len(children))
        # It narrows at the rate that is best for smooth functions: Stone, Annals of Statistics 10, 1982.
        width = BANDWIDTH * (max(len(known), FEW) / FEW) ** (-1 / (4 + self.space.dimensions))
        with threadpool_limits(1):  # the last bits of matrix products depend on how many threads share them
            for start in range(0, len(children), BLOCK):
                far = self.distances(children[start : start + BLOCK], self._genes[known])
                far /= 2 * width**2 * self.space.dimensions
                nearness = np.exp(far.min(axis=1, keepdims=True) - far)
                predicted[start : start + BLOCK] = nearness @ ranks / nearness.sum(axis=1)
        return np.sort(np.argsort(-predicted, kind="stable")[:n])

    def distances(self, genes: FloatArray, others: FloatArray) -> FloatArray:
        """Return the squared distances [n, m] of points [n, dimensions] from others [m, dimensions].

        The distance of two choices is 0 or 1/2; a gene that is inactive in either adds nothing, since the gene
        that made it so does. A square is that of either, where both are active, less twice their product.
        """
        active, squares, parts = self._parts(genes)
        there, squares_there, parts_there = self._parts(others)
        left, right = [squares, active, parts], [there, squares_there, -2 * parts_there]
        product: FloatArray = np.concatenate(left, axis=1) @ np.concatenate(right, axis=1).T
        return product

    def _parts(self, genes: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return which genes are active and their squares, [n, dimensions], and the coordinates of all, [n, any].

        A choice has a coordinate for each of its values.
        """
        active = ~np.isnan(genes)
        places = np.where(active, genes, 0.0)
        parts = [places[:, ~self._choice]]
        for column in np.flatnonzero(self._choice):
            parts.append(np.sqrt(1 / 8) * one_hot(genes[:, column], self._values[column]))
        return active.astype(np.float64), np.where(self._choice, active / 8, places**2), np.concatenate(parts, axis=1)

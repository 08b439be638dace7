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
from jaxsweep.search.cube import best_first, choices, reflected
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
BANDWIDTH = 0.1  # of the kernel, as a root mean square distance over dimensions
MEMORY = 10  # populations told last that the surrogate knows
WORK = 3 * 10**6  # at most so many coordinate differences in one pre-selection, a few 10 ms


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
        affordable = WORK // max(1, len(known) * self.space.dimensions)
        made = max(n, min(CANDIDATES * n, affordable))
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
        """Return the `n` of `children` around which the configs told rank best, by Nadaraya-Watson regression.

        The distance of two choices is 0 or 1/2; a gene that is inactive in either adds nothing, since the gene
        that made it so does.
        """
        squares = np.zeros((len(children), len(known)))
        for column, is_choice in enumerate(self._choice):
            difference = children[:, column, None] - self._genes[known, column]
            square = np.where(difference == 0, 0.0, 0.25) if is_choice else difference**2
            squares += np.where(np.isnan(difference), 0.0, square)
        squares /= 2 * BANDWIDTH**2 * self.space.dimensions
        nearness = np.exp(squares.min(axis=1, keepdims=True) - squares)
        ranks = np.empty(len(known))
        ranks[np.argsort(self._merits[known], kind="stable")] = np.arange(len(known))
        # Sums, not a matrix product: the result must not depend on the number of threads.
        predicted = (nearness * ranks).sum(axis=1) / nearness.sum(axis=1)
        return np.sort(np.argsort(-predicted, kind="stable")[:n])

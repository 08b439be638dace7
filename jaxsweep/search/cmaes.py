"""CMA-ES in the unit cube, by the library `cmaes`: a Gaussian that learns its scale and its axes, and categories.

The covariance matrix adaptation evolution strategy (Hansen and Ostermeier, Evolutionary Computation 9, 2001) in the
form for mixed spaces, CatCMA with Margin (Hamano et al., GECCO 2025), as Nomura and Shibata's library has it. Floats
are continuous coordinates of the unit cube, logs included. An integer of at most 32 values is a discretized coordinate
with a margin, so that no value gets lost while the Gaussian narrows; one of more values is continuous, and rounded. A
choice, and an integer of two values, has a probability for each value, with a margin too. What a condition makes
inactive keeps the coordinate that was drawn for it, which selection does not see: on average it moves nothing.

The first population consists of Sobol points, and the first distribution is that of the best of all that has been
told by then: told strangers are a warm start (in the spirit of Nomura et al., AAAI 2021). The scores of a generation
are used by rank, failed ones last and equals in a drawn order. A draw that is known is not trained again: it counts
with the score that it had. Once most draws are known, or the library says that it has converged, the strategy starts
again around a random point.

The library draws from NumPy's `RandomState`, whose stream NumPy does not change any more.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.search.base import Searcher, whole
from jaxsweep.search.cube import Told
from jaxsweep.search.seen import Seen, keys, strangers
from jaxsweep.search.sobol import SobolPoints
from jaxsweep.spec.distributions import Choice, FloatArray, Int
from jaxsweep.spec.extras import extra
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.metrics import Direction
from jaxsweep.spec.space import Space
from jaxsweep.streams import bit_generator, uniforms

if TYPE_CHECKING:
    from cmaes import CatCMAwM

LEAST = 4  # members of a population that the library's weights make sense for
LEVELS = 32  # most values of an integer that is discretized with a margin
ELITE = 0.2  # of all that was told: the best, which the first distribution is made of
SPREAD = (0.1, 0.15)  # least and largest standard deviation of a coordinate of a new distribution
TRIES = 4  # at draws that are new, before random points fill a batch
STALE = 0.25  # share of new ones among the draws, below which the strategy starts again


class CMAES(Searcher):
    """CMA-ES; an `ask` for one population at a time, told before the next, is one generation.

    What is drawn from one distribution, by one `ask` or several, changes it once a population of it is told; of more
    than a population those count that are evenly spread over the ranks. What is told later than that counts for
    restarts and duplicates alone.

    Args:
        space: what to propose from.
        population: configs in a generation, at least 4; the first one consists of scrambled Sobol points.
        seed: an integer in [0, 2**63 - 1].
        direction: whether a larger or a smaller score is better.

    Raises:
        RequestError: an illegal option, or the package `cmaes` is not installed.
    """

    description = "CMA-ES for mixed spaces (extra cmaes); a generation is one batch"

    def __init__(
        self, space: Space | None, *, population: int = 50, seed: int = 0, direction: Direction = "maximize"
    ) -> None:
        super().__init__(space, seed=seed, direction=direction)
        self.population = whole("population", population, LEAST)
        self._library = extra("cmaes", "the searcher cmaes")
        self._bits = bit_generator(self.seed, "cmaes")
        self._first = SobolPoints(self.space.dimensions, self.seed, "cmaes")
        self._columns = _Columns(self.space)
        self._seen = Seen()
        self._told = Told(self.space)  # points and merits that nothing has been made of yet
        self._points = np.empty((0, self.space.dimensions))  # of every config told; NaN where inactive
        self._merits = np.empty(0)
        self._scores: dict[bytes, tuple[float, int]] = {}  # the mean merit of each point told, and how often
        self._optimizer: CatCMAwM | None = None
        self._generation: list[tuple[bytes, Any]] = []  # point and the library's solution of each draw
        self._starts = 0

    @property
    def batch(self) -> int:
        """The population."""
        return self.population

    def _propose(self, n: int) -> list[Config]:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):  # the last bits of matrix products depend on how many threads share them
            self._take_in()
            merits = self._merits[np.isfinite(self._merits)]
            learnt = len(merits) >= 2 and self._merits.min() < self._merits.max() and self._columns.varied
            known = max(self.asked, len(self._merits))
            first = min(n, max(0, self.population - known)) if learnt else n
            points = self.space.snap(self._first.draw(first))
            self._seen.add(points)
            if first < n:
                points = np.concatenate([points, self._drawn(n - first)])
        return self.space.from_unit(points)

    def _learn(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray) -> None:
        self._seen.add(self._told.add(configs, merits))

    def _take_in(self) -> None:
        """Take in what was told since the last `ask`, and adapt the distribution if a generation of it is known."""
        if (told := self._told.take()) is None:
            return
        points, merits = told
        self._points = np.concatenate([self._points, points])
        self._merits = np.concatenate([self._merits, merits])
        for key, merit in zip(keys(points), merits.tolist(), strict=True):
            mean, count = self._scores.get(key, (0.0, 0))
            self._scores[key] = mean * (count / (count + 1)) + merit / (count + 1), count + 1
        known = [(solution, self._scores[key][0]) for key, solution in self._generation if key in self._scores]
        if self._optimizer is not None and len(known) >= self.population:
            self._generation = []
            self._adapt(self._optimizer, [each for each, _ in known], np.array([merit for _, merit in known]))

    def _adapt(self, optimizer: "CatCMAwM", solutions: list[Any], merits: FloatArray) -> None:
        """Let a generation of at least a population change the distribution; one of equal merits says nothing."""
        if merits.min() == merits.max():
            return
        ranked = np.lexsort((uniforms(self._bits, len(merits)), -merits))
        even = ((np.arange(self.population) + 0.5) * len(merits) / self.population).astype(np.intp)
        optimizer.tell([(solutions[row], float(rank)) for rank, row in enumerate(ranked[even].tolist())])
        if len(self._columns.gaussian) and optimizer.should_stop():
            self._optimizer = None

    def _drawn(self, n: int) -> FloatArray:
        """Return the snapped points of `n` draws of the distribution, [n, dimensions], new ones as far as there are."""
        optimizer = self._optimizer or self._start()
        found = np.empty((0, self.space.dimensions))
        drawn = 0
        for _ in range(TRIES):
            solutions = [optimizer.ask() for _ in range(n - len(found))]
            points = self.space.snap(self._columns.points(solutions))
            self._generation += zip(keys(points), solutions, strict=True)
            drawn += len(points)
            found = np.concatenate([found, points[self._seen.take(points)]])
            if len(found) == n:
                return found
        if len(found) < STALE * drawn:
            self._optimizer, self._generation = None, []
        others = strangers(self.space, self._seen, self._bits, n - len(found))
        self._seen.add(others)
        return np.concatenate([found, others])

    def _start(self) -> "CatCMAwM":
        """Return a new strategy: the first around the best of what was told, a later one around a random point."""
        best, (least, largest) = np.empty((0, self.space.dimensions)), SPREAD
        if self._starts == 0:
            ranked = np.argsort(-self._merits, kind="stable")[: int(np.isfinite(self._merits).sum())]
            best = self._points[ranked[: max(2, round(ELITE * len(self._merits)))]]
            there = ~np.isnan(best)
            count = there.sum(axis=0)
            # One point in the middle beside them, for what is inactive in all.
            means = (np.where(there, best, 0.0).sum(axis=0) + 0.5) / (count + 1)
            squares = (np.where(there, best - means, 0.0) ** 2).sum(axis=0) / np.maximum(1, count)
            spread = np.clip(np.sqrt(squares), least, largest)
        else:
            means, spread = uniforms(self._bits, self.space.dimensions), np.full(self.space.dimensions, largest)
        self._starts += 1
        seed = int(self._bits.random_raw()) >> 32
        self._optimizer = self._columns.optimizer(self._library, self.population, means, spread, best, seed)
        self._generation = []
        return self._optimizer


class _Columns:
    """Which columns of the cube the library takes as what: continuous, discretized or a category; or for constant."""

    def __init__(self, space: Space) -> None:
        entries = [space.entries[name] for name in space.columns]
        kinds = np.array([_kind(entry) for entry in entries], dtype=np.str_)
        self.values = np.array([_count(entry) for entry in entries], dtype=np.intp)
        self.continuous, self.discrete, self.categories = (
            np.flatnonzero(kinds == kind) for kind in ("continuous", "discrete", "category")
        )
        self.rows = [entries[k].unit_from_codes(_codes(entries[k])).tolist() for k in self.discrete]
        self.gaussian = np.concatenate([self.continuous, self.discrete]).astype(np.intp)  # in the library's order

    @property
    def varied(self) -> bool:
        """Whether any column has more than one value."""
        return len(self.gaussian) + len(self.categories) > 0

    def optimizer(
        self, library: Any, population: int, means: FloatArray, spread: FloatArray, best: FloatArray, seed: int
    ) -> "CatCMAwM":
        """Return a strategy around `means` [columns]; `best` [n, columns] say what categories are likely at first."""
        gaussian = self.gaussian
        return library.CatCMAwM(
            x_space=[[0.0, 1.0]] * len(self.continuous) or None,
            z_space=self.rows or None,
            c_space=self.values[self.categories].tolist() or None,
            population_size=population,
            mean=means[gaussian].copy() if len(gaussian) else None,
            sigma=1.0,
            cov=np.diag(spread[gaussian] ** 2) if len(gaussian) else None,
            cat_param=self._likely(best) if len(self.categories) else None,
            seed=seed,
        )

    def points(self, solutions: Sequence[Any]) -> FloatArray:
        """Return the points [n, columns] that the library's solutions stand for."""
        found = np.full((len(solutions), len(self.values)), 0.5)
        if len(self.continuous):
            found[:, self.continuous] = [solution.x for solution in solutions]
        if len(self.discrete):
            found[:, self.discrete] = [solution.z for solution in solutions]
        if len(self.categories):
            codes = np.argmax([solution.c for solution in solutions], axis=-1)
            found[:, self.categories] = (codes + 0.5) / self.values[self.categories]
        return found

    def _likely(self, best: FloatArray) -> FloatArray:
        """Return the probabilities of categories, [categories, most values]: their shares, and as much alike."""
        counts = self.values[self.categories]
        found = np.zeros((len(counts), counts.max()))
        for row, (column, count) in enumerate(zip(self.categories, counts, strict=True)):
            there = best[~np.isnan(best[:, column]), column]
            codes = np.minimum((there * count).astype(np.intp), count - 1)
            found[row, :count] = np.bincount(codes, minlength=count) + max(1.0, len(there) / count)
            found[row] /= found[row].sum()
        return found


def _count(entry: Any) -> int:
    """Return how many values an entry has, 0 for a float."""
    if isinstance(entry, Choice):
        return len(entry.values)
    return entry.high - entry.low + 1 if isinstance(entry, Int) else 0


def _kind(entry: Any) -> str:
    """Return what the library takes an entry for."""
    count = _count(entry)
    if count == 1:
        return "constant"
    if isinstance(entry, Choice) or count == 2:
        return "category"
    return "discrete" if 2 < count <= LEVELS else "continuous"


def _codes(entry: Any) -> NDArray[np.int64]:
    return np.arange(entry.low, entry.high + 1)

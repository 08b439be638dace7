"""Bayesian optimization in batches: a Gaussian process of all that was told, and Thompson sampling.

The model is a Gaussian process with a Matern-5/2 kernel, a length scale for each hyperparameter and noise (Rasmussen
and Williams, Gaussian Processes for Machine Learning, 2006; Snoek, Larochelle and Adams, NeurIPS 2012), fitted to
normal scores of ranks, so that any monotone rescaling of the scores gives the same search and a failed trial is a bad
one. A batch is one draw of the whole function for each config of it, which goes where that draw is best (Thompson
sampling in parallel: Kandasamy et al., AISTATS 2018), among random points and neighbours of those told that the model
thinks best. Scores of small networks are noisy: the model knows how much, and one lucky score moves little.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.search.base import Searcher, whole
from jaxsweep.search.cube import best_first, choices, one_hot, reflected, values
from jaxsweep.search.seen import Seen, strangers
from jaxsweep.search.sobol import SobolPoints
from jaxsweep.spec.distributions import FloatArray
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.metrics import Direction
from jaxsweep.spec.space import Space
from jaxsweep.streams import bit_generator, uniforms

if TYPE_CHECKING:
    from jaxsweep.search.gaussian import Kernel, Process

FITTED = 150  # configs, of those told, that the kernel's parameters are fitted to ...
KNOWN = 1000  # ... and that the model knows; the better half are the best, the others drawn
CANDIDATES = 800  # among which a batch is chosen, or four for each of its configs; half of them are neighbours
CENTRES = 20  # of the configs told, those that the model thinks best, which have neighbours
STEP = 0.5  # largest scale of a neighbour's distance, in the unit cube; the smallest is a thirtieth of it
NEW_CHOICE = 0.25  # probability with which a neighbour's choice is drawn anew
AT_ONCE = 1000  # configs that are chosen among the same candidates, whose covariances are kept in memory
TEMPERATURE = 0.7  # of the draws: below 1 they keep closer to what the model expects


class Bayes(Searcher):
    """Bayesian optimization; an `ask` for one population at a time, told before the next, uses it best.

    Args:
        space: what to propose from.
        population: configs in a batch, at least 2; the first one consists of scrambled Sobol points.
        seed: an integer in [0, 2**63 - 1].
        direction: whether a larger or a smaller score is better.
    """

    description = "Bayesian optimization in batches: a Gaussian process and Thompson sampling"

    def __init__(
        self, space: Space | None, *, population: int = 50, seed: int = 0, direction: Direction = "maximize"
    ) -> None:
        super().__init__(space, seed=seed, direction=direction)
        self.population = whole("population", population, 2)
        self._bits = bit_generator(self.seed, "bayes")
        self._seen = Seen()
        self._first = SobolPoints(self.space.dimensions, self.seed, "bayes")
        self._values = values(self.space)
        self._choice = choices(self.space)
        self._points = np.empty((0, self.space.dimensions))  # of every config told; NaN where inactive
        self._merits = np.empty(0)
        self._kernel: Kernel | None = None  # what the last fit found

    @property
    def batch(self) -> int:
        """The population."""
        return self.population

    def _propose(self, n: int) -> list[Config]:
        told = np.isfinite(self._merits).sum() >= 2 and self._merits.min() < self._merits.max()
        known = max(self.asked, len(self._merits))  # what was told before the first ask is of the first batch
        first = min(n, max(0, self.population - known)) if told and self.space.dimensions else n
        points = self.space.snap(self._first.draw(first))
        if first < n:
            from threadpoolctl import threadpool_limits

            with threadpool_limits(1):  # the last bits of matrix products depend on how many threads share them
                points = np.concatenate([points, self._drawn(n - first)])
        self._seen.add(points)
        return self.space.from_unit(points)

    def _learn(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray) -> None:
        points = self.space.to_unit(configs)
        order = best_first(points, merits)
        self._points = np.concatenate([self._points, points[order]])
        self._merits = np.concatenate([self._merits, merits[order]])
        self._seen.add(points)

    def _drawn(self, n: int) -> FloatArray:
        """Return the points of `n` configs, [n, dimensions], each where another draw of the function is best."""
        from jaxsweep.search import gaussian  # with parts of SciPy that are slow to import

        scores = gaussian.normal_scores(self._merits)
        few = self._few(scores, FITTED)
        before = self._kernel or gaussian.Kernel.prior(self.space.dimensions)
        self._kernel = kernel = gaussian.fitted(self._squares(self._points[few]), scores[few], before)
        known = self._few(scores, KNOWN)
        lengths = np.exp(kernel.lengths)
        process = gaussian.Process(self._embedded(self._points[known], lengths), scores[known], kernel)
        centres = self._points[known]
        found: list[FloatArray] = []
        for start in range(0, n, AT_ONCE):
            found.append(self._chosen(min(AT_ONCE, n - start), process, centres, lengths))
            self._seen.add(found[-1])
        return np.concatenate(found)

    def _chosen(self, n: int, process: "Process", centres: FloatArray, lengths: FloatArray) -> FloatArray:
        """Return those of new points, near `centres` and anywhere, where draws of the process are best."""
        from jaxsweep.search import gaussian

        candidates = self._candidates(centres, process.means, max(CANDIDATES, 4 * n))
        if len(candidates) <= n:  # of what a small space has left there is nothing to choose
            self._seen.add(candidates)
            return np.concatenate([candidates, strangers(self.space, self._seen, self._bits, n - len(candidates))])
        noise = TEMPERATURE * gaussian.normals(self._uniforms(len(candidates), n))
        chosen: list[int] = []
        for draw in process.draws(self._embedded(candidates, lengths), noise).T:
            draw[chosen] = -np.inf
            chosen.append(int(np.argmax(draw)))
        best: FloatArray = candidates[chosen]
        return best

    def _uniforms(self, *shape: int) -> FloatArray:
        return uniforms(self._bits, *shape)

    def _few(self, scores: FloatArray, most: int) -> NDArray[np.intp]:
        """Return the positions of at most so many configs told: the best, and as many others at random."""
        if len(scores) <= most:
            return np.arange(len(scores))
        order = np.argsort(-scores, kind="stable")
        best, others = order[: most // 2], order[most // 2 :]
        drawn = others[np.argsort(self._uniforms(len(others)))]
        return np.sort(np.concatenate([best, drawn[: most - len(best)]]))

    def _candidates(self, points: FloatArray, means: FloatArray, n: int) -> FloatArray:
        """Return about `n` points that are new, [n, dimensions]: random ones, and neighbours of those the model likes.

        Which these are follows from the random numbers and the order of the means alone, so that rounding, which
        differs between processors, rarely shows.
        """
        shape = n - n // 2, self.space.dimensions
        draw = self._uniforms
        random = draw(n // 2, self.space.dimensions)
        centres = np.argsort(-means, kind="stable")[:CENTRES]
        near = points[centres[(draw(shape[0]) * len(centres)).astype(np.intp)]]
        near = np.where(np.isnan(near), draw(*shape), near)
        numbers = reflected(near + STEP * 10 ** (-1.5 * draw(shape[0], 1)) * (draw(*shape) - draw(*shape)))
        drawn = np.where(draw(*shape) < NEW_CHOICE, draw(*shape), near)
        near = np.where(draw(*shape) < max(0.5, 2 / shape[1]), np.where(self._choice, drawn, numbers), near)
        snapped = self.space.snap(np.concatenate([random, near]))
        candidates: FloatArray = snapped[self._seen.new(snapped)]
        return candidates

    def _embedded(self, points: FloatArray, lengths: FloatArray) -> FloatArray:
        """Return points as the kernel sees them, [n, coordinates], divided by the length scales of their columns.

        A choice has a coordinate for each value, so that any two are as far from each other; an inactive number stands
        in the middle, and an inactive choice apart from all of its values.
        """
        scaled = [part / length for part, length in zip(self._parts(points), lengths, strict=True)]
        return np.concatenate(scaled, axis=1)

    def _parts(self, points: FloatArray) -> list[FloatArray]:
        """Return the coordinates [n, 1 or values] of each column of some points."""
        parts: list[FloatArray] = []
        for column, count in zip(points.T, self._values, strict=True):
            if count == 0:
                parts.append(np.nan_to_num(column, nan=0.5)[:, None])
                continue
            parts.append(one_hot(column, count) / np.sqrt(2))
        return parts

    def _squares(self, points: FloatArray) -> FloatArray:
        """Return the squared distances of some points in each column, [columns, n, n]."""
        return np.stack([((part[:, None] - part[None]) ** 2).sum(axis=-1) for part in self._parts(points)])

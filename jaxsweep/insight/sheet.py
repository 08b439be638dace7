"""Trials as columns: what a sweep varied, and what came of it, as arrays that statistics and pictures work on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.errors import RequestError, cut, printable, suggestion
from jaxsweep.insight.far import Side, tame, worse_end
from jaxsweep.spec.metrics import metric_of, sign

FloatArray = NDArray[np.float64]

LABEL = 24  # characters of a word in a picture
RATIO = 20.0  # of the largest to the smallest value, from which ratios matter rather than differences


@dataclass(frozen=True)
class Factor:
    """A hyperparameter that a sweep varied, over its trials.

    Attributes:
        name: of the hyperparameter.
        x: float [trials], its numbers, or the places of its values in `words`; NaN where it is absent: inactive by a
            condition of the space, or without an effect in that config.
        words: the values of one that has no numbers, as they are shown; else ().
        log: whether ratios of its values matter, rather than differences.
    """

    name: str
    x: FloatArray
    words: tuple[str, ...] = ()
    log: bool = False

    @property
    def present(self) -> NDArray[np.bool_]:
        """Where it is not absent, bool [trials]."""
        return ~np.isnan(self.x)

    def of(self, rows: NDArray[np.int64]) -> "Factor":
        """Return it over some of the trials."""
        return replace(self, x=self.x[rows])

    def shown(self, value: float) -> str:
        """Return one of its values in few characters."""
        return self.labels[int(value)] if self.words else f"{float(f'{value:.3g}'):g}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Its words in few characters."""
        return tuple(cut(word, LABEL) for word in self.words)


@dataclass(frozen=True)
class Sheet:
    """The trials of a sweep as columns.

    Attributes:
        ids: int [trials].
        factors: what was varied, by name, in the order of the table of hyperparameters.
        scores: float [trials], NaN of a trial without one.
        diverged: bool [trials].
        objective: the metric that `scores` are of.
        sign: 1 if larger scores are better, else -1.
        metrics: float [trials] by name.
    """

    ids: NDArray[np.int64]
    factors: Mapping[str, Factor]
    scores: FloatArray
    diverged: NDArray[np.bool_]
    objective: str
    sign: int
    metrics: Mapping[str, FloatArray]

    def factor(self, name: Any) -> Factor:
        """Return a factor by its name; RequestError if the sweep did not vary that."""
        if not isinstance(name, str) or name not in self.factors:
            raise RequestError(f"{name!r} was not varied in this sweep{suggestion(str(name), self.factors)}")
        return self.factors[name]

    def response(self, of: Any) -> FloatArray:
        """Return what is to be explained, float [trials]: the score, a metric, or 1 where a trial has diverged."""
        if of == "score":
            return self.scores
        if of == "diverged":
            return self.diverged.astype(np.float64)
        if not isinstance(of, str) or of not in self.metrics:
            raise RequestError(
                f"{of!r} is nothing that trials have{suggestion(str(of), ['score', 'diverged', *self.metrics])}"
            )
        return self.metrics[of]

    def way(self, metric: str) -> int:
        """Return 1 if larger values of a metric are better, -1 if smaller ones are, 0 if nobody knows."""
        if metric == self.objective:
            return self.sign
        return sign(metric) if metric_of(metric) is not None else 0

    def far_side(self, of: str = "score") -> Side:
        """Return at which end of a response values may lie so far that nothing else is seen beside them."""
        name = self.objective if of == "score" else of
        metric = metric_of(name)
        if of == "diverged" or (metric is not None and metric.bounded):
            return "none"
        return worse_end(self.way(name))

    def tamed(self, of: Any = "score") -> tuple[FloatArray, int]:
        """Return a response as means take it: what is far counts as less far; and how many trials were.

        RequestError as of `response`.
        """
        return tame(self.response(of), self.far_side(of))

    @property
    def best_first(self) -> NDArray[np.int64]:
        """The rows of trials with a score, the best first."""
        rows = np.flatnonzero(np.isfinite(self.scores))
        return rows[np.lexsort((self.ids[rows], -self.sign * self.scores[rows]))]


def factor(name: str, values: Sequence[Any], log: bool | None = None) -> Factor:
    """Return a factor of values, of which None is absent; numbers stay numbers if all of them are.

    `log` is whether ratios matter; by default the values tell: they do where all are positive and span RATIO.
    """
    known = [value for value in values if value is not None]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known):
        x = np.array([np.nan if value is None else float(value) for value in values])
        if log is None:
            log = bool(known) and min(known) > 0 and max(known) / min(known) >= RATIO
        return Factor(name, x, (), log)
    texts = [None if value is None else _word(value) for value in values]
    words = sorted({text for text in texts if text is not None})
    place = {word: float(i) for i, word in enumerate(words)}
    return Factor(name, np.array([np.nan if text is None else place[text] for text in texts]), tuple(words))


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return printable("-".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))

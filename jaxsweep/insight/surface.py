"""How scores follow one hyperparameter, or two together: means over bins of trials, with what they are worth."""

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from jaxsweep.errors import RequestError
from jaxsweep.insight.importance import importance
from jaxsweep.insight.sheet import Factor, FloatArray, Sheet
from jaxsweep.insight.variance import levels_of

if TYPE_CHECKING:
    import pandas as pd

SLICE, SIDE = 16, 8  # most bins of a hyperparameter, and of each of two
EACH = 8  # trials in a bin of a hyperparameter, or more: the mean of few follows luck


@dataclass(frozen=True)
class Slice:
    """How a response follows one hyperparameter.

    Attributes:
        factor: the hyperparameter.
        at: float [bins], a typical value of each bin, of one with words their places.
        trials: int [bins].
        mean: float [bins] of the response; `low` and `high` are its 95 % interval, NaN of fewer than 3 trials.
    """

    factor: Factor
    at: FloatArray
    trials: NDArray[np.int64]
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def slice_of(factor: Factor, response: FloatArray, most: int = SLICE) -> Slice:
    """Return how a response, float [trials], follows a hyperparameter; trials without either say nothing."""
    rows = np.flatnonzero(np.isfinite(response) & factor.present)
    if not len(rows):
        empty = np.zeros(0)
        return Slice(factor, empty, np.zeros(0, np.int64), empty, empty, empty)
    codes, at = levels_of(factor.of(rows), most, EACH)
    values = [response[rows[codes == level]] for level in range(len(at))]
    counts = np.array([len(each) for each in values])
    mean = np.array([each.mean() for each in values])
    half = np.array([
        stats.t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / len(each) ** 0.5 if len(each) > 2 else np.nan
        for each in values
    ])  # fmt: skip
    return Slice(factor, at, counts, mean, mean - half, mean + half)


@dataclass(frozen=True, repr=False)
class Interaction:
    """How a response follows two hyperparameters together.

    Attributes:
        names: of the two.
        rows: float [bins of the first], typical values; `columns` likewise of the second.
        mean: float [rows, columns], NaN where there is no trial.
        trials: int [rows, columns].
        share: of the variance of the response, beyond what each of the two does by itself.
        low: with `high` its 95 % interval.
    """

    names: tuple[str, str]
    of: str
    factors: tuple[Factor, Factor]
    rows: FloatArray
    columns: FloatArray
    mean: FloatArray
    trials: NDArray[np.int64]
    share: float
    low: float
    high: float

    def to_pandas(self) -> "pd.DataFrame":
        """Return the means as a frame: a row for each bin of the first hyperparameter, a column of the second."""
        import pandas as pd

        a, b = self.factors
        return pd.DataFrame(
            self.mean,
            pd.Index([a.shown(value) for value in self.rows], name=a.name),
            pd.Index([b.shown(value) for value in self.columns], name=b.name),
        )

    def told(self) -> str:
        """Return in a sentence how much the two do together."""
        pair, interval = " x ".join(self.names), f"{self.low:.1%} to {self.high:.1%}"
        if self.low <= 0:
            said = f"{self.share:.1%} of the variance of {self.of}, {interval}"
            return f"{pair}: no interaction can be told from luck ({said})"
        return f"{pair} accounts for {self.share:.1%} ({interval}) of the variance of {self.of}, beyond each by itself"

    def __repr__(self) -> str:
        return f"Interaction({self.told()})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.told())}</p>{self.to_pandas().to_html(float_format='{:.4g}'.format)}"


def grid_of(
    a: Factor, b: Factor, response: FloatArray, most: int = SIDE
) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.int64]]:
    """Return typical values of the bins of two hyperparameters, and the mean response and trials of each pair."""
    rows = np.flatnonzero(np.isfinite(response) & a.present & b.present)
    if not len(rows):
        return np.zeros(0), np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0), np.int64)
    (down, at_a), (across, at_b) = levels_of(a.of(rows), most), levels_of(b.of(rows), most)
    cells = down * len(at_b) + across
    counts = np.bincount(cells, minlength=len(at_a) * len(at_b)).reshape(len(at_a), len(at_b))
    sums = np.bincount(cells, response[rows], minlength=counts.size).reshape(counts.shape)
    mean = np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    return at_a, at_b, mean, counts


def interaction(sheet: Sheet, a: Any, b: Any, of: Any = "score") -> Interaction:
    """Return how a response follows two hyperparameters together; far values count as less far in its means.

    Raises:
        RequestError: one of them was not varied, both are the same, or as `importance.importance`.
    """
    first, second, (response, _) = sheet.factor(a), sheet.factor(b), sheet.tamed(of)
    if a == b:
        raise RequestError(f"interaction({a!r}, {b!r}): the two must be different hyperparameters")
    pair = tuple(name for name in sheet.factors if name in (a, b))
    known = next((each for each in importance(sheet, of).shares if each.names == pair), None)
    share = (0.0, 0.0, 0.0) if known is None else (known.share, known.low, known.high)
    return Interaction((a, b), of, (first, second), *grid_of(first, second, response), *share)

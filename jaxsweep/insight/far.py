"""What lies so far from all other values that a picture ends before it, and that a mean takes it for less far.

A training that went wrong without diverging may have a loss of 10^30, beside which nothing else is seen. Only the bad
end of a response has such values: the best ones, which few trials may have where a scheduler stopped the others early,
are what a sweep was for. Nothing is far that has bounds, as an accuracy has.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Side = Literal["low", "high", "both", "none"]  # at which values may be far

FAR = 3.0  # interquartile ranges beyond the quartiles, from where a value counts as if it were there (Tukey, 1977)


def worse_end(sign: int) -> Side:
    """Return the bad end of values of which larger ones are better (1), or smaller ones (-1); both of 0, unknown."""
    return "low" if sign > 0 else "high" if sign < 0 else "both"


def fences(values: FloatArray, side: Side) -> tuple[float, float]:
    """Return between which numbers finite values are not far, infinite at an end where none is.

    Where more than half of the values are equal nothing says what is far.
    """
    low, high = np.quantile(values, [0.25, 0.75]) if len(values) else (0.0, 0.0)
    room = FAR * (high - low)
    if not room:
        return -np.inf, np.inf
    return (
        float(low - room) if side in ("low", "both") else -np.inf,
        float(high + room) if side in ("high", "both") else np.inf,
    )


def tame(values: FloatArray, side: Side) -> tuple[FloatArray, int]:
    """Return values of which far ones lie at the fence, NaN for those that are not finite, and how many were far."""
    finite = np.isfinite(values)
    low, high = fences(values[finite], side)
    near = np.where(finite, np.clip(values, low, high), np.nan)
    return near, int((finite & (near != values)).sum())

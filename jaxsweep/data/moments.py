"""Mean and deviation, by which numbers are standardized. What is constant up to rounding counts as constant."""

import math

import numpy as np
from numpy.typing import NDArray


def moments(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and `deviation`; the mean of a constant is exactly it."""
    low, high = float(values.min()), float(values.max())
    return (low if low == high else float(values.mean())), deviation(values)


def deviation(values: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> float:
    """Return the (population) standard deviation of values [...], exactly 0 where they are constant up to rounding.

    With weights of the same shape it is the weighted one, of the values whose weights are not 0.

    They are where the variance is no larger than the error that computing it in two passes may make (Chan, Golub and
    LeVeque, 1983), the rule of scikit-learn's StandardScaler: shares that sum to 1 up to rounding do not vary.
    """
    if weights is not None:
        values, weights = values[weights > 0], weights[weights > 0]
    if not values.size:
        return 0.0
    if weights is None:
        mean, variance = float(values.mean()), float(values.var())
    else:
        mean = float(np.average(values, weights=weights))
        variance = float(np.average((values - mean) ** 2, weights=weights))
    error = values.size * float(np.finfo(np.float64).eps)
    if variance <= error * variance + (error * mean) ** 2:
        return 0.0
    found = math.sqrt(variance)
    return found if found > 1e-150 else 0.0  # what is divided by less overflows

"""Weights of rows: how much each counts in losses and metrics, and the weights by which classes count alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.cells import is_missing, parse_number
from jaxsweep.data.columns import LARGEST
from jaxsweep.errors import RequestError, shown

Floats = NDArray[np.float64]


def row_weights(weights: Any, rows: int, name: str, what: str) -> Floats:
    """Return the weights of rows, float64 [rows].

    Args:
        weights: an array, a list or a series of numbers >= 0, at least one of them > 0.
        rows: how many there must be.
        name: what errors call the weights.
        what: what errors call the rows.

    Raises:
        RequestError: another number of weights than rows, or a weight that is missing, no number, negative or infinite.
    """
    if isinstance(weights, (str, bytes)) or not hasattr(weights, "__len__"):
        raise RequestError(f"{name} = {shown(weights)} is not legal: it must have one number >= 0 for each row")
    shape = getattr(weights, "shape", (len(weights),))
    if len(shape) != 1:
        raise RequestError(f"{name} has shape {tuple(shape)}: it must be [rows], one weight for each row")
    if len(weights) != rows:
        raise RequestError(f"{name} has {len(weights)} weights but {what} has {rows} rows: they must be equal")
    plain = isinstance(weights, np.ndarray) and weights.dtype.kind in "biuf"
    found = weights.astype(np.float64) if plain else np.array([_number(cell) for cell in weights])
    bad = np.flatnonzero(~((found >= 0) & (found <= LARGEST)))
    if len(bad):
        cell = list(weights)[bad[0]]
        what = "no value" if is_missing(cell) else f"the value {str(cell)[:20]!r}"
        raise RequestError(
            f"{name} has {what} in row {bad[0]} (from 0): every weight must be a finite number >= 0, no larger than "
            "1e150; 0 leaves a row out of losses and metrics"
        )
    if not found.any():
        raise RequestError(f"{name} has no weight > 0, all are zero: at least one row must count")
    return found


def _number(cell: Any) -> float:
    """Return a cell as a number, NaN for what is none."""
    if isinstance(cell, (bool, int, float, np.number, np.bool_)):
        return float(cell)
    value = None if cell is None or isinstance(cell, str) else parse_number(cell)  # a Decimal or a Fraction
    return float("nan") if value is None else value


def normalized(weights: Floats) -> Floats:
    """Return weights [rows] divided by their mean: losses and metrics are the same, and float32 holds them all."""
    return np.asarray(weights / np.mean(weights))


def check_parts(weights: Floats, parts: Sequence[NDArray[Any]], part: str, name: str) -> None:
    """Raise RequestError if all rows of a part, for some split, weigh nothing.

    Args:
        weights: of all rows, [rows].
        parts: for each split the numbers of the part's rows; without any there is nothing to weigh.
        part: what errors call it, such as `validation`.
        name: what errors call the data.
    """
    for split, rows in enumerate(parts):
        if len(rows) and not weights[rows].any():
            where = f"of fold {split} " if len(parts) > 1 else ""
            raise RequestError(
                f"the {part} rows {where}of {name} have weights of 0 alone: at least one must be > 0; use another seed "
                "or other weights"
            )


def balanced(codes: NDArray[Any], classes: int, weights: Floats | None = None) -> Floats:
    """Return the weight of each class, [classes], by which all of them weigh alike: n / (classes * count).

    It is scikit-learn's `compute_class_weight("balanced")`; with weights, n and count are their sums. A class that
    weighs nothing has weight 0, which is as good as any.

    Args:
        codes: class codes of the training rows, [rows].
        classes: how many there are.
        weights: of the same rows, [rows].
    """
    counts = np.bincount(codes, weights=weights, minlength=classes).astype(np.float64)
    return np.asarray(np.divide(counts.sum(), classes * counts, out=np.zeros(classes), where=counts > 0))

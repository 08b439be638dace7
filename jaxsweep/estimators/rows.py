"""What `fit` and `predict` are given, checked as scikit-learn's own estimators check it, and handed over as columns."""

import math
from dataclasses import dataclass, replace
from datetime import date
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, column_or_1d, validate_data

from jaxsweep.data import Dataset
from jaxsweep.data.assign import check_folds
from jaxsweep.data.cells import is_missing
from jaxsweep.data.prepared import LARGEST_BYTES
from jaxsweep.data.weights import row_weights
from jaxsweep.errors import RequestError, shown

_CELLS = (str, Number, np.bool_, date, np.datetime64)


@dataclass(frozen=True)
class Rows:
    """The rows that a fit trains and validates on.

    Attributes:
        X: a pandas frame, or an array [rows, features].
        y: labels [rows]; of regression numbers [rows] or [rows, targets].
        classes: the sorted labels; None for regression.
        dataset: the same, as a sweep takes it.
        kept: their numbers among the rows that `fit` was given, [rows].
        given: how many those are.
    """

    X: Any
    y: NDArray[Any]
    classes: NDArray[Any] | None
    dataset: Dataset
    kept: NDArray[np.int64]
    given: int

    def folds(self, folds: Any) -> Any:
        """Return the folds of the estimator for these rows: pairs name rows that `fit` was given, some of which may
        have been left out.
        """
        if hasattr(folds, "split"):
            return folds
        pairs = check_folds(folds)
        if isinstance(pairs, int) or len(self.kept) == self.given:
            return pairs
        place = np.full(self.given, -1)
        place[self.kept] = np.arange(len(self.kept))
        last = max(row for pair in pairs for part in pair for row in part)
        if last >= self.given:
            raise RequestError(f"folds has row {last}, but X has the rows 0 to {self.given - 1}")
        return tuple(tuple(tuple(row for row in place[list(part)].tolist() if row >= 0) for part in p) for p in pairs)

    def of(self, numbers: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
        """Return inputs and targets of rows given by their numbers in `fit`'s."""
        at = np.searchsorted(self.kept, numbers)
        return (self.X.iloc[at] if hasattr(self.X, "iloc") else self.X[at]), self.y[at]


def rows_of(estimator: Any, X: Any, y: Any, weights: Any, groups: Any, image_shape: Any) -> Rows:
    """Return the rows that an estimator is fitted with, all of weight > 0; it learns names and number of columns.

    Rows that weigh 0 are left out before anything is split or standardized, so that they are as good as absent; equal
    weights are as good as none.

    Raises:
        RequestError, ValueError, TypeError: as scikit-learn's estimators refuse what cannot be used.
    """
    if y is None:
        raise RequestError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None: give one value for each row"
        )
    X = inputs_of(estimator, X, fit=True)
    labels = _labels(y) if is_classifier(estimator) else _numbers(estimator, y)
    if len(X) != len(labels):
        raise RequestError(f"X has {len(X)} rows but y has {len(labels)}: they must be equal")
    kept, given = np.arange(len(X)), len(X)
    if weights is not None:
        scalar = not hasattr(weights, "__len__") and not hasattr(weights, "__array__")
        counts = row_weights(weights if scalar else np.asarray(weights), given, "sample_weight", "X")
        kept = np.flatnonzero(counts > 0)
        weights = None if (counts[kept] == counts[kept[0]]).all() else counts[kept]
    if len(kept) < given:
        X, labels = (X.iloc[kept] if hasattr(X, "iloc") else X[kept]), labels[kept]
        if groups is not None and np.shape(groups) == (given,):  # else they are refused below
            groups = np.asarray(groups)[kept]
    classes, target = None, labels
    if is_classifier(estimator):
        classes, target = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise RequestError(f"y has only one class, {shown(classes.tolist()[0])}: at least two are needed")
        _check_counts(classes, np.bincount(target))
    dataset = Dataset.from_arrays(
        X, target, task="regression" if classes is None else "classification", groups=groups, weights=weights, name="X",
        image_shape=image_shape,
    )  # fmt: skip
    if classes is not None:  # as they are, where a table's would be stripped words, of which some count as missing
        dataset = replace(dataset, classes=tuple(classes.tolist()))
    if len(kept) < given:
        dataset = replace(dataset, numbers=kept)
    return Rows(X, labels, classes, dataset, kept, given)


def inputs_of(estimator: Any, X: Any, fit: bool = False) -> Any:
    """Return X as a pandas frame, or as an array [rows, features], checked against what the estimator was fitted with.

    Frames may hold text, categories, dates and missing values. What came without names has none, whatever its type;
    what was fitted with names has them. Sparse matrices become dense, since standardized inputs are.

    Args:
        estimator: which is fitted, or was.
        X: what it was given.
        fit: whether it learns from X which columns there are.
    """
    if hasattr(X, "iloc") and getattr(X, "ndim", 0) == 2:
        validate_data(estimator, X, reset=fit, skip_check_array=True)
        named = hasattr(estimator, "feature_names_in_")
        return X if named else X.set_axis(range(X.shape[1]), axis=1)
    is_sparse = bool(sparse.issparse(X))
    if is_sparse and (size := 8 * math.prod(X.shape)) > LARGEST_BYTES:
        raise RequestError(
            f"X is sparse and would take {size / 2**30:.0f} GiB as the dense array that standardized inputs are: leave "
            f"out columns, or rows, to stay under {LARGEST_BYTES // 2**30} GiB"
        )
    X = validate_data(
        estimator, X, reset=fit, dtype=None, accept_sparse="csr", ensure_all_finite="allow-nan",
        ensure_min_samples=2 if fit else 1,
    )  # fmt: skip
    if is_sparse:
        X = X.toarray()
    if X.dtype.kind == "O":
        _check_cells(X)
    if hasattr(estimator, "feature_names_in_"):
        import pandas as pd

        return pd.DataFrame(X, columns=estimator.feature_names_in_)
    return X


def _check_cells(X: NDArray[Any]) -> None:
    """Raise TypeError, as NumPy would of an array of numbers, for a cell that is neither a number nor text."""
    for (row, column), cell in np.ndenumerate(X):
        if not isinstance(cell, _CELLS) and not is_missing(cell):
            raise TypeError(
                f"X holds a {type(cell).__name__}, {shown(cell)}, in row {row}, column {column} (from 0): each cell of "
                "this argument must be a string or a number"
            )


def _labels(y: Any) -> NDArray[Any]:
    """Return the labels of rows, [rows]."""
    labels: NDArray[Any] = column_or_1d(y, warn=True)
    if labels.dtype.kind == "O":  # a word is never missing, whatever it says
        absent = np.array([not isinstance(label, str) and is_missing(label) for label in labels], dtype=bool)
    else:
        absent = ~np.isfinite(labels) if labels.dtype.kind == "f" else np.zeros(len(labels), dtype=bool)
    if absent.any():
        row = int(absent.argmax())
        raise RequestError(f"y has {shown(labels[row])} in row {row} (from 0), which is no label: every row needs one")
    check_classification_targets(labels)
    return labels


def _check_counts(classes: NDArray[Any], counts: NDArray[np.int64]) -> None:
    """Raise RequestError for a class of a single row, in words of an estimator; a sweep's are for tables."""
    if (rare := np.flatnonzero(counts < 2)).size:
        label, others = shown(classes.tolist()[rare[0]]), f", and so have {rare.size - 1} more" * (rare.size > 1)
        raise RequestError(
            f"class {label} of y has 1 row{others}: each class needs at least 2, one to train and one to validate on; "
            "leave such rows out, or join classes"
        )


def _numbers(estimator: Any, y: Any) -> NDArray[np.float64]:
    """Return the targets of rows as numbers, [rows] or [rows, targets]."""
    numbers: NDArray[Any] = check_array(y, ensure_2d=False, dtype="numeric", input_name="y", estimator=estimator)
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        numbers = column_or_1d(numbers, warn=True)
    return numbers.astype(np.float64)


def training_rows(rows: Rows, folds: Any, fraction: float) -> int:
    """Return about how many rows each network trains on, by which the default space chooses its batches.

    Args:
        rows: all of them.
        folds: as `Rows.folds` gives them.
        fraction: of the rows that validate, where there are no folds.
    """
    if isinstance(folds, tuple):
        return min(len(train) for train, _ in folds)
    number = folds if isinstance(folds, int) else 0
    return int(rows.dataset.rows * (1 - 1 / number if number > 1 else 1 - fraction))

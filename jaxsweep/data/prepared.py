"""A dataset, split and standardized: what training runs on. A pure function of (data, split, folds, seed)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.assign import assign, check_folds
from jaxsweep.data.columns import Column
from jaxsweep.data.dataset import Dataset
from jaxsweep.data.labels import Label, Task
from jaxsweep.data.moments import deviation
from jaxsweep.data.options import NEW_FILES
from jaxsweep.data.preprocess import Preprocessor
from jaxsweep.data.splits import DEFAULT_SPLIT
from jaxsweep.data.start import Start
from jaxsweep.data.weights import balanced, check_parts, normalized
from jaxsweep.errors import RequestError, shown

LARGEST_BYTES = 8 * 2**30
EVERY = slice(None)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Data ready for training. There are max(folds, 1) splits; `rows` counts all rows that are not test rows.

    Attributes:
        name: the dataset's name.
        task: classification or regression.
        classes: labels by class code; None for regression.
        n_outputs: the number of classes; of targets for regression.
        feature_names: one name a feature.
        image_shape: height and width where the features are pixels.
        x: float64 [splits, rows, features], standardized by each split's own training part.
        y: int32 class codes [splits, rows], or float64 [splits, rows] standardized targets; of several targets
            [splits, rows, targets].
        train: for each split the int32 indices of its training rows, ascending.
        val: for each split the int32 indices of its validation rows, ascending.
        x_test: float64 [splits, test rows, features]; there may be 0 test rows.
        y_test: as `y`, [splits, test rows] or [splits, test rows, targets].
        target_mean, target_scale: float64 [splits] or [splits, targets]; standardized y * target_scale + target_mean is
            the target.
        preprocessors: one for each split.
        fingerprint: that of the dataset.
        named: whether the dataset's table names its columns.
        table: what was said about its file, and holds for new ones of its kind.
        train_variance, val_variance, test_variance: float64 [splits] or [splits, targets], the (population) variance of
            the standardized targets of each split's part, by their weights; exactly 0 where they are constant up to
            rounding, where there are no rows, and for classification.
        numbers, test_numbers: int64 [rows] and [test rows], the number of each row, from 0, in the table that it came
            from: the dataset's own rows, or the validation or test part that it brought.
        weights: float64 [rows], with a mean of 1; None where all rows count alike.
        test_weights: the same of the test rows.
        start: the weights with which networks start, if these are a trained one's.
    """

    name: str
    task: Task
    classes: tuple[Label, ...] | None
    n_outputs: int
    feature_names: tuple[str, ...]
    image_shape: tuple[int, int] | None
    x: NDArray[np.float64]
    y: NDArray[Any]
    train: tuple[NDArray[np.int32], ...]
    val: tuple[NDArray[np.int32], ...]
    x_test: NDArray[np.float64]
    y_test: NDArray[Any]
    target_mean: NDArray[np.float64]
    target_scale: NDArray[np.float64]
    preprocessors: tuple[Preprocessor, ...]
    fingerprint: str
    named: bool = True
    table: Mapping[str, Any] = field(default_factory=dict)
    train_variance: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    val_variance: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    test_variance: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    test_numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    weights: NDArray[np.float64] | None = None
    test_weights: NDArray[np.float64] | None = None
    start: Start | None = None

    def train_weights(
        self, split: int, class_weight: str = "none", some: NDArray[np.int32] | slice = EVERY
    ) -> NDArray[np.float64] | None:
        """Return how much each training row of a split counts in the training loss, [training rows]; None: all alike.

        `class_weight` is the hyperparameter; balanced counts the split's own training rows. `some` are the places of
        those that a network sees, where it does not see all.
        """
        rows = self.train[split][some]
        own = None if self.weights is None else self.weights[rows]
        if class_weight == "none":
            return own
        of_rows: NDArray[np.float64] = self.class_weights(split, some)[self.y[split][rows]]
        return of_rows if own is None else np.asarray(own * of_rows)

    def variance_of(self, split: int, some: NDArray[np.int32] | slice) -> NDArray[np.float64]:
        """Return the variance of the standardized targets, [] or [targets], of some of a split's training rows."""
        if self.task == "classification":
            return np.zeros(())
        targets = self.y[split][self.train[split][some]]
        weights = self.train_weights(split, some=some)
        return np.array([deviation(each, weights) ** 2 for each in np.atleast_2d(targets.T)]).reshape(targets.shape[1:])

    def class_weights(self, split: int, some: NDArray[np.int32] | slice = EVERY) -> NDArray[np.float64]:
        """Return the weights, [classes], by which the classes weigh alike among (some of) a split's training rows."""
        return balanced(self.y[split][self.train[split][some]], self.n_outputs, self.train_weights(split, some=some))


def prepare(data: Dataset, split: Sequence[float] = DEFAULT_SPLIT, folds: Any = 0, seed: int = 0) -> Prepared:
    """Return the data split and standardized.

    A validation or test part that the dataset brings is used as it is; one that it does not bring is split off the
    dataset's rows by its fraction, and the other rows train. Classes are stratified.

    Args:
        data: the raw data.
        split: fractions of training, validation and test rows; the last may be 0.
        folds: k > 1 for k-fold cross-validation in place of the validation part, where the test part stays apart; or
            pairs (training rows, validation rows), whose other rows are the test part.
        seed: decides which rows go where; 0 is a seed like any other.

    Raises:
        RequestError: illegal arguments, or fewer rows (of a class) than the split needs.
    """
    found = assign(data, split, check_folds(folds), seed)
    pool = np.unique(np.concatenate([*found.train, *found.val]))
    columns, target = _rows_of(data, pool)
    numbers = pool if data.numbers is None else data.numbers[pool]
    train = [np.searchsorted(pool, rows) for rows in found.train]
    val = [np.searchsorted(pool, rows) for rows in found.val]
    if data.validation is not None:
        val = [np.arange(len(pool), len(pool) + data.validation.rows)]
        pairs = zip(columns, data.validation.inputs, strict=True)
        columns = tuple(Column(a.name, a.kind, np.concatenate([a.values, b.values]), a.reading) for a, b in pairs)
        target = np.concatenate([target, data.validation.target])
        numbers = np.concatenate([numbers, np.arange(data.validation.rows)])
    if data.test is None:
        test_columns, test_target = _rows_of(data, found.test)
        test_numbers = found.test if data.numbers is None else data.numbers[found.test]
    else:
        test_columns, test_target = data.test.inputs, data.test.target
        test_numbers = np.arange(len(test_target))
    weights, test_weights = _weights_of(data, pool, found.test)
    for part, rows in (("training", train), ("validation", val)):
        if weights is not None:
            check_parts(weights, rows, part, data.name)
    if test_weights is not None:
        check_parts(test_weights, [np.arange(len(test_weights))], "test", data.name)
    prepared = _standardized(data, columns, target, train, val, test_columns, test_target, weights, test_weights)
    return replace(prepared, numbers=numbers, test_numbers=test_numbers)


def prepare_whole(data: Dataset) -> Prepared:
    """Return the data with all rows, those of its own validation and test parts too, for training and validation both.

    Everything is fitted on all of them: what is trained on this is to be used, and no rows are left to judge it by.
    """
    parts = [part for part in (data.validation, data.test) if part is not None]
    columns = tuple(
        replace(own, values=np.concatenate([own.values, *(part.inputs[place].values for part in parts)]))
        for place, own in enumerate(data.inputs)
    )
    target = np.concatenate([data.target, *(part.target for part in parts)])
    every, none = np.arange(len(target)), np.arange(0)
    nothing = tuple(column.take(none) for column in columns)
    weights = None
    if data.weights is not None or any(part.weights is not None for part in parts):
        pieces = [(data.weights, data.rows), *((part.weights, part.rows) for part in parts)]
        weights = normalized(np.concatenate([np.ones(rows) if own is None else own for own, rows in pieces]))
    return _standardized(data, columns, target, [every], [every], nothing, target[none], weights, None)


def _rows_of(data: Dataset, rows: NDArray[np.int64]) -> tuple[tuple[Column, ...], NDArray[Any]]:
    return tuple(column.take(rows) for column in data.inputs), data.target[rows]


def _weights_of(
    data: Dataset, pool: NDArray[np.int64], test: NDArray[np.int64]
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return the weights of the rows that train or validate, and of those that test, each part's with a mean of 1."""
    parts = (data.validation, data.test)
    if data.weights is None and all(part is None or part.weights is None for part in parts):
        return None, None
    own = np.ones(data.rows) if data.weights is None else data.weights
    extra = [None if part is None else np.ones(part.rows) if part.weights is None else part.weights for part in parts]
    weights = normalized(own[pool]) if own[pool].any() else own[pool]
    if extra[0] is not None:
        weights = np.concatenate([weights, normalized(extra[0])])
    tested = own[test] if extra[1] is None else extra[1]
    return weights, normalized(tested) if tested.any() else tested


def _standardized(
    data: Dataset,
    columns: tuple[Column, ...],
    target: NDArray[Any],
    train: Sequence[NDArray[np.int64]],
    val: Sequence[NDArray[np.int64]],
    test_columns: tuple[Column, ...],
    test_target: NDArray[Any],
    weights: NDArray[np.float64] | None,
    test_weights: NDArray[np.float64] | None,
) -> Prepared:
    regression = data.classes is None
    every = np.arange(len(target))
    preprocessors = tuple(
        Preprocessor.fit(
            columns,
            rows,
            pool=every,
            category_rows=every if len(train) > 1 else None,  # all folds must have the same features
            target=target if regression else None,
            classes=data.classes,
            image=data.image_shape is not None,
            most_categories=data.most_categories,
            target_names=data.target_names,
        )
        for rows in train
    )
    names = preprocessors[0].feature_names
    _check_size(data, len(names), len(train) * (len(target) + len(test_target)))

    def features(own: Sequence[Column]) -> NDArray[np.float64]:
        x = np.zeros((len(preprocessors), len(own[0].values), len(names)))  # once: it may be large
        for preprocessor, out in zip(preprocessors, x, strict=True):
            preprocessor.transform(own, out)
        return x

    n_targets = len(data.target_names) or 1
    target_scale = np.array([preprocessor.target_units[1] for preprocessor in preprocessors])

    def encoded(values: NDArray[Any]) -> NDArray[Any]:
        if regression:
            return np.stack([preprocessor.standardize_target(values) for preprocessor in preprocessors])
        return np.tile(values.astype(np.int32), (len(preprocessors), 1))

    def variance(values: NDArray[Any], parts: Sequence[Any], weights: NDArray[np.float64] | None) -> Any:
        if not regression:
            return np.zeros(len(preprocessors))
        spread = []
        for rows in parts:
            weight = None if weights is None else weights[rows]
            columns = values[rows].reshape(-1, n_targets).T
            spread.append([deviation(column, weight) for column in columns])
        pairs = zip(np.ravel(spread).tolist(), target_scale.ravel().tolist(), strict=True)
        return np.array([(each / scale) ** 2 for each, scale in pairs]).reshape(target_scale.shape)

    return Prepared(
        name=data.name,
        task=data.task,
        classes=data.classes,
        n_outputs=len(data.classes) if data.classes is not None else n_targets,
        feature_names=names,
        image_shape=data.image_shape,
        x=features(columns),
        y=encoded(target),
        train=tuple(rows.astype(np.int32) for rows in train),
        val=tuple(rows.astype(np.int32) for rows in val),
        x_test=features(test_columns),
        y_test=encoded(test_target),
        target_mean=np.array([preprocessor.target_units[0] for preprocessor in preprocessors]),
        target_scale=target_scale,
        preprocessors=preprocessors,
        fingerprint=data.fingerprint,
        named=data.named,
        table={key: value for key, value in data.options.said.items() if key in NEW_FILES},
        train_variance=variance(target, train, weights),
        val_variance=variance(target, val, weights),
        test_variance=variance(test_target, [slice(None)] * len(train), test_weights),
        weights=weights,
        test_weights=test_weights,
    )


def _check_size(data: Dataset, features: int, rows: int) -> None:
    """Refuse what would not fit into memory, naming the column to blame."""
    size = 8 * features * rows
    if size > LARGEST_BYTES:
        kinds = {c.name: len(set(c.values)) if c.kind == "category" else 1 for c in data.inputs}
        worst = max(kinds, key=lambda name: kinds[name])
        raise RequestError(
            f"{data.name} takes {size / 2**30:.0f} GiB with its {features} features (column {shown(worst)} alone has "
            f"{kinds[worst]} categories): leave out columns, or rows, to stay under {LARGEST_BYTES // 2**30} GiB"
        )

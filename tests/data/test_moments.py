"""What is constant up to rounding counts as constant: in inputs, pixels and targets, by scikit-learn's rule."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from jaxsweep.data import Dataset, Prepared, prepare
from jaxsweep.data.inputs import Input, NumberInput
from jaxsweep.data.moments import deviation

ROWS = 300
rng = np.random.default_rng(0)
SHARES = rng.random((ROWS, 7))
TOTAL = (SHARES / SHARES.sum(axis=1, keepdims=True)).sum(axis=1)
BESIDE = np.where(np.arange(ROWS) % 2, 0.1 + 0.2, 0.3)  # 0.30000000000000004 and 0.3
LABELS = [0, 1] * (ROWS // 2)
CONSTANT = {
    "shares that sum to 1": TOTAL,
    "0.3 beside 0.1 + 0.2": BESIDE,
    "large, up to rounding": 1e12 * TOTAL,
    "small, up to rounding": -1e-12 * TOTAL,
    "exactly": np.full(ROWS, 0.1),
    "zeros": np.zeros(ROWS),
}
VARYING = {
    "ordinary": rng.normal(5, 3, ROWS),
    "small": rng.normal(0, 1e-12, ROWS),
    "large and hardly varying": 1e6 + rng.normal(0, 1e-3, ROWS),
    "one row differs": np.where(np.arange(ROWS) == 7, 1e-3, 0.0),
    "shares": SHARES[:, 0],
}


def all_rows_train(column: np.ndarray) -> Prepared:
    """Return the column, with one beside it, such that all rows train and twice as far ones validate."""
    x = np.stack([column, np.arange(ROWS)], axis=1)
    return prepare(Dataset.from_arrays(x, LABELS, X_val=2 * x[:9], y_val=LABELS[:9]), (1, 0, 0))


def number(entry: Input) -> NumberInput:
    """Return the entry of a column of numbers."""
    assert isinstance(entry, NumberInput)
    return entry


@pytest.mark.parametrize("column", [*CONSTANT.values(), *VARYING.values()], ids=[*CONSTANT, *VARYING])
def test_scales_are_those_of_scikit_learn(column: np.ndarray) -> None:
    assert TOTAL.std() > 0
    prepared = all_rows_train(column)
    entry = number(prepared.preprocessors[0].inputs[0])
    theirs = StandardScaler().fit(column[:, None])
    assert entry.scale == pytest.approx(theirs.scale_[0], rel=1e-9)
    assert entry.mean == pytest.approx(theirs.mean_[0], rel=1e-9, abs=1e-20)
    ours = prepared.x[0, prepared.train[0], 0]
    left = max(1e-6, 1e-15 * np.abs(column).max())  # rounding errors of a constant, which are 0 here
    np.testing.assert_allclose(ours, theirs.transform(column[:, None])[:, 0], rtol=0, atol=left)


@pytest.mark.parametrize("name", CONSTANT)
def test_a_constant_is_zero_in_every_row(name: str) -> None:
    """No rounding errors are left for an optimizer to follow, and no untrained weight sees a row that is different."""
    prepared = all_rows_train(CONSTANT[name])
    assert prepared.preprocessors[0].unseen == (0,)
    assert not prepared.x[0, :, 0].any()
    assert not prepared.preprocessors[0].transform_table([[1e9, 0]])[:, 0].any()


@pytest.mark.parametrize("name", VARYING)
def test_what_varies_keeps_its_deviation(name: str) -> None:
    prepared = all_rows_train(VARYING[name])
    assert prepared.preprocessors[0].unseen == ()
    assert prepared.x[0, prepared.train[0], 0].std() == pytest.approx(1)
    assert prepared.x[0, prepared.val[0], 0].any()


def test_a_constant_with_missing_values_is_a_constant() -> None:
    column = TOTAL.copy()
    column[::5] = np.nan
    prepared = all_rows_train(column)
    assert number(prepared.preprocessors[0].inputs[0]).scale == 1
    assert prepared.feature_names[:2] == ("0", "0 missing")
    assert prepared.preprocessors[0].unseen == (0,)
    assert prepared.x[0, :, 1].sum() == np.isnan(column).sum() + 2


def test_pixels_that_are_constant_up_to_rounding() -> None:
    pixels = np.stack([TOTAL, BESIDE + 0.7, TOTAL, TOTAL], axis=1)
    entries = prepare(Dataset.from_arrays(pixels, LABELS, image_shape=(2, 2))).preprocessors[0].inputs
    assert {number(entry).scale for entry in entries} == {1.0}


def test_a_constant_pixel_among_others_stays() -> None:
    """It may be far from the mean of all, and augmentation moves its neighbours to its place."""
    pixels = np.stack([np.zeros(ROWS), *SHARES[:, :3].T], axis=1)
    prepared = prepare(Dataset.from_arrays(pixels, LABELS, image_shape=(2, 2)))
    assert prepared.preprocessors[0].unseen == ()
    assert np.all(prepared.x[0, :, 0] < -1)


def test_a_target_that_is_constant_up_to_rounding() -> None:
    y = TOTAL.copy()
    y[-30:] = np.arange(30)
    data = Dataset.from_arrays(SHARES[:-30], y[:-30], X_val=SHARES[-30:], y_val=y[-30:], task="regression")
    prepared = prepare(data, (1, 0, 0))
    assert prepared.target_scale[0] == 1
    assert np.abs(prepared.y).max() < 30
    assert prepared.train_variance.tolist() == [0.0]
    assert prepared.val_variance[0] == pytest.approx(np.arange(30).var())


# --- the variance of the targets -------------------------------------------------------------------------------------


def test_variances_are_those_of_the_standardized_targets() -> None:
    prepared = prepare(Dataset.from_arrays(SHARES, 1e6 + 40 * SHARES[:, 1]), (0.8, 0, 0.2), folds=3)
    for name in ("train_variance", "val_variance", "test_variance"):
        assert getattr(prepared, name).dtype == np.float64
        assert getattr(prepared, name).shape == (3,)
    for split in range(3):
        y = prepared.y[split]
        assert prepared.train_variance[split] == pytest.approx(1, rel=1e-9)
        assert prepared.val_variance[split] == pytest.approx(y[prepared.val[split]].var(), rel=1e-6)
        assert prepared.test_variance[split] == pytest.approx(prepared.y_test[split].var(), rel=1e-6)
    assert len(set(prepared.val_variance.tolist())) == 3


def test_targets_that_are_constant_up_to_rounding_have_no_variance() -> None:
    x, y = SHARES, 1e6 * SHARES[:, 1]
    part = {"X_val": x[:9], "y_val": 1e6 * TOTAL[:9], "X_test": x[:9], "y_test": BESIDE[:9]}
    prepared = prepare(Dataset.from_arrays(x, y, **part), (1, 0, 0))
    assert len(set(prepared.y[0][prepared.val[0]].tolist())) > 1
    assert (prepared.val_variance.tolist(), prepared.test_variance.tolist()) == ([0.0], [0.0])
    assert prepared.train_variance.tolist() == [1.0]


def test_classes_and_parts_without_rows_have_no_variance() -> None:
    prepared = prepare(Dataset.from_arrays(SHARES, LABELS), (1, 0, 0), folds=2)
    for found in (prepared.train_variance, prepared.val_variance, prepared.test_variance):
        assert found.tolist() == [0.0, 0.0]
    prepared = prepare(Dataset.from_arrays(SHARES, SHARES[:, 0]), (0.5, 0.5, 0))
    assert prepared.test_variance.tolist() == [0.0]
    assert deviation(np.zeros(0)) == 0

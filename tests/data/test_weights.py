"""Weights of rows: where they come from, which rows have which, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import jaxsweep as js
from jaxsweep.data import Dataset, prepare
from jaxsweep.errors import RequestError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 3)), np.arange(40) % 2
W = RNG.uniform(0.5, 3, 40).round(3)


def test_every_part_has_the_weights_of_its_rows() -> None:
    data = Dataset.from_arrays(X, W, weights=W, task="regression")  # the target tells which row it is
    prepared = prepare(data, folds=2)
    assert prepared.weights is not None
    assert prepared.test_weights is not None
    target = prepared.y[1] * prepared.target_scale[1] + prepared.target_mean[1]
    tested = prepared.y_test[1] * prepared.target_scale[1] + prepared.target_mean[1]
    np.testing.assert_allclose(prepared.weights, target / target.mean())
    np.testing.assert_allclose(prepared.test_weights, tested / tested.mean())


def test_rows_of_a_part_without_weights_count_one() -> None:
    data = Dataset.from_arrays(X, Y, weights=W, X_val=X, y_val=Y, X_test=X, y_test=Y, weights_test=W)
    prepared = prepare(data)
    assert prepared.weights is not None
    np.testing.assert_allclose(prepared.weights, np.concatenate([W / W.mean(), np.ones(40)]))
    assert prepared.test_weights is not None
    np.testing.assert_allclose(prepared.test_weights, W / W.mean())
    only_test = prepare(Dataset.from_arrays(X, Y, X_test=X, y_test=Y, weights_test=W))
    np.testing.assert_array_equal(only_test.weights, np.ones(40))


def test_rows_without_a_target_take_their_weights_with_them() -> None:
    y = np.where(np.arange(40) == 3, np.nan, Y * 1.5)
    data = Dataset.from_arrays(X, y, weights=W, missing_target="drop")
    np.testing.assert_array_equal(data.weights, np.delete(W, 3))


def test_only_weights_change_the_fingerprint() -> None:
    plain = Dataset.from_arrays(X, Y)
    assert js.load_dataset("iris").fingerprint.startswith("02051f867e80")  # as it was before there were weights
    assert Dataset.from_arrays(X, Y, weights=W).fingerprint != plain.fingerprint
    both = [Dataset.from_arrays(X, Y, X_val=X, y_val=Y, weights_val=weights).fingerprint for weights in (None, W)]
    assert both[0] != both[1]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (W[:9], "weights has 9 weights but X has 40 rows"),
        (-W, "weights has the value '-.*' in row 0 .from 0.: every weight must be a finite number >= 0"),
        ([1.0] * 39 + [np.inf], "weights has the value 'inf' in row 39"),
        ([1.0] * 39 + [None], "weights has no value in row 39"),
        (["1"] * 40, "weights has the value '1' in row 0"),
        (np.zeros(40), "weights has no weight > 0"),
        (W[:, None], r"weights has shape \(40, 1\): it must be \[rows\]"),
        ("balanced", "weights = 'balanced' is not legal"),
        (pd.Series(W, index=range(100, 140)), "the index of weights is not that of X"),
    ],
)
def test_what_is_no_weight_is_refused(weights: Any, message: str) -> None:
    x = pd.DataFrame(X, index=range(7, 47)) if isinstance(weights, pd.Series) else X
    with pytest.raises(RequestError, match=message):
        Dataset.from_arrays(x, Y, weights=weights)
    if not isinstance(weights, pd.Series):
        with pytest.raises(RequestError, match=message.replace("X has", "arrays has")):
            js.plan((X, Y), {"depth": 1}, weights=weights)


# The only row that weighs anything trains in one fold and in the other one too, but validates in none.
FOLDS = [([2, 5, 0], [4, 1]), ([0, 1], [4, 3])]


def test_parts_that_weigh_nothing_are_refused() -> None:
    first = np.arange(40) == 0
    with pytest.raises(RequestError, match="the training rows of arrays have weights of 0 alone"):
        prepare(Dataset.from_arrays(X, Y, weights=first), folds=[([2, 5], [0, 1])])
    with pytest.raises(RequestError, match="the validation rows of fold 0 of arrays have weights of 0 alone"):
        prepare(Dataset.from_arrays(X, Y, weights=first), folds=FOLDS)
    with pytest.raises(RequestError, match="the test rows of arrays have weights of 0 alone"):
        prepare(Dataset.from_arrays(X, Y, weights=np.arange(40) < 4), folds=[([0, 1], [2, 3])])
    with pytest.raises(RequestError, match="weights_val is given without X_val"):
        Dataset.from_arrays(X, Y, weights_val=W)


# --- tables ------------------------------------------------------------------------------------------------------


def _write(path: Path, frame: pd.DataFrame, **how: Any) -> Path:
    frame.to_csv(path, index=False, **how)
    return path


FRAME = pd.DataFrame({"a": X[:, 0].round(3), "count": W, "b": X[:, 1].round(3), "who": Y})


@pytest.mark.parametrize("weight", ["count", 1])
def test_a_column_of_weights_is_no_input(tmp_path: Path, weight: Any) -> None:
    test = _write(tmp_path / "test.csv", FRAME.iloc[:9][["who", "b", "count", "a"]])
    validation = _write(tmp_path / "val.csv", FRAME.iloc[:7].drop(columns="count"))
    path = _write(tmp_path / "t.csv", FRAME)
    data = js.read_table(path, "who", weight=weight, validation=validation, test=test)
    assert [column.name for column in data.inputs] == ["a", "b"]
    np.testing.assert_array_equal(data.weights, W)
    assert data.validation is not None
    assert data.test is not None
    assert data.validation.weights is None
    np.testing.assert_array_equal(data.test.weights, W[:9])
    assert any("rows count by 'count'" in note for note in data.notes)


def test_weights_are_read_as_numbers_are(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", FRAME, sep=";", decimal=",")
    weights = js.read_table(path, "who", weight="count").weights
    assert weights is not None
    np.testing.assert_allclose(weights, W)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("coutn", "weight: column 'coutn' is not in t.csv.*did you mean 'count'"),
        ("who", "weight names the target column 'who'"),
        ("a", "weight column 'a' of t.csv has the value '-.*' in row"),
        ("word", "weight column 'word' of t.csv holds no numbers"),
        ("gap", "weight column 'gap' of t.csv has no value in row 2"),
    ],
)
def test_columns_that_cannot_weigh_are_refused(tmp_path: Path, weight: str, message: str) -> None:
    frame = FRAME.assign(word=["one", "two"] * 20, gap=np.where(np.arange(40) == 2, np.nan, W))
    with pytest.raises(RequestError, match=message):
        js.read_table(_write(tmp_path / "t.csv", frame), "who", weight=weight)

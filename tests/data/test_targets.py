"""Several numeric targets: from arrays, frames and tables, each standardized by its own mean and scale."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import jaxsweep as js
from jaxsweep.data import Dataset, prepare
from jaxsweep.errors import RequestError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).round(3)
Y = np.stack([5 + X[:, 0], 1000 * X[:, 1], RNG.normal(size=40).round(4)], axis=1)
NAMES = ["price", "weight, net", "age"]


def test_each_target_has_a_mean_and_a_scale_of_its_own() -> None:
    data = Dataset.from_arrays(X, Y)
    assert (data.task, data.target_names, data.target.shape) == ("regression", ("0", "1", "2"), (40, 3))
    assert repr(data) == "Dataset('arrays', 40 rows, 3 numbers, regression of 3 targets)"
    prepared = prepare(data, folds=2)
    assert prepared.n_outputs == 3
    assert prepared.y.shape == (2, 32, 3)
    for fold in range(2):
        train = prepared.y[fold][prepared.train[fold]]
        np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(train.std(axis=0), 1)
        raw = prepared.y[fold] * prepared.target_scale[fold] + prepared.target_mean[fold]
        assert {tuple(row) for row in raw.round(6)} < {tuple(row) for row in Y.round(6)}
        val = prepared.y[fold][prepared.val[fold]]
        np.testing.assert_allclose(prepared.val_variance[fold], val.var(axis=0))
    parts = Dataset.from_arrays(X, Y, X_val=X[:9], y_val=Y[:9])
    np.testing.assert_array_equal(prepare(parts).y[0][prepare(parts).val[0]].shape, (9, 3))


def test_one_target_in_a_matrix_is_one_target() -> None:
    data = Dataset.from_arrays(X, Y[:, :1])
    assert data.target_names == ()
    assert data.fingerprint == Dataset.from_arrays(X, Y[:, 0]).fingerprint
    assert Dataset.from_arrays(X, Y[:, :2]).fingerprint != data.fingerprint


def test_rows_that_lack_a_target(tmp_path: Path) -> None:
    y = Y.copy()
    y[3, 1] = np.nan
    with pytest.raises(RequestError, match="target 'b' has 1 missing value, the first in row 3"):
        Dataset.from_arrays(X, pd.DataFrame(y, columns=list("abc")))
    data = Dataset.from_arrays(X, y, missing_target="drop", weights=np.arange(40))
    np.testing.assert_array_equal(data.target, np.delete(Y, 3, axis=0))
    np.testing.assert_array_equal(data.weights, np.delete(np.arange(40), 3))
    path = _write(tmp_path / "t.csv", y)
    read = js.read_table(path, [3, 4], missing_target="drop", validation=path)
    assert read.validation is not None
    assert (read.rows, read.validation.rows) == (39, 39)


HOT = np.eye(3)[RNG.integers(0, 3, 40)]


@pytest.mark.parametrize(
    ("y", "more", "message"),
    [
        (HOT, {}, r"y holds one-hot classes, 3 of them: give the class of each row, y.argmax\(axis=1\)"),
        (pd.DataFrame(HOT), {}, r"y.to_numpy\(\).argmax\(axis=1\)"),
        (Y, {"task": "classification"}, "y has 3 targets: task = 'classification' takes one"),
        (np.zeros((40, 2, 2)), {}, r"y has shape \(40, 2, 2\): it must be \[rows\]"),
        (np.zeros((40, 1001)), {}, "y has 1001 targets: it must be .* up to 1000"),
        (np.column_stack([Y[:, 0], np.ones(40)]), {}, "target '1' has only one value, 1.0"),
        (pd.DataFrame({"a": Y[:, 0], "b": ["x", "y"] * 20}), {}, "target 'b' holds 'x' in row 0"),
        (pd.DataFrame(Y, columns=["a", "b", "a"]), {}, "y has two columns of one name"),
        (Y, {"X_val": X, "y_val": Y[:, :2]}, "y_val has 2 targets, y has 3"),
        (Y[:, 0], {"X_val": X, "y_val": Y}, "y_val has 3 targets, y has 1"),
        (Y[:30], {}, "X has 40 rows but y has 30"),
    ],
)
def test_what_are_no_targets_is_refused(y: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Dataset.from_arrays(X, y, **more)


# --- tables ------------------------------------------------------------------------------------------------------


def _write(path: Path, y: np.ndarray = Y) -> Path:
    table = pd.DataFrame(np.column_stack([X, y]), columns=["a", "b", "c", *NAMES])
    table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("price,age", ("price", "age")),
        ("age , price", ("age", "price")),
        (["price", "weight, net"], ("price", "weight, net")),
        (("weight, net", 3), ("weight, net", "price")),
        ("3,5", ("price", "age")),
        ("weight, net", ()),  # is a column's name
        (["age"], ()),
    ],
)
def test_targets_of_a_table(tmp_path: Path, target: Any, names: tuple[str, ...]) -> None:
    data = js.read_table(_write(tmp_path / "t.csv"), target, test=_write(tmp_path / "test.csv"))
    assert data.target_names == names
    shown = list(names) or [data.target_name]
    expected = Y[:, [NAMES.index(name) for name in shown]]
    assert data.test is not None
    np.testing.assert_allclose(data.target.reshape(40, -1), expected)
    np.testing.assert_allclose(data.test.target.reshape(40, -1), expected)
    assert not {column.name for column in data.inputs} & set(shown)
    assert not names or any(f"targets {', '.join(map(repr, names))} are taken as numbers" in n for n in data.notes)


@pytest.mark.parametrize(
    ("target", "more", "message"),
    [
        ("price,agee", {}, "target column 'agee' is not in t.csv; did you mean 'age'"),
        (["price", "price"], {}, "target names the column 'price' twice"),
        ("price,age", {"task": "classification"}, "target names 2 columns: task = 'classification' takes one"),
        ("price,age", {"drop": "age"}, "drop names the target column 'age'"),
        ("price,age", {"group": "age"}, "group names the target column 'age'"),
        ("price,age", {"weight": "age"}, "weight names the target column 'age'"),
        ([], {}, r"target = \[\] is not legal: it must be a column's name"),
        ([1.5], {}, r"target = \[1.5\] is not legal"),
        (list(range(6)), {}, "has no input columns left besides its target 'a, b, c, price, weight, net, age'"),
    ],
)
def test_targets_of_a_table_that_are_refused(tmp_path: Path, target: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        js.read_table(_write(tmp_path / "t.csv"), target, **more)

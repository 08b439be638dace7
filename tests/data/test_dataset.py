"""Datasets from arrays and frames, the built-in ones, fingerprints."""

import re
import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jaxsweep.data import Dataset, builtin, datasets, load_dataset, prepare
from jaxsweep.data.builtin import BuiltIn
from jaxsweep.data.labels import Label
from jaxsweep.errors import RequestError

X = np.arange(12.0).reshape(6, 2)
Y = [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("row", datasets(), ids=lambda row: row.name)
def test_the_list_of_built_in_data_sets_is_true(row: BuiltIn) -> None:
    data = load_dataset(row.name)
    found = (data.name, data.task, data.rows, len(data.inputs), data.classes and len(data.classes), data.image_shape)
    assert found == (row.name, row.task, row.rows, row.features, row.classes, row.image_shape)
    assert len({column.name for column in data.inputs}) == row.features


@pytest.mark.parametrize("name", builtin.FILES)
def test_data_read_from_their_file_are_those_that_scikit_learn_loads(name: str) -> None:
    row = next(row for row in datasets() if row.name == name)
    read = builtin._read(row)
    assert read is not None
    (x, target, names), (expected, labels, features) = read, builtin._load(row)
    np.testing.assert_array_equal(x, expected)
    assert target == labels
    assert names == features


def test_built_in_labels() -> None:
    assert load_dataset("iris").classes == ("setosa", "versicolor", "virginica")
    assert load_dataset("digits").classes == tuple(range(10))
    cancer = load_dataset("breast_cancer")
    assert cancer.classes == ("benign", "malignant")
    assert np.bincount(cancer.target).tolist() == [357, 212]


def test_an_unknown_built_in_name_is_refused() -> None:
    with pytest.raises(RequestError, match=r"there is no built-in data set 'digit'; did you mean 'digits'\?"):
        load_dataset("digit")
    with pytest.raises(RequestError, match="'xyz'; known: digits, breast_cancer, wine, iris, diabetes"):
        load_dataset("xyz")
    with pytest.raises(RequestError, match="there is no built-in data set 5; known: digits"):
        load_dataset(5)  # type: ignore[arg-type]


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "{'jax', 'pandas', 'sklearn', 'scipy', 'pyarrow'}"
    code = f"import sys, jaxsweep.data as d; d.datasets(); print({heavy} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "set()"


@pytest.mark.parametrize(
    ("y", "task", "classes"),
    [
        (["b", "a", "b", "a", "b", "a"], "classification", ("a", "b")),
        (["1", "0", "1", "0", "1", "0"], "classification", ("0", "1")),
        (np.array([True, False] * 3), "classification", (False, True)),
        (np.array([3, -1] * 3, dtype=np.int8), "classification", (-1, 3)),
        (np.array([0.0, 1.0] * 3), "classification", (0, 1)),
        (np.arange(6) * 0.5, "regression", None),
        (pd.Series([2, 1] * 3, name="grade"), "classification", (1, 2)),
        (pd.Series(["x", "y"] * 3, dtype="category"), "classification", ("x", "y")),
        (pd.DataFrame({"t": [2, 1] * 3}), "classification", (1, 2)),
        (np.array([[2], [1]] * 3), "classification", (1, 2)),
        ([Decimal("1.5"), Decimal("2.5")] * 3, "regression", None),
    ],
)
def test_targets(y: Any, task: str, classes: tuple[Label, ...] | None) -> None:
    data = Dataset.from_arrays(X, y)
    assert (data.task, data.classes) == (task, classes)
    if classes is not None:
        assert data.classes is not None
        assert all(type(a) is type(b) for a, b in zip(data.classes, classes, strict=True))


def test_many_integers_are_numbers_unless_said_otherwise() -> None:
    x, y = np.arange(21.0)[:, None], np.arange(21)
    assert Dataset.from_arrays(x, y).task == "regression"
    assert Dataset.from_arrays(x[:20], y[:20]).task == "regression"  # each of them once
    assert Dataset.from_arrays(np.tile(x[:20], (2, 1)), np.tile(y[:20], 2)).task == "classification"
    classes = Dataset.from_arrays(x, y, task="classification").classes
    assert classes is not None
    assert len(classes) == 21
    assert Dataset.from_arrays(X, ["1", "2"] * 3, task="regression").target.tolist() == [1, 2] * 3
    assert Dataset.from_arrays(X, [1.5, 2.5] * 3, task="classification").classes == (1.5, 2.5)


def test_images() -> None:
    data = Dataset.from_arrays(np.zeros((6, 2, 3)), Y)
    assert data.image_shape == (2, 3)
    assert len(data.inputs) == 6
    assert Dataset.from_arrays(np.zeros((6, 6)), Y, image_shape=(3, 2)).image_shape == (3, 2)


def test_frames_of_any_type() -> None:
    frame = pd.DataFrame(
        {
            "small": np.arange(6, dtype=np.uint8),
            "text numbers": ["1", " 2.5", "?", "", "4", "5"],
            "objects": [1, 2.5, None, Decimal("3"), np.int64(4), "5"],
            "booleans": pd.array([True, None, False, True, True, False], dtype="boolean"),
            "text": pd.array(["a", None, "b", " a ", "a", "b"], dtype="string"),
        }
    )
    kinds = {column.name: column.kind for column in Dataset.from_arrays(frame, Y).inputs}
    assert kinds == dict.fromkeys(frame.columns[:4], "number") | {"text": "category"}
    text = Dataset.from_arrays(frame, Y).inputs[4].values.tolist()
    assert text == ["a", None, "b", "a", "a", "b"]


def test_parts_follow_the_first_by_name() -> None:
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4, 5, 6], "b": ["x", "y"] * 3})
    swapped = pd.DataFrame({"b": ["y", "new"], "a": [7, 8]})
    data = Dataset.from_arrays(frame, Y, X_val=swapped, y_val=[0, 1])
    assert data.validation is not None
    assert [column.values.tolist() for column in data.validation.inputs] == [[7, 8], ["y", "new"]]
    assert prepare(data, (0.8, 0.2, 0)).feature_names == ("a", "b=x", "b=y")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": X[:, 0]}, "X has shape (6,): it must be [rows, features]"),
        ({"X": X[:5]}, "X has 5 rows but y has 6: they must be equal"),
        ({"X": X[:0], "y": []}, "X has zero rows: at least one is needed"),
        ({"X": X[:, :0]}, "arrays has no input columns: at least one besides the target is needed"),
        ({"X": [[1.0], [2.0, 3.0]]}, "X is ragged: all its rows must be equally long"),
        ({"X": X + 1j}, "column '0' has type complex128: convert it to numbers or text, or leave it out"),
        ({"X": pd.Series(Y)}, "X is a pandas series: it must be a frame with one column a feature"),
        ({"X": pd.DataFrame({"a": [[1]] * 6})}, "column 'a' holds a list, [1]: convert it to numbers or text"),
        ({"X": np.full((6, 2), np.inf)}, "column '0' has an infinite value in row 0 (from 0): every value must be"),
        ({"X": np.array(list("abcdef"))[:, None]}, "column '0' has 6 categories in 6 rows of X, so that it says"),
        ({"y": [[0, 1]] * 6}, "y holds one-hot classes, 2 of them: give the class of each row, y.argmax(axis=1)"),
        ({"y": [0, 1, None, 1, 0, 1]}, "target 'y' has 1 missing value, the first in row 2 (from 0): every row needs"),
        ({"y": [0.5, np.inf, 1, 1, 0, 1]}, "target 'y' has the value inf in row 1 (from 0): every value must be"),
        ({"y": [1] * 6}, "target 'y' has only one class, 1: at least two are needed"),
        ({"y": [{}] * 6}, "target 'y' holds a dict, {}: it must be numbers, text or booleans"),
        (
            {"y": list("ababab"), "task": "regression"},
            "target 'y' holds 'a' in row 0 (from 0), which task = 'regression'",
        ),
        ({"task": "ranking"}, "task = 'ranking' is not known: it must be classification or regression"),
        ({"X_val": X}, "y_val is missing: X_val and y_val must be given together"),
        ({"y_test": Y}, "X_test is missing: X_test and y_test must be given together"),
        ({"X_val": X[:, :1], "y_val": Y}, "X_val has the columns ['0'], X has ['0', '1']: they must be the same"),
        (
            {"X_val": X, "y_val": [0, 1, 2] * 2},
            "y_val has the class 2, which y has not: every class needs rows to train",
        ),
        ({"X_val": X, "y_val": [0, 1, None] * 2}, "target 'y_val' has 2 missing values, the first in row 2 (from 0)"),
        (
            {"X_val": np.full((6, 2), "x"), "y_val": Y},
            "X_val: column '0' holds 'x' in row 0 (from 0): it must be a number",
        ),
        ({"image_shape": (2, 2)}, "image_shape = (2, 2) needs 4 columns of numbers, but arrays has 2 columns"),
        ({"image_shape": (2, "x")}, "image_shape = (2, 'x') is not legal: it must be (height, width)"),
        (
            {"feature_names": ["a"]},
            "feature_names has 1 names for the 2 columns of X: there must be one for each column",
        ),
        ({"feature_names": ["a", "a"]}, "column name 'a' occurs twice in X (columns 0 and 1)"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        Dataset.from_arrays(**{"X": X, "y": Y, **arguments})


def test_the_fingerprint_sees_every_value_and_not_the_name() -> None:
    frame = pd.DataFrame({"a": [1.0, 2, np.nan, 4, 5, 6], "b": ["x", "y", None] * 2})
    base = Dataset.from_arrays(frame, Y)
    assert len(base.fingerprint) == 64
    assert Dataset.from_arrays(frame.copy(), Y, name="other").fingerprint == base.fingerprint
    others = [
        Dataset.from_arrays(frame.assign(a=[1.0, 2, np.nan, 4, 5, 7]), Y),
        Dataset.from_arrays(frame.assign(b=["x", "y", "z"] * 2), Y),
        Dataset.from_arrays(frame.rename(columns={"a": "c"}), Y),
        Dataset.from_arrays(frame, Y[::-1]),
        Dataset.from_arrays(frame, [2 * label for label in Y]),
        Dataset.from_arrays(frame, Y, X_val=frame, y_val=Y),
        Dataset.from_arrays(frame, Y, X_test=frame, y_test=Y),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 8


def test_names_are_remembered_but_not_fingerprinted() -> None:
    frame = pd.DataFrame(X, columns=["0", "1"])
    arrays, frames = Dataset.from_arrays(X, Y), Dataset.from_arrays(frame, Y)
    assert (arrays.named, frames.named) == (False, True)
    assert arrays.fingerprint == frames.fingerprint
    assert Dataset.from_arrays(X, Y, feature_names=["a", "b"]).named
    assert load_dataset("iris").named
    assert (prepare(arrays).named, prepare(frames).named) == (False, True)


# --- pandas indices ------------------------------------------------------------------------------------------------

FRAME = pd.DataFrame(X, columns=["a", "b"])
SERIES = pd.Series(Y)
ORDER = [3, 1, 0, 2, 5, 4]
OWN, OTHER = list("uvwxyz"), list("UVWXYZ")
DATES = pd.date_range("2020-01-01", periods=6)


@pytest.mark.parametrize(
    ("x_index", "y_index"),
    [
        (range(6), range(6)),
        (OWN, OWN),
        (range(6), OWN),  # an index that only counts says nothing
        (OWN, range(6)),
        (range(6), [9, 7, 8, 3, 2, 1]),
        (DATES, range(6)),
        (pd.MultiIndex.from_product([[1, 2], list("abc")]), list(range(6))),
        ([1, 1, 2, 2, 3, 3], [1, 1, 2, 2, 3, 3]),
        ([1, 2, np.nan, 4, 5, 6], [1, 2, np.nan, 4, 5, 6]),
        (range(6), [0.0, 1, 2, 3, 4, 5]),
    ],
)
def test_indices_that_do_not_contradict_leave_rows_by_position(x_index: Any, y_index: Any) -> None:
    data = Dataset.from_arrays(FRAME.set_axis(x_index), SERIES.set_axis(y_index))
    assert data.target.tolist() == Y
    assert data.inputs[0].values.tolist() == X[:, 0].tolist()


@pytest.mark.parametrize(
    ("x_index", "y_index", "message"),
    [
        (range(6), ORDER, "another order: give y.loc[X.index] to go by label, or y.to_numpy() to go by position"),
        (ORDER, range(6), "another order: give y.loc[X.index] to go by label"),
        (OWN, OWN[::-1], "the index of y has the labels of that of X in another order"),
        (DATES, DATES[::-1], "another order: give y.loc[X.index]"),
        ([1, 1, 2, 2, 3, 3], [3, 3, 2, 2, 1, 1], "in another order: give y.to_numpy() to go by position"),
        (OWN, OTHER, "the index of y is not that of X (in row 0, from 0, 'U' beside 'u'): give rows with the same"),
        (OWN, [*OWN[:5], "Z"], "in row 5, from 0, 'Z' beside 'z'"),
        (OWN, [9, 7, 8, 3, 2, 1], "or y.to_numpy() to go by position"),
    ],
)
def test_indices_that_contradict_are_refused(x_index: Any, y_index: Any, message: str) -> None:
    frame, series = FRAME.set_axis(x_index), SERIES.set_axis(y_index)
    for y in (series, series.to_frame("t")):
        with pytest.raises(RequestError, match=re.escape(message)):
            Dataset.from_arrays(frame, y)
    for part in ("val", "test"):
        own: dict[str, Any] = {f"X_{part}": frame, f"y_{part}": series}
        said = message.replace("y.", f"y_{part}.").replace("X.", f"X_{part}.")
        said = said.replace("of X ", f"of X_{part} ").replace("of y ", f"of y_{part} ")
        with pytest.raises(RequestError, match=re.escape(said)):
            Dataset.from_arrays(FRAME, SERIES, **own)


def test_the_ways_out_of_contradicting_indices() -> None:
    shuffled = SERIES.sample(frac=1, random_state=1)
    assert shuffled.tolist() != Y
    assert Dataset.from_arrays(FRAME, shuffled.loc[FRAME.index]).target.tolist() == Y
    assert Dataset.from_arrays(FRAME, shuffled.to_numpy()).target.tolist() == shuffled.tolist()
    assert Dataset.from_arrays(X, shuffled).target.tolist() == shuffled.tolist()
    assert Dataset.from_arrays(FRAME.iloc[ORDER], list(Y)).target.tolist() == Y

"""CSV and Parquet files: what is found out about them, and every refusal with its words."""

import csv
import io
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import shared
from written import Write

from jaxsweep.data import Dataset, prepare, read_raw, read_table
from jaxsweep.data.cells import is_missing, parse_numbers
from jaxsweep.data.labels import Label
from jaxsweep.errors import RequestError


def columns(data: Dataset) -> dict[str, tuple[str, list[Any]]]:
    return {c.name: (c.kind, [None if v != v else v for v in c.values.tolist()]) for c in data.inputs}


CARS = "doors,colour,price\n4,red,10.5\n2,blue,12\n,red,9\n4,?,8.25\n"


@pytest.mark.parametrize(
    "text",
    [
        CARS,
        CARS.replace(",", ";"),
        CARS.replace(",", "\t"),
        CARS.replace("\n", "\r\n"),
        "\ufeff" + CARS,
        CARS.rstrip("\n"),
        CARS.replace("\n", "\n\n"),
        CARS.replace(",", " , "),
        CARS.replace("red", '"red"').replace("colour", ' "colour"'),
        CARS.replace("?", "NA").replace("\n,", "\nNaN,"),
        CARS.replace("?", "null").replace("\n,", "\n N/A,"),
    ],
)
def test_the_same_table_however_it_is_written(write: Write, text: str) -> None:
    data = read_table(write(text), "price")
    assert (data.name, data.task, data.target_name, data.rows) == ("cars", "regression", "price", 4)
    assert columns(data) == {
        "doors": ("number", [4.0, 2.0, None, 4.0]),
        "colour": ("category", ["red", "blue", "red", None]),
    }
    assert data.target.tolist() == [10.5, 12, 9, 8.25]


def test_quoted_cells_with_delimiters_newlines_and_quotes(write: Write) -> None:
    data = read_table(write('a,b,t\n"x, ""y""","1",p\n"two\nlines",2,q\n"x, ""y""",3,q\n'), "t")
    assert columns(data)["a"] == ("category", ['x, "y"', "two\nlines", 'x, "y"'])
    assert columns(data)["b"] == ("number", [1, 2, 3])
    assert data.classes == ("p", "q")


@pytest.mark.parametrize(
    ("text", "header", "names"),
    [
        ("a,b\n1,x\n2,y\n3,x\n", None, ["a", "b"]),
        ("1,x\n2,y\n3,x\n", None, ["0", "1"]),
        ("x,y\nx,z\nz,y\n", None, ["0", "1"]),  # words that occur again below
        ("p,q\nx,z\nz,y\nx,z\n", None, ["p", "q"]),
        ("p,p\nx,z\nz,y\nx,z\n", None, ["0", "1"]),  # not distinct
        (",b\n0,x\n1,y\n2,x\n", None, ["0", "b"]),  # pandas' index
        ("p,True\nx,False\nx,True\n", None, ["0", "1"]),
        ("p,q\nx,z\nz,y\nx,z\n", False, ["0", "1"]),
        ("1,2\n3,x\n4,y\n3,x\n", True, ["1", "2"]),
    ],
)
def test_header(write: Write, text: str, header: bool | None, names: list[str]) -> None:
    assert list(read_raw(write(text), header).names) == names


@pytest.mark.parametrize(
    ("cells", "task", "classes"),
    [
        (["2", "10", "-1", "2"], "classification", (-1, 2, 10)),
        (["b", "a", "10"], "classification", ("10", "a", "b")),
        (["True", "false", "True"], "classification", (False, True)),
        (["1.0", "2.5", "1.0"], "regression", None),
        (["1", "2.5", "1"], "regression", None),
        ([str(n) for n in range(20)] * 2, "classification", tuple(range(20))),
        ([str(n) for n in range(21)] * 2, "regression", None),
    ],
)
def test_task_is_inferred_from_the_target(
    write: Write, cells: list[str], task: str, classes: tuple[Label, ...] | None
) -> None:
    text = "x,t\n" + "".join(f"{row},{cell}\n" for row, cell in enumerate(cells))
    data = read_table(write(text), "t")
    assert (data.task, data.classes) == (task, classes)
    if classes is not None:
        assert data.classes is not None
        assert [str(classes[code]).lower() for code in data.target] == [cell.lower() for cell in cells]
        assert all(type(label) is type(classes[0]) for label in data.classes)


def test_task_can_be_given(write: Write) -> None:
    path = write("x,t\n1,3.0\n2,4.0\n3,3.0\n")
    assert read_table(path, "t").classes == (3, 4)  # whole numbers are classes however they are written
    assert read_table(path, "t", task="regression").target.tolist() == [3, 4, 3]
    assert read_table(path, "t", task="classification").classes == (3, 4)
    assert read_table(write("x,t\n1,3\n2,4\n3,3\n"), "t", task="regression").target.tolist() == [3, 4, 3]


def test_target_and_drop_by_name_or_number(write: Write) -> None:
    path = write("a,1,t\n5,6,x\n7,8,y\n5,6,x\n")
    path.write_text("a,b,t\n5,6,x\n7,8,y\n5,6,x\n")
    assert read_table(path, 2).target_name == "t"
    assert read_table(path, "2").target_name == "t"
    assert list(columns(read_table(path, "t", drop="a"))) == ["b"]
    assert list(columns(read_table(path, "t", drop=["b"]))) == ["a"]
    assert list(columns(read_table(path, "t", drop=[0]))) == ["b"]
    path.write_text("2,b,t\n5,6,x\n7,8,y\n5,6,x\n")
    assert read_table(path, "2", task="regression", drop="t", header=True).target.tolist() == [5, 7, 5]  # a name first


def test_numbers_are_not_read_more_generously_than_they_are_written(write: Write) -> None:
    data = read_table(write("a,b,c,t\n1_000, 1 ,1e3,x\n1_000,-.5,+2,y\n7,3,4,x\n"), "t")
    assert columns(data)["a"][0] == "category"
    assert columns(data)["b"] == ("number", [1, -0.5, 3])
    assert columns(data)["c"] == ("number", [1000, 2, 4])


def test_true_and_false_are_numbers(write: Write) -> None:
    assert columns(read_table(write("a,t\nTrue,x\nfalse,y\n,x\n"), "t"))["a"] == ("number", [1, 0, None])


def test_a_column_without_any_value_is_a_number_that_says_nothing(write: Write) -> None:
    data = read_table(write("a,b,t\n,1,x\n?,2,y\n,3,x\n" * 1 + ",1,x\n,2,y\n,3,y\n"), "t")
    prepared = prepare(data)
    assert prepared.feature_names == ("a", "a missing", "b")
    assert np.all(prepared.x[0, :, 0] == 0)
    assert np.all(np.isfinite(prepared.x))


REFUSALS: dict[str, tuple[str, str | bytes, str]] = {
    "target absent": ("prise", CARS, "target column 'prise' is not in cars.csv; did you mean 'price'?"),
    "target number": ("7", CARS, "target column 7 is not in cars.csv, whose columns have the numbers 0 to 2"),
    "ragged": ("t", "a,b,t\n1,2,x\n3,4\n", "line 3 of cars.csv has 2 cells: it must have 3, as line 1 has"),
    "ragged after a quoted newline": ("t", 'a,t\n"x\ny",1\n1,2,3\n', "line 4 of cars.csv has 3 cells: it must have 2"),
    "empty": ("t", "", "cars.csv is empty: it must have at least one row"),
    "blank": ("t", "\n \n", "cars.csv is empty"),
    "zero rows": ("t", "a,b,t\n", "cars.csv has zero rows below its header: it must have at least one"),
    "one class": ("t", "a,t\n1,x\n2,x\n", "target 't' has only one class, 'x': at least two are needed"),
    "one value": ("t", "a,t\n1,.5\n2,.5\n", "target 't' has only one value, 0.5: at least two are needed"),
    "missing target": (
        "t",
        "a,t\n1,x\n2,?\n3,\n4,y\n",
        "target 't' has 2 missing values, the first in row 1 (from 0): every row needs a target",
    ),
    "infinite target": (
        "t",
        "a,t\n1,1.5\n2,inf\n",
        "target 't' has the value inf in row 1 (from 0): every value must be",
    ),
    "infinite": (
        "t",
        "a,t\n1,x\n-inf,y\n2,y\n",
        "column 'a' has an infinite value in row 1 (from 0): every value must be",
    ),
    "overflow": ("t", "a,t\n1,x\n1e999,y\n2,y\n", "column 'a' has an infinite value in row 1 (from 0)"),
    "too large": (
        "t",
        "a,t\n1,x\n1e200,y\n2,y\n",
        "column 'a' has the value 1e+200, too large to standardize, in row 1",
    ),
    "identifiers": (
        "t",
        "id,t\nu1,x\nu2,y\nu3,y\n",
        "cars.csv has no input columns left: those there are say nothing about new rows, as every row has another "
        "value; --set keep=id takes it in",
    ),
    "no inputs": ("t", "t\nx\ny\nx\n", "cars.csv has no input columns left besides its target 't'"),
    "unbalanced quote": (
        "t",
        'a,t\n1,"x\n2,y\n3,z\n',
        "line 2 of cars.csv cannot be read as CSV: unexpected end of data",
    ),
    "encoding": (
        "t",
        "a,t\n1,caf\xe9\n".encode("latin-1"),
        "cars.csv is not text in UTF-8 (byte 0xe9 at position 9): name its encoding, such as",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(write: Write, case: str) -> None:
    target, text, message = REFUSALS[case]
    with pytest.raises(RequestError, match=re.escape(message)) as caught:
        read_table(write(text), target)
    assert "\n" not in str(caught.value)


def test_other_refusals(write: Write, tmp_path: Path) -> None:
    path = write(CARS)
    with pytest.raises(RequestError, match=r"cras.csv does not exist: .*; did you mean 'cars.csv'\?"):
        read_table(tmp_path / "cras.csv", "price")
    with pytest.raises(RequestError, match=r"does not exist: it must be a CSV or Parquet file$"):
        read_table(tmp_path / "nowhere" / "cars.csv", "price")
    with pytest.raises(RequestError, match="path = None is not legal: it must be the path of a CSV or Parquet file"):
        read_table(None, "price")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"cannot be read \(File name too long\): it must be a readable file"):
        read_table("x" * 999, "price")
    with pytest.raises(RequestError, match="is a directory: it must be a CSV or Parquet file"):
        read_table(tmp_path, "price")
    with pytest.raises(RequestError, match=r"drop: column 'color' is not in cars.csv; did you mean 'colour'\?"):
        read_table(path, "price", drop=["color"])
    with pytest.raises(RequestError, match="drop names the target column 'price': it must name input columns only"):
        read_table(path, "price", drop=["price"])
    with pytest.raises(RequestError, match="no input columns left besides its target 'price'"):
        read_table(path, "price", drop=["doors", "colour"])
    with pytest.raises(RequestError, match="task = 'clustering' is not known: it must be classification or regression"):
        read_table(path, "price", task="clustering")
    with pytest.raises(
        RequestError, match=r"target 'colour' holds 'red' in row 0 \(from 0\), which task = 'regression'"
    ):
        read_table(write(CARS.replace("?", "red")), "colour", task="regression")


def test_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "n": [1, 2, 3, 4],
            "f": [0.5, np.nan, 1.5, 2],
            "b": [True, False, True, True],
            "s": ["x", None, "y", "x"],
            "c": pd.Categorical(["1", "2", "1", None]),
            "i": pd.array([1, None, 3, 3], dtype="Int64"),
            "t": ["p", "q", "p", "q"],
        }
    )
    path = tmp_path / "cars.parquet"
    frame.to_parquet(path)
    data = read_table(path, "t")
    assert columns(data) == {
        "n": ("number", [1, 2, 3, 4]),
        "f": ("number", [0.5, None, 1.5, 2]),
        "b": ("number", [1, 0, 1, 1]),
        "s": ("category", ["x", None, "y", "x"]),
        "c": ("category", ["1", "2", "1", None]),
        "i": ("number", [1, None, 3, 3]),
    }
    assert data.classes == ("p", "q")
    assert read_table(path, "b").classes == (False, True)
    assert read_table(path, "n").classes == (1, 2, 3, 4)


def test_parquet_refusals(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match=r"cars.parquet cannot be read as Parquet \(.*\): it must be a Parquet file"):
        read_table(write("no parquet", "cars.parquet"), "t")
    path = tmp_path / "spans.parquet"
    pd.DataFrame({"d": pd.to_timedelta([1, 2], "h"), "t": ["x", "y"]}).to_parquet(path)
    with pytest.raises(RequestError, match=r"column 'd' has type timedelta64\[.*\]: convert it to numbers or text"):
        read_table(path, "t")
    pd.DataFrame({"a": [], "t": []}).to_parquet(path)
    with pytest.raises(RequestError, match="has zero rows"):
        read_table(path, "t")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        RequestError, match=r"needs pyarrow to be read: install it with pip install 'jaxsweep\[parquet\]'"
    ):
        read_table(path, "t")


@pytest.mark.parametrize(
    ("file", "target", "task", "shape", "expected"),
    [
        ("vehicle", "Class", None, (846, 18), ("classification", 4, {"number"})),
        ("vowel", "Class", None, (990, 12), ("classification", 11, {"number", "category"})),
        ("mushroom", "0", None, (8124, 22), ("classification", 2, {"category"})),
        ("letter", "16", None, (20000, 16), ("classification", 26, {"number"})),
        ("winequality_white", "quality", None, (4898, 11), ("classification", 7, {"number"})),
        ("winequality_white", "quality", "regression", (4898, 11), ("regression", 1, {"number"})),
        ("dresses", "Class", None, (500, 12), ("classification", 2, {"number", "category"})),
    ],
)
def test_shared_files_need_only_path_and_target(
    file: str, target: str, task: str | None, shape: tuple[int, int], expected: tuple[str, int, set[str]]
) -> None:
    data = read_table(shared("data", f"{file}.csv"), target, task)
    assert (data.rows, len(data.inputs)) == shape
    prepared = prepare(data)
    assert (prepared.task, prepared.n_outputs, {column.kind for column in data.inputs}) == expected
    assert np.all(np.isfinite(prepared.x))
    assert np.all(np.isfinite(prepared.x_test))
    if file == "dresses":
        gone = {column.name for column in data.inputs if column.missing.any()}
        assert {name.removesuffix(" missing") for name in prepared.feature_names if name.endswith(" missing")} == gone
        assert gone


def test_a_hundred_thousand_rows(write: Write) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100_000, 10))
    buffer = io.StringIO()
    pd.DataFrame(x).assign(t=x[:, 0] > 0).to_csv(buffer, index=False, float_format="%.5f")
    path = write(buffer.getvalue())
    start = time.process_time()
    data = read_table(path, "t", header=True)
    prepared = prepare(data)
    print(f"100,000 x 10 read and prepared in {time.process_time() - start:.2f} CPU seconds")
    assert prepared.x.shape == (1, 80_000, 10)
    np.testing.assert_allclose(np.stack([column.values for column in data.inputs], 1), x, atol=1e-5)


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=6)
numbers = st.floats(-1e9, 1e9).map(repr)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]), st.integers(2, 12), st.integers(2, 5))
def test_csv_round_trip(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, delimiter: str, end: str, rows: int, width: int
) -> None:
    kinds = data.draw(st.lists(st.sampled_from([words, numbers]), min_size=width, max_size=width))
    table = [[f"column {number}" for number in range(width)]]
    table += [[data.draw(kind) for kind in kinds] for _ in range(rows)]
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(table)
    raw = read_raw(path, header=True, text=table[0])
    assert list(raw.names) == table[0]
    stripped = [[None if is_missing(cell) and cell != "-" else cell for cell in row] for row in table[1:]]
    assert [
        [None if is_missing(cell) and cell != "-" else cell for cell in row] for row in zip(*raw.cells, strict=True)
    ] == stripped
    typed = read_raw(path, header=True)
    for number, cells in enumerate(zip(*table[1:], strict=True)):
        found = parse_numbers(cells)
        if found is not None and all(isinstance(cell, str) for cell in typed.cells[number]):
            assert [str(cell) for cell in typed.cells[number]] == list(cells)  # true and false, odd digits
        elif found is not None:
            np.testing.assert_array_equal(np.array(typed.cells[number], dtype=np.float64), found)

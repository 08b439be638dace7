"""What an owner may have meant otherwise is said, and what is said can be done."""

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from written import column

from jaxsweep.data import Dataset, prepare, read_table
from jaxsweep.errors import RequestError
from jaxsweep.setup import how_read
from jaxsweep.spec import sweepfile

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that writes 40 rows of a number n, a column x by its function, and two classes y."""

    def write(cell: Callable[[int], Any], name: str = "t.csv", rows: int = 40, mark: str = ",") -> Path:
        lines = [mark.join([str(row % 7), str(cell(row)), str(row % 2)]) for row in range(rows)]
        (tmp_path / name).write_text("\n".join([mark.join("nxy"), *lines]) + "\n")
        return tmp_path / name

    return write


def targets(tmp_path: Path, name: str, cell: Callable[[int], str], rows: int = 30) -> Path:
    lines = [f'{row % 5},"{cell(row)}"' for row in range(1, rows)]
    (tmp_path / name).write_text("\n".join(["n,y", *lines]) + "\n")
    return tmp_path / name


@pytest.mark.parametrize(
    ("first", "second", "right"),
    [
        (lambda row: f"{row},50", lambda row: f"{row},250", 1.25),  # a comma that could group thousands elsewhere
        (lambda row: f"{row}.5", lambda row: f"{row},250", None),
        (lambda row: f"${row}", lambda row: f"€{row}", None),
        (lambda row: f"{row} kilo/m", lambda row: f"{row} g/m", None),
        (lambda row: f"{row}.5%", lambda row: f"0.0{row}", None),
        (lambda row: f"1.{row:03d},5", lambda row: f"1.{row:03d}", 1001.0),  # which alone would be a decimal point
    ],
)
def test_targets_of_other_tables_are_read_as_those_of_the_first(
    tmp_path: Path, first: Callable[[int], str], second: Callable[[int], str], right: float | None
) -> None:
    train, val = targets(tmp_path, "a.csv", first), targets(tmp_path, "v.csv", second, 9)
    if right is None:
        with pytest.raises(
            RequestError, match=r"v.csv: column 'y' holds '.*' in row 0 \(from 0\): it must be a number"
        ):
            read_table(train, "y", validation=val)
        return
    data = read_table(train, "y", validation=val)
    assert data.validation is not None
    assert data.validation.target[0] == right


SAID = {
    "leading zeros": (lambda row: f"0{row % 3}", "zeros before numbers such as 01 are lost; --set categories=x takes"),
    "a code for missing": (lambda row: -999 if row % 9 == 0 else row % 5, "'x' holds -999 in 5 rows: --set 'missing=["),
    "a far code": (lambda row: 9999 if row % 9 == 0 else row % 5 - 2, "'x' holds 9999 in 5 rows"),
    "capitals": (lambda row: ("Yes", "no", "yes")[row % 3], "'x' holds 'Yes' and 'yes', which are two categories"),
    "a stray word": (lambda row: "free" if row % 20 == 3 else f"${row % 9}.50", "is 95% numbers with '$' but holds"),
    "a bare number": (lambda row: 12 if row == 3 else f"{row % 9} kg", "is 97% numbers with 'kg' but holds"),
    "a bad date": (
        lambda row: "2015-13-01" if row == 7 else f"2015-{row % 12 + 1:02d}-{row % 28 + 1:02d}",
        "is 97% dates in the format %Y-%m-%d but holds '2015-13-01' in row 7 (from 0): left out",
    ),
    "one value": (lambda row: 7, "'x' holds one value in all rows"),
    "a total": (lambda row: "Total" if row == 39 else "ab"[row % 2], "the last row says 'Total'"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_what_may_be_meant_otherwise_is_said(make: Make, case: str) -> None:
    cell, words = SAID[case]
    assert words in "; ".join(read_table(make(cell), "y").notes)


@pytest.mark.parametrize(
    "cell",
    [
        lambda row: f"1.1.{row % 12}",  # versions
        lambda row: f"{row % 3}:{row % 4}",  # scores
        lambda row: ("2XL", "3XL")[row % 2] + "-",
    ],
)
def test_what_only_looks_like_dates_is_none(make: Make, cell: Callable[[int], Any]) -> None:
    assert [col.name for col in read_table(make(cell), "y", keep="x").inputs] == ["n", "x"]


def test_decimal_marks_of_a_table_belong_together(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "a;b;y\n" + "".join(f"{row % 7},5;{1 + row % 9}.{row * 37 % 1000:03d};{row % 2}\n" for row in range(40))
    )
    assert "'b' is read with decimal points, though 'a' has decimal commas: --set decimal=," in "; ".join(
        read_table(path, "y").notes
    )
    assert column(read_table(path, "y", decimal=","), "b")[1] == 2037
    path.write_text(
        "a;b;y\n" + "".join(f"{row % 7}.5;{1 + row % 9},{row * 37 % 1000:03d};{row % 2}\n" for row in range(40))
    )
    assert column(read_table(path, "y"), "b")[1] == 2037  # beside decimal points a comma groups thousands


def test_a_row_with_a_cell_too_many_is_no_row_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("g,h,y\n" + "".join(f"{row % 3},5,{row},{'pq'[row % 2]}\n" for row in range(20)))
    with pytest.raises(RequestError, match=r"line 2 of t.csv has 4 cells: it must have 3"):
        read_table(path, "y")


def test_local_hours_stay(make: Make) -> None:
    data = read_table(make(lambda row: f"2016-05-0{row % 9 + 1}T2{row % 3}:30:00+02:00"), "y")
    assert column(data, "x hour")[:3] == [20.5, 21.5, 22.5]


def test_keep_is_told_by_its_value() -> None:
    draft = sweepfile.assemble(sweepfile.Draft(), {"data.path": "t.csv"}, ["keep=3", "keep=name"])
    assert draft.table == {"data": {"path": "t.csv", "keep": "name"}, "sweep": {"keep": 3}}
    both = sweepfile.assemble(sweepfile.Draft(), {"data.path": "t.csv"}, ['keep=["a", "b"]', "drop=c,d", "decimal=,"])
    assert both.table["data"] == {"path": "t.csv", "keep": ["a", "b"], "drop": ["c", "d"], "decimal": ","}


@pytest.mark.parametrize(
    "y",
    [
        pd.Categorical(["a", "b"] * 9), pd.Index(["a", "b"] * 9), pd.array(["a", "b"] * 9), pd.Series(["a", "b"] * 9),
        pd.array([0, 1] * 9, dtype="Int64"), pd.Index([0, 1] * 9),
    ],
    ids=lambda y: type(y).__name__,
)  # fmt: skip
def test_targets_may_be_any_array_of_pandas(y: Any) -> None:
    assert Dataset.from_arrays(np.arange(18.0)[:, None], y).classes in (("a", "b"), (0, 1))


def test_targets_that_are_none_are_refused_in_a_sentence() -> None:
    x = np.arange(18.0)[:, None]
    for y in (pd.date_range("2020", periods=18), pd.period_range("2020", periods=18), pd.interval_range(0, 18)):
        with pytest.raises(RequestError, match=r"target 'y' holds a .*: it must be numbers, text or booleans"):
            Dataset.from_arrays(x, y)
    assert Dataset.from_arrays(x, [f"{row},5" for row in range(18)], task="regression").target[1] == 1.5


def test_a_class_may_be_called_na(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("n,y\n" + "".join(f"{row},{('NA', 'EU', 'AS')[row % 3]}\n" for row in range(30)))
    with pytest.raises(RequestError, match="if NA or None is a class, --set categories=y says so"):
        read_table(path, "y")
    assert read_table(path, "y", categories="y").classes == ("AS", "EU", "NA")


def test_dates_as_target_are_refused(tmp_path: Path) -> None:
    path = targets(tmp_path, "t.csv", lambda row: f"2020-01-{row:02d}", 29)
    with pytest.raises(RequestError, match="target 'y' holds dates such as '2020-01-01': it must be numbers"):
        read_table(path, "y")


def test_dates_of_python_and_an_index_with_a_name_are_columns(tmp_path: Path) -> None:
    days = [datetime.date(2020, 1 + row % 12, 1 + row % 28) for row in range(40)]
    frame = pd.DataFrame({"when": days, "n": range(40), "y": ["p", "q"] * 20}).set_index("n")
    frame.to_parquet(tmp_path / "t.parquet")
    data = read_table(tmp_path / "t.parquet", "y")
    assert column(data, "when month") == [day.month for day in days]
    assert column(data, "n") == list(range(40))
    made = Dataset.from_arrays(frame[["when"]], frame["y"])
    assert column(made, "when month") == [day.month for day in days]
    preprocessor = prepare(made).preprocessors[0]
    as_text = preprocessor.transform_table(pd.DataFrame({"when": [str(day) for day in days]}))
    np.testing.assert_array_equal(as_text, preprocessor.transform_table(frame[["when"]]))


def test_groups_need_a_label_in_every_row(make: Make) -> None:
    with pytest.raises(RequestError, match=r"groups of t\.csv has 20 missing values, the first in row 1"):
        read_table(make(lambda row: "" if row % 2 else row), "y", group="x")


def test_unknown_words_of_other_tables_are_said(make: Make) -> None:
    train, val = make(lambda row: "ab"[row % 2]), make(lambda row: "AB"[row % 2], "v.csv", 12)
    data = read_table(train, "y", validation=val)
    (line,) = how_read(data, prepare(data))
    assert "the validation table has words that training did not know" in line


def test_what_is_advised_for_another_table_holds_for_the_first_too(make: Make, tmp_path: Path) -> None:
    other = tmp_path / "v.csv"
    other.write_bytes("n,x,y\n1,é,0\n2,é,1\n".encode("latin-1"))
    with pytest.raises(
        RequestError, match=re.escape("--set encoding=latin-1 (in Python encoding='latin-1'), or save")
    ) as error:
        read_table(make(lambda row: "ab"[row % 2]), "y", validation=other)
    assert str(error.value).endswith("(what is set holds for t.csv too)")

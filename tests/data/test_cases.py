"""Tables as people have them: each is read as its owner means it, or refused in a sentence that says what to do."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shared_data import shared

from jaxsweep.data import Dataset, prepare, read_table
from jaxsweep.errors import RequestError
from jaxsweep.setup import how_read

# file, target, options; then what must hold: rows, task, words of what is said
READ: list[tuple[str, str, dict[str, Any], tuple[int, str, str]]] = [
    ("nba_number_header.tsv", "48", {"drop": ["0"]}, (30, "regression", "'team' (--set keep=team takes it in)")),
    ("avocado_number_header.csv", "AveragePrice", {}, (149, "regression", "'Date' is read as dates")),
    ("years.csv", "2010", {"header": True}, (30, "regression", "10 numbers, 10 features")),
    ("years.csv", "2010", {}, (30, "regression", "10 numbers, 10 features")),
    (
        "bengaluru_ranges.csv", "price", {},
        (186, "regression", "'total_sqft' is 96% numbers but holds '3010 - 3410' in row 7 (from 0): taken as 151"),
    ),
    (
        "bengaluru_ranges.csv", "price", {"numbers": ["total_sqft"]},
        (186, "regression", "6 cells of 'total_sqft', such as '3010 - 3410' in row 7 (from 0), are no numbers"),
    ),
    ("gapminder_semicolon_decimal_comma.txt", "lifeExp", {}, (189, "regression", "as numbers with decimal ','")),
    ("gapminder_pipe_decimal_comma.csv", "lifeExp", {}, (189, "regression", "as numbers with decimal ','")),
    ("titanic_name.csv", "Survived", {}, (189, "classification", """(--set 'keep=["Name", "Cabin"]'""")),
    ("titanic_name_one_twice.csv", "Survived", {}, (189, "classification", "nearly every row has a word of its own")),
    ("planets_comments.csv", "pl_discmethod", {}, (109, "classification", "10 comment lines skipped")),
    ("housing_spaces.data", "13", {}, (150, "regression", "13 numbers, 13 features")),
    ("mpg_rownames_R.txt", "hwy", {}, (149, "regression", "the first column has no name in the header")),
    ("breast_cancer_header_comma.csv", "diagnosis", {}, (149, "classification", "'id' seems to count or name")),
    ("volcano_latin1.csv", "Elev", {"encoding": "latin-1", "missing_target": "drop"}, (151, "regression", "2 rows")),
    ("penguins.csv.gz", "species", {}, (344, "classification", "3 classes")),
    ("penguins.zip", "species", {}, (344, "classification", "3 classes")),
    ("penguins_pipe.csv", "species", {}, (189, "classification", "4 numbers, 2 categories")),
    ("penguins_title.csv", "species", {"skip": 2}, (187, "classification", "4 numbers, 2 categories")),
    ("wwc_float_classes.csv", "tie", {}, (52, "classification", "--task regression takes it as numbers")),
    ("aging_duplicate_names.csv", "Age", {}, (12, "regression", "'Male' occurs again: that column is called 'Male.1'")),
    ("air_minus200.csv", "CO(GT)", {"missing": [-200], "missing_target": "drop"}, (180, "regression", "'Time' is")),
    (
        "jets_title_percent.csv", "% Sales", {"skip": 1, "numbers": ["% Sales"], "missing_target": "drop"},
        (40, "regression", "such as '% Sales' in row 7 (from 0), are no numbers and count as missing"),
    ),
    ("regions_20_rows.csv", "Population, 2021", {"drop": ["Region 2021"]}, (20, "regression", "31 numbers")),
]  # fmt: skip
REFUSED: list[tuple[str, str, str]] = [
    ("volcano_latin1.csv", "Elev", "name its encoding, such as --set encoding=latin-1"),
    ("penguins.feather", "species", "penguins.feather is a Feather file"),
    ("penguins.jsonl", "species", "penguins.jsonl is JSON"),
    ("iris.arff", "class", "iris.arff is an ARFF file"),
    ("penguins_title.csv", "species", "line 1 of penguins_title.csv is a title ('Palmer penguins')"),
    ("penguins_titlecommas.csv", "species", "line 1 of penguins_titlecommas.csv is a title"),
    ("jets_title_percent.csv", "% Sales", "line 1 of jets_title_percent.csv is a title"),
    ("footer.csv", "species", "line 152 of footer.csv has 1 cell: it must have 7, as line 1 has; it is the last line"),
    ("nulbytes.csv", "species", "line 12 of nulbytes.csv holds a NUL character"),
]


@pytest.mark.parametrize(("file", "target", "options", "right"), READ, ids=[f"{row[0]}-{len(row[2])}" for row in READ])
def test_tables_that_are_read(file: str, target: str, options: dict[str, Any], right: tuple[int, str, str]) -> None:
    data = read_table(shared("cases", "files", file), target, **options)
    rows, task, words = right
    assert (data.rows, data.task, data.target_name) == (rows, task, target)
    (line,) = how_read(data, prepare(data, split=(0.6, 0.4, 0.0)))
    assert words in line
    assert "\n" not in line


@pytest.mark.parametrize(("file", "target", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_tables_that_are_refused(file: str, target: str, words: str) -> None:
    with pytest.raises(RequestError, match=re.escape(words)) as caught:
        read_table(shared("cases", "files", file), target)
    assert "\n" not in str(caught.value)


def test_numbers_in_other_forms_are_those_that_are_meant() -> None:
    data = read_table(shared("cases", "files", "gapminder_semicolon_decimal_comma.txt"), "lifeExp")
    assert data.target[:3].tolist() == [28.801, 30.332, 31.997]
    sales = read_table(
        shared("cases", "files", "jets_title_percent.csv"),
        "% Ticket Sold",
        skip=1,
        numbers=[1, 2],
        missing_target="drop",
    )
    assert _column(sales, "% Sales").values[:2].tolist() == [47, 28]
    air = read_table(shared("cases", "files", "air_minus200.csv"), "T", missing=["-200"], missing_target="drop")
    assert np.nanmin(np.stack([column.values for column in air.inputs if "(" in column.name])) > 0


def test_a_wide_column_of_words_is_left_out(tmp_path: Path) -> None:
    maker = shared("cases", "files", "make_wide_category.py")
    subprocess.run([sys.executable, maker], cwd=tmp_path, check=True)
    data = read_table(tmp_path / "wide_category.csv", "price")
    assert [column.name for column in data.inputs] == ["rooms"]
    kept = prepare(read_table(tmp_path / "wide_category.csv", "price", keep=["name"]))
    assert len(kept.feature_names) == 102  # a hundred words, the others together, and rooms


def _column(data: Dataset, name: str) -> Any:
    return next(column for column in data.inputs if column.name == name)

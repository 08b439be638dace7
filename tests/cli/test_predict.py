"""`predict`: which row holds the names, and what is said of words that training did not know."""

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cli_helpers import Out, ok, refused
from safetensors.numpy import load_file, save_file

import jaxsweep as js
from jaxsweep.data import prepare
from jaxsweep.records.model import Model
from jaxsweep.spec.hyperparameters import resolve

YEARS = [str(year) for year in range(2000, 2004)]


def export(folder: Path, data: js.Dataset, header: bool | None = None) -> Path:
    """Export a linear network with random weights; `header` is None as the data say it, else what it should say."""
    prepared = prepare(data)
    shape = len(prepared.feature_names), prepared.n_outputs
    output = {"kernel": np.random.default_rng(0).normal(size=shape), "bias": np.zeros(shape[1])}
    config = resolve({"depth": 0, "batch_size": 1}, data.task, rows=9, image=False)
    model = Model.of(prepared, config, {"output": output}, {})
    (model if header is None else dataclasses.replace(model, header=header)).save(folder / "m")
    return folder / "m"


def write(path: Path, names: list[Any], rows: Any) -> Path:
    lines = [",".join(map(str, row)) for row in ([names] if names else []) + list(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def predictions(model: Path, table: Path) -> list[str]:
    return [row["prediction"] for row in csv.DictReader(io.StringIO(ok("predict", model, table)))]


NUMBERS = np.random.default_rng(0).normal(size=(12, 4)).round(5)


def test_names_that_are_numbers_are_names(tmp_path: Path) -> None:
    data = js.read_table(write(tmp_path / "years.csv", YEARS, NUMBERS), "2003", header=True)
    assert data.named
    model = export(tmp_path, data)
    assert json.loads((model / "model.json").read_text())["header"] is True
    with_names = write(tmp_path / "new.csv", YEARS[:3], NUMBERS[:, :3])
    expected = [str(value) for value in js.load_model(model).predict(NUMBERS[:, :3])]
    assert predictions(model, with_names) == expected
    assert predictions(model, write(tmp_path / "swapped.csv", YEARS[2::-1], NUMBERS[:, 2::-1])) == expected
    assert predictions(model, write(tmp_path / "bare.csv", [], NUMBERS[:, :3])) == expected
    assert len(predictions(model, write(tmp_path / "one.csv", YEARS[:3], NUMBERS[:1, :3]))) == 1


def test_names_that_are_numbers_are_refused_where_they_do_not_fit(tmp_path: Path, capsys: Out) -> None:
    model = export(tmp_path, js.read_table(write(tmp_path / "years.csv", YEARS, NUMBERS), "2003", header=True))
    twice = write(tmp_path / "twice.csv", ["2000", "2001", "2001", "2002"], NUMBERS)
    assert "column name '2001' occurs twice in twice.csv" in refused(capsys, "predict", model, twice)
    less = write(tmp_path / "less.csv", ["2000", "2001"], NUMBERS[:, :2])
    assert "input column '2002' is not in less.csv" in refused(capsys, "predict", model, less)
    none = write(tmp_path / "none.csv", YEARS[:3], [])
    assert "zero rows below its header" in refused(capsys, "predict", model, none)


def test_a_table_without_a_header_has_none_in_prediction_either(tmp_path: Path) -> None:
    data = js.read_table(write(tmp_path / "bare.csv", [], NUMBERS), 3, header=False)
    assert not data.named
    model = export(tmp_path, data)
    assert json.loads((model / "model.json").read_text())["header"] is False
    assert len(predictions(model, write(tmp_path / "new.csv", [], NUMBERS[:, :3]))) == 12
    counted = write(tmp_path / "counted.csv", [], [[0, 1, 2], [2, 1, 0]])  # its first row looks like the names
    assert len(predictions(model, counted)) == 2


def test_folders_that_do_not_say_are_read_as_before(tmp_path: Path) -> None:
    words = js.read_table(write(tmp_path / "words.csv", ["a", "b", "c", "y"], NUMBERS), "y")
    years = js.read_table(write(tmp_path / "years.csv", YEARS, NUMBERS), "2003", header=True)
    for data, names, rows in ((words, ["a", "b", "c"], 12), (years, YEARS[:3], 13)):
        model = export(tmp_path, data)
        document = json.loads((model / "model.json").read_text())
        del document["header"]
        (model / "model.json").write_text(json.dumps(document))
        save_file(load_file(model / "model.safetensors"), model / "model.safetensors")  # nor had they a checksum
        assert len(predictions(model, write(tmp_path / "new.csv", names, NUMBERS[:, :3]))) == rows


def test_a_frame_that_counts_its_columns_takes_tables_with_and_without_names(tmp_path: Path) -> None:
    digits = np.random.default_rng(0).integers(0, 3, (12, 6))
    model = export(tmp_path, js.Dataset.from_arrays(pd.DataFrame(digits), NUMBERS[:, 0]))
    expected = [str(value) for value in js.load_model(model).predict(digits)]
    assert predictions(model, write(tmp_path / "names.csv", list(range(6)), digits)) == expected
    assert predictions(model, write(tmp_path / "bare.csv", [], digits)) == expected  # rows hold 0, 1 and 2 too


def test_parquet_names_its_columns(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(NUMBERS, columns=YEARS)
    frame.to_parquet(tmp_path / "years.parquet")
    data = js.read_table(tmp_path / "years.parquet", "2003")
    assert data.named
    model = export(tmp_path, data)
    expected = [str(value) for value in js.load_model(model).predict(frame)]
    assert predictions(model, tmp_path / "years.parquet") == expected
    assert predictions(model, write(tmp_path / "years.csv", YEARS, NUMBERS)) == expected


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_unknown_words_are_one_line(tmp_path: Path, capsys: Out, task: str) -> None:
    frame = pd.DataFrame({"code": ["1", "2", "x"] * 4, "n": NUMBERS[:, 0]})
    y = ["u", "v"] * 6 if task == "classification" else NUMBERS[:, 1]
    model = export(tmp_path, js.Dataset.from_arrays(frame, y))
    new = write(tmp_path / "new.csv", ["code", "n"], [["1.0", 0], ["2", 1], ["1.0", 2]])
    printed = ok("predict", model, new)
    assert len(printed.splitlines()) == 4
    assert capsys.readouterr().err == (
        "jaxsweep: new.csv has words that training did not know, which count as none of its categories: column 'code' "
        "in 2 of 3 rows ('1.0'; '1.0' is '1', spelled differently as a number; known: '1', '2', 'x')\n"
    )
    ok("predict", model, write(tmp_path / "known.csv", ["code", "n"], [["1", 0], ["", 1]]))
    assert capsys.readouterr().err == ""
    with pytest.warns(UserWarning, match="in 1 of 1 rows") as caught:
        js.load_model(model).predict([["zz", 0.0]])
    assert [warning.filename for warning in caught] == [__file__]

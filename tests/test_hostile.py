"""Files from strangers: they are data, whatever they say they are, and cost no more than they are long."""

import json
import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jaxsweep as js
from jaxsweep.cli import main
from jaxsweep.data import textfile
from jaxsweep.errors import spreadsheet_text
from jaxsweep.records.rundir import TRIALS
from jaxsweep.spec import documents

FIXTURES = Path(__file__).parent / "fixtures"
DEEP = 100_000


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(list(argv)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"x = {'[' * DEEP}{']' * DEEP}", "it is nested too deep"),
        (f"[space]\nwidth = {'9' * 5000}", "is not TOML"),
        (f"# {' ' * documents.LONGEST}", "it has more than 16 MiB"),
    ],
)
def test_sweep_files_are_read_within_bounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    line = refused(capsys, "plan", str(path))
    assert str(path) in line
    assert words in line


def test_a_device_is_no_sweep_file_and_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert "it has more than 16 MiB" in refused(capsys, "plan", "/dev/zero")
    line = refused(capsys, "plan", "--data", "/dev/zero", "--target", "y")
    assert "/dev/zero is a device: it must be a CSV or Parquet file, or a pipe" in line


def test_brackets_in_a_set_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--set width=" in refused(capsys, "plan", "--data", "iris", "--set", f"width={'[' * DEEP}")


def test_a_pipe_is_read_if_somebody_writes_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(textfile, "WRITER_SECONDS", 0.2)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    line = refused(capsys, "plan", "--data", str(pipe), "--target", "y")
    assert f"{pipe} is a pipe into which nobody has written for 0.2 s" in line
    monkeypatch.setattr(textfile, "WRITER_SECONDS", 60)
    rows = "".join(f"{i},{i % 7},{i % 2}\n" for i in range(90_000))  # more than a pipe holds
    writer = threading.Thread(target=lambda: pipe.write_text(f"a,b,y\n{rows}"))
    writer.start()
    data = js.read_table(pipe, target="y")
    writer.join()
    assert data.rows == 90_000


NETWORK = {"task": "classification", "config": {}, "classes": [0, 1]}


@pytest.mark.parametrize(
    "text",
    [
        "[" * DEEP,
        json.dumps({**NETWORK, "config": "../../etc"}),
        json.dumps({**NETWORK, "inputs": [{"name": "x", "mean": float("nan")}]}),
        f'{{"task": "regression", "target": {{"mean": 1{"0" * 400}}}}}',
        " " * documents.LONGEST + "{}",
    ],
)
def test_a_described_network_is_checked(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(js.RequestError, match="broken exported network"):
        js.load_model(tmp_path)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIEW more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT * FROM n",
        "CREATE TRIGGER more AFTER INSERT ON trials BEGIN DELETE FROM trials; END",
        "CREATE VIRTUAL TABLE more USING fts5(text)",
        "ALTER TABLE trials RENAME TO kept; CREATE VIEW trials AS SELECT * FROM kept",
    ],
)
def test_a_database_with_more_than_tables_is_refused(tmp_path: Path, sql: str) -> None:
    run = shutil.copytree(FIXTURES / "run_format_2", tmp_path / "run")
    assert len(js.load(run).trials) == 6
    with closing(sqlite3.connect(run / TRIALS)) as db:
        db.executescript(sql)
    with pytest.raises(js.RequestError, match=r"is no database of a run: it has '\w+', which no run has"):
        js.load(run)


def test_files_of_a_run_that_are_none_do_not_hang(tmp_path: Path) -> None:
    for name in ("sweep.toml", TRIALS):
        run = shutil.copytree(FIXTURES / "run_format_2", tmp_path / name)
        (run / name).unlink()
        os.mkfifo(run / name)
        with pytest.raises(js.RequestError, match="is no run directory: it must hold"):
            js.load(run)


def test_formulas_in_csv_are_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels and names of columns, in what `predict` writes; numbers and single signs stay."""
    assert [spreadsheet_text(each) for each in ("=1+1", "@x", "+SUM(A1)", "-x", "\tx")] == [
        "'=1+1", "'@x", "'+SUM(A1)", "'-x", "'\tx",
    ]  # fmt: skip
    for plain in ("-1", "+1.5", "-inf", "+", "-", "", "a=b", "1e-3"):
        assert spreadsheet_text(plain) == plain
    dice = np.random.default_rng(0)
    table = pd.DataFrame({"=cmd()": dice.normal(size=60), "y": np.where(np.arange(60) % 2, "=HYPERLINK(1)", "fine")})
    table.to_csv(tmp_path / "table.csv", index=False)
    result = js.sweep(
        js.read_table(tmp_path / "table.csv", target="y"), configs=[{"epochs": 2, "width": 4}], progress=False
    )
    result.model().save(tmp_path / "model")
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "model"), str(tmp_path / "table.csv")]) == 0
    printed = capsys.readouterr().out
    assert not [cell for line in printed.splitlines() for cell in line.split(",") if cell.startswith("=")]
    assert set(pd.read_csv(tmp_path / "table.csv")["y"]) == {"=HYPERLINK(1)", "fine"}

"""Files from strangers: they are data, whatever they say they are, and cost no more than they are long."""

import json
import os
import shutil
import sqlite3
import struct
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

import jaxsweep as js
from jaxsweep.cli import checks, main, models
from jaxsweep.data import textfile
from jaxsweep.doctor import Finding
from jaxsweep.errors import nearest, shown, spreadsheet_text, suggestion
from jaxsweep.records.files import cell
from jaxsweep.records.rundir import TRIALS, seal
from jaxsweep.report.words import short
from jaxsweep.spec import databases, documents, studies

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
        (f"a{'.a' * 20_000} = 1", "it has a key of 20,001 parts: one may have 64"),
        (f"[space.'a'{' . a' * 100}]", "it has a key of 102 parts"),
        (f"[space]\nwidth{'.a' * 60} = {'{ a = ' * 10}1{' }' * 10}", "it is nested too deep"),
        (f"[sweep]\ninitial = [{{ depth{'.a' * 63} = 1 }}]", "it is nested too deep"),
        (f"configs = {'[' * 65}{']' * 65}", "it is nested too deep"),
        (f"[space]\nwidth = 0x{'f' * 5000}", "it has an integer of 20,000 bits"),
        ("".join(f"[a{i}]\n" for i in range(200_001)), "it has 200,001 headers and parts of dotted keys"),
        ("".join(f"a{i}.b = 1\n" for i in range(200_001)), "it has 200,001 headers and parts of dotted keys"),
        (f"[{'x' * 100_000}]", "unknown section or key 'xxx"),
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
    assert len(line) < 2500


IRIS = "[data]\nname = 'iris'\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{IRIS}split = [nan, 1, 1]", "split = [nan, 1, 1] is not legal"),
        (f"{IRIS}[sweep]\nreplicates = {'9' * 400}", "are too many: one sweep has at most 10,000,000"),
        (f"{IRIS}[sweep]\nkeep = {'9' * 400}", "are too many: one sweep has at most 10,000,000"),
        (f"{IRIS}[sweep]\nreplicates = 1000\nfolds = 1000", "a trial has 1,000,000 networks"),
        (f"{IRIS}[sweep]\nfolds = {'9' * 400}", "networks"),
        (f"{IRIS}[sweep]\nsearch = '{'x' * 100_000}'", "unknown searcher 'xxx"),
        (f"{IRIS}[space]\n{'x' * 100_000} = 1", "unknown hyperparameter 'xxx"),
        (f"{IRIS}[sweep]\nobjective = {'9' * 300}", "objective = 999"),
    ],
)
def test_numbers_and_names_of_sweep_files_have_bounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    (tmp_path / "sweep.toml").write_text(text)
    line = refused(capsys, "plan", str(tmp_path / "sweep.toml"))
    assert words in line
    assert len(line) < 2500


@pytest.mark.parametrize(
    "value",
    [
        f'"{"a." * 200}"', f"'{'a.' * 200}' # {'a.' * 200}a = 1", f'"""\n{"a." * 200}\n\\""" {"a." * 200}a = 1"""""',
        f"'''\n{'a.' * 200}a = 1\n'''''", f'["\\"", "{"a." * 200}a = ", [{"0.5, " * 200}]] # {"[" * 300}',
    ],
)  # fmt: skip
def test_points_in_strings_and_numbers_are_no_keys(value: str) -> None:
    assert list(documents.toml(f"[a]\nx = {value}\ny = 1")["a"]) == ["x", "y"]


def test_a_run_and_a_set_are_read_within_the_same_bounds(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--set width" in refused(capsys, "plan", "--data", "iris", "--set", f"width={{a{'.a' * 3000}=1}}")
    with closing(sqlite3.connect(run / TRIALS)) as db, db:
        db.execute("UPDATE trials SET config = ? WHERE trial = 2", (f'{{"x": {"[" * 100}{"]" * 100}}}',))
    refused(capsys, "show", str(run))
    changed(run, "[sweep]", f"[sweep{'.a' * 20_000}]\n[sweep]")
    assert "it has a key of 20,001 parts" in refused(capsys, "show", str(run))


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
    for line in (["plan", "--data", str(pipe), "--target", "y"], ["plan", str(pipe)]):
        assert f"{pipe} is a pipe into which nobody has written for 0.2 s" in refused(capsys, *line)
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


# --- run directories ---------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / "run_format_4", tmp_path / "run"))


def states(folder: Path) -> dict[Path, tuple[int, int]]:
    """When each file of a folder was last written, and its size."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.rglob("*")]}


@pytest.mark.parametrize("name", ["models", "models/5", "checkpoints", "writer.lock", "sweep.toml", "trials.sqlite"])
def test_what_leads_out_of_a_run_directory_is_refused(
    run: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing behind a link is written or removed, also where a new run is to begin."""
    outside = tmp_path / "outside"
    if (run / name).exists():
        shutil.move(run / name, outside)
    elif name == "checkpoints":
        (outside / "photos").mkdir(parents=True)
        (outside / "mail.new").write_text("mine")
    else:
        outside.write_text("mine")
    (run / name).symlink_to(outside)
    before = states(outside)
    with pytest.raises(js.RequestError, match=f"{name} is a link, which no run directory has"):
        js.resume(run, trials=8, progress=False)
    assert f"{name} is a link" in refused(capsys, "run", "--data", "iris", "--trials", "2", "--out", str(run))
    assert states(outside) == before


def test_what_lies_beside_a_sweep_file_is_not_written_through(run: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("mine")
    (run / "sweep.toml.new").symlink_to(tmp_path / "outside")
    js.resume(run, trials=7, progress=False)
    assert (tmp_path / "outside").read_text() == "mine"
    assert not (run / "sweep.toml").is_symlink()


def journal_that_removes(victim: Path, database: Path) -> Path:
    """A journal beside a database, of which SQLite would remove a file when it plays it back."""
    name, magic = str(victim).encode(), bytes.fromhex("d9d505f920a163d7")
    pages = database.stat().st_size // 4096
    head = (magic + struct.pack(">IIIII", 0, 0, pages, 512, 4096)).ljust(512, b"\0")
    end = struct.pack(">II", len(name), sum(name)) + magic
    journal = database.with_name(f"{database.name}-journal")
    journal.write_bytes(head + struct.pack(">I", 0x40000000 // 4096 + 1) + name + end)
    return journal


def test_a_journal_that_no_run_has_is_not_played_back(run: Path, tmp_path: Path) -> None:
    """SQLite would put its pages into the database, and remove a file that it names."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    with closing(sqlite3.connect(run / TRIALS)) as db:
        db.execute("PRAGMA journal_mode=DELETE")
    journal = journal_that_removes(victim, run / TRIALS)
    for use in (js.load, js.resume, lambda path: js.sweep("iris", {"epochs": 1}, trials=1, out=path, progress=False)):
        with pytest.raises(js.RequestError, match=r"is of no run, whose journal is another|already holds a run"):
            use(run)
    assert victim.read_text() == "mine"
    assert journal.exists()


def test_columns_that_are_computed_are_refused(run: Path) -> None:
    with closing(sqlite3.connect(run / TRIALS)) as db:
        db.executescript(
            "ALTER TABLE trials RENAME COLUMN config TO kept; ALTER TABLE trials "
            "ADD COLUMN config TEXT GENERATED ALWAYS AS (printf('%.*c', 900000000, 'x')) VIRTUAL"
        )
    with pytest.raises(js.RequestError, match="'trials' has columns that no run has"):
        js.load(run)


ESCAPE = "\u001b[2J<script>alert(1)</script>"


def changed(run: Path, old: str, new: str) -> Path:
    path = run / "sweep.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return run


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('objective = "val_accuracy"', f"objective = {json.dumps('val_' + ESCAPE)}", "the run measured train_loss,"),
        ('objective = "val_accuracy"', 'objective = "wal_accuracy"', "the run measured train_loss,"),
        ('objective = "val_accuracy"', 'objective = "val_loss"', "and the run began with 'val_accuracy'"),
        ("seed = 4", "seed = 5", "asks for seed = 5, and the run began with 4"),
        ('task = "classification"', 'task = "regression"', "says task = 'regression', and the run began with"),
        ("dropout = { uniform = [0.0, 0.5] }", "dropout = 0.5", r"space = Space\(dropout=.*0.5.*began with Space\(dr"),
        ("rules = 2", 'rules = "x"', "has something that no run has"),
        ("rules = 2", "rules = inf", "has something that no run has"),
        ("tables = 2", "tables = []", "has something that no run has"),
        ("[sweep]", "[sweep]\ninitial = 3", "cannot be read as a run directory"),
        ("[sweep]", "[sweep]\ninitial = [3]", "cannot be read as a run directory"),
    ],
)
def test_a_sweep_file_that_is_not_the_runs_is_refused_by_all(
    run: Path, old: str, new: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(run, old, new)
    with pytest.raises(js.RequestError, match=words) as raised:
        js.load(run)
    assert str(run) in str(raised.value)
    for command in ("show", "resume"):
        assert "\x1b" not in refused(capsys, command, str(run))


@pytest.mark.parametrize("name", ["run", "versions"])
def test_tables_of_a_sweep_file_that_are_none_are_refused(run: Path, name: str) -> None:
    text = (run / "sweep.toml").read_text()
    head, _, _ = text.partition("\n[run]\n")
    (run / "sweep.toml").write_text(f"{name} = 3\n{head}")
    with pytest.raises(js.RequestError, match="cannot be read as a run directory"):
        js.load(run)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("notes", "5"), ("notes", "[5]"), ("trials", "5"), ("seconds", "5"), ("seconds", '{"a": "x"}'), ("status", "5"),
    ],
)  # fmt: skip
def test_what_a_run_came_to_is_of_its_kinds(run: Path, key: str, value: str) -> None:
    with closing(sqlite3.connect(run / TRIALS)) as db, db:
        db.execute("INSERT OR REPLACE INTO summary VALUES (?, ?)", (key, value))
    with pytest.raises(js.RequestError, match=f"is damaged: {key} of what its run came to"):
        js.load(run)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", ESCAPE), ("epochs_done", float("inf")), ("metrics", f'{{"val_loss": 1{"0" * 400}}}'),
        ("config", '{"depth": null}'), ("config", f'{{"width": {"[" * 60}{"]" * 60}}}'), ("config", '{"optimizer": 5}'),
    ],
)  # fmt: skip
def test_rows_that_somebody_has_sealed_are_checked_too(run: Path, column: str, value: object) -> None:
    names = "trial, status, score, spread, epochs_done, seconds, metrics, config"
    with closing(sqlite3.connect(run / TRIALS)) as db, db:
        db.execute(f"UPDATE trials SET {column} = ? WHERE trial = 2", (value,))
        row = db.execute(f"SELECT {names} FROM trials WHERE trial = 2").fetchall()
        db.execute("UPDATE seals SET row = ? WHERE trial = 2", (seal(row),))
        db.execute("INSERT INTO seals VALUES (NULL, 1, 1, NULL)")
    with pytest.raises(js.RequestError, match="is damaged: what it has of trial 2"):
        js.load(run)


@pytest.mark.parametrize("number", [None, "../../victim", -1, 2.5])
def test_trials_have_numbers(run: Path, number: object, capsys: pytest.CaptureFixture[str]) -> None:
    """They name folders. Of format 3, which has no checksums."""
    changed(run, "[sweep]", "[sweep]")
    with closing(sqlite3.connect(run / TRIALS)) as db, db:
        rows = db.execute("SELECT * FROM trials").fetchall()
        db.execute("DROP TABLE trials")
        db.execute("CREATE TABLE trials (trial, status, score, spread, epochs_done, seconds, metrics, config)")
        db.executemany("INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [(number, *rows[0][1:]), *rows[1:]])
        db.execute("DROP TABLE seals")
        db.execute("PRAGMA user_version = 3")
    for command in ("show", "resume"):
        assert "trials.sqlite is damaged: what it has of trial" in refused(capsys, command, str(run))


def test_what_a_run_has_not_measured_is_not_known(run: Path) -> None:
    with closing(sqlite3.connect(run / TRIALS)) as db, db:
        db.execute("UPDATE trials SET metrics = '{}'")
        db.execute("DROP TABLE seals")
        db.execute("PRAGMA user_version = 3")
    assert js.load(run).to_pandas()["train_loss"].isna().all()
    assert main(["show", str(run)]) == 0


def test_a_database_behind_a_link_is_not_read(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To read it SQLite would make files beside it."""
    (tmp_path / "outside").mkdir()
    shutil.move(run / TRIALS, tmp_path / "outside" / "victim")
    (run / TRIALS).symlink_to(tmp_path / "outside" / "victim")
    (run / f"{TRIALS}-wal").touch()
    assert "trials.sqlite is a link" in refused(capsys, "show", str(run))
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["victim"]


def test_networks_of_a_run_are_those_that_were_kept(run: Path) -> None:
    result = js.load(run)
    (number,) = result.models
    weights = run / "models" / str(number) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(js.RequestError, match="their checksum is another one"):
        js.load(run).models[number]
    shutil.rmtree(run / "models" / str(number))
    other = next(trial.id for trial in result.trials if trial.id != number)
    result.model(other).save(run / "models" / str(number))
    with pytest.raises(js.RequestError, match=f"is not the network of trial {number}: its config is another one"):
        js.load(run).models[number]


def test_missing_trials_are_said_by_whoever_looks(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(run / TRIALS)) as db, db:
        db.execute("DELETE FROM trials WHERE trial = 0")
    for command in (["show", str(run)], ["export", str(run), "--out", str(tmp_path / "model")]):
        assert main(command) == 0
        assert "had trial 0 more, which somebody or something has removed" in capsys.readouterr().err


def test_an_index_that_is_damaged_is_found_before_anything_trains(run: Path) -> None:
    with closing(sqlite3.connect(run / TRIALS)) as db:
        (page,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name LIKE 'sqlite_autoindex_summary%'"
        ).fetchone()
    content = bytearray((run / TRIALS).read_bytes())
    content[(page - 1) * 4096 : page * 4096] = bytes(4096)
    (run / TRIALS).write_bytes(content)
    with pytest.raises((js.RequestError, OSError), match=TRIALS):
        js.resume(run, trials=8, progress=False)
    assert (run / TRIALS).read_bytes() == content


# --- what a terminal, a spreadsheet and a page are shown ---------------------------------------------------------


def test_labels_do_not_move_the_cursor(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in short(ESCAPE)
    assert main(["show", str(run), "--format", "csv"]) == 0
    assert "\x1b" not in capsys.readouterr().out
    assert cell(f"={ESCAPE}") == "'=" + "\\x1b[2J<script>alert(1)</script>"


def test_names_of_folders_do_not_move_the_cursor(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5,3,4,1\n6,3,4,2\n")
    model = next((run / "models").iterdir())
    assert main(["predict", str(model), str(table), "--out", str(tmp_path / "o\x1b[2J")]) == 0
    assert "2 predictions are in" in (said := capsys.readouterr().err)
    assert "\x1b" not in said
    monkeypatch.setattr(checks, "examine", lambda: [Finding("cache", False, ESCAPE)])
    assert main(["doctor"]) == 1
    shown_and_said = capsys.readouterr()
    assert "\\x1b[2J" in shown_and_said.out
    assert "\x1b" not in shown_and_said.out + shown_and_said.err


# --- networks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"), [("classes", [[1], {}, 2]), ("classes", 3), ("inputs", [{"name": "x", "mean": 10**400}])]
)
def test_a_network_of_odd_words_and_numbers_is_refused(run: Path, key: str, value: object) -> None:
    folder = next((run / "models").iterdir())
    document = json.loads((folder / "model.json").read_text())
    if key == "inputs":
        document["inputs"][0] |= {"mean": 10**400}
    else:
        document[key] = value
    (folder / "model.json").write_text(json.dumps(document))
    with pytest.raises(js.RequestError, match="broken exported network"):
        js.load_model(folder)


@pytest.mark.parametrize("dtype", ["BF16", "F8_E5M2"])
def test_a_network_of_numbers_that_numpy_lacks_is_refused(run: Path, dtype: str) -> None:
    folder = next((run / "models").iterdir())
    head = json.dumps({"output/bias": {"dtype": dtype, "shape": [2], "data_offsets": [0, 4 if dtype == "BF16" else 2]}})
    content = len(head).to_bytes(8, "little") + head.encode() + bytes(4 if dtype == "BF16" else 2)
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(js.RequestError, match="broken exported network"):
        js.load_model(folder)


@pytest.mark.parametrize(
    "change", [{"classes": ["a", "b\ud800", "c"]}, {"table": {"missing": "\ud800"}}, {"table": {"encoding": "\udfff"}}]
)
def test_a_network_of_words_that_are_no_text_is_refused(run: Path, change: dict[str, object]) -> None:
    folder = next((run / "models").iterdir())
    document = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**document, **change}))
    with pytest.raises(js.RequestError, match="broken exported network"):
        js.load_model(folder)
    y = np.array(["a\ud800", "b"] * 30, dtype=object)
    with pytest.raises(js.RequestError, match=r"have the word 'a\\ud800', which is no text"):
        js.sweep((np.arange(60.0).reshape(60, 1), y), configs=[{"epochs": 1}], progress=False)


@pytest.mark.parametrize("key", ["mean", "kind", "name"])
def test_what_is_said_of_a_network_is_short(run: Path, key: str) -> None:
    folder = next((run / "models").iterdir())
    document = json.loads((folder / "model.json").read_text())
    document["inputs"][0][key] = "x" * 100_000
    (folder / "model.json").write_text(json.dumps(document))
    with pytest.raises(js.RequestError) as raised:
        js.load_model(folder)
    assert len(str(raised.value)) < 2500


def test_predictions_that_are_no_numbers_are_said(run: Path) -> None:
    model = js.load_model(next((run / "models").iterdir()))
    assert isinstance(model, js.Model)
    rows = np.array([[5.0, 3, 4, 1], [6.0, 3, 4, 2], [7.0, 3, 5, 2]])
    assert len(model.predict(rows)) == 3
    huge = {
        layer: {name: np.full(value.shape, 1e308) for name, value in own.items()} for layer, own in model.params.items()
    }
    model = replace(model, params=huge)
    with pytest.warns(RuntimeWarning, match=r"no finite numbers for \d of 3 rows, the first of them row \d \(from 0\)"):
        assert len(model.predict(rows)) == 3


def test_an_interrupted_predict_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "umask", stop)
    with pytest.raises(KeyboardInterrupt):
        models._write(tmp_path / "o.csv", "prediction\n")
    assert list(tmp_path.iterdir()) == []


# --- studies -----------------------------------------------------------------------------------------------------


def test_a_study_is_read_and_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as db, db:
        db.execute("CREATE TABLE mine (x)")
    content = other.read_bytes()
    line = ["plan", "--data", "iris", "--trials", "2", "--warm-start"]
    assert "has no studies of Optuna" in refused(capsys, *line, f"sqlite:///{other}#x")
    assert other.read_bytes() == content
    for url in (f"sqlite+pysqlite:///{tmp_path}/new.db", "mysql+os://x/y", f"sqlite:///{tmp_path}/new.db"):
        words = refused(capsys, *line, f"{url}#x")
        assert "is no file of SQLite: write sqlite:///FILE#NAME" in words or "does not exist" in words
    assert not (tmp_path / "new.db").exists()


@pytest.fixture
def studied(tmp_path: Path) -> Path:
    """A file with a study `x` of a trial, alone in its folder."""
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "s.db"
    with studies.quiet():
        study = optuna.create_study(storage=f"sqlite:///{path}", study_name="x", direction="maximize")
        kinds: dict[str, Any] = {"learning_rate": optuna.distributions.FloatDistribution(1e-4, 0.1, log=True)}
        study.add_trial(optuna.trial.create_trial(params={"learning_rate": 0.01}, distributions=kinds, value=0.5))
    study._storage._backend.engine.dispose()  # type: ignore[attr-defined]
    return path


@pytest.mark.parametrize("options", ["", "?x=1"])
def test_a_journal_beside_a_study_is_not_played_back(
    studied: Path, tmp_path: Path, options: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "PAUSE", 0.0)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    if options:
        shutil.copy(studied, f"{studied}{options}")  # for who takes the URL by its letters
    journal_that_removes(victim, studied)
    before = states(studied.parent)
    line = refused(capsys, "plan", "--data", "iris", "--trials", "2", "--warm-start", f"sqlite:///{studied}{options}#x")
    assert ("has a question mark" if options else "s.db-journal, of somebody who writes into it") in line
    assert victim.read_text() == "mine"
    assert states(studied.parent) == before


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("CREATE VIEW more AS SELECT 1", "it has 'more', which no study has"),
        (
            "DELETE FROM version_info; CREATE TRIGGER more AFTER INSERT ON version_info BEGIN DELETE FROM trials; END",
            "it has 'more', which no study has",
        ),
        (
            "ALTER TABLE trials RENAME TO kept; CREATE VIEW trials AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
            "SELECT i + 1 FROM n) SELECT i AS trial_id, i AS number, 1 AS study_id, 'COMPLETE' AS state FROM n",
            "it has 'trials', which no study has",
        ),
        (
            "ALTER TABLE trials RENAME COLUMN state TO kept; ALTER TABLE trials ADD COLUMN state TEXT AS "
            "(printf('%.*c', 900000000, 'x'))",
            "'trials' has columns that no study has",
        ),
        (
            f"ALTER TABLE study_user_attributes ADD COLUMN more TEXT DEFAULT '{'x' * 900_000}'",
            "'study_user_attributes' has columns that no study has",
        ),
        ("UPDATE trial_params SET distribution_json = 'x'", "cannot be read (JSONDecodeError"),
    ],
)
def test_a_study_is_data(studied: Path, sql: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(studied)) as db:
        db.executescript(sql)
    before = states(studied.parent)
    line = refused(capsys, "plan", "--data", "iris", "--trials", "2", "--warm-start", f"sqlite:///{studied}#x")
    assert words in line
    assert len(line) < 600
    assert states(studied.parent) == before


# --- cells -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [[], ["--task", "regression"], ["--task", "classification"]])
@pytest.mark.parametrize("cell", ["9" * 5000, "9" * 400, "-" + "9" * 5000, "x" * 100_000])
def test_long_cells_of_a_target(tmp_path: Path, capsys: pytest.CaptureFixture[str], cell: str, task: list[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{i % 7},{cell if i % 2 else i}\n" for i in range(60)))
    main(["plan", "--data", str(path), "--target", "y", "--trials", "1", *task])
    assert max(map(len, capsys.readouterr().err.splitlines()), default=0) < 2500
    if cell[-1] == "9":
        assert "the value " in refused(capsys, "plan", "--data", str(path), "--target", "y", *task)
    assert "is not in t.csv" in refused(capsys, "plan", "--data", str(path), "--target", "9" * 5000)


@pytest.mark.parametrize(
    "content", [b"BZh9", b"BZh91AY&SY", b"\x1f\x8b", b"PK\x03\x04", b"\xfd7zXZ\0", b"PK\x03\x04" * 40]
)
def test_beginnings_of_archives(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    assert "cannot be unpacked" in refused(capsys, "plan", "--data", str(tmp_path / "t.csv"), "--target", "y")


@pytest.mark.parametrize("encoding", ["a\0b", "x" * 100_000, "hex", "undefined", "punycode", "IDNA"])
def test_encodings_that_there_are_not(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,0\n2,1\n")
    with pytest.raises(js.RequestError, match=r"is not known|is not text") as raised:
        js.read_table(tmp_path / "t.csv", target="y", encoding=encoding)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    "lie",
    [
        {}, [], {"index_columns": ["zz"], "columns": [], "column_indexes": []},
        {"index_columns": [5], "columns": [5], "column_indexes": [5]},
        {"index_columns": [{"kind": "range"}], "columns": [], "column_indexes": []},
        {"index_columns": [], "columns": [{"name": "a", "numpy_type": "x"}], "column_indexes": [{"pandas_type": "x"}]},
    ],
)  # fmt: skip
def test_parquet_that_lies_to_pandas(tmp_path: Path, lie: object) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    table = pyarrow.table({"a": [1.5, 2.5, 3.0] * 20, "y": [0, 1, 0] * 20})
    for text in (json.dumps(lie).encode(), b"\xff", b"[" * 100_000):
        parquet.write_table(table.replace_schema_metadata({"pandas": text}), path)
        said = "cannot be read as Parquet"
        try:
            rows = js.read_table(path, target="y").rows
        except js.RequestError as error:
            rows, said = 60, str(error)
        assert rows == 60
        assert "cannot be read as Parquet" in said


def test_near_names_are_looked_for_within_bounds() -> None:
    assert nearest("x" * 100_000, ["x" * 99_999]) is None
    assert nearest("lerning_rate", ["x" * 100_000, "learning_rate"]) == "learning_rate"
    listed = suggestion("q", [f"column {number} {'x' * 1000}" for number in range(1000)])
    assert listed.startswith("; known: column 0 xxx")
    assert listed.endswith(", ...")
    assert len(listed) < 1500
    assert suggestion("q", ["a", "b"]) == "; known: a, b"
    assert len(str(js.RequestError("x" * 100_000))) < 2500
    assert len(shown([["x" * 1000] * 1000] * 1000)) <= 300
    assert shown(1 << 100_000) == "an integer of 100,001 bits"


# --- names -------------------------------------------------------------------------------------------------------


def test_names_that_are_not_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = os.fsdecode(os.fsencode(tmp_path) + b"/e_\xff")
    line = ["run", "--data", "iris", "--trials", "1", "--set", "epochs=1", "--set", "width=4", "--quiet", "--out", out]
    assert main(line) == 0
    assert len(js.load(out).trials) == 1
    table = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d_\xff.csv"))
    table.write_text("a,y\n" + "1,0\n2,1\n" * 20)
    capsys.readouterr()
    assert "has a name that is not UTF-8" in refused(capsys, "plan", "--data", str(table), "--target", "y")

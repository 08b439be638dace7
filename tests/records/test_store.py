"""The run directory while it is written: who may read, what is there at any time, and what a crash cannot undo."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import jaxsweep as js
from jaxsweep import loop, recording, watching
from jaxsweep.data import prepare
from jaxsweep.engine.outcome import Job, LaneResult
from jaxsweep.records.model import Model, load_model
from jaxsweep.records.rundir import FORMAT, reading
from jaxsweep.records.store import Store
from jaxsweep.records.stored import load
from jaxsweep.records.trials import Trial, best_first
from jaxsweep.report import tables
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.spec.hyperparameters import resolve
from jaxsweep.spec.request import Request

CONFIG = resolve({"depth": 0}, "classification", 100)
VALUES = tuple(CONFIG.values())
LINEAR = {"depth": 0, "batch_size": 10, "epochs": 2}


def finished(number: int) -> tuple[Trial, list[LaneResult]]:
    """Return a trial of one lane whose curves are `number` + 0.25 and `number` + 0.75, two metrics each."""
    curves = np.full((2, 2), [[number + 0.25], [number + 0.75]])
    trial = Trial(number, "completed", number / 8, 0.0, 2, 1.0, {"val_loss": 0.5}, VALUES)
    return trial, [LaneResult(Job(0, number, 0, 0), "completed", 2, curves, None, 1.0)]


def reader(run: Path) -> sqlite3.Connection:
    """Return a connection that reads, begins and ends transactions only when told, and does not wait for locks."""
    connection = sqlite3.connect(f"file:{run / 'trials.sqlite'}?mode=ro", uri=True, timeout=0, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 0")
    return connection


def trials(connection: sqlite3.Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT trial FROM trials ORDER BY trial")]


# --- readers and the writer --------------------------------------------------------------------------------------


def test_readers_and_the_writer_do_not_wait_for_each_other(tmp_path: Path) -> None:
    store = Store(tmp_path / "run", "", ("train_loss", "val_loss"))
    store._db.execute("PRAGMA busy_timeout = 0")
    with closing(store), closing(reader(tmp_path / "run")) as db, closing(reader(tmp_path / "run")) as other:
        store.record([finished(0)])
        db.execute("BEGIN")
        assert trials(db) == [0]
        store.record([finished(1), finished(2)])  # while somebody reads
        assert trials(db) == [0]  # who goes on to see what there was
        assert trials(other) == [0, 1, 2]
        db.execute("COMMIT")
        assert trials(db) == [0, 1, 2]
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_trial_comes_with_its_learning_curves(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "run", "", ("train_loss", "val_loss"))) as store:
        store.record([finished(3)])
        with closing(reader(tmp_path / "run")) as db:
            assert db.execute("SELECT status, score, config FROM trials").fetchall() == [
                ("completed", 3 / 8, json.dumps(CONFIG))
            ]
            rows = db.execute("SELECT trial, epochs, train_loss, val_loss FROM evaluations").fetchall()
    ((number, epochs, *curves),) = rows
    assert (number, epochs) == (3, 2)
    assert [np.frombuffer(curve, "<f8").tolist() for curve in curves] == [[3.25, 3.75]] * 2


def test_configs_are_written_as_json_has_them(tmp_path: Path) -> None:
    """One after the other differs in little, or in the contents of a list that is the same object."""
    widths = [4, 5]
    changes: list[dict[str, Any]] = [
        {}, {"learning_rate": 1e-05}, {"learning_rate": 0.1, "nesterov": True}, {"width": widths, "depth": 2},
        {"width": widths, "depth": 2}, {"width": 3}, {"optimizer": "sgd"}, {"l2": float("nan")}, {},
    ]  # fmt: skip
    with closing(Store(tmp_path / "run", "", ("train_loss", "val_loss"))) as store:
        for number, change in enumerate(changes):
            trial, lanes = finished(number)
            trial.values = tuple({**CONFIG, **change}.values())
            trial.later = {'a "new" one': 1.5} if number % 2 else {}
            trial.metrics = {'val_"own"': float("inf"), "val_loss": 1e300}
            store.record([(trial, lanes)])
            row = store._db.execute("SELECT metrics, config FROM trials WHERE trial = ?", (number,)).fetchone()
            assert row == (json.dumps({'val_"own"': None, "val_loss": 1e300}), json.dumps(trial.config))
            if isinstance(change.get("width"), list):
                widths[0] += 1


def test_trials_are_recorded_together_or_not_at_all(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "run", "", ("train_loss", "val_loss"))) as store:
        store.record([finished(0)])
        with pytest.raises(sqlite3.IntegrityError):
            store.record([finished(1), finished(0)])  # a number that is taken
        with closing(reader(tmp_path / "run")) as db:
            assert trials(db) == [0]
            assert db.execute("SELECT trial FROM evaluations").fetchall() == [(0,)]


def test_a_closed_store_leaves_no_journal(tmp_path: Path) -> None:
    store = Store(tmp_path / "run", "text", ("train_loss", "val_loss"))
    store.record([finished(0)])
    store.close()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["models", "sweep.toml", "trials.sqlite"]


# --- while a sweep runs ------------------------------------------------------------------------------------------


class Reader(Progress):
    """Reads the run directory at every state that is shown; between two of them a clock of its own moves by 0.03 s."""

    def __init__(self, run: Path) -> None:
        self.run, self.now = run, 0.0
        self.seen: list[tuple[int, int]] = []  # trials that were shown as finished, and as diverged

    def update(self, snapshot: Snapshot) -> None:
        self.seen.append((snapshot.finished, snapshot.diverged))
        self.now += 0.03
        with closing(reader(self.run)) as db:
            rows = db.execute("SELECT trial, status, score, config FROM trials").fetchall()
            with_curves = {number for (number,) in db.execute("SELECT trial FROM evaluations")}
        scores = {number: score for number, _, score, _ in rows if score is not None}
        assert len(rows) >= snapshot.finished
        assert [status for _, status, _, _ in rows].count("diverged") >= snapshot.diverged
        assert with_curves == {number for number, *_ in rows}
        assert snapshot.best_score == scores.get(snapshot.best_trial)  # both are None before the first
        if snapshot.best_trial is not None:
            (rate,) = (
                json.loads(config)["learning_rate"] for number, *_, config in rows if number == snapshot.best_trial
            )
            assert snapshot.best_params["learning_rate"] == rate
            assert load_model(self.run / "models" / str(snapshot.best_trial)).config["learning_rate"] == rate

    close = update


def test_whatever_is_shown_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener, record = Reader(tmp_path / "run"), Store.record
    commits: list[int] = []  # trials of each

    def recorded(store: Store, finished: list[Any]) -> None:
        commits.append(len(finished))
        record(store, finished)

    for module in (loop, recording, watching):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: listener.now))
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.0)  # this clock goes on with every look
    monkeypatch.setattr(Store, "record", recorded)
    configs = tuple({**LINEAR, "learning_rate": 1e38 if i == 5 else 0.01 * (i + 1)} for i in range(40))
    loop.execute(dataset(), Request(configs=configs, keep=40, split=(0.6, 0.4, 0.0)), tmp_path / "run", listener)
    assert listener.seen[-1] == (40, 1)
    assert commits[0] == 1  # the first at once
    assert 4 <= len(commits) <= 12  # the others together: a commit each would cost more than such trials do
    assert sum(commits) == 40


def dataset() -> js.Dataset:
    return js.Dataset.from_arrays(np.random.default_rng(0).normal(size=(100, 3)), np.arange(100) % 4)


REPORTS = """
import sys
from pathlib import Path
import jaxsweep as js
from jaxsweep.loop import execute
from jaxsweep.report.progress import Progress
from jaxsweep.spec.request import Request

class Reports(Progress):
    def update(self, snapshot):
        print(snapshot.finished, snapshot.best_trial, flush=True)

epochs = [2] * 20 + [1_000_000]  # the last one trains for minutes
configs = tuple({"depth": 0, "batch_size": 10, "epochs": each, "learning_rate": 0.01} for each in epochs)
execute(js.load_dataset("iris"), Request(configs=configs), Path(sys.argv[1]), Reports())
"""


@pytest.mark.parametrize("enough", [1, 20], ids=["the_first", "all_but_the_last"])
def test_what_was_reported_survives_a_kill(tmp_path: Path, enough: int) -> None:
    """Killed as soon as it has told of so many trials; that of 20 needs no other one to end."""
    command = [sys.executable, "-c", REPORTS, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reports = []
        for line in process.stdout:
            reports.append(line.split())
            if int(reports[-1][0]) >= enough:
                process.kill()
                break
        reports += [line.split() for line in process.stdout if line.endswith("\n")]
    finished, best = reports[-1]
    assert process.returncode == -signal.SIGKILL
    stored = load(tmp_path / "run")
    assert enough <= int(finished) <= len(stored.trials) <= 20
    assert stored.trial(int(best)).score is not None


# --- exported networks -------------------------------------------------------------------------------------------


def test_a_network_is_on_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename may reach the disk before the contents of the files do, unless these are synced first."""
    data = prepare(js.Dataset.from_arrays(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2))
    params = {"output": {"kernel": np.ones((3, 2), np.float32), "bias": np.zeros(2, np.float32)}}
    model = Model.of(data, resolve(LINEAR, "classification", 20), params, {})
    synced: dict[int, int] = {}  # bytes of each file, by its inode
    named: list[dict[int, int]] = []  # what was synced when something got its name
    rename = os.rename

    def sync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced[status.st_ino] = status.st_size

    def renamed(*arguments: Any, **options: Any) -> None:
        named.append(dict(synced))
        rename(*arguments, **options)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", renamed)
    model.save(tmp_path / "model")
    files = [path.stat() for path in (tmp_path / "model").iterdir()]
    assert len(files) == 2
    assert named
    for status in files:
        assert named[-1].get(status.st_ino) == status.st_size > 0


# --- runs of earlier versions ------------------------------------------------------------------------------------

FIXTURES = sorted((Path(__file__).resolve().parents[1] / "fixtures").glob("run_*"))


@pytest.mark.parametrize("run", FIXTURES, ids=lambda path: path.name)
def test_what_an_earlier_version_recorded_is_read_for_ever(run: Path, tmp_path: Path) -> None:
    """`table.json` is what `show` printed then; later versions may add columns, and change none."""
    shutil.copytree(run, tmp_path / "run")  # SQLite may write beside what it reads
    stored = load(tmp_path / "run")
    rows = json.loads((run / "table.json").read_text())
    assert len(stored.trials) == len(rows) > 0
    for trial, row in zip(stored.trials, rows, strict=True):
        now = tables.finite(trial.row())
        assert {name: now[name] for name in row} == row
        curves = stored.curves_of(trial.id)
        assert all(len(curve) == len(curves["train_loss"]) >= 1 for curve in curves.values())
    best = best_first(stored.trials, stored.objective)[0]
    assert stored.has_model(best.id)
    assert load_model(stored.model_path(best.id)).config == best.config


def test_a_journal_where_nothing_can_be_written_is_read_in_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite reads none without memory that it shares by a file: a run that was killed, copied without that."""
    store = Store(tmp_path / "run", "", ("train_loss", "val_loss"))
    store.record([finished(0)])
    (tmp_path / "copy").mkdir()
    for name in ("sweep.toml", "trials.sqlite", "trials.sqlite-wal"):
        shutil.copy(tmp_path / "run" / name, tmp_path / "copy")
    store.close()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    before = sorted((tmp_path / "copy").iterdir())
    with reading(tmp_path / "copy") as db:
        assert db.execute("SELECT trial FROM trials").fetchall() == [(0,)]
    assert sorted((tmp_path / "copy").iterdir()) == before


def test_a_run_says_its_format_and_a_later_one_is_refused(tmp_path: Path) -> None:
    document = '[sweep]\nobjective = "val_loss"\n[space]\nepochs = 1\n'
    with closing(Store(tmp_path / "run", document, ("train_loss", "val_loss"))) as store:
        assert store._db.execute("PRAGMA user_version").fetchone() == (FORMAT,)
        store.record([finished(0)])
        assert [trial.id for trial in load(tmp_path / "run").trials] == [0]
        store._db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(js.RequestError, match=f"in format {FORMAT + 1}: this one reads up to format {FORMAT}"):
        load(tmp_path / "run")

"""A run directory that cannot be written for a while, or any more: nothing is lost that need not be, and it is said."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import jaxsweep as js
from jaxsweep import loop, recording
from jaxsweep.cli import main
from jaxsweep.loop import execute
from jaxsweep.records import checkpoints, store
from jaxsweep.records.model import Model
from jaxsweep.records.rundir import LOCK
from jaxsweep.records.store import NotRecorded, Store
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.spec.request import Request

pytestmark = pytest.mark.usefixtures("one_tile")

SPACE = js.Space(learning_rate=js.LogUniform(1e-3, 1e-1), epochs=3, depth=1, width=8, batch_size=30)
LONG = js.Space(**{**SPACE.entries, "epochs": js.Int(20, 200)})
LINE = ["run", "--data", "iris", "--trials", "30", "--set", "epochs=3", "--set", "width=8", "--set", "depth=1"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(recording, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.0)


class Disk:
    """The room that databases have: SQLite itself says that there is none, after so many commits until `free`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, commits: int) -> None:
        self.left, self.refused, self.free = commits, 0, False
        record = Store.record

        def limited(store: Store, finished: Any) -> None:
            full = self.left <= 0 and not self.free
            (pages,) = store._db.execute("PRAGMA page_count").fetchone()
            store._db.execute(f"PRAGMA max_page_count = {pages if full else 2**30}")
            self.left -= 1
            try:
                record(store, finished)
            except NotRecorded:
                self.refused += 1
                raise

        monkeypatch.setattr(Store, "record", limited)


def asked(**how: Any) -> Request:
    return Request(**{"space": SPACE, "trials": 30, "objective": "val_loss", "keep": 3, **how})


def assert_same(result: js.Result, plain: js.Result) -> None:
    pd.testing.assert_frame_equal(result.to_pandas(), plain.to_pandas(), check_exact=True)
    assert result.models.keys() == plain.models.keys()


class Shown(Progress):
    """What was shown."""

    def __init__(self) -> None:
        self.finished, self.said = 0, list[str]()

    def update(self, snapshot: Snapshot) -> None:
        self.finished = snapshot.finished

    def message(self, text: str) -> None:
        self.said.append(text)


def test_what_waits_is_recorded_once_there_is_room(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = execute(iris, asked())
    disk = Disk(monkeypatch, 1)

    class Frees(Shown):
        def update(self, snapshot: Snapshot) -> None:
            disk.free = disk.refused >= 2
            super().update(snapshot)

    shown = Frees()
    result = execute(iris, asked(), tmp_path / "run", shown)
    assert disk.refused >= 2
    assert_same(result, plain)
    assert_same(js.load(tmp_path / "run"), plain)
    assert shown.finished == 30
    first, second = shown.said
    assert "run cannot be written (database or disk is full): training goes on, and this is tried again" in first
    assert second == "it can be written again: what waited for that is recorded"
    assert result.numbers["trouble"] == ""


def test_what_could_not_be_recorded_is_there_in_memory_and_trained_again(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = execute(iris, asked())
    shown, out = Shown(), tmp_path / "run"
    with monkeypatch.context() as patch:
        disk = Disk(patch, 1)
        result = execute(iris, asked(), out, shown)
    assert disk.refused
    assert_same(result, plain)  # nobody's work is lost who has the result
    recorded = len(js.load(out).trials)
    assert shown.finished == recorded < 30
    assert result.summary()["trials"]["recorded"] == recorded
    assert any("cannot be written" in note for note in result.notes)
    assert not (out / LOCK).exists()
    assert_same(js.resume(out, data=iris, progress=False), plain)


def test_the_command_line_says_it_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        Disk(patch, 1)
        assert main([*LINE, "--out", str(out), "--format", "json"]) == 1
    told, said = capsys.readouterr()
    trials = json.loads(told.splitlines()[-1])["trials"]
    missing = 30 - trials["recorded"]
    assert missing > 0
    assert (
        f"failed: {missing} of 30 trials are not recorded (database or disk is full): once {out} can be written, "
        f"jaxsweep resume {out} goes on with it"
    ) in said
    assert main(["resume", str(out), "--quiet"]) == 0
    assert len(js.load(out).trials) == 30


def test_checkpoints_give_way_to_what_has_finished(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    record, out, seen = Store.record, tmp_path / "run", 0

    def limited(store: Store, finished: Any) -> None:
        nonlocal seen
        if (out / "checkpoints").is_dir():
            seen += 1
            raise NotRecorded("database or disk is full")
        record(store, finished)

    monkeypatch.setattr(Store, "record", limited)
    result = execute(iris, asked(checkpoint_seconds=1e-9, space=LONG), out)
    assert seen
    assert not (out / "checkpoints").exists()
    assert result.numbers["trouble"] == ""
    assert [note for note in result.notes if "checkpoints is removed to make room for what has finished" in note]
    assert len(js.load(out).trials) == 30


def test_what_fits_is_recorded(iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A portion at a time."""
    monkeypatch.setattr(recording, "PORTION", 4)
    monkeypatch.setattr(recording, "FLUSH_SECONDS", 60.0)
    record, left = Store.record, 3

    def limited(store: Store, finished: Any) -> None:
        nonlocal left
        if (left := left - 1) < 0:
            raise NotRecorded("database or disk is full")
        record(store, finished)

    monkeypatch.setattr(Store, "record", limited)
    result = execute(iris, asked(), tmp_path / "run")
    assert result.numbers["trouble"]
    assert result.summary()["trials"]["recorded"] == len(js.load(tmp_path / "run").trials) in range(9, 13)


def test_an_interrupt_of_a_sweep_that_is_not_recorded_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = 0

    def full(store: Store, finished: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            signal.raise_signal(signal.SIGINT)
        raise NotRecorded("database or disk is full")

    monkeypatch.setattr(Store, "record", full)
    assert main([*LINE, "--out", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().err
    assert "trials are not recorded (database or disk is full)" in said
    assert "Traceback" not in said


def test_a_file_system_that_becomes_read_only_is_left_alone(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite writes into memory that it shares by a file, which ends the process: nothing is even asked of it."""
    plain, out, touched = execute(iris, asked()), tmp_path / "run", 0

    def frozen(path: Path) -> OSError | None:
        nonlocal touched
        touched += 1
        return OSError(30, "Read-only file system", str(path)) if touched > 4 else None

    class Asked:
        """A connection that says so if it is used."""

        def __init__(self, there: object) -> None:
            self.there = there

        def __getattr__(self, name: str) -> object:
            assert touched <= 4, f"{name} was asked for"
            return getattr(self.there, name)

        def __enter__(self) -> None:
            self.there.__enter__()  # type: ignore[attr-defined]

        def __exit__(self, *how: object) -> None:
            self.there.__exit__(*how)  # type: ignore[attr-defined]

    shown = Shown()
    connect = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(store, "_touched", frozen)
        patch.setattr(sqlite3, "connect", lambda path, **how: connect(path, **how) if how else Asked(connect(path)))
        result = execute(iris, asked(), out, shown)
    assert touched > 5  # it was tried again
    assert_same(result, plain)
    assert result.numbers["trouble"] == "writer.lock: Read-only file system"
    assert [note for note in shown.said if "cannot be written (writer.lock: Read-only file system)" in note]
    assert len(js.load(out).trials) == result.numbers["recorded"] < 30  # in the same process, which has it open
    assert_same(js.resume(out, data=iris, progress=False), plain)


def test_networks_that_cannot_be_removed_do_not_end_a_sweep(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = asked(keep=1, search="evolution", options={"population": 6})
    plain, out, tries = execute(iris, how), tmp_path / "run", 0
    rmtree = shutil.rmtree

    def refused(path: Path, *how: object, **further: object) -> None:
        nonlocal tries
        if Path(path).parent.name == "models" and Path(path).name.isdecimal() and (tries := tries + 1) < 3:
            raise OSError(30, "Read-only file system", str(path))
        rmtree(path, *how, **further)  # type: ignore[arg-type]

    monkeypatch.setattr(shutil, "rmtree", refused)
    result = execute(iris, how, out)
    assert tries >= 3
    assert_same(result, plain)
    assert [path.name for path in (out / "models").iterdir()] == [str(number) for number in plain.models]


def test_a_journal_takes_no_room_that_trials_need(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is emptied into the database before anything else makes way, and smaller portions are tried."""
    record, out, sizes = Store.record, tmp_path / "run", list[int]()
    monkeypatch.setattr(recording, "FLUSH_SECONDS", 60.0)

    def limited(store: Store, finished: Any) -> None:
        if (out / "trials.sqlite-wal").stat().st_size > 0 or len(finished) > 4:
            raise NotRecorded("database or disk is full")
        sizes.append(len(finished))
        record(store, finished)

    monkeypatch.setattr(Store, "record", limited)
    result = execute(iris, asked(), out)
    assert result.numbers["trouble"] == ""
    assert max(sizes) <= 4
    assert len(js.load(out).trials) == 30


@pytest.mark.parametrize("back", [False, True], ids=["another run there", "moved back"])
def test_a_directory_that_is_moved_away_is_not_written_into(iris: js.Dataset, tmp_path: Path, back: bool) -> None:
    """Nothing of another run that begins there is touched; and what is moved back goes on."""
    plain, out, away = execute(iris, asked()), tmp_path / "run", tmp_path / "away"
    there: dict[Path, bytes] = {}

    class Moves(Shown):
        def update(self, snapshot: Snapshot) -> None:
            super().update(snapshot)
            if not there and snapshot.finished >= 3:
                out.rename(away)
                if not back:
                    execute(iris, asked(seed=1), out)
                    (out / LOCK).write_text("123")  # it goes on
                there.update({path: path.read_bytes() for path in out.rglob("*") if path.is_file()})
                there[away] = b""
            elif back and there and away.exists() and any("cannot be written" in note for note in self.said):
                assert not out.exists()
                away.rename(out)

    result = execute(iris, asked(), out, Moves())
    del there[away]
    assert_same(result, plain)
    if back:
        assert result.numbers["trouble"] == ""
        assert_same(js.load(out), plain)
        return
    assert result.numbers["trouble"] == store.REPLACED
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == there
    assert len(js.load(out).models) == 3
    (out / LOCK).unlink()
    assert_same(js.resume(away, data=iris, progress=False), plain)


@pytest.mark.parametrize("gone", ["removed", "replaced"])
def test_a_database_that_is_gone_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str], gone: str) -> None:
    out = tmp_path / "run"

    class Removes(Shown):
        def update(self, snapshot: Snapshot) -> None:
            if snapshot.finished and not snapshot.interrupted and (out / "trials.sqlite").exists():
                (out / "trials.sqlite").unlink()
                if gone == "replaced":
                    (out / "trials.sqlite").write_bytes(b"another")

    result = execute(js.load_dataset("iris"), asked(), out, Removes())
    assert len(result.trials) == 30
    why = "trials.sqlite has been replaced" if gone == "replaced" else "trials.sqlite: No such file or directory"
    assert result.numbers["trouble"] == why


def test_networks_that_somebody_removes_are_there_in_the_end(iris: js.Dataset, tmp_path: Path) -> None:
    out, count = tmp_path / "run", 0

    class Removes(Shown):
        def update(self, snapshot: Snapshot) -> None:
            nonlocal count
            if snapshot.finished and count < 2 and (out / "models").exists():
                shutil.rmtree(out / "models")
                count += 1

    result = execute(iris, asked(), out, Removes())
    assert count
    assert result.numbers["trouble"] == ""
    assert sorted(each.name for each in (out / "models").iterdir()) == sorted(map(str, result.models))


def test_a_network_that_cannot_be_written_is_tried_again(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, write, tries = execute(iris, asked()), Model._write, 0

    def full(model: Model, folder: Path) -> None:
        nonlocal tries
        tries += 1
        if 1 < tries < 4:
            raise OSError(28, "No space left on device")
        write(model, folder)

    monkeypatch.setattr(Model, "_write", full)
    shown = Shown()
    result = execute(iris, asked(), tmp_path / "run", shown)
    assert_same(result, plain)
    assert_same(js.load(tmp_path / "run"), plain)
    assert "(models: No space left on device)" in shown.said[0]


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, 2 * (int(sys.argv[1]),))  # no file grows beyond so many bytes
os.execv(sys.executable, [sys.executable, "-m", "jaxsweep", *sys.argv[2:]])
"""


def run(out: Path, size: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", LIMITED, str(size), *LINE, "--quiet", "--out", str(out)]
    return subprocess.run(command, text=True, capture_output=True, check=False)


@pytest.mark.parametrize("size", [0, 100, 20_000])
def test_a_process_that_cannot_write_ends_with_a_sentence(tmp_path: Path, size: int) -> None:
    """At the start, or with its first trials: files beyond a size are refused by the system itself."""
    out = tmp_path / "run"
    failed = run(out, size)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    last = failed.stderr.splitlines()[-1]
    assert "failed: " in last
    assert "cannot be written" in last or "not recorded" in last or "File too large" in last
    if not (out / "trials.sqlite").exists():
        assert not (out / "sweep.toml").exists()  # nothing is in the way of the next try

"""A run directory that a disk or a person has damaged: the table that was recorded, an earlier one, or an error."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import jaxsweep as js
from jaxsweep.loop import execute
from jaxsweep.records.rundir import TRIALS, seal
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.spec import databases
from jaxsweep.spec.request import Request

DICE = np.random.default_rng(0)


def recorded(out: Path, **how: Any) -> Path:
    space = js.Space(learning_rate=js.LogUniform(1e-3, 1e-1), epochs=4, depth=1, width=4)
    execute(js.load_dataset("iris"), Request(space=space, trials=6, replicates=2, keep=1, **how), out)
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a small run, whose best trials were confirmed."""
    return recorded(tmp_path_factory.mktemp("confirmed") / "run", confirm=2)


@pytest.fixture(scope="module")
def changed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a small run, some of whose trials went on as others."""
    out = tmp_path_factory.mktemp("changed") / "run"
    return recorded(out, scheduler="pbt", scheduler_options={"every": 1})


class Whole:
    """All that a reader gets of a run."""

    def __init__(self, path: Path) -> None:
        result = js.load(path)
        self.table = result.to_pandas(lanes=True)
        self.trials = result.to_pandas()
        self.confirmed = result.confirmed
        self.notes = result.notes
        self.curves = {number: result.lanes[number][0].curves for number in result.lanes}
        self.lineages = [trial.lineage for trial in result.trials]

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Whole)
        return (
            self.table.equals(other.table)
            and self.trials.equals(other.trials)
            and self.confirmed == other.confirmed
            and self.lineages == other.lineages
            and self.curves.keys() == other.curves.keys()
            and all(np.array_equal(curve, other.curves[n], equal_nan=True) for n, curve in self.curves.items())
        )

    def less_than(self, other: "Whole") -> bool:
        """Return whether some trials are missing, which is said, and all the rest is there."""
        there = other.trials["trial"].isin(self.trials["trial"] if len(self.trials) else [])
        return (
            any("trials.sqlite had" in note for note in self.notes)
            and self.trials.equals(other.trials[there].reset_index(drop=True))
            and all(np.array_equal(curve, other.curves[n], equal_nan=True) for n, curve in self.curves.items())
        )

    __hash__ = None  # type: ignore[assignment]


def tried(path: Path, read: Callable[[Path], Any]) -> tuple[Any, str]:
    """Return what is read of a run directory, or None and the error."""
    try:
        return read(path), ""
    except js.RequestError as error:
        return None, str(error)


def spoiled(content: bytes) -> Iterator[bytes]:
    """Yield a file truncated at every 64th byte, and with a bit changed at 200 places."""
    for length in range(0, len(content), 64):
        yield content[:length]
    for place in DICE.choice(len(content), 200, replace=False).tolist():
        changed = bytearray(content)
        changed[place] ^= 1 << int(DICE.integers(8))
        yield bytes(changed)


@pytest.mark.parametrize("kind", ["run", "changed_run"])
def test_a_damaged_database_is_read_as_it_was_or_not_at_all(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(kind)
    whole, copy = Whole(run), shutil.copytree(run, tmp_path / "run")
    read = refused = 0
    for content in spoiled((run / TRIALS).read_bytes()):
        (copy / TRIALS).write_bytes(content)
        found, error = tried(copy, Whole)
        assert str(copy) in error if found is None else found == whole or found.less_than(whole)
        refused, read = refused + (found is None), read + (found is not None)
    assert refused > 500
    assert read  # where nothing stands


def test_reading_a_run_takes_no_more_than_its_database_is_long(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    js.load(run)
    monkeypatch.setattr(databases, "EACH", 1)
    monkeypatch.setattr(databases, "STEPS", 0)
    with pytest.raises(js.RequestError, match=r"trials\.sqlite: reading it takes more steps than its length allows"):
        js.load(run)


def test_a_damaged_journal_leaves_an_earlier_state(tmp_path: Path) -> None:
    """Trials that were committed last may be missing; none is what it was not."""
    out, copy = tmp_path / "run", tmp_path / "copy"

    class Copies(Progress):
        """Copies the run directory as it is while the sweep runs, with a journal."""

        def update(self, snapshot: Snapshot) -> None:
            if snapshot.finished >= 4 and not copy.exists():
                shutil.copytree(out, copy)

    space = js.Space(learning_rate=js.LogUniform(1e-3, 1e-1), epochs=2, depth=1, width=4)
    request = Request(space=space, trials=8, keep=0, search="evolution", options={"population": 2})
    table = execute(js.load_dataset("iris"), request, out, Copies()).to_pandas().set_index("trial")
    journal = copy / f"{TRIALS}-wal"
    whole, seen = journal.read_bytes(), set()
    for content in [whole, *spoiled(whole)]:
        journal.write_bytes(content)
        (copy / f"{TRIALS}-shm").unlink(missing_ok=True)
        found, error = tried(copy, lambda path: js.load(path).to_pandas())
        if found is None:
            assert str(copy) in error
            continue
        seen.add(len(found))
        if len(found):
            pd.testing.assert_frame_equal(found.set_index("trial"), table.loc[found["trial"]], check_exact=True)
    assert max(seen) >= 4
    assert len(seen) > 1


DAMAGES: dict[str, Any] = {
    "a score": "UPDATE trials SET score = score + 1e-9 WHERE trial = 2",
    "a score of text": "UPDATE trials SET score = 'good' WHERE trial = 2",
    "a config": "UPDATE trials SET config = replace(config, '\"width\": 4', '\"width\": 5') WHERE trial = 2",
    "a status": "UPDATE trials SET status = 'stopped' WHERE trial = 2",
    "a lane's curve": "UPDATE evaluations SET train_loss = zeroblob(32) WHERE trial = 2 AND replicate = 0",
    "a lane's epochs": "UPDATE evaluations SET epochs = 3 WHERE trial = 2 AND replicate = 0",
    "a lane": "DELETE FROM evaluations WHERE trial = 2 AND replicate = 1",
    "its lanes": "DELETE FROM evaluations WHERE trial = 2",
    "a lane more": "UPDATE evaluations SET replicate = 7, trial = 2 WHERE trial = 3 AND replicate = 1",
    "its seal": "DELETE FROM seals WHERE trial = 2",
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_changed_row_is_noticed(run: Path, tmp_path: Path, kind: str) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    with closing(sqlite3.connect(copy / TRIALS)) as db, db:
        assert db.execute(DAMAGES[kind]).rowcount > 0
    with pytest.raises(js.RequestError, match=r"trials.sqlite is damaged: what it has of trial [23] is not what was"):
        Whole(copy)
    with closing(sqlite3.connect(copy / TRIALS)) as db, db:  # as the error says
        db.execute("DELETE FROM trials WHERE trial IN (2, 3)")
    result = js.load(copy)
    assert [trial.id for trial in result.trials] == [0, 1, 4, 5]
    assert any("trials.sqlite had 2 trials more, which somebody" in note for note in result.notes) == (
        "seal" not in kind
    )


OLD: dict[str, Any] = {
    "metrics that are no JSON": "UPDATE trials SET metrics = '{'",
    "metrics that are no table": "UPDATE trials SET metrics = '[1]'",
    "metrics of text": 'UPDATE trials SET metrics = \'{"val_loss": "small"}\'',
    "a config that is none": "UPDATE trials SET config = '3'",
    "a score that is text": "UPDATE trials SET score = 'good'",
    "a spread that is bytes": "UPDATE trials SET spread = x'00'",
    "half a number": "UPDATE evaluations SET val_loss = x'0000'",
    "a curve of text": "UPDATE evaluations SET val_loss = 'long'",
    "curves of other lengths": "UPDATE evaluations SET val_loss = x'0000000000000000'",
    "a test score of bytes": "UPDATE evaluations SET test_loss = x'00'",
    "a lineage that is none": "INSERT OR REPLACE INTO lineages VALUES (0, '7')",
    "a summary that is no JSON": "UPDATE summary SET value = '{'",
    "no lanes": "DROP TABLE evaluations",
    "no trials": "DROP TABLE trials",
    "no summary": "DROP TABLE summary",
}


@pytest.mark.parametrize("kind", OLD)
def test_what_has_no_checksum_and_is_odd_is_an_error_too(run: Path, tmp_path: Path, kind: str) -> None:
    """As in runs of earlier versions."""
    copy = shutil.copytree(run, tmp_path / "run")
    with closing(sqlite3.connect(copy / TRIALS)) as db, db:
        db.execute("DROP TABLE seals")
        db.execute("PRAGMA user_version = 3")
    assert len(js.load(copy).trials) == 6
    with closing(sqlite3.connect(copy / TRIALS)) as db, db:
        db.execute(OLD[kind])
    with pytest.raises(js.RequestError, match="run"):
        Whole(copy)


def test_a_seal_is_of_values_not_of_their_python_types() -> None:
    row = (1, "completed", 0.0, -0.5, None, b"abc", float("inf"))
    assert seal([row]) == seal([[1, "completed", -0.0, -0.5, None, b"abc", float("inf")]])
    others: list[Any] = [(2, *row[1:]), row[:-1], (*row[:5], b"abd", row[6]), (*row[:3], -0.5000000000000001, *row[4:])]
    assert len({seal([row]), *(seal([other]) for other in others), seal([row, row]), seal([])}) == 7

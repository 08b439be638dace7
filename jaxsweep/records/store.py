"""The one writer of a run directory: trials as they finish, and what the sweep came to.

SQLite runs in WAL mode, and a trial is committed together with its learning curves. The loop reports a trial as
finished once it is committed, so that it survives a kill of the process at any instant.
"""

import ctypes
import functools
import json
import math
import os
import shutil
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from jaxsweep.data.start import Start
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.errors import RequestError
from jaxsweep.records.lock import Lock
from jaxsweep.records.rundir import (
    CURVE,
    FORMAT,
    LEFT_OPEN,
    MODELS,
    OF_LANES,
    START,
    SWEEP,
    TRIALS,
    check_free,
    check_plain,
    check_writable,
    replace_bytes,
    replace_text,
    seal,
)
from jaxsweep.records.start import start_bytes
from jaxsweep.records.trials import Trial
from jaxsweep.spec import lineage
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS

JOURNAL_PAGES = 256  # of 4 KiB: when the journal is moved into the database, so that small disks have room for both
REPLACED = f"{TRIALS} has been replaced"  # what a NotRecorded says of a directory that has another run now

_SCHEMA = """
CREATE TABLE trials (
    trial INTEGER PRIMARY KEY, status TEXT NOT NULL, score REAL, spread REAL NOT NULL, epochs_done INTEGER NOT NULL,
    seconds REAL NOT NULL, metrics TEXT NOT NULL, config TEXT NOT NULL
);
CREATE TABLE evaluations (
    {lane}, PRIMARY KEY (trial, replicate, fold)
);
CREATE TABLE lineages (trial INTEGER PRIMARY KEY, parts TEXT NOT NULL);
CREATE TABLE summary (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE began (sweep_toml TEXT NOT NULL);
"""
# Checksums of each trial: of its row, with its lineage, of its lanes and, if it was confirmed, of its fresh ones.
_SEALS = """
CREATE TABLE IF NOT EXISTS seals (
    trial INTEGER PRIMARY KEY, row INTEGER NOT NULL, lanes INTEGER NOT NULL, fresh INTEGER
);
"""

# Lanes of a confirmation that have ended before all have, each with its checksum. It is there until all have.
_CONFIRMING = """
CREATE TABLE IF NOT EXISTS confirming (
    {lane}, seal INTEGER NOT NULL,
    PRIMARY KEY (trial, replicate, fold)
)
"""


class NotRecorded(OSError):
    """The run directory cannot be written now: a full disk, or one that is gone. What was recorded is as it was."""

    @property
    def full(self) -> bool:
        """Whether there is no room."""
        return any(words in str(self).lower() for words in ("no space", "disk is full", "quota"))


class Store:
    """The one writer of a run directory.

    What writes raises `NotRecorded` where that cannot be done; it may be tried again.

    Args:
        out: a directory without a run, or, to go on, with one.
        sweep_toml: what was asked for.
        curves: the metrics that have learning curves.
        test: the metrics of test rows.
        resumed: whether the directory has a run, which goes on.
        start: the weights that its networks start with, if these are a trained one's.
    """

    def __init__(
        self, out: Path, sweep_toml: str, curves: Sequence[str], test: Sequence[str] = (), resumed: bool = False,
        start: Start | None = None,
    ) -> None:  # fmt: skip
        self.path, self.curves, self.test = out, tuple(curves), tuple(test)
        self._configs = _Configs()
        self._again = resumed  # a trial that goes on in a sweep that is resumed takes the place of what it was
        if not resumed:
            check_writable(out)
        check_plain(out)
        self._lock = Lock(out)
        self._opened: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None  # of the database, once it is open
        self._probed = _touched(self._lock.path) is None  # whether touching a file tells anything here
        self._going_on = sweep_toml if resumed else None  # what was asked for, until something is recorded
        try:
            if resumed:
                self._open()
                self._clean()
            else:
                check_free(out, self._lock.left_behind)
                self._begin(sweep_toml, start)
        except BaseException as error:
            self.close()
            if isinstance(error, NotRecorded):
                raise NotRecorded(f"{out} cannot be written: {error}") from error
            raise

    def _begin(self, sweep_toml: str, start: Start | None) -> None:
        """Make what a run begins with, or nothing."""
        for kind in ("", "-wal", "-shm", "-journal"):
            (self.path / f"{TRIALS}{kind}").unlink(missing_ok=True)
        try:
            with _said():
                if start is not None:
                    replace_bytes(self.path / START, start_bytes(start))
                replace_text(self.path / SWEEP, sweep_toml)
                (self.path / MODELS).mkdir(exist_ok=True)
            self._open()
            self._make_tables(sweep_toml)
        except BaseException:
            for name in (SWEEP, TRIALS):
                (self.path / name).unlink(missing_ok=True)
            raise

    def _open(self) -> None:
        for kind in ("", "-wal", "-shm"):  # else SQLite says so when the first trials are trained
            if (file := self.path / f"{TRIALS}{kind}").exists() and not os.access(file, os.W_OK):
                raise NotRecorded(f"{file.name}: no permission to write")
        with _said():
            self._opened = sqlite3.connect(self.path / TRIALS)
            self._db.execute("PRAGMA journal_mode=WAL")
            (sound,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
            if sound != "ok":
                raise RequestError(f"{self.path / TRIALS} is damaged ({sound}): nothing can be recorded in it")
            # Survives a kill; of a loss of power, all but the last commits.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(f"PRAGMA wal_autocheckpoint={JOURNAL_PAGES}")
            self._file = (self.path / TRIALS).stat()

    @property
    def _db(self) -> sqlite3.Connection:
        assert self._opened is not None
        return self._opened

    def _make_tables(self, sweep_toml: str) -> None:
        tables = _SCHEMA.format(lane=self._lane)
        with _said():
            self._db.execute("PRAGMA synchronous=FULL")  # without tables it would be no run
            self._db.executescript(f"BEGIN; {tables} {_SEALS} PRAGMA user_version = {FORMAT}; COMMIT;")
            with self._db:
                self._db.execute("INSERT INTO began VALUES (?)", (sweep_toml,))
            self._db.execute("PRAGMA synchronous=NORMAL")

    def check(self) -> None:
        """Raise NotRecorded if nothing in the directory must be touched.

        A database that was removed or replaced would go on to take all, and nobody could ever read it; and what else is
        there is another run's. And SQLite shares memory with readers through a file: where that cannot be written any
        more, as on a file system that has become read-only, a write to it would not fail, but end the process (SIGBUS).
        """
        with _said():
            if self._file is None or not os.path.samestat(self._file, (self.path / TRIALS).stat()):
                raise NotRecorded(REPLACED)
            if (error := self._frozen()) is not None:
                raise error

    def _frozen(self) -> OSError | None:
        """Return why no file here can be written any more, if so."""
        error = _touched(self._lock.path) if self._probed else None
        return None if isinstance(error, FileNotFoundError) else error

    @contextmanager
    def _writing(self) -> Generator[None, None, None]:
        """Inside, what is written is committed together, at the end, or not at all.

        A run that goes on is under way once more from the first time on: what it came to holds no longer, nor, perhaps,
        how many trials it has.
        """
        self.check()
        with _said():
            if self._going_on is not None:
                replace_text(self.path / SWEEP, self._going_on)
                with self._db:
                    self._db.execute("DELETE FROM summary")
                    self._db.execute(_SEALS)
                self._going_on = None
            with self._db:
                yield

    def give_room(self) -> bool:
        """Move the journal into the database and empty it, as far as there is room, and return whether that worked."""
        try:
            self.check()
            with _said():
                busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except NotRecorded:  # not even that
            return False
        return not busy

    @property
    def untouched(self) -> bool:
        """Whether nothing has been written since the run goes on."""
        return self._going_on is not None

    def _clean(self) -> None:
        """Remove networks of trials that were never recorded."""
        recorded = self.recorded()
        with _said():
            (self.path / MODELS).mkdir(exist_ok=True)
        for folder in (self.path / MODELS).iterdir():
            if folder.is_dir() and (not folder.name.isdecimal() or int(folder.name) not in recorded):
                with _said():
                    shutil.rmtree(folder)  # also what a kill has left of one that was being written

    def forget_fresh(self, first: int) -> None:
        """Remove the lanes of a confirmation, whose replicates have numbers from `first` on."""
        with self._writing():
            self._db.execute("DELETE FROM evaluations WHERE replicate >= ?", (first,))
            self._db.execute("UPDATE seals SET fresh = NULL")

    def record(self, finished: Iterable[tuple[Trial, Sequence[LaneResult]]]) -> None:
        """Commit finished trials with their lanes' learning curves."""
        trials: list[tuple[Any, ...]] = []
        rows: list[tuple[Any, ...]] = []
        lineages: list[tuple[int, str]] = []
        seals: list[tuple[int, int, int, None]] = []
        for trial, lanes in finished:
            score = None if trial.score is None else float(trial.score)
            head = (trial.id, trial.status, score, float(trial.spread), trial.epochs_done, float(trial.seconds))
            row = (*head, _json(trial.metrics), self._configs.text(trial))
            trials.append(row)
            own = sorted(map(self._evaluation, lanes), key=lambda lane: lane[:3])
            rows += own
            parts = ((trial.id, lineage.to_json(trial.lineage)),) if trial.lineage else ()
            lineages += parts
            seals.append((trial.id, seal((row, *parts)), seal((self._columns, *own)), None))
        insert = "INSERT OR REPLACE" if self._again else "INSERT"
        with self._writing():
            if self._again:
                self._db.executemany("DELETE FROM lineages WHERE trial = ?", [row[:1] for row in trials])
            self._db.executemany(f"{insert} INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?)", trials)
            self._db.executemany(f"{insert} INTO evaluations VALUES ({self._marks})", rows)
            self._db.executemany("INSERT INTO lineages VALUES (?, ?)", lineages)
            self._db.executemany(
                "INSERT INTO seals VALUES (?, ?, ?, ?) "
                "ON CONFLICT (trial) DO UPDATE SET row = excluded.row, lanes = excluded.lanes",
                seals,
            )

    def record_fresh(self, lanes: Iterable[LaneResult]) -> None:
        """Commit all fresh lanes of trials that are confirmed, at once: a confirmation is whole, or there is none."""
        rows = sorted(map(self._evaluation, lanes), key=lambda lane: lane[:3])
        seals = [(seal((self._columns, *own)), trial) for trial, own in groupby(rows, key=lambda lane: lane[0])]
        with self._writing():
            self._db.executemany(f"INSERT INTO evaluations VALUES ({self._marks})", rows)
            self._db.executemany("UPDATE seals SET fresh = ? WHERE trial = ?", seals)
            self._db.execute("DROP TABLE IF EXISTS confirming")

    def record_confirming(self, lanes: Sequence[LaneResult]) -> None:
        """Commit lanes of a confirmation that have ended, while others train."""
        rows = [(*row, seal((self._columns, row))) for row in map(self._evaluation, lanes)]
        with self._writing():
            self._db.execute(_CONFIRMING.format(lane=self._lane))
            self._db.executemany(f"INSERT OR REPLACE INTO confirming VALUES ({self._marks}, ?)", rows)

    @property
    def _lane(self) -> str:
        """The columns of a lane, as a table has them."""
        kinds = {"status": "TEXT"}
        of_lanes = (f"{name} {kinds.get(name, 'INTEGER')} NOT NULL" for name in OF_LANES)
        metrics = (*(f"{name} BLOB NOT NULL" for name in self.curves), *(f"{name} REAL" for name in self.test))
        return ", ".join((*of_lanes, *metrics))

    @property
    def _columns(self) -> tuple[str, ...]:
        return (*OF_LANES, *self.curves, *self.test)

    @property
    def _marks(self) -> str:
        return ", ".join("?" * len(self._columns))

    def _evaluation(self, lane: LaneResult) -> tuple[Any, ...]:
        """Return the row of a lane."""
        curves = (curve.tobytes() for curve in np.asarray(lane.curves.T, CURVE))
        known = np.full(len(self.test), np.nan) if lane.test is None else lane.test
        test = [value if math.isfinite(value) else None for value in known.tolist()]
        head = (lane.job.trial, lane.job.replicate, lane.job.fold, lane.epochs, lane.status, int(lane.halted))
        return (*head, *curves, *test)

    def recorded(self) -> set[int]:
        """Return the numbers of the trials that are committed; `NotRecorded` if that cannot be read now."""
        self.check()
        with _said():
            return {number for (number,) in self._db.execute("SELECT trial FROM trials")}

    def conclude(self, summary: dict[str, Any]) -> None:
        """Commit what the run came to."""
        pairs = [(key, json.dumps(value)) for key, value in summary.items()]
        with self._writing():
            self._db.executemany("INSERT OR REPLACE INTO summary VALUES (?, ?)", pairs)

    def model_path(self, trial: int) -> Path:
        """Return the folder of a trial's exported network."""
        return self.path / MODELS / str(trial)

    def remove_model(self, trial: int) -> None:
        """Remove the exported network of a trial that is among the best no more, if nobody else has."""
        self.check()
        with _said(), suppress(FileNotFoundError):
            shutil.rmtree(self.model_path(trial))

    def close(self) -> None:
        """Close the database, leaving no journal files behind, and let others write."""
        if self._opened is not None:
            if self._file is None or self._frozen() is None:
                self._opened.close()
            else:  # closing it writes, too: it stays open as long as the process lives
                LEFT_OPEN.add((self._file.st_dev, self._file.st_ino))
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._opened))
        self._file = None  # nobody writes any more, nor does a worker that nobody waits for
        with suppress(OSError):  # of a directory that is no more
            self._lock.release()


def _touched(path: Path) -> OSError | None:
    """Touch a file, and return why that cannot be done, if so."""
    try:
        os.utime(path)
    except OSError as error:
        return error
    return None


@contextmanager
def _said() -> Generator[None, None, None]:
    """Inside, what the system or SQLite cannot write is a `NotRecorded` that says why."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.DataError)):
            raise
        raise NotRecorded(f"{TRIALS}: {error}" if type(error) is sqlite3.DatabaseError else str(error)) from error
    except NotRecorded:
        raise
    except OSError as error:
        what = "" if error.filename is None else f"{Path(error.filename).name}: "
        raise NotRecorded(f"{what}{error.strerror or error}") from error


def _json(values: dict[str, float]) -> str:
    """Return JSON in which what is not a number is null."""
    pieces = (f"{_quoted(name)}: {f'{v!r}' if math.isfinite(v) else 'null'}" for name, v in values.items())
    return f"{{{', '.join(pieces)}}}"


class _Configs:
    """Writes configs as JSON, one after the other, of which each differs from the last one in little."""

    def __init__(self) -> None:
        self._values: list[Any] = [self] * len(HYPERPARAMETERS)  # those written last, which none is at first
        self._pieces = [""] * len(HYPERPARAMETERS)

    def text(self, trial: Trial) -> str:
        """Return what `json.dumps(trial.config)` does."""
        for place, (name, value) in enumerate(zip(HYPERPARAMETERS, trial.values, strict=True)):
            if value is not self._values[place]:
                self._pieces[place] = f"{_quoted(name)}: {json.dumps(value)}"
                self._values[place] = self if isinstance(value, list) else value  # a list may change
        further = (f"{_quoted(name)}: {json.dumps(value)}" for name, value in trial.later.items())
        return f"{{{', '.join((*self._pieces, *further))}}}"


_quoted = functools.cache(json.dumps)

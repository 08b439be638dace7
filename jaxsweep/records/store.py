"""The run directory: everything that a sweep leaves on disk.

`sweep.toml` is the resolved request, `trials.sqlite` the one source of truth about trials, `models/` the weights of
the best. SQLite runs in WAL mode, and a trial is committed together with its learning curves. The loop reports a trial
as finished once it is committed, so that it survives a kill of the process at any instant.
"""

import functools
import json
import math
import os
import shutil
import sqlite3
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data import Dataset, Prepared, prepare
from jaxsweep.data.reading import TABLES
from jaxsweep.data.source import open_source
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.errors import RequestError
from jaxsweep.records import own
from jaxsweep.records.confirmed import Confirmed, confirmation, ranked
from jaxsweep.records.lanes import Lane, as_recorded_before
from jaxsweep.records.lock import Lock
from jaxsweep.records.trials import Columns, Trial
from jaxsweep.spec import lineage
from jaxsweep.spec.aims import Aims
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS
from jaxsweep.spec.own import OwnMetric, directed
from jaxsweep.spec.request import Request
from jaxsweep.spec.swept import Swept
from jaxsweep.streams import RULES

SWEEP = "sweep.toml"
TRIALS = "trials.sqlite"
MODELS = "models"
# Of the tables, as `PRAGMA user_version` says it. 0: before it was said, tables as in 1. 2: of a lane its status and
# test metrics, too. 3: whether it was halted, without which nobody could go on with the run.
FORMAT = 3
CURVE = np.dtype("<f8")  # of a learning curve in the database, one value an epoch

_SCHEMA = """
CREATE TABLE trials (
    trial INTEGER PRIMARY KEY, status TEXT NOT NULL, score REAL, spread REAL NOT NULL, epochs_done INTEGER NOT NULL,
    seconds REAL NOT NULL, metrics TEXT NOT NULL, config TEXT NOT NULL
);
CREATE TABLE evaluations (
    trial INTEGER NOT NULL, replicate INTEGER NOT NULL, fold INTEGER NOT NULL, epochs INTEGER NOT NULL,
    status TEXT NOT NULL, halted INTEGER NOT NULL, {columns}, PRIMARY KEY (trial, replicate, fold)
);
CREATE TABLE lineages (trial INTEGER PRIMARY KEY, parts TEXT NOT NULL);
CREATE TABLE summary (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_OF_LANES = ("trial", "replicate", "fold", "epochs", "status", "halted")  # columns of `evaluations` that are no metrics


def holds_run(out: Path) -> bool:
    """Return whether a directory has a run that can be read; one that was killed as it was made has no tables yet."""
    if not (out / TRIALS).exists():
        return False
    try:
        with _reading(out) as db:
            return bool(db.execute("SELECT 1 FROM sqlite_master WHERE name = 'summary'").fetchone())
    except sqlite3.DatabaseError:
        return True  # a broken one is the user's to look after


def check_free(out: Path, left_behind: bool = False) -> None:
    """Raise RequestError if a directory holds a run, or the bare beginning of one that no killed process has left."""
    if holds_run(out) or (not left_behind and ((out / TRIALS).exists() or (out / SWEEP).exists())):
        raise RequestError(
            f"--out {out} already holds a run: name a new directory, or go on with it (jaxsweep resume {out})"
        )


def check_writable(out: Path) -> None:
    """Make a directory; RequestError if it cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".writable.{os.getpid()}"  # another process may ask at the same moment
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise RequestError(f"--out {out} cannot be written ({reason}): name a directory that can") from None


class Store:
    """The one writer of a run directory.

    Args:
        out: a directory without a run, or, to go on, with one.
        sweep_toml: what was asked for.
        curves: the metrics that have learning curves.
        test: the metrics of test rows.
        resumed: whether the directory has a run, which goes on.
    """

    def __init__(
        self, out: Path, sweep_toml: str, curves: Sequence[str], test: Sequence[str] = (), resumed: bool = False
    ) -> None:
        self.path, self.curves, self.test = out, tuple(curves), tuple(test)
        self._configs = _Configs()
        # A trial that was halted, and goes on in a sweep that is resumed, takes the place of what it was.
        self._insert = "INSERT OR REPLACE" if resumed else "INSERT"
        if not resumed:
            check_writable(out)
        self._lock = Lock(out)
        try:
            if not resumed:
                check_free(out, self._lock.left_behind)
                (out / TRIALS).unlink(missing_ok=True)
            if not resumed:
                replace_text(out / SWEEP, sweep_toml)
            (out / MODELS).mkdir(exist_ok=True)
            self._db = sqlite3.connect(out / TRIALS)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(
                "PRAGMA synchronous=NORMAL"
            )  # survives a kill; of a loss of power, all but the last commits
            self._going_on = sweep_toml if resumed else None  # what was asked for, until something is recorded
            if resumed:
                self._clean()
            else:
                metrics = [*(f"{name} BLOB NOT NULL" for name in self.curves), *(f"{name} REAL" for name in self.test)]
                tables = _SCHEMA.format(columns=", ".join(metrics))
                self._db.executescript(f"BEGIN; {tables} PRAGMA user_version = {FORMAT}; COMMIT;")
        except BaseException:
            self._lock.release()
            raise

    def _go_on(self) -> None:
        """Let the run be under way once more: what it came to, and perhaps how many trials it has, holds no longer."""
        if self._going_on is not None:
            replace_text(self.path / SWEEP, self._going_on)
            with self._db:
                self._db.execute("DELETE FROM summary")
            self._going_on = None

    def _clean(self) -> None:
        """Remove networks of trials that were never recorded."""
        recorded = self.recorded()
        for folder in (self.path / MODELS).iterdir():
            if not folder.name.isdecimal() or int(folder.name) not in recorded:
                shutil.rmtree(folder)  # also what a kill has left of one that was being written

    def forget_fresh(self, first: int) -> None:
        """Remove the lanes of a confirmation, whose replicates have numbers from `first` on."""
        self._go_on()
        with self._db:
            self._db.execute("DELETE FROM evaluations WHERE replicate >= ?", (first,))

    def record(self, finished: Iterable[tuple[Trial, Sequence[LaneResult]]]) -> None:
        """Commit finished trials with their lanes' learning curves."""
        trials: list[tuple[Any, ...]] = []
        rows: list[tuple[Any, ...]] = []
        lineages: list[tuple[int, str]] = []
        for trial, lanes in finished:
            trials.append(
                (trial.id, trial.status, trial.score, trial.spread, trial.epochs_done, trial.seconds,
                 _json(trial.metrics), self._configs.text(trial))
            )  # fmt: skip
            if trial.lineage:
                lineages.append((trial.id, lineage.to_json(trial.lineage)))
            rows += map(self._evaluation, lanes)
        self._go_on()
        with self._db:
            self._db.executemany(f"{self._insert} INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?)", trials)
            self._db.executemany(f"{self._insert} INTO evaluations VALUES ({self._marks})", rows)
            self._db.executemany(f"{self._insert} INTO lineages VALUES (?, ?)", lineages)

    def record_fresh(self, lanes: Iterable[LaneResult]) -> None:
        """Commit all fresh lanes of trials that are confirmed, at once: a confirmation is whole, or there is none."""
        self._go_on()
        with self._db:
            self._db.executemany(f"INSERT INTO evaluations VALUES ({self._marks})", map(self._evaluation, lanes))

    @property
    def _marks(self) -> str:
        return ", ".join("?" * (len(_OF_LANES) + len(self.curves) + len(self.test)))

    def _evaluation(self, lane: LaneResult) -> tuple[Any, ...]:
        """Return the row of a lane."""
        curves = (curve.tobytes() for curve in np.asarray(lane.curves.T, CURVE))
        known = np.full(len(self.test), np.nan) if lane.test is None else lane.test
        test = [value if math.isfinite(value) else None for value in known.tolist()]
        head = (lane.job.trial, lane.job.replicate, lane.job.fold, lane.epochs, lane.status, int(lane.halted))
        return (*head, *curves, *test)

    def recorded(self) -> set[int]:
        """Return the numbers of the trials that are committed."""
        return {number for (number,) in self._db.execute("SELECT trial FROM trials")}

    def conclude(self, summary: dict[str, Any]) -> None:
        """Commit what the run came to; FileNotFoundError if somebody has removed the database meanwhile."""
        (self.path / TRIALS).stat()
        self._go_on()
        with self._db:
            pairs = [(key, json.dumps(value)) for key, value in summary.items()]
            self._db.executemany("INSERT OR REPLACE INTO summary VALUES (?, ?)", pairs)

    def model_path(self, trial: int) -> Path:
        """Return the folder of a trial's exported network."""
        return self.path / MODELS / str(trial)

    def remove_model(self, trial: int) -> None:
        """Remove the exported network of a trial that is among the best no more."""
        shutil.rmtree(self.model_path(trial))

    def close(self) -> None:
        """Close the database, leaving no journal files behind, and let others write."""
        self._db.close()
        self._lock.release()


def replace_text(path: Path, text: str) -> None:
    """Write a file at once: whoever reads it sees what it held before, or all of what it holds now."""
    beside = path.with_name(f"{path.name}.new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


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


@dataclass
class StoredRun:
    """A run directory, read."""

    path: Path
    request: Request
    objective: str
    task: str
    fingerprint: str
    trials: list[Trial]
    rules: int  # of drawing, splitting and training, see `streams.RULES`
    tables: int  # rules by which tables are read, see `reading.TABLES`
    summary: dict[str, Any]  # what the run came to; empty while it has not ended
    functions: own.Owns = field(default_factory=dict)  # the user's own, by role and name
    format: int = FORMAT
    record: Mapping[str, Any] = field(default_factory=dict)  # what sweep.toml says beside the request

    def trial(self, number: int) -> Trial:
        """Return the trial with this id, or raise RequestError."""
        for trial in self.trials:
            if trial.id == number:
                return trial
        ids = f"0 to {self.trials[-1].id}" if self.trials else "none"
        raise RequestError(f"trial {number} is not in {self.path}: its finished trials are {ids}")

    def curves_of(self, number: int, replicate: int = 0, fold: int = 0) -> dict[str, NDArray[np.float64]]:
        """Return the learning curves of one lane of a trial by metric, each [epochs]."""
        with _reading(self.path) as db:
            row = db.execute(
                f"SELECT {', '.join(self.curve_names)} FROM evaluations WHERE trial = ? AND replicate = ? AND fold = ?",
                (number, replicate, fold),
            ).fetchone()
        curves = [b""] * len(self.curve_names) if row is None else row
        return {name: np.frombuffer(curve, CURVE) for name, curve in zip(self.curve_names, curves, strict=True)}

    @cached_property
    def _lane_columns(self) -> tuple[str, ...]:
        with _reading(self.path) as db:
            return tuple(column[0] for column in db.execute("SELECT * FROM evaluations LIMIT 0").description)

    @property
    def curve_names(self) -> tuple[str, ...]:
        """The metrics that have learning curves."""
        return tuple(name for name in self._lane_columns if name not in _OF_LANES and not name.startswith("test_"))

    @cached_property
    def test_names(self) -> tuple[str, ...]:
        """The metrics of test rows."""
        return tuple(name for name in (self.trials[0].metrics if self.trials else ()) if name.startswith("test_"))

    @cached_property
    def lanes(self) -> dict[int, Sequence[Lane]]:
        """The lanes of each trial by its id, in the order of replicates and folds; all are read at the first look.

        They are those of the search, without those by which the best were confirmed.
        """
        return self._lanes("<")

    @cached_property
    def confirmed(self) -> tuple[Confirmed, ...]:
        """The trials that were trained again after the search, the best first; empty if none were."""
        if not self.request.confirm:
            return ()
        columns = Columns(self.curve_names, self.test_names, self.objective)
        constraints = Aims.of(self.request, self.objective).constraints
        return confirmation(self.trials, self.fresh_lanes, columns, self.request.keep_best, constraints)

    @property
    def fresh_lanes(self) -> dict[int, Sequence[Lane]]:
        """The lanes of the trials that were trained again after the search."""
        return self._lanes(">=")

    @property
    def ranked(self) -> list[Trial]:
        """The trials that have a score, the best first."""
        return ranked(self.trials, self.objective, self.confirmed)

    def _lanes(self, side: str) -> dict[int, Sequence[Lane]]:
        """Return the lanes whose replicate is `<` or `>=` the number of replicates in the search."""
        curves, told = len(self.curve_names), "status" in self._lane_columns
        halted = "halted" if "halted" in self._lane_columns else "0"
        names = [*self.curve_names, *(name for name in self._lane_columns if name.startswith("test_"))]
        wanted = ", ".join(["trial", "replicate", "fold", "status" if told else "''", halted, *names])
        found: dict[int, list[Lane]] = {}
        with _reading(self.path) as db:
            where = f"WHERE replicate {side} {self.request.replicates} ORDER BY trial, replicate, fold"
            rows = db.execute(f"SELECT {wanted} FROM evaluations {where}")
            for number, replicate, fold, status, stopped, *values in rows:
                curve = np.stack([np.frombuffer(blob, CURVE) for blob in values[:curves]], axis=1)
                test = np.array(values[curves:], np.float64) if values[curves:] else None  # NULL becomes NaN
                lane = Lane(replicate, fold, status, curve, test, bool(stopped))
                found.setdefault(number, []).append(lane)
        if told:
            return {**found}
        known = [trial for trial in self.trials if trial.id in found]
        return {trial.id: as_recorded_before(trial, found[trial.id], self.test_names) for trial in known}

    def model_path(self, number: int) -> Path:
        """Return the folder in which a trial's weights are, if they were kept."""
        return self.path / MODELS / str(number)

    def has_model(self, number: int) -> bool:
        """Return whether a trial's weights were kept."""
        return (self.model_path(number) / "model.json").exists()

    def check_repeatable(self) -> None:
        """Raise RequestError if this version would not train the run's trials as they were trained."""
        if self.rules != RULES:
            raise RequestError(
                f"the trials of {self.path} cannot be repeated: they were drawn, split and trained by rules "
                f"{self.rules}, and this version of jaxsweep follows rules {RULES}; their table and kept networks are "
                f"as good as ever, and {'running its sweep.toml again' if self.rules < RULES else 'a newer version'} "
                "gives trials that can be"
            )

    def prepared(self) -> Prepared:
        """Return the data split and standardized as they were trained on; RequestError as `dataset` says, or where this
        version would split or train them otherwise.
        """
        self.check_repeatable()
        return prepare(self.dataset(), split=self.request.split, folds=self.request.folds, seed=self.request.seed)

    def dataset(self) -> Dataset:
        """Return the data that the run was trained on, read again, at the first call, from where they came.

        Raises:
            RequestError: data that were in memory, are gone, or are not the same any more.
        """
        return self._dataset

    @cached_property
    def _dataset(self) -> Dataset:
        source = self.request.source
        if source.name is None and source.path is None:
            raise RequestError(f"{self.path} was trained on data in memory, which cannot be read again")
        data = open_source(source)
        if data.fingerprint != self.fingerprint:
            other = (
                "" if self.tables == TABLES else ", or this version reads tables otherwise than the one that trained it"
            )
            raise RequestError(
                f"the data of {self.path} have changed{other}: {source.path or source.name} has the fingerprint "
                f"{data.fingerprint[:12]}, the run was trained on {self.fingerprint[:12]}"
            )
        return data


def _reading(path: Path) -> "closing[sqlite3.Connection]":
    """Return a connection that reads, for a `with` that closes it.

    SQLite writes beside a database in WAL mode even to read it, which a folder may not allow, and leaves that there.
    Without a journal there is nothing to be read but the file.
    """
    file = path / TRIALS
    how = "mode=ro" if file.with_name(f"{file.name}-wal").exists() else "immutable=1"
    return closing(sqlite3.connect(f"{file.absolute().as_uri()}?{how}", uri=True))  # a name may have any character


def load(path: Path | str, functions: Mapping[str, Callable[..., Any]] | None = None) -> StoredRun:
    """Read a run directory; `functions` are those of the user's own by name, where something is to be trained.

    Raises:
        RequestError: there is no run in `path`, or it cannot be read; or as `own.recalled`.
    """
    from jaxsweep.spec import sweepfile

    path = Path(path)
    if not (path / TRIALS).exists() or not (path / SWEEP).exists():
        raise RequestError(f"{path} is no run directory: it must hold {SWEEP} and {TRIALS}")
    try:
        table = tomllib.loads((path / SWEEP).read_text(encoding="utf-8"))
        with _reading(path) as db:
            (written,) = db.execute("PRAGMA user_version").fetchone()
            if written > FORMAT:
                raise RequestError(
                    f"{path} was recorded by a newer version of jaxsweep, in format {written}: this one reads up to "
                    f"format {FORMAT}"
                )
            rows = db.execute(
                "SELECT trial, status, score, spread, epochs_done, seconds, metrics, config FROM trials ORDER BY trial"
            ).fetchall()
            lineages = _lineages(db)
            summary = {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM summary")}
    except (tomllib.TOMLDecodeError, sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} cannot be read as a run directory: {error}") from None
    run = table.get("run", {})
    try:
        rows_of_functions = own.checked_rows(run.get("functions", []))
    except ValueError as error:
        raise RequestError(f"{path / SWEEP} cannot be read: {error}") from None
    known = own.recalled(rows_of_functions, functions, str(path))
    metrics = tuple(metric for metric in known.get("metric", {}).values() if isinstance(metric, OwnMetric))
    request = replace(sweepfile.from_table(own.put(table, known)), metrics=metrics)
    swept = Swept.of(request)
    objective = directed(str(request.objective), metrics)
    trials = [_trial(swept, known, lineages.get(row[0], ()), *row) for row in rows]
    aims = Aims.of(request, objective)
    for trial in trials:
        trial.broken = aims.broken(trial.score, trial.metrics)
    return StoredRun(
        path=path,
        request=request,
        objective=objective,
        task=str(run.get("task", "")),
        fingerprint=str(run.get("fingerprint", "")),
        trials=trials,
        rules=int(table.get("versions", {}).get("rules", 1)),
        tables=int(table.get("versions", {}).get("tables", 1)),
        summary=summary,
        functions=known,
        format=written,
        record={name: table[name] for name in ("run", "versions") if name in table},
    )


def _lineages(db: sqlite3.Connection) -> dict[int, lineage.Lineage]:
    """Return the lineages of trials that have one; a run that was recorded before there were any has none."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'lineages'").fetchone():
        return {}
    return {number: lineage.from_rows(json.loads(parts)) for number, parts in db.execute("SELECT * FROM lineages")}


def _trial(
    swept: Swept, functions: own.Owns, parts: lineage.Lineage, number: int, status: str, score: float | None,
    spread: float, epochs: int, seconds: float, metrics: str, config: str,
) -> Trial:  # fmt: skip
    known = {name: float("nan") if value is None else value for name, value in json.loads(metrics).items()}
    kept = own.put_in_config(json.loads(config), functions)
    named = tuple(replace(part, config=own.put_in_config(part.config, functions)) for part in parts)
    optimizer = kept.get("optimizer", HYPERPARAMETERS["optimizer"].default)
    # A hyperparameter that came after the run was recorded had its default.
    values = tuple(kept.pop(name, row.default_for(optimizer)) for name, row in HYPERPARAMETERS.items())
    return Trial(number, status, score, spread, epochs, seconds, known, values, kept, swept, named)

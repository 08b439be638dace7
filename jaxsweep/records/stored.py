"""A run directory, read: its request, its trials, and on demand their lanes.

What is read is checked: a database that a disk, or a person, has damaged gives an error that names it, and no table.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data import Dataset, Prepared
from jaxsweep.data.reading import TABLES
from jaxsweep.data.source import open_source
from jaxsweep.data.start import Start
from jaxsweep.errors import RequestError, shown
from jaxsweep.records import own
from jaxsweep.records.confirmed import Confirmed, confirmation, ranked
from jaxsweep.records.lanes import Lane, as_recorded_before
from jaxsweep.records.model import Model, load_model
from jaxsweep.records.rundir import CURVE, FORMAT, MODELS, OF_LANES, SWEEP, TRIALS, reading, seal
from jaxsweep.records.start import kept_start
from jaxsweep.records.trials import STATUSES, Columns, Trial
from jaxsweep.spec import databases, documents, lineage
from jaxsweep.spec.aims import Aims
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, Hyperparameter
from jaxsweep.spec.own import Own, OwnMetric, directed
from jaxsweep.spec.request import Request, difference
from jaxsweep.spec.swept import Swept
from jaxsweep.streams import RULES

MAY_CHANGE = ("trials", "minutes", "checkpoint_seconds")  # of a request that goes on
# What a hyperparameter's value may be in a record, by its kind.
_TYPES: dict[str, tuple[type, ...]] = {
    "choice": (str, Own), "bool": (bool,), "int": (int,), "float": (int, float), "widths": (int,), "batch": (int, str),
}  # fmt: skip
_KINDS = [(*_TYPES[row.kind], *((type(None),) if row.default is None else ())) for row in HYPERPARAMETERS.values()]
SEALED = 4  # the first format in which all trials have checksums


class Seals(NamedTuple):
    """Checksums of what was recorded of a trial: its row, its lanes, and those of its confirmation, if it has any."""

    row: int
    lanes: int
    fresh: int | None


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
    began: str | None = None  # the sweep.toml that it began with, if the run says that
    lane_columns: tuple[str, ...] = ()  # of the table of lanes
    missing: tuple[int, ...] = ()  # trials that were recorded, and are not there any more

    def remarks(self) -> list[str]:
        """Return what is to be said of a run that is not whole."""
        if not self.missing:
            return []
        which = f"{len(self.missing):,} trials" if len(self.missing) > 1 else f"trial {self.missing[0]}"
        return [f"{self.path / TRIALS} had {which} more, which somebody or something has removed"]

    def trial(self, number: int) -> Trial:
        """Return the trial with this id, or raise RequestError."""
        for trial in self.trials:
            if trial.id == number:
                return trial
        asked = self.request.trials or 0
        which = (
            f"it has all of its {asked:,} trials, which begin at 0"
            if len(self.trials) == asked
            else f"{len(self.trials):,} of its {asked:,} trials have finished, and this is none of them"
        )
        raise RequestError(f"trial {number} is not in {self.path}: {which}")

    def model(self, number: int) -> Model:
        """Return the kept network of a trial; RequestError if it is broken, or another's."""
        config, path = self.trial(number).config, self.model_path(number)
        given = config["activation"].function if isinstance(config["activation"], Own) else None
        model = load_model(path, activation=given)
        if model.config != config:
            raise RequestError(f"{path} is not the network of trial {number}: its config is another one")
        return model

    def curves_of(self, number: int, replicate: int = 0, fold: int = 0) -> dict[str, NDArray[np.float64]]:
        """Return the learning curves of one lane of a trial by metric, each [epochs]; empty ones if there is none."""
        lanes = self._lanes(replicate >= self.request.replicates, number).get(number, ())
        curves = [lane.curves for lane in lanes if (lane.replicate, lane.fold) == (replicate, fold)]
        table = curves[0] if curves else np.empty((0, len(self.curve_names)))
        return dict(zip(self.curve_names, table.T, strict=True))

    @property
    def curve_names(self) -> tuple[str, ...]:
        """The metrics that have learning curves."""
        return _curve_names(self.lane_columns)

    @cached_property
    def test_names(self) -> tuple[str, ...]:
        """The metrics of test rows."""
        return tuple(name for name in (self.trials[0].metrics if self.trials else ()) if name.startswith("test_"))

    @cached_property
    def lanes(self) -> dict[int, Sequence[Lane]]:
        """The lanes of each trial by its id, in the order of replicates and folds; all are read at the first look.

        They are those of the search, without those by which the best were confirmed.
        """
        return self._lanes(fresh=False)

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
        return self._lanes(fresh=True)

    @property
    def ranked(self) -> list[Trial]:
        """The trials that have a score, the best first."""
        return ranked(self.trials, self.objective, self.confirmed)

    def _lanes(self, fresh: bool, trial: int | None = None) -> dict[int, Sequence[Lane]]:
        """Return the lanes of the search, or the fresh ones of the confirmation, of all trials or of one.

        Raises:
            RequestError: they are not what was recorded.
        """
        where = f"WHERE replicate {'>=' if fresh else '<'} ?" + (" AND trial = ?" if trial is not None else "")
        values = (self.request.replicates, *(() if trial is None else (trial,)))
        found: dict[int, list[Lane]] = {}
        with reading(self.path) as db:
            seals = _seals(db)  # of this moment: a trial may have trained again since
            rows = db.execute(f"SELECT * FROM evaluations {where} ORDER BY trial, replicate, fold", values)
            for number, several in groupby(rows, key=lambda row: row[0]):
                own_rows = list(several)
                known = seals.get(number)
                expected = None if known is None else known.fresh if fresh else known.lanes
                if expected is not None and seal((self.lane_columns, *own_rows)) != expected:
                    raise damaged(self.path, number)
                try:
                    found[number] = list(map(self._lane, own_rows))
                except (TypeError, ValueError) as error:
                    raise damaged(self.path, number, error) from None
        trials = [each for each in self.trials if trial in (None, each.id)]
        for each in trials:
            known = seals.get(each.id)
            if known is not None and (known.fresh is not None or not fresh) and each.id not in found:
                raise damaged(self.path, each.id)
        trials = [each for each in trials if each.id in found]
        if "status" in self.lane_columns:
            return {each.id: found[each.id] for each in trials}
        return {each.id: as_recorded_before(each, found[each.id], self.test_names) for each in trials}

    def confirming(self) -> tuple[list[tuple[int, Lane]], int]:
        """Return lanes of a confirmation that have ended, before all have, with their trials; and how many are broken.

        They count for whoever goes on with the run, and for nobody else.
        """
        lanes, broken = [], 0
        with reading(self.path) as db:
            there = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'confirming'").fetchone()
            for *row, known in db.execute("SELECT * FROM confirming") if there else ():
                try:
                    if seal((self.lane_columns, tuple(row))) != known:
                        raise ValueError("it is not what was recorded")
                    lanes.append((row[0], self._lane(row)))
                except (TypeError, ValueError):
                    broken += 1
        return lanes, broken

    def _lane(self, row: Sequence[Any]) -> Lane:
        """Return the lane of a row; TypeError or ValueError if it is none."""
        values = dict(zip(self.lane_columns, row, strict=True))
        curves = np.stack([np.frombuffer(values[name], CURVE) for name in self.curve_names], axis=1)
        if len(curves) != values["epochs"]:
            raise ValueError(f"{values['epochs']} epochs with curves of {len(curves)}")
        tests = [values[name] for name in self.lane_columns if name.startswith("test_")]
        test = np.array(tests, np.float64) if tests else None  # NULL becomes NaN
        place = int(values["replicate"]), int(values["fold"])
        return Lane(*place, str(values.get("status", "")), curves, test, bool(values.get("halted", 0)))

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

    def check_unchanged(self) -> None:
        """Raise RequestError if its sweep.toml asks for something else than the run began with, but for MAY_CHANGE."""
        if self.began is None:
            return
        try:
            table = documents.toml(self.began)
            first = _request(table, self.functions)
        except (AttributeError, TypeError, ValueError) as error:
            raise RequestError(f"{self.path / TRIALS} is damaged: what its run began with is none: {error}") from None
        for name in ("task", "fingerprint"):
            if (known := table.get("run", {}).get(name)) != (now := self.record.get("run", {}).get(name)):
                raise RequestError(f"{self.path / SWEEP} says {name} = {now!r}, and the run began with {known!r}")
        if (differs := difference(first, self.request, MAY_CHANGE)) is not None:
            name, before, asked = differs
            raise RequestError(
                f"{self.path / SWEEP} asks for {name} = {asked}, and the run began with {before}: put that back, or "
                "begin another run with the file"
            )

    def prepared(self) -> Prepared:
        """Return the data split and standardized as they were trained on; RequestError as `dataset` says, or where this
        version would split or train them otherwise.
        """
        self.check_repeatable()
        return replace(self.request, start=self.start).prepared(self.dataset())

    @cached_property
    def start(self) -> Start | None:
        """The weights that its networks started with, if these were a trained one's; RequestError if they are gone."""
        if self.request.start_from is None:
            return None
        return kept_start(self.path, self.record.get("run", {}).get("start"))

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
                f"{data.fingerprint[:12]}, the run was trained on {self.fingerprint[:12]}: put back what it was, or "
                "begin another run"
            )
        return data


def damaged(path: Path, number: object, why: object = "") -> RequestError:
    """Return the error of a trial that is not what was recorded."""
    said = f" ({why})" if str(why) else ""
    return RequestError(
        f"{path / TRIALS} is damaged: what it has of trial {number} is not what was recorded{said}; without that "
        f"trial's row in its table trials it can be read, and jaxsweep resume {path} trains the trial again"
    )


def load(path: Path | str, functions: Mapping[str, Callable[..., Any]] | None = None) -> StoredRun:
    """Read a run directory; `functions` are those of the user's own by name, where something is to be trained.

    Raises:
        RequestError: there is no run in `path`, or it cannot be read; or as `own.recalled`.
    """

    path = Path(path)
    if not (path / TRIALS).is_file() or not (path / SWEEP).is_file():
        raise RequestError(f"{path} is no run directory: it must hold {SWEEP} and {TRIALS}")
    try:
        table = documents.toml(documents.text_of(path / SWEEP))
    except ValueError as error:
        raise RequestError(f"{path} cannot be read as a run directory: {SWEEP}: {error}") from None
    found = _read(path)
    try:
        return _assembled(path, table, found, functions)
    except (AttributeError, TypeError, ValueError, OverflowError, KeyError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            f"{path} cannot be read as a run directory: {SWEEP} has something that no run has "
            f"({type(error).__name__}: {error})"
        ) from error


def _assembled(
    path: Path, table: Mapping[str, Any], found: "_Tables", functions: Mapping[str, Callable[..., Any]] | None
) -> StoredRun:
    run = table.get("run", {})
    try:
        rows_of_functions = own.checked_rows(run.get("functions", []))
    except ValueError as error:
        raise RequestError(f"{path / SWEEP} cannot be read: {error}") from None
    known = own.recalled(rows_of_functions, functions, str(path))
    metrics = tuple(metric for metric in known.get("metric", {}).values() if isinstance(metric, OwnMetric))
    request = _request(table, known)
    objective = directed(str(request.objective), metrics)
    measured = _curve_names(found.lane_columns)
    if request.objective is None or objective not in measured:
        raise RequestError(
            f"{path / SWEEP} has objective = {shown(request.objective)}, and the run measured {', '.join(measured)}"
        )
    trials = list(_trials(path, found, Swept.of(request), known))
    aims = Aims.of(request, objective)
    for trial in trials:
        trial.broken = aims.broken(trial.score, trial.metrics)
    stored = StoredRun(
        path=path,
        request=request,
        objective=objective,
        task=str(run.get("task", "")),
        fingerprint=str(run.get("fingerprint", "")),
        trials=trials,
        rules=int(table.get("versions", {}).get("rules", 1)),
        tables=int(table.get("versions", {}).get("tables", 1)),
        summary=found.summary,
        functions=known,
        format=found.format,
        record={name: table[name] for name in ("run", "versions") if name in table},
        began=found.began,
        lane_columns=found.lane_columns,
        missing=tuple(sorted(found.seals.keys() - {trial.id for trial in trials})),
    )
    stored.check_unchanged()
    return stored


def _request(table: Mapping[str, Any], functions: own.Owns) -> Request:
    """Return what the tables of a sweep.toml ask for, with the user's own functions in it."""
    from jaxsweep.spec import sweepfile

    metrics = tuple(metric for metric in functions.get("metric", {}).values() if isinstance(metric, OwnMetric))
    return replace(sweepfile.from_table(own.put(dict(table), functions)), metrics=metrics)


class _Tables(NamedTuple):
    """What a database has, but for the lanes."""

    format: int
    trials: list[tuple[Any, ...]]
    lineages: dict[int, str]
    summary: dict[str, Any]
    seals: dict[int, Seals]
    began: str | None
    lane_columns: tuple[str, ...]


def _read(path: Path) -> _Tables:
    with reading(path) as db:
        (written,) = db.execute("PRAGMA user_version").fetchone()
        if written > FORMAT:
            raise RequestError(
                f"{path} was recorded by a newer version of jaxsweep, in format {written}: this one reads up to "
                f"format {FORMAT}"
            )
        if (odd := databases.strange(db)) is not None:
            raise RequestError(f"{path / TRIALS} is no database of a run: {odd} no run has")
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        names = "trial, status, score, spread, epochs_done, seconds, metrics, config"
        rows = db.execute(f"SELECT {names} FROM trials ORDER BY trial").fetchall()
        # A run that was recorded before there were any has none.
        lineages = dict(db.execute("SELECT trial, parts FROM lineages")) if "lineages" in tables else {}
        seals = _seals(db)
        try:
            summary = {key: documents.json_value(value) for key, value in db.execute("SELECT key, value FROM summary")}
        except (TypeError, ValueError) as error:
            raise RequestError(f"{path / TRIALS} is damaged: what its run came to is no JSON ({error})") from None
        began = db.execute("SELECT sweep_toml FROM began").fetchone() if "began" in tables else None
        columns = tuple(name for _, name, *_ in db.execute("PRAGMA table_info(evaluations)"))
    return _Tables(written, rows, lineages, _summary(path, summary), seals, began and str(began[0]), columns)


def _curve_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the metrics that have learning curves, of the columns of lanes."""
    return tuple(name for name in columns if name not in OF_LANES and not name.startswith("test_"))


def _summary(path: Path, summary: dict[str, Any]) -> dict[str, Any]:
    """Return what a run came to, if it is of the kinds that it should be."""
    kinds: dict[str, Any] = {"status": str, "notes": list, "trials": dict, "seconds": dict}
    odd = [name for name, kind in kinds.items() if not isinstance(summary.get(name, kind()), kind)]
    inside: dict[str, Any] = {"notes": str, "seconds": (int, float)}
    for name, kind in () if odd else inside.items():
        values = summary.get(name, [])
        each = values.values() if isinstance(values, dict) else values
        odd += [] if all(isinstance(value, kind) for value in each) else [name]
    if odd:
        raise RequestError(f"{path / TRIALS} is damaged: {odd[0]} of what its run came to are {summary[odd[0]]!r:.80}")
    return summary


def _seals(db: sqlite3.Connection) -> dict[int, Seals]:
    """Return the checksums of trials; none of a run that was recorded before there were any."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'seals'").fetchone():
        return {}
    found = {number: Seals(*each) for number, *each in db.execute("SELECT trial, row, lanes, fresh FROM seals")}
    return {number: each for number, each in found.items() if isinstance(number, int)}


def _trials(path: Path, found: _Tables, swept: Swept, functions: own.Owns) -> Iterator[Trial]:
    """Yield the trials of a database; RequestError if one is not what was recorded."""
    curves = _curve_names(found.lane_columns)
    for row in found.trials:
        number, parts = row[0], found.lineages.get(row[0])
        rows = [row] if parts is None else [row, (number, parts)]
        known = found.seals.get(number)
        # A run that an earlier version began has checksums of those trials alone that came later.
        if seal(rows) != known.row if known is not None else found.format >= SEALED:
            raise damaged(path, number)
        try:
            yield _trial(swept, functions, parts, curves, *row)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:  # JSON of something else
            raise damaged(path, number, error) from None


def _trial(
    swept: Swept, functions: own.Owns, parts: str | None, curves: Sequence[str], number: int, status: str,
    score: float | None, spread: float, epochs: int, seconds: float, metrics: str, config: str,
) -> Trial:  # fmt: skip
    if type(number) is not int or number < 0:  # SQLite keeps anything anywhere; it names a folder
        raise ValueError("its number is none")
    if status not in STATUSES:
        raise ValueError(f"its status is {status!r}")
    numbers = (float(spread), int(epochs), float(seconds))
    measured = documents.json_value(metrics).items()
    known = {name: float("nan") if value is None else float(value) for name, value in measured}
    for name in curves:
        known.setdefault(name, float("nan"))
    kept = own.put_in_config(documents.json_value(config), functions)
    changed = lineage.from_rows(documents.json_value(parts)) if parts else ()
    named = tuple(replace(part, config=own.put_in_config(part.config, functions)) for part in changed)
    optimizer = kept.get("optimizer", HYPERPARAMETERS["optimizer"].default)
    # A hyperparameter that came after the run was recorded had its default.
    values = tuple(kept.pop(name, row.default_for(optimizer)) for name, row in HYPERPARAMETERS.items())
    for row, kinds, value in zip(HYPERPARAMETERS.values(), _KINDS, values, strict=True):
        if not isinstance(value, kinds) and not _widths(row, value):
            raise ValueError(f"its {row.name} is {shown(value)}")
    scored = None if score is None else float(score)
    return Trial(number, str(status), scored, *numbers, known, values, kept, swept, named)


def _widths(row: Hyperparameter, value: Any) -> bool:
    """Return whether a value is a list of widths, a layer each, of a hyperparameter that may be one."""
    return row.kind == "widths" and isinstance(value, list) and all(isinstance(each, int) for each in value)

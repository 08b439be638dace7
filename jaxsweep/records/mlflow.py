"""A sweep in MLflow: a run for the sweep, with its settings and files, and one below it for each of the best trials."""

import json
import re
import tempfile
import time
import tomllib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxsweep import __version__
from jaxsweep.errors import RequestError, cut
from jaxsweep.records import tracked
from jaxsweep.records.files import csv_text
from jaxsweep.records.front import rows_of
from jaxsweep.records.trials import FINISHED, Trial
from jaxsweep.spec import arguments
from jaxsweep.spec.extras import extra
from jaxsweep.spec.metrics import sign
from jaxsweep.spec.sweepfile import to_toml

if TYPE_CHECKING:
    from jaxsweep.records.exports import Exports

# What MLflow takes: letters of a name, letters of a param's value and of a tag's; metrics and params of one call.
NAME, VALUE, METRICS, PARAMS = 250, 500, 1000, 100
NOTE = 4000  # letters of a tag that is a text
FINAL = "final/"  # before a metric that a trial came to
ENDS = {
    "completed": "FINISHED",
    "interrupted": "KILLED",
    "failed": "FAILED",
    "running": "KILLED",
}  # by a sweep's status


@dataclass(frozen=True)
class Logged:
    """What was written to MLflow.

    Attributes:
        run_id: of the run that is the sweep.
        trials: the runs that are trials: ids of runs by ids of trials, the best first.
        experiment: in which they are.
        tracking_uri: where that is.
        among: how many trials the sweep has.
    """

    run_id: str
    trials: Mapping[int, str]
    experiment: str
    tracking_uri: str
    among: int

    def told(self) -> str:
        """Return in a sentence what was written."""
        which = "all" if len(self.trials) == self.among else f"the best {len(self.trials):,} of"
        where = f"the run {self.run_id} of the experiment {self.experiment} in {_without_password(self.tracking_uri)}"
        return f"the sweep is {where}, with {which} {self.among:,} trials below it"

    def __repr__(self) -> str:
        return self.told()


def write(result: "Exports", tracking_uri: Any, experiment: Any, name: Any, trials: Any, show_test: bool) -> Logged:
    """Write a sweep to MLflow; see `Result.to_mlflow`."""
    mlflow = extra("mlflow", "logging to MLflow")
    arguments.word("experiment", experiment, "cars")
    for what, value in (("tracking_uri", tracking_uri), ("run_name", name)):
        if value is not None:
            arguments.word(what, value, "sqlite:///mlflow.db" if what == "tracking_uri" else "cars")
    chosen = tracked.chosen(result, trials)
    where = str(tracking_uri or mlflow.get_tracking_uri())
    with _refusals(mlflow, where):
        client = mlflow.MlflowClient(tracking_uri=where)
        known = client.get_experiment_by_name(experiment)
        number = client.create_experiment(experiment) if known is None else known.experiment_id
        log = _Log(mlflow, client, number, result, show_test)
        run = log.sweep(name or (result.run.name if result.run is not None else "sweep"), chosen)
        below = {}
        try:
            for trial in chosen:
                below[trial.id] = log.trial(run, trial)
        except BaseException:
            with suppress(Exception):  # it cannot be told either
                client.set_terminated(run, "FAILED")
            raise
        client.set_terminated(run, ENDS[result.status], log.now)
    return Logged(run, below, experiment, where, len(result.trials))


def _without_password(uri: str) -> str:
    return re.sub(r"//[^/@]*@", "//...@", uri)


@contextmanager
def _refusals(mlflow: Any, where: str) -> Iterator[None]:
    """Turn what MLflow, or a database or server behind it, complains of into a RequestError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own dependencies, which nobody here can do anything about
            yield
    except RequestError:
        raise
    except Exception as error:  # of whatever server
        said = f"{type(error).__name__}: {cut(' '.join(str(error).split()), 300)}"
        raise RequestError(
            f"MLflow at {cut(_without_password(where))} cannot be written to ({said}): name a place such as "
            "sqlite:///mlflow.db, or a server as http://localhost:5000"
        ) from error


class _Log:
    """Writes the runs of a sweep."""

    def __init__(self, mlflow: Any, client: Any, experiment: str, result: "Exports", show_test: bool) -> None:
        self.entities, self.client, self.experiment = mlflow.entities, client, experiment
        self.result, self.tested = result, tracked.tested(result, show_test)
        self.now = int(time.time() * 1000)

    def sweep(self, name: str, chosen: Sequence[Trial]) -> str:
        """Write the run that is the sweep, which stays open, and return its id."""
        result, summary = self.result, self.result.summary()
        seconds = float(summary["seconds"].get("total", 0.0))
        tags = {
            "jaxsweep.version": __version__,
            "jaxsweep.status": result.status,
            "jaxsweep.objective": result.objective,
        }
        run = self._begin(name, seconds, {**tags, "mlflow.note.content": cut(tracked.sentence(result), NOTE)})
        settings = {
            f"{section}.{key}": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for section, content in tomllib.loads(to_toml(result.request)).items()
            if isinstance(content, dict)
            for key, value in content.items()
        }
        self._params(run, settings)
        numbers = {f"trials/{key}": value for key, value in summary["trials"].items()}
        numbers |= {f"seconds/{key}": value for key, value in summary["seconds"].items()}
        numbers |= {key: summary[key] for key in ("programs", "lane_occupancy", "padding_waste", "iterations")}
        if result.confirmed:
            numbers["confirmed_score"] = result.confirmed[0].confirmed_score
        if ranked := result.top(1):
            numbers |= {FINAL + key: value for key, value in tracked.final(result, ranked[0], self.tested).items()}
        values = {name: [(0, float(value))] for name, value in numbers.items() if value is not None}
        self._metrics(run, {**values, "best_score": self._best_so_far()}, 0.0)
        self._files(run, summary, chosen)
        return run

    def _best_so_far(self) -> tracked.Points:
        """Return the best score after each trial that bettered it, by the trial's id."""
        found: tracked.Points = []
        way = sign(self.result.objective)
        for trial in self.result.trials:
            if trial.counts and (not found or way * (trial.score or 0.0) > way * found[-1][1]):
                found.append((trial.id, trial.score or 0.0))
        return found

    def _files(self, run: str, summary: Mapping[str, Any], chosen: Sequence[Trial]) -> None:
        result = self.result
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder)
            (here / "sweep.toml").write_text(to_toml(result.request), encoding="utf-8")
            (here / "summary.json").write_text(json.dumps(summary, indent=1, default=str) + "\n", encoding="utf-8")
            rows = rows_of(result.trials, result.aims)
            (here / "trials.csv").write_text(csv_text(rows), encoding="utf-8")
            best = next((trial.id for trial in chosen if trial.counts), None)
            if best is not None and best in result.models:
                result.models[best].save(here / "model")
            self.client.log_artifacts(run, folder)

    def trial(self, parent: str, trial: Trial) -> str:
        """Write the run that is a trial, and return its id."""
        tags = {"mlflow.parentRunId": parent, "jaxsweep.trial": str(trial.id), "jaxsweep.status": trial.status}
        run = self._begin(f"trial {trial.id}", trial.seconds, tags)
        self._params(run, {name: str(value) for name, value in trial.params.items()})
        came = tracked.final(self.result, trial, self.tested)
        values = {FINAL + name: [(trial.epochs_done, value)] for name, value in came.items()}
        if trial.score is not None:
            values["score"] = [(trial.epochs_done, trial.score)]
        self._metrics(run, {**tracked.curves(self.result, trial), **values}, trial.seconds, trial.epochs_done)
        self.client.log_dict(run, trial.config, "config.json")
        self.client.set_terminated(run, "FINISHED" if trial.status in FINISHED else "FAILED", self.now)
        return run

    def _begin(self, name: str, seconds: float, tags: Mapping[str, str]) -> str:
        """Return the id of a new run, which counts as having ended now: nobody has noted when it did."""
        common = {"mlflow.source.name": "jaxsweep", "mlflow.source.type": "LOCAL"}
        made = self.client.create_run(
            self.experiment, start_time=self.now - int(seconds * 1000), tags={**common, **tags}, run_name=name
        )
        return str(made.info.run_id)

    def _params(self, run: str, params: Mapping[str, str]) -> None:
        names = tracked.legal(params, NAME)
        each = [self.entities.Param(names[name], cut(value, VALUE)) for name, value in params.items()]
        for at in range(0, len(each), PARAMS):
            self.client.log_batch(run, params=each[at : at + PARAMS])

    def _metrics(self, run: str, values: Mapping[str, tracked.Points], seconds: float, epochs: int = 1) -> None:
        """Write metrics at steps; the moments are as if all of so many epochs had taken equally long."""
        names = tracked.legal(values, NAME)
        began = self.now - int(seconds * 1000)
        each = [
            self.entities.Metric(names[name], value, began + int(1000 * seconds * step / max(epochs, 1)), step)
            for name, points in values.items()
            for step, value in points
        ]
        for at in range(0, len(each), METRICS):
            self.client.log_batch(run, metrics=each[at : at + METRICS])

"""What a sweep gives back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data import Prepared
from jaxsweep.errors import RequestError, SweepFailed, suggestion
from jaxsweep.records.model import Model, load_model
from jaxsweep.records.store import StoredRun
from jaxsweep.records.store import load as read_run
from jaxsweep.records.trials import Columns, Trial, best_first
from jaxsweep.spec import arguments
from jaxsweep.spec.request import Request

if TYPE_CHECKING:
    import pandas as pd


@dataclass(repr=False)
class Result:
    """The trials of a sweep, in the order of asking, and what can be done with them.

    `js.load` gives the same of a run directory, where curves, data and networks are read when they are asked for.

    Attributes:
        status: completed, interrupted, failed (no trial finished), or, of a run directory, running (or cut off).
        objective: the metric that trials are scored by.
        trials: the finished trials.
        run: the run directory, if there is one.
        request: what was asked for.
        models: the kept networks by trial.
    """

    status: str
    objective: str
    trials: list[Trial]
    _curves: Mapping[int, NDArray[np.float64]] | StoredRun = field(repr=False)
    columns: Columns = field(repr=False)
    _data: Prepared | StoredRun = field(repr=False)
    request: Request = field(repr=False)
    run: Path | None
    numbers: Mapping[str, Any] = field(repr=False)
    models: Mapping[int, Model] = field(repr=False)

    @cached_property
    def data(self) -> Prepared:
        """The data, split and standardized; RequestError if they cannot be read again as they were."""
        return self._data.prepared() if isinstance(self._data, StoredRun) else self._data

    def __repr__(self) -> str:
        ranked = best_first(self.trials, self.objective)
        best = f", best {ranked[0]!r}" if ranked else ""
        return f"Result({self.status}, {len(self.trials)} trials, {self.objective}{best})"

    def top(self, k: int) -> list[Trial]:
        """Return the `k` trials with the best scores, the best first; fewer, if fewer have one."""
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise RequestError(f"top({k!r}) is not legal: it must be an integer of at least 1")
        return best_first(self.trials, self.objective)[:k]

    @property
    def best(self) -> Trial:
        """The trial with the best score.

        Raises:
            SweepFailed: no trial finished.
        """
        ranked = best_first(self.trials, self.objective)
        if not ranked:
            raise SweepFailed(f"no trial finished: all {len(self.trials)} diverged or failed")
        return ranked[0]

    def to_pandas(self) -> "pd.DataFrame":
        """Return a frame with a row for each trial: id, status, score, epochs, metrics, hyperparameters."""
        import pandas as pd

        return pd.DataFrame([trial.row() for trial in self.trials])

    def curves(self, metric: str) -> NDArray[np.float64]:
        """Return a metric after each epoch, float [trials, epochs], NaN beyond a trial's end.

        Of several replicates or folds it is the mean, as far as all of them go.

        Raises:
            RequestError: a metric that has no learning curve.
        """
        if arguments.word("metric", metric, "val_loss") not in self.columns.curves:
            hint = suggestion(metric, self.columns.curves)
            if metric.startswith("train_") and metric.replace("train_", "val_", 1) in self.columns.curves:
                hint = ": sweep with train_metrics=True"
            raise RequestError(f"{metric!r} has no learning curve{hint}")
        column = self.columns.curves.index(metric)
        known = self._curves.mean_curves if isinstance(self._curves, StoredRun) else self._curves
        curves = [known[trial.id][:, column] for trial in self.trials]
        table = np.full((len(curves), max((len(curve) for curve in curves), default=0)), np.nan)
        for row, curve in zip(table, curves, strict=True):
            row[: len(curve)] = curve
        return table

    def model(self, trial: int | None = None) -> Model:
        """Return a trial's network (by default the best one's): its kept weights, or trained again by `solo`.

        Raises:
            RequestError: there is no such trial, or it did not finish.
        """
        chosen = self.best if trial is None else self._trial(arguments.whole("trial", trial))
        if chosen.id in self.models:
            return self.models[chosen.id]
        return retrain(self.data, chosen, self.request, self.objective)

    def _trial(self, number: int) -> Trial:
        for trial in self.trials:
            if trial.id == number:
                return trial
        raise RequestError(f"trial {number} is not in this sweep: it has {len(self.trials)} finished trials from 0 on")

    def summary(self) -> dict[str, Any]:
        """Return the run in numbers, as `run --format json` prints it."""
        ranked = best_first(self.trials, self.objective)
        best = ranked[0] if ranked else None
        statuses = [trial.status for trial in self.trials]
        return {
            "run": str(self.run) if self.run else None,
            "status": self.status,
            "objective": self.objective,
            "trials": {
                "requested": self.numbers.get("requested"),
                **{name: statuses.count(name) for name in ("completed", "stopped", "diverged", "failed")},
            },
            "best": best
            and {
                "trial": best.id,
                "score": best.score,
                "config": best.config,
                "metrics": {k: v if np.isfinite(v) else None for k, v in best.metrics.items()},
            },
            "seconds": {name: round(value, 4) for name, value in self.numbers.get("seconds", {}).items()},
            **{name: self.numbers.get(name) for name in ("programs", "lane_occupancy", "padding_waste", "iterations")},
        }

    def _repr_html_(self) -> str:
        """Return the ten best trials as a table, for notebooks."""
        ranked = best_first(self.trials, self.objective)[:10]
        if not ranked:
            return f"<p>jaxsweep: none of {len(self.trials)} trials finished.</p>"
        configs = [trial.config for trial in self.trials]
        varied = [name for name in configs[0] if len({repr(config[name]) for config in configs}) > 1]
        frame = self.to_pandas().set_index("trial").loc[[trial.id for trial in ranked]]
        frame = frame[["status", "score", "epochs_done", *varied]]
        head = f"<p>jaxsweep: {self.status}, {len(self.trials)} trials, best {self.objective} first</p>"
        return head + str(frame.to_html(float_format=lambda value: f"{value:.4g}"))


def retrain(data: Prepared, trial: Trial, request: Request, objective: str) -> Model:
    """Return the network of a trial, trained again as `solo` does: the same one that the sweep trained."""
    if trial.score is None:
        raise RequestError(f"trial {trial.id} has no network: it is {trial.status}")
    from jaxsweep.network.reference import (
        train,  # with Flax and Optax, which few sweeps need that find their programs compiled
    )

    again = train(
        data, trial.config, request.seed, trial=trial.id, objective_metric=objective,
        keep_best=request.keep_best,
    )  # fmt: skip
    return Model.of(data, trial.config, again.params, again.stats)


class _Networks(Mapping[int, Model]):
    """The kept networks of a run directory, each read when it is asked for."""

    def __init__(self, run: StoredRun) -> None:
        self._run = run
        self._numbers = [trial.id for trial in run.trials if run.has_model(trial.id)]

    def __getitem__(self, number: int) -> Model:
        if number not in self._numbers:
            raise KeyError(number)
        return load_model(self._run.model_path(number))

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def load(path: str | Path) -> Result:
    """Return the result in a run directory, as `js.sweep` gave it, also of a run that is under way or was cut off.

    Raises:
        RequestError: there is no run in `path`, or it cannot be read.
    """
    run = read_run(arguments.path("path", path))
    test = tuple(name for name in (run.trials[0].metrics if run.trials else ()) if name.startswith("test_"))
    numbers = {**run.summary, "requested": run.summary.get("trials", {}).get("requested", run.request.trials)}
    return Result(
        run.summary.get("status", "running"), run.objective, run.trials, run,
        Columns(run.curve_names, test, run.objective), run, run.request, run.path, numbers, _Networks(run),
    )  # fmt: skip

"""What a sweep gives back."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data import Prepared
from jaxsweep.errors import RequestError, SweepFailed, suggestion
from jaxsweep.records.model import Model
from jaxsweep.records.trials import Columns, Trial, best_first
from jaxsweep.spec.request import Request

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Result:
    """The trials of a sweep, in the order of asking, and what can be done with them.

    Attributes:
        status: completed, interrupted, or failed (no trial finished).
        objective: the metric that trials are scored by.
        trials: the finished trials.
        run: the run directory, if there is one.
    """

    status: str
    objective: str
    trials: list[Trial]
    _curves: dict[int, NDArray[np.float64]] = field(repr=False)
    columns: Columns = field(repr=False)
    data: Prepared = field(repr=False)
    request: Request = field(repr=False)
    run: Path | None
    numbers: dict[str, Any] = field(repr=False)
    models: dict[int, Model] = field(repr=False)

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
        if metric not in self.columns.curves:
            hint = suggestion(metric, self.columns.curves)
            if metric.startswith("train_") and metric.replace("train_", "val_", 1) in self.columns.curves:
                hint = ": sweep with train_metrics=True"
            raise RequestError(f"{metric!r} has no learning curve{hint}")
        column = self.columns.curves.index(metric)
        curves = [self._curves[trial.id][:, column] for trial in self.trials]
        table = np.full((len(curves), max((len(curve) for curve in curves), default=0)), np.nan)
        for row, curve in zip(table, curves, strict=True):
            row[: len(curve)] = curve
        return table

    def model(self, trial: int | None = None) -> Model:
        """Return a trial's network (by default the best one's): its kept weights, or trained again by `solo`.

        Raises:
            RequestError: there is no such trial, or it did not finish.
        """
        chosen = self.best if trial is None else self._trial(trial)
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
                "requested": self.numbers["requested"],
                **{name: statuses.count(name) for name in ("completed", "stopped", "diverged", "failed")},
            },
            "best": best
            and {
                "trial": best.id,
                "score": best.score,
                "config": best.config,
                "metrics": {k: v if np.isfinite(v) else None for k, v in best.metrics.items()},
            },
            "seconds": {name: round(value, 4) for name, value in self.numbers["seconds"].items()},
            **{name: self.numbers[name] for name in ("programs", "lane_occupancy", "padding_waste", "iterations")},
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

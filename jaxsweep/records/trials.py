"""Trials: what a config came to, from one lane or the mean of several."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.engine.outcome import LaneResult
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, Config
from jaxsweep.spec.lineage import Lineage
from jaxsweep.spec.metrics import METRICS, metric_names, sign
from jaxsweep.spec.swept import Swept

FINISHED = ("completed", "stopped")
STATUSES = (*FINISHED, "diverged", "failed")
EVERYTHING = Swept()


@dataclass(repr=False)
class Trial:
    """A config that has been evaluated.

    `score` is the objective, None if the trial diverged or failed, or if its objective is no finite number; `spread`
    is the standard deviation of the score over replicates and folds (0 for one). `metrics` are means over them at the
    epoch whose weights count.
    """

    id: int
    status: str
    score: float | None
    spread: float
    epochs_done: int
    seconds: float
    metrics: dict[str, float]
    values: tuple[Any, ...]  # of every hyperparameter, in the order of the table
    later: Mapping[str, Any] = field(default_factory=dict)  # hyperparameters of a run that this version does not know
    swept: Swept = field(default=EVERYTHING, compare=False)  # what the sweep varied
    lineage: Lineage = ()  # of a network that is in part a copy of others
    broken: tuple[str, ...] = ()  # constraints of the sweep that it breaks

    @property
    def feasible(self) -> bool:
        """Whether it breaks none of the sweep's constraints; of one without a score, as far as that is known."""
        return not self.broken

    @property
    def counts(self) -> bool:
        """Whether it can be the best: it has a score and breaks no constraint."""
        return self.score is not None and not self.broken

    @property
    def config(self) -> Config:
        """Return every hyperparameter by name, in the order of the table; it is the caller's to change."""
        return {
            **{n: list(v) if isinstance(v, list) else v for n, v in zip(HYPERPARAMETERS, self.values, strict=True)},
            **self.later,
        }

    @property
    def params(self) -> Config:
        """Return the hyperparameters that the sweep varied, at their defaults or not: what tells it from other trials.

        Those of its space that are no constants, or that any of its `configs` names; without what is inactive in this
        config by a condition of the space, and without what has no effect in it, such as momentum under adam.
        """
        return self.swept.params(self.config)

    def __repr__(self) -> str:
        rounded = {n: float(f"{v:.4g}") if isinstance(v, float) else v for n, v in self.params.items()}
        score = None if self.score is None else float(f"{self.score:.6g}")
        broken = f", breaks {' and '.join(self.broken)}" if self.broken else ""
        return f"Trial({self.id}, {self.status}, score={score}{broken}, {rounded})"

    def row(self) -> dict[str, Any]:
        """Return the trial as a row of the table that `show` and `to_pandas` give."""
        return {
            "trial": self.id,
            "status": self.status,
            "score": np.nan if self.score is None else self.score,
            "epochs_done": self.epochs_done,
            "spread": self.spread,
            **self.metrics,
            **self.config,
        }


@dataclass(frozen=True)
class Columns:
    """The names of a task's metrics: of the learning curves and of a trial."""

    curves: tuple[str, ...]
    test: tuple[str, ...]
    objective: str
    several: bool = False  # whether metrics are means over several targets

    @classmethod
    def of(
        cls, task: str, outputs: int, objective: str, has_test: bool, train_metrics: bool = False,
        own: Sequence[str] = (),
    ) -> "Columns":  # fmt: skip
        """Return the columns of a task with `outputs` classes, or targets, and of metrics of the user's own."""
        names = metric_names(task, outputs, own)
        curves = ("train_loss", *(f"val_{name}" for name in names))
        if train_metrics:
            curves += tuple(f"train_{name}" for name in names if name != "loss")
        test = tuple(f"test_{name}" for name in names) if has_test else ()
        return cls(curves, test, objective, several=task == "regression" and outputs > 1)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Return the metric columns of a trial."""
        return self.curves + self.test

    @cached_property
    def place(self) -> int:
        """Return the column of the objective among those of curves."""
        return self.curves.index(self.objective)

    @cached_property
    def sign(self) -> int:
        """Return 1 if larger objectives are better, else -1."""
        return sign(self.objective)


def final_epoch(curves: NDArray[np.float64], columns: Columns, keep_best: bool) -> int:
    """Return the epoch (from 0) whose weights count: the last one, or the one with the best objective."""
    if not keep_best:
        return len(curves) - 1
    # What follows from the mean squared error is best where that is least, however close to each other it is rounded.
    row = METRICS.get(columns.objective.removeprefix("val_"))
    measure = None if row is None else row.measure
    watched = columns.objective if measure is None or columns.several else f"val_{measure}"
    return int(np.argmax(sign(watched) * curves[:, columns.curves.index(watched)]))


def lane_score(status: str, curves: NDArray[np.float64], columns: Columns, keep_best: bool) -> float | None:
    """Return a lane's objective, or None if it did not finish or the objective is no finite number."""
    if status not in FINISHED:
        return None
    score = float(curves[final_epoch(curves, columns, keep_best), columns.place])
    return score if math.isfinite(score) else None


def make_trial(
    number: int, config: Config, lanes: Sequence[LaneResult], columns: Columns, keep_best: bool,
    swept: Swept = EVERYTHING,
) -> Trial:  # fmt: skip
    """Return the trial that its lanes make: means over them, and a score only if all of them finished."""
    statuses = {lane.status for lane in lanes}
    status = next((s for s in ("failed", "diverged", "stopped") if s in statuses), "completed")
    finished: list[float] = []
    if statuses.issubset(FINISHED):
        ends = [lane.curves[final_epoch(lane.curves, columns, keep_best)] for lane in lanes]
        finished = [score for end in ends if math.isfinite(score := float(end[columns.place]))]
        values = _mean(ends).tolist()
        if columns.test:
            values += _mean([lane.test for lane in lanes if lane.test is not None]).tolist()
    else:
        values = [math.nan] * len(columns.metrics)
    whole = len(finished) == len(lanes)
    return Trial(
        id=number,
        status=status,
        score=statistics.fmean(finished) if whole else None,
        spread=statistics.pstdev(finished) if whole and len(finished) > 1 else 0.0,
        epochs_done=max(lane.epochs for lane in lanes),
        seconds=sum(lane.seconds for lane in lanes),
        metrics=dict(zip(columns.metrics, values, strict=True)),
        values=tuple(config.values()),  # a resolved config has them all in this order
        swept=swept,
        lineage=lanes[0].lineage,
    )


def _mean(arrays: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean of arrays; of one, which is what most trials have, it is that one.

    It is rounded once, as a score is: so it is the same to the last bit, in whatever order lanes have ended.
    """
    if len(arrays) == 1:
        return arrays[0]
    several = np.stack(arrays)
    mean: NDArray[np.float64] = np.mean(several, axis=0)
    finite = np.isfinite(np.abs(several).sum(axis=0))  # so that their sum is, too
    mean[finite] = [statistics.fmean(values) for values in several[:, finite].T.tolist()]
    return mean


def mean_of(curves: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean of learning curves [epochs, metrics] of a trial's lanes, as far as all of them go."""
    epochs = min(map(len, curves))
    return _mean([curve[:epochs] for curve in curves])


def best_first(trials: Sequence[Trial], objective: str) -> list[Trial]:
    """Return the trials that have a score and break no constraint, the best first; of two equals the earlier one."""
    scored = [trial for trial in trials if trial.counts]
    return sorted(scored, key=lambda trial: (-sign(objective) * (trial.score or 0.0), trial.id))

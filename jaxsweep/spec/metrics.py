"""The table of metrics: which there are, for which task, which way is better, and their units. No JAX here."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.labels import Task
from jaxsweep.errors import RequestError, suggestion
from jaxsweep.spec.own import DIRECTIONS, Direction, OwnMetric, directed

__all__ = ["DIRECTIONS", "METRICS", "Direction", "Metric"]

Floats = NDArray[np.float64]


class Metric(NamedTuple):
    """What a metric is; its arithmetic is a row of `network/scores.py`.

    Those of regression are measured in standard deviations of the target. `measure` is the metric that this one is
    made of on the host, None where a device measures it itself; `restore` takes that (and the units of the target in a
    standard deviation, and the variance of the standardized targets) to the metric in units of the target, and `unit`
    says how large 1 unit of the metric is in that of the measure.
    """

    name: str
    task: Task | None  # None: of both
    maximize: bool = False
    two_classes: bool = False  # whether it is defined for two classes alone
    measure: str | None = None
    restore: Callable[[Floats, float, float], Floats] = lambda measured, scale, variance: measured
    unit: Callable[[float, float], float] = lambda scale, variance: 1.0


def _r2(mse: Floats, scale: float, variance: float) -> Floats:
    return 1 - mse / variance if variance > 0 else np.full_like(mse, np.nan)


_ROWS = (
    Metric("loss", None),
    Metric("accuracy", "classification", maximize=True),
    Metric("balanced_accuracy", "classification", maximize=True),
    Metric("f1", "classification", maximize=True),
    Metric("log_loss", "classification"),
    Metric("auc", "classification", maximize=True, two_classes=True),
    Metric("mse", "regression", restore=lambda mse, scale, _: mse * scale**2,
           unit=lambda scale, _: 1 / scale * (1 / scale)),
    Metric("mae", "regression", restore=lambda mae, scale, _: mae * scale, unit=lambda scale, _: 1 / scale),
    Metric("r2", "regression", maximize=True, measure="mse", restore=_r2, unit=lambda _, variance: variance),
    Metric("rmse", "regression", measure="mse", restore=lambda mse, scale, _: np.sqrt(mse) * scale,
           unit=lambda scale, _: 1 / scale),
)  # fmt: skip
METRICS: dict[str, Metric] = {row.name: row for row in _ROWS}


def metric_names(task: str, outputs: int, own: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the metrics of a task with so many classes (or 1) without their `val_` or `test_`, the user's own last."""
    rows = [row for row in METRICS.values() if row.task in (None, task)]
    return (*(row.name for row in rows if outputs == 2 or not row.two_classes), *own)


def measure_names(task: str, outputs: int, own: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what a device computes, from which `metric_values` makes the metrics of the task."""
    return (*(name for name in metric_names(task, outputs) if METRICS[name].measure is None), *own)


def metric_values(measures: Floats, task: str, scale: float, variance: float) -> Floats:
    """Return metrics [..., metrics] in units of the target from measures [..., measures].

    In float64, whose range holds the squares of all targets that are legal; a device's float32 would not.

    Args:
        measures: as `measure_names` orders them; those of the user's own are metrics already.
        task: classification, whose metrics are its measures, or regression.
        scale: units of the target in a standard deviation.
        variance: of the standardized targets of these rows; 0 where they are constant, which leaves r2 undefined.
    """
    if task != "regression":
        return measures
    column = {name: number for number, name in enumerate(measure_names(task, 1))}
    rows = [METRICS[name] for name in metric_names(task, 1)]
    restored = np.stack(
        [row.restore(measures[..., column[row.measure or row.name]], scale, variance) for row in rows], axis=-1
    )
    return np.concatenate([restored, measures[..., len(column) :]], axis=-1)


def unit_of(metric: str, scale: float, variance: float) -> float:
    """Return the size of 1 unit of a metric without its prefix in that of the measure it follows from."""
    return METRICS[metric].unit(scale, variance) if metric in METRICS else 1.0  # one of the user's own


def default_objective(task: str) -> str:
    """Return the objective that a sweep has unless told otherwise."""
    return "val_accuracy" if task == "classification" else "val_mse"


def check_objective(name: str, task: str, outputs: int, own: Sequence[OwnMetric] = ()) -> str:
    """Return `name` if it is a validation metric that this task has, or one of the user's own, else raise RequestError.

    One of the user's own comes back with its direction.
    """
    legal = [f"val_{metric}" for metric in metric_names(task, outputs, own)]
    if name in legal:
        return directed(name, own)
    if name.startswith("test_"):
        raise RequestError(f"objective = {name!r}: the test split is never searched on; use one of {', '.join(legal)}")
    if name.removeprefix("val_") in METRICS and name.startswith("val_"):
        what = f"{task} with {outputs} classes" if task == "classification" else task
        raise RequestError(f"objective = {name!r} does not exist for {what}: use one of {', '.join(legal)}")
    raise RequestError(f"unknown objective {name!r}{suggestion(name, legal)} (it must be one of {', '.join(legal)})")


def sign(metric: str) -> int:
    """Return 1 if larger values of a metric, with or without its prefix, are better, else -1."""
    if isinstance(metric, OwnMetric):
        return 1 if metric.maximize else -1
    row = METRICS.get(metric) or METRICS.get(metric.split("_", 1)[-1])
    return 1 if row is not None and row.maximize else -1


def direction(metric: str) -> Direction:
    """Return 'maximize' or 'minimize' for a metric with or without its prefix."""
    return "maximize" if sign(metric) > 0 else "minimize"

"""The table of metrics: which there are, for which task, which way is better, and their units. No JAX here."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.labels import Task
from jaxsweep.errors import RequestError, meant, nearest, shown
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
    bounded: bool = False  # in [0, 1], so that no value lies far from all others
    two_classes: bool = False  # whether it is defined for two classes alone
    measure: str | None = None
    restore: Callable[[Floats, float, float], Floats] = lambda measured, scale, variance: measured
    unit: Callable[[float, float], float] = lambda scale, variance: 1.0


def _r2(mse: Floats, scale: float, variance: float) -> Floats:
    return 1 - mse / variance if variance > 0 else np.full_like(mse, np.nan)


_ROWS = (
    Metric("loss", None),
    Metric("accuracy", "classification", maximize=True, bounded=True),
    Metric("balanced_accuracy", "classification", maximize=True, bounded=True),
    Metric("f1", "classification", maximize=True, bounded=True),
    Metric("log_loss", "classification"),
    Metric("auc", "classification", maximize=True, bounded=True, two_classes=True),
    Metric("mse", "regression", restore=lambda mse, scale, _: mse * scale**2,
           unit=lambda scale, _: 1 / scale * (1 / scale)),
    Metric("mae", "regression", restore=lambda mae, scale, _: mae * scale, unit=lambda scale, _: 1 / scale),
    Metric("r2", "regression", maximize=True, measure="mse", restore=_r2, unit=lambda _, variance: variance),
    Metric("rmse", "regression", measure="mse", restore=lambda mse, scale, _: np.sqrt(mse) * scale,
           unit=lambda scale, _: 1 / scale),
)  # fmt: skip
METRICS: dict[str, Metric] = {row.name: row for row in _ROWS}
TAKEN = (*METRICS, "rows")  # names that no metric of the user's own can have: train_rows is a hyperparameter


def metric_names(task: str, outputs: int, own: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the metrics of a task with so many classes (or targets) without `val_` or `test_`, the user's own last."""
    rows = [row for row in METRICS.values() if row.task in (None, task)]
    return (*(row.name for row in rows if outputs == 2 or not row.two_classes), *own)


def measure_names(task: str, outputs: int, own: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what a device computes, from which `metric_values` makes the metrics of the task."""
    return (*(name for name in metric_names(task, outputs) if METRICS[name].measure is None), *own)


def measure_values(task: str, outputs: int, own: Sequence[str] = ()) -> int:
    """Return how many numbers all measures are: of several targets each is a number a target, but for the loss."""
    names = measure_names(task, outputs)
    return len(own) + (len(names) if task != "regression" else 1 + (len(names) - 1) * outputs)


def metric_values(measures: Floats, task: str, scale: Any, variance: Any) -> Floats:
    """Return metrics [..., metrics] in units of the target from measures [..., measures].

    In float64, whose range holds the squares of all targets that are legal; a device's float32 would not.

    Args:
        measures: as `measure_names` orders them, each with a number for each target; those of the user's own come last,
            and are metrics already.
        task: classification, whose metrics are its measures, or regression, whose metrics are means over the targets.
        scale: units of the target in a standard deviation, a number or, of several targets, [targets].
        variance: likewise, of the standardized targets of these rows; 0 where they are constant, which leaves r2
            undefined.
    """
    if task != "regression":
        return measures
    units = list(zip(np.atleast_1d(scale).tolist(), np.atleast_1d(variance).tolist(), strict=True))
    names = measure_names(task, 1)
    first = {name: 1 + len(units) * number for number, name in enumerate(names[1:])}
    found = [measures[..., 0]]
    for row in (METRICS[name] for name in metric_names(task, 1)[1:]):
        at = first[row.measure or row.name]
        of_targets = [row.restore(measures[..., at + number], *unit) for number, unit in enumerate(units)]
        found.append(of_targets[0] if len(units) == 1 else np.mean(of_targets, axis=0))
    own = measures[..., 1 + len(units) * (len(names) - 1) :]
    return np.concatenate([np.stack(found, axis=-1), own], axis=-1)


def merit_shares(metric: str, scale: Floats, variance: Floats) -> tuple[Floats, float]:
    """Return how much each of several targets counts in a metric, and the size of 1 unit of it in that sum.

    On the same rows, the metric orders networks as the sum of shares x measures [targets] does, where that of rmse is
    the root of its own. The largest share is 1, so that float32 holds them. The loss is a mean over targets already,
    and a metric of the user's own is one number.
    """
    if metric not in METRICS or METRICS[metric].task is None:
        return np.ones(len(scale)), 1.0
    units = np.array([unit_of(metric, *each) for each in zip(scale.tolist(), variance.tolist(), strict=True)])
    least = float(units.min())
    with np.errstate(invalid="ignore", divide="ignore"):  # r2 of constant targets, which is no objective
        return least / units, least * len(units)


def unit_of(metric: str, scale: float, variance: float) -> float:
    """Return the size of 1 unit of a metric without its prefix in that of the measure it follows from."""
    return METRICS[metric].unit(scale, variance) if metric in METRICS else 1.0  # one of the user's own


def default_objective(task: str) -> str:
    """Return the objective that a sweep has unless told otherwise."""
    return "val_accuracy" if task == "classification" else "val_mse"


def check_objective(
    name: str, task: str, outputs: int, own: Sequence[OwnMetric] = (), further: Iterable[str] = ()
) -> str:
    """Return `name` if it is a validation metric that this task has, or one of the user's own, else raise RequestError.

    One of the user's own comes back with its direction; `further` is what else could have been meant.
    """
    legal = [f"val_{metric}" for metric in metric_names(task, outputs, own)]
    if name in legal:
        return directed(name, own)
    if name.startswith("test_"):
        raise RequestError(
            f"objective = {shown(name)}: the test split is never searched on; use one of {', '.join(legal)}"
        )
    if name.removeprefix("val_") in METRICS and name.startswith("val_"):
        what = f"{task} with {outputs} classes" if task == "classification" else task
        raise RequestError(f"objective = {shown(name)} does not exist for {what}: use one of {', '.join(legal)}")
    legal += further
    raise RequestError(
        f"unknown objective {shown(name)}{meant(nearest(name, legal))} (it must be one of {', '.join(legal)})"
    )


def metric_of(metric: str) -> Metric | None:
    """Return what a metric is, with or without its prefix; None of one of the user's own."""
    return METRICS.get(metric) or METRICS.get(metric.split("_", 1)[-1])


def sign(metric: str) -> int:
    """Return 1 if larger values of a metric, with or without its prefix, are better, else -1."""
    if isinstance(metric, OwnMetric):
        return 1 if metric.maximize else -1
    row = metric_of(metric)
    return 1 if row is not None and row.maximize else -1


def direction(metric: str) -> Direction:
    """Return 'maximize' or 'minimize' for a metric with or without its prefix."""
    return "maximize" if sign(metric) > 0 else "minimize"

"""The names of metrics and objectives: which there are, for which task, and which way is better. No JAX here."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from jaxsweep.errors import RequestError, suggestion

Direction = Literal["maximize", "minimize"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

CLASSIFICATION_METRICS = ("loss", "accuracy", "balanced_accuracy", "f1", "log_loss")
REGRESSION_METRICS = ("loss", "mse", "mae", "r2", "rmse")
MEASURES = ("loss", "mse", "mae")  # of regression, in standard deviations of the target: what a device computes
MAXIMIZED = frozenset({"accuracy", "balanced_accuracy", "f1", "auc", "r2"})


def metric_names(task: str, outputs: int) -> tuple[str, ...]:
    """Return the metrics of a task without their `val_` or `test_`; auc only for two classes."""
    if task == "regression":
        return REGRESSION_METRICS
    return (*CLASSIFICATION_METRICS, "auc") if outputs == 2 else CLASSIFICATION_METRICS


def measure_names(task: str, outputs: int) -> tuple[str, ...]:
    """Return what a device computes, from which `metric_values` makes the metrics of the task."""
    return MEASURES if task == "regression" else metric_names(task, outputs)


def metric_values(measures: NDArray[np.float64], task: str, scale: float, variance: float) -> NDArray[np.float64]:
    """Return metrics [..., metrics] in units of the target from measures [..., measures].

    In float64, whose range holds the squares of all targets that are legal; a device's float32 would not.

    Args:
        measures: as `measure_names` orders them.
        task: classification, whose metrics are its measures, or regression.
        scale: units of the target in a standard deviation.
        variance: of the standardized targets of these rows; 0 where they are constant, which leaves r2 undefined.
    """
    if task != "regression":
        return measures
    loss, mse, mae = (measures[..., column] for column in range(len(MEASURES)))
    r2 = 1 - mse / variance if variance > 0 else np.full_like(mse, np.nan)
    return np.stack([loss, mse * scale**2, mae * scale, r2, np.sqrt(mse) * scale], axis=-1)


def unit_of(metric: str, scale: float, variance: float) -> float:
    """Return the size of 1 unit of a metric without its prefix in that of the measure it follows from."""
    return {"mse": 1 / scale * (1 / scale), "mae": 1 / scale, "rmse": 1 / scale, "r2": variance}.get(metric, 1.0)


def default_objective(task: str) -> str:
    """Return the objective that a sweep has unless told otherwise."""
    return "val_accuracy" if task == "classification" else "val_mse"


def check_objective(name: str, task: str, outputs: int) -> str:
    """Return `name` if it is a validation metric that this task has, else raise RequestError."""
    legal = [f"val_{metric}" for metric in metric_names(task, outputs)]
    if name in legal:
        return name
    if name.startswith("test_"):
        raise RequestError(f"objective = {name!r}: the test split is never searched on; use one of {', '.join(legal)}")
    known = {f"val_{metric}" for metric in (*CLASSIFICATION_METRICS, "auc", *REGRESSION_METRICS)}
    if name in known:
        what = f"{task} with {outputs} classes" if task == "classification" else task
        raise RequestError(f"objective = {name!r} does not exist for {what}: use one of {', '.join(legal)}")
    raise RequestError(f"unknown objective {name!r}{suggestion(name, legal)} (it must be one of {', '.join(legal)})")


def direction(metric: str) -> Direction:
    """Return 'maximize' or 'minimize' for a metric with or without its prefix."""
    return "maximize" if metric.split("_", 1)[-1] in MAXIMIZED or metric in MAXIMIZED else "minimize"


def sign(metric: str) -> int:
    """Return 1 if larger values of a metric are better, else -1."""
    return 1 if direction(metric) == "maximize" else -1

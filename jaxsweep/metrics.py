"""The names of metrics and objectives: which there are, for which task, and which way is better. No JAX here."""

from typing import Literal

from jaxsweep.errors import RequestError, suggestion

Direction = Literal["maximize", "minimize"]

CLASSIFICATION_METRICS = ("loss", "accuracy", "balanced_accuracy", "f1")
REGRESSION_METRICS = ("loss", "mse", "mae", "r2")
MAXIMIZED = frozenset({"accuracy", "balanced_accuracy", "f1", "auc", "r2"})


def metric_names(task: str, outputs: int) -> tuple[str, ...]:
    """Return the metrics of a task without their `val_` or `test_`; auc only for two classes."""
    if task == "regression":
        return REGRESSION_METRICS
    return (*CLASSIFICATION_METRICS, "auc") if outputs == 2 else CLASSIFICATION_METRICS


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

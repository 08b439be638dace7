"""Losses that training minimizes, and the arithmetic of the metrics that trials are judged by.

Losses are functions of one network's outputs, per example. Metrics are computed on the device from sums over
blocks of rows, so that evaluation needs no memory for all rows at once.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxsweep.late import optax


class LossParameters(NamedTuple):
    """Traced numbers of the losses; None where the program does not use them."""

    label_smoothing: ArrayLike | None
    focal_gamma: ArrayLike
    huber_delta: ArrayLike


# Each takes outputs [batch, outputs] and targets [batch, outputs] (class probabilities, or standardized values)
# and returns the loss of each example, [batch].


def _cross_entropy(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
    return optax.softmax_cross_entropy(outputs, _smooth(targets, parameters))


def _focal(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
    """Focal loss over a softmax (Lin et al., Focal loss for dense object detection, ICCV 2017)."""
    log_p = jax.nn.log_softmax(outputs)
    # 1 - p from the log, and never exactly 0, where the power has no derivative for gamma < 1.
    miss = jnp.maximum(-jnp.expm1(log_p), jnp.finfo(outputs.dtype).tiny)
    return -jnp.sum(_smooth(targets, parameters) * miss**parameters.focal_gamma * log_p, axis=-1)


def _smooth(targets: Array, parameters: LossParameters) -> Array:
    if parameters.label_smoothing is None:
        return targets
    smoothing = jnp.asarray(parameters.label_smoothing)
    return (1 - smoothing) * targets + smoothing / targets.shape[-1]


def _mse(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
    return optax.squared_error(outputs, targets)[:, 0]


def _mae(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
    return jnp.abs(outputs - targets)[:, 0]


def _huber(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
    return optax.huber_loss(outputs, targets, delta=parameters.huber_delta)[:, 0]


def _log_cosh(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
    return optax.log_cosh(outputs, targets)[:, 0]


LOSSES: dict[str, Callable[[Array, Array, LossParameters], Array]] = {
    "cross_entropy": _cross_entropy,
    "focal": _focal,
    "mse": _mse,
    "mae": _mae,
    "huber": _huber,
    "log_cosh": _log_cosh,
}


# --- metrics on the device ---------------------------------------------------------------------------------------


def classification_sums(outputs: Array, labels: Array, rows: Array) -> Array:
    """Return the confusion matrix [true, predicted] of the rows that count, for outputs [batch, classes]."""
    classes = outputs.shape[-1]
    predicted = jax.nn.one_hot(jnp.argmax(outputs, axis=-1), classes, dtype=outputs.dtype)
    true = jax.nn.one_hot(labels, classes, dtype=outputs.dtype) * rows[:, None]
    return true.T @ predicted


def classification_metrics(confusion: Array) -> dict[str, Array]:
    """Return accuracy, balanced accuracy (mean recall) and macro F1 from a confusion matrix [true, predicted]."""
    hits, true, predicted = jnp.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    recall = hits / jnp.maximum(true, 1)
    f1 = 2 * hits / jnp.maximum(true + predicted, 1)
    seen = true > 0
    either = seen | (predicted > 0)
    return {
        "accuracy": hits.sum() / jnp.maximum(confusion.sum(), 1),
        "balanced_accuracy": jnp.where(seen, recall, 0).sum() / jnp.maximum(seen.sum(), 1),
        "f1": jnp.where(either, f1, 0).sum() / jnp.maximum(either.sum(), 1),
    }


def area_under_curve(scores: Array, labels: Array, rows: Array) -> Array:
    """Return the area under the ROC curve of scores [rows] for class 1; ties count half.

    It is the Mann-Whitney statistic: the mean rank of the positive rows, from two searches in the sorted scores.
    """
    dtype = scores.dtype
    ordered = jnp.sort(jnp.where(rows & (labels == 0), scores, jnp.inf))
    below = jnp.searchsorted(ordered, scores, side="left")
    upto = jnp.searchsorted(ordered, scores, side="right")
    positive = (rows & (labels == 1)).astype(dtype)
    wins = jnp.sum(positive * (below + upto).astype(dtype)) / 2
    return wins / jnp.maximum(positive.sum() * (rows & (labels == 0)).sum().astype(dtype), 1)


def regression_sums(outputs: Array, targets: Array, rows: Array) -> Array:
    """Return the sums of squared and of absolute errors, [2], of outputs [batch, 1] in standard deviations."""
    error = jnp.where(rows, outputs[:, 0] - targets, 0)
    return jnp.stack([jnp.sum(error**2), jnp.sum(jnp.abs(error))])


def regression_metrics(sums: Array, count: ArrayLike, spread: ArrayLike, scale: ArrayLike) -> dict[str, Array]:
    """Return mse, mae (in units of the target) and r2.

    Args:
        sums: what `regression_sums` adds up to, in standard deviations of the training targets.
        count: the number of rows.
        spread: the sum of squared deviations of the rows' targets from their own mean, in the same units.
        scale: the standard deviation of the training targets, in units of the target.
    """
    return {
        "mse": sums[0] / count * jnp.square(scale),
        "mae": sums[1] / count * scale,
        "r2": 1 - sums[0] / jnp.maximum(spread, jnp.finfo(sums.dtype).tiny),
    }

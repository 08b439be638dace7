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

from jaxsweep.network.late import optax


class LossParameters(NamedTuple):
    """Traced numbers of the losses; None where the program does not use them."""

    label_smoothing: ArrayLike | None
    focal_gamma: ArrayLike
    huber_delta: ArrayLike


# Each takes outputs [batch, outputs] and targets [batch, outputs] (class probabilities, or standardized values)
# and returns the loss of each example, [batch].


def _cross_entropy(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
    return log_loss(outputs, _smooth(targets, parameters))


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
    """Huber's loss in its textbook form: Optax's subtracts large numbers, and loses the gradient for large deltas."""
    error, delta = jnp.abs(outputs - targets)[:, 0], jnp.asarray(parameters.huber_delta)
    return jnp.where(error < delta, error * error / 2, delta * (error - delta / 2))


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


def log_loss(outputs: Array, labels: Array) -> Array:
    """Return the cross entropy of each example, [batch], whatever loss is minimized."""
    return optax.softmax_cross_entropy(outputs, labels)


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
    """Return the area under the ROC curve of scores [rows] for class 1; ties count half; NaN with one class alone.

    It is the Mann-Whitney statistic: the mean rank of the positive rows, from two searches in the sorted scores. Wins
    are counted in integers, in blocks of rows whose counts an int32 holds.
    """
    length = scores.shape[0]
    negative, positive = rows & (labels == 0), rows & (labels == 1)
    ordered = jnp.sort(jnp.where(negative, scores, jnp.inf))
    below = jnp.searchsorted(ordered, scores, side="left")
    upto = jnp.searchsorted(ordered, scores, side="right")
    wins = jnp.where(positive, jnp.minimum(below + upto, 2 * negative.sum()), 0).astype(jnp.int32)
    block = min(length, max(1, (2**31 - 1) // (2 * max(length, 1))))
    blocks = jnp.pad(wins, (0, -length % block)).reshape(-1, block).sum(axis=1)
    dtype = scores.dtype
    pairs = (2 * negative.sum()).astype(dtype) * positive.sum().astype(dtype)
    return jnp.where(pairs > 0, jnp.minimum(jnp.sum(blocks.astype(dtype)) / jnp.maximum(pairs, 1), 1), jnp.nan)


def regression_sums(outputs: Array, targets: Array, rows: Array) -> Array:
    """Return the sums of squared and of absolute errors, [2], of outputs [batch, 1] in standard deviations."""
    error = jnp.where(rows, outputs[:, 0] - targets, 0)
    return jnp.stack([jnp.sum(error**2), jnp.sum(jnp.abs(error))])


def regression_measures(sums: Array, count: ArrayLike) -> dict[str, Array]:
    """Return mse and mae in standard deviations of the target, from what `regression_sums` adds up over `count` rows.

    They are the host's to turn into units of the target: in float32 a square may be larger than any number.
    """
    return {"mse": sums[0] / count, "mae": sums[1] / count}

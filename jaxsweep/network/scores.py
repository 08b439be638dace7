"""The metrics, one row each: what a device makes of outputs, and scikit-learn's own for the plain reference.

Metrics are computed on the device from sums over blocks of rows, so that an evaluation needs no memory for all rows at
once. Those of regression are in standard deviations of the target; the host turns them into its units.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

from jaxsweep.network.late import optax, sk


class Block(NamedTuple):
    """Some rows as a network sees them."""

    outputs: Array  # [rows, outputs]
    y: Array  # [rows], class codes or standardized targets; of several [rows, targets]
    targets: Array  # [rows, outputs], the classes one-hot, or the targets
    losses: Array  # [rows]
    used: Array  # bool [rows], which are examples
    weights: Array | None = None  # float [rows]; None: every example counts 1

    def sum(self, values: Array) -> Array:
        """Return the sum of a value [rows] over the examples, by their weights."""
        return jnp.sum(jnp.where(self.used, values if self.weights is None else values * self.weights, 0))


class Whole(NamedTuple):
    """All rows of an evaluation, padded to whole blocks."""

    y: Array  # [rows]
    used: Array  # bool [rows]
    examples: ArrayLike  # [], how many are used, or what these weigh
    weights: Array | None = None  # float [rows], 0 where not used

    @classmethod
    def of(cls, y: Array, used: Array, count: ArrayLike, weights: Array | None) -> "Whole":
        """Return all rows: y [rows], used [rows], how many are used, and the weights [...], if they have any."""
        if weights is None:
            return cls(y, used, count)
        weights = jnp.where(used, weights.ravel(), 0)
        return cls(y, used, weights.sum(), weights)

    def divisor(self, count: Array) -> Array:
        """Return what to divide by: the count, or 1 where there is none. (Weights may count less than 1.)"""
        return jnp.maximum(count, 1) if self.weights is None else jnp.where(count > 0, count, 1)


class Judged(NamedTuple):
    """The same on the host, for the plain reference."""

    y: NDArray[Any]  # [rows], class codes or standardized targets; of several [rows, targets]
    outputs: NDArray[np.float64]  # [rows, outputs]
    scale: Any  # units of the target in a standard deviation; of several [targets]
    constant: bool  # whether the targets are, or one of them is, up to rounding
    weights: NDArray[np.float64] | None = None  # [rows], all above 0: others are left out

    @property
    def predicted(self) -> NDArray[np.intp]:
        """Return the class of each row, [rows]."""
        return self.outputs.argmax(axis=1)

    @property
    def log_p(self) -> NDArray[np.float64]:
        """Return log probabilities [rows, classes]; scikit-learn would cut probabilities off at float's precision."""
        return np.asarray(self.outputs - np.logaddexp.reduce(self.outputs, axis=1, keepdims=True))

    @property
    def in_units(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return targets and predictions in units of the target, [rows] or [rows, targets] each."""
        return self.y * self.scale, (self.outputs if self.y.ndim == 2 else self.outputs[:, 0]) * self.scale


def _mean(total: Array, whole: Whole) -> Array:
    return total / whole.examples


class Measure(NamedTuple):
    """A metric on a device: what each block of rows gives, and what the metric is of all that."""

    part: Callable[[Block], Array]  # added up over blocks ...
    value: Callable[[Array, Whole], Array] = _mean
    each: bool = False  # ... or, where it has a value for each row, put together


class Score(NamedTuple):
    """A metric: as scikit-learn has it, for the plain reference, and as a device measures it."""

    reference: Callable[[Judged], float] | None  # None of the loss, which is the trial's own
    measure: Measure | None = None  # None where the host makes it of another one, as `spec/metrics.py` says


# --- classification ----------------------------------------------------------------------------------------------


def _confusion(block: Block) -> Array:
    """Return the confusion matrix [true, predicted] of the rows that count."""
    classes = block.outputs.shape[-1]
    predicted = jax.nn.one_hot(jnp.argmax(block.outputs, axis=-1), classes, dtype=block.outputs.dtype)
    true = jax.nn.one_hot(block.y, classes, dtype=block.outputs.dtype) * block.used[:, None]
    true = true if block.weights is None else true * block.weights[:, None]
    return true.T @ predicted


def _accuracy(confusion: Array, whole: Whole) -> Array:
    return jnp.diagonal(confusion).sum() / whole.divisor(confusion.sum())


def _balanced_accuracy(confusion: Array, whole: Whole) -> Array:
    """Return the mean recall of the classes that occur."""
    true = confusion.sum(axis=1)
    recall, seen = jnp.diagonal(confusion) / whole.divisor(true), true > 0
    return jnp.where(seen, recall, 0).sum() / jnp.maximum(seen.sum(), 1)


def _f1(confusion: Array, whole: Whole) -> Array:
    """Return the mean F1 of the classes that occur or are predicted."""
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = 2 * jnp.diagonal(confusion) / whole.divisor(true + predicted)
    either = (true > 0) | (predicted > 0)
    return jnp.where(either, f1, 0).sum() / jnp.maximum(either.sum(), 1)


def _log_loss(block: Block) -> Array:
    """Return the sum of the cross entropy, whatever loss is minimized."""
    return block.sum(optax.softmax_cross_entropy(block.outputs, block.targets))


def _margin(block: Block) -> Array:
    return block.outputs[:, 1] - block.outputs[:, 0]


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


def weighted_area(scores: Array, labels: Array, weights: Array) -> Array:
    """Return the same of rows that weigh differently, [rows] and 0 for those that do not count.

    Of each positive row it is the weight of the negative ones below it and half of those beside it; with one class
    alone that weighs anything it is NaN.
    """
    negative, positive = jnp.where(labels == 0, weights, 0), jnp.where(labels == 1, weights, 0)
    order = jnp.argsort(scores)
    ordered = scores[order]
    upto = jnp.concatenate([jnp.zeros(1, scores.dtype), jnp.cumsum(negative[order])])  # of the first rows in order
    sides = [upto[jnp.searchsorted(ordered, scores, side=side)] for side in ("left", "right")]
    pairs = negative.sum() * positive.sum()
    area = jnp.sum(positive * (sides[0] + sides[1]) / 2) / jnp.where(pairs > 0, pairs, 1)
    return jnp.where(pairs > 0, jnp.minimum(area, 1), jnp.nan)


def _auc(margins: Array, whole: Whole) -> Array:
    if whole.weights is None:
        return area_under_curve(margins, whole.y, whole.used)
    return weighted_area(margins, whole.y, whole.weights)


def _plain_balanced_accuracy(judged: Judged) -> float:
    classes, how = np.unique(judged.y), {"sample_weight": judged.weights}
    return sk.recall_score(judged.y, judged.predicted, labels=classes, average="macro", zero_division=0, **how)


def _plain_log_loss(judged: Judged) -> float:
    losses = -judged.log_p[np.arange(len(judged.y)), judged.y]
    return float(np.average(losses, weights=judged.weights))


def _plain_auc(judged: Judged) -> float:
    both = len(np.unique(judged.y)) == 2
    margins, weights = judged.outputs[:, 1] - judged.outputs[:, 0], judged.weights
    return sk.roc_auc_score(judged.y, margins, sample_weight=weights) if both else np.nan


# --- regression --------------------------------------------------------------------------------------------------


def _error(block: Block) -> Array:
    """Return the error of each row, [rows] or [rows, targets]; 0 where it is no example."""
    if block.y.ndim == 2:
        return jnp.where(block.used[:, None], block.outputs - block.y, 0)
    return jnp.where(block.used, block.outputs[:, 0] - block.y, 0)


def _total(block: Block, errors: Array) -> Array:
    """Return the weighted sum over the rows, [] or [targets]."""
    if errors.ndim == 2:
        return jnp.sum(errors if block.weights is None else errors * block.weights[:, None], axis=0)
    return jnp.sum(errors if block.weights is None else errors * block.weights)


def _plain(judge: Callable[..., float], judged: Judged) -> float:
    """Return what one of scikit-learn's functions says, in units of the target."""
    return judge(*judged.in_units, sample_weight=judged.weights)


SCORES = {
    "loss": Score(None, Measure(lambda block: block.sum(block.losses))),
    "accuracy": Score(
        lambda judged: sk.accuracy_score(judged.y, judged.predicted, sample_weight=judged.weights),
        Measure(_confusion, _accuracy),
    ),
    "balanced_accuracy": Score(_plain_balanced_accuracy, Measure(_confusion, _balanced_accuracy)),
    "f1": Score(
        lambda judged: sk.f1_score(
            judged.y, judged.predicted, average="macro", zero_division=0, sample_weight=judged.weights
        ),
        Measure(_confusion, _f1),
    ),
    "log_loss": Score(_plain_log_loss, Measure(_log_loss)),
    "auc": Score(
        _plain_auc,
        Measure(_margin, _auc, each=True),
    ),
    "mse": Score(
        lambda judged: _plain(sk.mean_squared_error, judged),
        Measure(lambda block: _total(block, _error(block) ** 2)),
    ),
    "mae": Score(
        lambda judged: _plain(sk.mean_absolute_error, judged),
        Measure(lambda block: _total(block, jnp.abs(_error(block)))),
    ),
    "r2": Score(lambda judged: np.nan if judged.constant else _plain(sk.r2_score, judged)),
    "rmse": Score(lambda judged: _plain(sk.root_mean_squared_error, judged)),
}

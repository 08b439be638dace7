"""The losses that training minimizes, one row each: with traced numbers, and as the plain reference has them."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxsweep.network.late import optax
from jaxsweep.spec.hyperparameters import CLASSIFICATION_LOSSES, Config
from jaxsweep.spec.own import Own


class LossParameters(NamedTuple):
    """Traced numbers of the losses; None where the program does not use them."""

    label_smoothing: ArrayLike | None
    focal_gamma: ArrayLike
    huber_delta: ArrayLike
    least: float | None = None  # where whole trainings are differentiated: what powers must differ from 0 by


# Each takes outputs [batch, outputs] and targets [batch, outputs] (class probabilities, or standardized values)
# and returns the loss of each example, [batch].


def _cross_entropy(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
    return optax.softmax_cross_entropy(outputs, _smooth(targets, parameters))


def _focal(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
    """Focal loss over a softmax (Lin et al., Focal loss for dense object detection, ICCV 2017)."""
    log_p = jax.nn.log_softmax(outputs)
    # 1 - p from the log, and never exactly 0, where the power has no derivative for gamma < 1.
    least = jnp.finfo(outputs.dtype).tiny
    if parameters.least is not None:  # and its second derivative must be finite
        least = jnp.finfo(outputs.dtype).eps ** 2
    miss = jnp.maximum(-jnp.expm1(log_p), least)
    return -jnp.sum(_smooth(targets, parameters) * miss**parameters.focal_gamma * log_p, axis=-1)


def _smooth(targets: Array, parameters: LossParameters) -> Array:
    if parameters.label_smoothing is None:
        return targets
    smoothing = jnp.asarray(parameters.label_smoothing)
    return (1 - smoothing) * targets + smoothing / targets.shape[-1]


def _single(errors: Array) -> Array:
    """Return what there is of a single target as [batch], of several as it is, [batch, targets]."""
    return errors[:, 0] if errors.shape[-1] == 1 else errors


def _over_targets(losses: Array) -> Array:
    """Return the mean over the targets, [batch], of what may have been reduced to it already."""
    losses = losses if losses.ndim == 1 else _single(losses)
    return losses if losses.ndim == 1 else losses.mean(axis=-1)


def _mse(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
    return _over_targets(optax.squared_error(outputs, targets))


def _mae(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
    return _over_targets(jnp.abs(outputs - targets))


def _huber(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
    """Huber's loss in its textbook form: Optax's subtracts large numbers, and loses the gradient for large deltas."""
    error, delta = _single(jnp.abs(outputs - targets)), jnp.asarray(parameters.huber_delta)
    return _over_targets(jnp.where(error < delta, error * error / 2, delta * (error - delta / 2)))


def _log_cosh(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
    return _over_targets(optax.log_cosh(outputs, targets))


class Loss(NamedTuple):
    """A loss of each example, [batch], from outputs and targets [batch, outputs]."""

    traced: Callable[[Array, Array, LossParameters], Array]
    reference: Callable[[Config, Array, Array], Array]  # what the plain reference calls, with labels already smoothed


def _plain_focal(config: Config, outputs: Array, targets: Array) -> Array:
    weight = (1 - jax.nn.softmax(outputs)) ** config["focal_gamma"]
    return -jnp.sum(targets * weight * jax.nn.log_softmax(outputs), axis=-1)


def _plain_huber(config: Config, outputs: Array, targets: Array) -> Array:
    # Optax's form takes delta x (error - delta) and its like apart, which float32 cannot do for a large delta.
    error, delta = jnp.abs(outputs - targets), config["huber_delta"]
    return jnp.where(error < delta, 0.5 * error**2, delta * (error - 0.5 * delta)).mean(axis=-1)


LOSSES = {
    "cross_entropy": Loss(_cross_entropy, lambda c, o, t: optax.softmax_cross_entropy(o, t)),
    "focal": Loss(_focal, _plain_focal),
    "mse": Loss(_mse, lambda c, o, t: optax.squared_error(o, t).mean(axis=-1)),
    "mae": Loss(_mae, lambda c, o, t: jnp.abs(o - t).mean(axis=-1)),
    "huber": Loss(_huber, _plain_huber),
    "log_cosh": Loss(_log_cosh, lambda c, o, t: optax.log_cosh(o, t).mean(axis=-1)),
}


def loss(name: str, task: str, rows: Array | None = None) -> Loss:
    """Return the row of a loss; one of the user's own makes one.

    It is called with outputs and targets of classification as they are, [batch, classes], and of regression as [batch],
    or [batch, targets] of several.

    Args:
        name: of a loss.
        task: decides what a function of the user's own is called with.
        rows: bool [batch], which rows are examples. The derivative of the others is 0: a sum that leaves them out gives
            them 0 times whatever the function's is, which need not be finite.
    """
    if not isinstance(name, Own):
        return LOSSES[name]
    own, classes = name, task == "classification"

    def value(outputs: Array, targets: Array) -> Array:
        whole = classes or outputs.shape[-1] > 1
        losses: Array = own(outputs, targets) if whole else own(outputs[:, 0], targets[:, 0])
        return losses

    @jax.custom_vjp
    def guarded(used: Array, outputs: Array, targets: Array) -> Array:
        return value(outputs, targets)

    def go(used: Array, outputs: Array, targets: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        return value(outputs, targets), (used, outputs, targets)

    def back(kept: tuple[Array, Array, Array], gradient: Array) -> tuple[None, Array, Array]:
        used, outputs, targets = kept
        (found,) = jax.vjp(lambda outputs: value(outputs, targets), outputs)[1](gradient)
        return None, jnp.where(used[:, None], found, 0), jnp.zeros_like(targets)

    guarded.defvjp(go, back)

    def traced(outputs: Array, targets: Array, parameters: LossParameters) -> Array:
        smooth = _smooth(targets, parameters) if classes else targets
        return value(outputs, smooth) if rows is None else guarded(rows, outputs, smooth)

    return Loss(traced, lambda config, outputs, targets: value(outputs, targets))


def smooths(name: str, task: str) -> bool:
    """Return whether label smoothing changes what a loss sees in training."""
    return task == "classification" if isinstance(name, Own) else name in CLASSIFICATION_LOSSES

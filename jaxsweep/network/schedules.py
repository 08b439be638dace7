"""The learning-rate schedules, one row each: driven by traced hyperparameters, and as the plain reference has them.

Optax's schedules want concrete step counts, so `learning_rate` restates their formulas for traced ones; the reference
calls Optax's own, and the tests compare.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxsweep.network.late import optax
from jaxsweep.network.mlp import select
from jaxsweep.spec.hyperparameters import Config

Hypers = Mapping[str, Array]  # traced hyperparameters of one lane by name; absent: nobody uses it

ONECYCLE_START = 25.0  # onecycle starts at peak / 25 ...
ONECYCLE_RISE = 3  # ... and rises during 3/10 of the steps


class Progress(NamedTuple):
    """Where a schedule stands, counted from the end of the warmup."""

    step: Array  # float []
    last: Array  # float [], the step at which decays end
    decay_steps: Array  # float [], decay_every in steps
    rise: Array  # float [], steps in which onecycle rises


def _polynomial(h: Hypers, at: Progress, power: int) -> Array:
    left = 1 - jnp.clip(at.step, 0, at.last) / at.last
    final = h["final_learning_rate"]
    return (1 - final) * left**power + final


def _whole(ratio: Array) -> Array:
    """Return the floor of a ratio, where one that rounding has left just below an integer counts as that integer.

    Three roundings of half an epsilon make a ratio. Up to 4 million steps no other one comes so near in float32.
    """
    return jnp.floor(ratio * (1 + 2 * jnp.finfo(ratio.dtype).eps))


def _cosine(h: Hypers, at: Progress) -> Array:
    final = h["final_learning_rate"]
    return (1 - final) * 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(at.step, 0, at.last) / at.last)) + final


def _onecycle(h: Hypers, at: Progress) -> Array:
    def between(start: Any, end: Any, fraction: Array) -> Array:
        return end + (start - end) / 2 * (jnp.cos(jnp.pi * jnp.clip(fraction, 0, 1)) + 1)

    up = between(1 / ONECYCLE_START, 1.0, at.step / jnp.maximum(at.rise, 1))
    down = between(1.0, h["final_learning_rate"], (at.step - at.rise) / jnp.maximum(at.last - at.rise, 1))
    return jnp.where(at.step < at.rise, up, down)


# --- the same as Optax has it, for the plain reference ---


class Span(NamedTuple):
    """A training after its warmup, in steps."""

    steps: int
    last: int  # the step at which decays end
    every: Fraction  # decay_every, exactly: 0.1 x 3 steps are 0.3 of a step, not what floats make of it
    rise: int  # steps in which onecycle rises


def _steps_down(c: Config, at: Span) -> "optax.Schedule":
    drops = np.array([step * at.every.denominator // at.every.numerator for step in range(at.steps)], float)
    return lambda step: c["learning_rate"] * c["decay_rate"] ** jnp.asarray(drops)[jnp.asarray(step, int)]


def _ends(c: Config) -> tuple[float, float]:
    """Return the peak and the last learning rate."""
    return c["learning_rate"], c["final_learning_rate"] * c["learning_rate"]


def _cycle(c: Config, at: Span) -> "optax.Schedule":
    start, ends = c["learning_rate"] / ONECYCLE_START, {at.rise: ONECYCLE_START, at.last: c["final_learning_rate"]}
    return optax.piecewise_interpolate_schedule("cosine", start, ends)


class Schedule(NamedTuple):
    """How the learning rate changes after the warmup."""

    traced: Callable[[Hypers, Progress], Array]  # the factor of the peak, []
    reference: Callable[[Config, Span], "optax.Schedule"]  # the learning rate itself


SCHEDULES = {
    "constant": Schedule(
        lambda h, at: jnp.ones_like(at.step), lambda c, at: optax.constant_schedule(c["learning_rate"])
    ),
    "step": Schedule(lambda h, at: h["decay_rate"] ** _whole(at.step / at.decay_steps), _steps_down),
    "exponential": Schedule(
        lambda h, at: h["decay_rate"] ** (at.step / at.decay_steps),
        lambda c, at: optax.exponential_decay(c["learning_rate"], float(at.every), c["decay_rate"]),
    ),
    "inverse_time": Schedule(
        lambda h, at: 1 / (1 + h["decay_rate"] * at.step / at.decay_steps),
        lambda c, at: lambda step: c["learning_rate"] / (1 + c["decay_rate"] * step / float(at.every)),
    ),
    "polynomial": Schedule(
        lambda h, at: _polynomial(h, at, 2), lambda c, at: optax.polynomial_schedule(*_ends(c), 2, at.last)
    ),
    "linear": Schedule(lambda h, at: _polynomial(h, at, 1), lambda c, at: optax.linear_schedule(*_ends(c), at.last)),
    "cosine": Schedule(
        _cosine,
        lambda c, at: optax.cosine_decay_schedule(c["learning_rate"], at.last, c["final_learning_rate"]),
    ),
    "onecycle": Schedule(_onecycle, _cycle),
}


def warmup_steps(warmup: float, total_steps: int) -> int:
    """Return the number of steps in which the learning rate rises from 0."""
    return round(warmup * total_steps)


def learning_rate(
    names: tuple[str, ...], index: Array, h: Hypers, step: Array, epoch_steps: Array, total_steps: Array
) -> Array:
    """Return the learning rate of a step.

    Args:
        names: the schedules of the program.
        index: int32 [], which one.
        h: the lane's hyperparameters; `warmup`, if present, is already in steps.
        step: int32 [], steps done before this one.
        epoch_steps: int32 [], steps in an epoch.
        total_steps: int32 [], steps in the whole training; an int32 holds them, as `resolve` checks.
    """
    peak = h["learning_rate"]
    if names == ("constant",) and "warmup" not in h:
        return peak
    dtype = peak.dtype
    warmup = h["warmup"] if "warmup" in h else jnp.zeros((), dtype)
    after = jnp.maximum(step.astype(dtype) - warmup, 0)
    last = jnp.maximum(total_steps.astype(dtype) - warmup - 1, 1)
    at = Progress(after, last, h["decay_every"] * epoch_steps, jnp.floor(ONECYCLE_RISE * last / 10))
    factor = select(index, [lambda at, name=name: SCHEDULES[name].traced(h, at) for name in names], at)
    if "warmup" in h:
        factor = jnp.where(step < warmup, step / jnp.maximum(warmup, 1), factor)
    return peak * factor

"""The optimizers and the learning rates of the package, beside the formulas of their papers.

As in `oracle_pieces.py`, each of `PIECES` gives the largest difference.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import textbook
from oracle_pieces import HYPERS, Piece, gap, traced

from jaxsweep.network import optimizers, schedules
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS

OPTIMIZER_CASES: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd"},
    "momentum": {"optimizer": "sgd", "momentum": 0.9},
    "nesterov": {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
    **{name: {"optimizer": name} for name in HYPERPARAMETERS["optimizer"].choices if name != "sgd"},
}
STEPS = 20
SHAPES = {"hidden_0/kernel": (5, 4), "hidden_0/bias": (4,), "output/kernel": (4, 3), "output/bias": (3,)}


def problem() -> tuple[textbook.Tensors, Callable[[int, textbook.Tensors], textbook.Tensors]]:
    """Return first parameters, biases at 0 as in training, and a gradient: of a bowl, with noise of changing size."""
    rng = np.random.default_rng(0)
    size = 10 ** rng.uniform(-2, 0.5, STEPS)
    noise = {
        key: size.reshape(-1, *[1] * len(shape)) * rng.normal(size=(STEPS, *shape)) for key, shape in SHAPES.items()
    }
    start = {key: rng.normal(size=shape) * key.endswith("kernel") for key, shape in SHAPES.items()}
    return start, lambda step, params: {key: noise[key][step] + 0.3 * p for key, p in params.items()}


@jax.jit
def _optimized(index: jax.Array, h: dict[str, jax.Array], start: Any, noise: Any) -> Any:
    """Return the parameters after each of STEPS steps, as the engine takes them, in one program for all optimizers."""
    names = HYPERPARAMETERS["optimizer"].choices

    def step(carry: Any, this: Any) -> Any:
        params, slots, number = carry
        gradients = jax.tree.map(lambda n, p: n + 0.3 * p, this, params)
        now = optimizers.Update(h["learning_rate"], number, jnp.ones((), bool))
        params, slots = optimizers.apply(names, index, h, now, gradients, slots, params)
        return (params, slots, number + 1), params

    first = (start, optimizers.initial_slots(names, index, h, start), jnp.zeros((), jnp.int32))
    return jax.lax.scan(step, first, noise)[1]


def optimizer_path(case: str, **more: float) -> list[textbook.Tensors]:
    """Return the parameters after each step of the optimizer of OPTIMIZER_CASES[case], by the package."""
    h = HYPERS | OPTIMIZER_CASES[case] | {"learning_rate": 0.05} | more
    start, gradient = problem()
    zeros = {key: np.zeros(shape) for key, shape in SHAPES.items()}
    noise = [gradient(step, zeros) for step in range(STEPS)]
    names = HYPERPARAMETERS["optimizer"].choices
    index = jnp.asarray(names.index(h.pop("optimizer")), jnp.int32)
    path = _optimized(index, traced(h), _nested(start), _nested({k: np.stack([n[k] for n in noise]) for k in SHAPES}))
    flat = {key: np.asarray(path[key.split("/")[0]][key.split("/")[1]], np.float64) for key in SHAPES}
    return [{key: values[step] for key, values in flat.items()} for step in range(STEPS)]


def _nested(tensors: textbook.Tensors) -> dict[str, dict[str, jax.Array]]:
    tree: dict[str, dict[str, jax.Array]] = {}
    for key, value in tensors.items():
        layer, kind = key.split("/")
        tree.setdefault(layer, {})[kind] = jnp.asarray(value, jnp.result_type(float))
    return tree


def _optimizer(case: str) -> float:
    """Return the difference over all steps, with and without decay and clipping, of a small and a large epsilon."""
    worst = 0.0
    for decay, clip, eps in itertools.product((0.0, 0.2), (0.0, 2.0), (1e-6, 1e-2)):
        more = {"weight_decay": decay, "clip_norm": clip, "eps": eps, "b2": 0.97}
        h = HYPERS | OPTIMIZER_CASES[case] | {"learning_rate": 0.05} | more
        start, gradient = problem()
        expected = textbook.optimize(h["optimizer"], h, start, gradient, STEPS)
        for got, right in zip(optimizer_path(case, **more), expected, strict=True):
            worst = max(worst, *(gap(got[key], right[key]) for key in SHAPES))
    return worst


# (decay_every, warmup, final_learning_rate, steps in an epoch, epochs)
SCHEDULE_CASES = (
    (10.0, 0.0, 0.0, 7, 25), (2.0, 0.13, 0.1, 10, 12), (0.1, 0.0, 0.2, 10, 9), (0.1, 0.1, 0.0, 22, 5),
    (0.7, 0.0, 0.0, 10, 20), (0.7, 0.05, 0.3, 45, 6), (0.3, 0.0, 0.0, 10, 7), (2.5, 0.2, 0.0, 3, 30),
    (1.1, 0.0, 0.5, 30, 8), (0.9, 0.0, 0.0, 1, 40), (3.0, 1.0, 0.0, 4, 5), (0.35, 0.0, 0.0, 100, 4),
)  # fmt: skip


@jax.jit
def _learning_rates(index: jax.Array, h: dict[str, jax.Array], epoch_steps: jax.Array, total: jax.Array) -> jax.Array:
    """Return the learning rates of 500 steps."""
    names = HYPERPARAMETERS["schedule"].choices
    steps = jnp.arange(500, dtype=jnp.int32)
    return jax.vmap(lambda step: schedules.learning_rate(names, index, h, step, epoch_steps, total))(steps)


def _schedule(name: str) -> float:
    """Return the difference at every step of all SCHEDULE_CASES, relative to the peak."""
    index = jnp.asarray(HYPERPARAMETERS["schedule"].choices.index(name), jnp.int32)
    worst = 0.0
    for every, warmup, final, epoch_steps, epochs in SCHEDULE_CASES:
        h = HYPERS | {"learning_rate": 1.0, "decay_rate": 0.6, "decay_every": every, "final_learning_rate": final}
        total = epoch_steps * epochs
        lane = traced(h | {"warmup": schedules.warmup_steps(warmup, total)})  # a lane counts it in steps
        whole = jnp.asarray(epoch_steps, jnp.int32), jnp.asarray(total, jnp.int32)
        got = _learning_rates(index, lane, *whole)
        expected = [
            textbook.learning_rate(name, h | {"warmup": warmup}, step, epoch_steps, epochs) for step in range(total)
        ]
        worst = max(worst, gap(got[:total], expected))
    return worst


PIECES: tuple[Piece, ...] = (
    *(Piece(f"optimizer {case}", "its paper", partial(_optimizer, case), (1e-5, 1e-12)) for case in OPTIMIZER_CASES),
    *(
        Piece(f"schedule {name}", "plain Python", partial(_schedule, name), (3e-6, 1e-13))
        for name in HYPERPARAMETERS["schedule"].choices
    ),
)

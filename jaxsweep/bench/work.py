"""What is trained: lists of configs, and the arithmetic that they need."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxsweep.hyperparameters import Config
from jaxsweep.plan import Sizes, kernel_flops

SEED = 0
DATA = "digits"


def uniform(count: int, width: int = 64, depth: int = 2, epochs: int = 10) -> list[Config]:
    """Return configs that differ in the learning rate alone: Adam, batches of 64."""
    shape = {"width": width, "depth": depth, "epochs": epochs, "batch_size": 64, "optimizer": "adam"}
    return [{**shape, "learning_rate": rate} for rate in np.geomspace(1e-4, 1e-2, count).tolist()]


def mixed(count: int) -> list[Config]:
    """Return the uniform work with 4 optimizers, 4 activations, 3 initializers and 3 schedules mixed."""
    choices = {
        "optimizer": ("adam", "sgd", "rmsprop", "lion"),
        "activation": ("relu", "tanh", "gelu", "silu"),
        "init": ("glorot_uniform", "he_normal", "lecun_normal"),
        "schedule": ("constant", "cosine", "exponential"),
    }
    rng = np.random.default_rng(SEED)
    return [
        {**config, **{name: str(rng.choice(values)) for name, values in choices.items()}} for config in uniform(count)
    ]


def regularized(count: int) -> list[Config]:
    """Return the uniform work with dropout and L2 in every config."""
    rng = np.random.default_rng(SEED)
    return [
        {**config, "dropout": float(rng.uniform(0.05, 0.5)), "l2": float(10 ** rng.uniform(-5, -2))}
        for config in uniform(count)
    ]


def ragged(count: int) -> list[Config]:
    """Return the uniform work with epochs drawn log-uniformly from 1 to 100."""
    rng = np.random.default_rng(SEED)
    return [{**config, "epochs": int(10 ** rng.uniform(0, 2))} for config in uniform(count)]


def small(count: int, epochs: int = 5) -> list[Config]:
    """Return networks with one hidden layer of 16, for iris."""
    return uniform(count, 16, 1, epochs)


def flops(configs: Sequence[Config], sizes: Sizes) -> float:
    """Return the FLOPs of matrix products that these trainings need, validation after each epoch included."""
    total = 0.0
    for config in configs:
        widths = np.full(config["depth"], config["width"], np.int64)
        ends = np.array([sizes.features, *widths, sizes.outputs], np.float64)
        forward = 2.0 * float(np.sum(ends[:-1] * ends[1:]))
        total += config["epochs"] * (sizes.rows * float(kernel_flops(widths, sizes)) + sizes.val_rows * forward)
    return total


def describe(configs: Sequence[Config]) -> str:
    """Return the shape of uniform work in words."""
    first: dict[str, Any] = configs[0]
    layers = "-".join([str(first["width"])] * first["depth"])
    return f"{len(configs)} configs, MLP {layers}, batch {first['batch_size']}, {first['epochs']} epochs"

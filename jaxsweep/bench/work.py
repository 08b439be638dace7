"""What is trained: lists of configs, and the arithmetic that they need."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxsweep.engine.costs import Sizes, forward_flops, kernel_flops, parameters
from jaxsweep.spec.hyperparameters import Config

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


def usual(count: int) -> list[Config]:
    """Return a usual study: three widths, three depths, two activations and optimizers, four batch sizes, at random."""
    rng = np.random.default_rng(SEED)
    choices: dict[str, Sequence[Any]] = {
        "width": (32, 64, 128), "depth": (1, 2, 3), "activation": ("relu", "tanh"), "batch_size": (16, 32, 64, 128),
    }  # fmt: skip
    configs = []
    for _ in range(count):
        config: Config = {name: values[int(rng.integers(len(values)))] for name, values in choices.items()}
        config |= {"learning_rate": float(10 ** rng.uniform(-4, -1)), "l2": float(10 ** rng.uniform(-6, -2))}
        config |= {"optimizer": "adam"} if rng.integers(2) else {"optimizer": "sgd", "momentum": 0.9}
        configs.append({**config, "epochs": 20})
    return configs


def little(count: int) -> list[Config]:
    """Return a little study: widths of 10 to 100, depths of 1 to 3, dropout, learning rate, Adam and SGD, at random."""
    rng = np.random.default_rng(SEED)
    return [
        {
            "width": int(rng.integers(10, 101)), "depth": int(rng.integers(1, 4)), "epochs": 8, "batch_size": 64,
            "dropout": float(rng.uniform(0, 0.5)), "learning_rate": float(10 ** rng.uniform(-4, -1)),
            "optimizer": str(rng.choice(["adam", "sgd"])),
        }
        for _ in range(count)
    ]  # fmt: skip


def by_shape(configs: Sequence[Config]) -> list[list[Config]]:
    """Return configs apart by the shape of their networks."""
    shapes: dict[Any, list[Config]] = {}
    for config in configs:
        shapes.setdefault((config["depth"], config["width"]), []).append(config)
    return list(shapes.values())


def different() -> dict[str, tuple[str, list[Config]]]:
    """Return ten sweeps that have little in common, each with its data set, to compare predictions with."""

    def like(configs: Sequence[Config], **changes: Any) -> list[Config]:
        return [{**config, **changes} for config in configs]

    return {
        "64-64": ("digits", uniform(256)),
        "mixed 64-64": ("digits", mixed(256)),
        "64-64, epochs 1 to 100": ("digits", ragged(96)),
        "16, tiny trials": ("iris", small(4000)),
        "256-256": ("digits", uniform(48, 256, 2)),
        "1024-1024, 2 epochs": ("digits", uniform(6, 1024, 2, 2)),
        "32-32-32-32, dropout and L2": ("digits", like(regularized(256), width=32, depth=4)),
        "64-64, batch 4": ("digits", like(uniform(32), batch_size=4)),
        "128, full batch, 300 epochs": ("diabetes", like(uniform(200, 128, 1, 300), batch_size="full")),
        "widths 8 to 200": (
            "breast_cancer",
            [{**c, "width": 8 + 3 * i, "epochs": 40} for i, c in enumerate(uniform(64))],
        ),
    }


def flops(configs: Sequence[Config], sizes: Sizes) -> float:
    """Return the FLOPs of matrix products that these trainings need, validation after each epoch included."""
    total = 0.0
    for config in configs:
        widths = np.full(config["depth"], config["width"], np.int64)
        training, validation = float(kernel_flops(widths, sizes)), float(forward_flops(widths, sizes))
        total += config["epochs"] * (sizes.rows * training + sizes.val_rows * validation)
    return total


def least_bytes(configs: Sequence[Config], sizes: Sizes) -> float:
    """Return the bytes that these trainings move through memory at least, where a step keeps nothing for the next one.

    A step reads and writes the weights and Adam's two moments, and reads the rows of its batch; a validation reads the
    weights and its rows. Numbers are of float32.
    """
    total = 0.0
    for config in configs:
        widths = np.full(config["depth"], config["width"], np.int64)
        weights, steps = float(parameters(widths, sizes)), -(-sizes.rows // config["batch_size"])
        training = steps * 6 * weights + sizes.rows * sizes.features
        total += 4 * config["epochs"] * (training + weights + sizes.val_rows * sizes.features)
    return total


def describe(configs: Sequence[Config]) -> str:
    """Return the shape of uniform work in words."""
    first: dict[str, Any] = configs[0]
    layers = "-".join([str(first["width"])] * first["depth"])
    return f"{len(configs)} configs, MLP {layers}, batch {first['batch_size']}, {first['epochs']} epochs"

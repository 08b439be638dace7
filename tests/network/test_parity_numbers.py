"""Regularization, early stopping, odd batches, folds and random mixtures train as they do alone, in float64."""

from typing import Any

import numpy as np
import pytest
from parity import BASE, DEEP, ONE_PROGRAM, check, check_lanes, images, regression, run_lanes, three_classes

from jaxsweep.engine.outcome import LaneResult
from jaxsweep.spec.hyperparameters import CLASSIFICATION_LOSSES, HYPERPARAMETERS

pytestmark = pytest.mark.usefixtures("float64")


def test_weights_of_the_best_epoch() -> None:
    configs = [{**BASE, "epochs": 12, "learning_rate": 0.1, "norm": "batch"}, {**BASE, "epochs": 5}]
    check(three_classes(), configs, keep_best=True)


def test_augmentation() -> None:
    changes: list[dict[str, Any]] = [{"rotation": 20}, {"scaling": 0.2, "shift": 0.1}, {"flip": 0.5}, {}]
    check(images(), [{**BASE, "epochs": 3, **change} for change in changes], objective="val_auc")


def test_folds_of_unequal_size_and_replicates() -> None:
    data = three_classes(split=(0.7, 0, 0.3), folds=2)
    assert len({len(part) for part in data.train}) > 1
    configs = [BASE, {**BASE, "norm": "batch"}]
    lanes = run_lanes(data, configs, replicates=2)
    # Of config, replicate and fold each pair of values: half of the eight lanes.
    half = [lane for lane in lanes if (lane.job.position + lane.job.replicate + lane.job.fold) % 2 == 0]
    assert len(half) == 4
    check_lanes(data, configs, half)


def test_linear_models_and_funnels() -> None:
    check(three_classes(), [{**BASE, "depth": 0}, {**BASE, "depth": 3, "width": 8, "width_shape": "funnel"}])


def _mixture(rng: np.random.Generator, losses: tuple[str, ...], depth: int) -> dict[str, Any]:
    """Return a config in which every hyperparameter is drawn at random, but for the number of layers."""
    config: dict[str, Any] = {
        "depth": depth,
        "width": int(rng.integers(4, 9)),
        "batch_size": int(rng.choice([8, 15, 25])),
        "epochs": int(rng.integers(2, 5)),
        "learning_rate": float(10 ** rng.uniform(-3, -1.5)),
        "loss": str(rng.choice(losses)),
    }
    for row in HYPERPARAMETERS.values():
        if row.name in config or row.images_only or row.name in ("width_shape", "class_weight"):
            continue
        if row.kind == "choice":
            config[row.name] = str(rng.choice(row.choices))
        elif row.name in ("l1", "l2"):
            config[row.name] = float(rng.choice([0, 10 ** rng.uniform(-4, -2)]))
        elif row.neutral is not None and row.kind == "float":
            config[row.name] = float(rng.choice([row.neutral, rng.uniform(0.1, 0.5)]))
    config["nesterov"] = bool(rng.integers(2))
    config["patience"] = int(rng.integers(0, 3))
    return config


# By test, what trains padded, in one program for all, beside the others.
_STOPS = [(2, 0.0, "val_loss"), (3, 0.05, "train_loss"), (2, 0.0, "objective"), (1, 0.1, "val_loss")]
_SIZES: list[tuple[Any, int]] = [(1, 2), (3, 4), (16, 6), (75, 5), ("full", 3), (74, 5), (15, 6)]
_CHANGES: list[dict[str, Any]] = [
    {"dropout": 0.3, "l1": 1e-3, "width": 5},
    {"input_dropout": 0.2, "l2": 0.1},
    {"input_noise": 0.3, "weight_decay": 0.1, "width": 5},
    {"clip_norm": 0.1, "mixup_alpha": 0.4},
    {"momentum": 0.9, "nesterov": True, "optimizer": "sgd"},
    {"momentum": 0.5, "optimizer": "sgd", "weight_decay": 0.2},
    {"init_scale": 2.0, "width": 4, "optimizer": "lamb", "weight_decay": 0.3},
]
_RNG = np.random.default_rng(0)
PADDED: dict[str, list[dict[str, Any]]] = {
    "early stopping and divergence": [
        *(
            {**DEEP, "epochs": 30, "patience": p, "min_delta": delta, "monitor": monitor, "learning_rate": 0.05}
            for p, delta, monitor in _STOPS
        ),
        {**DEEP, "epochs": 9},
        {**DEEP, "optimizer": "sgd", "activation": "elu", "learning_rate": 3e38},
    ],
    "regularization, in batches from one row to all": [
        {**DEEP, "batch_size": batch, "epochs": epochs, "schedule": "cosine", "warmup": 0.2, **change}
        for (batch, epochs), change in zip(_SIZES, _CHANGES, strict=True)
    ],
    "random mixtures": [_mixture(_RNG, CLASSIFICATION_LOSSES, 2) for _ in range(6)],
}
ALL = [config for configs in PADDED.values() for config in configs]


@pytest.fixture(scope="module")
def padded(float64: None) -> dict[str, list[LaneResult]]:
    lanes = iter(run_lanes(three_classes(), ALL, costs=ONE_PROGRAM))
    return {name: [next(lanes) for _ in configs] for name, configs in PADDED.items()}


@pytest.mark.parametrize("name", PADDED)
def test_in_one_padded_program(padded: dict[str, list[LaneResult]], name: str) -> None:
    check_lanes(three_classes(), ALL, padded[name])


def test_who_stops_and_who_diverges(padded: dict[str, list[LaneResult]]) -> None:
    lanes = padded["early stopping and divergence"]
    assert [lane.status for lane in lanes] == ["stopped"] * 4 + ["completed", "diverged"]


def test_random_mixtures_in_regression() -> None:
    rng = np.random.default_rng(1)
    configs = [_mixture(rng, ("mse", "mae", "huber", "log_cosh"), 1) for _ in range(4)]
    check(regression(), configs, objective="val_mse", costs=ONE_PROGRAM)

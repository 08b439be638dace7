"""Batches that are trained on a few rows at a time: the same trainings, whoever is in the tile beside them."""

from typing import Any

import numpy as np
import pytest
from parity import BASE, DEEP, ONE_PROGRAM, check, images, regression, run_lanes, same, three_classes

from jaxsweep.engine.costs import Costs, Sizes, step_seconds
from jaxsweep.engine.planner import make_plan
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import CLASSIFICATION_LOSSES, REGRESSION_LOSSES, resolve

SIZES = Sizes(rows=500, val_rows=100, test_rows=100, features=20, outputs=4, splits=1)
# One after another they have batches of one row, of less than a chunk, of chunks and a rest, and of all 75 rows.
BATCHES: list[Any] = [1, 3, 4, 15, 16, "full"]
CHANGES: list[dict[str, Any]] = [
    {"dropout": 0.3, "l1": 1e-3, "width": 5},
    {"input_dropout": 0.2, "l2": 0.1, "norm": "layer"},
    {"input_noise": 0.3, "weight_decay": 0.1, "class_weight": "balanced"},
    {"clip_norm": 0.1, "optimizer": "sgd", "momentum": 0.9, "nesterov": True, "label_smoothing": 0.1},
    {"optimizer": "lamb", "activation": "gelu", "width": 4, "dropout": 0.5},
    {"schedule": "cosine", "warmup": 0.2, "patience": 2},
]


def _mixed(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**DEEP, "epochs": 2 if batch == 1 else 4, "batch_size": batch, **change}
        for batch, change in zip(BATCHES, changes, strict=True)
    ]


@pytest.mark.usefixtures("float64")
def test_each_lane_trains_as_it_does_alone() -> None:
    check(three_classes(), _mixed(CHANGES), costs=ONE_PROGRAM, chunk=4)


@pytest.mark.usefixtures("float64")
def test_rows_that_weigh_differently() -> None:
    weights = np.random.default_rng(5).uniform(0, 3, 150)
    configs = [
        {**BASE, "batch_size": batch, "class_weight": kind} for batch in (3, 15) for kind in ("none", "balanced")
    ]
    check(three_classes(weights), configs, costs=ONE_PROGRAM, chunk=4)


@pytest.mark.usefixtures("float64")
def test_every_loss() -> None:
    classes = [{**BASE, "loss": loss, "epochs": 2, "batch_size": 6 + n} for n, loss in enumerate(CLASSIFICATION_LOSSES)]
    check(three_classes(), classes, costs=ONE_PROGRAM, chunk=4)
    numbers = [{**BASE, "loss": loss, "epochs": 2, "batch_size": 6 + n} for n, loss in enumerate(REGRESSION_LOSSES)]
    check(regression(), numbers, "val_mse", costs=ONE_PROGRAM, chunk=4)


@pytest.mark.usefixtures("float64")
def test_augmentation() -> None:
    """A row is disturbed by what its number in the batch says, whatever chunk it is in."""
    changes: list[dict[str, Any]] = [{"rotation": 20}, {"scaling": 0.2, "shift": 0.1}, {"flip": 0.5}, {}]
    configs = [{**BASE, "epochs": 2, "batch_size": 5 + 4 * n, **change} for n, change in enumerate(changes)]
    check(images(), configs, objective="val_auc", chunk=4)


def test_batches_of_neighbours_change_no_bit() -> None:
    """A chunk in which a lane has no rows adds zeros to what it has."""
    rows = 75
    own, others = {**DEEP, "batch_size": 6, "dropout": 0.2}, [{**DEEP, "batch_size": size} for size in (1, 40, 75)]
    what = scope.of_configs([resolve(each, "classification", rows) for each in [own, *others]])
    crowd, alone = (
        run_lanes(three_classes(), configs, tile=4, trials=trials, what=what, costs=ONE_PROGRAM, chunk=4)
        for configs, trials in (([*others, own], [1, 2, 3, 7]), ([{**own}, others[2]], [7, 9]))
    )
    assert same(crowd[3], alone[0])


def _resolved(batches: list[int], **more: Any) -> list[dict[str, Any]]:
    return [resolve({"batch_size": batch, "epochs": 50, **more}, "classification", 500) for batch in batches]


def test_different_batches_share_a_program_in_chunks_and_equal_ones_are_whole() -> None:
    mixed = make_plan(_resolved([16, 32, 64, 128] * 50), SIZES)
    (bucket,) = mixed.buckets
    assert bucket.chunk == 32
    assert bucket.batch_size == 128
    # Of 32 steps of 16 rows each takes 32, and of the others none takes more than it has.
    rows, computed = 32 * 16 + 16 * 32 + 8 * 64 + 4 * 128, 32 * 32 + 16 * 32 + 8 * 64 + 4 * 128
    assert mixed.padding_waste == pytest.approx(computed / rows - 1, abs=0.01)
    (whole,) = make_plan(_resolved([128] * 50), SIZES).buckets
    assert whole.chunk == 128


@pytest.mark.parametrize("more", [{"norm": "batch"}, {"mixup_alpha": 0.2}])
def test_batches_whose_rows_know_of_each_other_are_whole(more: dict[str, Any]) -> None:
    configs = _resolved([16, 32, 64, 128] * 50, **more)
    assert all(bucket.chunk == bucket.batch_size for bucket in make_plan(configs, SIZES).buckets)
    plain, held = _resolved([16, 32, 64, 128] * 50), scope.of_configs(configs)
    assert all(bucket.chunk == bucket.batch_size for bucket in make_plan(plain, SIZES, scope=held).buckets)


def test_a_chunk_costs_more_than_its_rows() -> None:
    widths, batch = np.array([[64, 64]]), np.array([128])
    whole, quarters, rows = (step_seconds(widths, batch, 8, SIZES, Costs(), chunk)[0] for chunk in (None, 32, 16))
    assert whole < quarters < rows

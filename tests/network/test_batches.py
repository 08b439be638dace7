"""Batches of several sizes in one program, which pads each to one of a few: the same trainings as alone."""

import itertools
from typing import Any

import numpy as np
import pytest
from parity import BASE, DEEP, ONE_PROGRAM, check, images, regression, run_lanes, same, three_classes

from jaxsweep.engine.costs import Costs, Sizes
from jaxsweep.engine.merging import best_batches
from jaxsweep.engine.planner import Shape, make_plan
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import CLASSIFICATION_LOSSES, REGRESSION_LOSSES, resolve

SIZES = Sizes(rows=500, val_rows=100, test_rows=100, features=20, outputs=4, splits=1)
SEVERAL = (4, 16)  # and 75, or the largest that there is
# One after another: of one row, of fewer rows than they are padded to, of as many, and all 75 rows.
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
    check(three_classes(), _mixed(CHANGES), costs=ONE_PROGRAM, batches=SEVERAL)


@pytest.mark.usefixtures("float64")
def test_rows_that_weigh_differently() -> None:
    weights = np.random.default_rng(5).uniform(0, 3, 150)
    configs = [
        {**BASE, "batch_size": batch, "class_weight": kind} for batch in (3, 15) for kind in ("none", "balanced")
    ]
    check(three_classes(weights), configs, costs=ONE_PROGRAM, batches=SEVERAL)


@pytest.mark.usefixtures("float64")
def test_every_loss() -> None:
    classes = [{**BASE, "loss": loss, "epochs": 2, "batch_size": 6 + n} for n, loss in enumerate(CLASSIFICATION_LOSSES)]
    check(three_classes(), classes, costs=ONE_PROGRAM, batches=SEVERAL)
    numbers = [{**BASE, "loss": loss, "epochs": 2, "batch_size": 6 + n} for n, loss in enumerate(REGRESSION_LOSSES)]
    check(regression(), numbers, "val_mse", costs=ONE_PROGRAM, batches=SEVERAL)


@pytest.mark.usefixtures("float64")
def test_rows_that_know_of_each_other() -> None:
    changes: list[dict[str, Any]] = [{"norm": "batch"}, {"mixup_alpha": 0.4}, {"norm": "batch", "dropout": 0.2}]
    configs = [{**BASE, "batch_size": 4 + 6 * n, **change} for n, change in enumerate(changes * 2)]
    check(three_classes(), configs, costs=ONE_PROGRAM, batches=SEVERAL)


@pytest.mark.usefixtures("float64")
def test_augmentation() -> None:
    """A row is disturbed by what its number in the batch says, whatever the batch is padded to."""
    changes: list[dict[str, Any]] = [{"rotation": 20}, {"scaling": 0.2, "shift": 0.1}, {"flip": 0.5}, {}]
    configs = [{**BASE, "epochs": 2, "batch_size": 5 + 4 * n, **change} for n, change in enumerate(changes)]
    check(images(), configs, objective="val_auc", batches=SEVERAL)


def test_batches_of_neighbours_change_no_bit() -> None:
    """A lane trains in a tile of lanes that are padded as it is; how many rows they have is nothing to it."""
    rows = 75
    own, others = {**DEEP, "batch_size": 6, "dropout": 0.2}, [{**DEEP, "batch_size": size} for size in (1, 9, 16, 75)]
    what = scope.of_configs([resolve(each, "classification", rows) for each in [own, *others]])
    crowd, alone = (
        run_lanes(three_classes(), configs, tile=4, trials=trials, what=what, costs=ONE_PROGRAM, batches=SEVERAL)
        for configs, trials in (([*others, own], [1, 2, 3, 4, 7]), ([{**own}, others[3]], [7, 9]))
    )
    assert same(crowd[4], alone[0])


def _resolved(batches: list[int], **more: Any) -> list[dict[str, Any]]:
    return [resolve({"batch_size": batch, "epochs": 50, **more}, "classification", 500) for batch in batches]


@pytest.mark.parametrize("more", [{}, {"norm": "batch"}, {"mixup_alpha": 0.2}])
def test_different_batches_share_a_program_that_pads_none_if_training_is_long(more: dict[str, Any]) -> None:
    mixed = make_plan(_resolved([16, 32, 64, 128] * 500, **more), SIZES)
    (bucket,) = mixed.buckets
    assert bucket.batches == (16, 32, 64, 128)
    assert mixed.padding_waste == 0
    (whole,) = make_plan(_resolved([128] * 50, **more), SIZES).buckets
    assert whole.batches == (128,)


def test_of_few_lanes_all_batches_are_padded_to_the_largest() -> None:
    """To compile the code for another size would take longer than the arithmetic that it saves."""
    (bucket,) = make_plan(_resolved([16, 32, 64, 128]), SIZES).buckets
    assert bucket.batches == (128,)


def test_an_accelerator_pads_to_the_largest_batch_of_a_program() -> None:
    plan = make_plan(_resolved([16, 32, 64, 128] * 500), SIZES, costs=Costs(several_batches=False))
    assert all(len(bucket.batches) == 1 for bucket in plan.buckets)


def test_the_sizes_that_are_chosen_cost_least() -> None:
    """Of all sets of sizes none costs less, as the plans that have them say."""
    rng = np.random.default_rng(0)
    sizes = [3, 8, 20, 50, 120]
    for lanes in (200, 4000):
        configs = _resolved(rng.choice(sizes, lanes).tolist())
        there = sorted({config["batch_size"] for config in configs})
        own, found = there[-1], make_plan(configs, SIZES, tile=8).buckets[0].batches
        cost = {}
        for several in itertools.chain.from_iterable(itertools.combinations(there[:-1], n) for n in range(len(there))):
            (bucket,) = make_plan(configs, SIZES, tile=8, batches=several).buckets
            cost[(*several, own)] = bucket.compile_seconds + bucket.seconds
        assert cost[found] < 1.05 * min(cost.values()), (lanes, found, cost)  # tiles that are not full are not foreseen
        assert len(found) > 1 or lanes < 4000


def test_of_very_many_sizes_a_few_stand_for_all() -> None:
    sizes = np.arange(1, 257)
    load = np.full((1, 256), 1e6)
    found = best_batches((64, 64), np.array([2]), sizes, load, SIZES, Costs())
    assert found[-1] == 256
    assert 3 < len(found) <= 8


def test_a_shape_holds_batches_up_to_its_largest() -> None:
    shape = Shape((8,), (16, 64), tile=4, padded=True)
    assert [shape.holds((5,), batch) for batch in (1, 16, 17, 64, 65)] == [True, True, True, True, False]

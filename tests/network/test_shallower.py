"""Networks in programs with more hidden layers than they have train as alone, whoever is in the tile beside them."""

from itertools import cycle
from typing import Any

import numpy as np
import pytest
from parity import BASE, ONE_PROGRAM, check, images, regression, run_lanes, same, three_classes

from jaxsweep.engine.costs import Costs, Sizes
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.engine.planner import make_plan
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, layer_widths, resolve

SIZES = Sizes(rows=500, val_rows=100, test_rows=100, features=20, outputs=4, splits=1)
CHOICES = {name: HYPERPARAMETERS[name].choices for name in ("norm", "init", "optimizer", "activation")}


def _mixed(count: int) -> list[dict[str, Any]]:
    """Return configs of one to three layers, and of other widths, that go through all norms, inits and optimizers."""
    shapes: Any = cycle(
        [{"depth": 1, "width": 7}, {"depth": 3, "width": 5}, {"depth": 2, "width": 7}, {"width": [6, 4]}]
    )
    beside: Any = cycle([{"dropout": 0.3, "l1": 1e-3}, {"l2": 0.1}, {"weight_decay": 0.1}, {"clip_norm": 0.1}, {}])
    configs = []
    for number in range(count):
        chosen = {name: values[number % len(values)] for name, values in CHOICES.items()}
        shape = next(shapes)
        base = {name: value for name, value in BASE.items() if name != "depth" or "depth" in shape}
        configs.append({**base, "epochs": 3, **chosen, **next(beside), **shape})
    return configs


@pytest.mark.usefixtures("float64")
def test_each_lane_trains_as_it_does_alone() -> None:
    """With every optimizer, initializer, norm and activation that there is, in one program."""
    check(three_classes(), _mixed(max(map(len, CHOICES.values()))), costs=ONE_PROGRAM)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_single_program(norm: str) -> None:
    """Of few depths in one tile, so that some lanes skip what others compute, with batches of two sizes."""
    configs = [
        {**BASE, "epochs": 3, "depth": depth, "width": width, "norm": norm, "batch_size": batch, "dropout": 0.2}
        for depth, width, batch in ((1, 7, 15), (2, 3, 6), (3, 7, 15), (2, 7, 15), (1, 4, 6))
    ]
    full = [resolve(config, "classification", 75) for config in configs]
    (bucket,) = make_plan(full, SIZES, costs=ONE_PROGRAM).buckets
    assert bucket.shallower
    check(three_classes(), configs, costs=ONE_PROGRAM, tile=3, keep_best=True)


@pytest.mark.usefixtures("float64")
def test_equal_widths_need_no_padding() -> None:
    configs = [{**BASE, "depth": depth, "loss": "huber", "epochs": 4} for depth in (2, 1, 3)]
    check(regression(), configs, "val_mse", costs=ONE_PROGRAM)


@pytest.mark.usefixtures("float64")
def test_augmented_images() -> None:
    configs = [{**BASE, "depth": depth, "shift": 0.1, "input_dropout": 0.1, "epochs": 2} for depth in (1, 2)]
    check(images(), configs, objective="val_auc", costs=ONE_PROGRAM)


def _run(configs: list[dict[str, Any]], trials: list[int], tile: int, what: scope.Scope) -> list[LaneResult]:
    return run_lanes(three_classes(), configs, tile=tile, trials=trials, what=what, costs=ONE_PROGRAM, workers=1)


def test_depths_of_neighbours_change_no_bit() -> None:
    """Beside deeper networks products are computed that are skipped among shallow ones."""
    own: dict[str, Any] = {**BASE, "dropout": 0.2, "l2": 0.01}
    deep, shallow = ([{**BASE, "depth": depth}] * 3 for depth in (3, 1))
    what = scope.of_configs([resolve(each, "classification", 75) for each in (own, deep[0])])
    among_deep = _run([own, *deep], [7, 1, 2, 3], 4, what)
    # The deep one comes last, into a tile of its own.
    among_shallow = _run([own, *shallow, {**deep[0], "epochs": 1}], [7, 1, 2, 3, 4], 4, what)
    assert same(among_deep[0], among_shallow[0])


def test_a_deeper_neighbour_that_diverges_changes_no_bit() -> None:
    own: dict[str, Any] = {**BASE, "l1": 0.01}
    wild = {**BASE, "depth": 3, "learning_rate": 1e30, "l2": 1.0, "optimizer": "sgd"}
    tame = {**BASE, "depth": 3, "learning_rate": 1e-3, "l2": 1.0, "optimizer": "sgd"}
    what = scope.of_configs([resolve(each, "classification", 75) for each in (own, wild)])
    beside_wild, beside_tame = (_run([own, other], [7, 1], 2, what) for other in (wild, tame))
    assert beside_wild[1].status == "diverged"
    assert same(beside_wild[0], beside_tame[0])


def test_weights_have_the_layers_of_their_network() -> None:
    configs = [{**BASE, "depth": depth, "norm": "layer"} for depth in (3, 1, 2)]
    for lane, config in zip(run_lanes(three_classes(), configs, costs=ONE_PROGRAM), configs, strict=True):
        assert lane.weights is not None
        params, _ = lane.weights
        layers = [f"hidden_{layer}" for layer in range(config["depth"])]
        assert sorted(params) == sorted([*layers, *(f"norm_{layer}" for layer in range(config["depth"])), "output"])
        assert params["output"]["kernel"].shape == (7, 3)
        assert all(np.all(np.any(params[name]["kernel"] != 0, axis=0)) for name in layers)


# --- plans ---------------------------------------------------------------------------------------------------------


def _resolved(configs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [resolve({"epochs": 50, **config}, "classification", 500) for config in configs]


def test_few_networks_of_many_depths_share_a_program_and_many_do_not() -> None:
    few, many = ([{"depth": depth} for depth in (1, 2, 3)] * count for count in (10, 10_000))
    (bucket,) = make_plan(_resolved(few), SIZES).buckets
    assert bucket.shallower
    assert bucket.depth == 3
    assert not make_plan(_resolved(few[2::3]), SIZES).buckets[0].shallower
    assert [bucket.shallower for bucket in make_plan(_resolved(many), SIZES).buckets] == [False] * 3


def test_networks_without_hidden_layers_have_a_program_of_their_own() -> None:
    plan = make_plan(_resolved([{"depth": depth} for depth in (0, 1, 2)]), SIZES, costs=ONE_PROGRAM)
    assert sorted(bucket.depth for bucket in plan.buckets) == [0, 2]


def test_an_accelerator_s_programs_have_one_depth() -> None:
    """There, what no network of a tile has would be one more thing to ask the host."""
    plan = make_plan(_resolved([{"depth": depth} for depth in (1, 2)]), SIZES, costs=Costs(passes_by=False))
    assert [bucket.shallower for bucket in plan.buckets] == [False, False]


def test_a_network_s_last_width_fits_where_it_passes_by() -> None:
    """What a shallow network gives has to fit into the layers that it does not have."""
    narrowing, wide = {"width": [40, 10, 5]}, {"width": [30]}
    (bucket,) = make_plan(_resolved([narrowing, wide]), SIZES, costs=ONE_PROGRAM).buckets
    assert bucket.widths == (40, 30, 30)
    for config in _resolved([narrowing, wide]):
        assert bucket.shape.holds(layer_widths(config, SIZES.outputs), config["batch_size"])
    assert not bucket.shape.holds((31,), 32)
    assert not bucket.shape.holds((), 32)
    assert not bucket.shape.holds((5, 5, 5, 5), 32)


def test_padding_counts_the_layers_that_a_network_has() -> None:
    """A layer that passes by is skipped in tiles of networks that do not have it."""
    plan = make_plan(_resolved([{"depth": depth, "width": 16} for depth in (1, 2)] * 20), SIZES, costs=ONE_PROGRAM)
    assert plan.programs == 1
    assert plan.padding_waste == pytest.approx(0)

"""Lanes of a tile that differ in optimizer and activation: the same trainings, whoever is beside them."""

import operator
from itertools import cycle, islice
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from parity import BASE, DEEP, ONE_PROGRAM, check, run_lanes, same, three_classes

from jaxsweep.engine.costs import Costs, Sizes
from jaxsweep.engine.engine import Engine
from jaxsweep.engine.planner import make_plan
from jaxsweep.engine.tiling import BY_LANE
from jaxsweep.network import inplace
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, resolve
from jaxsweep.spec.own import named

SIZES = Sizes(rows=500, val_rows=100, test_rows=100, features=20, outputs=4, splits=1)
OPTIMIZERS, ACTIVATIONS = (HYPERPARAMETERS[name].choices for name in BY_LANE)
# Of what an optimizer may have beside it, each with some of them.
BESIDE: list[dict[str, Any]] = [
    {"weight_decay": 0.1, "dropout": 0.2}, {"clip_norm": 0.1, "width": 5}, {"schedule": "cosine", "batch_size": 6},
    {"momentum": 0.9, "nesterov": True, "l1": 1e-3},
]  # fmt: skip


def _each(count: int) -> list[dict[str, Any]]:
    """Return so many configs, through all optimizers and all activations."""
    several = zip(cycle(OPTIMIZERS), cycle(ACTIVATIONS), cycle(BESIDE), strict=False)
    return [
        {**DEEP, "epochs": 3, "optimizer": optimizer, "activation": activation, **beside}
        for optimizer, activation, beside in islice(several, count)
    ]


@pytest.mark.usefixtures("float64")
def test_every_optimizer_and_activation_trains_as_it_does_alone() -> None:
    configs = _each(max(len(OPTIMIZERS), len(ACTIVATIONS)))
    check(three_classes(), configs, costs=ONE_PROGRAM, by_lane=BY_LANE)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("by_lane", [("optimizer",), ("activation",)])
def test_one_by_lane_and_the_other_by_tile(by_lane: tuple[str, ...]) -> None:
    pairs = [(optimizer, activation) for optimizer in ("sgd", "adam", "lion") for activation in ("relu", "tanh")]
    configs = [{**BASE, "optimizer": optimizer, "activation": activation} for optimizer, activation in pairs]
    norms = cycle(HYPERPARAMETERS["norm"].choices)
    configs = [{**config, "norm": norm} for config, norm in zip(configs, norms, strict=False)]
    check(three_classes(), configs, costs=ONE_PROGRAM, by_lane=by_lane)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("by_lane", [BY_LANE, ()])
def test_what_is_written_for_accelerators_trains_the_same(
    by_lane: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "platform", property(lambda _: "gpu", lambda _, value: None), raising=False)
    configs = _each(len(OPTIMIZERS)) if by_lane else _each(4)
    check(three_classes(), configs, costs=ONE_PROGRAM, by_lane=by_lane)


def test_neighbours_change_no_bit() -> None:
    """Not even those that diverge, or whose squares overflow beside plain gradient descent."""
    own: dict[str, Any] = {**DEEP, "optimizer": "sgd", "momentum": 0.9, "activation": "relu", "dropout": 0.2}
    others: list[dict[str, Any]] = [
        {**DEEP, "optimizer": "adam", "activation": "tanh"},
        {**DEEP, "optimizer": "rmsprop", "activation": "elu", "learning_rate": 1e3, "init_scale": 100.0},
        {**DEEP, "optimizer": "sgd", "activation": "relu", "learning_rate": 1e30, "l2": 1.0},
    ]
    what = scope.of_configs([resolve(each, "classification", 75) for each in [own, *others]])
    crowd, alone = (
        run_lanes(three_classes(), configs, tile=4, trials=trials, what=what, costs=ONE_PROGRAM, by_lane=BY_LANE)
        for configs, trials in (([*others, own], [1, 2, 3, 7]), ([own], [7]))
    )
    assert "diverged" in {lane.status for lane in crowd}
    assert same(crowd[3], alone[0])


def test_slots_that_one_update_needs_and_another_does_not() -> None:
    """What counts is one of the updates; where it has fewer slots, those beyond stay as they were."""

    def plain(old: list[jax.Array]) -> tuple[list[jax.Array], list[jax.Array]]:
        new = old[0] + 1
        return [new * 2], [new]

    def hungry(old: list[jax.Array]) -> tuple[list[jax.Array], list[jax.Array]]:
        new = [old[0] * 3, old[1] - 5]
        return [new[0] / new[1]], new

    old = [jnp.full(2, 4.0), jnp.full(2, 7.0)]
    for number, expected in enumerate([([10.0], [5.0, 7.0]), ([6.0], [12.0, 2.0])]):
        staged = inplace.staged([plain, hungry], old, lambda new, _: new, operator.itemgetter(number))
        assert [float(each[0]) for each in staged.directions[number]] == expected[0]
        assert [float(each[0]) for each in staged.slots] == expected[1]
        assert staged.early == [True, True]


def _mixed(lanes: int, **more: Any) -> list[dict[str, Any]]:
    pairs = cycle([("adam", "relu"), ("adam", "tanh"), ("sgd", "relu"), ("sgd", "tanh")])
    return [
        resolve({"optimizer": optimizer, "activation": activation, "epochs": 50, **more}, "classification", 500)
        for optimizer, activation in islice(pairs, lanes)
    ]


def test_few_lanes_of_each_kind_share_tiles_and_many_do_not() -> None:
    (few,), (many,) = (make_plan(_mixed(lanes, width=16), SIZES).buckets for lanes in (40, 20_000))
    assert few.by_lane == BY_LANE
    assert many.by_lane == ("optimizer",)  # to compute what both would do takes less than to move what one has done
    assert few.shape.by_lane == few.by_lane
    (later,) = make_plan(_mixed(20_000, width=16), SIZES, frame=[few.shape]).buckets
    assert later.by_lane == BY_LANE  # in the program that is there


def test_what_all_have_alike_is_by_tile() -> None:
    (bucket,) = make_plan(_mixed(12)[::2], SIZES).buckets  # with relu all of them
    assert bucket.by_lane == ("optimizer",)
    (bucket,) = make_plan(_mixed(1) * 12, SIZES).buckets
    assert bucket.by_lane == ()


def test_choices_that_are_many_are_dear_by_lane() -> None:
    names = [name for name in OPTIMIZERS if name != "lamb"]
    few, many = (Costs(optimizer=cost) for cost in (0.0, 1.0))
    configs = [resolve({"optimizer": name, "epochs": 50}, "classification", 500) for name in names * 5]
    assert [make_plan(configs, SIZES, costs=costs).buckets[0].by_lane for costs in (few, many)] == [("optimizer",), ()]


def test_functions_of_the_user_s_own_are_by_tile() -> None:
    """Nobody knows what they cost."""
    ours, (mine,) = _mixed(12), named([jnp.sin], ACTIVATIONS)
    theirs = [{**config, "activation": mine} if config["activation"] == "tanh" else config for config in ours]
    planned = [make_plan(each, SIZES).buckets for each in (ours, theirs)]
    assert [["activation" in bucket.by_lane for bucket in buckets] for buckets in planned] == [[True], [False]]

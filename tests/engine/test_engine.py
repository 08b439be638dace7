"""Neighbours, tiles, workers and the machinery around them, in float32 as users run it."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from parity import DEEP, run_lanes, same, three_classes

from jaxsweep.data import load_dataset, prepare
from jaxsweep.engine import programs
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.network.reference import train
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import resolve


@pytest.fixture(scope="module")
def crowd() -> list[dict[str, Any]]:
    """100 configs that differ in many numbers and choices."""
    rng = np.random.default_rng(0)
    return [
        {
            **DEEP,
            "learning_rate": float(10 ** rng.uniform(-3, -1)),
            "dropout": float(rng.uniform(0, 0.5)),
            "optimizer": str(rng.choice(["adam", "sgd"])),
            "schedule": str(rng.choice(["constant", "cosine"])),
            "epochs": int(rng.integers(3, 8)),
        }
        for _ in range(100)
    ]


class Subject(NamedTuple):
    """A config, what it is trained with, and its lane when it is alone in a tile of 8."""

    config: dict[str, Any]
    how: dict[str, Any]
    alone: LaneResult


@pytest.fixture(scope="module", params=[(), ("optimizer",)], ids=["by tile", "by lane"])
def subject(crowd: list[dict[str, Any]], request: pytest.FixtureRequest) -> Subject:
    """Of programs that choose the optimizer for a tile, and of those that do so for each lane."""
    data = three_classes()
    config = {**DEEP, "optimizer": "adam", "learning_rate": 0.02, "dropout": 0.25, "schedule": "cosine"}
    rows = len(data.train[0])
    what = scope.of_configs([resolve(each, data.task, rows) for each in [config, *crowd]])
    how = {"what": what, "by_lane": request.param}
    (alone,) = run_lanes(data, [config], tile=8, trials=[7], **how)
    return Subject(config, how, alone)


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_crowd_changes_no_bit(subject: Subject, crowd: list[dict[str, Any]], place: str) -> None:
    config, how, alone = subject
    at = 0 if place == "first" else 99
    configs = [*crowd[:at], config, *crowd[at + 1 :]]
    trials = [1000 + i for i in range(100)]
    trials[at] = 7
    lanes = run_lanes(three_classes(), configs, tile=8, trials=trials, **how)
    assert same(lanes[at], alone)


def test_a_diverging_neighbour_changes_no_bit(subject: Subject) -> None:
    config, how, alone = subject
    wild = {**config, "learning_rate": 1e30}
    lanes = run_lanes(three_classes(), [wild, config, wild], tile=8, trials=[1, 7, 2], **how)
    assert [lane.status for lane in lanes] == ["diverged", "completed", "diverged"]
    assert same(lanes[1], alone)


def test_other_tiles_give_the_same_to_rounding(subject: Subject) -> None:
    config, how, alone = subject
    for tile in (1, 4):
        (lane,) = run_lanes(three_classes(), [config], tile=tile, trials=[7], **how)
        np.testing.assert_allclose(lane.curves, alone.curves, rtol=1e-4, atol=1e-5)


def test_float32_follows_the_reference_for_fifty_steps() -> None:
    data = prepare(load_dataset("digits"))
    config = {"depth": 2, "width": 32, "batch_size": 64, "epochs": 3, "learning_rate": 1e-3, "dropout": 0.2}
    (lane,) = run_lanes(data, [config], trials=[5])
    alone = train(data, config, 3, trial=5)
    assert lane.steps == 51
    np.testing.assert_allclose(lane.curves[:, 0], alone.curves["train_loss"], rtol=1e-4)
    np.testing.assert_allclose(lane.curves[:, 1], alone.curves["val_loss"], rtol=1e-4)


def test_unused_hyperparameters_are_not_in_the_program() -> None:
    rows = 75
    plain = scope.of_configs([resolve(DEEP, "classification", rows)])
    rich = scope.of_configs([resolve({**DEEP, "dropout": 0.1, "patience": 3}, "classification", rows)])
    assert set(rich.traced) - set(plain.traced) == {"dropout", "patience"}
    assert plain.values("optimizer") == ("adam",)


def test_the_number_of_workers_changes_no_bit(subject: Subject, crowd: list[dict[str, Any]]) -> None:
    _, how, _ = subject
    one, two = (run_lanes(three_classes(), crowd[:30], workers=workers, tile=8, **how) for workers in (1, 3))
    assert all(same(a, b) for a, b in zip(one, two, strict=True))


def test_an_error_in_a_worker_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise MemoryError("no room")

    monkeypatch.setattr(programs, "compiled", broken)
    with pytest.raises(MemoryError, match="no room"):
        run_lanes(three_classes(), [DEEP])

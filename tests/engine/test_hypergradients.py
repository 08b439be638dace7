"""Hypergradients of many lanes, in float64: those of ordinary trainings, whatever pads them and trains beside them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from parity import BASE, ONE_PROGRAM, SEED, run_lanes, three_classes

from jaxsweep.data import Prepared
from jaxsweep.engine import hypergradients as module
from jaxsweep.engine.engine import Engine
from jaxsweep.engine.hypergradients import Hypergradient, hypergradients
from jaxsweep.engine.planner import make_plan
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import resolve

pytestmark = pytest.mark.usefixtures("float64")

NAMES = ("learning_rate", "l2")
DATA = three_classes()
SMOOTH: dict[str, Any] = {**BASE, "activation": "tanh", "eps": 1e-3, "epochs": 3, "l2": 0.01}


def find(
    configs: Sequence[dict[str, Any]], data: Prepared = DATA, replicates: int = 1, trials: Sequence[int] | None = None,
    tile: int | None = None, reverse: bool | None = None, workers: int | None = None,
) -> list[Hypergradient]:  # fmt: skip
    rows = min(len(part) for part in data.train)
    full = [resolve(config, data.task, rows) for config in configs]
    engine = Engine(data, scope.of_configs(full), "val_accuracy", SEED, workers=workers)
    plan = make_plan(full, engine.supply.sizes, replicates * len(data.train), ONE_PROGRAM, tile)
    ids = trials or range(len(full))
    return hypergradients(engine, plan, full, ids, NAMES, "log_loss", replicates, reverse=reverse)


def assert_close(one: Hypergradient, other: Hypergradient, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(one.value, other.value, rtol=tolerance)
    for name in NAMES:
        np.testing.assert_allclose(one.slopes[name], other.slopes[name], rtol=tolerance, err_msg=name)


def loss(lane: Any) -> float:
    return float(lane.curves[-1, 1])  # beside the training loss


@pytest.fixture(scope="module")
def several(float64: None) -> list[Hypergradient]:
    """Three widths in one padded program, two lanes at a time."""
    return find([SMOOTH, {**SMOOTH, "width": 3, "epochs": 2}, {**SMOOTH, "width": 5, "learning_rate": 0.03}], tile=6)


def test_they_are_those_of_ordinary_trainings(several: list[Hypergradient]) -> None:
    config = {**SMOOTH, "width": 5, "learning_rate": 0.03}
    moved = [{**config, name: config[name] * factor} for name in NAMES for factor in (1 + 1e-6, 1 - 1e-6)]
    plain, *others = map(loss, run_lanes(DATA, [config, *moved], trials=[2] * 5))
    np.testing.assert_allclose(several[2].value, plain, rtol=1e-9)
    for name, up, down in zip(NAMES, others[::2], others[1::2], strict=True):
        np.testing.assert_allclose(several[2].slopes[name], (up - down) / (2e-6 * config[name]), rtol=1e-4)


def test_neither_padding_nor_neighbours_matter(several: list[Hypergradient]) -> None:
    (alone,) = find([{**SMOOTH, "width": 3, "epochs": 2}], trials=[1])
    assert_close(alone, several[1])


def test_after_the_deadline_nothing_begins(several: list[Hypergradient], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxsweep.engine.hypergradients._train", None)
    full = [resolve(SMOOTH, DATA.task, len(DATA.train[0]))]
    engine = Engine(DATA, scope.of_configs(full), "val_accuracy", SEED)
    plan = make_plan(full, engine.supply.sizes, len(DATA.train), ONE_PROGRAM)
    (found,) = hypergradients(engine, plan, full, range(1), NAMES, "log_loss", deadline=0.0)
    assert np.isnan([found.value, *found.slopes.values()]).all()


def test_backwards_they_are_the_same(several: list[Hypergradient]) -> None:
    configs = [SMOOTH, {**SMOOTH, "width": 3, "epochs": 2}, {**SMOOTH, "width": 5, "learning_rate": 0.03}]
    for one, other in zip(find(configs, tile=6, reverse=True), several, strict=True):
        assert_close(one, other, 1e-7)


def test_a_lane_that_diverges_has_none_and_its_neighbours_have() -> None:
    wild = {**SMOOTH, "optimizer": "sgd", "activation": "elu", "learning_rate": 3e38}
    fine = {**wild, "learning_rate": 0.1}
    (alone,), (bad, good) = find([fine], trials=[1], tile=12), find([wild, fine], tile=12)
    assert np.isnan([bad.value, *bad.slopes.values()]).all()
    assert_close(good, alone)


def test_replicates_and_folds_are_averaged_and_a_value_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data, compiled = three_classes(split=(0.7, 0, 0.3), folds=2), []
    plain = module._compiled

    def counted(*arguments: Any) -> Any:
        found = plain(*arguments)
        compiled.append(found[2] > 0)
        return found

    monkeypatch.setattr(module, "_compiled", counted)
    (mean,) = find([SMOOTH], data, replicates=2, tile=3)
    assert sum(compiled) == 1
    lanes = run_lanes(data, [SMOOTH], replicates=2)
    np.testing.assert_allclose(mean.value, np.mean([loss(lane) for lane in lanes]), rtol=1e-9)
    compiled.clear()
    other = {**SMOOTH, "learning_rate": 0.02, "epochs": 4, "l2": 0.5}
    (moved,) = find([other], data, replicates=2, tile=3, workers=1)
    assert compiled == [False] * 4
    assert moved.slopes != mean.slopes

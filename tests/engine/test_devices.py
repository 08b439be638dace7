"""Several devices share a sweep. A CPU that poses as two stands for two accelerators."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import pytest
from parity import BASE, run_lanes, same, three_classes

from jaxsweep.engine import calibrate
from jaxsweep.engine.costs import Costs, Sizes, sizes_of
from jaxsweep.engine.lanes import Supply
from jaxsweep.engine.planner import Plan, make_plan
from jaxsweep.engine.tile import Tile
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import resolve

CONFIGS = [{**BASE, "learning_rate": 0.002 * (i + 1), "epochs": 2 + i % 3, "dropout": 0.2} for i in range(24)]


@pytest.fixture
def two() -> Sequence[jax.Device]:
    """Two devices."""
    devices: list[jax.Device] = jax.local_devices()
    if len(devices) < 2:
        pytest.skip("needs two devices, as XLA_FLAGS=--xla_force_host_platform_device_count=2 makes them")
    return devices[:2]


def test_each_trains_its_own_tiles_and_no_bit_changes(
    two: Sequence[jax.Device], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    data, used = three_classes(), {device: threading.Event() for device in two}
    advance = Tile._advance

    def watched(tile: Tile) -> object:
        history = advance(tile)
        leaves = jax.tree.leaves((tile.state, tile.place.data, tile.place.test))
        (device,) = {device for leaf in leaves for device in leaf.devices()}
        assert device == tile.place.device
        used[device].set()
        for event in used.values():  # nobody trains the whole sweep while the other device's program compiles
            assert event.wait(60)
        return history

    alone = run_lanes(data, CONFIGS, tile=4)
    monkeypatch.setattr(Tile, "_advance", watched)
    lanes = run_lanes(data, CONFIGS, tile=4, devices=two, workers=4, costs=Costs(workers=4, turns=2, devices=2))
    assert all(event.is_set() for event in used.values())
    assert all(same(lane, other) for lane, other in zip(lanes, alone, strict=True))


def test_a_device_has_its_next_call_before_the_last_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    data, under_way, most = three_classes(), 0, 0
    # Ends that the host knows beforehand, ends that it does not, and slots that are filled while a call is under way.
    stopping = [{**config, "patience": 2, "min_delta": 0.05, "epochs": 30} for config in CONFIGS[:6]]
    wild = [{**config, "learning_rate": 1e38, "epochs": 9} for config in CONFIGS[:2]]
    configs = [*wild, *stopping, *({**config, "epochs": 5 + i} for i, config in enumerate(CONFIGS[:8]))]
    advance, collect = Tile._advance, Tile._collect

    def made(tile: Tile) -> object:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        return advance(tile)

    def looked_at(tile: Tile, *arguments: Any) -> None:
        nonlocal under_way
        under_way -= 1
        collect(tile, *arguments)

    monkeypatch.setattr("jaxsweep.engine.tile.CALL_SECONDS", 0.0)  # an epoch a call
    alone = run_lanes(data, configs, tile=4, workers=1, keep_best=True)
    assert {lane.status for lane in alone} == {"completed", "stopped", "diverged"}
    monkeypatch.setattr(Tile, "_advance", made)
    monkeypatch.setattr(Tile, "_collect", looked_at)
    lanes = run_lanes(data, configs, tile=4, workers=1, keep_best=True, devices=jax.local_devices()[:1])
    assert most == 2
    assert all(same(lane, other) for lane, other in zip(lanes, alone, strict=True))


def test_data_lie_where_the_workers_train_whatever_the_callers_default(two: Sequence[jax.Device]) -> None:
    data = three_classes()
    used = scope.of_configs([resolve(BASE, data.task, len(data.train[0]))])
    with jax.default_device(two[1]):
        (place,) = Supply(data, used, 0, "accuracy").places
    assert {device for leaf in jax.tree.leaves((place.data, place.test)) for device in leaf.devices()} == {two[0]}


def test_a_cpu_is_one_device_whatever_it_poses_as() -> None:
    assert calibrate.default_devices() == [None]
    assert calibrate.device_costs().devices == 1


def test_accelerators_are_all_used_by_two_tiles_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_devices", lambda: ["gpu 0", "gpu 1", "gpu 2"])
    monkeypatch.setattr(calibrate, "_device_memory", lambda: 1e9)
    monkeypatch.setattr(calibrate, "_known", lambda: (2.0, 3.0))  # of the processor, in an earlier process
    costs = calibrate.device_costs()
    assert (costs.workers, costs.turns, costs.devices) == (6, 2, 3)
    assert (costs.slower, costs.slower_compiling) == (1.0, 1.0)


def _planned(costs: Costs, lanes: int = 400, tile: int | None = 4) -> Plan:
    data = three_classes()
    config = resolve({**BASE, "epochs": 10_000}, data.task, len(data.train[0]))
    return make_plan([config] * lanes, sizes_of(data), costs=costs, tile=tile)


def test_many_lanes_are_enough_tiles_for_many_accelerators() -> None:
    digits = Sizes(rows=1078, val_rows=360, test_rows=359, features=64, outputs=10, splits=1)
    config = resolve({"width": 64, "depth": 2, "batch_size": 64, "epochs": 10}, "classification", 1078)
    slack = calibrate._ACCELERATOR.slack
    costs = [replace(calibrate._ACCELERATOR, slack=given) for given in (0.0, slack)]
    (best,), (spread,) = (make_plan([config] * 20_000, digits, costs=each).buckets for each in costs)
    assert spread.tile < best.tile
    assert 20_000 / spread.tile >= 16
    assert spread.seconds <= (1 + slack) * best.seconds


def test_devices_share_time_but_not_memory() -> None:
    one, both = _planned(Costs(workers=2, turns=2)), _planned(Costs(workers=4, turns=2, devices=2))
    assert (one.workers, both.workers) == (2, 4)
    assert both.predicted_seconds == pytest.approx(one.predicted_seconds / 2, rel=0.05)
    assert both.predicted_bytes == one.predicted_bytes
    tight = _planned(Costs(workers=4, turns=2, devices=2, memory=both.predicted_bytes - 1))
    assert tight.workers == 2
    assert tight.predicted_seconds == both.predicted_seconds

"""Tiles share memory: what does not fit waits, is split, or is refused."""

import threading
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from parity import BASE, SEED, three_classes

from jaxsweep.engine.engine import Engine
from jaxsweep.engine.memory import Room
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.engine.planner import make_plan
from jaxsweep.engine.tile import Tile
from jaxsweep.errors import RequestError
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import resolve


def test_who_does_not_fit_waits() -> None:
    room, held, leave, order = Room(10), threading.Event(), threading.Event(), []

    def first() -> None:
        with room.taken(7):
            held.set()
            leave.wait()
            order.append("first leaves")

    def second() -> None:
        with room.taken(4):
            order.append("second enters")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    held.wait()
    threads[1].start()
    with room.taken(3):  # fits beside the first, though not beside the second
        pass
    leave.set()
    for thread in threads:
        thread.join()
    assert order == ["first leaves", "second enters"]


def test_who_would_not_fit_alone_is_refused() -> None:
    with pytest.raises(RequestError, match="needs 3 MiB to train, and 2 are available"), Room(2**21).taken(3 * 2**20):
        pass


def trained(configs: list[dict[str, Any]], room: float | None) -> tuple[list[LaneResult], int]:
    """Return the lanes of a sweep whose tiles share `room` bytes, and the bytes of its largest tile."""
    data = three_classes()
    full = [resolve(config, data.task, len(data.train[0])) for config in configs]
    engine = Engine(data, scope.of_configs(full), "val_accuracy", SEED)
    plan = make_plan(full, engine.supply.sizes, tile=8)
    lanes = engine.run(plan if room is None else replace(plan, room=room), full, range(len(full)))
    return sorted(lanes, key=lambda lane: lane.job.position), engine.usage.tile_bytes


def test_a_sweep_of_ten_times_the_memory_finishes_in_smaller_tiles() -> None:
    configs = [{**BASE, "learning_rate": 0.001 * (i + 1), "epochs": 2} for i in range(40)]
    free, whole = trained(configs, None)
    limit = whole * (len(configs) / 8) / 10
    lanes, largest = trained(configs, limit)
    assert largest <= limit
    assert [lane.status for lane in lanes] == ["completed"] * len(configs)
    for lane, other in zip(lanes, free, strict=True):
        np.testing.assert_allclose(lane.curves, other.curves, rtol=1e-4)
    with pytest.raises(RequestError, match="one network of these shapes needs"):
        trained(configs[:1], limit / 100)


def test_where_the_device_has_no_memory_tiles_are_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """As XLA says it, in the middle of training too; every lane ends as it does in tiles that fit."""
    configs = [{**BASE, "learning_rate": 0.001 * (i + 1), "epochs": 3} for i in range(20)]
    data = three_classes()
    full = [resolve(config, data.task, len(data.train[0])) for config in configs]
    (fitting,) = {lane.status for lane in trained(configs, None)[0]}
    advance, calls = Tile._advance, 0

    def full_device(tile: Tile) -> Any:
        nonlocal calls
        calls += 1
        if tile.size > 2 and calls > 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes.")
        return advance(tile)

    monkeypatch.setattr(Tile, "_advance", full_device)
    engine = Engine(data, scope.of_configs(full), "val_accuracy", SEED, workers=2)
    lanes = list(engine.run(make_plan(full, engine.supply.sizes, tile=8), full, range(len(full))))
    assert sorted(lane.job.trial for lane in lanes) == list(range(20))
    assert {lane.status for lane in lanes} == {fitting}
    assert [lane.epochs for lane in lanes] == [3] * 20
    assert len(engine.usage.remarks) == 2
    assert "there was no memory for 8 networks" in engine.usage.remarks[0]
    assert "they train 2 at a time from now on" in engine.usage.remarks[1]
    assert sum(work.lanes for work in engine.works) == 0

    def never(tile: Tile) -> Any:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(Tile, "_advance", never)
    with pytest.raises(RequestError, match="there is no memory for one network of widths"):
        list(engine.run(make_plan(full, engine.supply.sizes, tile=8), full, range(len(full))))

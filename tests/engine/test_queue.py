"""In which order lanes train, who compiles first, and what a lane takes into its program."""

import sys
import threading
from collections import deque
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from parity import ONE_PROGRAM, SEED, three_classes

from jaxsweep import interruption
from jaxsweep.engine import programs
from jaxsweep.engine.bank import Bank
from jaxsweep.engine.costs import Costs
from jaxsweep.engine.engine import SWITCH_SECONDS, Engine, _Switching
from jaxsweep.engine.lanes import Group
from jaxsweep.engine.outcome import Job, LaneResult
from jaxsweep.engine.planner import Plan, make_plan
from jaxsweep.engine.tile import Tile
from jaxsweep.network.train import Lane
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import Config, resolve

# Without a hidden layer little is compiled, and all tests share a program.
LINEAR = {"depth": 0, "batch_size": 15, "learning_rate": 0.01, "epochs": 2}
EXACT = Costs(compilation=0.0, compilation_layer=0.0)  # compiling costs nothing: each shape has a program of its own


def prepared(
    configs: list[dict[str, Any]], workers: int = 1, tile: int = 1, costs: Costs = ONE_PROGRAM
) -> tuple[Engine, Plan, list[Config]]:
    """Return an engine, a plan and the resolved configs, on 75 training rows."""
    data = three_classes()
    full = [resolve(config, data.task, len(data.train[0])) for config in configs]
    engine = Engine(data, scope.of_configs(full), "val_accuracy", SEED, workers=workers)
    return engine, make_plan(full, engine.supply.sizes, costs=costs, tile=tile), full


# --- order -------------------------------------------------------------------------------------------------------


def in_order(configs: list[dict[str, Any]], replicates: int = 1) -> list[LaneResult]:
    """Return the lanes of one worker with one slot in the order in which they end, which is that of the queue."""
    engine, plan, full = prepared(configs)
    return list(engine.run(plan, full, range(100, 100 + len(full)), replicates))


def test_the_longest_trainings_begin_first() -> None:
    lanes = in_order([{**LINEAR, "epochs": epochs} for epochs in (1, 3, 2, 5, 3)])
    assert [lane.job.trial for lane in lanes] == [103, 101, 104, 102, 100]  # of two that are as long, the earlier
    assert [len(lane.curves) for lane in lanes] == [5, 3, 3, 2, 1]


def test_lanes_with_as_many_steps_an_epoch_stand_together() -> None:
    shapes = ((1, 15), (4, 5), (3, 15), (2, 5))  # epochs, batch size
    lanes = in_order([{**LINEAR, "epochs": epochs, "batch_size": size} for epochs, size in shapes])
    assert {lane.job.trial: lane.steps for lane in lanes} == {100: 5, 101: 60, 102: 15, 103: 30}
    pairs = [[lane.job.trial for lane in lanes[:2]], [lane.job.trial for lane in lanes[2:]]]
    assert sorted(pairs) == [[101, 103], [102, 100]]  # 15 and 5 steps an epoch


def test_slots_go_to_lanes_that_are_like_those_beside_them() -> None:
    """Whoever steps less often in an epoch, or has fewer layers, waits for the others of its tile."""
    kinds = [(1, 16), (1, 128), (1, 16), (1, 64), (3, 128), (1, 128), (3, 32)]  # hidden layers, batch size
    group: Any = Group(None, SimpleNamespace(bucket=SimpleNamespace(tile=2)), None, deque(), [], Bank())  # type: ignore[arg-type]
    group.configs = [{"width": 8, "depth": depth, "batch_size": size} for depth, size in kinds]
    every = [Job(i, i, 0, 0) for i in range(len(kinds))]

    def popped(count: int, *beside: int) -> list[int]:
        group.jobs = deque(every)
        chosen = [job.trial for job in group.pop(count, [every[i] for i in beside])]
        left = [job.trial for job in group.jobs]
        assert sorted(chosen + left) == list(range(len(kinds)))
        assert left == sorted(left)  # as they stood
        return chosen

    assert popped(2) == [0, 2]  # like the first
    assert popped(2, 1) == [1, 5]
    assert popped(3, 1) == [1, 5, 3]  # a batch half as large is nearer than a network of twice the layers
    assert popped(1, 4) == [4]
    assert popped(3, 4) == [4, 1, 5]
    assert popped(1, 0, 6, 6) == [6]  # like most
    assert sorted(popped(9)) == [*range(7)]
    assert popped(0) == []


def test_replicates_of_a_trial_follow_each_other() -> None:
    lanes = in_order([{**LINEAR, "epochs": epochs} for epochs in (1, 2)], replicates=2)
    assert [(lane.job.trial, lane.job.replicate) for lane in lanes] == [(101, 0), (101, 1), (100, 0), (100, 1)]


# --- who compiles first ------------------------------------------------------------------------------------------


def test_the_first_program_is_compiled_while_everybody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bucket with the most work has all cores, although a second worker has another one to begin with."""
    events: list[tuple[str, int]] = []
    original, guard = programs.compiled, threading.Lock()

    def watched(program: Any, *arguments: Any) -> Any:
        with guard:
            events.append(("begins", program.batches[-1]))
        made = original(program, *arguments)
        with guard:
            events.append(("ends", program.batches[-1]))
        return made

    configs = [*[LINEAR] * 4, *[{**LINEAR, "batch_size": 75, "epochs": 40}] * 4]
    engine, plan, full = prepared(configs, workers=2, costs=replace(EXACT, several_batches=False))
    assert [bucket.batch_size for bucket in plan.buckets] == [75, 15]
    monkeypatch.setattr(programs, "compiled", watched)
    lanes = list(engine.run(plan, full, range(len(full))))
    assert sorted(lane.job.trial for lane in lanes) == list(range(8))
    assert events[:3] == [("begins", 75), ("ends", 75), ("begins", 15)]


# --- who is waited for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [False, True])
def test_where_the_process_ends_nobody_waits_for_a_long_call(monkeypatch: pytest.MonkeyPatch, ends: bool) -> None:
    """As after an interrupt of the command line, and as everywhere else."""
    begun, over, ticks, workers = threading.Event(), threading.Event(), 0, set[threading.Thread]()

    def long_call(self: Tile, *_: object) -> None:
        workers.add(threading.current_thread())
        begun.set()
        over.wait()

    def tick() -> None:
        nonlocal ticks
        if not engine.stop.is_set():
            if begun.is_set():
                raise KeyboardInterrupt
            return
        ticks += 1
        if ticks == 3 and not ends:
            over.set()

    engine, plan, full = prepared([LINEAR])
    monkeypatch.setattr(Tile, "run", long_call)
    monkeypatch.setattr("jaxsweep.engine.engine.LEAVE_SECONDS", 0.0)
    monkeypatch.setattr("jaxsweep.engine.engine.TICK_SECONDS", 0.01)
    monkeypatch.setattr(interruption, "_ends", ends)
    monkeypatch.setattr(interruption, "_acted", False)

    with pytest.raises(KeyboardInterrupt):
        list(engine.run(plan, full, [0], tick=tick))
    (worker,) = workers
    assert worker.is_alive() == ends
    over.set()
    worker.join()


# --- what a lane takes into its program --------------------------------------------------------------------------


class Enough(Exception):
    """Ends a run before anything is compiled."""


def taken_along(configs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the names of the traced hyperparameters that a program for these configs has as arguments."""
    seen: list[set[str]] = []

    def compiled(*arguments: Any) -> Any:
        (lanes,) = (argument for argument in arguments if isinstance(argument, Lane))
        seen.append(set(lanes.h))
        assert all(values.shape == (2,) for values in lanes.h.values())
        raise Enough

    engine, plan, full = prepared(configs, tile=2)
    with monkeypatch.context() as patch:
        patch.setattr(programs, "compiled", compiled)
        with pytest.raises(Enough):
            list(engine.run(plan, full, range(len(full))))
    (names,) = seen
    return names


def test_a_program_takes_only_the_hyperparameters_that_the_sweep_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = taken_along([LINEAR, LINEAR], monkeypatch)
    off = {"dropout", "l1", "l2", "weight_decay", "clip_norm", "mixup_alpha", "patience", "momentum", "warmup"}
    assert not plain & off
    assert {"learning_rate", "b1", "b2", "eps"} < plain
    rich = taken_along([LINEAR, {**LINEAR, "l2": 0.1, "warmup": 0.5, "patience": 3}], monkeypatch)
    assert rich - plain == {"l2", "warmup", "patience"}
    assert plain < rich


def test_lanes_hold_the_values_of_their_configs() -> None:
    configs = [{**LINEAR, "l2": 0.25, "epochs": 4}, {**LINEAR, "warmup": 0.5, "epochs": 4, "learning_rate": 0.5}]
    engine, plan, full = prepared(configs, tile=3)
    (group,) = engine._groups(plan, full, range(2), 1)
    lanes = engine.supply.lanes(group.pop(2), group, 3)
    np.testing.assert_array_equal(lanes.h["l2"], [0.25, 0, 0])  # the third slot is empty
    np.testing.assert_array_equal(lanes.h["warmup"], [0, 10, 0])  # half of 4 epochs of 5 steps
    np.testing.assert_allclose(lanes.h["learning_rate"], [0.01, 0.5, 0])
    np.testing.assert_array_equal(lanes.epochs, [4, 4, 0])
    np.testing.assert_array_equal(lanes.epoch_steps, [5, 5, 0])


def test_the_switch_interval_is_as_before_when_the_last_engine_ends() -> None:
    before, switching = sys.getswitchinterval(), _Switching()
    first = switching.often()
    first.__enter__()

    def second() -> None:
        with switching.often():
            first.__exit__(None, None, None)  # not the one that came last
            assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        second()
    assert sys.getswitchinterval() == before
    with switching.often():
        sys.setswitchinterval(0.02)  # somebody else's
    assert sys.getswitchinterval() == pytest.approx(0.02)
    sys.setswitchinterval(before)

"""How far the engine is, and how long the rest will take."""

import time
from dataclasses import replace
from typing import Any

import pytest
from parity import run_lanes, three_classes

from jaxsweep.data import Prepared
from jaxsweep.engine.costs import Costs, Sizes
from jaxsweep.engine.engine import Engine
from jaxsweep.engine.planner import LONE, Plan, make_plan
from jaxsweep.engine.underway import Work, expected_compilation, seconds_left
from jaxsweep.spec.hyperparameters import resolve

SIZES = Sizes(rows=500, val_rows=100, test_rows=100, features=20, outputs=4, splits=1)


def planned(workers: int = 2) -> tuple[Plan, list[Work]]:
    """Return a plan of two programs, each with far more training than compilation, and its works, not begun."""
    each = {"width": 256, "batch_size": 5, "epochs": 100}
    configs = [resolve({**each, "depth": depth}, "classification", SIZES.rows) for depth in (1, 3)] * 100
    plan = make_plan(configs, SIZES, costs=Costs(workers=workers))
    assert [bucket.depth for bucket in plan.buckets] == [3, 1]
    return plan, [Work(bucket, steps=100_000) for bucket in plan.buckets]


def finish(work: Work, share: float, factor: float) -> None:
    """Let a share of a bucket's training have taken so many times as long as was predicted."""
    work.compiled = work.bucket.compile_seconds
    work.took(int(share * work.steps), factor * share * work.bucket.seconds)


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_before_anything_is_done_the_plan_says_how_long_it_takes(workers: int) -> None:
    plan, works = planned(workers)
    assert seconds_left(works, plan, now=0.0) == pytest.approx(plan.predicted_seconds)
    assert seconds_left(works, plan, 0.0, waiting=3) == pytest.approx(4 * plan.predicted_seconds)


def test_what_is_done_is_not_left() -> None:
    plan, works = planned()
    for work in works:
        finish(work, 0.25, factor=1.0)
    training = sum(bucket.seconds for bucket in plan.buckets)
    assert seconds_left(works, plan, 0.0) == pytest.approx(0.75 * training / 2)
    for work in works:
        finish(work, 0.75, factor=1.0)
    assert seconds_left(works, plan, 0.0) == 0


def test_a_slow_machine_takes_longer_for_the_rest_too() -> None:
    plan, works = planned()
    for work in works:
        finish(work, 0.5, factor=3.0)
    training = sum(bucket.seconds for bucket in plan.buckets)
    # As if a twentieth of the plan had been measured beforehand and taken as long as predicted.
    factor = (0.5 * 3 + 0.05) / (0.5 + 0.05)
    assert seconds_left(works, plan, 0.0) == pytest.approx(factor * 0.5 * training / 2)


def test_programs_that_were_kept_make_the_others_quick() -> None:
    plan, works = planned()
    first, second = works
    compiling = second.bucket.compile_seconds
    assert expected_compilation(works, second) == LONE * compiling
    first.compiled = 0.1 * first.bucket.compile_seconds
    first.enter(16)
    assert expected_compilation(works, second) == pytest.approx(0.1 * compiling)
    training = sum(bucket.seconds for bucket in plan.buckets)
    assert seconds_left(works, plan, 0.0) == pytest.approx((training + 0.1 * compiling) / 2)
    second.compiling = 100.0
    assert seconds_left(works, plan, now=100.0 + 0.1 * compiling) == pytest.approx(training / 2)


def test_a_machine_that_is_slow_to_compile_is_taken_to_be_slow_to_train() -> None:
    plan, works = planned()
    works[0].compiling, seconds = 0.0, works[0].bucket.compile_seconds
    left = [seconds_left(works, plan, now) for now in (0.5 * seconds, seconds, 3 * seconds)]
    training = sum(bucket.seconds for bucket in plan.buckets)
    compiling = works[1].bucket.compile_seconds
    assert left[0] == pytest.approx((training + 0.5 * seconds + compiling) / 2)
    assert left[1] == pytest.approx((training + compiling) / 2)
    assert left[2] == pytest.approx(3 * (training + compiling) / 2)


def test_a_program_is_prepared_once() -> None:
    _, (work, _) = planned()
    states = [replace(work)]
    with work.preparing(kept=True):
        states.append(replace(work))
    states.append(replace(work))
    with work.preparing(kept=False):  # another worker asks for what is there
        states.append(replace(work))
    assert [state.compiling is not None for state in states] == [False, True, False, False]
    assert [state.compiled is not None for state in states] == [False, False, True, True]
    assert states[1].kept
    assert work.compiled == states[2].compiled


CONFIGS: list[dict[str, Any]] = [
    {"depth": 0, "batch_size": 15, "epochs": 8},
    {"depth": 0, "batch_size": 15, "epochs": 8, "patience": 1, "min_delta": 1e9},  # ends after 2
    {"depth": 0, "batch_size": 15, "epochs": 8, "learning_rate": 1e38},  # ends after a step
    {"depth": 0, "batch_size": 15, "epochs": 3},
]


def test_lanes_that_end_early_have_done_all_that_they_had_to(monkeypatch: pytest.MonkeyPatch) -> None:
    data, engines = three_classes(), []
    original = Engine.__init__

    def kept(self: Engine, data: Prepared, *rest: Any, **more: Any) -> None:
        original(self, data, *rest, **more)
        engines.append(self)

    monkeypatch.setattr(Engine, "__init__", kept)
    lanes = run_lanes(data, CONFIGS, tile=2, workers=1)
    (engine,) = engines
    (work,) = engine.works
    assert [lane.status for lane in lanes] == ["completed", "stopped", "diverged", "completed"]
    assert work.steps == work.done == 5 * (8 + 8 + 8 + 3)  # 75 rows in batches of 15
    assert (work.share, work.lanes) == (1, 0)
    assert engine.usage.useful_steps == sum(lane.steps for lane in lanes)
    assert seconds_left([work], _plan_of(work), time.perf_counter()) == 0


def _plan_of(work: Work) -> Plan:
    plan, _ = planned()
    plan.buckets = [work.bucket]
    return plan

"""The numbers that a sweep tells about itself, against counts that can be made by hand."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import jaxsweep as js
from jaxsweep import loop, recording
from jaxsweep.engine import machine, programs
from jaxsweep.engine.costs import Costs
from jaxsweep.engine.planner import LONE, Plan, make_plan
from jaxsweep.engine.usage import Usage
from jaxsweep.loop import execute
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.spec.request import Request

# 60 training rows in batches of 12 are 5 steps an epoch; the slots of a tile take as many steps as its longest lane.
STEPS, TILE = 5, 4
SHAPE = {"depth": 1, "width": 16, "batch_size": 12, "learning_rate": 0.01}
CONFIGS = (
    {**SHAPE, "epochs": 8},
    {**SHAPE, "epochs": 4, "width": 8},  # padded to 16, since compiling is dear
    {**SHAPE, "epochs": 8, "patience": 1, "min_delta": 1e9},  # only the first evaluation improves: 2 epochs
    {**SHAPE, "epochs": 8, "learning_rate": 1e38},  # one step, after which the loss is not finite
    {**SHAPE, "epochs": 3, "depth": 0},  # another program, in which it is alone
)
USEFUL = 8 * STEPS + 4 * STEPS + 2 * STEPS + 1 + 3 * STEPS
RUN = 8 * STEPS * TILE + 3 * STEPS * TILE  # each of the two tiles, as long as its longest lane


@dataclass
class Watched:
    """A sweep, and what was seen of it from outside."""

    result: js.Result
    snapshots: list[Snapshot]  # at the start, after each trial, at the end
    plans: list[Plan]
    compiled: list[programs.Compiled]
    peaks: tuple[int, int]  # the process's peak memory before and after


class Listener(Progress):
    """Keeps every state that is shown."""

    def __init__(self) -> None:
        self.seen: list[Snapshot] = []

    def start(self, snapshot: Snapshot) -> None:
        self.seen.append(replace(snapshot))

    update = close = start


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """CONFIGS by one worker in tiles of 4: one tile for each of the two programs, and nobody waits for a slot."""
    plans: list[Plan] = []
    compiled: list[programs.Compiled] = []
    original = programs.compiled

    def planned(configs: Any, sizes: Any, lanes_each: int, costs: Costs, **more: Any) -> Plan:
        plans.append(make_plan(configs, sizes, lanes_each, Costs(workers=1, compilation=1e6), TILE, **more))
        return plans[-1]

    def kept(*arguments: Any) -> Any:
        made = original(*arguments)
        compiled.append(made[0])
        return made

    rng = np.random.default_rng(0)
    data = js.Dataset.from_arrays(rng.normal(size=(120, 4)), np.arange(120) % 3)
    listener, before = Listener(), machine.peak_memory()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxsweep.planning.make_plan", planned)
        patch.setattr(programs, "compiled", kept)
        patch.setattr(recording, "FLUSH_SECONDS", 0.0)  # each trial is committed by itself, and so shown
        patch.setattr(loop, "TICK_SECONDS", 0.0)
        request = Request(configs=CONFIGS, split=(0.5, 0.25, 0.25), keep=1)
        result = execute(data, request, tmp_path_factory.mktemp("runs") / "run", listener)
    return Watched(result, listener.seen, plans, compiled, (before, machine.peak_memory()))


def test_trials_are_counted_by_status(watched: Watched) -> None:
    statuses = [trial.status for trial in watched.result.trials]
    assert statuses == ["completed", "completed", "stopped", "diverged", "completed"]
    counts = {"requested": 5, "finished": 5, "recorded": 5, "completed": 3, "stopped": 1, "diverged": 1, "failed": 0}
    assert watched.result.summary()["trials"] == counts


def test_iterations_are_the_steps_that_lanes_took(watched: Watched) -> None:
    assert watched.result.summary()["iterations"] == USEFUL == 86


def test_occupancy_is_the_useful_share_of_the_lane_steps_run(watched: Watched) -> None:
    assert watched.result.summary()["lane_occupancy"] == pytest.approx(USEFUL / RUN)
    assert watched.snapshots[-1].busy == pytest.approx(86 / 220)
    assert watched.snapshots[0].busy == 0


def test_each_shape_is_a_program(watched: Watched) -> None:
    assert watched.result.summary()["programs"] == 2
    assert [bucket.widths for bucket in watched.plans[0].buckets] == [(16,), ()]
    assert watched.snapshots[-1].programs == 2


def test_padding_waste_is_what_padding_adds_to_the_useful_arithmetic(watched: Watched) -> None:
    """Of one example: 2 x 2 FLOPs for each weight of the first layer, whose inputs need no gradient, 2 x 3 of others.

    There are 4 features and 3 outputs. Counted are all steps that the configs ask for; the second network has half
    the units of its program.
    """
    wide, narrow, linear = 4 * 4 * 16 + 6 * 16 * 3, 4 * 4 * 8 + 6 * 8 * 3, 4 * 4 * 3
    useful = STEPS * (24 * wide + 4 * narrow + 3 * linear)
    padded = STEPS * (24 * wide + 4 * wide + 3 * linear)
    assert watched.result.summary()["padding_waste"] == pytest.approx(padded / useful - 1)
    assert watched.plans[0].buckets[0].padding_waste == pytest.approx(28 / 26 - 1)


def test_the_prediction_is_the_plans_and_the_tiles_bytes_are_xlas(watched: Watched) -> None:
    (plan,), said = watched.plans, watched.result.numbers["prediction"]
    assert said["seconds"] == plan.predicted_seconds > 0
    assert said["bytes"] == plan.predicted_bytes
    asked = []
    for compiled in watched.compiled:
        for executable in (compiled.start, compiled.advance, compiled.score_test):
            memory = executable.memory_analysis()  # type: ignore[union-attr]
            sizes = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
            asked.append(sizes - memory.alias_size_in_bytes)
    assert said["tile_bytes"] == max(asked)
    weights = TILE * (4 * 16 + 16 + 16 * 3 + 3)
    assert said["tile_bytes"] > 3 * 4 * weights  # float32 weights and Adam's two slots at least
    before, after = watched.peaks
    assert before <= said["peak_bytes"] <= after


def test_seconds_add_up_to_the_total(watched: Watched) -> None:
    seconds = watched.result.numbers["seconds"]
    assert seconds["compile"] + seconds["train"] + seconds["host"] == pytest.approx(seconds["total"])
    assert min(seconds["compile"], seconds["train"]) > 0


def test_the_run_directory_says_what_the_json_line_says(watched: Watched) -> None:
    assert watched.result.run is not None
    with closing(sqlite3.connect(watched.result.run / "trials.sqlite")) as db:
        kept = {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM summary")}
    assert kept.pop("prediction") == watched.result.numbers["prediction"]
    assert tuple(kept.pop("notes")) == watched.result.notes
    assert kept.pop("precision") == "highest"
    assert kept == watched.result.summary()


def test_progress_counts_what_finishes_and_tells_what_goes_on_before_anything_does(watched: Watched) -> None:
    first, *after, last = watched.snapshots
    assert first.left is None
    assert sorted({now.finished for now in after}) == [0, 1, 2, 3, 4, 5]
    for now in after:
        assert now.requested == 5
        assert now.rate == pytest.approx(now.finished / now.seconds)
    (compiling,) = next(now.preparing for now in after if now.preparing)
    assert compiling[:2] == (1, 2)
    assert not compiling.kept
    assert compiling.expected == pytest.approx(LONE * watched.plans[0].buckets[0].compile_seconds)
    assert next(now.left for now in after if now.left is not None) == pytest.approx(
        watched.plans[0].predicted_seconds, rel=0.01
    )
    assert last.left == 0
    assert last.diverged == 1
    assert (last.preparing, last.training) == ((), 0)


# --- usage -------------------------------------------------------------------------------------------------------


def test_time_in_which_several_workers_train_counts_once() -> None:
    usage = Usage()
    for interval in ((1.0, 3.0), (0.0, 2.0), (5.0, 9.0), (6.0, 7.0), (9.0, 9.5)):  # 0 to 3, and 5 to 9.5
        usage.trained(interval)
    assert usage.seconds() == (7.5, 0.0)


def test_compiling_counts_where_nobody_trains() -> None:
    usage = Usage()
    usage.compiled("one", (0.0, 4.0))
    usage.compiled("another", (2.0, 6.0))
    usage.compiled("one", None)  # which is there already
    usage.trained((4.0, 5.0))
    usage.trained((7.0, 8.0))
    assert usage.seconds() == (2.0, 5.0)  # compiling alone from 0 to 4 and from 5 to 6
    assert usage.programs == {"one", "another"}


def test_occupancy_of_lanes_ended_or_not() -> None:
    usage = Usage()
    assert usage.occupancy == 0
    usage.trained((0.0, 1.0), lane_steps=30, useful=20)
    usage.trained((1.0, 2.0), lane_steps=10, useful=5)
    assert usage.occupancy == 25 / 40


def test_the_largest_tile_is_remembered() -> None:
    usage = Usage()
    for size in (3, 7, 5):
        usage.needs(size)
    assert usage.tile_bytes == 7

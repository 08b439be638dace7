"""Lanes that a scheduler stops, lets go on and copies: bit by bit what they are without it."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from compilations import watched
from numpy.typing import NDArray
from parity import SEED

from jaxsweep.data import Dataset, Prepared, prepare
from jaxsweep.engine.costs import Costs
from jaxsweep.engine.director import Director
from jaxsweep.engine.engine import Engine
from jaxsweep.engine.outcome import LaneResult, Parked
from jaxsweep.engine.planner import Plan, make_plan
from jaxsweep.schedulers import SCHEDULERS, Go, Scheduler, Stop, make
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import Config, resolve
from jaxsweep.spec.space import Choice, LogUniform, Space, Uniform
from jaxsweep.streams import generator

COUNT, EPOCHS, REPLICATES = 27, 9, 2
SPACE = Space(
    learning_rate=LogUniform(1e-3, 3e-1), dropout=Uniform(0, 0.5), optimizer=Choice(["adam", "sgd"]),
    activation=Choice(["relu", "tanh"]), schedule=Choice(["constant", "cosine"]), patience=Choice([0, 2]),
    epochs=EPOCHS, batch_size=15, width=7, depth=1,
)  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {
    "asha": {"slots": 5}, "median": {"grace": 2, "every": 2, "least": 3, "slots": 6}, "pbt": {"every": 2, "cut": 0.3},
}  # fmt: skip
Lanes = dict[tuple[int, int, int], LaneResult]


class Bench:
    """An engine on two folds, a plan, and its lanes without a scheduler."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(90, 5))
        y = (x[:, 0] + x[:, 1] ** 2 + rng.normal(size=90) * 0.3 > 0.5).astype(int)
        self.data: Prepared = prepare(Dataset.from_arrays(x, y), split=(0.8, 0.0, 0.2), folds=2)
        what = scope.of_space(SPACE, resolve({}, "classification", 36))
        self.configs = [resolve(each, "classification", 36) for each in SPACE.sample(generator(2, "lanes"), COUNT)]
        self.configs[5]["learning_rate"] = self.configs[6]["learning_rate"] = 1e30  # they diverge at once
        self.engine = Engine(self.data, what, "val_loss", SEED, keep_best=True, workers=2)
        self.plan: Plan = make_plan(self.configs, self.engine.supply.sizes, 2 * REPLICATES, Costs(workers=4), tile=8)
        self.plain = self.run()

    def run(self, scheduler: Scheduler | None = None, workers: int = 2) -> Lanes:
        """Return all lanes by trial, replicate and fold, with their weights."""
        configs: list[Config] = list(self.configs)
        director = None if scheduler is None else self.director(scheduler, configs)
        self.engine.workers = workers
        lanes = list(
            self.engine.run(
                self.plan, configs, range(COUNT), REPLICATES, wanted=lambda lanes: [True] * len(lanes),
                director=director,
            )
        )  # fmt: skip
        assert len(lanes) == COUNT * REPLICATES * 2
        return {(lane.job.trial, lane.job.replicate, lane.job.fold): lane for lane in lanes}

    def director(self, scheduler: Scheduler, configs: list[Config]) -> Director:
        return Director(scheduler, merits, configs)


def merits(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.fmax.accumulate(-curves[:, 1])


def scheduler(name: str) -> Scheduler:
    return make(name, seed=1, space=SPACE, **OPTIONS.get(name, {}))


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


def equal_weights(one: LaneResult, other: LaneResult) -> bool:
    assert one.weights is not None
    assert other.weights is not None
    return all(
        array.tobytes() == other.weights[part][layer][key].tobytes()
        for part in (0, 1)
        for layer, arrays in one.weights[part].items()
        for key, array in arrays.items()
    )


@pytest.mark.parametrize("name", SCHEDULERS)
def test_each_epoch_is_that_of_an_unscheduled_lane_bit_by_bit(bench: Bench, name: str) -> None:
    """Over folds and replicates, with patience, the best weights, and two trials that diverge."""
    lanes = bench.run(scheduler(name))
    statuses = {lane.status for lane in bench.plain.values()}
    assert statuses == {"completed", "stopped", "diverged"}
    whole = stopped = 0
    for identity, lane in lanes.items():
        first = lane.lineage[0].trial if lane.lineage else lane.job.trial
        until = lane.lineage[1].epoch if lane.lineage else len(lane.curves)
        plain = bench.plain[first, lane.job.replicate, lane.job.fold]
        assert lane.curves[:until].tobytes() == plain.curves[:until].tobytes(), identity
        if lane.lineage:
            continue
        if len(lane.curves) == len(plain.curves) and lane.status == plain.status:
            whole += 1
            assert lane.steps == plain.steps
            if lane.status != "diverged":
                assert equal_weights(lane, plain)
                assert lane.test is not None
                assert plain.test is not None
                assert lane.test.tobytes() == plain.test.tobytes()
        else:
            stopped += 1
            assert lane.status == "stopped"
            assert lane.weights is not None
    assert whole
    assert stopped or name == "pbt"
    if name == "pbt":
        assert {lane.job.trial for lane in lanes.values() if lane.lineage} >= {5, 6}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_workers_change_no_bit_of_what_is_decided(bench: Bench, name: str) -> None:
    one = bench.run(scheduler(name), workers=1)
    for workers in (2, 4):
        other = bench.run(scheduler(name), workers=workers)
        assert {k: (v.status, v.steps, v.curves.tobytes(), v.lineage) for k, v in one.items()} == {
            k: (v.status, v.steps, v.curves.tobytes(), v.lineage) for k, v in other.items()
        }


def test_a_scheduler_needs_no_program_of_its_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one after another, nor those of a sweep without one."""
    seconds = watched(monkeypatch)
    for name in ("asha", "pbt"):
        bench.run(scheduler(name))
    assert seconds
    assert not any(seconds)


def test_what_is_stopped_leaves_nothing_behind(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the director nor in what it hands over, long before the sweep ends."""
    states: list[weakref.ref[Any]] = []
    left: list[int] = []
    original = Director.take

    def watched(self: Director, ended: Any, paused: Any) -> Any:
        left.append(sum(state() is not None for state in states))
        settled = original(self, ended, paused)
        states.extend(weakref.ref(each.parked) for each in settled if each.parked is not None)
        return settled

    monkeypatch.setattr(Director, "take", watched)
    lanes = bench.run(scheduler("asha"), workers=1)
    assert len(states) > 40
    assert max(left) <= 8  # those of the call before, which is still on the stack
    assert not [each for each in gc.get_objects() if isinstance(each, Parked)]
    assert all(lane.job.parked is None for lane in lanes.values())


class Half(Scheduler):
    """Stops the odd trials after 3 epochs, and never says what becomes of the others after 5."""

    description = "stops some trials, forgets others"

    def begin(self, entrants: Any) -> Any:
        return [Go(each.trial, 3) for each in entrants]

    def report(self, reports: Any) -> Any:
        at = {report.trial: len(report.merits) for report in reports if not report.ended}
        orders = {trial: Stop(trial) if trial % 2 else Go(trial, 5) for trial, epochs in at.items() if epochs < 5}
        return list(orders.values())

    def expected(self, entrants: Any) -> float:
        return 1.0

    def first_look(self, entrant: Any) -> int:
        return 3


def test_trials_that_a_scheduler_forgets_are_stopped_in_the_end(bench: Bench) -> None:
    lanes = bench.run(Half())
    for (trial, _, _), lane in lanes.items():
        plain = bench.plain[trial, lane.job.replicate, lane.job.fold]
        assert lane.epochs == min(plain.epochs, 3 if trial % 2 else 5) or trial in (5, 6)
        assert lane.status == (plain.status if lane.epochs == plain.epochs < EPOCHS else "stopped")


def test_an_error_of_a_scheduler_reaches_the_caller(bench: Bench) -> None:
    class Broken(Half):
        def report(self, reports: Any) -> Any:
            raise ZeroDivisionError("no such rung")

    with pytest.raises(ZeroDivisionError, match="no such rung"):
        bench.run(Broken())
    bench.run(Half())  # and the engine goes on

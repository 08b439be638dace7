"""Whose weights are fetched from the device, and whose are kept."""

import functools
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import jaxsweep as js
from jaxsweep.engine.outcome import Job, LaneResult
from jaxsweep.engine.planner import make_plan
from jaxsweep.engine.tile import Tile
from jaxsweep.records.keeper import Keeper
from jaxsweep.records.trials import Columns, Trial
from jaxsweep.spec.hyperparameters import resolve

WEIGHTS: Any = ({}, {})
NO_DATA: Any = None


def values(number: int) -> tuple[Any, ...]:
    """Return a config as a trial holds it, its depth the trial's number."""
    return tuple({**resolve({}, "classification", 100), "depth": number}.values())


class NoModel:
    """Takes the place of a network: the depth of its config, which is the trial's number here."""

    @staticmethod
    def of(data: None, config: dict[str, int], params: Any, stats: Any, split: int = 0) -> int:
        assert (params, stats) == WEIGHTS
        return config["depth"] + 1000 * split


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxsweep.records.keeper.Model", NoModel)


def columns(objective: str) -> Columns:
    return Columns.of("classification", 3, objective, False)


def ended(trial: int, score: float, objective: str = "val_accuracy", status: str = "completed", **job: int) -> Any:
    """Return a lane whose objective was `score` after its last epoch, and 0.5 after the one before."""
    names = columns(objective).curves
    curves = np.zeros((2, len(names)))
    curves[:, names.index(objective)] = 0.5, score
    where = Job(trial, trial, job.get("replicate", 0), job.get("fold", 0))
    return LaneResult(where, status, 10, curves, None, 0.0)


class Run:
    """A keeper, as a sweep of trials with one lane uses it."""

    def __init__(self, keep: int, objective: str = "val_accuracy", keep_best: bool = False) -> None:
        self.keeper = Keeper(keep, NO_DATA, columns(objective), keep_best, lanes_each=1, store=None)
        self.objective, self.keep_best = objective, keep_best

    def ends(self, number: int, score: float, status: str = "completed") -> bool:
        """Return whether the weights of this trial are fetched; if they are, the trial is settled."""
        lane = ended(number, score, self.objective, status)
        (fetched,) = self.keeper.wanted([lane])
        lane.weights = WEIGHTS if fetched else None
        counts = max(0.5, score) if self.keep_best else score
        trial = Trial(number, status, counts if status == "completed" else None, 0.0, 2, 0.0, {}, values(number))
        self.keeper.settle(trial, [lane])
        assert lane.weights is None  # nobody else holds them
        return fetched


# --- which lanes are wanted --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_model")
def test_only_lanes_among_the_best_so_far_are_fetched() -> None:
    run = Run(keep=2)
    assert [run.ends(number, score) for number, score in enumerate((0.6, 0.4, 0.3, 0.5, 0.4, 0.9))] == [
        True, True,  # there are two places
        False, True,  # in place of 0.4
        False, True,  # in place of 0.5
    ]  # fmt: skip
    models: dict[int, Any] = run.keeper.models  # those of NoModel
    assert models == {0: 0, 5: 5}


@pytest.mark.usefixtures("no_model")
def test_of_two_equals_the_earlier_trial_is_kept() -> None:
    run = Run(keep=1)
    assert run.ends(5, 0.7)
    assert not run.ends(6, 0.7)
    assert run.ends(4, 0.7)  # lanes end in any order
    assert set(run.keeper.models) == {4}


@pytest.mark.usefixtures("no_model")
def test_smaller_is_better_where_the_objective_is_a_loss() -> None:
    run = Run(keep=1, objective="val_loss")
    assert [run.ends(number, score) for number, score in enumerate((0.6, 0.8, 0.2))] == [True, False, True]


@pytest.mark.usefixtures("no_model")
def test_the_best_epoch_counts_if_its_weights_are_kept() -> None:
    last, best = Run(keep=1), Run(keep=1, keep_best=True)
    for run in (last, best):
        run.ends(0, 0.48)  # 0.5 in its best epoch
    assert last.ends(1, 0.49)
    assert not best.ends(1, 0.49)  # it is 0.5 as well


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_lanes_without_a_score_are_not_fetched(status: str) -> None:
    run = Run(keep=3)
    assert not run.ends(0, 0.9, status)
    assert run.keeper.models == {}


@pytest.mark.usefixtures("no_model")
def test_nothing_is_fetched_if_nothing_is_kept() -> None:
    assert not Run(keep=0).ends(0, 0.9)


@pytest.mark.usefixtures("no_model")
def test_of_a_trial_with_several_lanes_the_first_is_fetched() -> None:
    """As long as others are yet to end, any trial may still be among the best."""
    keeper = Keeper(1, NO_DATA, columns("val_accuracy"), False, lanes_each=4, store=None)
    lanes = [(trial, replicate, fold) for trial in (0, 1) for replicate in (0, 1) for fold in (0, 1)]
    wanted = [
        (trial, replicate, fold)
        for trial, replicate, fold in lanes
        if keeper.wanted([ended(trial, 0.9 - 0.1 * trial, replicate=replicate, fold=fold)]) == [True]
    ]
    assert wanted == [(0, 0, 0), (1, 0, 0)]


@pytest.mark.usefixtures("no_model")
def test_of_lanes_that_end_together_the_best_alone_are_fetched() -> None:
    keeper = Keeper(2, NO_DATA, columns("val_accuracy"), False, lanes_each=1, store=None)
    scores = (0.3, 0.9, 0.2, 0.9, 0.8, 0.9)
    assert keeper.wanted([ended(*each) for each in enumerate(scores)]) == [False, True, False, True, False, False]
    folds = Keeper(1, NO_DATA, columns("val_accuracy"), False, lanes_each=2, store=None)
    pairs = [ended(trial, score, fold=fold) for trial, score in enumerate((0.3, 0.9)) for fold in (1, 0)]
    assert folds.wanted(pairs) == [False, False, False, True]


@pytest.mark.usefixtures("no_model")
def test_of_several_lanes_the_first_is_fetched_if_the_trial_is_among_the_best_once_all_have_ended() -> None:
    keeper = Keeper(1, NO_DATA, columns("val_accuracy"), False, lanes_each=2, store=None)
    for number, scores, fetched in ((0, (0.8, 0.6), True), (1, (0.9, 0.4), False), (2, (0.7, 0.8), True)):
        second, first = ended(number, scores[1], fold=1), ended(number, scores[0])
        assert keeper.wanted([second]) == [False]
        assert keeper.wanted([first]) == [fetched]
        first.weights = WEIGHTS if fetched else None
        mean = sum(scores) / 2
        keeper.settle(Trial(number, "completed", mean, 0.0, 2, 0.0, {}, values(number)), [first, second])
    failed = ended(3, 0.9, status="diverged", fold=1)
    assert keeper.wanted([failed, ended(3, 0.9)]) == [False, False]


# --- what is fetched ---------------------------------------------------------------------------------------------


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Lanes whose weights are fetched from the device, in a sweep with one worker and two slots."""
    jobs: list[Job] = []
    weights = Tile._weights

    def watched(tile: Tile, slots: Sequence[int]) -> Any:
        jobs.extend(job for slot in slots if (job := tile.jobs[slot]) is not None)
        return weights(tile, slots)

    monkeypatch.setattr(Tile, "_weights", watched)
    monkeypatch.setattr("jaxsweep.planning.make_plan", functools.partial(make_plan, tile=2))
    monkeypatch.setattr("jaxsweep.engine.engine.default_workers", lambda: 1)
    return jobs


def _trained(rates: list[float], **how: Any) -> js.Result:
    x = np.random.default_rng(0).normal(size=(100, 3))
    configs = [{"depth": 0, "batch_size": 10, "epochs": 5, "learning_rate": rate} for rate in rates]
    data = js.Dataset.from_arrays(x, np.digitize(x[:, 0], [-0.5, 0.5]))
    return js.sweep(data, configs=configs, objective="val_loss", split=(0.6, 0.4, 0.0), progress=False, **how)


def test_a_sweep_fetches_the_weights_of_the_best_alone(fetched: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    settled, change = 0, threading.Condition()
    settle, wanted, asked = Keeper.settle, Keeper.wanted, 0

    def settles(*arguments: Any) -> Any:
        nonlocal settled
        decided = settle(*arguments)
        with change:
            settled += 1
            change.notify()
        return decided

    def after_those_before(keeper: Keeper, lanes: Sequence[LaneResult]) -> list[bool]:
        """Decide on lanes once the trials of all lanes before them are settled: a worker may be ahead of the sweep."""
        nonlocal asked
        with change:
            assert change.wait_for(lambda: settled == asked, timeout=60)
        asked += len(lanes)
        return wanted(keeper, lanes)

    monkeypatch.setattr(Keeper, "settle", settles)
    monkeypatch.setattr(Keeper, "wanted", after_those_before)
    result = _trained([0.1, *[1e-9] * 5], keep=1)  # the first one learns something, the others nothing
    assert result.best.id == 0
    assert [job.trial for job in fetched] == [0]
    assert set(result.models) == {0}


def test_a_sweep_that_keeps_nothing_fetches_nothing(fetched: list[Job]) -> None:
    result = _trained([0.1, 0.01, 0.001], keep=0)
    assert [trial.status for trial in result.trials] == ["completed"] * 3
    assert fetched == []
    assert result.models == {}


def test_of_replicates_the_weights_of_the_first_are_fetched(fetched: list[Job]) -> None:
    result = _trained([0.1, 0.01, 0.001], keep=2, replicates=3)
    assert sorted((job.trial, job.replicate) for job in fetched) == [(0, 0), (1, 0), (2, 0)]
    ranked = sorted(result.trials, key=lambda trial: trial.score or 0.0)
    assert set(result.models) == {trial.id for trial in ranked[:2]}


@pytest.mark.usefixtures("no_model")
def test_all_lanes_of_the_best_are_kept_if_that_is_asked_for() -> None:
    keeper = Keeper(1, NO_DATA, columns("val_accuracy"), False, lanes_each=4, store=None, every=True)
    places = [(1, 1), (0, 0), (0, 1), (1, 0)]  # in which they end
    for number, score, last in ((0, 0.8, True), (1, 0.6, False), (2, 0.9, True)):
        lanes = [ended(number, score, replicate=replicate, fold=fold) for replicate, fold in places]
        wanted = keeper.wanted(lanes[:3]) + keeper.wanted(lanes[3:])
        assert wanted == [True, True, True, last]  # before the last one anything may be
        for lane, fetched in zip(lanes, wanted, strict=True):
            lane.weights = WEIGHTS if fetched else None
        keeper.settle(Trial(number, "completed", score, 0.0, 2, 0.0, {}, values(number)), lanes)
        assert all(lane.weights is None for lane in lanes)
    models: tuple[Any, Any] = keeper.models, keeper.others
    assert models == ({2: 2}, {2: {(1, 1): 1002, (0, 1): 1002, (1, 0): 2}})

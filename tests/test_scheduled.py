"""Sweeps under a scheduler or a time limit: the table, the record, the networks, and what is refused or remarked."""

import itertools
import json
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from compilations import watched

import jaxsweep as js
from jaxsweep import loop, recording
from jaxsweep.engine import director, tile
from jaxsweep.engine import engine as engines
from jaxsweep.engine.costs import Costs
from jaxsweep.loop import execute
from jaxsweep.records import stored
from jaxsweep.records.front import front_told
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.schedulers import SCHEDULERS
from jaxsweep.spec.request import Request

pytestmark = pytest.mark.usefixtures("one_tile")

SPACE = js.Space(
    learning_rate=js.LogUniform(1e-3, 1e-1), optimizer=js.Choice(["adam", "sgd"]), epochs=9, depth=1, width=8,
    batch_size=30,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(iris: js.Dataset, tmp_path_factory: pytest.TempPathFactory) -> js.Result:
    out = tmp_path_factory.mktemp("runs") / "asha"
    return js.sweep(
        iris, SPACE, trials=40, objective="val_loss", scheduler="asha", eta=3, slots=8, keep=40, out=out, progress=False
    )


def swept(iris: js.Dataset, name: str | None, **how: Any) -> js.Result:
    given: dict[str, Any] = {"trials": 40, "keep": 0, **how}
    return js.sweep(iris, SPACE, objective="val_loss", scheduler=name, progress=False, **given)


# --- what a sweep under a scheduler leaves -------------------------------------------------------------------------


def test_the_table_has_all_trials_and_says_how_far_each_came(run: js.Result) -> None:
    frame = run.to_pandas()
    assert frame["trial"].tolist() == list(range(40))
    assert set(frame["epochs_done"]) == {1, 3, 9}
    assert (frame["status"] == np.where(frame["epochs_done"] == 9, "completed", "stopped")).all()
    assert run.best.epochs_done == 9
    assert run.summary()["iterations"] == sum(trial.epochs_done for trial in run.trials) * 3


def test_the_record_has_the_scheduler_and_its_options(run: js.Result) -> None:
    assert run.run is not None
    stored = js.load(run.run)
    assert stored.notes == run.notes
    assert stored.request.scheduler == "asha"
    assert stored.request.scheduler_options == {"eta": 3, "slots": 8}
    assert stored.to_pandas().equals(run.to_pandas())
    text = (run.run / "sweep.toml").read_text()
    assert 'scheduler = "asha"' in text
    assert "[scheduler]\neta = 3\nslots = 8\n" in text


def test_kept_networks_of_stopped_trials_are_those_of_training_again(run: js.Result, iris: js.Dataset) -> None:
    assert run.run is not None
    assert len(run.models) == 40
    stored = js.load(run.run)
    again = swept(iris, "asha", slots=8)
    assert not again.models
    for epochs in (1, 3):
        number = next(trial.id for trial in run.trials if trial.epochs_done == epochs)
        kept, loaded, trained = run.model(number), stored.model(number), again.model(number)
        x = run.data.x[0]
        np.testing.assert_array_equal(kept.predicted(x)[1], loaded.predicted(x)[1])
        np.testing.assert_allclose(trained.predicted(x)[1], kept.predicted(x)[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_same_seed_gives_the_same_table_with_any_number_of_workers(
    iris: js.Dataset, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = []
    for workers in (1, 2, 4):
        monkeypatch.setattr(engines, "default_workers", lambda workers=workers: workers)
        result = swept(iris, name, search="random", folds=2, keep=3)
        tables.append(result.to_pandas())
        assert sorted(result.models) == sorted(trial.id for trial in result.top(3))
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


@pytest.mark.parametrize("name", SCHEDULERS)
def test_trials_too_large_for_a_constraint_are_worth_nothing_to_a_scheduler(iris: js.Dataset, name: str) -> None:
    """They are known before they train, so that nobody's epochs are spent on what could never be the best."""
    space = js.Space(**{**SPACE.entries, "width": js.Choice([4, 32])})  # 39 and 259 parameters
    found = js.sweep(
        iris, space, trials=60, objective="val_loss", scheduler=name, keep=0, progress=False,
        constraints=["parameters <= 100", "val_loss <= 9"],
    )  # fmt: skip
    barred = [trial for trial in found.trials if not trial.feasible]
    assert found.best.epochs_done == 9
    if name == "pbt":  # copies of the others take their places
        assert len(barred) < 25
        assert not any(trial.lineage for trial in barred)
    else:
        assert len(barred) > 20
        assert {(trial.epochs_done, trial.status, trial.broken) for trial in barred} == {
            (1, "stopped", ("parameters <= 100",))
        }


def test_a_searcher_that_learns_is_told_batch_after_batch(iris: js.Dataset) -> None:
    one, other = (swept(iris, "asha", search="evolution", population=20, trials=60) for _ in range(2))
    assert one.to_pandas().equals(other.to_pandas())
    assert len(one.trials) == 60


def test_a_second_scheduled_sweep_compiles_nothing(
    iris: js.Dataset, run: js.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = watched(monkeypatch)
    js.sweep(iris, SPACE, trials=40, objective="val_loss", scheduler="asha", slots=8, seed=5, keep=40, progress=False)
    assert seconds
    assert not any(seconds)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_plan_has_the_memory_of_lanes_that_stand_still(
    iris: js.Dataset, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    peak, original = 0, director.Director.take

    def take(self: director.Director, *arguments: Any) -> Any:
        nonlocal peak
        settled = original(self, *arguments)
        with self.changed:
            rows = [lane.state for standing in self.trials.values() for lane in standing.parked.values()]
        parked = [row.tree() for row in rows if row is not None]
        peak = max(peak, sum(leaf.nbytes for leaf in jax.tree.leaves(parked)))
        return settled

    monkeypatch.setattr(director.Director, "take", take)
    swept(iris, name, folds=2)
    planned = js.plan(iris, SPACE, trials=40, scheduler=name, folds=2, keep=0)
    # While halving and pbt wait for the last one, all but those of the last tiles; else some train on, or are stopped.
    assert (0.8 if name in ("halving", "pbt") else 0.2) < peak / planned.parked_bytes < 1.05
    assert js.plan(iris, SPACE, trials=40, folds=2).parked_bytes == 0


def test_a_plan_says_if_lanes_that_stand_still_may_not_fit(iris: js.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    how: dict[str, Any] = {"trials": 40, "scheduler": "halving"}
    memory = float("inf")
    monkeypatch.setattr("jaxsweep.planning.device_costs", lambda measure: Costs(memory=memory))
    enough = js.plan(iris, SPACE, **how)
    assert enough.notes == ()
    memory = enough.predicted_bytes - 1.0
    (note,) = js.plan(iris, SPACE, **how).notes
    assert note.startswith("lanes that stand still may take ")


def test_pbt_records_what_each_network_was_a_copy_of(iris: js.Dataset, tmp_path: Path) -> None:
    result = swept(iris, "pbt", every=1, keep=40, out=tmp_path / "run")
    stored = js.load(tmp_path / "run")
    copies = [trial for trial in result.trials if trial.lineage]
    assert len(copies) > 10
    assert [trial.lineage for trial in stored.trials] == [trial.lineage for trial in result.trials]
    for trial in copies:
        assert trial.lineage[-1].config == trial.config
        assert trial.lineage[-1].trial == trial.id
        assert trial.lineage[0].epoch == 0
    assert stored.best == result.best
    network, x = min(copies, key=lambda trial: len(trial.lineage)), result.data.x[0]  # each part is trained again
    again = swept(iris, "pbt", every=1).model(network.id)
    np.testing.assert_allclose(again.predicted(x)[1], result.model(network.id).predicted(x)[1], rtol=1e-3, atol=1e-5)
    assert result.model(network.id).retrain().config == {**network.config, "patience": 0}
    alone = js.solo(iris, network, seed=result.request.seed)
    row = [trial.id for trial in result.trials].index(network.id)
    np.testing.assert_allclose(alone.curves["val_loss"], result.curves("val_loss")[row], rtol=1e-3, atol=1e-5)
    with pytest.raises(js.RequestError, match=rf"trial = 99 is not the id of the given trial, {network.id}"):
        js.solo(iris, network, trial=99)
    told = result.to_pandas().set_index("trial").loc[network.id, "lineage"]
    assert told == ", ".join(f"{part.epoch}: {part.trial}" for part in network.lineage)
    assert f"{len(copies)} trials went on from others' weights" in front_told(result.trials, result.aims)


class _Interrupts(Progress):
    """A listener that interrupts like Ctrl-C, once, when some trials have finished."""

    def __init__(self, after: int) -> None:
        self.after = after

    def update(self, snapshot: Snapshot) -> None:
        if snapshot.finished >= self.after and not snapshot.interrupted:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["asha", "median"])
def test_an_interrupt_keeps_what_has_finished_and_ends(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(recording, "FLUSH_SECONDS", 0.0)  # each is shown by itself, however fast all 500 would be
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.0)
    request = Request(space=SPACE, trials=500, objective="val_loss", scheduler=name, keep=2)
    result = execute(iris, request, tmp_path / "run", _Interrupts(10))
    assert result.status == "interrupted"
    assert len(result.trials) == 10
    assert [trial.id for trial in stored.load(tmp_path / "run").trials] == [trial.id for trial in result.trials]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jaxsweep-")]


# --- what makes no sense together ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"scheduler": "ahsa"}, "unknown scheduler 'ahsa'; did you mean 'asha'"),
        ({"scheduler": 3}, "scheduler = 3 is not legal: it must be a name, such as 'asha'"),
        ({"scheduler": "asha", "eta": 1}, "eta = 1 is not legal: it must be an integer >= 2"),
        ({"scheduler": "asha", "grace": 1}, "no keyword 'grace' for scheduler = 'asha'; it is an option of median"),
        ({"eta": 3}, "no keyword 'eta' for scheduler = None; it is an option of halving, hyperband, asha"),
        ({"scheduler": "pbt", "search": "evolution"}, "would learn from scores of configs that it never proposed"),
        ({"scheduler": "pbt", "confirm": 3}, "confirm = 3 does not go with scheduler = 'pbt'"),
    ],
)
def test_what_does_not_fit_is_refused(iris: js.Dataset, how: dict[str, Any], said: str) -> None:
    with pytest.raises(js.RequestError, match=said):
        js.plan(iris, SPACE, trials=4, **how)


def test_pbt_needs_something_to_change(iris: js.Dataset) -> None:
    with pytest.raises(js.RequestError, match="pbt needs a space: it changes hyperparameters within their ranges"):
        js.plan(iris, configs=[{"depth": 1}], scheduler="pbt")
    with pytest.raises(js.RequestError, match="pbt has nothing to change in depth, epochs: the space must have"):
        js.plan(iris, js.Space(depth=js.Int(1, 2), epochs=5), scheduler="pbt")


@pytest.mark.parametrize(
    ("name", "options", "epochs", "note"),
    [
        ("halving", {}, 1, "it looks at no trial before its end, and none has more than 1 epoch"),
        ("asha", {"first": 20}, 9, "before its end, and none has more than 9 epochs"),
        ("hyperband", {"first": 100, "unit": "iterations"}, js.Int(2, 5), "none has more than 5 epochs"),
        ("median", {"grace": 9}, 9, "scheduler = 'median' has no effect: it looks at no trial before its end"),
        ("pbt", {"every": 50}, js.Int(2, 50), "none has more than 50 epochs"),
        ("halving", {}, js.Int(1, 2), None),
        ("asha", {"first": 8}, 9, None),
        ("hyperband", {"first": 8, "unit": "iterations"}, 9, None),
    ],
)
def test_a_scheduler_that_has_no_effect_is_remarked(
    iris: js.Dataset, name: str, options: dict[str, Any], epochs: Any, note: str | None
) -> None:
    space = js.Space(learning_rate=js.LogUniform(1e-3, 1e-1), epochs=epochs, batch_size=30)
    notes = [each for each in js.plan(iris, space, trials=3, scheduler=name, **options).notes if "no effect" in each]
    assert len(notes) == (note is not None)
    assert note is None or note in notes[0]


# --- a time limit --------------------------------------------------------------------------------------------------


class _Clock:
    """A clock that runs as time does, and is an hour ahead once so many calls of programs have been made.

    Each call is for an epoch: how far lanes are at the last one does not depend on how fast the machine is.
    """

    def __init__(self, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = calls
        self.real = time.perf_counter
        original = tile.Tile._advance

        def advance(tiles: tile.Tile) -> Any:
            self.left -= 1
            return original(tiles)

        monkeypatch.setattr(tile, "CALL_SECONDS", 0.0)
        monkeypatch.setattr(tile.Tile, "_advance", advance)
        monkeypatch.setattr(time, "perf_counter", self.now)

    def now(self) -> float:
        return float(self.real() + (3600 if self.left <= 0 else 0))


class _Notes(Progress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def message(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize("name", [None, "asha", "pbt", "median"])
def test_a_time_limit_keeps_what_finished_and_stops_what_runs(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    _Clock(12, monkeypatch)
    listener = _Notes()
    request = Request(
        space=SPACE, trials=5000, objective="val_loss", scheduler=name, minutes=30, keep=3, replicates=2
    )  # fmt: skip
    result = execute(iris, request, tmp_path / "run", listener)
    assert result.status == "completed"
    assert 0 < len(result.trials) < 5000
    assert {trial.status for trial in result.trials} <= {"completed", "stopped"}
    assert all(1 <= trial.epochs_done <= 9 for trial in result.trials)
    (note,) = [each for each in listener.notes if "time limit" in each]
    assert note.startswith(f"time limit of 30 minutes: {len(result.trials):,} of 5,000 trials")
    assert result.summary()["time_limit_reached"] is True
    stored = js.load(tmp_path / "run")
    assert stored.notes == result.notes == tuple(listener.notes)
    assert stored.request.minutes == 30
    assert stored.summary()["time_limit_reached"] is True
    assert stored.to_pandas().equals(result.to_pandas())
    x, best = result.data.x[0], result.best
    np.testing.assert_array_equal(stored.model().predicted(x)[1], result.model().predicted(x)[1])
    assert set(result.models) == {trial.id for trial in result.top(3)}
    assert best.id == stored.best.id


def test_what_a_limit_stopped_is_trained_again_as_far_as_each_lane_came(
    iris: js.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _Clock(3, patch)
        result = swept(iris, None, minutes=30, replicates=2, keep=40)
    stopped = [trial for trial in result.trials if trial.status == "stopped"]
    assert stopped
    x = result.data.x[0]
    kept = result.model(stopped[0].id)
    del result.models[stopped[0].id]  # type: ignore[attr-defined]
    np.testing.assert_allclose(result.model(stopped[0].id).predicted(x)[1], kept.predicted(x)[1], rtol=1e-3, atol=1e-5)


def test_a_limit_that_is_over_at_once_leaves_nothing_and_says_so(iris: js.Dataset, tmp_path: Path) -> None:
    result = js.sweep(iris, SPACE, trials=4, minutes=1e-9, out=tmp_path / "run", progress=False)
    assert (result.status, result.trials) == ("failed", [])
    for one in (result, js.load(tmp_path / "run")):
        with pytest.raises(
            js.SweepFailed, match="the time limit of 1e-09 minutes ended the search before any of its 4"
        ):
            _ = one.best


def test_a_limit_that_is_not_reached_changes_nothing(iris: js.Dataset) -> None:
    with_limit, without = (swept(iris, "asha", minutes=minutes) for minutes in (1000, None))
    assert with_limit.to_pandas().equals(without.to_pandas())
    assert with_limit.summary()["time_limit_reached"] is False


def test_a_limit_may_pass_before_a_lane_that_stood_still_goes_on(
    iris: js.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the epochs that it had: no call has trained it since."""
    ended = 0

    def run(self: tile.Tile, wanted: Any, done: Any) -> None:
        nonlocal ended
        while self.group.jobs:
            self._fill()
            if any(before is not None for before in self.before):
                ended += 1
                self._give_up(deque(), wanted, done)
            while self.entries.any():
                self._collect(self._advance(), wanted, done)

    plain = swept(iris, "halving")
    monkeypatch.setattr(tile.Tile, "run", run)
    result = swept(iris, "halving")
    assert ended
    assert len(result.trials) == 40
    curves, whole = (each.curves("val_loss") for each in (result, plain))
    for mine, theirs in zip(result.trials, plain.trials, strict=True):
        epochs = min(mine.epochs_done, theirs.epochs_done)
        assert epochs >= 1
        np.testing.assert_array_equal(curves[mine.id, :epochs], whole[mine.id, :epochs])


def test_under_a_limit_trials_begin_in_waves_of_all_kinds(iris: js.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else those of one optimizer, whose lanes share tiles, would have the time to themselves."""
    plain = swept(iris, None)
    waves: list[list[int]] = []
    run = engines.Engine.run

    def watched_run(self: engines.Engine, plan: Any, configs: Any, trials: Any, *rest: Any, **how: Any) -> Any:
        waves.append(list(trials))
        return run(self, plan, configs, trials, *rest, **how)

    monkeypatch.setattr("jaxsweep.loop.WAVE", 4)
    monkeypatch.setattr(engines.Engine, "run", watched_run)
    result = swept(iris, None, minutes=1000)
    assert list(map(len, waves)) == [4, 8, 16, 12]
    assert list(itertools.chain(*waves)) == list(range(40))
    assert result.to_pandas().equals(plain.to_pandas())
    assert result.summary()["programs"] == plain.summary()["programs"]
    listed = [{**trial.params, "epochs": 1, "depth": 1, "width": 8, "batch_size": 30} for trial in plain.trials]
    waves.clear()
    assert js.sweep(iris, configs=listed, minutes=1000, progress=False).summary()["programs"] == 1
    assert len(waves) == 4


def test_copies_are_no_warm_start(iris: js.Dataset, tmp_path: Path) -> None:
    """Their scores are not those of the configs that they have."""
    run = swept(iris, "pbt", every=1, trials=12, out=tmp_path / "run")
    copies = sum(bool(trial.lineage) for trial in run.trials)
    assert copies
    notes = js.plan(iris, SPACE, trials=5, objective="val_loss", search="evolution", warm_start=tmp_path / "run").notes
    assert any(f"knows {12 - copies} of 12 trials" in note and note.endswith("of others, by pbt") for note in notes)


def test_what_is_confirmed_has_no_limit(iris: js.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is the search's: who is confirmed trains to the end."""
    _Clock(8, monkeypatch)
    result = swept(iris, "halving", trials=5000, minutes=30, confirm=2)
    assert result.summary()["time_limit_reached"]
    assert len(result.confirmed) == min(2, len(result.trials))
    assert all(len(each.scores) == 5 and None not in each.scores for each in result.confirmed)


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf"), "5", True])
def test_a_limit_that_is_none_is_refused(iris: js.Dataset, minutes: Any) -> None:
    with pytest.raises(js.RequestError, match="is not legal: it must be a number above 0"):
        js.plan(iris, SPACE, trials=3, minutes=minutes)


def test_the_summary_is_plain_json(run: js.Result) -> None:
    assert json.loads(json.dumps(run.summary()))["time_limit_reached"] is False
    assert list(itertools.islice(run.summary(), 3)) == ["run", "status", "objective"]

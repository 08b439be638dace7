"""Going on with a run: the table of one that nobody has stopped, what is refused, and who may write."""

import json
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from same import assert_same

import jaxsweep as js
from jaxsweep import loop
from jaxsweep.cli import main
from jaxsweep.engine import engine, tile
from jaxsweep.engine.outcome import Job, LaneResult
from jaxsweep.engine.population import Heard, Population
from jaxsweep.loop import execute
from jaxsweep.recording import Recording
from jaxsweep.records import checkpoints, rundir, stored
from jaxsweep.records.checkpoints import Checkpoints
from jaxsweep.records.lock import Lock
from jaxsweep.records.rundir import LOCK
from jaxsweep.records.store import Store
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.spec.request import Request

pytestmark = pytest.mark.usefixtures("one_tile")

FIXTURES = Path(__file__).parent / "fixtures"
SPACE = js.Space(
    learning_rate=js.LogUniform(1e-3, 1e-1), optimizer=js.Choice(["adam", "sgd"]), epochs=9, depth=1, width=8,
    batch_size=30,
)  # fmt: skip
TRIALS = 40


@pytest.fixture(autouse=True)
def short_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call is for an epoch, so that much is under way at an interrupt."""
    monkeypatch.setattr(tile, "CALL_SECONDS", 0.0)


def asked(**how: Any) -> Request:
    return Request(**{"space": SPACE, "trials": TRIALS, "objective": "val_loss", "keep": 3, **how})


def stopped(iris: js.Dataset, out: Path, lanes: int, how: dict[str, Any], again: bool = False) -> None:
    """Run a sweep, or go on with one, until it is interrupted as the loop takes a lane after so many new ones."""
    take, left = Recording.take, lanes

    def taken(self: Recording, lane: LaneResult, configs: Any) -> None:
        nonlocal left
        if not lane.recorded:
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
        take(self, lane, configs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recording, "take", taken)
        result = execute(iris, asked(**how), out, before=stored.load(out) if again else None)
    assert result.status == "interrupted"
    assert len(js.load(out).trials) == len(result.trials) < TRIALS


EVOLUTION: dict[str, Any] = {"search": "evolution", "options": {"population": 10}}
WAYS: dict[str, dict[str, Any]] = {
    "random": {},
    "evolution": EVOLUTION,
    "bayes": {"search": "bayes", "options": {"population": 10}},
    "gradient": {"search": "gradient", "options": {"starts": 10}},
    "replicates and folds": {"replicates": 2, "folds": 2},
    "asha": {"scheduler": "asha", "scheduler_options": {"slots": 8}},
    "halving": {"scheduler": "halving"},
    "hyperband": {"scheduler": "hyperband"},
    "median": {"scheduler": "median"},
    "pbt": {"scheduler": "pbt", "scheduler_options": {"every": 2}},
    "evolution and asha": {**EVOLUTION, "scheduler": "asha"},
    "patience and asha": {"scheduler": "asha", "space": js.Space(**{**SPACE.entries, "patience": js.Int(1, 3)})},
    "constraints": {"constraints": ["val_accuracy >= 0.9", "parameters <= 100"], "keep": 5},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_table_is_that_of_a_sweep_that_nobody_has_stopped(iris: js.Dataset, tmp_path: Path, way: str) -> None:
    plain, out = execute(iris, asked(**WAYS[way]), tmp_path / "plain"), tmp_path / "run"
    for number in range(3):
        stopped(iris, out, 30 if "folds" in way else 9, WAYS[way], number > 0)
    result = js.resume(out, data=iris, progress=False)
    assert_same(result, plain)
    assert_same(js.load(out), plain)
    assert sorted(each.name for each in (out / "models").iterdir()) == sorted(map(str, plain.models))
    assert not (out / LOCK).exists()


def test_who_is_interrupted_at_once_has_lost_nothing(iris: js.Dataset, tmp_path: Path) -> None:
    """Though the search has not come to the later batches again."""

    class AtOnce(Progress):
        def start(self, snapshot: Snapshot) -> None:
            raise KeyboardInterrupt

    out = tmp_path / "run"
    stopped(iris, out, 25, EVOLUTION)
    recorded = js.load(out).to_pandas()
    result = execute(iris, asked(**EVOLUTION), out, AtOnce(), before=stored.load(out))
    assert result.status == "interrupted"
    for one in (result, js.load(out)):
        pd.testing.assert_frame_equal(one.to_pandas(), recorded, check_exact=True)
    assert result.models.keys() == js.load(out).models.keys()
    assert_same(js.resume(out, data=iris, progress=False), execute(iris, asked(**EVOLUTION), tmp_path / "plain"))


def test_a_reader_leaves_nothing_behind(iris: js.Dataset, tmp_path: Path) -> None:
    """Of a run that has ended, nor needs to write beside it."""
    out = tmp_path / "run"
    execute(iris, asked(trials=3), out)
    files = sorted(each.name for each in out.iterdir())
    assert len(js.load(out).curves("val_loss")) == 3
    assert sorted(each.name for each in out.iterdir()) == files


UNEVEN = js.Space(**{**SPACE.entries, "epochs": js.Int(5, 15), "patience": js.Choice([0, 2])})
SCHEDULERS = ["asha", "halving", "hyperband", "median"]


def killed(iris: js.Dataset, out: Path, lanes: int, how: dict[str, Any], again: bool = False) -> None:
    """As `stopped`, but no worker saves its lanes as it ends: they stand where they were saved before, if they were."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tile.Tile, "_end_soon", lambda self, calls: False)
        stopped(iris, out, lanes, how, again)


def goes_on(result: js.Result) -> bool:
    return any("under way go on from their checkpoints" in note for note in result.numbers["notes"])


@pytest.mark.parametrize("way", ["random", "evolution", "replicates and folds", *SCHEDULERS])
@pytest.mark.parametrize("ends", [stopped, killed])
def test_lanes_go_on_from_where_they_were(
    iris: js.Dataset, tmp_path: Path, way: str, ends: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit by bit, whether they were saved as the sweep ended or before."""
    how = {**WAYS[way], "space": UNEVEN, "checkpoint_seconds": 1e-9, "keep": 100}
    plain, out = execute(iris, asked(**how), tmp_path / "plain"), tmp_path / "run"
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    for number in range(3):
        ends(iris, out, 20 if "folds" in way else 7, how, number > 0)
        assert (out / "checkpoints").is_dir()
    result = js.resume(out, data=iris, progress=False)
    assert_same(result, plain)
    assert_same(js.load(out), plain)
    assert goes_on(result)
    assert not (out / "checkpoints").exists()


LATE = js.Space(**{**SPACE.entries, "epochs": js.Int(11, 15)})  # nobody ends before five generations of two epochs
POPULATION: dict[str, Any] = {**WAYS["pbt"], "space": LATE, "checkpoint_seconds": 1e-9, "keep": 100}


def stopped_together(iris: js.Dataset, out: Path, count: int, how: dict[str, Any], again: bool = False) -> None:
    """Interrupt a sweep when its population was saved so often; its one worker waits for that each time."""
    note, write, left, there = Checkpoints.save_together, Checkpoints.write_together, count, threading.Event()

    def noted(self: Checkpoints, population: Population) -> None:
        assert not population.over
        there.clear()
        note(self, population)
        there.wait(10)

    def written(self: Checkpoints, recorded: set[int]) -> None:
        nonlocal left
        waited = self.waiting is not None
        write(self, recorded)
        left -= waited and self.waiting is None
        if left == 0:
            left = -1
            there.set()
            raise KeyboardInterrupt
        there.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save_together", noted)
        patch.setattr(Checkpoints, "write_together", written)
        patch.setattr(engine, "TICK_SECONDS", 1e-3)
        patch.setattr(engine, "default_workers", lambda: 1)
        result = execute(iris, asked(**how), out, before=stored.load(out) if again else None)
    assert result.status == "interrupted"


@pytest.mark.parametrize("more", [{}, {"replicates": 2, "folds": 2, "trials": 12}, {"keep_weights": "best"}])
def test_a_population_goes_on_from_its_last_generation(
    iris: js.Dataset, tmp_path: Path, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit by bit, with the lineages of its networks, however often it is stopped."""
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    how = {**POPULATION, **more}
    plain, out = execute(iris, asked(**how), tmp_path / "plain"), tmp_path / "run"
    assert any(trial.lineage for trial in plain.trials)
    for number in range(2):
        stopped_together(iris, out, 2, how, number > 0)
        assert len([*(out / "checkpoints").glob("*.population")]) == checkpoints.KEPT
    result = js.resume(out, data=iris, progress=False)
    assert_same(result, plain)
    assert_same(js.load(out), plain)
    assert [trial.lineage for trial in result.trials] == [trial.lineage for trial in plain.trials]
    assert goes_on(result)
    assert result.summary()["iterations"] < plain.summary()["iterations"]
    assert not (out / "checkpoints").exists()


def test_of_a_population_some_of_whose_trials_are_over_the_others_go_on(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    how = {**POPULATION, "space": UNEVEN}
    plain, out = execute(iris, asked(**how), tmp_path / "plain"), tmp_path / "run"
    for number in range(3):
        stopped(iris, out, 12, how, number > 0)
    assert_same(js.resume(out, data=iris, progress=False), plain)


@pytest.fixture(scope="module")
def population(iris: js.Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[js.Result, Path]:
    """What a population comes to, and a run directory in which it was stopped."""
    folder = tmp_path_factory.mktemp("population")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "SHARE", 0)
        stopped_together(iris, folder / "run", 3, POPULATION)
    return execute(iris, asked(**POPULATION), folder / "plain"), folder / "run"


def _broken(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("broken", ["the last", "lanes of the last", "all"])
def test_a_population_that_is_not_whole_is_said_and_an_earlier_one_goes_on(
    iris: js.Dataset, tmp_path: Path, population: tuple[js.Result, Path], broken: str
) -> None:
    plain, run = population[0], shutil.copytree(population[1], tmp_path / "run")
    files = sorted((run / "checkpoints").iterdir())
    told = [path for path in files if path.suffix == ".population"]
    for path in {"the last": told[-1:], "lanes of the last": [files[-2]], "all": told}[broken]:
        assert path.exists()
        _broken(path)
    result = js.resume(run, data=iris, progress=False)
    assert_same(result, plain)
    assert goes_on(result) == (broken != "all")
    said = [note for note in result.numbers["notes"] if "is broken (its checksum" in note]
    assert len(said) == (2 if broken == "all" else 1)


@pytest.mark.parametrize("what", ["program", "over"])
def test_a_population_of_another_version_or_beyond_what_is_recorded_trains_again(
    iris: js.Dataset, tmp_path: Path, population: tuple[js.Result, Path], what: str
) -> None:
    plain, run = population[0], shutil.copytree(population[1], tmp_path / "run")
    saver = Checkpoints(run, resumed=True)
    recorded = {trial.id for trial in js.load(run).trials}
    found, _ = saver.read_together(recorded)
    assert found is not None
    saver.clear()
    if what == "program":
        lanes = {identity: replace(lane, program="another") for identity, lane in found.lanes.items()}
        other = replace(found, lanes=lanes)
    else:  # as if the last trial had ended, and a kill had come before it was recorded
        last = max(identity.trial for identity in found.lanes)
        lanes = {identity: lane for identity, lane in found.lanes.items() if identity.trial != last}
        other = replace(found, lanes=lanes, over=found.over | {last})
    saver.save_together(other)
    saver.write_together({*range(TRIALS)})
    result = js.resume(run, data=iris, progress=False)
    assert_same(result, plain)
    assert not goes_on(result)
    again = f"{len(found.lanes)} trainings that were under way train again from their first"
    assert any(again in note for note in result.numbers["notes"]) == (what == "program")


def _narrow(heard: Heard) -> Heard:
    return heard._replace(lanes={lane: (how, new[:, :1]) for lane, (how, new) in heard.lanes.items()})


@pytest.mark.parametrize("what", ["trials", "configs", "epochs", "shapes", "curves"])
def test_a_population_that_is_not_this_sweeps_is_refused(
    iris: js.Dataset, tmp_path: Path, population: tuple[js.Result, Path], what: str
) -> None:
    """Whoever made it knew how to seal it."""
    run = shutil.copytree(population[1], tmp_path / "run")
    saver = Checkpoints(run, resumed=True)
    found, _ = saver.read_together(range(TRIALS))
    assert found is not None
    saver.clear()
    (identity, lane), *_ = found.lanes.items()
    first = found.story[0][0]
    changed = {
        "trials": replace(found, story=[[first._replace(trial=1000)]]),
        "configs": replace(found, lanes={**found.lanes, identity: replace(lane, config=lane.config + 1)}),
        "epochs": replace(found, lanes={**found.lanes, identity: replace(lane, epochs=1, curves=lane.curves[:1])}),
        "shapes": replace(
            found, lanes={each: replace(lane, state={"step": np.zeros(())}) for each, lane in found.lanes.items()}
        ),
        "curves": replace(found, story=[[_narrow(heard) for heard in call] for call in found.story]),
    }[what]
    saver.save_together(changed)
    saver.write_together({*range(TRIALS)})
    with pytest.raises(js.RequestError, match="checkpoints/ of the run does not belong to its trials"):
        js.resume(run, data=iris, progress=False)
    shutil.rmtree(run / "checkpoints")
    assert_same(js.resume(run, data=iris, progress=False), population[0])


def test_what_is_not_this_sweeps_does_not_go_on(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lanes of another program, of another config, of other shapes, and those that have trained enough."""
    plain, out = execute(iris, asked(), tmp_path / "plain"), tmp_path / "run"
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    stopped(iris, out, 7, {"checkpoint_seconds": 1e-9})
    saver = Checkpoints(out, resumed=True)
    found, _ = saver.read()
    recorded = {trial.id for trial in js.load(out).trials}
    first, second, third, fourth, *_ = [lane for lane in found.values() if lane.identity.trial not in recorded]
    saver.clear()
    others = [
        replace(first, program="another"),
        replace(second, config=first.config),
        replace(third, state={**third.state, "step": np.zeros(2, np.int32)}),
        replace(fourth, epochs=9, curves=np.ones((9, fourth.curves.shape[1]))),
    ]
    for lane in others:
        Checkpoints(out, resumed=True).save([lane])
    result = js.resume(out, data=iris, progress=False)
    assert_same(result, plain)
    assert not goes_on(result)
    assert any("4 trainings that were under way train again from their first" in n for n in result.numbers["notes"])


def test_a_full_disk_ends_no_training(iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "_as_bytes", full)
    result = execute(iris, asked(checkpoint_seconds=1e-9), tmp_path / "run")
    assert_same(result, execute(iris, asked(), tmp_path / "plain"))
    (note,) = result.numbers["notes"]
    assert "checkpoints cannot be written (No space left on device): training goes on" in note


@pytest.mark.parametrize("way", ["random", "evolution", "asha", "replicates and folds", "pbt"])
def test_what_is_recorded_does_not_train_again(iris: js.Dataset, tmp_path: Path, way: str) -> None:
    out = tmp_path / "run"
    stopped(iris, out, {"pbt": 0, "replicates and folds": 80}.get(way, 20), WAYS[way])
    recorded = js.load(out)
    before = {trial.id for trial in recorded.trials}
    underway, _ = Checkpoints(out, resumed=True).read()
    left = sum(lane.epochs for lane in underway.values() if lane.identity.trial not in before)
    result = js.resume(out, data=iris, progress=False)
    lanes = [lane for trial in result.trials if trial.id not in before for lane in result.lanes[trial.id]]
    steps = 2 if "folds" in way else 3  # of an epoch
    assert result.summary()["iterations"] == (sum(len(lane.curves) for lane in lanes) - left) * steps
    assert bool(before) == (way != "pbt")
    again = js.resume(out, data=iris, progress=False)
    assert again.summary()["iterations"] == 0
    assert_same(again, result)


def test_it_may_be_given_more_trials(iris: js.Dataset, tmp_path: Path) -> None:
    """The first ones stay, and those that follow have the configs that they would have had."""
    out, how = tmp_path / "run", EVOLUTION
    first = execute(iris, asked(**{**how, "trials": 37}), out)  # its last generation is cut short
    longer = js.resume(out, trials=60, data=iris, progress=False)
    pd.testing.assert_frame_equal(longer.to_pandas()[:37], first.to_pandas(), check_exact=True)
    whole = execute(iris, asked(**{**how, "trials": 60}))
    assert [trial.config for trial in longer.trials] == [trial.config for trial in whole.trials]
    np.testing.assert_allclose(longer.curves("val_loss"), whole.curves("val_loss"), rtol=1e-4)
    assert js.load(out).request.trials == 60
    with pytest.raises(js.RequestError, match="trials = 50 are fewer than the 60 that"):
        js.resume(out, trials=50, data=iris)
    (out / "sweep.toml").write_text((out / "sweep.toml").read_text().replace("trials = 60", "trials = 50"))
    with pytest.raises(js.RequestError, match="trials = 50 are fewer than the 60 that"):
        js.resume(out, data=iris)


def test_a_broken_network_is_said_and_left_out(iris: js.Dataset, tmp_path: Path) -> None:
    out, plain = tmp_path / "run", execute(iris, asked(), tmp_path / "plain")
    execute(iris, asked(trials=TRIALS - 10), out)
    broken = max(js.load(out).models)
    (out / "models" / str(broken) / "model.safetensors").write_bytes(b"half")
    result = js.resume(out, trials=TRIALS, data=iris, progress=False)
    pd.testing.assert_frame_equal(result.to_pandas(), plain.to_pandas(), check_exact=True)
    assert broken not in result.models
    assert not (out / "models" / str(broken)).exists()
    (said,) = [note for note in result.notes if "it is removed, and would be trained again" in note]
    assert str(out / "models" / str(broken)) in said
    assert result.model(broken).config == result.trials[broken].config


def test_what_a_searcher_was_told_must_be_what_it_is_told_again(iris: js.Dataset, tmp_path: Path) -> None:
    earlier, out = tmp_path / "earlier", tmp_path / "run"
    execute(iris, asked(trials=10), earlier)
    how = {"warm_start": (str(earlier),), "search": "evolution", "options": {"population": 10}}
    stopped(iris, out, 12, how)
    js.resume(earlier, trials=11, data=iris, progress=False)
    with pytest.raises(js.RequestError, match="has to tell its searcher has changed since it began, by further trials"):
        js.resume(out, data=iris, progress=False)


def test_a_confirmation_that_was_interrupted_is_made_whole(iris: js.Dataset, tmp_path: Path) -> None:
    class Confirming(Progress):
        def update(self, snapshot: Snapshot) -> None:
            if snapshot.confirming and not snapshot.interrupted:
                raise KeyboardInterrupt

    out, plain = tmp_path / "run", execute(iris, asked(confirm=3), tmp_path / "plain")
    assert execute(iris, asked(confirm=3), out, Confirming()).confirmed == ()
    result = js.resume(out, data=iris, progress=False)
    assert_same(result, plain)
    assert result.confirmed == plain.confirmed == js.load(out).confirmed
    again = js.resume(out, data=iris, progress=False)
    assert again.summary()["iterations"] == 0
    assert again.confirmed == plain.confirmed
    longer = js.resume(out, trials=60, data=iris, progress=False)
    assert longer.confirmed == js.load(out).confirmed
    assert {each.trial for each in longer.confirmed} == {trial.id for trial in longer.top(3)}


def test_a_confirmation_goes_on_from_where_it_was(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    how = {"space": UNEVEN, "checkpoint_seconds": 1e-9, "confirm": 6}
    plain, out, save, left = execute(iris, asked(**how), tmp_path / "plain"), tmp_path / "run", Checkpoints.save, 3

    class Confirming(Progress):
        def update(self, snapshot: Snapshot) -> None:
            if snapshot.confirming and left <= 0 and not snapshot.interrupted:
                raise KeyboardInterrupt

    def saved(self: Checkpoints, running: Any, *began: float) -> None:
        nonlocal left
        left -= bool(running) and running[0].identity.replicate > 0
        save(self, running, *began)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", saved)
        patch.setattr(loop, "TICK_SECONDS", 0.0)
        assert execute(iris, asked(**how), out, Confirming()).status == "interrupted"
    result = js.resume(out, data=iris, progress=False)
    assert_same(result, plain)
    assert result.confirmed == plain.confirmed == js.load(out).confirmed
    assert goes_on(result)
    assert not (out / "checkpoints").exists()


@pytest.mark.parametrize("way", ["random", "replicates and folds"])
def test_what_has_ended_of_a_confirmation_trains_no_more(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    how = {**WAYS[way], "confirm": 6, "space": UNEVEN}
    plain, out, take, left = execute(iris, asked(**how), tmp_path / "plain"), tmp_path / "run", Recording.take_fresh, 8

    def taken(self: Recording, lane: LaneResult) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        take(self, lane)

    with monkeypatch.context() as patch:
        patch.setattr(Recording, "take_fresh", taken)
        assert execute(iris, asked(**how), out).status == "interrupted"
    shutil.rmtree(out / "checkpoints")
    assert js.load(out).confirmed == ()
    with closing(sqlite3.connect(out / "trials.sqlite")) as db, db:
        assert db.execute("SELECT count(*) FROM confirming").fetchone() == (8,)
        db.execute("UPDATE confirming SET status = 'stopped ' WHERE rowid = (SELECT min(rowid) FROM confirming)")
    trained, run = set(), engine.Engine.run

    def ran(self: engine.Engine, *given: Any, **named: Any) -> Any:
        for lane in run(self, *given, **named):
            trained.add((lane.job.trial, lane.job.replicate, lane.job.fold))
            yield lane

    monkeypatch.setattr(engine.Engine, "run", ran)
    result = js.resume(out, data=iris, progress=False)
    assert_same(result, plain)
    assert result.confirmed == plain.confirmed == js.load(out).confirmed
    assert len(trained) == sum(each.trainings for each in plain.confirmed) - 7
    assert "1 trainings of the confirmation are not what was recorded, and train again" in result.numbers["notes"]
    assert "7 trainings of the confirmation are recorded, and train no more" in result.numbers["notes"]
    with closing(sqlite3.connect(out / "trials.sqlite")) as db:
        assert not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'confirming'").fetchall()
        (tested,) = db.execute(
            "SELECT count(DISTINCT trial) FROM evaluations WHERE replicate >= ? AND test_loss",
            (result.request.replicates,),
        ).fetchone()
    assert tested == 1  # of the others nobody has looked at the test rows


def test_what_a_time_limit_halted_goes_on(iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From where it was, under a limit of its own."""
    out, calls = tmp_path / "run", 0
    with monkeypatch.context() as patch:
        original, clock = tile.Tile._advance, time.perf_counter

        def advance(self: tile.Tile) -> Any:
            nonlocal calls
            calls += 1
            return original(self)

        patch.setattr(tile.Tile, "_advance", advance)
        patch.setattr(time, "perf_counter", lambda: clock() + (3600 if calls >= 15 else 0))
        limited = execute(iris, asked(minutes=30), out)
    assert limited.numbers["time_limit_reached"]
    halted = [trial.id for trial in limited.trials if limited.lanes[trial.id][0].halted]
    assert halted
    recorded = {trial.id for trial in js.load(out).trials}
    at_once = js.resume(out, data=iris, minutes=1e-9, progress=False)  # nothing is trained, and nothing is lost
    assert {trial.id for trial in at_once.trials} == recorded
    assert at_once.summary()["trials"]["finished"] == at_once.summary()["trials"]["recorded"] == len(recorded)
    assert at_once.best.id == limited.best.id
    result = js.resume(out, data=iris, minutes=1000, progress=False)
    assert not result.numbers["time_limit_reached"]
    assert goes_on(result)
    assert [trial.epochs_done for trial in result.trials] == [9] * TRIALS
    plain = execute(iris, asked())
    np.testing.assert_allclose(result.curves("val_loss"), plain.curves("val_loss"), rtol=1e-4)


@pytest.mark.parametrize(("name", "trials"), [("run_format_3", 6), ("run_format_4", 6), ("run_format_4", 8)])
def test_a_run_of_an_earlier_version_goes_on(name: str, trials: int, tmp_path: Path) -> None:
    """Of format 3 if nothing is added: its last generation was asked for as one of two."""
    run = shutil.copytree(FIXTURES / name, tmp_path / "run")
    recorded = json.loads((run / "table.json").read_text())
    result = js.resume(run, trials=trials, progress=False)
    rows = result.to_pandas()
    assert len(rows) == trials
    assert rows["score"][:6].tolist() == [row["score"] for row in recorded]
    assert result.summary()["iterations"] == (trials - 6) * 2 * 9
    assert js.load(run).to_pandas()["score"].tolist() == rows["score"].tolist()


def test_a_population_is_as_many_as_it_was(
    iris: js.Dataset, tmp_path: Path, population: tuple[js.Result, Path]
) -> None:
    """What it has recorded is not another population's; and what trains again takes the place of all that it was."""
    run = shutil.copytree(population[1], tmp_path / "run")
    with pytest.raises(js.RequestError, match=f"trials = 50 is another population than the {TRIALS} of"):
        js.resume(run, trials=50, data=iris)
    shutil.rmtree(run / "checkpoints")
    store = Store(
        run, (run / "sweep.toml").read_text(), population[0].columns.curves, population[0].columns.test, resumed=True
    )
    trial = next(trial for trial in population[0].trials if trial.lineage)
    lanes = [LaneResult(Job(0, trial.id, 0, 0), "completed", 1, np.ones((1, len(store.curves))), None, 0.1)]
    with closing(store):
        store.record([(trial, lanes)])
        assert next(each for each in js.load(run).trials if each.id == trial.id).lineage
        store.record([(replace(trial, lineage=()), lanes)])
    assert not next(each for each in js.load(run).trials if each.id == trial.id).lineage


def test_a_limit_is_for_this_time(iris: js.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    stopped(iris, out, 5, {})
    assert js.resume(out, data=iris, minutes=1e-9, progress=False).numbers["time_limit_reached"]
    assert js.load(out).request.minutes is None
    assert main(["show", str(out)]) == 0
    assert f"{TRIALS} were asked for: if nobody trains the others, jaxsweep resume {out} does" in _err(capsys)
    result = js.resume(out, data=iris, progress=False)
    assert len(result.trials) == TRIALS
    limited = tmp_path / "limited"
    execute(iris, asked(minutes=1e-9), limited)
    result = js.resume(limited, data=iris, minutes=float("inf"), progress=False)
    assert len(result.trials) == TRIALS
    assert not result.numbers["time_limit_reached"]
    assert js.load(limited).request.minutes == 1e-9


def test_who_has_nothing_to_do_leaves_what_there_is(iris: js.Dataset, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = execute(iris, asked(), out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert js.resume(out, data=iris, progress=False).summary()["iterations"] == 0
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert js.load(out).summary()["iterations"] == first.summary()["iterations"] > 0


def test_who_was_killed_with_all_recorded_comes_to_an_end(iris: js.Dataset, tmp_path: Path) -> None:
    out = tmp_path / "run"
    execute(iris, asked(), out)
    with closing(sqlite3.connect(out / "trials.sqlite")) as db, db:
        db.execute("DELETE FROM summary")
    assert js.load(out).status == "running"
    assert js.resume(out, data=iris, progress=False).summary()["iterations"] == 0
    assert js.load(out).status == "completed"


def test_a_folder_of_networks_that_is_gone_is_made_again(iris: js.Dataset, tmp_path: Path) -> None:
    out = tmp_path / "run"
    stopped(iris, out, 20, {})
    shutil.rmtree(out / "models")
    result = js.resume(out, data=iris, progress=False)
    assert len(result.trials) == TRIALS
    (out / "models" / ".DS_Store").write_text("")
    assert len(js.resume(out, trials=TRIALS + 1, data=iris, progress=False).trials) == TRIALS + 1


@pytest.mark.parametrize(("name", "known"), [("jaxlib", '"0.0.1"'), ("machine", '"64 x Another processor"')])
def test_other_versions_and_machines_are_said(iris: js.Dataset, tmp_path: Path, name: str, known: str) -> None:
    out = tmp_path / "run"
    stopped(iris, out, 5, {})
    path = out / "sweep.toml"
    here = next(line for line in path.read_text().splitlines() if line.startswith(f"{name} = "))
    path.write_text(path.read_text().replace(here, f"{name} = {known}"))
    notes = js.resume(out, data=iris, progress=False).numbers["notes"]
    now = json.loads(here.partition(" = ")[2])
    words = (
        f"began with {name} {json.loads(known)}, and here is {name} {now}: what trains from now on may differ in its"
    )
    assert [note for note in notes if words in note]


# --- what is refused -----------------------------------------------------------------------------------------------


def test_what_cannot_go_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(js.RequestError, match="is no run directory"):
        js.resume(tmp_path)
    with pytest.raises(js.RequestError, match="in format 2, and cannot go on"):
        js.resume(shutil.copytree(FIXTURES / "run_format_2", tmp_path / "old"))
    out = tmp_path / "run"
    iris = js.Dataset.from_arrays(np.random.default_rng(1).normal(size=(150, 4)), np.arange(150) % 3)
    stopped(iris, out, 5, {})
    with pytest.raises(
        js.RequestError, match=r"was trained on data in memory, which cannot be read again: give them, js.resume\("
    ):
        js.resume(out)
    other = js.Dataset.from_arrays(np.random.default_rng(0).normal(size=(90, 4)), np.arange(90) % 3)
    with pytest.raises(js.RequestError, match="data are not those of"):
        js.resume(out, data=other)
    with closing(sqlite3.connect(out / "trials.sqlite")) as db, db:
        ((number, config),) = db.execute("SELECT trial, config FROM trials LIMIT 1")
        changed = json.dumps({**json.loads(config), "learning_rate": 0.5})
        db.execute("UPDATE trials SET config = ? WHERE trial = ?", (changed, number))
        db.execute("DELETE FROM seals")  # as by a version that had none
        db.execute("PRAGMA user_version = 3")
    with pytest.raises(js.RequestError, match=f"its trial {number} was trained with learning_rate = 0.5, and the same"):
        js.resume(out, data=iris, progress=False)
    assert not (out / LOCK).exists()
    assert js.load(out).status == "interrupted"  # as it was


def test_run_goes_on_as_it_asks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a time limit, if it names none; and with checkpoints as often as it says."""
    out = str(tmp_path / "run")
    line = ["run", "--data", "iris", "--trials", "6", "--set", "epochs=2", "--set", "width=8", "--quiet", "--out", out]
    assert main([*line, "--minutes", "1e-9"]) == 3
    assert len(js.load(out).trials) == 0
    assert main([*line, "--resume", "--set", "checkpoint_seconds=5"]) == 0
    assert len(js.load(out).trials) == 6
    assert js.load(out).request.checkpoint_seconds == 5.0
    capsys.readouterr()


def _err(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_run_goes_on_only_with_what_it_would_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    line = ["run", "--data", "iris", "--trials", "6", "--set", "epochs=2", "--set", "width=8", "--quiet", "--resume"]
    assert main([*line, "--out", out]) == 0  # there is none yet
    first = js.load(out)
    assert main([*line, "--out", out, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["iterations"] == 0
    assert main([*line, "--out", out, "--seed", "1"]) == 2
    assert "holds a run with seed = 0, and this asks for 1" in _err(capsys)
    assert main(["run", "--data", "iris", "--out", out]) == 2
    assert f"already holds a run: name a new directory, or go on with it (jaxsweep resume {out})" in _err(capsys)
    assert main(line) == 2
    assert "--resume goes on with the run in a directory: name it, --out DIR" in _err(capsys)
    assert main(["resume", out, "--trials", "8", "--quiet"]) == 0
    assert [trial.config for trial in js.load(out).trials[:6]] == [trial.config for trial in first.trials]
    assert len(js.load(out).trials) == 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("seed = 0", "seed = 1"), "seed = 1, and the run began with 0"),
        (
            ('objective = "val_loss"', 'objective = "val_accuracy"'),
            "objective = 'val_accuracy', and the run began with",
        ),
        (("epochs = 9", "epochs = 8"), "space = Space"),
        (("keep = 3", "keep = 4"), "keep = 4, and the run began with 3"),
        (("split = [0.6", "split = [0.5"), "split = "),
    ],
)
def test_a_changed_sweep_file_is_refused(iris: js.Dataset, tmp_path: Path, change: tuple[str, str], words: str) -> None:
    """Also before any trial is recorded, whose config might tell; what may change may."""
    out = tmp_path / "run"
    stopped(iris, out, 0, {})
    file = out / "sweep.toml"
    text = file.read_text()
    assert change[0] in text
    file.write_text(text.replace(*change).replace("0.2, 0.2]", "0.3, 0.2]" if "split" in words else "0.2, 0.2]"))
    with pytest.raises(js.RequestError, match="asks for") as error:
        js.resume(out, data=iris, progress=False)
    assert words in str(error.value)
    file.write_text(
        text.replace("trials = 40", "trials = 41").replace("checkpoint_seconds = 60.0", "checkpoint_seconds = 5")
    )
    assert len(js.resume(out, data=iris, progress=False).trials) == 41


# --- one writer ------------------------------------------------------------------------------------------------------


def test_the_bare_beginning_of_a_killed_run_is_in_nobodys_way(iris: js.Dataset, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "sweep.toml").write_text("seed = 0\n")
    with pytest.raises(js.RequestError, match="already holds a run"):  # it may be the user's own
        js.sweep(iris, SPACE, trials=1, out=out, progress=False)
    assert [each.name for each in out.iterdir()] == ["sweep.toml"]
    for size in (None, 0):
        (out / LOCK).write_text("123")
        if size is not None:
            (out / "trials.sqlite").touch()
        result = js.sweep(iris, SPACE, trials=1, out=out, progress=False)
        assert len(js.load(out).trials) == len(result.trials) == 1
        (out / "trials.sqlite").unlink()
        (out / "sweep.toml").unlink()
        with pytest.raises(js.RequestError, match="models, of no run: name a new directory, or remove it"):
            js.sweep(iris, SPACE, trials=1, out=out, progress=False)
        shutil.rmtree(out / "models")
        (out / "sweep.toml").write_text("seed = 0\n")


def test_who_has_the_lock_is_read_once_it_is_written(tmp_path: Path) -> None:
    """A moment after it was taken; nobody's probe is another one's."""
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / ".writable").touch()
    rundir.check_writable(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [".writable"]
    with (tmp_path / LOCK).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def write() -> None:
            file.write("77")
            file.flush()

        timer = threading.Timer(0.1, write)
        timer.start()
        with pytest.raises(js.RequestError, match="is being written by process 77: wait until it ends"):
            Lock(tmp_path)
        timer.join()

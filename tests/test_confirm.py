"""Sweeps whose best trials are trained again under fresh seeds: what is trained, recorded, shown and interrupted."""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cli_helpers import ok

import jaxsweep as js
from jaxsweep.cli import main
from jaxsweep.engine.calibrate import device_costs
from jaxsweep.loop import execute
from jaxsweep.records.model import Model
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.spec.request import Request

pytestmark = pytest.mark.usefixtures("one_tile")

SHAPE = {"depth": 1, "width": 8, "batch_size": 30, "epochs": 3}
SPACE = js.Space(learning_rate=js.LogUniform(1e-3, 1e-1), **SHAPE)


@pytest.fixture(scope="module")
def swept(iris: js.Dataset, tmp_path_factory: pytest.TempPathFactory) -> js.Result:
    out = tmp_path_factory.mktemp("runs") / "one"
    return js.sweep(iris, SPACE, trials=12, keep=1, confirm=3, replicates=2, out=out, progress=False)


@pytest.fixture(scope="module")
def plain(iris: js.Dataset) -> js.Result:
    return js.sweep(iris, SPACE, trials=12, keep=1, replicates=2, progress=False)


def folder(result: js.Result) -> Path:
    assert result.run is not None
    return result.run


def test_the_best_are_trained_again_under_the_seeds_that_follow(swept: js.Result, plain: js.Result) -> None:
    assert sorted(each.trial for each in swept.confirmed) == sorted(trial.id for trial in plain.top(3))
    assert [each.trainings for each in swept.confirmed] == [5, 5, 5]  # of 2 replicates it is 5
    scores = [each.confirmed_score for each in swept.confirmed]
    assert scores == sorted(scores, key=lambda score: -(score or 0.0))
    winner = swept.confirmed[0]
    config = swept.best.config
    alone = [js.solo("iris", config, trial=winner.trial, replicate=replicate) for replicate in range(2, 7)]
    np.testing.assert_allclose(
        np.array(winner.scores, float), [each.curves["val_accuracy"][-1] for each in alone], atol=1e-6
    )
    x, y = swept.data.x_test[0], swept.data.y_test[0]
    models = [Model.of(swept.data, config, each.params, each.stats) for each in alone]
    right = [np.mean(np.argmax(model.apply(model.params, x), axis=1) == y) for model in models]
    assert winner.test_score == pytest.approx(np.mean(right), abs=1e-6)
    assert [each.test_score for each in swept.confirmed[1:]] == [None, None]


def test_what_the_search_found_stays_as_it_was(swept: js.Result, plain: js.Result) -> None:
    pd.testing.assert_frame_equal(swept.to_pandas(), plain.to_pandas(), check_exact=True)
    pd.testing.assert_frame_equal(swept.to_pandas(lanes=True), plain.to_pandas(lanes=True), check_exact=True)
    assert plain.confirmed == ()
    assert plain.summary()["confirmed"] == []
    assert set(swept.models) == {each.trial for each in swept.confirmed}  # though one was to be kept


def test_the_winner_is_the_best_one_from_then_on(swept: js.Result, plain: js.Result) -> None:
    winner = swept.confirmed[0]
    assert swept.best.id == winner.trial
    assert [trial.id for trial in swept.top(3)] == [each.trial for each in swept.confirmed]
    others = [trial.id for trial in plain.top(12) if trial.id not in swept.models]
    assert [trial.id for trial in swept.top(12)][3:] == others
    assert swept.summary()["best"]["trial"] == winner.trial
    assert swept.summary()["best"]["score"] == winner.search_score == swept.best.score
    assert swept.summary()["confirmed"][0] == winner.row()
    page = swept._repr_html_()
    assert "<th>confirmed</th>" in page
    assert winner.told("val_accuracy") in page
    assert "test_" not in page
    assert f"confirmed {winner.confirmed_score:.6g}" in repr(swept)
    assert "<th>confirmed</th>" not in plain._repr_html_()
    assert "on the test rows</p>" in plain._repr_html_()


def test_the_same_is_opened_again(swept: js.Result, tmp_path: Path) -> None:
    loaded = js.load(folder(swept))
    assert loaded.confirmed == swept.confirmed
    assert loaded.request.confirm == 3
    assert loaded.summary() == swept.summary()
    assert loaded.told() == swept.told()
    pd.testing.assert_frame_equal(loaded.to_pandas(lanes=True), swept.to_pandas(lanes=True), check_exact=True)
    assert loaded.curves("val_loss", lanes=True).shape == (12, 2, 3)
    with closing(sqlite3.connect(folder(swept) / "trials.sqlite")) as db:
        rows = db.execute("SELECT trial, replicate, test_accuracy FROM evaluations WHERE replicate > 1").fetchall()
    assert {replicate for _, replicate, _ in rows} == {2, 3, 4, 5, 6}
    assert {trial for trial, _, test in rows if test is not None} == {swept.confirmed[0].trial}
    shutil.copytree(folder(swept), tmp_path / "killed")  # before the last transaction, which holds the summary
    with closing(sqlite3.connect(tmp_path / "killed" / "trials.sqlite")) as db, db:
        db.execute("DELETE FROM summary")
    assert js.load(tmp_path / "killed").confirmed == swept.confirmed


def test_same_seed_same_winner_recorded_or_not(swept: js.Result, iris: js.Dataset) -> None:
    again = js.sweep(iris, SPACE, trials=12, keep=0, confirm=3, replicates=2, progress=False)
    assert again.confirmed == swept.confirmed
    assert again.models == {}


def test_each_fold_is_trained_again(iris: js.Dataset) -> None:
    configs = [{**SHAPE, "learning_rate": rate} for rate in (0.02, 0.05)]
    result = js.sweep(iris, configs=configs, folds=2, confirm=9, keep=0, progress=False)
    assert [each.trainings for each in result.confirmed] == [10, 10]  # 5 replicates on 2 folds
    winner = result.confirmed[0]
    alone = js.solo(iris, configs[winner.trial], trial=winner.trial, replicate=1, fold=1, folds=2)
    assert winner.scores[1] == pytest.approx(alone.curves["val_accuracy"][-1], abs=1e-6)


def test_a_winner_keeps_the_constraints_when_it_is_trained_again(
    iris: js.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that kept them in the search by luck is behind those that keep them, in the record, too, and it is said."""
    like, slow = {**SHAPE, "learning_rate": 0.05}, {**SHAPE, "learning_rate": 0.002}
    given: dict[str, Any] = {"configs": [*[like] * 29, slow], "keep": 0, "progress": False}
    losses = sorted(trial.metrics["val_loss"] for trial in js.sweep(iris, **given).trials)
    bound = losses[-5]  # that of the slow one is larger, and of the others luck decides
    found = js.sweep(iris, constraints=[f"val_loss >= {bound!r}"], confirm=5, out=tmp_path / "run", **given)
    assert sum(trial.feasible for trial in found.trials) == len(found.confirmed) == 5
    assert max(found.trials, key=lambda trial: (trial.feasible, trial.score)).id != 29
    assert found.best.id == 29
    assert [not each.broken for each in found.confirmed] == [True, *[False] * 4]
    assert js.load(tmp_path / "run").confirmed == found.confirmed
    ok("show", tmp_path / "run")
    assert f" breaks val_loss >= {bound!r} in the mean of its fresh trainings" in capsys.readouterr().err


def test_without_a_score_there_is_nothing_to_confirm(iris: js.Dataset) -> None:
    wild = {**SHAPE, "learning_rate": 1e30, "optimizer": "sgd"}
    result = js.sweep(iris, configs=[wild], confirm=2, progress=False)
    assert (result.status, result.confirmed) == ("failed", ())


class _Interrupts(Progress):
    """A listener that interrupts like Ctrl-C once the best are being trained again."""

    def __init__(self, interrupts: bool = True) -> None:
        self.interrupts, self.seen = interrupts, [0]

    def update(self, snapshot: Snapshot) -> None:
        if snapshot.confirming != self.seen[-1]:
            self.seen.append(snapshot.confirming)
        if snapshot.confirming and self.interrupts and not snapshot.interrupted:
            raise KeyboardInterrupt

    def close(self, snapshot: Snapshot) -> None:
        self.last = snapshot


def test_an_interrupted_confirmation_keeps_the_search(iris: js.Dataset, plain: js.Result, tmp_path: Path) -> None:
    listener = _Interrupts()
    request = Request(space=SPACE, trials=12, replicates=2, confirm=3)
    result = execute(iris, request, tmp_path / "run", listener)
    assert listener.seen == [0, 3]
    for each in (result, js.load(tmp_path / "run")):
        assert (each.status, each.confirmed) == ("interrupted", ())
        pd.testing.assert_frame_equal(each.to_pandas(), plain.to_pandas(), check_exact=True)
        assert each.best.id == plain.best.id
        assert each.told() == f"{plain.told()}; the best 3 are not confirmed: the sweep was interrupted first"
    assert (listener.last.best_trial, listener.last.confirmed) == (plain.best.id, 0)


def test_progress_shows_the_winner_by_what_was_confirmed(iris: js.Dataset, swept: js.Result, tmp_path: Path) -> None:
    listener = _Interrupts(interrupts=False)
    execute(iris, Request(space=SPACE, trials=12, replicates=2, confirm=3), tmp_path / "run", listener)
    winner, last = swept.confirmed[0], listener.last
    assert listener.seen == [0, 3]
    assert (last.best_trial, last.best_score, last.confirmed) == (winner.trial, winner.confirmed_score, 5)
    assert last.best_params == swept.best.params


def test_the_command_line_shows_the_gap(swept: js.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [word for name, value in SHAPE.items() for word in ("--set", f"{name}={value}")]
    rates = ["--set", "space.learning_rate={loguniform=[1e-3,1e-1]}", "--set", "optimizer=adam"]
    fixed = ["--set", "activation=relu", "--set", "init=glorot_uniform", "--set", "schedule=constant"]
    asked = ["--data", "iris", "--trials", "12", "--confirm", "3", "--replicates", "2", *settings, *rates, *fixed]
    last = json.loads(
        ok(
            "run", *asked, "--set", "dropout=0", "--set", "l2=0", "--out", tmp_path / "r", "--format", "json"
        ).splitlines()[-1]
    )
    assert [each["trainings"] for each in last["confirmed"]] == [5, 5, 5]
    assert last["confirmed"][0]["trial"] == last["best"]["trial"]
    capsys.readouterr()
    run = folder(swept)
    printed = ok("show", run)
    told = swept.confirmed[0].told("val_accuracy")
    assert told in printed
    assert "the best 3 of the search, trained again under fresh seeds" in printed
    assert "test_" not in printed
    assert "chosen by them" not in capsys.readouterr().err
    assert "test_accuracy" in ok("show", run, "--show-test").splitlines()[0]
    assert "a trial that is chosen by them has a validation score there" in capsys.readouterr().err
    assert "test_loss" in ok("show", run, "--sort", "test_loss").splitlines()[0]
    assert "chosen by them" in capsys.readouterr().err
    assert "test_accuracy" in ok("show", run, "--format", "csv").splitlines()[0]
    assert main(["export", str(run), "--out", str(tmp_path / "m")]) == 0
    assert f"trial {swept.best.id} (" in capsys.readouterr().err


def test_a_plan_has_the_confirmation(capsys: Any) -> None:
    ok("plan", "--data", "iris", "--trials", "4", "--confirm", "9", "--set", "folds=2", "--set", "epochs=3")
    said = capsys.readouterr().err
    assert re.search(r"the best 4 are confirmed after the search: 40 lanes more, about \S+ s of the time\n", said)
    assert main(["run", "--confirm", "-1"]) == 2
    assert "confirm = -1 is not legal: it must be an integer of at least 0" in capsys.readouterr().err


def test_a_plan_has_what_a_run_then_counts(swept: js.Result, iris: js.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxsweep.planning.device_costs", lambda measure: device_costs())  # as a sweep does
    planned = js.plan(iris, SPACE, trials=12, keep=1, confirm=3, replicates=2)
    assert planned.confirming is not None
    assert (planned.lanes, planned.confirming.lanes) == (12 * 2, 3 * 5)
    assert planned.lane_steps + planned.confirming.lane_steps == swept.numbers["iterations"]
    assert planned.confirming.compile_seconds == 0  # its programs are the search's
    assert planned.predicted_seconds == pytest.approx(swept.numbers["prediction"]["seconds"])
    alone = js.plan(iris, SPACE, trials=12, keep=1, replicates=2)
    assert planned.predicted_seconds == pytest.approx(alone.predicted_seconds + planned.confirming.predicted_seconds)
    assert alone.confirming is None


def test_what_a_scheduler_stopped_or_changed(iris: js.Dataset) -> None:
    """A trial that was stopped is trained to its end; one whose config changed while it trained cannot be."""
    result = js.sweep(iris, SPACE, trials=12, scheduler="halving", confirm=12, keep=0, progress=False)
    assert len(result.confirmed) == 12
    stopped = [trial for trial in result.trials if trial.epochs_done < 3]
    assert stopped
    again = {each.trial: each.scores[0] for each in result.confirmed}
    for trial in stopped[:2]:
        alone = js.solo(iris, trial.config, trial=trial.id, replicate=1)
        assert again[trial.id] == pytest.approx(alone.curves["val_accuracy"][-1], abs=1e-6)
    with pytest.raises(js.RequestError, match="confirm = 2 does not go with scheduler = 'pbt'"):
        js.sweep(iris, SPACE, scheduler="pbt", confirm=2, progress=False)

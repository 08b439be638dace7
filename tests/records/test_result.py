"""A result, as a sweep gives it and as it is opened again."""

import copy
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import jaxsweep as js
from jaxsweep.loop import execute
from jaxsweep.records.lanes import Lane, as_recorded_before
from jaxsweep.spec.hyperparameters import resolve
from jaxsweep.spec.request import Request

pytestmark = pytest.mark.usefixtures("one_tile")

FIXTURES = sorted((Path(__file__).resolve().parents[1] / "fixtures").glob("run_*"))
CONFIG: dict[str, Any] = {"depth": 1, "width": 8, "epochs": 3}
SPACE = {**CONFIG, "learning_rate": js.LogUniform(1e-3, 1e-1), "patience": js.Choice([0, 1]), "min_delta": 10.0}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> js.Result:
    out = tmp_path_factory.mktemp("runs") / "run"
    return js.sweep("iris", SPACE, trials=8, replicates=2, keep=2, seed=5, out=out, progress=False)


@pytest.fixture(scope="module")
def loaded(swept: js.Result) -> js.Result:
    assert swept.run is not None
    return js.load(swept.run)


def test_the_same_is_opened_again(swept: js.Result, loaded: js.Result) -> None:
    assert type(loaded) is type(swept)
    assert loaded.request.space == swept.request.space
    assert (loaded.status, loaded.objective, loaded.run) == (swept.status, swept.objective, swept.run)
    pd.testing.assert_frame_equal(loaded.to_pandas(), swept.to_pandas(), check_exact=True)
    for metric in swept.columns.curves:
        np.testing.assert_array_equal(loaded.curves(metric), swept.curves(metric))
    assert loaded.columns == swept.columns
    assert loaded.best == swept.best
    assert loaded.summary() == swept.summary()
    assert "best val_accuracy first" in loaded._repr_html_()


def test_its_networks_are_those_that_were_kept_or_are_trained_again(swept: js.Result, loaded: js.Result) -> None:
    x = np.random.default_rng(0).normal(size=(20, 4)) + 3
    assert set(loaded.models) == set(swept.models)
    assert len(loaded.models) == 2
    other = next(trial.id for trial in swept.trials if trial.id not in swept.models)
    for trial in (*swept.models, other, None):
        np.testing.assert_allclose(loaded.model(trial).predict_proba(x), swept.model(trial).predict_proba(x), rtol=1e-6)
    np.testing.assert_array_equal(loaded.data.x, swept.data.x)


def test_it_can_be_copied_and_sent(swept: js.Result, loaded: js.Result) -> None:
    for result in (swept, loaded):
        pd.testing.assert_frame_equal(copy.deepcopy(result).to_pandas(), result.to_pandas())
        assert copy.deepcopy(result).model().config == result.model().config


def test_the_best_few(swept: js.Result) -> None:
    scores = [trial.score or 0.0 for trial in swept.top(3)]
    assert scores == sorted((trial.score or 0.0 for trial in swept.trials), reverse=True)[:3]
    assert swept.top(1) == [swept.best]
    assert len(swept.top(100)) == 8
    with pytest.raises(js.RequestError, match=r"top\(0\) is not legal"):
        swept.top(0)


def test_what_it_says_of_itself_is_short(swept: js.Result) -> None:
    assert repr(swept).startswith(f"Result(completed, 8 trials, val_accuracy, best Trial({swept.best.id}, ")
    assert len(repr(swept)) < 300


def test_a_run_that_was_cut_off_is_opened_too(swept: js.Result, tmp_path: Path) -> None:
    """As it is while it goes on, and after a kill: without a summary, and with the trials that were committed."""
    js.sweep("iris", configs=[CONFIG] * 3, keep=0, out=tmp_path / "run", progress=False)
    with closing(sqlite3.connect(tmp_path / "run" / "trials.sqlite")) as db, db:
        db.execute("DELETE FROM summary")
        db.execute("DELETE FROM trials WHERE trial > 0")
    half = js.load(tmp_path / "run")
    assert half.status == "running"
    assert [trial.id for trial in half.trials] == [0]
    assert half.curves("val_loss").shape == (1, 3)
    assert half.summary()["trials"]["requested"] == 3
    with closing(sqlite3.connect(tmp_path / "run" / "trials.sqlite")) as db, db:
        db.execute("DELETE FROM trials")
        db.execute("DELETE FROM evaluations")
    empty = js.load(tmp_path / "run")
    assert empty.trials == []
    assert empty.to_pandas().empty
    with pytest.raises(js.SweepFailed):
        _ = empty.best


# --- lanes -------------------------------------------------------------------------------------------------------


def test_a_row_for_each_network(swept: js.Result, loaded: js.Result) -> None:
    frame, whole = swept.to_pandas(lanes=True), swept.to_pandas()
    pd.testing.assert_frame_equal(loaded.to_pandas(lanes=True), frame, check_exact=True)
    assert frame[["trial", "replicate", "fold"]].to_numpy().tolist() == [[t, r, 0] for t in range(8) for r in (0, 1)]
    assert [*frame.columns] == [
        "trial",
        "replicate",
        "fold",
        *(name for name in whole if name not in ("trial", "spread")),
    ]
    by_trial = frame.groupby("trial")
    for name in ("score", "val_loss", "test_loss", "test_accuracy"):
        np.testing.assert_allclose(by_trial[name].mean(), whole[name], rtol=1e-12)
    np.testing.assert_allclose(by_trial["score"].std(ddof=0), whole["spread"], atol=1e-12)
    assert (by_trial["epochs_done"].max().to_numpy() == whole["epochs_done"]).all()
    assert {*frame["status"]} == {"completed", "stopped"}
    assert ((frame["status"] == "completed") == (frame["epochs_done"] == 3)).all()


def test_curves_of_each_network(swept: js.Result, loaded: js.Result) -> None:
    curves, frame = swept.curves("val_loss", lanes=True), swept.to_pandas(lanes=True)
    assert curves.shape == (8, 2, 3)
    np.testing.assert_array_equal(loaded.curves("val_loss", lanes=True), curves)
    assert np.isfinite(curves).sum(axis=2).ravel().tolist() == frame["epochs_done"].tolist()
    both = np.isfinite(curves).all(axis=1)
    np.testing.assert_allclose(swept.curves("val_loss")[both], curves.mean(axis=1)[both], rtol=1e-12)
    with pytest.raises(js.RequestError, match="did you mean 'val_loss'"):
        swept.curves("val_los", lanes=True)


def test_of_a_lane_that_diverged_there_is_no_score(tmp_path: Path) -> None:
    """And the others of its trial are known by their own; the best epoch counts where the sweep said so."""
    config = {**CONFIG, "optimizer": "sgd", "learning_rate": 3.0, "momentum": 0.9, "depth": 3, "epochs": 6}
    result = js.sweep(
        "iris", configs=[config, {**config, "learning_rate": 1e30}, {**config, "learning_rate": 0.1}], replicates=2,
        keep_weights="best", objective="val_loss", keep=0, out=tmp_path / "run", progress=False,
    )  # fmt: skip
    frame = result.to_pandas(lanes=True)
    pd.testing.assert_frame_equal(js.load(tmp_path / "run").to_pandas(lanes=True), frame, check_exact=True)
    assert frame["status"][2:].tolist() == ["diverged", "diverged", "completed", "completed"]
    assert frame.loc[2:3, ["score", "val_loss", "test_loss"]].isna().all(axis=None)
    curves = result.curves("val_loss", lanes=True)
    np.testing.assert_allclose(frame["score"][4:], np.nanmin(curves[2], axis=1), rtol=1e-12)


@pytest.mark.parametrize("run", FIXTURES, ids=lambda path: path.name)
def test_of_an_earlier_format_is_told_what_was_recorded(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    result = js.load(tmp_path / "run")
    frame, whole = result.to_pandas(lanes=True), result.to_pandas()
    assert len(frame) == len(whole) * result.request.replicates * max(result.request.folds, 1)
    np.testing.assert_allclose(frame.groupby("trial")["score"].mean(), whole["score"])
    np.testing.assert_allclose(frame.groupby("trial")["val_loss"].mean(), whole["val_loss"])
    lone = len(frame) == len(whole)
    if lone or int(run.name.split("_")[2]) >= 2:
        np.testing.assert_allclose(frame.groupby("trial")["test_loss"].mean(), whole["test_loss"])
    else:
        assert frame["test_loss"].isna().all()
    assert {*frame["status"]} <= {"completed", "stopped", "diverged"}
    assert result.curves("val_loss", lanes=True).shape[0] == len(whole)
    assert set(result.best.params) <= set(result.request.space or result.best.config)


def test_how_a_lane_of_an_earlier_format_ended() -> None:
    """Which `Trial` says for all of its lanes together."""

    def told(status: str, patience: int, *epochs: int, last: float = 0.5) -> list[str]:
        config = resolve({"epochs": 3, "patience": patience}, "regression", 100)
        trial = js.Trial(0, status, None, 0.0, max(epochs), 1.0, {"test_loss": 0.25}, tuple(config.values()))
        curves = [np.full((count, 2), 0.5) for count in epochs]
        curves[0][-1] = last
        lanes = [Lane(number, 0, "", curve, None) for number, curve in enumerate(curves)]
        return [lane.status for lane in as_recorded_before(trial, lanes, ("test_loss",))]

    assert told("completed", 0, 3, 3) == ["completed", "completed"]
    assert told("stopped", 1, 3, 2) == ["completed", "stopped"]
    assert told("diverged", 0, 3, 2, 1) == ["completed", "diverged", "diverged"]
    assert told("diverged", 0, 3, 3, last=np.nan) == ["diverged", "completed"]
    assert told("diverged", 1, 3, 2) == ["completed", ""]  # it may have been stopped
    assert told("diverged", 1, 2) == ["diverged"]


# --- what the sweep varied ---------------------------------------------------------------------------------------


def test_params_are_what_was_swept(swept: js.Result, loaded: js.Result) -> None:
    for result in (swept, loaded):
        assert [list(trial.params) for trial in result.trials] == [["learning_rate", "patience"]] * 8
        assert result.best.params == {name: result.best.config[name] for name in ("learning_rate", "patience")}
        assert f"{result.best.config['learning_rate']:.4g}" in repr(result.best)
        assert "epochs" not in repr(result.best)
        page = result._repr_html_()
        assert "<th>patience</th>" in page
        assert "<th>width</th>" not in page
        assert "<th>epochs</th>" not in page
    copied = copy.deepcopy(swept.best)
    assert copied == swept.best
    assert copied.params == swept.best.params


# --- why there is no best trial ----------------------------------------------------------------------------------


def test_an_interrupted_sweep_without_a_trial_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxsweep.loop.plan_of", interrupted)
    result = execute(js.load_dataset("iris"), Request(configs=(CONFIG,) * 7), tmp_path / "run")
    monkeypatch.undo()
    words = "the sweep was interrupted before any of its 7 trials finished"
    for each in (result, js.load(tmp_path / "run")):
        for ask in (lambda each=each: each.best, each.model, each.predictions, each.retrain):
            with pytest.raises(js.SweepFailed, match=words):
                ask()
        assert each.to_pandas(lanes=True).empty
        assert each.curves("val_loss", lanes=True).shape == (0, 1, 0)
        assert each.curves("val_loss").shape == (0, 0)


def test_what_became_of_the_trials_is_told() -> None:
    wild = {**CONFIG, "learning_rate": 1e30, "optimizer": "sgd", "depth": 3, "epochs": 9}
    result = js.sweep("iris", configs=[wild] * 2, progress=False)
    with pytest.raises(js.SweepFailed, match="no trial finished: 2 diverged; try smaller learning rates, or clip_norm"):
        _ = result.best
    result.status = "interrupted"
    with pytest.raises(
        js.SweepFailed, match="before any of its 2 trials finished with a score; of those that ended, 2 d"
    ):
        _ = result.best


def test_data_in_memory_cannot_be_read_again(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    js.sweep((x, x[:, 0] > 0), configs=[CONFIG], keep=0, out=tmp_path / "run", progress=False)
    loaded = js.load(tmp_path / "run")
    assert len(loaded.trials) == 1
    with pytest.raises(js.RequestError, match="was trained on data in memory, which cannot be read again"):
        loaded.model()
    with pytest.raises(js.RequestError, match="is no run directory"):
        js.load(tmp_path)


def test_what_a_caller_does_to_a_config_is_the_callers_own() -> None:
    result = js.sweep("iris", configs=[{**CONFIG, "width": [8], "activation": "tanh"}], progress=False)
    x = np.random.default_rng(0).normal(size=(20, 4)) + 3
    table, predicted = result.to_pandas(), result.model().predict_proba(x)
    config = result.best.config
    config["activation"], config["epochs"], config["more"] = "relu", 99, 1
    config["width"].append(3)
    pd.testing.assert_frame_equal(result.to_pandas(), table)
    np.testing.assert_array_equal(result.model().predict_proba(x), predicted)
    assert "more" not in repr(result.best)


def test_a_hyperparameter_of_a_later_version_is_shown_and_not_trained_without(tmp_path: Path) -> None:
    js.sweep("iris", configs=[CONFIG], keep=0, out=tmp_path / "run", progress=False)
    with closing(sqlite3.connect(tmp_path / "run" / "trials.sqlite")) as db, db:
        db.executescript("PRAGMA user_version = 3; DROP TABLE seals")
        db.execute("""UPDATE trials SET config = json_set(json_remove(config, '$.clip_norm'), '$.label_noise', 0.3)""")
    loaded = js.load(tmp_path / "run")
    assert loaded.best.config["label_noise"] == 0.3
    assert loaded.best.config["clip_norm"] == 0.0  # which this run knew nothing of
    with pytest.raises(js.RequestError, match="unknown hyperparameter 'label_noise'"):
        loaded.model()

"""A result, as a sweep gives it and as it is opened again."""

import copy
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import jaxsweep as js

CONFIG: dict[str, Any] = {"depth": 1, "width": 8, "epochs": 3}
SPACE = {**CONFIG, "learning_rate": js.LogUniform(1e-3, 1e-1), "patience": js.Choice([0, 1])}


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
        db.execute("""UPDATE trials SET config = json_set(json_remove(config, '$.clip_norm'), '$.label_noise', 0.3)""")
    loaded = js.load(tmp_path / "run")
    assert loaded.best.config["label_noise"] == 0.3
    assert loaded.best.config["clip_norm"] == 0.0  # which this run knew nothing of
    with pytest.raises(js.RequestError, match="unknown hyperparameter 'label_noise'"):
        loaded.model()

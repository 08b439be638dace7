"""The loop as a notebook calls it: results, the run directory, determinism, failure and interruption."""

import sqlite3
import threading
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import jaxsweep as js
from jaxsweep import loop, recording
from jaxsweep.loop import execute
from jaxsweep.records import store
from jaxsweep.records.stored import load as read_run
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS
from jaxsweep.spec.metrics import metric_names
from jaxsweep.spec.request import Request
from jaxsweep.spec.space import Space

pytestmark = pytest.mark.usefixtures("one_tile")

SHAPE = {"depth": 1, "width": 8, "batch_size": 30}
SPACE = Space(
    learning_rate=js.LogUniform(1e-3, 1e-1), optimizer=js.Choice(["adam", "sgd"]), epochs=js.Int(2, 4), **SHAPE
)


@pytest.fixture(scope="module")
def run(iris: js.Dataset, tmp_path_factory: pytest.TempPathFactory) -> js.Result:
    return js.sweep(iris, SPACE, trials=24, keep=3, out=tmp_path_factory.mktemp("runs") / "one", progress=False)


def test_the_table_has_a_row_for_each_trial(run: js.Result) -> None:
    frame = run.to_pandas()
    assert run.status == "completed"
    assert frame["trial"].tolist() == list(range(24))
    assert set(HYPERPARAMETERS) < set(frame)
    measured = frame.columns.drop(list(HYPERPARAMETERS))
    metrics = [c for c in measured if c.startswith(("train_", "val_", "test_"))]
    names = metric_names("classification", 3)
    assert {"loss", "accuracy", "balanced_accuracy", "f1", "log_loss"} <= set(names)
    assert metrics == ["train_loss", *(f"val_{name}" for name in names), *(f"test_{name}" for name in names)]
    assert (frame["score"] == frame["val_accuracy"]).all()
    assert run.best.score == frame["score"].max()
    assert run.best.id == frame["score"].idxmax()


def test_learning_curves_end_where_trials_end(run: js.Result) -> None:
    curves = run.curves("val_accuracy")
    assert curves.shape == (24, 4)
    for trial, curve in zip(run.trials, curves, strict=True):
        assert np.isfinite(curve).sum() == trial.epochs_done == trial.config["epochs"]
        assert curve[trial.epochs_done - 1] == pytest.approx(trial.score)
    with pytest.raises(js.RequestError, match="'val_acc' has no learning curve; did you mean 'val_accuracy'"):
        run.curves("val_acc")


def test_the_run_directory_is_the_whole_truth(run: js.Result, iris: js.Dataset) -> None:
    assert run.run is not None
    stored = read_run(run.run)
    pd.testing.assert_frame_equal(pd.DataFrame([trial.row() for trial in stored.trials]), run.to_pandas())
    assert stored.objective == "val_accuracy"
    assert stored.request.space == SPACE
    assert stored.request.trials == 24
    assert stored.dataset().fingerprint == iris.fingerprint
    for trial in (0, 7):
        np.testing.assert_allclose(
            stored.curves_of(trial)["val_loss"],
            run.curves("val_loss")[trial][: run.trials[trial].epochs_done],
            rtol=1e-6,
        )
    with sqlite3.connect(run.run / "trials.sqlite") as db:
        rows = db.execute("SELECT trial, epochs, val_loss FROM evaluations ORDER BY trial").fetchall()
    assert [(trial, epochs) for trial, epochs, _ in rows] == [(trial.id, trial.epochs_done) for trial in run.trials]
    assert [len(np.frombuffer(curve, "<f8")) for _, _, curve in rows] == [trial.epochs_done for trial in run.trials]
    table = tomllib.loads((run.run / "sweep.toml").read_text())
    assert table["sweep"]["objective"] == "val_accuracy"
    assert table["data"]["name"] == "iris"
    assert "jax" in table["versions"]


def test_the_best_keep_their_weights_on_disk(run: js.Result) -> None:
    assert run.run is not None
    best = run.to_pandas().sort_values(["score", "trial"], ascending=[False, True])["trial"][:3]
    assert sorted(int(path.name) for path in (run.run / "models").iterdir()) == sorted(best)
    again = js.load_model(run.run / "models" / str(run.best.id))
    x = np.random.default_rng(0).normal(size=(9, 4)) + 3
    np.testing.assert_array_equal(again.predict(x), run.model().predict(x))


def test_a_model_that_was_not_kept_is_trained_again(run: js.Result, iris: js.Dataset) -> None:
    lost = next(trial for trial in run.trials if trial.id not in run.models)
    kept = next(trial for trial in run.trials if trial.id in run.models)
    x = np.random.default_rng(0).normal(size=(9, 4)) + 3
    assert run.model(lost.id).predict_proba(x).shape == (9, 3)
    alone = js.solo(iris, kept.config, trial=kept.id)
    for layer, arrays in alone.params.items():
        for name, array in arrays.items():
            np.testing.assert_allclose(run.model(kept.id).params[layer][name], array, rtol=2e-4, atol=2e-5)


def test_same_seed_same_table(run: js.Result, iris: js.Dataset) -> None:
    pd.testing.assert_frame_equal(
        js.sweep(iris, SPACE, trials=24, progress=False).to_pandas(), run.to_pandas(), check_exact=True
    )
    other = js.sweep(iris, SPACE, trials=24, seed=1, progress=False).to_pandas()
    assert not other["learning_rate"].equals(run.to_pandas()["learning_rate"])


def test_exactly_these_configs_in_this_order(iris: js.Dataset) -> None:
    configs: list[dict[str, Any]] = [{**SHAPE, "learning_rate": rate, "epochs": 2} for rate in (0.03, 0.01, 0.02)]
    configs[1]["optimizer"] = "sgd"  # as in SPACE, and so in its program
    result = js.sweep(iris, configs=configs, progress=False)
    assert [trial.config["learning_rate"] for trial in result.trials] == [0.03, 0.01, 0.02]


def test_replicates_and_folds_are_averaged(iris: js.Dataset) -> None:
    configs = [{**SHAPE, "learning_rate": 0.01, "epochs": 3}]
    result = js.sweep(iris, configs=configs, replicates=2, folds=2, objective="val_loss", keep=1, progress=False)
    lanes = [
        js.solo(iris, configs[0], replicate=r, fold=f, folds=2).curves["val_loss"] for r in range(2) for f in range(2)
    ]
    (trial,) = result.trials
    ends = [lane[-1] for lane in lanes]
    assert trial.score == pytest.approx(np.mean(ends), rel=1e-4)
    assert trial.spread == pytest.approx(np.std(ends), rel=1e-3)
    np.testing.assert_allclose(result.curves("val_loss")[0], np.mean(lanes, axis=0), rtol=1e-4)
    assert trial.id in result.models


def test_the_score_of_the_best_epoch(iris: js.Dataset) -> None:
    config = {**SHAPE, "learning_rate": 0.3, "epochs": 12, "optimizer": "sgd", "momentum": 0.95}
    last = js.sweep(iris, configs=[config], objective="val_loss", progress=False)
    best = js.sweep(iris, configs=[config], objective="val_loss", keep_weights="best", progress=False)
    curve = best.curves("val_loss")[0]
    np.testing.assert_allclose(curve, last.curves("val_loss")[0], rtol=1e-4)
    assert best.best.score == pytest.approx(curve.min())
    assert last.best.score == pytest.approx(curve[-1])
    assert curve.min() < curve[-1]


def test_regression_is_scored_in_units_of_the_target() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    y = 1000 + 100 * x[:, 0]
    data = js.Dataset.from_arrays(x, y)
    configs = [{**SHAPE, "learning_rate": 0.02, "epochs": 40}]
    result = js.sweep(data, configs=configs, progress=False)
    metrics = result.best.metrics
    assert result.objective == "val_mse"
    assert metrics["val_r2"] > 0.95
    assert 1 < metrics["val_mae"] < 30
    assert np.abs(result.model().predict(x) - y).mean() < 30


def test_diverged_trials_are_data(iris: js.Dataset) -> None:
    rates = {"sgd": 1e30, "adam": 0.01}
    configs = [{**SHAPE, "learning_rate": rate, "epochs": 3, "optimizer": name} for name, rate in rates.items()]
    configs.append({**configs[1], "learning_rate": 1e30})
    result = js.sweep(iris, configs=configs, progress=False)
    assert [trial.status for trial in result.trials] == ["diverged", "completed", "diverged"]
    assert [trial.score is None for trial in result.trials] == [True, False, True]
    assert result.best.id == 1
    assert result.summary()["trials"]["diverged"] == 2
    lost = js.sweep(iris, configs=configs[::2], progress=False)
    assert lost.status == "failed"
    with pytest.raises(js.SweepFailed, match="no trial finished"):
        _ = lost.best
    with pytest.raises(js.RequestError, match="trial 0 has no network: it is diverged"):
        lost.model(0)


@pytest.mark.parametrize("search", [name for name in js.search.SEARCHERS if name != "random"])
def test_every_searcher_runs(iris: js.Dataset, search: str) -> None:
    # As many as in `run`, for which a program is there already; those that learn do so from a first half.
    small = {name: {"population": 24} for name in ("evolution", "de", "bayes")}
    small |= {"gradient": {"starts": 24}, "zoom": {"per_round": 24}, "grid": {"resolution": 4}}
    options: dict[str, Any] = small.get(search, {})
    trials = 24 if search in ("grid", "sobol") else 48
    result = js.sweep(iris, SPACE, trials=trials, search=search, progress=False, **options)
    assert len(result.trials) == trials
    assert len({repr(trial.config) for trial in result.trials}) == trials


class _Interrupts(Progress):
    """A listener that interrupts like Ctrl-C, once, when ten trials have finished."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def update(self, snapshot: Snapshot) -> None:
        if snapshot.finished >= 10 and not snapshot.interrupted:
            raise KeyboardInterrupt

    def message(self, text: str) -> None:
        self.notes.append(text)


def test_a_search_along_gradients(iris: js.Dataset) -> None:
    """It goes on from configs that are trained first, too; linear models of four epochs want a higher learning rate."""
    space = Space(learning_rate=js.LogUniform(1e-4, 1e-2), l2=js.LogUniform(1e-5, 1e-1), depth=js.Choice([0]), epochs=4)
    first = [{"learning_rate": 1e-3, "l2": 1e-3, "depth": 0}]
    options: dict[str, Any] = {"search": "gradient", "starts": 6, "initial": first, "trials": 13, "progress": False}
    result = js.sweep(iris, space, **options)
    rates = [trial.config["learning_rate"] for trial in result.trials]
    assert rates[0] == 1e-3
    assert all(after > before for before, after in zip(rates[:5], rates[7:12], strict=True))  # the steps of the starts
    pd.testing.assert_frame_equal(js.sweep(iris, space, **options).to_pandas(), result.to_pandas(), check_exact=True)


def test_an_interrupt_keeps_what_is_finished(iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "FLUSH_SECONDS", 0.0)  # each is shown by itself
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.0)
    result = execute(iris, Request(space=SPACE, trials=500), tmp_path / "run", _Interrupts())
    assert result.status == "interrupted"
    assert len(result.trials) == 10
    assert len(read_run(tmp_path / "run").trials) == len(result.trials)


class _Last(Progress):
    """A listener that knows what it was told last."""

    def close(self, snapshot: Snapshot) -> None:
        self.last = snapshot


@pytest.mark.parametrize("place", ["_note", "flush", "record"])
def test_an_interrupt_between_any_two_lines_loses_and_doubles_nothing(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """What the result has is what the database has and progress says, whether it comes before a commit or after."""
    owner = store.Store if place == "record" else recording.Recording
    original, calls = getattr(owner, place), []

    def interrupted(self: Any, *arguments: Any) -> None:
        calls.append(arguments)
        if place == "record":
            original(self, *arguments)  # committed, and nobody knows
        if len(calls) == 1:
            raise KeyboardInterrupt
        if place != "record":
            original(self, *arguments)

    monkeypatch.setattr(owner, place, interrupted)
    monkeypatch.setattr(recording, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.0)
    listener = _Last()
    result = execute(iris, Request(space=SPACE, trials=500), tmp_path / "run", listener)
    counts = result.summary()["trials"]
    assert result.status == "interrupted"
    assert counts["finished"] == counts["recorded"] == len(result.trials) >= 1
    assert listener.last.finished == len(result.trials)
    assert (listener.last.best_trial, listener.last.best_score) == (result.best.id, result.best.score)
    assert [trial.id for trial in read_run(tmp_path / "run").trials] == [trial.id for trial in result.trials]


def test_a_failed_commit_is_raised_and_nothing_is_shown_of_it(
    iris: js.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk; the workers end first, and nobody tries again while they do."""
    original, calls = store.Store.record, []

    def record(self: Any, finished: Any) -> None:
        calls.append(len(finished))
        if len(calls) > 1:
            raise sqlite3.OperationalError("database or disk is full")
        original(self, finished)

    monkeypatch.setattr(store.Store, "record", record)
    listener = _Last()
    with pytest.raises(sqlite3.OperationalError, match="full"):
        execute(iris, Request(space=SPACE, trials=500), tmp_path / "run", listener)
    assert calls[0] == 1
    assert len(calls) == 3  # the one that failed, and once more at the end
    assert listener.last.finished == len(read_run(tmp_path / "run").trials) == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jaxsweep-")]


def test_a_remainder_of_a_grid_is_said(iris: js.Dataset) -> None:
    listener = _Interrupts()
    space = Space(learning_rate=js.Choice([0.01, 0.02]), optimizer=js.Choice(["adam", "sgd"]), epochs=2, **SHAPE)
    assert len(execute(iris, Request(space=space, search="grid", trials=2), None, listener).trials) == 2
    assert len(execute(iris, Request(space=space, search="grid", trials=9), None, listener).trials) == 4
    assert len(listener.notes) == 2
    assert "not tried" in listener.notes[0]
    assert "9 trials asked for" in listener.notes[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"objective": "test_accuracy"}, "never searched on"),
        ({"objective": "val_r2"}, "does not exist for classification"),
        ({"search": "randon"}, "did you mean 'random'"),
        (
            {"search": "gradient", "space": Space(depth=js.Int(1, 3))},
            "search = 'gradient' needs a Uniform or LogUniform",
        ),
        ({"folds": 1}, "folds"),
        ({"trials": 0}, "trials = 0 is not legal"),
        ({"keep_weights": "worst"}, "keep_weights = 'worst'"),
        ({"split": (0.5, 0.2, 0.2)}, "split"),
        ({"space": {"batch_size": 0}}, "batch_size = 0 is not legal"),
        ({"space": Space(rotation=js.Uniform(0, 9))}, "image-shaped"),
        ({"space": Space(loss="mse")}, "does not fit classification"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_runs(
    iris: js.Dataset, change: dict[str, Any], words: str
) -> None:
    arguments: dict[str, Any] = {"space": SPACE, "progress": False, **change}
    space = arguments.pop("space")
    with pytest.raises(js.RequestError, match=words):
        js.sweep(iris, space, **arguments)


def test_a_directory_that_holds_a_run_is_refused(iris: js.Dataset, run: js.Result) -> None:
    with pytest.raises(js.RequestError, match="already holds a run"):
        js.sweep(iris, SPACE, out=run.run, progress=False)


ODD = {**SHAPE, "epochs": 2, "learning_rate": 0.01}


def _train(x: Any, y: Any) -> js.Trial:
    return js.sweep(js.Dataset.from_arrays(x, y), configs=[ODD], progress=False).best


def test_odd_data_train() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4))
    assert _train(x, rng.integers(0, 2, 120)).status == "completed"  # random labels
    assert _train(np.c_[x[:, :3], np.full(120, 7.0)], x[:, 0] > 0).status == "completed"  # a constant column
    assert _train(x[:, :1], x[:, 0] > 0).status == "completed"  # one feature
    assert _train(x, np.arange(120) < 3).status == "completed"  # a class of three rows
    with pytest.raises(js.RequestError, match="2 rows"):
        _train(x, np.arange(120) < 2)  # too few for training, validation and test


def test_a_hundred_thousand_rows_train() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100_000, 10))
    config = {**ODD, "batch_size": 1000, "epochs": 1}
    result = js.sweep(js.Dataset.from_arrays(x, x[:, 0] + x[:, 1] > 0), configs=[config], progress=False)
    assert result.best.metrics["val_accuracy"] > 0.8


def test_a_result_shows_itself_in_a_notebook(run: js.Result) -> None:
    page = run._repr_html_()
    assert "<table" in page
    assert "best val_accuracy first" in page
    ranked = sorted(run.trials, key=lambda trial: (-(trial.score or 0.0), trial.id))
    assert page.index(f"<th>{ranked[0].id}</th>") < page.index(f"<th>{ranked[1].id}</th>")

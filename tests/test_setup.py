"""Scores: in units of the target at any scale, finite or none, comparable and defined, or refused."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cli_helpers import ok, refused
from hypothesis import given
from hypothesis import strategies as st

import jaxsweep as js
from jaxsweep.engine.outcome import Job, LaneResult
from jaxsweep.records.forward import forward
from jaxsweep.records.stored import load as read_run
from jaxsweep.records.trials import Columns, lane_score, make_trial, mean_of
from jaxsweep.spec.hyperparameters import MOST_STEPS, resolve
from jaxsweep.spec.metrics import metric_names
from jaxsweep.streams import RULES

pytestmark = pytest.mark.usefixtures("one_tile")

SHAPE: dict[str, Any] = {"depth": 1, "width": 8, "learning_rate": 0.02}
CONFIGS = [{**SHAPE, "epochs": epochs} for epochs in (1, 3, 30)]
RNG = np.random.default_rng(5)
X = RNG.normal(size=(200, 3))
Y = 2 * X[:, 0] - X[:, 1]


def _sweep(y: np.ndarray, **more: Any) -> js.Result:
    return js.sweep(js.Dataset.from_arrays(X, y), configs=CONFIGS, progress=False, keep=0, **more)


@pytest.fixture(scope="module")
def plain() -> js.Result:
    return _sweep(Y)


@pytest.mark.parametrize("scale", [1e20, 1e-20, 1e100])
def test_a_targets_scale_changes_units_alone(plain: js.Result, scale: float) -> None:
    scaled = _sweep(Y * scale)
    assert scaled.best.id == plain.best.id == 2
    for a, b in zip(plain.trials, scaled.trials, strict=True):
        assert a.score is not None
        assert b.score == pytest.approx(a.score * scale**2, rel=1e-4)
        for metric, power in (("val_mae", 1), ("val_rmse", 1), ("test_mse", 2), ("val_r2", 0), ("val_loss", 0)):
            assert b.metrics[metric] == pytest.approx(a.metrics[metric] * scale**power, rel=1e-3), metric
    np.testing.assert_allclose(scaled.curves("val_mse"), plain.curves("val_mse") * scale**2, rtol=1e-3)


@pytest.mark.parametrize("more", [{"folds": 2}, {"replicates": 2}])
def test_means_over_lanes_at_a_large_scale(more: dict[str, int]) -> None:
    result = _sweep(Y * 1e20, **more)
    assert [trial.status for trial in result.trials] == ["completed"] * 3
    for trial in result.trials:
        assert trial.score is not None
        assert np.isfinite([trial.score, trial.spread]).all()
        assert trial.spread > 0


def test_min_delta_is_in_units_of_the_objective() -> None:
    """At any scale of the target, early stopping sees the same improvements."""
    stops = {}
    for scale in (1.0, 1e3):
        config = {**SHAPE, "epochs": 60, "patience": 2, "monitor": "objective"}
        configs = [{**config, "min_delta": 0.05 * scale}]
        data = js.Dataset.from_arrays(X, Y * scale)
        (lane,) = js.sweep(data, configs=configs, objective="val_rmse", progress=False, keep=0).trials
        alone = js.solo(data, configs[0], objective="val_rmse")
        assert lane.status == alone.status == "stopped"
        assert lane.epochs_done == alone.epochs
        stops[scale] = lane.epochs_done
    assert len(set(stops.values())) == 1


def test_a_score_that_is_not_finite_is_no_score() -> None:
    columns = Columns.of("regression", 1, "val_mse", False)
    rows = {np.inf: None, np.nan: None, 1e300: 1e300}
    for value, score in rows.items():
        curves = np.array([[0.1, 0.2, value, 1.0, 0.5, 1.0]])
        assert lane_score("completed", curves, columns, False) == score
        lanes = [LaneResult(Job(0, 0, replicate, 0), "completed", 10, curves, None, 0.1) for replicate in range(2)]
        trial = make_trial(0, resolve({}, "regression", 100), lanes, columns, False)
        assert trial.score == score
        assert trial.spread == 0
        assert trial.metrics["val_r2"] == 0.5


@given(values=st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=9), order=st.randoms())
def test_a_score_is_its_metric_in_whatever_order_lanes_have_ended(values: list[float], order: Any) -> None:
    columns = Columns.of("regression", 1, "val_mse", False)
    lanes = [
        LaneResult(Job(0, 0, 0, fold), "completed", 1, np.array([[0.1, 0.2, value, 1.0, 0.5, 1.0]]), None, 0.1)
        for fold, value in enumerate(values)
    ]
    trial = make_trial(0, resolve({}, "regression", 100), lanes, columns, False)
    assert trial.score == trial.metrics["val_mse"] == mean_of([lane.curves for lane in lanes])[-1, 2]
    order.shuffle(lanes)
    assert make_trial(0, resolve({}, "regression", 100), lanes, columns, False).score == trial.score


DIFFERENT: dict[str, dict[str, Any]] = {
    "losses": {"loss": js.Choice(["mse", "huber"])},
    "a parameter": {"loss": "huber", "huber_delta": js.LogUniform(0.01, 2)},
    "a parameter of one of two": {"loss": js.Choice(["mse", "mae"])},
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_the_loss_is_no_objective_where_trials_have_different_ones(what: str) -> None:
    with pytest.raises(js.RequestError, match=r"val_loss' would compare different losses.* use one of val_mse, "):
        js.sweep(js.load_dataset("diabetes"), DIFFERENT[what], objective="val_loss", trials=2, progress=False)


def test_listed_configs_with_different_losses_are_refused_too() -> None:
    iris = js.load_dataset("iris")
    gammas = [{**SHAPE, "loss": "focal", "focal_gamma": gamma} for gamma in (1.0, 2.0)]
    with pytest.raises(js.RequestError, match="focal_gamma differs between trials: use one of val_accuracy"):
        js.sweep(iris, configs=gammas, objective="val_loss", progress=False)
    mixed = [{**SHAPE, "loss": loss} for loss in ("cross_entropy", "focal")]
    with pytest.raises(js.RequestError, match="loss differs between trials"):
        js.sweep(iris, configs=mixed, objective="val_loss", progress=False)


@pytest.fixture(scope="module")
def one_loss() -> js.Result:
    """A sweep of iris in which the loss is the same for all.

    Neither smoothing, which evaluations leave out, nor a parameter of a loss that nobody uses makes a difference.
    """
    space = {**SHAPE, "epochs": 1, "label_smoothing": js.Uniform(0, 0.2), "focal_gamma": js.Uniform(1, 2)}
    return js.sweep(js.load_dataset("iris"), space, trials=2, objective="val_loss", progress=False, keep=0)


def test_the_loss_is_an_objective_where_it_is_the_same_for_all(one_loss: js.Result) -> None:
    assert [trial.metrics["val_loss"] for trial in one_loss.trials] == [
        trial.metrics["val_log_loss"] for trial in one_loss.trials
    ]


def test_log_loss_compares_losses() -> None:
    configs = [{**SHAPE, "epochs": 5, "loss": loss, "focal_gamma": 3.0} for loss in ("cross_entropy", "focal")]
    iris = js.load_dataset("iris")
    result = js.sweep(iris, configs=configs, objective="val_log_loss", progress=False, keep=0)
    for trial in result.trials:
        curves = js.solo(iris, trial.config, trial=trial.id, objective="val_log_loss").curves
        assert trial.score == pytest.approx(curves["val_log_loss"][-1], rel=1e-4)
    assert result.trials[1].metrics["val_loss"] < result.trials[1].metrics["val_log_loss"]


def _one_class() -> js.Dataset:
    labels = (X[:, 0] > 0).astype(int)
    return js.Dataset.from_arrays(X, labels, X_val=X[labels == 1][:20], y_val=np.ones(20, int))


def _own_parts(**targets: Any) -> js.Dataset:
    """Return data with 20 validation and 20 test rows; all that are made here share a program."""
    parts: dict[str, Any] = {"y_val": Y[:20], "y_test": Y[:20], **targets}
    return js.Dataset.from_arrays(X, Y, X_val=X[:20], X_test=X[:20], **parts)


def _one_value(part: str) -> js.Dataset:
    return _own_parts(**{f"y_{part}": np.full(20, 0.1)})


def test_an_objective_that_is_not_defined_on_the_validation_rows_is_refused() -> None:
    with pytest.raises(
        js.RequestError, match=r"val_auc' is not defined .* all of one class: use other validation rows, or"
    ):
        js.sweep(_one_class(), configs=CONFIGS, objective="val_auc", progress=False)
    y_val = np.arange(20) % 2
    weighed = js.Dataset.from_arrays(X, Y > 0, X_val=X[:20], y_val=y_val > 0, weights_val=y_val)
    with pytest.raises(js.RequestError, match=r"val_auc' is not defined .* all of one class"):
        js.sweep(weighed, configs=CONFIGS, objective="val_auc", progress=False)  # the other one weighs nothing
    with pytest.raises(
        js.RequestError, match=r"val_r2' is not defined .* all of one value: use other validation rows, or"
    ):
        js.sweep(_one_value("val"), configs=CONFIGS, objective="val_r2", progress=False)


def test_metrics_that_are_not_defined_are_nan() -> None:
    auc = js.sweep(_one_class(), configs=CONFIGS[:1], progress=False, keep=0).trials[0].metrics
    assert np.isnan(auc["val_auc"])
    assert auc["val_accuracy"] >= 0
    validation = js.sweep(_one_value("val"), configs=CONFIGS[:1], progress=False, keep=0).trials[0].metrics
    assert np.isnan(validation["val_r2"])
    assert np.isfinite([validation["val_mse"], validation["test_r2"]]).all()
    test = js.sweep(_one_value("test"), configs=CONFIGS[:1], progress=False, keep=0).trials[0].metrics
    assert np.isnan(test["test_r2"])
    assert np.isfinite([test["test_mse"], test["val_r2"]]).all()


def test_train_metrics_are_those_of_the_training_rows(tmp_path: Path, one_loss: js.Result) -> None:
    data, config = js.load_dataset("breast_cancer"), {**SHAPE, "epochs": 3, "dropout": 0.2}
    result = js.sweep(data, configs=[config], train_metrics=True, progress=False, out=tmp_path / "run")
    alone = js.solo(data, config, train_metrics=True)
    names = [name for name in result.to_pandas().columns if name.startswith("train_") and name != "train_rows"]
    assert names == [f"train_{name}" for name in metric_names("classification", 2)]
    for name in names:
        np.testing.assert_allclose(result.curves(name)[0], alone.curves[name], rtol=1e-4, err_msg=name)
    with pytest.raises(js.RequestError, match="'train_f1' has no learning curve: sweep with train_metrics=True"):
        one_loss.curves("train_f1")
    again = read_run(tmp_path / "run")
    assert again.request.train_metrics
    pd.testing.assert_frame_equal(pd.DataFrame([trial.row() for trial in again.trials]), result.to_pandas())
    regression = js.sweep(
        js.load_dataset("diabetes"), configs=[{**SHAPE, "epochs": 2}], train_metrics=True, progress=False, keep=0
    )
    alone = js.solo(js.load_dataset("diabetes"), {**SHAPE, "epochs": 2}, train_metrics=True)
    for name in ("train_mse", "train_mae", "train_r2", "train_rmse"):
        np.testing.assert_allclose(regression.curves(name)[0], alone.curves[name], rtol=1e-4, err_msg=name)


def test_a_run_of_older_rules_is_shown_but_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    js.sweep(js.load_dataset("iris"), configs=[{**SHAPE, "epochs": 1}], out=out, progress=False, keep=0)
    text = (out / "sweep.toml").read_text()
    assert tomllib.loads(text)["versions"]["rules"] == RULES == 2
    assert "largest difference" in ok("solo", out, "--trial", "0")
    older = text.replace(f"rules = {RULES}\n", "")
    assert older != text
    (out / "sweep.toml").write_text(older)
    assert "val_loss" in ok("show", out)
    capsys.readouterr()
    for command in (("solo", out, "--trial", "0"), ("export", out, "--trial", "0", "--out", tmp_path / "model")):
        problem = refused(capsys, *command)
        assert f"trained by rules 1, and this version of jaxsweep follows rules {RULES}" in problem


def test_configs_that_cannot_be_trained_are_refused_before_any_is() -> None:
    iris = js.load_dataset("iris")
    dead = {**SHAPE, "norm": "batch", "batch_size": 1}
    with pytest.raises(js.RequestError, match="norm = 'batch' does not go with batch_size = 1"):
        js.sweep(iris, configs=[dead], progress=False)
    with pytest.raises(js.RequestError, match="norm = 'batch' does not go with batch_size = 1"):
        js.solo(iris, dead)
    space = {**SHAPE, "norm": js.Choice(["none", "batch"]), "batch_size": js.Choice([1, 16])}
    with pytest.raises(js.RequestError, match="the space has configs that cannot be trained: norm = 'batch'"):
        js.sweep(iris, space, trials=2, progress=False)
    apart = {**space, "batch_size": js.Choice([1, 16], when={"norm": "none"}), "epochs": 1}
    assert len(js.sweep(iris, apart, trials=2, progress=False, keep=0).trials) == 2
    linear = {"depth": 0, "norm": "batch", "batch_size": 30, "epochs": 1}
    assert js.sweep(iris, configs=[linear], progress=False, keep=0).best.status == "completed"
    long = js.Dataset.from_arrays(np.zeros((5000, 1)) + np.arange(5000)[:, None], np.arange(5000) % 2)
    with pytest.raises(js.RequestError, match=rf"epochs = 1000000 are .* it must be at most {MOST_STEPS // 3000}"):
        js.sweep(long, {"epochs": js.Int(1, 10**6), "batch_size": js.Choice([1, 32])}, trials=1, progress=False)


def test_conditions_decide_what_meets() -> None:
    """Entries that exclude each other through a third one may each have what the other could not do with."""
    data = js.load_dataset("iris")
    apart = js.Space(
        optimizer=js.Choice(["sgd", "adam"]), norm=js.Choice(["batch"], when={"optimizer": "sgd"}),
        batch_size=js.Choice([1], when={"optimizer": "adam"}), epochs=1, **SHAPE,
    )  # fmt: skip
    assert js.plan(data, apart, trials=4).lanes == 4
    between = js.Space(depth=js.Int(0, 2), batch_size=1, norm=js.Choice(["batch"], when={"depth": 1}), width=8)
    with pytest.raises(js.RequestError, match="norm = 'batch' does not go with batch_size = 1"):
        js.plan(data, between, trials=4)
    same_loss = js.Space(
        loss="huber", optimizer=js.Choice(["sgd", "adam"]), huber_delta=js.Choice([1.0], when={"optimizer": "sgd"}),
        epochs=1, **SHAPE,
    )  # fmt: skip
    diabetes = js.load_dataset("diabetes")
    assert js.sweep(diabetes, same_loss, trials=2, objective="val_loss", progress=False, keep=0).status == "completed"


def test_the_best_epoch_is_the_one_whose_weights_are_kept() -> None:
    """Also where rmse, rounded to float32, is the same in neighbouring epochs and the mean squared error is not."""
    data = js.Dataset.from_arrays(X, Y)
    configs = [{**SHAPE, "optimizer": "sgd", "learning_rate": 1e-4 * k, "epochs": 60} for k in range(1, 13)]
    result = js.sweep(data, configs=configs, objective="val_rmse", keep_weights="best", keep=12, progress=False)
    rows, y = result.data.x[0][result.data.val[0]], result.data.y[0][result.data.val[0]]
    for trial in result.trials:
        model = result.model(trial.id)
        outputs = forward(model.config, model.params, model.stats, rows)
        scale = float(result.data.target_scale[0])
        exact = float(np.sqrt(np.mean((outputs[:, 0] - y) ** 2)) * scale)
        assert trial.score == pytest.approx(exact, rel=2e-6)
        assert trial.score == np.nanmin(result.curves("val_rmse")[trial.id])


def test_solo_knows_what_is_constant_up_to_rounding() -> None:
    y_val = np.full(20, 0.1)
    y_val[3] = np.nextafter(0.1, 1)
    data, config = _own_parts(y_val=y_val), {**SHAPE, "epochs": 1}
    swept = js.sweep(data, configs=[config], progress=False, keep=0).trials[0].metrics
    assert np.isnan(swept["val_r2"])
    assert np.isnan(js.solo(data, config).curves["val_r2"][0])


# --- listed configs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"configs": []}, "configs = [] is empty"),
        ({"configs": [3]}, "configs[0] = 3 is not a config: it must be a dict such as {'depth': 2}"),
        ({"configs": [{"depth": 1}, {"dept": 1}]}, "configs[1]: unknown hyperparameter 'dept'; did you mean 'depth'?"),
        ({"configs": [{}, {"depth": 17}]}, "configs[1]: depth = 17 is not legal: it must be an integer in [0, 16]"),
        ({"configs": [{}, {"batch_size": 0}]}, "configs[1]: batch_size = 0 is not legal: it must be an integer >= 1"),
        ({"configs": [{}], "search": "grid"}, "search = 'grid' does not go with configs: leave out one of the two"),
        ({"configs": [{}], "resolution": 3}, "sweep has no keyword 'resolution'; it has data, space, configs, trials"),
        ({"configs": [{}], "space": {"depth": 1}}, "either a space or a list of configs"),
    ],
)
def test_listed_configs_that_are_refused(request_: dict[str, Any], words: str) -> None:
    with pytest.raises(js.RequestError) as caught:
        js.sweep(js.load_dataset("iris"), progress=False, **request_)
    assert words in str(caught.value)


def test_numbers_of_numpy_are_recorded_as_plain_ones(tmp_path: Path) -> None:
    configs = [{**SHAPE, "learning_rate": rate, "width": np.int64(8)} for rate in np.logspace(-2, -1, 2)]
    result = js.sweep(js.load_dataset("iris"), configs=configs, out=tmp_path / "run", keep=0, progress=False)
    stored = read_run(tmp_path / "run")
    assert stored.request.configs == tuple(configs)
    assert type((stored.request.configs or [{}])[0]["learning_rate"]) is float
    assert [trial.config for trial in stored.trials] == [trial.config for trial in result.trials]
    assert type(result.trials[0].config["learning_rate"]) is float
    space, split = {**SHAPE, "nesterov": js.Choice(list(np.array([True, False])))}, tuple(np.array([0.5, 0.3, 0.2]))
    js.sweep(
        js.load_dataset("iris"), space, search="grid", resolution=np.int64(2), split=split, out=tmp_path / "other",
        seed=3, keep=0, progress=False,
    )  # fmt: skip
    assert read_run(tmp_path / "other").request.options == {"resolution": 2}

"""What a result does with its data: predictions of its rows, and networks trained on all of them."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import jaxsweep as js
from jaxsweep.data import prepare
from jaxsweep.data.prepared import prepare_whole
from jaxsweep.network.reference import train

pytestmark = pytest.mark.usefixtures("one_tile")

CONFIG: dict[str, Any] = {"depth": 1, "width": 8, "epochs": 4, "batch_size": 16, "learning_rate": 0.03}
DRAW = np.random.default_rng(0)
FRAME = pd.DataFrame({"size": DRAW.normal(5, 2, 90), "colour": DRAW.choice(["red", "green", "blue"], 90)})
PRICE = 1000 + 10 * FRAME["size"] + 30 * (FRAME["colour"] == "red")
KIND = np.where(FRAME["size"] > 5, "large", "small")
QUIET: dict[str, Any] = {"progress": False}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> js.Result:
    path = tmp_path_factory.mktemp("runs")
    FRAME.assign(kind=KIND).to_csv(path / "table.csv", index=False)
    data = js.read_table(path / "table.csv", target="kind")
    stops = {**CONFIG, "patience": 1, "min_delta": 10.0}  # after two epochs
    return js.sweep(data, configs=[CONFIG, stops, {**CONFIG, "batch_size": "full"}], out=path / "run", keep=1, **QUIET)


@pytest.fixture(scope="module")
def loaded(swept: js.Result) -> js.Result:
    assert swept.run is not None
    return js.load(swept.run)


# --- predictions -------------------------------------------------------------------------------------------------


def test_predictions_stand_beside_the_truth_of_their_rows(swept: js.Result, loaded: js.Result) -> None:
    for part in ("train", "val", "test"):
        frame = swept.predictions(part)
        pd.testing.assert_frame_equal(loaded.predictions(part), frame)
        assert list(frame) == ["row", "truth", "prediction", "proba_large", "proba_small"]
        assert frame["truth"].tolist() == KIND[frame["row"]].tolist()
        assert frame["prediction"].tolist() == swept.model().predict(FRAME.iloc[frame["row"]]).tolist()
        proba = swept.model().predict_proba(FRAME.iloc[frame["row"]])
        np.testing.assert_allclose(frame[["proba_large", "proba_small"]], proba, rtol=1e-12)
    for part, metric in (("val", "val_accuracy"), ("test", "test_accuracy")):
        for trial in swept.trials:
            frame = swept.predictions(part, trial.id)
            assert (frame["truth"] == frame["prediction"]).mean() == pytest.approx(trial.metrics[metric], rel=1e-6)
    rows = [swept.predictions(part)["row"] for part in ("train", "val", "test")]
    assert sorted(pd.concat(rows)) == list(range(90))


def test_of_parts_that_were_given_rows_count_within_them() -> None:
    """And a regression target is predicted in its units; its truth is what was given, to the last bit."""
    parts: dict[str, Any] = {"X_val": FRAME[50:70], "y_val": PRICE[50:70], "X_test": FRAME[70:], "y_test": PRICE[70:]}
    data = js.Dataset.from_arrays(FRAME[:50], PRICE[:50], **parts)
    result = js.sweep(data, configs=[CONFIG], **QUIET)
    for part, first, rows in (("train", 0, 50), ("val", 50, 20), ("test", 70, 20)):
        frame = result.predictions(part)
        assert list(frame) == ["row", "truth", "prediction"]
        assert frame["row"].tolist() == list(range(rows))
        assert frame["truth"].tolist() == PRICE[first : first + rows].tolist()
        np.testing.assert_allclose(frame["prediction"], result.model().predict(FRAME[first : first + rows]))
    frame = result.predictions("test")
    assert ((frame["truth"] - frame["prediction"]) ** 2).mean() == pytest.approx(
        result.best.metrics["test_mse"], rel=1e-4
    )


def test_parts_that_are_refused(swept: js.Result) -> None:
    with pytest.raises(js.RequestError, match="part = 'validation' is not legal: it must be one of train, val, test"):
        swept.predictions("validation")
    with pytest.raises(js.RequestError, match="trial 9 is not in this sweep"):
        swept.predictions(trial=9)
    none = js.sweep((FRAME, KIND), configs=[CONFIG], folds=2, split=(0.8, 0.2, 0.0), **QUIET)
    with pytest.raises(
        js.RequestError, match=r"part = 'test' has no rows: sweep with a split such as \(0.6, 0.2, 0.2\)"
    ):
        none.predictions()
    assert none.predictions("val")["row"].tolist() == none.data.val[0].tolist()  # of the first fold


# --- all rows ----------------------------------------------------------------------------------------------------


def _same(one: js.Model, params: Any) -> None:
    for layer, values in params.items():
        for name, value in values.items():
            np.testing.assert_array_equal(one.params[layer][name], value)


def test_a_network_for_use_has_seen_every_row(swept: js.Result, loaded: js.Result) -> None:
    model = swept.retrain(0)
    size = model.preprocessor.inputs[0]
    assert (size.name, getattr(size, "mean", None)) == ("size", pytest.approx(FRAME["size"].mean()))
    whole = prepare_whole(swept.dataset)
    assert [len(whole.train[0]), len(whole.val[0]), whole.x_test.shape[1]] == [90, 90, 0]
    _same(model, train(whole, CONFIG, 0, trial=0).params)
    _same(loaded.retrain(0), model.params)
    _same(swept.model(0).retrain(), model.params)
    assert (model.predict(FRAME) == KIND).mean() > 0.8
    _same(swept.retrain(), swept.retrain(swept.best.id).params)


def test_it_trains_for_as_long_as_counted(swept: js.Result) -> None:
    """And a full batch is full again."""
    assert [trial.status for trial in swept.trials] == ["completed", "stopped", "completed"]
    whole = prepare_whole(swept.dataset)
    stopped = swept.retrain(1)
    _same(stopped, train(whole, {**CONFIG, "epochs": 2}, 0, trial=1).params)
    assert (stopped.config["epochs"], stopped.config["patience"]) == (4, 0)  # the schedule is that of four
    full = swept.retrain(2)
    assert full.config["batch_size"] == 90
    _same(full, train(whole, {**CONFIG, "batch_size": "full"}, 0, trial=2).params)


def test_parts_that_were_given_are_among_all_rows() -> None:
    parts: dict[str, Any] = {"X_val": FRAME[50:70], "y_val": PRICE[50:70], "X_test": FRAME[70:], "y_test": PRICE[70:]}
    apart = prepare_whole(js.Dataset.from_arrays(FRAME[:50], PRICE[:50], **parts))
    whole = prepare_whole(js.Dataset.from_arrays(FRAME, PRICE))
    np.testing.assert_array_equal(apart.x, whole.x)
    np.testing.assert_array_equal(apart.y, whole.y)
    assert prepare(js.Dataset.from_arrays(FRAME, PRICE)).numbers.tolist() != list(range(90))


def test_a_network_without_its_data_says_where_they_are(swept: js.Result, tmp_path: Path) -> None:
    swept.model().save(tmp_path / "model")
    for model in (js.load_model(tmp_path / "model"), copy.deepcopy(swept.model())):
        with pytest.raises(js.RequestError, match="comes without its data: use retrain of the result"):
            model.retrain()


def test_a_training_on_all_rows_that_diverges_is_no_network(swept: js.Result) -> None:
    result = copy.deepcopy(swept)
    wild = {**result.trials[0].config, "optimizer": "sgd", "learning_rate": 1e30}
    result.trials[0].values = tuple(wild.values())
    with pytest.raises(js.RequestError, match=r"trial 0 diverges on all rows, in epoch 1: another trial may not"):
        result.retrain(0)
    result.trials[0].score = None
    with pytest.raises(js.RequestError, match="trial 0 has no network: it is completed"):
        result.retrain(0)


def test_predictions_know_their_rows_where_others_were_left_out_and_their_targets() -> None:
    price = PRICE.astype(float).copy()
    price[[0, 7, 40]] = np.nan
    both = pd.DataFrame({"price": price, "half": price / 2})
    for y in (pd.Series(price, name="price"), both):
        data = js.Dataset.from_arrays(FRAME, y, task="regression", missing_target="drop")
        result = js.sweep(data, configs=[CONFIG], **QUIET)
        frame = pd.concat([result.predictions(part) for part in ("train", "val", "test")])
        assert sorted(frame["row"]) == sorted(set(range(90)) - {0, 7, 40})
        if y.ndim == 1:
            assert frame["truth"].tolist() == price[frame["row"]].tolist()
        else:
            assert list(frame) == ["row", "truth_price", "truth_half", "prediction_price", "prediction_half"]
            assert frame["truth_half"].tolist() == (price[frame["row"]] / 2).tolist()


# --- networks of other lanes -----------------------------------------------------------------------------------------


def test_each_replicate_on_each_fold_has_its_network() -> None:
    asked: dict[str, Any] = {"configs": [CONFIG, {**CONFIG, "dropout": 0.2}], "folds": 2, "replicates": 2, "keep": 1}
    data = js.Dataset.from_arrays(FRAME, KIND)
    kept, lost = (js.sweep(data, **asked, keep_lanes=keep, **QUIET) for keep in (True, False))
    best = kept.best.id
    assert set(kept.others) == {best}
    assert set(kept.others[best]) == {(0, 1), (1, 0), (1, 1)}
    assert lost.others == {}
    frame = kept.to_pandas(lanes=True)
    for replicate, fold, score in frame.loc[frame["trial"] == best, ["replicate", "fold", "score"]].to_numpy().tolist():
        model, numbers = kept.model(best, int(replicate), int(fold)), kept.data.numbers[kept.data.val[int(fold)]]
        assert model.preprocessor == kept.data.preprocessors[int(fold)]
        assert np.mean(model.predict(FRAME.iloc[numbers]) == KIND[numbers]) == pytest.approx(score, rel=1e-6)
    again = lost.model(best, 1, 1)
    assert again.preprocessor == kept.data.preprocessors[1]
    assert np.abs(again.predict_proba(FRAME) - kept.model(best, 1, 1).predict_proba(FRAME)).max() < 1e-4
    for wrong, what in (((best, 2), "replicate = 2"), ((best, 0, 2), "fold = 2"), ((7, 0, 1), "trial 7")):
        with pytest.raises(js.RequestError, match=what):
            kept.model(*wrong)

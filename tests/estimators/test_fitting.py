"""What check_estimator does not ask: that nothing is lost on the way to the sweep, and who wins."""

import copy
import inspect
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, get_scorer, log_loss, make_scorer
from sklearn.model_selection import GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline

import jaxsweep as js
from jaxsweep import api
from jaxsweep.data.unknown import UnknownWords
from jaxsweep.records import result as result_module
from jaxsweep.spec.default import adapted_space

pytestmark = pytest.mark.usefixtures("one_tile")

Floats = NDArray[np.float64]
ROWS = 60
SPACE = {
    "depth": 0, "learning_rate": js.LogUniform(1e-3, 0.1), "epochs": 8, "batch_size": 16,
    "optimizer": js.Choice(["sgd", "adam"]), "momentum": js.Uniform(0, 0.9, when={"optimizer": "sgd"}),
}  # fmt: skip
LONGER = {**SPACE, "epochs": 40, "learning_rate": js.LogUniform(0.01, 0.1)}


def rows(seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(ROWS, 3))
    return X, (X @ draw.normal(size=(3, 3)) + draw.normal(size=(ROWS, 3))).argmax(axis=1)


X, Y = rows()
SWEEP = js.sweep


def classifier(**changes: Any) -> js.SweepClassifier:
    return js.SweepClassifier(**{"space": SPACE, "trials": 8, "refit": False, **changes})


def regressor(**changes: Any) -> js.SweepRegressor:
    return js.SweepRegressor(**{"space": SPACE, "trials": 8, "refit": False, **changes})


@pytest.fixture(scope="module")
def fitted() -> js.SweepClassifier:
    return classifier().fit(X, Y)


# --- the sweep ---------------------------------------------------------------------------------------------------


def test_a_fit_is_the_sweep_of_these_rows(fitted: js.SweepClassifier) -> None:
    data = js.Dataset.from_arrays(X, Y, task="classification")
    result = js.sweep(data, SPACE, trials=8, split=(0.8, 0.2, 0), progress=False)
    assert fitted.best_params_ == result.best.params
    assert fitted.best_score_ == result.best.score
    assert [trial.score for trial in fitted.result_.trials] == [trial.score for trial in result.trials]
    assert np.array_equal(fitted.predict_proba(X), result.model().predict_proba(X))
    assert np.array_equal(fitted.predict(X), result.model().predict(X))
    assert fitted.score(X, Y) == np.mean(result.model().predict(X) == Y)


@pytest.mark.parametrize("kind", [js.SweepClassifier, js.SweepRegressor])
def test_every_parameter_reaches_the_sweep(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"first": lambda outputs, targets: outputs.mean()}
    given: dict[str, Any] = {
        "space": {"depth": js.Choice([0, 1])}, "configs": None, "trials": 77, "search": "grid", "scheduler": "asha",
        "initial": [{"depth": 1}], "start_from": "model", "minutes": 3.5, "objective": "val_loss",
        "constraints": ["parameters <= 9"],
        "metrics": own, "folds": 3, "replicates": 2, "confirm": 4, "keep_weights": "best", "precision": "default",
        "out": "somewhere", "progress": True,
    }  # fmt: skip
    others = {
        "scoring": "r2", "candidates": 6, "refit": False, "validation_fraction": 0.25, "random_state": 11,
        "options": {"resolution": 4, "eta": 5}, "image_shape": (1, 3),
    }  # fmt: skip
    assert {*given, *others} == set(inspect.signature(kind).parameters)
    calls: list[tuple[Any, ...]] = []

    def sweep(data: Any, space: Any, **keywords: Any) -> None:
        calls.append((data, {"space": space, **keywords}))
        raise InterruptedError

    monkeypatch.setattr(api, "sweep", sweep)
    with pytest.raises(InterruptedError):
        kind(**given, **others).fit(X, Y)
    ((data, found),) = calls
    expected = {
        **given,
        "keep": 6,
        "keep_lanes": True,
        "split": (0.75, 0.25, 0.0),
        "seed": 11,
        "resolution": 4,
        "eta": 5,
    }
    assert found == expected
    assert data.image_shape == (1, 3)
    assert set(found) <= {*inspect.signature(SWEEP).parameters, "resolution", "eta"}


@pytest.mark.parametrize(("folds", "training"), [(0, 48), (3, 40), (KFold(3), 48), ([([0, 1, 2], [3, 4])] * 2, 3)])
def test_without_a_space_it_is_the_default_one(folds: Any, training: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def sweep(data: Any, space: Any, **keywords: Any) -> None:
        assert space == js.Space.from_toml(adapted_space({}, training))
        raise InterruptedError

    monkeypatch.setattr(api, "sweep", sweep)
    with pytest.raises(InterruptedError):
        js.SweepClassifier(folds=folds).fit(X, Y)


def test_random_state_is_the_seed() -> None:
    def seeds(state: Any, fits: int = 2) -> list[int]:
        estimator = classifier(random_state=state, trials=1)
        return [estimator.fit(X, Y).result_.request.seed for _ in range(fits)]

    assert seeds(5) == [5, 5]
    first = seeds(np.random.RandomState(1))
    assert first[0] != first[1]
    assert first == seeds(np.random.RandomState(1))
    assert len({*seeds(np.random.default_rng(1)), *seeds(None)}) == 4


# --- rows ----------------------------------------------------------------------------------------------------------


def test_rows_of_weight_0_are_as_good_as_absent() -> None:
    draw = np.random.default_rng(1)
    place = np.sort(draw.choice(ROWS + 20, ROWS, replace=False))  # where the rows that count stand among the others
    padded, labels, weights = draw.normal(0, 50, (ROWS + 20, 3)), np.full(ROWS + 20, 7), np.zeros(ROWS + 20)
    own, groups = draw.integers(1, 4, ROWS), draw.integers(0, 12, ROWS + 20)
    padded[place], labels[place], weights[place] = X, Y, own
    half = np.arange(30)
    pairs = [(half, half + 30), (half + 30, half)]
    gone = np.setdiff1d(np.arange(ROWS + 20), place)  # rows of weight 0 may stand in a fold
    theirs = [([*place[train], *gone[:9]], place[val].tolist()) for train, val in pairs]
    for folds, others in ((0, 0), (pairs, theirs), (KFold(2), KFold(2))):
        alone = classifier(folds=folds).fit(X, Y, sample_weight=own, groups=None if folds else groups[place])
        among = classifier(folds=others).fit(padded, labels, sample_weight=weights, groups=None if folds else groups)
        assert among.classes_.tolist() == [0, 1, 2]
        assert np.array_equal(alone.predict_proba(X), among.predict_proba(X))
        assert np.array_equal(alone.cv_results_["mean_test_score"], among.cv_results_["mean_test_score"])
        assert among.result_.predictions("val")["row"].isin(place).all()


def test_weights_count_and_equal_ones_are_none(fitted: js.SweepClassifier) -> None:
    heavy = classifier().fit(X, Y, sample_weight=np.where(Y == 0, 50.0, 1.0))
    assert np.mean(heavy.predict(X) == 0) > np.mean(fitted.predict(X) == 0) + 0.1
    equal = classifier().fit(X, Y, sample_weight=[2.5] * ROWS)
    assert np.array_equal(equal.predict_proba(X), fitted.predict_proba(X))


def test_groups_stay_together() -> None:
    groups = np.arange(ROWS) // 5
    for folds in (0, GroupKFold(2)):
        data = classifier(trials=1, folds=folds).fit(X, Y, groups=groups).result_.data
        for train, val in zip(data.train, data.val, strict=True):
            assert not set(groups[train]) & set(groups[val])
            assert len(train) + len(val) == ROWS


@pytest.fixture(scope="module")
def table() -> tuple[pd.DataFrame, "pd.Series[Any]"]:
    draw = np.random.default_rng(3)
    colour = draw.choice(["red", "green", "blue"], 90)
    frame = pd.DataFrame(
        {"size": draw.normal(size=90), "colour": colour, "kind": pd.Categorical(draw.choice(["a", "b"], 90)),
         "bought": pd.date_range("2020-01-01", periods=90), "note": [f"text {row}" for row in range(90)]},
        index=np.arange(90)[::-1],
    )  # fmt: skip
    frame.loc[:5, "size"] = np.nan
    frame.loc[10:14, "colour"] = None
    return frame, pd.Series(np.where(frame["colour"] == "red", "NA", " yes"), index=frame.index)


def test_frames_need_no_encoding(table: tuple[pd.DataFrame, Any]) -> None:
    frame, labels = table
    model = classifier(space=LONGER).fit(frame, labels)
    assert model.classes_.tolist() == [" yes", "NA"]  # as they are: no word of a label is a missing one
    assert model.score(frame, labels) > 0.95
    assert model.feature_names_in_.tolist() == [*frame.columns]
    assert model.n_features_in_ == 5
    assert [entry.name for entry in model.model_.preprocessor.inputs][:3] == ["size", "colour", "kind"]
    new = frame.head(3).assign(colour=["red", "purple", "blue"])
    with pytest.warns(UnknownWords, match="purple"):
        assert model.predict(new).tolist()[0] == "NA"
    with pytest.raises(ValueError, match="same order"):
        model.predict(frame[[*frame.columns][::-1]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert (model.predict(frame.to_numpy()) == model.predict(frame)).all()  # by their places
    with (
        pytest.raises(ValueError, match="expecting 5 features"),
        pytest.warns(UserWarning, match="valid feature names"),
    ):
        model.predict(frame.to_numpy()[:, :4])


def test_frames_without_names_are_read_by_place() -> None:
    numbered = classifier(trials=1, scoring="accuracy").fit(pd.DataFrame(X, columns=[5, 6, 7]), Y)
    assert np.array_equal(numbered.predict_proba(X), classifier(trials=1).fit(X, Y).predict_proba(X))
    assert not hasattr(numbered, "feature_names_in_")


def test_arrays_of_words_are_columns_too(table: tuple[pd.DataFrame, Any]) -> None:
    frame, labels = table
    cells = frame[["size", "colour"]].to_numpy(object)
    pipeline = make_pipeline(SimpleImputer(strategy="most_frequent"), classifier(space=LONGER))
    assert pipeline.fit(cells, labels).score(cells, labels) > 0.9
    assert [type(entry).__name__ for entry in pipeline[-1].model_.preprocessor.inputs] == [
        "NumberInput",
        "CategoryInput",
    ]
    cells[4, 1] = {"red": 1}
    with pytest.raises(TypeError, match=r"X holds a dict, .* in row 4, column 1 .* must be a string or a number"):
        pipeline[-1].fit(cells, labels)


def test_sparse_rows_are_dense_ones(fitted: js.SweepClassifier) -> None:
    again = classifier().fit(sparse.csc_array(X), Y)
    assert np.array_equal(again.predict_proba(sparse.coo_matrix(X)), fitted.predict_proba(X))
    with pytest.raises(js.RequestError, match="X is sparse and would take 745 GiB"):
        again.fit(sparse.csr_array((100_000, 1_000_000)), np.arange(100_000) % 2)


@pytest.mark.parametrize(
    "labels",
    [np.array(["a", "b", "c"]), np.array(["None", "nan", "-"], dtype=object), np.array([-1.5e3, 0.0, 2.0]), [3, 1, 2]],
)
def test_labels_stay_what_they_are(labels: Any, fitted: js.SweepClassifier) -> None:
    named = classifier().fit(X, np.asarray(labels)[Y])
    order = np.argsort(labels)
    assert named.classes_.dtype == np.asarray(labels).dtype
    assert named.classes_.tolist() == np.asarray(labels)[order].tolist()
    assert named.predict(X).dtype == named.classes_.dtype
    assert named.model_.classes == tuple(named.classes_.tolist())
    if (order == [0, 1, 2]).all():
        assert np.array_equal(named.predict(X), np.asarray(labels)[fitted.predict(X)])


def test_booleans_are_labels() -> None:
    model = classifier(trials=1).fit(X, Y == 1)
    assert model.predict(X).dtype == bool


def test_several_targets() -> None:
    targets = np.stack([X[:, 0], 100 + 50 * X[:, 1]], axis=1)
    for y in (targets, pd.DataFrame(targets, columns=["small", "large"])):
        model = regressor(space=LONGER).fit(X, y)
        assert model.predict(X).shape == (ROWS, 2)
        assert model.score(X, targets) > 0.95


# --- the table and the winner ----------------------------------------------------------------------------------------


def test_the_table_is_that_of_a_search(fitted: js.SweepClassifier) -> None:
    table, trials = fitted.cv_results_, fitted.result_.trials
    assert {len(column) for column in table.values()} == {8}
    assert table["params"] == [trial.params for trial in trials]
    assert table["mean_test_score"].tolist() == table["split0_test_score"].tolist() == [t.score for t in trials]
    assert table["params"][fitted.best_index_] == fitted.best_params_
    assert table["rank_test_score"][fitted.best_index_] == 1
    assert sorted(table["rank_test_score"]) == [*range(1, 9)]
    assert [bool(masked) for masked in table["param_momentum"].mask] == ["momentum" not in t.params for t in trials]
    assert 0 < table["param_momentum"].mask.sum() < 8
    assert table["mean_fit_time"].tolist() == [trial.seconds for trial in trials]
    assert pd.DataFrame(table).sort_values("rank_test_score")["mean_test_score"].is_monotonic_decreasing


def test_errors_are_negative_scores_and_trials_without_one_come_last() -> None:
    rates = [1e-3, 1e30, 0.05]
    configs = [{"depth": 0, "learning_rate": rate, "optimizer": "sgd", "epochs": 8, "batch_size": 16} for rate in rates]
    model = js.SweepRegressor(configs=configs, folds=2, replicates=2, refit=False).fit(X, 10 * X[:, 0])
    table, best = model.cv_results_, model.result_.best
    assert best.score is not None
    assert model.best_score_ == -best.score < 0
    assert table["status"].tolist()[1] == "diverged"
    assert table["rank_test_score"].tolist() == [2, 3, 1]
    assert np.isnan(table["mean_test_score"]).tolist() == [False, True, False]
    splits = np.array([table[f"split{number}_test_score"] for number in range(4)])
    frame = model.result_.to_pandas(lanes=True)
    assert splits[:, 2].tolist() == (-frame.loc[frame["trial"] == 2, "score"]).tolist()
    assert table["mean_test_score"] == pytest.approx(splits.mean(axis=0), nan_ok=True)
    assert table["std_test_score"][[0, 2]] == pytest.approx(splits.std(axis=0)[[0, 2]])


def worst(estimator: Any, X: Any, y: Any) -> float:
    """A scorer of somebody's own, which wants what nobody else does."""
    return -float(accuracy_score(y, estimator.predict(X)))


@pytest.mark.parametrize("scoring", ["neg_log_loss", "roc_auc_ovr", worst, make_scorer(accuracy_score)])
@pytest.mark.parametrize("folds", [0, 2])
def test_a_scorer_chooses_among_the_best(scoring: Any, folds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    names = np.array(["x", "y", "z"])[Y]
    monkeypatch.setattr(result_module, "trained_again", None)  # all that is judged was kept
    model = classifier(scoring=scoring, candidates=5, folds=folds, replicates=max(folds, 1)).fit(X, names)
    result, judge = model.result_, copy.copy(model)
    scorer, values = get_scorer(scoring), {}
    for trial in result.top(5):
        of_lanes = []
        for replicate in range(max(folds, 1)):
            for fold, val in enumerate(result.data.val):
                judge.model_ = result.model(trial.id, replicate, fold)
                of_lanes.append(scorer(judge, X[val], names[val]))
        assert len(of_lanes) == max(folds**2, 1)
        values[trial.id] = np.mean(of_lanes)
    found = dict(zip(model.cv_results_["trial"].tolist(), model.cv_results_["candidate_score"].tolist(), strict=True))
    assert {trial: value for trial, value in found.items() if not np.isnan(value)} == pytest.approx(values)
    winner = max(values, key=lambda trial: values[trial])  # of equals the better by the objective, which comes first
    assert result.trials[model.best_index_].id == winner
    assert model.best_score_ == pytest.approx(values[winner])
    assert np.array_equal(model.predict_proba(X), result.models[winner].predict_proba(X))
    assert sorted(model.cv_results_["rank_test_score"]) == [*range(1, 9)]
    if scoring is worst:
        assert winner != result.best.id


def test_a_scorer_that_knows_nothing_is_refused() -> None:
    def some(estimator: Any, X: Any, y: Any) -> float:
        return np.nan if estimator.model_.config["learning_rate"] > 0.01 else 1.0

    model = classifier(scoring=some).fit(X, Y)
    assert model.result_.trials[model.best_index_].config["learning_rate"] <= 0.01
    with pytest.raises(js.RequestError, match="gives no finite number of any of the best 8 trials on their 12 valid"):
        classifier(scoring=lambda *_: np.nan).fit(X, Y)
    with pytest.raises(js.RequestError, match="gives 'good': it must give a number"):
        classifier(scoring=lambda *_: "good").fit(X, Y)
    with pytest.raises(ValueError, match=r"not a valid scoring value|'scoring' parameter"):
        classifier(scoring="val_accuracy").fit(X, Y)
    with pytest.raises(ValueError, match="make_scorer"):
        classifier(scoring=log_loss).fit(X, Y)


def test_confirmed_trials_come_first() -> None:
    model = classifier(confirm=2).fit(X, Y)
    first, second = model.result_.confirmed
    assert model.best_score_ == first.confirmed_score
    assert model.result_.trials[model.best_index_].id == first.trial
    known = dict(zip(model.cv_results_["trial"], model.cv_results_["confirmed_score"], strict=True))
    assert (known[first.trial], known[second.trial]) == (first.confirmed_score, second.confirmed_score)
    assert np.isnan(model.cv_results_["confirmed_score"]).sum() == 6


# --- the network that predicts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{"schedule": "cosine"}, {"patience": 3, "min_delta": 1e3, "batch_size": "full"}],
    ids=["on a schedule, from another network", "stopped early"],
)
def test_the_winner_is_trained_again_on_all_rows(changes: dict[str, Any]) -> None:
    weights = np.linspace(1, 3, ROWS)
    config = {"depth": 1, "width": 8, "epochs": 8, "batch_size": 16, "learning_rate": 0.02, "dropout": 0.1, **changes}
    start = js.sweep((X, Y), configs=[{**config, "learning_rate": 0.2}], seed=1, progress=False).model()
    given: dict[str, Any] = {} if "patience" in config else {"start_from": start}
    model = js.SweepClassifier(configs=[config], **given).fit(X, Y, sample_weight=weights)
    result, again = model.result_, model.result_.retrain()  # by plain Flax and Optax
    epochs = result.best.epochs_done
    assert (epochs < 8) == ("patience" in config)
    assert model.model_.config == {**again.config, "epochs": epochs}
    assert np.abs(model.predict_proba(X) - again.predict_proba(X)).max() < 1e-4
    assert np.abs(model.predict_proba(X) - result.model().predict_proba(X)).max() > 1e-2
    means = [entry["mean"] for entry in model.model_.preprocessor.to_json()["inputs"]]
    assert means == pytest.approx(X.mean(axis=0).tolist())


def test_a_schedule_that_was_not_trained_to_its_end_is_laid_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def retrain(result: js.Result, trial: int) -> js.Model:
        calls.append(trial)
        return result.model(trial)

    monkeypatch.setattr(js.Result, "retrain", retrain)
    stopping = {**SPACE, "schedule": "cosine", "patience": 3, "min_delta": 1e3}
    model = classifier(space=stopping, refit=True).fit(X, Y)
    assert calls == [model.result_.best.id]


def test_a_winner_that_diverges_on_all_rows_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def sweep(data: Any, *given: Any, **keywords: Any) -> js.Result:
        if data.validation is not None:  # the second training
            keywords["configs"] = [{**keywords["configs"][0], "learning_rate": 1e30}]
        return SWEEP(data, *given, **keywords)

    monkeypatch.setattr(api, "sweep", sweep)
    with pytest.raises(js.RequestError, match="the best one, diverges on all rows: give refit=False"):
        classifier(space={**SPACE, "depth": 1}, trials=1, refit=True).fit(X, Y)


@pytest.mark.parametrize("trials", [0, 5])
def test_an_interrupt_leaves_a_fitted_estimator_and_goes_on(trials: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def sweep(*given: Any, **keywords: Any) -> js.Result:
        result = SWEEP(*given, **keywords)
        result.status, result.trials = "interrupted", result.trials[:trials]
        return result

    monkeypatch.setattr(api, "sweep", sweep)
    model = classifier(refit=True)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    if trials:
        assert len(model.cv_results_["params"]) == 5
        assert np.array_equal(model.predict_proba(X), model.result_.model().predict_proba(X))
    else:
        with pytest.raises(NotFittedError):
            model.predict(X)


def test_if_no_trial_finishes_that_is_said() -> None:
    model = classifier(space={**SPACE, "depth": 1, "learning_rate": 1e30})
    with pytest.raises(js.SweepFailed, match="8 diverged"):
        model.fit(X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)


# --- scikit-learn's company ------------------------------------------------------------------------------------------


def test_it_is_cloned_and_pickled(fitted: js.SweepClassifier) -> None:
    fresh = clone(fitted)
    assert not hasattr(fresh, "classes_")
    assert fresh.get_params() == fitted.get_params() == {**classifier().get_params(), "space": SPACE}
    sent = pickle.loads(pickle.dumps(fitted))  # noqa: S301
    assert np.array_equal(sent.predict_proba(X), fitted.predict_proba(X))
    assert not hasattr(sent, "result_")
    assert sent.cv_results_["mean_test_score"].tolist() == fitted.cv_results_["mean_test_score"].tolist()
    assert len(pickle.dumps(classifier(trials=1).fit(X, Y))) == pytest.approx(
        len(pickle.dumps(classifier(trials=1).fit(np.tile(X, (4, 1)), np.tile(Y, 4)))), abs=100
    )  # the data stay behind


def test_it_works_in_a_pipeline_under_cross_validation(table: tuple[pd.DataFrame, Any]) -> None:
    frame, labels = table
    pipeline = make_pipeline("passthrough", classifier(space=LONGER, refit=True))
    scores = cross_val_score(pipeline, frame, labels, cv=3, scoring="roc_auc", error_score="raise")
    assert scores.min() > 0.95
    weights = np.where(labels == "NA", 1.0, 0.0)
    with pytest.raises(js.RequestError, match="only one class, 'NA'"):
        cross_val_score(classifier(), frame, labels, cv=3, error_score="raise", params={"sample_weight": weights})


def test_predicting_does_not_wait_for_jax(fitted: js.SweepClassifier) -> None:
    code = (
        "import sys, pickle, jaxsweep; assert 'sklearn' not in sys.modules; "
        "model = pickle.load(sys.stdin.buffer); print(model.predict([[0.5, 1.0, -1.0]])); "
        "assert 'jax' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(fitted), capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(fitted.predict([[0.5, 1.0, -1.0]]))


WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"validation_fraction": 0}, {}, "validation_fraction = 0 is not legal: it must be a number between 0 and 1"),
    ({"validation_fraction": True}, {}, "validation_fraction = True is not legal"),
    ({"candidates": 0}, {}, "candidates = 0 is not legal: it must be an integer of at least 1"),
    ({"refit": "yes"}, {}, "refit = 'yes' is not legal: it must be true or false"),
    ({"random_state": "x"}, {}, "random_state = 'x' is not legal: it must be an integer"),
    ({"scoring": ["accuracy", "f1"]}, {}, "scoring = ['accuracy', 'f1'] is not legal: it must be the name of a scorer"),
    ({"options": [3]}, {}, "options = [3] is not a config"),
    ({"options": {"eta": 3}}, {}, "'eta'"),
    ({"objective": "test_accuracy"}, {}, "test_accuracy"),
    (
        {"folds": [([0, 1, 99], [2, 3])]},
        {"sample_weight": np.arange(ROWS)},
        "folds has row 99, but X has the rows 0 to",
    ),
    ({}, {"sample_weight": np.zeros(ROWS)}, "sample_weight has no weight > 0, all are zero"),
    ({}, {"sample_weight": np.full(ROWS, -1.0)}, "sample_weight has the value '-1.0' in row 0"),
    ({}, {"sample_weight": 3}, "sample_weight = 3 is not legal"),
    ({}, {"groups": [1, 2]}, "groups has 2 labels but X has 60 rows"),
    ({}, {"groups": [1, 2], "sample_weight": np.arange(ROWS)}, "groups has 2 labels but X has 59 rows"),
    ({}, {"y": None}, "SweepClassifier requires y to be passed"),
    ({}, {"y": np.array(["a", None] * 30, dtype=object)}, "y has None in row 1 (from 0), which is no label"),
    ({}, {"y": np.where(Y == 0, np.nan, Y)}, "y has "),
    ({}, {"y": X[:, 0]}, "Unknown label type: continuous"),
    ({}, {"y": Y[:-1]}, "X has 60 rows but y has 59: they must be equal"),
    (
        {},
        {"y": [*Y[:-1], 9]},
        "class 9 of y has 1 row: each class needs at least 2, one to train and one to validate on",
    ),
    ({}, {"y": np.array([*Y[:-2], 8, 9]) / 2}, "Unknown label type: continuous"),
    ({}, {"y": [*Y[:-2], 8, 9]}, "class 8 of y has 1 row, and so have 1 more: each class"),
]


@pytest.mark.parametrize(("parameters", "given", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_what_is_wrong_is_said(parameters: dict[str, Any], given: dict[str, Any], message: str) -> None:
    fit: Callable[..., Any] = classifier(**parameters).fit
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(X, **{"y": Y, **given})


def test_the_readmes_estimator_runs() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```py\n(.*?)```", text, flags=re.DOTALL) if "SweepClassifier" in block)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    names: dict[str, Any] = {
        "js": js, "space": SPACE, "frame": frame, "labels": Y, "new": frame, "weights": np.ones(ROWS), "X": X, "y": Y,
        "patients": np.arange(ROWS) // 2, "make_pipeline": make_pipeline, "cross_val_score": cross_val_score,
        "SelectKBest": SelectKBest,
    }  # fmt: skip
    smaller = code.replace("trials=200", "trials=2, refit=False").replace("k=20", "k=2").replace("cv=5", "cv=2")
    exec(smaller, names)
    assert set(names["classifier"].best_params_) <= set(SPACE)

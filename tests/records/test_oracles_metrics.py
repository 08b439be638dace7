"""What a sweep reports of its trained networks, against scikit-learn on what these networks predict."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import jaxsweep as js
from jaxsweep.data import prepare

RNG = np.random.default_rng(0)
CONFIG = {"depth": 0, "epochs": 2, "batch_size": 16, "optimizer": "sgd", "learning_rate": 0.05}


def _trained(
    y: np.ndarray, y_val: np.ndarray, task: str, weights: np.ndarray | None = None
) -> tuple[dict[str, float], np.ndarray, js.Model]:
    """Return the metrics of a network after two epochs, the validation inputs, and the network."""
    x, x_val = RNG.normal(size=(len(y), 3)), RNG.normal(size=(len(y_val), 3))
    data = js.Dataset.from_arrays(x, y, task=task, X_val=x_val, y_val=y_val, weights_val=weights)
    result = js.sweep(data, configs=[CONFIG], split=(1, 0, 0), progress=False)
    return result.trials[0].metrics, x_val, result.model(0)


@pytest.mark.parametrize(
    "y_val",
    [RNG.normal(size=30) * 7 - 40, np.full(5, -38.0), np.array([-43.5])],
    ids=["30 rows", "constant", "one row"],
)
def test_regression_in_units_of_the_target(y_val: np.ndarray) -> None:
    got, x_val, model = _trained(RNG.normal(size=64) * 7 - 40, y_val, "regression")
    predicted = model.predict(x_val)
    expected = {
        "val_mse": sk.mean_squared_error(y_val, predicted),
        "val_rmse": sk.root_mean_squared_error(y_val, predicted),
        "val_mae": sk.mean_absolute_error(y_val, predicted),
        # With nothing to explain there is no share of it; scikit-learn says 0 or warns.
        "val_r2": sk.r2_score(y_val, predicted) if len(set(y_val)) > 1 else np.nan,
    }
    np.testing.assert_allclose([got[name] for name in expected], list(expected.values()), rtol=1e-5)
    scale = model.preprocessor.target_scale
    np.testing.assert_allclose(got["val_loss"], expected["val_mse"] / scale**2, rtol=1e-5)


@pytest.mark.parametrize(
    ("classes", "seen", "rows"), [(2, 2, 70_000), (2, 1, 9), (4, 3, 50)],
    ids=["70,000 rows", "one class", "a class that does not occur"],
)  # fmt: skip
def test_classification(classes: int, seen: int, rows: int) -> None:
    y, y_val = np.arange(64) % classes, RNG.integers(0, seen, rows)
    got, x_val, model = _trained(y, y_val, "classification")
    chances = model.predict_proba(x_val)
    predicted = chances.argmax(axis=1)
    macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
    log_loss = sk.log_loss(y_val, chances, labels=np.arange(classes))
    expected = {
        "val_loss": log_loss,
        "val_log_loss": log_loss,
        "val_accuracy": sk.accuracy_score(y_val, predicted),
        "val_balanced_accuracy": sk.recall_score(y_val, predicted, labels=np.unique(y_val), **macro),
        "val_f1": sk.f1_score(y_val, predicted, **macro),
    }
    if classes == 2:
        expected["val_auc"] = sk.roc_auc_score(y_val, chances[:, 1]) if seen == 2 else np.nan
    np.testing.assert_allclose([got[name] for name in expected], list(expected.values()), rtol=2e-5)


def test_rows_that_have_weights() -> None:
    weights = RNG.exponential(size=50) * (RNG.uniform(size=50) < 0.7)
    y_val = RNG.normal(size=50) * 7 - 40
    got, x_val, model = _trained(RNG.normal(size=64) * 7 - 40, y_val, "regression", weights)
    pair = y_val, model.predict(x_val)
    expected = {
        "val_mse": sk.mean_squared_error(*pair, sample_weight=weights),
        "val_rmse": sk.root_mean_squared_error(*pair, sample_weight=weights),
        "val_mae": sk.mean_absolute_error(*pair, sample_weight=weights),
        "val_r2": sk.r2_score(*pair, sample_weight=weights),
    }
    np.testing.assert_allclose([got[name] for name in expected], list(expected.values()), rtol=1e-5)
    labels = RNG.integers(0, 2, 50)
    got, x_val, model = _trained(np.arange(64) % 2, labels, "classification", weights)
    chances = model.predict_proba(x_val)
    predicted = chances.argmax(axis=1)
    expected = {
        "val_loss": sk.log_loss(labels, chances, sample_weight=weights),
        "val_log_loss": sk.log_loss(labels, chances, sample_weight=weights),
        "val_accuracy": sk.accuracy_score(labels, predicted, sample_weight=weights),
        "val_balanced_accuracy": sk.balanced_accuracy_score(labels, predicted, sample_weight=weights),
        "val_f1": sk.f1_score(labels, predicted, average="macro", sample_weight=weights),
        "val_auc": sk.roc_auc_score(labels, chances[:, 1], sample_weight=weights),
    }
    np.testing.assert_allclose([got[name] for name in expected], list(expected.values()), rtol=2e-5)


@pytest.mark.parametrize("weights", [None, RNG.exponential(size=50)], ids=["plain", "weights"])
def test_several_targets(weights: np.ndarray | None) -> None:
    """The uniform average over targets in units of 7, 0.001 and 1e5."""
    units = np.array([7, 0.001, 1e5])
    y_val = RNG.normal(size=(50, 3)) * units
    got, x_val, model = _trained(RNG.normal(size=(64, 3)) * units, y_val, "regression", weights)
    pair, how = (y_val, model.predict(x_val)), {"sample_weight": weights, "multioutput": "uniform_average"}
    expected = {
        "val_mse": sk.mean_squared_error(*pair, **how),
        "val_rmse": sk.root_mean_squared_error(*pair, **how),
        "val_mae": sk.mean_absolute_error(*pair, **how),
        "val_r2": sk.r2_score(*pair, **how),
    }
    np.testing.assert_allclose([got[name] for name in expected], list(expected.values()), rtol=1e-5)
    scales = [each.scale for each in model.preprocessor.targets]
    each = sk.mean_squared_error(*pair, sample_weight=weights, multioutput="raw_values")
    np.testing.assert_allclose(got["val_loss"], np.mean(each / np.square(scales)), rtol=1e-5)


def test_preprocessing_as_scikit_learn_does_it() -> None:
    """Standardized by the training rows alone, categories one-hot, gaps filled with the median and marked."""
    import pandas as pd

    rows = 90
    frame = pd.DataFrame({"a": RNG.normal(size=rows) * 50 + 9, "b": RNG.choice(["x", "y", "z"], rows)})
    frame.loc[::7, "a"] = np.nan
    target = RNG.normal(size=rows) * 3 + 100
    data = prepare(js.Dataset.from_arrays(frame, target), split=(0.6, 0.2, 0.2), seed=1)
    # Which raw rows train is told by the targets, which are all different.
    raw = data.y[0] * data.target_scale[0] + data.target_mean[0]
    order = np.array([int(np.abs(target - value).argmin()) for value in raw])
    train = order[data.train[0]]
    np.testing.assert_allclose(data.target_mean[0], target[train].mean())
    np.testing.assert_allclose(data.target_scale[0], StandardScaler().fit(target[train, None]).scale_[0])
    numbers = frame[["a"]].to_numpy()
    scaler = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(numbers[train])
    words = OneHotEncoder(sparse_output=False).fit(frame[["b"]].to_numpy()[train])
    expected = np.hstack([scaler.transform(numbers), np.isnan(numbers), words.transform(frame[["b"]].to_numpy())])[
        order
    ]
    np.testing.assert_allclose(data.x[0], expected, atol=1e-12)


def test_splits_keep_the_shares_of_parts_and_classes() -> None:
    y = np.repeat([0, 1, 2], [300, 90, 30])
    data = prepare(js.Dataset.from_arrays(RNG.normal(size=(420, 2)), y), split=(0.6, 0.3, 0.1), seed=3)
    parts = [data.y[0][data.train[0]], data.y[0][data.val[0]], data.y_test[0]]
    np.testing.assert_array_equal([np.bincount(part) for part in parts], [[180, 54, 18], [90, 27, 9], [30, 9, 3]])
    assert not set(data.train[0]) & set(data.val[0])
    x = np.arange(840).reshape(420, 2)
    zero, one = (prepare(js.Dataset.from_arrays(x, y), seed=seed).x_test[0] for seed in (0, 1))
    assert not np.array_equal(zero, one)

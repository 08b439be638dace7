"""Metrics on the device against scikit-learn."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from sklearn import metrics as sk

from jaxsweep.errors import RequestError
from jaxsweep.network import objective
from jaxsweep.spec.metrics import (
    REGRESSION_METRICS,
    check_objective,
    direction,
    metric_names,
    metric_values,
    unit_of,
)

ROWS, MASK = 60, 50
RNG = np.random.default_rng(0)
USED = np.arange(ROWS) < MASK


@pytest.mark.parametrize("classes", [2, 5])
def test_classification(classes: int) -> None:
    outputs, labels = RNG.normal(size=(ROWS, classes)).astype(np.float32), RNG.integers(0, classes, ROWS)
    confusion = objective.classification_sums(jnp.asarray(outputs), jnp.asarray(labels), jnp.asarray(USED))
    got = objective.classification_metrics(confusion)
    y, predicted = labels[:MASK], outputs[:MASK].argmax(axis=1)
    np.testing.assert_allclose(got["accuracy"], sk.accuracy_score(y, predicted), rtol=1e-6)
    np.testing.assert_allclose(got["balanced_accuracy"], sk.balanced_accuracy_score(y, predicted), rtol=1e-6)
    np.testing.assert_allclose(got["f1"], sk.f1_score(y, predicted, average="macro"), rtol=1e-6)


def test_log_loss() -> None:
    outputs, labels = 3 * RNG.normal(size=(ROWS, 4)).astype(np.float32), RNG.integers(0, 4, ROWS)
    got = objective.log_loss(jnp.asarray(outputs), jnp.eye(4)[labels]).mean()
    np.testing.assert_allclose(got, sk.log_loss(labels, special.softmax(outputs, axis=1), labels=range(4)), rtol=1e-5)


def _auc(scores: np.ndarray, labels: np.ndarray, rows: np.ndarray | None = None) -> float:
    used = np.ones(len(scores), bool) if rows is None else rows
    return float(objective.area_under_curve(jnp.asarray(scores), jnp.asarray(labels), jnp.asarray(used)))


@pytest.mark.parametrize("label", [0, 1])
def test_area_under_curve_of_one_class_is_not_defined(label: int) -> None:
    assert np.isnan(_auc(RNG.normal(size=ROWS).astype(np.float32), np.full(ROWS, label)))
    mixed = np.where(USED, label, 1 - label)  # the other class in rows alone that do not count
    assert np.isnan(_auc(RNG.normal(size=ROWS).astype(np.float32), mixed, USED))


def test_area_under_curve_of_many_rows_is_counted_exactly() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 70_000)
    perfect = (labels + rng.uniform(0, 0.9, 70_000)).astype(np.float32)
    assert _auc(perfect, labels) == 1.0
    assert _auc(-perfect, labels) == 0.0
    noisy = np.round(perfect + rng.normal(size=70_000), 2).astype(np.float32)
    assert _auc(noisy, labels) == pytest.approx(sk.roc_auc_score(labels, noisy), rel=2e-7)


def test_area_under_curve_with_ties() -> None:
    scores = np.round(RNG.normal(size=ROWS), 1).astype(np.float32)
    labels = RNG.integers(0, 2, ROWS)
    got = objective.area_under_curve(jnp.asarray(scores), jnp.asarray(labels), jnp.asarray(USED))
    np.testing.assert_allclose(got, sk.roc_auc_score(labels[:MASK], scores[:MASK]), rtol=1e-6)


def test_regression() -> None:
    outputs, targets = RNG.normal(size=(ROWS, 1)).astype(np.float32), RNG.normal(size=ROWS).astype(np.float32)
    sums = objective.regression_sums(jnp.asarray(outputs), jnp.asarray(targets), jnp.asarray(USED))
    y, predicted = targets[:MASK].astype(float), outputs[:MASK, 0].astype(float)
    measured = objective.regression_measures(sums, MASK)
    measures = np.array([0.5, measured["mse"], measured["mae"]], np.float64)
    for scale in (3.0, 1e20, 1e-20, 1e150):
        loss, mse, mae, r2, rmse = metric_values(measures, "regression", scale, y.var())
        assert loss == 0.5
        np.testing.assert_allclose(mse / scale**2, sk.mean_squared_error(y, predicted), rtol=1e-5)
        np.testing.assert_allclose(mae / scale, sk.mean_absolute_error(y, predicted), rtol=1e-5)
        np.testing.assert_allclose(rmse / scale, sk.root_mean_squared_error(y, predicted), rtol=1e-5)
        np.testing.assert_allclose(r2, sk.r2_score(y, predicted), rtol=1e-5)
    assert np.isnan(metric_values(measures, "regression", 1.0, 0.0)[REGRESSION_METRICS.index("r2")])


def test_a_unit_of_a_metric_in_that_of_its_measure() -> None:
    """A change of the measure by `unit_of` changes the metric by 1."""
    scale, variance = 4.0, 2.0
    before = metric_values(np.array([0.0, 9.0, 3.0]), "regression", scale, variance)
    column = {name: number for number, name in enumerate(REGRESSION_METRICS)}
    for name, measure in (("mse", 1), ("mae", 2), ("r2", 1)):
        measures = np.array([0.0, 9.0, 3.0])
        measures[measure] += unit_of(name, scale, variance)
        after = metric_values(measures, "regression", scale, variance)
        assert abs(after[column[name]] - before[column[name]]) == pytest.approx(1)
    assert unit_of("rmse", scale, variance) == 1 / scale
    assert unit_of("accuracy", 1.0, 0.0) == 1


def test_directions() -> None:
    assert direction("val_accuracy") == direction("test_auc") == direction("r2") == "maximize"
    assert direction("val_loss") == direction("val_mse") == direction("train_loss") == "minimize"


def test_objectives_are_validation_metrics_of_the_task() -> None:
    for task, outputs in (("classification", 2), ("classification", 3), ("regression", 1)):
        for name in metric_names(task, outputs):
            assert check_objective(f"val_{name}", task, outputs) == f"val_{name}"
    with pytest.raises(RequestError, match="never searched on"):
        check_objective("test_accuracy", "classification", 3)
    with pytest.raises(RequestError, match="does not exist for classification with 3 classes"):
        check_objective("val_auc", "classification", 3)
    with pytest.raises(RequestError, match="did you mean 'val_accuracy'"):
        check_objective("val_acuracy", "classification", 3)

"""Metrics on the device against scikit-learn."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from jaxsweep import objective
from jaxsweep.errors import RequestError
from jaxsweep.metrics import check_objective, direction, metric_names

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


def test_area_under_curve_with_ties() -> None:
    scores = np.round(RNG.normal(size=ROWS), 1).astype(np.float32)
    labels = RNG.integers(0, 2, ROWS)
    got = objective.area_under_curve(jnp.asarray(scores), jnp.asarray(labels), jnp.asarray(USED))
    np.testing.assert_allclose(got, sk.roc_auc_score(labels[:MASK], scores[:MASK]), rtol=1e-6)


def test_regression() -> None:
    outputs, targets = RNG.normal(size=(ROWS, 1)).astype(np.float32), RNG.normal(size=ROWS).astype(np.float32)
    sums = objective.regression_sums(jnp.asarray(outputs), jnp.asarray(targets), jnp.asarray(USED))
    y, predicted, scale = targets[:MASK], outputs[:MASK, 0], 3.0
    spread = ((y - y.mean()) ** 2).sum()
    got = objective.regression_metrics(sums, MASK, spread, scale)
    np.testing.assert_allclose(got["mse"], sk.mean_squared_error(y * scale, predicted * scale), rtol=1e-5)
    np.testing.assert_allclose(got["mae"], sk.mean_absolute_error(y * scale, predicted * scale), rtol=1e-5)
    np.testing.assert_allclose(got["r2"], sk.r2_score(y, predicted), rtol=1e-5)


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

"""Metrics on the device against scikit-learn."""

import jax.numpy as jnp
import numpy as np
import pytest
from oracle_pieces import measured
from scipy import special
from sklearn import metrics as sk

from jaxsweep.errors import RequestError
from jaxsweep.network.scores import SCORES, Judged, area_under_curve
from jaxsweep.spec.metrics import (
    METRICS,
    check_objective,
    direction,
    measure_names,
    merit_shares,
    metric_names,
    metric_values,
    unit_of,
)

ROWS, MASK = 60, 50
RNG = np.random.default_rng(0)
USED = np.arange(ROWS) < MASK


# Some weigh nothing, and all of them together less than 1.
WEIGHTS = np.where(np.arange(ROWS) % 7 == 3, 0, 0.02 * RNG.uniform(0, 1, ROWS))


def _measured(name: str, outputs: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> float:
    w = None if weights is None else jnp.asarray(weights)
    return float(measured(name, jnp.asarray(outputs), jnp.asarray(y), jnp.asarray(USED), weights=w))


# Every metric of the table that a device measures: on many classes, on two, where classes are missing, on one row.
CASES = [
    (name, outputs, seen)
    for row in METRICS.values()
    if (name := row.name) != "loss" and SCORES[name].measure is not None
    for outputs, seen in (((1, 1),) if row.task == "regression" else ((2, 2),) if row.two_classes else ((2, 2), (5, 3)))
]


@pytest.mark.parametrize(("name", "classes", "seen"), CASES)
def test_what_a_device_measures_is_what_the_reference_says(name: str, classes: int, seen: int) -> None:
    rng = np.random.default_rng(2)
    outputs = 3 * rng.normal(size=(ROWS, classes)).astype(np.float32)
    y = rng.integers(0, seen, ROWS) if classes > 1 else rng.normal(size=ROWS).astype(np.float32)
    reference = SCORES[name].reference
    assert reference is not None
    expected = reference(Judged(y[:MASK], outputs[:MASK].astype(np.float64), 1.0, constant=False))
    np.testing.assert_allclose(_measured(name, outputs, y), expected, rtol=1e-5)


@pytest.mark.parametrize(("name", "classes", "seen"), CASES)
def test_the_same_of_rows_that_have_weights(name: str, classes: int, seen: int) -> None:
    rng = np.random.default_rng(2)
    outputs = np.round(6 * rng.normal(size=(ROWS, classes))).astype(np.float32) / 4  # some margins are equal
    y = rng.integers(0, seen, ROWS) if classes > 1 else rng.normal(size=ROWS).astype(np.float32)
    reference = SCORES[name].reference
    assert reference is not None
    some = USED & (WEIGHTS > 0)
    judged = Judged(y[some], outputs[some].astype(np.float64), 1.0, constant=False, weights=WEIGHTS[some])
    expected = reference(judged)
    np.testing.assert_allclose(_measured(name, outputs, y, WEIGHTS), expected, rtol=1e-5)
    assert abs(expected - _measured(name, outputs, y)) > 1e-4  # the weights tell
    ones = np.ones(ROWS, np.float32)
    np.testing.assert_allclose(_measured(name, outputs, y, ones), _measured(name, outputs, y), rtol=1e-5)


@pytest.mark.parametrize("label", [0, 1])
def test_area_under_curve_is_not_defined_where_one_class_weighs_nothing(label: int) -> None:
    labels = RNG.integers(0, 2, ROWS)
    outputs = RNG.normal(size=(ROWS, 2)).astype(np.float32)
    assert np.isnan(_measured("auc", outputs, labels, np.where(labels == label, 0.5, 0)))


def test_every_metric_is_measured_or_made_of_one_that_is() -> None:
    assert set(SCORES) == set(METRICS)
    for name, row in METRICS.items():
        assert (SCORES[name].measure is None) == (row.measure is not None), name
        assert SCORES[row.measure or name].measure is not None, name


def test_log_loss_is_that_of_probabilities() -> None:
    outputs, labels = 3 * RNG.normal(size=(ROWS, 4)).astype(np.float32), RNG.integers(0, 4, ROWS)
    expected = sk.log_loss(labels[:MASK], special.softmax(outputs[:MASK], axis=1), labels=range(4))
    np.testing.assert_allclose(_measured("log_loss", outputs, labels), expected, rtol=1e-5)


def _auc(scores: np.ndarray, labels: np.ndarray, rows: np.ndarray | None = None) -> float:
    used = np.ones(len(scores), bool) if rows is None else rows
    return float(area_under_curve(jnp.asarray(scores), jnp.asarray(labels), jnp.asarray(used)))


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
    got = area_under_curve(jnp.asarray(scores), jnp.asarray(labels), jnp.asarray(USED))
    np.testing.assert_allclose(got, sk.roc_auc_score(labels[:MASK], scores[:MASK]), rtol=1e-6)


def test_regression() -> None:
    """In units of the target, whatever these are."""
    outputs, targets = RNG.normal(size=(ROWS, 1)).astype(np.float32), RNG.normal(size=ROWS).astype(np.float32)
    y, predicted = targets[:MASK].astype(float), outputs[:MASK, 0].astype(float)
    names = [name for name in measure_names("regression", 1) if name != "loss"]
    measures = np.array([0.5, *(_measured(name, outputs, targets) for name in names)], np.float64)
    for scale in (3.0, 1e20, 1e-20, 1e150):
        got = dict(
            zip(metric_names("regression", 1), metric_values(measures, "regression", scale, y.var()), strict=True)
        )
        assert got["loss"] == 0.5
        np.testing.assert_allclose(got["mse"] / scale**2, sk.mean_squared_error(y, predicted), rtol=1e-5)
        np.testing.assert_allclose(got["mae"] / scale, sk.mean_absolute_error(y, predicted), rtol=1e-5)
        np.testing.assert_allclose(got["rmse"] / scale, sk.root_mean_squared_error(y, predicted), rtol=1e-5)
        np.testing.assert_allclose(got["r2"], sk.r2_score(y, predicted), rtol=1e-5)
    assert np.isnan(metric_values(measures, "regression", 1.0, 0.0)[metric_names("regression", 1).index("r2")])


@pytest.mark.parametrize("name", [row.name for row in METRICS.values() if row.task == "regression"])
def test_the_host_gives_what_the_reference_says(name: str) -> None:
    """Also of metrics that it makes of others."""
    rng = np.random.default_rng(4)
    outputs, targets = rng.normal(size=(ROWS, 1)).astype(np.float32), rng.normal(size=ROWS).astype(np.float32)
    judged = Judged(targets[:MASK].astype(float), outputs[:MASK].astype(float), 3.0, constant=False)
    measured = _measured(METRICS[name].measure or name, outputs, targets)
    got = METRICS[name].restore(np.array(measured), 3.0, float(judged.y.var()))
    reference = SCORES[name].reference
    assert reference is not None
    np.testing.assert_allclose(got, reference(judged), rtol=1e-5)


def test_a_unit_of_a_metric_in_that_of_its_measure() -> None:
    """A change of the measure by `unit_of` changes the metric by 1."""
    scale, variance = 4.0, 2.0
    before = metric_values(np.array([0.0, 9.0, 3.0]), "regression", scale, variance)
    column = {name: number for number, name in enumerate(metric_names("regression", 1))}
    for name, measure in (("mse", 1), ("mae", 2), ("r2", 1)):
        measures = np.array([0.0, 9.0, 3.0])
        measures[measure] += unit_of(name, scale, variance)
        after = metric_values(measures, "regression", scale, variance)
        assert abs(after[column[name]] - before[column[name]]) == pytest.approx(1)
    assert unit_of("rmse", scale, variance) == 1 / scale
    assert unit_of("accuracy", 1.0, 0.0) == 1


@pytest.mark.parametrize("metric", ["mse", "mae", "rmse", "r2"])
def test_shares_of_targets_order_networks_as_the_metric_does(metric: str) -> None:
    rng = np.random.default_rng(5)
    scale, variance = np.array([4.0, 1e3, 0.01]), np.array([2.0, 0.5, 1.0])
    measures = np.column_stack([np.zeros(20), rng.exponential(size=(20, 6))])
    values = metric_values(measures, "regression", scale, variance)[:, metric_names("regression", 3).index(metric)]
    shares, unit = merit_shares(metric, scale, variance)
    own = measures[:, 4:] if metric == "mae" else measures[:, 1:4]
    merit = (shares * (np.sqrt(own) if metric == "rmse" else own)).sum(axis=1)
    assert shares.max() == 1
    sign = -1 if metric == "r2" else 1
    np.testing.assert_allclose(merit - merit[0], sign * unit * (values - values[0]), atol=1e-12)


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

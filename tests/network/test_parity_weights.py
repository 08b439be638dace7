"""Rows and classes that weigh differently: beside the plain reference, beside NumPy, and where they weigh nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import textbook
from parity import BASE, SEED, check, check_lanes, close, regression, run_lanes, three_classes
from sklearn.utils.class_weight import compute_class_weight

import jaxsweep as js
from jaxsweep.data import Dataset, Prepared, prepare
from jaxsweep.data.weights import balanced
from jaxsweep.engine.lanes import Supply
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.network import randomness, reference
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import resolve

pytestmark = pytest.mark.usefixtures("float64")

RNG = np.random.default_rng(7)
WEIGHTS = np.where(RNG.uniform(size=150) < 0.3, 0, RNG.exponential(size=150))
SPLIT = (0.5, 0.3, 0.2)
CLASSES: list[dict[str, Any]] = [{}, {"class_weight": "balanced"}, {"class_weight": "balanced", "mixup_alpha": 0.4}]


def two_classes() -> Dataset:
    """Return 150 rows of 6 features with WEIGHTS, one in five of the second class."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(150, 6))
    y = (x[:, 0] + rng.normal(size=150) * 0.5 > 0.9).astype(int)
    return Dataset.from_arrays(x, y, weights=WEIGHTS)


def test_classes_weigh_as_they_do_alone() -> None:
    """Lanes whose classes are balanced, by the rows of their own fold, train beside others whose are not."""
    focal = {"loss": "focal", "class_weight": "balanced", "norm": "batch"}
    data = three_classes(split=(0.7, 0, 0.3), folds=2)
    configs = [{**BASE, **change} for change in [*CLASSES[:2], focal]]
    lanes = run_lanes(data, configs)
    check_lanes(data, configs, [lanes[0], *lanes[2:4], lanes[5]])  # one fold of each, both of those that are balanced


def test_rows_weigh_as_they_do_alone() -> None:
    """With batches of a single row, whose loss is 0 if it weighs nothing, and an early stop that watches the loss."""
    stops = {"epochs": 60, "learning_rate": 0.1, "patience": 1, "monitor": "train_loss"}
    configs = [{**BASE, **change} for change in [*CLASSES, {"batch_size": 1, "epochs": 2}, stops]]
    lanes = check(prepare(two_classes(), SPLIT), configs, objective="val_auc", keep_best=True)
    assert lanes[-1].status == "stopped"
    assert all(np.isfinite(lane.curves).all() for lane in lanes)


def test_regression() -> None:
    configs = [{**BASE, "loss": loss} for loss in ("mse", "huber")]
    check(regression(WEIGHTS), [*configs, {**BASE, "mixup_alpha": 0.3}], objective="val_r2")


def test_metrics_of_the_training_rows_have_weights() -> None:
    how: dict[str, Any] = {"split": SPLIT, "train_metrics": True}
    result = js.sweep(two_classes(), configs=[BASE], progress=False, **how)
    alone = js.solo(two_classes(), BASE, **how)
    for name in ("train_accuracy", "train_auc", "train_log_loss", "val_f1", "train_loss"):
        close(result.curves(name)[0], alone.curves[name], 1e-8, name)


def test_where_nothing_weighs_differently_there_are_no_weights() -> None:
    """Programs hold what they are given, and are given none."""
    for data, config, some in ((three_classes(), BASE, False), (three_classes(WEIGHTS), {**BASE, **CLASSES[1]}, True)):
        what = scope.of_configs([resolve(config, "classification", 75)])
        held = Supply(data, what, SEED, "val_accuracy").places[0]
        assert held.test is not None
        assert ("class_weight" in what.traced) == some
        assert all((array is not None) == some for array in (held.data.w, held.data.w_val, held.test.w))


# --- by the textbook ---------------------------------------------------------------------------------------------


def test_gradient_descent_on_a_weighted_loss_is_the_textbook_s() -> None:
    """A linear model, whose every step NumPy takes a second time; the order of the rows alone is the package's."""
    data = three_classes(WEIGHTS)
    config: dict[str, Any] = {
        "depth": 0, "optimizer": "sgd", "learning_rate": 0.3, "batch_size": 15, "epochs": 4, "label_smoothing": 0.1,
        "l2": 0.01,
    }  # fmt: skip
    configs = [{**config, "class_weight": class_weight} for class_weight in ("none", "balanced")]
    rows = data.train[0]
    x, y, w = data.x[0][rows], data.y[0][rows], np.asarray(data.weights)[rows]
    for lane, weights in zip(run_lanes(data, configs), (w, w * textbook.balanced(y, w)), strict=True):
        _descend(data, lane, x, y, weights)


def _descend(data: Prepared, lane: LaneResult, x: Any, y: Any, w: Any) -> None:
    """Assert that the lane went where gradient descent goes."""
    assert lane.weights is not None
    config = {"depth": 0, "batch_size": 15, "epochs": 1}
    start = reference.train(data, config, SEED, trial=lane.job.trial).initial["output"]
    kernel, bias = np.array(start["kernel"]), np.array(start["bias"])
    h = {"label_smoothing": 0.1, "focal_gamma": 0.0, "huber_delta": 1.0}
    losses = []
    for epoch in range(4):
        order = np.asarray(reference._shuffled(randomness.lane_key(SEED, lane.job.trial, 0, 0), epoch, 75))
        whole = 0.0
        for batch in order.reshape(5, 15):
            of_rows, slopes = textbook.loss("cross_entropy", h, x[batch] @ kernel + bias, np.eye(3)[y[batch]])
            penalty = 0.005 * (kernel**2).sum()
            whole += (textbook.weighted_mean(of_rows, w[batch]) + penalty) * w[batch].sum()
            g = slopes * w[batch, None] / w[batch].sum()
            kernel, bias = kernel - 0.3 * (x[batch].T @ g + 0.01 * kernel), bias - 0.3 * g.sum(axis=0)
        losses.append(whole / w.sum())
    close(lane.curves[:, 0], losses, 1e-10, "train_loss")
    close(lane.weights[0]["output"]["kernel"], kernel, 1e-10, "kernel")
    close(lane.weights[0]["output"]["bias"], bias, 1e-10, "bias")


def test_a_row_that_weighs_two_is_the_row_twice() -> None:
    """Full batches, in which order says nothing. The same features: what is prepared has the rows twice."""
    counts = RNG.integers(0, 4, 150)
    data = regression(counts)
    weights = np.asarray(data.weights)  # divided by their mean
    twice = np.repeat(np.arange(len(weights)), np.rint(weights / weights[weights > 0].min()).astype(int))
    plain = replace(
        data, x=data.x[:, twice], y=data.y[:, twice], weights=None, test_weights=None,
        train=(np.flatnonzero(np.isin(twice, data.train[0])).astype(np.int32),),
        val=(np.flatnonzero(np.isin(twice, data.val[0])).astype(np.int32),),
    )  # fmt: skip
    config = {**BASE, "batch_size": "full", "epochs": 5, "loss": "huber"}
    (one,), (other,) = run_lanes(data, [config], "val_mse"), run_lanes(plain, [config], "val_mse")
    close(one.curves, other.curves, 1e-9, "curves")


def test_balanced_classes_are_scikit_learn_s() -> None:
    y, w = RNG.integers(0, 4, 60) ** 2 // 3, RNG.exponential(size=60)
    codes = np.searchsorted(np.unique(y), y)
    for weights in (None, w):
        expected = compute_class_weight("balanced", classes=np.unique(y), y=y, sample_weight=weights)
        np.testing.assert_allclose(balanced(codes, len(np.unique(y)), weights), expected)
        mine = textbook.balanced(codes, np.ones(60) if weights is None else weights)
        np.testing.assert_allclose(mine, expected[codes])


def test_a_class_that_weighs_nothing_trains_nobody() -> None:
    np.testing.assert_array_equal(balanced(np.array([0, 0, 1]), 2, np.array([1.0, 3.0, 0.0])), [0.5, 0])

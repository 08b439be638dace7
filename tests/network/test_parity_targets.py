"""Several targets of regression train as they do in the plain reference, and as in NumPy, in float64."""

from typing import Any

import numpy as np
import pytest
import textbook
from parity import BASE, DEEP, check, close, run_lanes

from jaxsweep.data import Dataset, Prepared, prepare
from jaxsweep.network import reference
from jaxsweep.spec.hyperparameters import REGRESSION_LOSSES

pytestmark = pytest.mark.usefixtures("float64")


def three_targets(weights: Any = None) -> Prepared:
    """Return 75 training rows of 6 features with targets in units of 1, 1000 and 0.01."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(150, 6))
    y = 5 + x @ rng.normal(size=(6, 3)) + rng.normal(size=(150, 3)) * 0.3
    return prepare(Dataset.from_arrays(x, y * [1, 1000, 0.01], weights=weights), split=(0.5, 0.3, 0.2))


def test_every_loss() -> None:
    configs = [{**DEEP, "loss": loss, "huber_delta": 0.5} for loss in REGRESSION_LOSSES]
    configs.append({**DEEP, "mixup_alpha": 0.3, "width_shape": "funnel", "width": 9})
    check(three_targets(np.random.default_rng(0).exponential(size=150)), configs, objective="val_r2")


@pytest.mark.parametrize(("objective", "delta"), [("val_mae", 5.0), ("val_rmse", 5.0), ("val_loss", 0.01)])
def test_what_follows_an_objective_follows_the_mean_in_units(objective: str, delta: float) -> None:
    """Early stopping, with min_delta in units of the objective, and the best epoch."""
    config = {**BASE, "learning_rate": 0.1, "epochs": 25, "monitor": "objective", "l2": 1e-3}
    configs = [{**config, "patience": 3, "min_delta": delta}, {**config, "epochs": 12}]
    lanes = check(three_targets(), configs, objective=objective, keep_best=True)
    assert lanes[0].status == "stopped"


def test_gradient_descent_on_several_targets_is_the_textbook_s() -> None:
    """A linear model of all rows at once: the same losses and weights as NumPy's."""
    data = three_targets()
    config = {
        "depth": 0, "optimizer": "sgd", "learning_rate": 0.2, "batch_size": "full", "epochs": 6, "loss": "huber",
        "huber_delta": 0.7,
    }  # fmt: skip
    (lane,) = run_lanes(data, [config], objective="val_mse")
    assert lane.weights is not None
    start = reference.train(data, {**config, "epochs": 1}, 3).initial["output"]
    kernel, bias = np.array(start["kernel"]), np.array(start["bias"])
    x, y = data.x[0][data.train[0]], data.y[0][data.train[0]]
    losses = []
    for _ in range(6):
        of_rows, slopes = textbook.loss("huber", {"huber_delta": 0.7}, x @ kernel + bias, y)
        losses.append(of_rows.mean())
        kernel, bias = kernel - 0.2 * x.T @ slopes / len(x), bias - 0.2 * slopes.mean(axis=0)
    close(lane.curves[:, 0], losses, 1e-12, "train_loss")
    close(lane.weights[0]["output"]["kernel"], kernel, 1e-12, "kernel")

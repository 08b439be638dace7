"""Each value of each categorical hyperparameter trains as it does alone, in float64 over whole trainings."""

from typing import Any

import pytest
from parity import BASE, DEEP, ONE_PROGRAM, check, regression, three_classes

from jaxsweep.spec.hyperparameters import CLASSIFICATION_LOSSES, HYPERPARAMETERS, REGRESSION_LOSSES

pytestmark = pytest.mark.usefixtures("float64")


def _through(several: dict[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Return changes in which each name goes through all of its values, side by side: few trainings show them all."""
    count = max(map(len, several.values()))
    return [{name: values[i % len(values)] for name, values in several.items()} for i in range(count)]


def test_every_value() -> None:
    names = ("activation", "init", "optimizer", "schedule")
    changes = _through({name: HYPERPARAMETERS[name].choices for name in names})
    assert all({change[name] for change in changes} == set(HYPERPARAMETERS[name].choices) for name in names)
    check(three_classes(), [{**DEEP, "epochs": 4, "warmup": 0.1 * (i % 3), **each} for i, each in enumerate(changes)])


def test_where_the_program_pads() -> None:
    """Norms, initializers and losses in networks of many widths, two lanes of which are alike in none of these."""
    norms = ("none", "batch", "layer")
    losses = tuple((loss, smoothing) for loss in CLASSIFICATION_LOSSES for smoothing in (0, 0.2))
    widths = ([8, 2], 3, [2, 8], 7, 5, [9, 2], 4, [7, 3], 8, 6)
    changes = _through({"norm": norms, "init": HYPERPARAMETERS["init"].choices, "both": losses, "width": widths})
    configs = []
    for change in changes:
        loss, smoothing = change.pop("both")
        configs.append({**DEEP, "focal_gamma": 1.5, "loss": loss, "label_smoothing": smoothing, **change})
    assert {config["norm"] for config in configs} == set(HYPERPARAMETERS["norm"].choices)
    check(three_classes(), configs, costs=ONE_PROGRAM)


def test_regression_losses() -> None:
    check(regression(), [{**BASE, "loss": loss, "huber_delta": 0.5} for loss in REGRESSION_LOSSES], objective="val_r2")

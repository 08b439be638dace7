"""Each value of each categorical hyperparameter trains as it does alone, in float64 over whole trainings."""

import pytest
from parity import BASE, ONE_PROGRAM, check, regression, three_classes

from jaxsweep.spec.hyperparameters import CLASSIFICATION_LOSSES, HYPERPARAMETERS, REGRESSION_LOSSES

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("name", ["activation", "init", "optimizer", "schedule"])
def test_every_value(name: str) -> None:
    values = HYPERPARAMETERS[name].choices
    check(
        three_classes(), [{**BASE, "epochs": 4, name: value, "warmup": 0.1 * (i % 3)} for i, value in enumerate(values)]
    )


def test_norms_where_the_program_pads() -> None:
    norms = [("none", 7), ("batch", 5), ("layer", 3), ("layer", 7), ("batch", [9, 2])]
    configs = [{**BASE, "norm": norm, "width": width} for norm, width in norms]
    check(three_classes(), configs, costs=ONE_PROGRAM)


def test_classification_losses() -> None:
    check(
        three_classes(),
        [
            {**BASE, "loss": loss, "label_smoothing": s, "focal_gamma": 1.5}
            for loss in CLASSIFICATION_LOSSES
            for s in (0, 0.2)
        ],
    )


def test_regression_losses() -> None:
    check(regression(), [{**BASE, "loss": loss, "huber_delta": 0.5} for loss in REGRESSION_LOSSES], objective="val_r2")


def test_initializers_where_the_program_pads() -> None:
    values = HYPERPARAMETERS["init"].choices
    widths = [3, 8, [2, 8], [8, 2], 5, 4, 7, [7, 3]]
    configs = [
        {**BASE, "epochs": 1, "init": value, "width": width} for value, width in zip(values, widths, strict=True)
    ]
    check(three_classes(), configs, costs=ONE_PROGRAM)

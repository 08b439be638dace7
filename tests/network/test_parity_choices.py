"""Each value of each categorical hyperparameter trains as it does alone, in float64 over whole trainings."""

from itertools import cycle
from typing import Any

import pytest
from parity import BASE, ONE_PROGRAM, check, check_lanes, regression, run_lanes, three_classes

from jaxsweep.engine.outcome import LaneResult
from jaxsweep.spec.hyperparameters import CLASSIFICATION_LOSSES, HYPERPARAMETERS, REGRESSION_LOSSES

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("names", [("activation", "init"), ("optimizer", "schedule")], ids="-".join)
def test_every_value(names: tuple[str, str]) -> None:
    """Two hyperparameters at a time, each through all of its values: half as many trainings, and as much to see."""
    values = [HYPERPARAMETERS[name].choices for name in names]
    count = max(map(len, values))
    changes = [{name: each[i % len(each)] for name, each in zip(names, values, strict=True)} for i in range(count)]
    assert all({change[name] for change in changes} == set(HYPERPARAMETERS[name].choices) for name in names)
    configs = [{**BASE, "epochs": 4, "warmup": 0.1 * (i % 3), **change} for i, change in enumerate(changes)]
    check(three_classes(), configs)


# By test, what trains padded, in one program for all.
_WIDTHS: list[Any] = [3, 8, [2, 8], [8, 2], 5, 4, 7, [7, 3]]
_NORMS: list[tuple[str, Any]] = [("none", 7), ("batch", 5), ("layer", 3), ("layer", 7), ("batch", [9, 2])]
PADDED: dict[str, list[dict[str, Any]]] = {
    "norms": [{**BASE, "norm": norm, "width": width} for norm, width in _NORMS],
    "initializers": [
        {**BASE, "epochs": 1, "init": value, "width": width}
        for value, width in zip(HYPERPARAMETERS["init"].choices, cycle(_WIDTHS), strict=False)
    ],
    "losses": [
        {**BASE, "loss": loss, "label_smoothing": s, "focal_gamma": 1.5}
        for loss in CLASSIFICATION_LOSSES
        for s in (0, 0.2)
    ],
}


@pytest.fixture(scope="module")
def padded(float64: None) -> dict[str, list[LaneResult]]:
    configs = [config for each in PADDED.values() for config in each]
    lanes = iter(run_lanes(three_classes(), configs, costs=ONE_PROGRAM))
    return {name: [next(lanes) for _ in each] for name, each in PADDED.items()}


@pytest.mark.parametrize("name", PADDED)
def test_where_the_program_pads(padded: dict[str, list[LaneResult]], name: str) -> None:
    check_lanes(three_classes(), [config for each in PADDED.values() for config in each], padded[name])


def test_regression_losses() -> None:
    check(regression(), [{**BASE, "loss": loss, "huber_delta": 0.5} for loss in REGRESSION_LOSSES], objective="val_r2")

"""Engine and plain reference side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxsweep import engine, scope
from jaxsweep.data import Prepared
from jaxsweep.engine import LaneResult
from jaxsweep.hyperparameters import resolve
from jaxsweep.plan import Costs, make_plan
from jaxsweep.solo import Solo, train


def run_lanes(
    data: Prepared,
    configs: Sequence[dict[str, Any]],
    seed: int = 0,
    objective: str = "val_accuracy",
    keep_best: bool = False,
    replicates: int = 1,
    tile: int | None = None,
    costs: Costs | None = None,
    trials: Sequence[int] | None = None,
    what: scope.Scope | None = None,
    workers: int | None = None,
) -> list[LaneResult]:
    """Train configs through the engine and return all lanes with their weights, in order."""
    rows = min(len(part) for part in data.train)
    full = [resolve(config, data.task, rows, data.image_shape is not None) for config in configs]
    what = what or scope.of_configs(full)
    trainer = engine.Engine(data, what, objective, seed, keep_best, workers)
    lanes_each = replicates * len(data.train)
    made = make_plan(full, trainer.sizes, lanes_each, costs, tile)
    lanes = list(trainer.run(made, full, trials or range(len(full)), replicates, wanted=lambda _: True))
    assert len(lanes) == len(configs) * lanes_each
    return sorted(lanes, key=lambda lane: (lane.job.position, lane.job.replicate, lane.job.fold))


def compare(lane: LaneResult, alone: Solo, names: Sequence[str], tolerance: float) -> None:
    """Assert that a lane has the status, curves and final weights of the plain reference."""
    assert lane.status == alone.status, (lane.status, alone.status)
    assert lane.epochs == alone.epochs or lane.status == "diverged"
    for column, name in enumerate(names):
        if name in alone.curves:
            epochs = min(len(lane.curves), len(alone.curves[name]))
            expected = alone.curves[name][:epochs]
            np.testing.assert_allclose(
                lane.curves[:epochs, column], expected, rtol=tolerance, atol=tolerance, err_msg=name
            )
    assert lane.weights is not None
    if lane.status == "diverged":
        return
    for got, expected in zip(lane.weights, (alone.params, alone.stats), strict=True):
        assert set(got) == set(expected)
        for layer, arrays in expected.items():
            assert set(got[layer]) == set(arrays)
            for key, array in arrays.items():
                np.testing.assert_allclose(
                    got[layer][key], array, rtol=tolerance, atol=tolerance, err_msg=f"{layer}/{key}"
                )


def reference(
    data: Prepared, config: dict[str, Any], lane: LaneResult, seed: int, objective: str, keep_best: bool
) -> Solo:
    """Train the lane's config alone."""
    job = lane.job
    return train(
        data, config, seed, trial=job.trial, replicate=job.replicate, fold=job.fold, objective_metric=objective,
        keep_best=keep_best,
    )  # fmt: skip

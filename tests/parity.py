"""Engine and plain reference side by side."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxsweep.data import Dataset, Prepared, prepare
from jaxsweep.engine import engine
from jaxsweep.engine.costs import Costs
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.engine.planner import make_plan
from jaxsweep.network.reference import Solo, train
from jaxsweep.records.trials import Columns
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import resolve

SEED = 3
ONE_PROGRAM = Costs(compilation=1e6)  # compiling is so dear that configs of one depth share a program, padded
# One hidden layer, where a test is not about layers: of two, much more is to be compiled, in the reference most.
BASE: dict[str, Any] = {"epochs": 6, "batch_size": 15, "width": 7, "depth": 1, "learning_rate": 0.01}
DEEP: dict[str, Any] = {**BASE, "depth": 2}


def three_classes(weights: Any = None, **split: Any) -> Prepared:
    """Return 75 training rows of 6 features (five batches of 15; of 16, the last one is short), 3 classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 6))
    y = (x[:, 0] * 2 + x[:, 1] ** 2 + rng.normal(size=150) * 0.3 > 0.5).astype(int) + (x[:, 2] > 1)
    return prepare(Dataset.from_arrays(x, y, weights=weights), **(split or {"split": (0.5, 0.3, 0.2)}))


def regression(weights: Any = None) -> Prepared:
    """Return 75 training rows of 6 features with a noisy linear target."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(150, 6))
    y = 5 + 3 * x @ rng.normal(size=6) + rng.normal(size=150) * 0.1
    return prepare(Dataset.from_arrays(x, y, weights=weights), split=(0.5, 0.3, 0.2))


def images() -> Prepared:
    """Return 45 training images of 6 x 6, 2 classes."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(90, 36)), rng.integers(0, 2, 90)
    return prepare(Dataset.from_arrays(x, y, image_shape=(6, 6)), split=(0.5, 0.3, 0.2))


def run_lanes(
    data: Prepared,
    configs: Sequence[dict[str, Any]],
    objective: str = "val_accuracy",
    keep_best: bool = False,
    replicates: int = 1,
    tile: int | None = None,
    costs: Costs | None = None,
    trials: Sequence[int] | None = None,
    what: scope.Scope | None = None,
    workers: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    batches: tuple[int, ...] | None = None,
    by_lane: tuple[str, ...] | None = None,
) -> list[LaneResult]:
    """Train configs through the engine and return all lanes with their weights, in order."""
    rows = min(len(part) for part in data.train)
    full = [resolve(config, data.task, rows, data.image_shape is not None) for config in configs]
    trainer = engine.Engine(
        data, what or scope.of_configs(full), objective, SEED, keep_best, workers=workers, devices=devices
    )
    lanes_each = replicates * len(data.train)
    made = make_plan(
        full, trainer.supply.sizes, lanes_each, costs, tile, scope=trainer.scope, batches=batches, by_lane=by_lane
    )
    lanes = list(
        trainer.run(made, full, trials or range(len(full)), replicates, wanted=lambda lanes: [True] * len(lanes))
    )
    assert len(lanes) == len(configs) * lanes_each
    return sorted(lanes, key=lambda lane: (lane.job.position, lane.job.replicate, lane.job.fold))


def check(
    data: Prepared,
    configs: Sequence[dict[str, Any]],
    objective: str = "val_accuracy",
    keep_best: bool = False,
    tolerance: float = 1e-8,
    **how: Any,
) -> list[LaneResult]:
    """Assert that every lane comes out of the engine as it comes out of the plain reference; return the lanes."""
    lanes = run_lanes(data, configs, objective, keep_best, **how)
    check_lanes(data, configs, lanes, objective, keep_best, tolerance)
    return lanes


def check_lanes(
    data: Prepared,
    configs: Sequence[dict[str, Any]],
    lanes: Sequence[LaneResult],
    objective: str = "val_accuracy",
    keep_best: bool = False,
    tolerance: float = 1e-8,
) -> None:
    """Assert the same of lanes that the engine has trained, perhaps among others."""
    names = Columns.of(data.task, data.n_outputs, objective, True).curves
    for lane in lanes:
        job = lane.job
        alone = train(
            data, configs[job.position], SEED, trial=job.trial, replicate=job.replicate, fold=job.fold,
            objective_metric=objective, keep_best=keep_best,
        )  # fmt: skip
        compare(lane, alone, names, tolerance)


def compare(lane: LaneResult, alone: Solo, names: Sequence[str], tolerance: float) -> None:
    """Assert that a lane has the status, curves and final weights of the plain reference."""
    what = {key: value for key, value in alone.config.items() if BASE.get(key) != value}
    assert lane.status == alone.status, what
    if alone.status == "diverged":
        assert lane.steps == alone.diverged_at, what
        return
    assert len(lane.curves) == alone.epochs, what
    for column, name in enumerate(names):
        close(lane.curves[:, column], alone.curves[name], tolerance, f"{name} of {what}")
    assert lane.weights is not None
    for got, expected in zip(lane.weights, (alone.params, alone.stats), strict=True):
        assert set(got) == set(expected), what
        for layer, arrays in expected.items():
            assert set(got[layer]) == set(arrays), what
            for key, array in arrays.items():
                close(got[layer][key], array, tolerance, f"{layer}/{key} of {what}")


def same(one: LaneResult, other: LaneResult) -> bool:
    """Return whether two lanes agree to the last bit."""
    assert one.weights is not None
    assert other.weights is not None
    pairs = [(one.curves, other.curves)]
    for layer, arrays in one.weights[0].items():
        pairs += [(array, other.weights[0][layer][key]) for key, array in arrays.items()]
    return one.status == other.status and all(a.tobytes() == b.tobytes() for a, b in pairs)


def close(got: Any, expected: Any, tolerance: float, what: str) -> None:
    """Assert equal shapes, and values equal within `tolerance` relative to the larger of value and 1."""
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance, err_msg=what)

"""Hypergradients in float64: both modes against central differences of whole trainings, a program for many configs."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity import ONE_PROGRAM, SEED, images, regression, three_classes

from jaxsweep.data import Prepared
from jaxsweep.engine.engine import Engine
from jaxsweep.engine.planner import make_plan
from jaxsweep.network import hypergradient, randomness, train
from jaxsweep.network.hypergradient import Bounds, Room
from jaxsweep.network.randomness import Stream
from jaxsweep.spec import scope
from jaxsweep.spec.hypergradients import HYPERGRADIENTS, WITHOUT, followed, has_hypergradient
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, Config, resolve

pytestmark = pytest.mark.usefixtures("float64")

BASE: dict[str, Any] = {
    "epochs": 3, "batch_size": 25, "width": 4, "depth": 1, "learning_rate": 0.03, "activation": "tanh", "eps": 1e-3,
}  # fmt: skip
ROOM = Room(4, 4)
STEP = 1e-6


class Found(NamedTuple):
    """What was found for one config: the value, and slopes by name in both modes and by differences."""

    config: Config
    value: float
    forwards: dict[str, float]
    backwards: dict[str, float]
    differences: dict[str, float]


def find(data: Prepared, configs: list[dict[str, Any]], measure: str = "loss", **how: Any) -> list[Found]:
    """Return the hypergradients of configs by everything that they use, in one program for each mode."""
    rows = min(len(part) for part in data.train)
    full = [resolve({**BASE, **config}, data.task, rows, data.image_shape is not None) for config in configs]
    what = scope.of_configs(full)
    engine = Engine(data, what, "val_loss", SEED, **how)
    plan = make_plan(full, engine.supply.sizes, len(data.train), ONE_PROGRAM, by_lane=())
    names = tuple(name for name in HYPERGRADIENTS if name in what.traced)
    place = engine.supply.places[0].data
    found: dict[int, Found] = {}
    functions: dict[Any, Any] = {}
    for group in engine._groups(plan, full, range(len(full)), 1):
        program = hypergradient.differentiated(group.program)
        if program not in functions:
            functions[program] = _functions(program, names, measure)
        both, values = functions[program]
        for job in group.jobs:
            lane = jax.tree.map(lambda leaf: leaf[0], engine.supply.lanes([job], group, 1))
            choices = engine.supply.choices([job], group, 1)
            config, bounds = full[job.position], Bounds(lane.epochs, lane.epoch_steps)
            (value, forwards), (again, backwards) = both(place, choices, lane, bounds)
            np.testing.assert_allclose(again, value, rtol=1e-12)
            point = np.array([lane.h[name] for name in names])
            sizes = STEP * np.where(point == 0, 1, np.abs(point))
            moved = np.concatenate([point + np.diag(sizes), point - np.diag(sizes)])
            up, down = np.split(np.asarray(values(place, choices, lane, bounds, moved)), 2)
            slopes = dict(zip(names, ((up - down) / (2 * sizes)).tolist(), strict=True))
            forth, back = ({name: float(slope) for name, slope in each.items()} for each in (forwards, backwards))
            found.setdefault(job.position, Found(config, float(value), forth, back, slopes))
    return [found[position] for position in range(len(configs))]


def _functions(program: Any, names: tuple[str, ...], measure: str) -> tuple[Any, Any]:
    @jax.jit
    def both(data: Any, choices: Any, lane: Any, bounds: Any) -> Any:
        which = functools.partial(hypergradient.hypergradient, program, data, choices, lane, names, measure, bounds)
        return which(), which(ROOM)

    @jax.jit
    def values(data: Any, choices: Any, lane: Any, bounds: Any, points: Any) -> Any:
        def at(point: Any) -> Any:
            moved = lane._replace(h={**lane.h, **dict(zip(names, point, strict=True))})
            run = hypergradient._Run(program, data, choices, moved, measure, bounds)
            state = jax.lax.fori_loop(0, bounds.epochs, lambda _, state: run.epoch({}, state), run.start({}))
            return run.value({}, state)

        return jax.vmap(at)(points)

    return both, values


def check(found: list[Found], seen: set[str]) -> None:
    """Assert that slopes agree, those of each config by whatever acts in it, and add their names to `seen`."""
    for each in found:
        what = {name: value for name, value in each.config.items() if value != HYPERPARAMETERS[name].default}
        assert np.isfinite(each.value), what
        for name, expected in each.differences.items():
            forwards, backwards = each.forwards[name], each.backwards[name]
            if not has_hypergradient(name, each.config):
                assert forwards == backwards == 0, (name, what)
                continue
            assert abs(expected) > 1e-7, (name, expected, what)
            np.testing.assert_allclose(forwards, expected, rtol=1e-4, err_msg=f"{name} of {what}")
            np.testing.assert_allclose(backwards, forwards, rtol=1e-8, err_msg=f"{name} of {what}")
            seen.add(name)


_SEEN: set[str] = set()  # by the tests of this file, for the last of them
LEAKY = {"activation": "leaky_relu", "negative_slope": 0.3}
# Two programs: of the cases of a switch each keeps what any of the others needs for its derivative.
_OPTIMIZERS: list[dict[str, Any]] = [
    *({"optimizer": name, "weight_decay": 0.1} for name in HYPERPARAMETERS["optimizer"].choices),
    {"optimizer": "lamb", "weight_decay": 0.3, "input_noise": 0.1, "width": 2, "batch_size": 20},
]
_OTHERS: list[dict[str, Any]] = [
    {"optimizer": "sgd", "momentum": 0.5, "nesterov": True, "init_scale": 1.5, "norm": "batch"},
    *(
        {"schedule": name, "warmup": 0.2, "decay_every": 0.7, "final_learning_rate": 0.1, "optimizer": "sgd"}
        for name in HYPERPARAMETERS["schedule"].choices
    ),
    {"loss": "focal", "label_smoothing": 0.1, "norm": "layer"},
    {"loss": "focal", "focal_gamma": 0.5, "init_scale": 2.0},
    {"label_smoothing": 0.2, "l2": 0.1, "input_noise": 0.3, "width": 3},
    {"l1": 0.01, "clip_norm": 0.05, "momentum": 0.9, "optimizer": "sgd", "width": 3},
    {**LEAKY, "dropout": 0.3, "norm": "batch", "input_dropout": 0.2, "mixup_alpha": 0.3},
    {"epochs": 4, "width": 2, "class_weight": "balanced"},
]


@pytest.mark.parametrize("changes", [_OPTIMIZERS, _OTHERS], ids=["optimizers", "others"])
def test_of_classification(changes: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Optimizers, schedules, losses, norms and penalties, also in networks that are padded and in short batches."""

    def share(key: Any, alpha: Any) -> Any:
        """A plainer draw: each of the eight that both modes and differences take would be seconds of compilation."""
        return jnp.where(alpha > 0, randomness.uniform(key, (1, 1))[0, 0], 1.0)

    monkeypatch.setattr(train, "mixup_share", share)
    check(find(three_classes(), changes), _SEEN)


def test_a_mixup_share_is_held_as_it_was_drawn() -> None:
    key, alpha = randomness.stream(randomness.lane_key(0, 1, 0, 0), Stream.MIXUP, 7), jnp.asarray(0.4)

    def scaled(rate: Any) -> Any:
        return jax.lax.fori_loop(0, 2, lambda _, total: total + rate * train.mixup_share(key, alpha), 0.0)

    @jax.jit
    def both(rate: Any) -> Any:
        return jax.jvp(scaled, (rate,), (1.0,))[1], jax.grad(scaled)(rate), train.mixup_share(key, alpha)

    forwards, backwards, drawn = both(0.3)
    assert 0 < drawn < 1
    assert forwards == backwards == 2 * drawn


@pytest.fixture(scope="module")
def regressions(float64: None) -> list[Found]:
    """Networks of two hidden layers under each loss, and in the end one that diverges."""
    changes: list[dict[str, Any]] = [{"loss": loss} for loss in ("mse", "mae", "log_cosh", "huber")]
    wild = {"optimizer": "sgd", "learning_rate": 3e38, "activation": "elu", "epochs": 4}
    changes += [{"loss": "huber", "huber_delta": 0.3}, wild]
    return find(regression(), [{"depth": 2, **change} for change in changes], "mse")


def test_of_regression(regressions: list[Found]) -> None:
    check(regressions[:-1], _SEEN)


def test_a_training_that_diverges_has_none(regressions: list[Found]) -> None:
    found = regressions[-1]
    for number in (found.value, *found.forwards.values(), *found.backwards.values()):
        assert np.isnan(number)


def test_of_images_and_the_best_epoch() -> None:
    """Which epoch is the best one, and where a lane stops early, is held as it is."""
    changes: list[dict[str, Any]] = [
        {"rotation": 20, "scaling": 0.1, "shift": 0.05},
        {"rotation": 5, "scaling": 0.2, "shift": 0.1, "patience": 1, "min_delta": 9.0},
    ]
    found = find(images(), [{"learning_rate": 0.01, **change} for change in changes], "log_loss", keep_best=True)
    check(found, _SEEN)


def test_every_traced_hyperparameter_has_one_or_a_reason() -> None:
    traced = [name for name, row in HYPERPARAMETERS.items() if row.role == "traced"]
    assert sorted([*HYPERGRADIENTS, *WITHOUT]) == sorted(traced)
    assert list(HYPERGRADIENTS) == [name for name in HYPERPARAMETERS if name in HYPERGRADIENTS]
    for name in HYPERGRADIENTS:
        assert HYPERPARAMETERS[name].kind == "float"


def test_each_of_them_was_checked() -> None:
    assert set(HYPERGRADIENTS) == _SEEN


@pytest.mark.parametrize(
    ("objective", "task", "measure"),
    [
        ("val_accuracy", "classification", "log_loss"),
        ("val_auc", "classification", "log_loss"),
        ("val_loss", "classification", "loss"),
        ("val_mae", "regression", "mae"),
        ("val_r2", "regression", "mse"),
        ("val_rmse", "regression", "mse"),
        ("mine", "regression", "mse"),
    ],
)
def test_the_measure_that_is_followed(objective: str, task: Any, measure: str) -> None:
    assert followed(objective, task) == measure

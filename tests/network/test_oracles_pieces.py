"""Optimizers, schedules, losses, norms, images and metrics against NumPy, SciPy, scikit-learn and PyTorch.

What the engine shares with its plain reference no test of parity can find wrong; the oracles here nobody here wrote.
"""

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import optax
import oracle_pieces
import oracle_steps
import pytest
import textbook
from oracle_pieces import Piece, gap
from oracle_steps import OPTIMIZER_CASES

from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, resolve


@pytest.fixture(params=["float32", "float64"])
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs in both float types."""
    with jax.enable_x64(request.param == "float64"):
        yield request.param


@pytest.mark.parametrize("piece", [*oracle_steps.PIECES, *oracle_pieces.PIECES], ids=lambda piece: piece.name)
def test_piece(precision: str, piece: Piece) -> None:
    assert piece.difference() <= piece.bound


# --- optimizers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in HYPERPARAMETERS["optimizer"].choices if name != "sgd"])
def test_defaults_of_an_optimizer_are_those_that_optax_gives_it(name: str) -> None:
    config = resolve({"optimizer": name}, "classification", 100)
    known = inspect.signature(getattr(optax, name)).parameters
    names = {"eps": "eps", "b1": "b1", "b2": "b2", "rms_decay": "decay" if name == "rmsprop" else "rho"}
    for ours, theirs in names.items():
        if theirs in known:
            assert config[ours] == known[theirs].default, ours


def _torch() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("torch")
        import oracle_torch
    return oracle_torch


# Where PyTorch's definition is another one unless epsilon is nothing (rmsprop, adagrad), nothing it is.
IN_TORCH: dict[str, dict[str, float]] = {
    "sgd": {}, "momentum": {}, "nesterov": {}, "adam": {}, "adadelta": {}, "adagrad": {"eps": 1e-30},
    "adamw": {"weight_decay": 0.2}, "nadam": {"weight_decay": 0.2},
}  # fmt: skip


@pytest.mark.parametrize("case", IN_TORCH)
def test_optimizer_as_pytorch_has_it(case: str) -> None:
    theirs = _torch()
    more = {"eps": 1e-3, "weight_decay": 0.0, "b2": 0.97, **IN_TORCH[case]}
    config = oracle_pieces.HYPERS | OPTIMIZER_CASES[case] | {"learning_rate": 0.05} | more
    with jax.enable_x64(True):
        got = oracle_steps.optimizer_path(case, **more)
    expected = theirs.optimizer_path(config, *oracle_steps.problem(), oracle_steps.STEPS)
    tolerance = 1e-7 if case == "nadam" else 1e-12  # PyTorch's keeps the product of its b1 in float32
    for ours, right in zip(got, expected, strict=True):
        assert max(gap(ours[key], right[key]) for key in right) < tolerance


def test_rmsprop_without_epsilon_as_pytorch_has_it() -> None:
    torch = pytest.importorskip("torch")
    start, gradient = oracle_steps.problem()
    with jax.enable_x64(True):
        got = oracle_steps.optimizer_path("rmsprop", eps=1e-30, weight_decay=0.0)
    params = {key: torch.tensor(value) for key, value in start.items()}
    theirs = torch.optim.RMSprop(params.values(), 0.05, oracle_pieces.HYPERS["rms_decay"], 1e-30)
    for step in range(oracle_steps.STEPS):
        for key, g in gradient(step, {key: p.numpy() for key, p in params.items()}).items():
            params[key].grad = torch.tensor(g)
        theirs.step()
        assert max(gap(got[step][key], p.numpy()) for key, p in params.items()) < 1e-10


# --- losses ------------------------------------------------------------------------------------------------------


# Those that PyTorch has.
@pytest.mark.parametrize("name", ["cross_entropy", "focal", "mse", "mae", "huber", "log_cosh"])
def test_the_textbook_of_losses_as_pytorch_has_it(name: str) -> None:
    """PyTorch differentiates by itself; the package is compared with the textbook."""
    theirs = _torch()
    for h, outputs, targets in oracle_pieces.loss_cases(name):
        if h["huber_delta"] > 1e9:
            continue  # PyTorch's own huber loss loses its digits there
        values, slopes = theirs.loss_and_gradient(h | {"loss": name}, outputs, targets)
        expected = textbook.loss(name, h, outputs, targets)
        assert gap(values, expected[0]) < 1e-9
        assert gap(slopes, expected[1]) < 1e-9


@pytest.mark.parametrize("name", [name for name in HYPERPARAMETERS["loss"].choices if name != "mae"])  # has a kink
def test_the_gradients_of_the_textbook_are_those_of_its_losses(name: str) -> None:
    for h, outputs, targets in oracle_pieces.loss_cases(name):
        if h["huber_delta"] > 1e4:
            continue  # the finite difference of numbers that large says nothing
        small = np.abs(outputs).max(axis=1) < 50
        outputs, targets = outputs[small], targets[small]
        for column in range(outputs.shape[1]):
            step = 1e-6 * np.eye(outputs.shape[1])[column]
            up, down = (textbook.loss(name, h, outputs + sign * step, targets)[0] for sign in (1, -1))
            slopes = textbook.loss(name, h, outputs, targets)[1][:, column]
            np.testing.assert_allclose((up - down) / 2e-6, slopes, rtol=1e-4, atol=1e-5)


# --- images ------------------------------------------------------------------------------------------------------

SHAPE = (8, 8)
IMAGES = np.random.default_rng(0).normal(size=(5, *SHAPE))
END = 1 - 2.0**-24


@pytest.mark.parametrize(("number", "pixels"), [(END, 2), (1 - END, -2)])
def test_the_largest_shift_is_a_fraction_of_the_side(number: float, pixels: int) -> None:
    """To the right and down for large numbers, here by whole pixels; the border's values follow."""
    moved = oracle_pieces.augmented(SHAPE, IMAGES, np.full((5, 5), number), shift=0.25)
    rows = np.clip(np.arange(8) - pixels, 0, 7)
    np.testing.assert_allclose(moved, IMAGES[:, rows][:, :, rows], atol=1e-4)


def test_a_quarter_turn_is_counterclockwise() -> None:
    numbers = np.full((5, 5), 0.75)  # half of the largest angle
    turned = oracle_pieces.augmented(SHAPE, IMAGES, numbers, rotation=180.0)
    np.testing.assert_allclose(turned, np.rot90(IMAGES, axes=(1, 2)), atol=1e-4)


def test_a_size_of_two_spreads_pixels_from_the_centre() -> None:
    image = np.zeros((1, 9, 9))
    image[0, 4, 4] = 1
    grown = oracle_pieces.augmented((9, 9), image, np.full((1, 5), END), scaling=0.9999999)[0]
    tent = np.maximum(1 - np.abs(np.arange(9) - 4) / 2, 0)
    np.testing.assert_allclose(grown, np.outer(tent, tent), atol=1e-5)


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0), (0.3, 0.3), (1.0, 1)])
def test_as_many_images_are_mirrored_as_asked_for(chance: float, share: float) -> None:
    images = np.random.default_rng(1).normal(size=(2000, 2, 3))
    after = oracle_pieces.augmented((2, 3), images, flip=chance)
    mirrored = np.abs(after - images[:, :, ::-1]).max(axis=(1, 2)) < 1e-5
    assert abs(mirrored.mean() - share) <= 5 * np.sqrt(share * (1 - share) / 2000)
    np.testing.assert_allclose(after[~mirrored], images[~mirrored], atol=1e-5)


# --- metrics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_area_under_the_curve(label: int) -> None:
    assert np.isnan(oracle_pieces.area(np.linspace(0, 1, 9), np.full(9, label), 8))
    assert np.isnan(oracle_pieces.area(np.linspace(0, 1, 9), np.full(9, label), 1))

"""The pieces that the engine and its plain reference share, each beside something that nobody here wrote.

A fault in one of them is invisible to every test of parity, since both sides have it. Each of `PIECES` gives the
largest difference, relative to the larger of the expected value and 1, in the float type that JAX has at the time.
Here are losses, activations, norms, images and metrics; `oracle_steps.py` has optimizers and learning rates,
`oracle_draws.py` what is random.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import textbook
from numpy.typing import NDArray
from sklearn import metrics

from jaxsweep.network import augment, objective, randomness, scores
from jaxsweep.network.mlp import NORM_MOMENTUM, Architecture, Mode, forward
from jaxsweep.spec.hyperparameters import CLASSIFICATION_LOSSES, HYPERPARAMETERS, REGRESSION_LOSSES

Floats = NDArray[np.float64]

_NUMBERS = [row for row in HYPERPARAMETERS.values() if row.role == "traced" and row.kind != "choice"]
HYPERS = {row.name: row.default for row in _NUMBERS} | {"eps": 1e-3}


class Piece(NamedTuple):
    """A shared piece: what it is compared with, by what, and the largest differences in float32 and in float64."""

    name: str
    oracle: str
    difference: Callable[[], float]
    bounds: tuple[float, float]

    @property
    def bound(self) -> float:
        """The largest difference in the float type that JAX has now."""
        return self.bounds[jnp.result_type(float) == jnp.float64]


def gap(got: Any, expected: Any) -> float:
    """Return the largest difference, relative to the larger of the expected value and 1; infinity for what is NaN."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    if got.shape != expected.shape:
        raise ValueError(f"shapes {got.shape} and {expected.shape} differ")
    worst = float((np.abs(got - expected) / np.maximum(np.abs(expected), 1)).max())
    return worst if math.isfinite(worst) else math.inf


def traced(h: Mapping[str, Any]) -> dict[str, jax.Array]:
    """Return hyperparameters as a lane has them."""
    return {name: jnp.asarray(float(value)) for name, value in h.items()}


# --- losses, activations, norms ------------------------------------------------------------------------------------


def loss_cases(name: str) -> list[tuple[dict[str, Any], Floats, Floats]]:
    """Return (hyperparameters, outputs, targets) on which a loss is compared: everyday numbers and extreme ones."""
    rng = np.random.default_rng(1)
    if name in CLASSIFICATION_LOSSES:
        outputs = rng.normal(size=(60, 5)) * np.repeat([1.0, 5.0, 30.0], 20)[:, None]
        targets = np.eye(5)[rng.integers(0, 5, 60)]
        targets[::4] = rng.dirichlet(np.ones(5), 15)  # as mixup makes them
        return [
            (HYPERS | {"label_smoothing": smoothing, "focal_gamma": gamma}, outputs, targets)
            for smoothing in (0.0, 0.2)
            for gamma in (1.0, 2.0, 5.0)
        ]
    errors = np.concatenate([rng.normal(size=40) * np.repeat([0.01, 1.0, 30.0, 1e4], 10), [1.0, -1.0, 1e-3]])
    if name != "mae":  # at 0 it has no derivative
        errors = np.append(errors, 0.0)
    one = [(HYPERS | {"huber_delta": d}, errors[:, None]) for d in (1e-3, 0.5, 1.0, 1e3, 1e10, 1e20, 1e30)]
    several = [(HYPERS | {"huber_delta": 0.5}, errors[:42].reshape(14, 3))]  # three targets
    return [(h, outputs, np.zeros_like(outputs)) for h, outputs in one + several]


def _loss(name: str) -> float:
    """Return the difference of the losses of all cases, and of their gradients."""

    def total(outputs: jax.Array, targets: jax.Array, h: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        numbers = objective.LossParameters(h["label_smoothing"], h["focal_gamma"], h["huber_delta"])
        losses = objective.LOSSES[name].traced(outputs, targets, numbers)
        return losses.sum(), losses

    both = jax.jit(jax.value_and_grad(total, has_aux=True))
    worst = 0.0
    for h, outputs, targets in loss_cases(name):
        # What the package sees are these numbers rounded; so must the textbook.
        x, y = jnp.asarray(outputs, jnp.result_type(float)), jnp.asarray(targets, jnp.result_type(float))
        (_, losses), gradients = both(x, y, traced(h))
        expected = textbook.loss(name, h, np.asarray(x, np.float64), np.asarray(y, np.float64))
        worst = max(worst, gap(losses, expected[0]), gap(gradients, expected[1]))
    return worst


def through(width: int, norm: str, params: dict[str, Any], stats_: Any, x: Any, rows: Any = None, **mode: Any) -> Any:
    """Return the outputs and new statistics of a network that is nothing but its norm, or its dropout.

    Both kernels are unit matrices, and the activation a leaky relu of slope 1.
    """
    tree = {name: {"kernel": jnp.eye(width), "bias": jnp.zeros(width)} for name in ("hidden_0", "output")}
    return _forward(norm, tree | {"norm_0": params}, {"norm_0": stats_}, jnp.asarray(x), rows, mode)


@partial(jax.jit, static_argnums=0)
def _forward(norm: str, params: Any, stats_: Any, x: jax.Array, rows: Any, mode: dict[str, Any]) -> Any:
    width, zero = x.shape[1], jnp.zeros((), jnp.int32)
    net = Architecture(width, (width,), width, False, ("leaky_relu",), (norm,), ("glorot_uniform",))
    how = Mode(zero, zero, None, 1.0, mode.get("dropout"))
    return forward(net, how, params, stats_, x, rows, mode.get("key"))


@jax.jit
def _activated(index: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return values and slopes of an activation, by its number, with a negative slope of 0.3."""
    net = Architecture(1, (1,), 1, False, HYPERPARAMETERS["activation"].choices, ("none",), ("glorot_uniform",))
    mode = Mode(index, jnp.zeros((), jnp.int32), None, 0.3, None)
    params = {layer: {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)} for layer in net.layers}
    values, pull = jax.vjp(lambda z: forward(net, mode, params, {}, z[:, None])[0][:, 0], z)
    return values, pull(jnp.ones_like(values))[0]


def _activation(name: str) -> float:
    """Return the difference of values, and of derivatives from the textbook's by finite differences."""
    z = np.concatenate([np.linspace(-6, 6, 48), [-40.0, 40.0]])  # 0 is not among them
    index = jnp.asarray(HYPERPARAMETERS["activation"].choices.index(name), jnp.int32)
    values, slopes = _activated(index, jnp.asarray(z, jnp.result_type(float)))
    exact, step = textbook.ACTIVATIONS[name], 1e-5
    expected = (exact(z + step, 0.3) - exact(z - step, 0.3)) / (2 * step)
    return max(gap(values, exact(z, 0.3)), gap(slopes, expected))


def _norm(norm: str) -> float:
    """Return the difference of a normalization in training and in evaluation, its running statistics among it."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(9, 6)) * 3 + 40
    scale, bias, mean, var = rng.normal(size=6), rng.normal(size=6), rng.normal(size=6), rng.uniform(1, 2, 6)
    params = {"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)}
    running = {"mean": jnp.asarray(mean), "var": jnp.asarray(var)}
    used = np.arange(9) < 7  # two rows pad the batch
    got, after = through(6, norm, params, running, x, jnp.asarray(used))
    plain, _ = through(6, norm, params, running, x)
    if norm == "layer":
        expected = textbook.normalize(x, 1, scale, bias)
        return max(gap(got, expected), gap(plain, expected))
    keep = NORM_MOMENTUM
    return max(
        gap(got[:7], textbook.normalize(x[:7], 0, scale, bias)),
        gap(plain, (x - mean) / np.sqrt(var + 1e-5) * scale + bias),
        gap(after["norm_0"]["mean"], keep * mean + (1 - keep) * x[:7].mean(axis=0)),
        gap(after["norm_0"]["var"], keep * var + (1 - keep) * x[:7].var(axis=0)),
    )


def _norm_of_one_row() -> float:
    """Return the difference of batch norm over one row: it has no variance, so the running statistics stand in."""
    rng = np.random.default_rng(3)
    x, mean, var = rng.normal(size=(4, 6)), rng.normal(size=6), rng.uniform(1, 2, 6)
    params, running = {"scale": jnp.ones(6), "bias": jnp.zeros(6)}, {"mean": jnp.asarray(mean), "var": jnp.asarray(var)}
    got, after = through(6, "batch", params, running, x, jnp.arange(4) < 1)
    expected = (x[:1] - mean) / np.sqrt(var + 1e-5)
    return max(gap(got[:1], expected), gap(after["norm_0"]["mean"], mean), gap(after["norm_0"]["var"], var))


# --- images and metrics --------------------------------------------------------------------------------------------


def augmented(shape: tuple[int, int], images: Floats, numbers: Floats | None = None, **limits: float) -> Floats:
    """Return augmented images [count, height, width]; `numbers`, if given, are what is drawn, [count, 5] in (0, 1)."""
    h = traced({name: limits.get(name, 0.0) for name in augment.NAMES})
    x = jnp.asarray(images.reshape(len(images), -1), jnp.result_type(float))
    key = randomness.stream(randomness.lane_key(0, 3, 0, 0), 5)
    chosen = randomness.uniform(key, (len(images), 5)) if numbers is None else numbers
    return np.asarray(_augmented(shape, h, jnp.asarray(chosen, x.dtype), x), np.float64).reshape(-1, *shape)


@partial(jax.jit, static_argnums=0)
def _augmented(shape: tuple[int, int], h: Any, chosen: jax.Array, x: jax.Array) -> jax.Array:
    with mock.patch.object(randomness, "uniform", return_value=chosen):
        return augment.augment(shape, h, jnp.zeros(2, jnp.uint32), x)


def _augmentation(name: str) -> float:
    """Return the difference of images changed in one way alone, by numbers from end to end of what can be drawn."""
    count, shape = 24, (8, 10)
    rng = np.random.default_rng(4)
    images = rng.normal(size=(count, *shape))
    numbers = rng.uniform(size=(count, 5))
    numbers[0], numbers[1] = 2.0**-24, 1 - 2.0**-24
    signed = 2 * numbers - 1
    limit = {"rotation": 50.0, "scaling": 0.4, "shift": 0.25, "flip": 0.5}[name]
    change: Callable[[Floats, Floats, Floats], Floats] = {
        "rotation": lambda image, s, u: textbook.rotated(image, limit * s[0]),
        "scaling": lambda image, s, u: textbook.enlarged(image, 1 + limit * s[1]),
        "shift": lambda image, s, u: textbook.moved(image, limit * s[2:4] * np.array(shape)),
        "flip": lambda image, s, u: np.fliplr(image) if u[4] < limit else image,
    }[name]
    expected = [change(*one) for one in zip(images, signed, numbers, strict=True)]
    return gap(augmented(shape, images, numbers, **{name: limit}), np.stack(expected))


def measured(
    name: str, outputs: jax.Array, y: jax.Array, used: jax.Array, losses: Any = 0.0, weights: jax.Array | None = None
) -> jax.Array:
    """Return a metric [] of the rows that are used, by their weights [rows], as a device measures it in two blocks."""
    measure = scores.SCORES[name].measure
    assert measure is not None, name
    classes = outputs.shape[1] > 1
    targets = jax.nn.one_hot(y, outputs.shape[1], dtype=outputs.dtype) if classes else y[:, None]
    block = scores.Block(outputs, y, targets, jnp.broadcast_to(losses, y.shape), used, weights)
    half = len(y) // 2
    halves = [jax.tree.map(lambda a: a[some], block) for some in (slice(half), slice(half, None))]  # noqa: B023
    parts = [measure.part(each) for each in halves]
    whole = scores.Whole.of(y, used, used.sum(), weights)
    return measure.value(jnp.concatenate(parts) if measure.each else parts[0] + parts[1], whole)


def _classification() -> float:
    """Return the difference of accuracy, balanced accuracy and macro F1, where classes are missing among it."""
    rng = np.random.default_rng(5)
    worst = 0.0
    names = ("accuracy", "balanced_accuracy", "f1")
    of_rows = jax.jit(lambda outputs, y, used: {name: measured(name, outputs, y, used) for name in names})
    for classes, seen, rows in ((2, 2, 60), (5, 3, 40), (3, 3, 1), (10, 10, 70_000)):
        outputs, y = rng.normal(size=(rows + 4, classes)), rng.integers(0, seen, rows + 4)
        used = np.arange(rows + 4) < rows
        outputs[used, y[used]] += 0.7
        got = of_rows(*map(jnp.asarray, (outputs, y, used)))
        true, predicted = y[:rows], outputs[:rows].argmax(axis=1)
        macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
        expected = {
            "accuracy": metrics.accuracy_score(true, predicted),
            "balanced_accuracy": metrics.recall_score(true, predicted, labels=np.unique(true), **macro),
            "f1": metrics.f1_score(true, predicted, **macro),
        }
        worst = max(worst, *(gap(got[name], value) for name, value in expected.items()))
    return worst


_area_under_curve = jax.jit(scores.area_under_curve)


def area(margins: Any, labels: Any, rows: int) -> float:
    """Return the area under the ROC curve of the first `rows` rows, by the package."""
    used = jnp.arange(len(margins)) < rows
    return float(_area_under_curve(jnp.asarray(margins), jnp.asarray(labels), used))


def _auc() -> float:
    """Return the difference of the area under the ROC curve, with hardly any ties, with many, and with nothing else."""
    rng = np.random.default_rng(6)
    worst = 0.0
    for rows, digits, share in ((60, 9, 0.5), (60, 0, 0.3), (70_000, 9, 0.5), (70_000, 1, 0.01)):
        labels = (rng.uniform(size=rows + 5) < share).astype(int)
        labels[:2] = 0, 1
        margins = np.round(rng.normal(size=rows + 5) + labels, digits).astype(np.float32)
        worst = max(worst, gap(area(margins, labels, rows), metrics.roc_auc_score(labels[:rows], margins[:rows])))
    return max(worst, gap(area(np.zeros(9), np.arange(9) % 2, 8), 0.5))


# --- the tables ----------------------------------------------------------------------------------------------------

PIECES: tuple[Piece, ...] = (
    *(
        Piece(f"loss {name} and its gradient", "SciPy", partial(_loss, name), (3e-6, 1e-12))
        for name in CLASSIFICATION_LOSSES + REGRESSION_LOSSES
    ),
    *(
        Piece(f"activation {name} and its slope", "SciPy", partial(_activation, name), (1e-5, 1e-9))
        for name in HYPERPARAMETERS["activation"].choices
    ),
    Piece("batch norm", "NumPy", partial(_norm, "batch"), (2e-5, 1e-13)),
    Piece("batch norm of one row", "NumPy, running statistics", _norm_of_one_row, (2e-6, 1e-13)),
    Piece("layer norm", "NumPy", partial(_norm, "layer"), (2e-5, 1e-13)),
    *(
        Piece(f"{name} of images", "scipy.ndimage", partial(_augmentation, name), (1e-5, 1e-12))
        for name in augment.NAMES
    ),
    Piece("accuracy, balanced accuracy, F1", "scikit-learn", _classification, (1e-6, 1e-6)),
    Piece("area under the ROC curve", "scikit-learn", _auc, (1e-6, 1e-6)),
)

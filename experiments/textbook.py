"""What papers and textbooks say of the pieces that the engine and its plain reference share, in NumPy and SciPy.

Nothing here imports JAX or jaxsweep: these formulas are compared with the package, by `oracles.py` and by the tests.
Everything is float64. Names of hyperparameters are those of the README.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special, stats

Floats = NDArray[np.float64]
Tensors = dict[str, Floats]  # by a name that ends in kernel or bias
Hypers = Mapping[str, float]
Memory = dict[str, Floats]  # what an optimizer keeps of one tensor; absent is zero

# --- optimizers --------------------------------------------------------------------------------------------------
# Each takes (h, t, g, p, m): hyperparameters, the number of the step from 1, gradient and value of one tensor, and
# its memory, and returns the direction that is taken away from p, times the learning rate.


def _moved(m: Memory, name: str, decay: float, value: Floats) -> Floats:
    """Return the moving average `name` after `value` has entered it."""
    m[name] = decay * m.get(name, np.zeros_like(value)) + (1 - decay) * value
    return m[name]


def _sgd(h: Hypers, t: int, g: Floats, p: Floats, m: Memory) -> Floats:
    """Momentum as Sutskever et al. (2013) have it, with the learning rate outside; Nesterov's looks a step ahead."""
    m["v"] = h["momentum"] * m.get("v", np.zeros_like(g)) + g
    return g + h["momentum"] * m["v"] if h["nesterov"] else m["v"]


def _adam(h: Hypers, t: int, g: Floats, p: Floats, m: Memory) -> Floats:
    """Kingma and Ba (2015), Algorithm 1."""
    mean = _moved(m, "m", h["b1"], g) / (1 - h["b1"] ** t)
    square = _moved(m, "v", h["b2"], g**2) / (1 - h["b2"] ** t)
    return mean / (np.sqrt(square) + h["eps"])


def _nadam(h: Hypers, t: int, g: Floats, p: Floats, m: Memory) -> Floats:
    """Dozat (2016) with a constant b1: the mean is that of the next step, as if its gradient were this one."""
    mean = h["b1"] * _moved(m, "m", h["b1"], g) / (1 - h["b1"] ** (t + 1)) + (1 - h["b1"]) * g / (1 - h["b1"] ** t)
    square = _moved(m, "v", h["b2"], g**2) / (1 - h["b2"] ** t)
    return mean / (np.sqrt(square) + h["eps"])


def _rmsprop(h: Hypers, t: int, g: Floats, p: Floats, m: Memory) -> Floats:
    """Tieleman and Hinton (2012), eps inside the root."""
    return g / np.sqrt(_moved(m, "v", h["rms_decay"], g**2) + h["eps"])


def _adagrad(h: Hypers, t: int, g: Floats, p: Floats, m: Memory) -> Floats:
    """Duchi et al. (2011), the sum starting at 0.1, eps inside the root."""
    m["sum"] = m.get("sum", np.full_like(g, 0.1)) + g**2
    return g / np.sqrt(m["sum"] + h["eps"])


def _adadelta(h: Hypers, t: int, g: Floats, p: Floats, m: Memory) -> Floats:
    """Zeiler (2012), Algorithm 1."""
    before = m.get("step", np.zeros_like(g))
    step = np.sqrt(before + h["eps"]) / np.sqrt(_moved(m, "g", h["rms_decay"], g**2) + h["eps"]) * g
    _moved(m, "step", h["rms_decay"], step**2)
    return step


def _lion(h: Hypers, t: int, g: Floats, p: Floats, m: Memory) -> Floats:
    """Chen et al. (2023), Program 1: the sign of one average, while another one is kept."""
    direction = np.sign(h["b1"] * m.get("m", np.zeros_like(g)) + (1 - h["b1"]) * g)
    _moved(m, "m", h["b2"], g)
    return direction


OPTIMIZERS: dict[str, Callable[[Hypers, int, Floats, Floats, Memory], Floats]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adam,
    "nadam": _nadam,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "lion": _lion,
    "lamb": _adam,
}


def optimize(
    name: str, h: Hypers, params: Tensors, gradient: Callable[[int, Tensors], Tensors], steps: int
) -> Iterator[Tensors]:
    """Yield the parameters after each of `steps` steps of the optimizer `name` on `gradient(step, params)`.

    Gradients are clipped by their global norm; kernels decay apart from the gradient (Loshchilov and Hutter, 2019).
    In LAMB (You et al., 2020, Algorithm 2) the decay is part of the direction whose norm the trust ratio is of.
    """
    memories: dict[str, Memory] = {key: {} for key in params}
    for t in range(1, steps + 1):
        gradients = gradient(t - 1, params)
        norm = math.sqrt(sum(float((g**2).sum()) for g in gradients.values()))
        share = min(1.0, h["clip_norm"] / norm) if h["clip_norm"] else 1.0
        after = {}
        for key, p in params.items():
            direction = OPTIMIZERS[name](h, t, share * gradients[key], p, memories[key])
            direction = direction + (h["weight_decay"] * p if key.endswith("kernel") else 0)
            if name == "lamb" and p.any() and direction.any():
                direction = direction * np.linalg.norm(p) / np.linalg.norm(direction)
            after[key] = p - h["learning_rate"] * direction
        params = after
        yield params


# --- learning rates ----------------------------------------------------------------------------------------------


def learning_rate(name: str, h: Hypers, step: int, epoch_steps: int, epochs: int) -> float:
    """Return the learning rate of step `step` (from 0) of a training, by the table in the README.

    `h["warmup"]` is the fraction of all steps. Decays end with the last step, onecycle rises from 1/25 of the peak in
    3/10 of the steps after the warmup. `h["decay_every"]` counts as the decimal fraction that it is written as.
    """
    total = epoch_steps * epochs
    warmup = round(h["warmup"] * total)
    if step < warmup:
        return h["learning_rate"] * step / warmup
    t, last = step - warmup, max(total - warmup - 1, 1)
    share, final, rate = t / last, h["final_learning_rate"], h["decay_rate"]
    time = Fraction(t) / (Fraction(str(h["decay_every"])) * epoch_steps)
    rise = 3 * last // 10
    half_wave = 0.5 * (1 + math.cos(math.pi * share))
    factors: dict[str, Callable[[], float]] = {
        "constant": lambda: 1.0,
        "step": lambda: float(rate ** math.floor(time)),
        "exponential": lambda: float(rate ** float(time)),
        "inverse_time": lambda: 1 / (1 + rate * float(time)),
        "linear": lambda: final + (1 - final) * (1 - share),
        "polynomial": lambda: final + (1 - final) * (1 - share) ** 2,
        "cosine": lambda: final + (1 - final) * half_wave,
        "onecycle": lambda: _wave(1 / 25, 1.0, t / rise) if t < rise else _wave(1.0, final, (t - rise) / (last - rise)),
    }
    return h["learning_rate"] * factors[name]()


def _wave(start: float, end: float, share: float) -> float:
    return start + (end - start) * 0.5 * (1 - math.cos(math.pi * share))


# --- losses: of each example, and their derivatives by the outputs -------------------------------------------------


def loss(name: str, h: Hypers, outputs: Floats, targets: Floats) -> tuple[Floats, Floats]:
    """Return the loss of each example [rows] and its gradient [rows, outputs]; targets are [rows, outputs].

    That of regression is the mean over the outputs.
    """
    if name in ("cross_entropy", "focal"):
        share = h["label_smoothing"]
        targets = (1 - share) * targets + share / outputs.shape[1]
        return _focal(h["focal_gamma"] if name == "focal" else 0.0, outputs, targets)
    error = outputs - targets
    delta = h["huber_delta"]
    values: Mapping[str, Floats] = {
        "mse": error**2,
        "mae": np.abs(error),
        "huber": np.asarray(special.huber(delta, error), np.float64),
        "log_cosh": np.logaddexp(error, -error) - math.log(2),
    }
    slopes: Mapping[str, Floats] = {
        "mse": 2 * error,
        "mae": np.sign(error),
        "huber": np.clip(error, -delta, delta),
        "log_cosh": np.tanh(error),
    }
    return values[name].mean(axis=1), slopes[name] / outputs.shape[1]


def weighted_mean(values: Floats, weights: Floats) -> float:
    """Return sum w v / sum w of values and weights [rows]: the loss of a batch; 0 if it weighs nothing."""
    return float((weights * values).sum() / weights.sum()) if weights.any() else 0.0


def balanced(labels: NDArray[np.int64], weights: Floats) -> Floats:
    """Return the weight of each row, [rows], by which all classes weigh alike (King and Zeng, 2001): n / (k n_c)."""
    classes = np.unique(labels)
    mass = np.array([weights[labels == label].sum() for label in classes])
    return np.asarray((weights.sum() / (len(classes) * mass))[np.searchsorted(classes, labels)])


def _focal(gamma: float, outputs: Floats, targets: Floats) -> tuple[Floats, Floats]:
    """Lin et al. (2017), summed over the classes as cross entropy is; with gamma 0 it is cross entropy."""
    log_p = special.log_softmax(outputs, axis=1)
    p, miss = np.exp(log_p), -np.expm1(log_p)
    values = -(targets * miss**gamma * log_p).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = np.where(miss > 0, gamma * miss ** (gamma - 1) * p * log_p, 0.0) if gamma else 0.0
    by_log_p = -targets * (miss**gamma - inner)  # p log p' = p' since d miss / d log p = -p
    return values, by_log_p - p * by_log_p.sum(axis=1, keepdims=True)


# --- initial weights, activations, normalization -------------------------------------------------------------------

CUT_SPREAD = float(stats.truncnorm.std(-2, 2))  # of a standard normal cut at two standard deviations


def initial(name: str, rows: int, columns: int) -> Any:
    """Return the distribution of one weight of a [rows, columns] kernel, as SciPy has it; not for orthogonal ones.

    Glorot and Bengio (2010), He et al. (2015), LeCun et al. (1998). Normal ones are cut at two standard deviations of
    what is drawn, and have the variance of the paper after the cut.
    """
    if name == "random_normal":
        return stats.norm(0, 0.05)
    if name == "random_uniform":
        return stats.uniform(0, 0.05)
    paper, shape = name.split("_")
    deviation = math.sqrt({"glorot": 2 / (rows + columns), "he": 2 / rows, "lecun": 1 / rows}[paper])
    if shape == "uniform":
        return stats.uniform(-math.sqrt(3) * deviation, 2 * math.sqrt(3) * deviation)
    return stats.truncnorm(-2, 2, 0, deviation / CUT_SPREAD)


ACTIVATIONS: dict[str, Callable[[Floats, float], Floats]] = {
    "relu": lambda z, slope: np.maximum(z, 0),
    "leaky_relu": lambda z, slope: np.where(z < 0, slope * z, z),
    "tanh": lambda z, slope: np.tanh(z),
    "sigmoid": lambda z, slope: special.expit(z),
    "elu": lambda z, slope: np.where(z < 0, np.expm1(np.minimum(z, 0)), z),
    "gelu": lambda z, slope: z * special.expit(2 * math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)),
    "silu": lambda z, slope: z * special.expit(z),
    "softplus": lambda z, slope: np.logaddexp(z, 0),
}


def normalize(x: Floats, axis: int, scale: Floats, bias: Floats) -> Floats:
    """Return x normalized along an axis: 0 is batch norm (Ioffe and Szegedy, 2015), 1 layer norm (Ba et al., 2016)."""
    center, variance = x.mean(axis=axis, keepdims=True), x.var(axis=axis, keepdims=True)
    return np.asarray((x - center) / np.sqrt(variance + 1e-5) * scale + bias)


# --- images --------------------------------------------------------------------------------------------------------


def enlarged(image: Floats, size: float) -> Floats:
    """Return the image [height, width] enlarged about its centre, as `scipy.ndimage` samples it."""
    center = (np.array(image.shape) - 1) / 2
    return np.asarray(
        ndimage.affine_transform(image, np.eye(2) / size, center - center / size, order=1, mode="nearest")
    )


def rotated(image: Floats, degrees: float) -> Floats:
    """Return the image turned about its centre, counterclockwise as one looks at it with row 0 at the top."""
    return np.asarray(ndimage.rotate(image, degrees, reshape=False, order=1, mode="nearest"))


def moved(image: Floats, pixels: Sequence[float]) -> Floats:
    """Return the image moved down and to the right by so many pixels."""
    return np.asarray(ndimage.shift(image, pixels, order=1, mode="nearest"))

"""What is measured of each network, and how a group of networks compares with another one.

A group is what a claim is about, such as all trainings with dropout of 0.2. Each was trained several times, on other
folds and under other seeds; the same ones for each group, so that groups are compared training by training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]
Group = Mapping[str, FloatArray]  # [trainings] of each measure


@dataclass(frozen=True)
class Measure:
    """A number of each network: its title in tables and pictures, decimals, and whether more of it is better."""

    title: str
    decimals: int
    larger: bool


MEASURES = {
    "val_score": Measure("validation score", 3, True),
    "test_score": Measure("test score", 3, True),
    "train_loss": Measure("training loss", 3, False),
    "gap": Measure("gap", 3, False),
    "converged": Measure("epochs to converge", 1, False),
    "iterations": Measure("iterations", 0, False),
    "milliseconds": Measure("ms a network", 1, False),
    "rate": Measure("log10 of the best learning rate", 2, True),
    "slope": Measure("slope", 2, True),
    "fall": Measure("fall of the best rate", 2, True),
    "score": Measure("score", 3, True),
    "seconds": Measure("s a search", 1, False),
    "regret": Measure("regret in training loss", 3, False),
    "val_mae": Measure("error on clean validation rows", 3, False),
    "test_mae": Measure("error on clean test rows", 3, False),
}
NEAR = 0.1  # of its fall, from which on a validation loss counts as converged


def halfwidth(values: FloatArray, ratio: float) -> float:
    """Return half of the 95 % interval of a mean over trainings, [trainings], NaN of fewer than two.

    Student's, with the variance corrected for trainings that share rows, 1/n + ratio in place of 1/n; `ratio` is that
    of validation to training rows (Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 52,
    2003; for repeated cross-validation Bouckaert and Frank, PAKDD 2004). An interval so holds for other rows of the
    same kind, too, and is twice as wide as one for other seeds alone.
    """
    n = len(values)
    if n < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, n - 1) * np.sqrt((1 / n + ratio) * values.var(ddof=1)))


def told(values: FloatArray, ratio: float) -> tuple[float, float, int]:
    """Return mean and half its interval over the trainings that have the measure, and how many these are."""
    there = values[np.isfinite(values)]
    if not len(there):
        return float("nan"), float("nan"), 0
    return float(there.mean()), halfwidth(there, ratio), len(there)


def difference(better: FloatArray, worse: FloatArray | float, larger: bool, ratio: float) -> tuple[float, float, int]:
    """Return by how much the first is better, half the interval of that, and from how many pairs of trainings."""
    return told((better - worse) if larger else (worse - better), ratio)


def converged(curves: FloatArray) -> FloatArray:
    """Return the first epoch at which each curve [..., epochs] has made nine tenths of its way down, from 1.

    Its way is from its first value to its least; NaN of a curve that has no least value.
    """
    whole = np.isfinite(curves)
    least = np.where(whole, curves, np.inf).min(axis=-1)
    target = least + NEAR * (curves[..., 0] - least)
    reached = np.where(whole, curves, np.inf) <= target[..., None]
    return np.where(np.isfinite(least) & np.isfinite(curves[..., 0]), reached.argmax(axis=-1) + 1.0, np.nan)


def verdict(judged: list[Any]) -> str:
    """Return whether a claim held on a data set: yes, no (it is the other way round), or open."""
    mean, half, _ = judged
    if mean is None or half is None:
        return "open"
    return "yes" if mean - half > 0 else "no" if mean + half < 0 else "open"

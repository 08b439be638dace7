"""Which rows train, validate and test: stratified, deterministic, independent of library versions.

Every class gets its share of every part by largest remainders, and at least one row of each.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from jaxsweep.errors import RequestError, shown
from jaxsweep.streams import bit_generator

Split = tuple[float, float, float]
PARTS = ("train", "validation", "test")
DEFAULT_SPLIT: Split = (0.6, 0.2, 0.2)


def check_split(split: Sequence[float], needs_validation: bool) -> tuple[Fraction, Fraction, Fraction]:
    """Return the fractions of training, validation and test rows, exactly.

    Args:
        split: three fractions that sum to 1.
        needs_validation: whether the validation part has to come from `split`.

    Raises:
        RequestError: not three fractions, or not legal ones.
    """
    try:
        train, validation, test = (float(part) for part in split)
    except (TypeError, ValueError, OverflowError):
        raise RequestError(
            f"split = {shown(split)} is not legal: it must be three numbers: train, validation, test"
        ) from None
    parts = (train, validation, test)
    if not all(math.isfinite(part) and part >= 0 for part in parts) or abs(sum(parts) - 1) > 1e-6:
        raise RequestError(f"split = {list(parts)} is not legal: its three fractions must be >= 0 and sum to 1")
    # 0.29 * 100 is 28.999999999999996: floors need exact fractions.
    exact = [Fraction(part).limit_denominator(10**9) for part in parts]
    if not exact[0]:
        raise RequestError(f"split = {list(parts)} leaves nothing to train on: its first fraction must be > 0")
    if not exact[1] and needs_validation:
        raise RequestError(
            f"split = {list(parts)} leaves nothing to validate on: its second fraction must be > 0, "
            "unless there are folds or a validation part of your own"
        )
    return exact[0] / sum(exact), exact[1] / sum(exact), exact[2] / sum(exact)


def shuffled(rows: NDArray[np.int64], seed: int, stream: int) -> NDArray[np.int64]:
    """Return the rows in a random order that is a function of (seed, stream) alone."""
    bits = bit_generator(seed, "split", stream).random_raw(len(rows))  # unlike `permutation`, the same in every NumPy
    return rows[np.argsort(bits, kind="stable")]


def allocate(sizes: Sequence[int], fractions: Sequence[Fraction], least: Sequence[int]) -> list[list[int]]:
    """Return how many rows each class gives to each part, [classes][parts].

    Largest remainders, where what a part has got too much or too little from earlier classes counts, so that small
    classes do not all round the same way. Each class gives at least `least[part]` rows; it must have their sum.
    """
    owed = [Fraction(0) for _ in fractions]
    counts = []
    for size in sizes:
        quota = [size * fraction for fraction in fractions]
        owed = [old + new for old, new in zip(owed, quota, strict=True)]
        count = [max(math.floor(share), low) for share, low in zip(quota, least, strict=True)]
        while sum(count) < size:
            part = max(range(len(count)), key=lambda p: (owed[p] - count[p], -p))
            count[part] += 1
        while sum(count) > size:
            spare = [part for part in range(len(count)) if count[part] > least[part]]
            part = min(spare, key=lambda p: (quota[p] - count[p], p))
            count[part] -= 1
        owed = [share - given for share, given in zip(owed, count, strict=True)]
        counts.append(count)
    return counts

"""A pseudo-random order of 0..total-1 that needs no memory: any stretch of it can be computed alone.

A Feistel network permutes the numbers of 2k bits; those that land outside are permuted again until they are
inside (cycle walking: Black and Rogaway, CT-RSA 2002).
"""

import numpy as np
from numpy.typing import NDArray

from jaxsweep.streams import generator

ROUNDS = 6
LARGEST = 2**62
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def permuted(indices: NDArray[np.int64], total: int, seed: int) -> NDArray[np.int64]:
    """Return where `indices` [n] (each in 0..total-1) go in the order of `seed`; total is at most 2**62."""
    half = np.uint64(max(1, (max(1, total - 1).bit_length() + 1) // 2))
    keys = generator(seed, "grid").integers(0, 2**63, size=ROUNDS, dtype=np.uint64)
    result = _network(indices.astype(np.uint64), half, keys)
    while (outside := result >= total).any():  # at most 3 of 4 are, so this ends soon
        result[outside] = _network(result[outside], half, keys)
    return result.astype(np.int64)


def _network(numbers: NDArray[np.uint64], half: np.uint64, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = numbers >> half, numbers & mask
    for key in keys:
        mixed = (right ^ key) * _MULTIPLIER  # wraps around, as intended
        mixed ^= mixed >> np.uint64(29)
        mixed *= _MULTIPLIER
        left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
    return (left << half) | right

"""The host's random numbers: every stream of the project, and the seeds that decide them. NumPy only.

A stream is named by what it is for. Its generator is keyed by a hash of the project's own name, the purpose and the
seed, and it is another one than `numpy.random.default_rng` gives: data that a user has drawn from `default_rng(seed)`,
or from any list of integers, share no number with a split or a search under the same seed, and no two purposes share
one either.
"""

import hashlib
import math
import secrets
from typing import Any

import numpy as np

from jaxsweep.errors import RequestError

LARGEST_SEED = 2**63 - 1  # the largest integer of a sweep file
RULES = 2
"""Which rules of drawing, splitting and training these results follow; a run records it.

It grows when the same request would give other numbers. 1: before runs recorded it.
"""

_PROJECT = "jaxsweep"


def check_seed(seed: Any) -> int:
    """Return the seed as an int, or raise RequestError if it is no integer in [0, LARGEST_SEED]."""
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not whole or not 0 <= seed <= LARGEST_SEED:
        raise RequestError(f"seed = {seed!r} is not legal: it must be an integer in [0, {LARGEST_SEED}]")
    return int(seed)


def drawn_seed() -> int:
    """Return a seed that nobody could foresee, short enough to be typed again."""
    return secrets.randbelow(2**31)


def bit_generator(seed: int, *purpose: str | int) -> np.random.Philox:
    """Return the bit generator of a purpose (a name, and numbers that tell its streams apart) under a seed.

    Raw bits of a bit generator are guaranteed to stay the same between versions of NumPy.
    """
    name = repr((_PROJECT, *purpose, int(seed)))  # unlike a list of 32-bit words, no two tuples read alike
    return np.random.Philox(np.random.SeedSequence(int.from_bytes(hashlib.sha256(name.encode()).digest(), "little")))


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a generator of random numbers for a purpose under a seed."""
    return np.random.Generator(bit_generator(seed, *purpose))


def uniforms(bits: np.random.Philox, *shape: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the next numbers of a stream as multiples of 2**-53 in [0, 1), of the given shape.

    They come from raw bits alone, since the methods of a `Generator` may change between versions of NumPy.
    """
    raw = np.asarray(bits.random_raw(math.prod(shape)), dtype=np.uint64)
    return (raw >> np.uint64(11)).astype(np.float64).reshape(shape) * 2.0**-53

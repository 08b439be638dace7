"""Random numbers that depend on who asks for them, never on where the asker stands.

Every number is a hash of (lane key, stream, step, position): a counter-based generator. A lane's key comes from
(seed, trial, replicate, fold) through JAX's threefry; what a training step draws comes from a 32-bit integer hash,
several times cheaper than threefry for each element and, unlike `rbg` keys under vmap, different in every lane.
Elements are addressed by (row, unit), so padding an array does not change the elements it had before. Every draw is
finite for every word: the tests try all of them.

All functions take the key of one lane; vmap over keys for many.
"""

import functools
import math
from enum import IntEnum

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray


class Stream(IntEnum):
    """What a number is drawn for. Streams of one lane are independent of each other."""

    SHUFFLE = 1
    DROPOUT = 2
    NOISE = 3
    MIXUP = 4
    AUGMENT = 5


class Held(IntEnum):
    """What a seed of a config's own decides, where it has one: in every lane alike."""

    INIT = 1
    ORDER = 2


_GOLDEN = 0x9E3779B9  # 2^32 / golden ratio: consecutive counters land far apart
_ODD = 0x85EBCA6B
_PROJECT = 0x6A787377  # "jxsw": no key of the project is one that `jax.random.key` makes of a 32-bit seed
_HELD = 0x6A787368  # the first word of keys that no lane has for itself
_PARITY = 0x1BD11BDA  # Threefry's constant of its key schedule ...
_TURNS = (13, 15, 26, 6), (17, 29, 16, 24)  # ... and its rotations, of two groups of four rounds in turn
FEISTEL_ROUNDS = 10  # fewer leave neighbours in small sets detectably correlated: the tests measure it
FEW = 64  # so many rows are put into order by ranks, more by a Feistel network, whose orders of few are not uniform
RESOLUTION = 23  # bits of a uniform number: half-integers up to 2^23 are exact in float32, up to 2^24 they are not


_Words = tuple[NDArray[np.uint32], NDArray[np.uint32]]


def wrap(key: Array) -> Array:
    """Return uint32 [2] as the key that JAX's and Flax's draws take, whatever generator the user's JAX is set to."""
    return jax.random.wrap_key_data(key, impl="threefry2x32")


def lane_key(seed: ArrayLike, trial: ArrayLike, replicate: ArrayLike, fold: ArrayLike) -> Array:
    """Return the key of one lane, uint32 [2]; `model.init` takes it through `wrap`. A traced `seed` is below 2^32."""
    low, high = (seed & 0xFFFFFFFF, seed >> 32) if isinstance(seed, int) else (seed, 0)
    return _key(jnp.asarray(low, jnp.uint32), jnp.asarray(high, jnp.uint32), trial, replicate, fold)


def _key(low: Array, high: Array, trial: ArrayLike, replicate: ArrayLike, fold: ArrayLike) -> Array:
    key = wrap(jnp.stack([jnp.uint32(_PROJECT), low]))
    for word in (high, trial, replicate, fold):
        key = jax.random.fold_in(key, word)
    return jax.random.key_data(key)


def lane_keys(
    seed: int, trials: NDArray[np.integer], replicates: NDArray[np.integer], folds: NDArray[np.integer]
) -> NDArray[np.uint32]:
    """Return `lane_key` for arrays of trials, replicates and folds [lanes], as uint32 [lanes, 2].

    The host makes them: a program of a device, of which each length is another one, would wait behind the training.
    """
    key = _seeded(seed)
    for word in (trials, replicates, folds):
        key = _threefry(key, np.asarray(word).astype(np.uint32))
    return np.stack(key, axis=1)


def held_key(held: Held, seed: ArrayLike) -> Array:
    """Return the key, uint32 [2], of a seed that a config holds, whatever the sweep, the trial and the lane."""
    key = wrap(jnp.array([_HELD, held], jnp.uint32))
    return jax.random.key_data(jax.random.fold_in(key, seed))


def held_keys(held: Held, seeds: NDArray[np.integer]) -> NDArray[np.uint32]:
    """Return `held_key` for seeds [lanes], as uint32 [lanes, 2], made by the host."""
    key = np.array([_HELD], np.uint32), np.array([held], np.uint32)
    return np.stack(_threefry(key, np.asarray(seeds).astype(np.uint32)), axis=1)


@functools.cache
def _seeded(seed: int) -> _Words:
    """Return the key of which all lanes of a sweep have theirs, two times uint32 [1]."""
    low, high = (np.array([seed >> shift & 0xFFFFFFFF], np.uint32) for shift in (0, 32))
    return _threefry((np.full_like(low, _PROJECT), low), high)


def _threefry(key: _Words, word: NDArray[np.uint32]) -> _Words:
    """Return the two words that Threefry-2x32-20 makes of (0, word) under a key, each [lanes], as JAX's `fold_in` does.

    Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011.
    """
    schedule = (*key, key[0] ^ key[1] ^ np.uint32(_PARITY))
    left, right = np.broadcast_to(schedule[0], word.shape).copy(), word + schedule[1]
    for group in range(5):
        for turn in _TURNS[group % 2]:
            left += right
            right = (right << np.uint32(turn) | right >> np.uint32(32 - turn)) ^ left
        left += schedule[(group + 1) % 3]
        right += schedule[(group + 2) % 3] + np.uint32(group + 1)
    return left, right


def mix(word: Array) -> Array:
    """Return a bijective scrambling of 32-bit words: xor-shifts and odd multiplications.

    The constants are those of lowbias32 (https://nullprogram.com/blog/2018/07/31/), found by search for low bias.
    """
    word = word ^ (word >> 16)
    word = word * jnp.uint32(0x7FEB352D)
    word = word ^ (word >> 15)
    word = word * jnp.uint32(0x846CA68B)
    return word ^ (word >> 16)


def stream(key: Array, *words: ArrayLike) -> Array:
    """Return the 64-bit state, uint32 [2], of the stream that `words` name (a Stream, a step, a layer, ...)."""
    low, high = key[0], key[1]
    for word in words:
        low = mix(low ^ (jnp.asarray(word).astype(jnp.uint32) * jnp.uint32(_GOLDEN) + jnp.uint32(1)))
        high = mix(high + low)
    return jnp.stack([low, high])


def bits(state: Array, shape: tuple[int, ...]) -> Array:
    """Return random uint32 of `shape` [rows, units]; element (r, u) does not depend on the shape."""
    rows, units = shape
    row = mix(state[0] + jnp.arange(rows, dtype=jnp.uint32) * jnp.uint32(_GOLDEN))
    unit = mix(state[1] + jnp.arange(units, dtype=jnp.uint32) * jnp.uint32(_ODD))
    row, unit = jax.lax.optimization_barrier((row, unit))  # or XLA would hash them anew for each element
    return mix(row[:, None] ^ unit[None, :])


def uniform(state: Array, shape: tuple[int, ...]) -> Array:
    """Return numbers strictly between 0 and 1, [rows, units], of 23-bit resolution, the same in any float type."""
    return (_top(state, shape).astype(jnp.result_type(float)) + 0.5) * 2.0**-RESOLUTION


def _top(state: Array, shape: tuple[int, ...]) -> Array:
    """Return random integers of RESOLUTION bits, int32 [rows, units]."""
    return (bits(state, shape) >> (32 - RESOLUTION)).astype(jnp.int32)


def normal(state: Array, shape: tuple[int, ...]) -> Array:
    """Return standard normal numbers, [rows, units], by inversion."""
    return math.sqrt(2.0) * jax.lax.erf_inv(2.0 * uniform(state, shape) - 1.0)


def keep(state: Array, shape: tuple[int, ...], rate: ArrayLike) -> Array:
    """Return a dropout mask, bool [rows, units], true with probability 1 - rate: where `uniform` is at least `rate`."""
    least = jnp.ceil(jnp.asarray(rate) * 2.0**RESOLUTION - 0.5).astype(jnp.int32)  # exact in float32
    return _top(state, shape) >= least


def permutation(state: Array, size: ArrayLike, length: int, few: bool = True) -> Array:
    """Return a permutation of 0 .. size-1 as int32 [length]; entries from `size` on are 0.

    Up to FEW rows it is their ranks by random words; of more, where that would mean sorting, `_network`. `size` may be
    traced, `length` is static and at least `size`. `few` is static: whether `size` may be as small as FEW; where it may
    not, ranks are not compiled. No order depends on it.
    """
    size = jnp.asarray(size, jnp.int32)
    head = min(length, FEW)
    if length <= FEW:
        return _ranks(state, size, head)
    many = _network(state, size, length)
    if not few:
        return many
    return jnp.where(size <= FEW, jnp.pad(_ranks(state, size, head), (0, length - head)), many)


def _ranks(state: Array, size: Array, length: int) -> Array:
    """Return the ranks of `size` random words, int32 [length], which are a permutation: all are equally likely."""
    index = jnp.arange(length, dtype=jnp.int32)
    words = bits(state, (1, length))[0]
    tie = (words[None, :] == words[:, None]) & (index[None, :] < index[:, None])
    below = ((words[None, :] < words[:, None]) | tie) & (index < size)[None, :]
    return jnp.where(index < size, jnp.sum(below, axis=1, dtype=jnp.int32), 0)


def _network(state: Array, size: Array, length: int) -> Array:
    """Return a permutation of 0 .. size-1, int32 [length], as a Feistel network gives it.

    The network is over a domain of a x b >= size, with cycle walking: J. Black and P. Rogaway, Ciphers with arbitrary
    finite domains, CT-RSA 2002. Nothing is sorted, and a x b exceeds size by less than sqrt(size) + 2, so that hardly
    any element has to walk. A round turns cycles of length a or b; were both odd, only even permutations could come.
    """
    left = jnp.ceil(jnp.sqrt(size.astype(jnp.float32))).astype(jnp.int32)  # a; any a x b >= size would do
    left = jnp.maximum(left + (left & 1), 2)
    right = jax.lax.div(size + left - 1, left)  # b
    # Numbers from size on are where a walk goes on: there are fewer than `left`, and each is walked to its end once.
    # A walk that comes back to where it began has no end, and nothing outside it leads there.
    beyond = size + jnp.arange(math.isqrt(length) + 2, dtype=jnp.int32)

    def walk(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        value, outside = carry
        value = jnp.where(outside, _feistel(state, value, left, right), value)
        return value, outside & (value >= size) & (value != beyond)

    exits, _ = jax.lax.while_loop(lambda carry: jnp.any(carry[1]), walk, (beyond, beyond < left * right))
    index = jnp.arange(length, dtype=jnp.int32)
    value = _feistel(state, jnp.where(index < size, index, 0), left, right)
    walked = exits.at[jnp.clip(value - size, 0, len(beyond) - 1)].get(mode="promise_in_bounds")
    return jnp.where(index < size, jnp.where(value < size, value, walked), 0)


def _feistel(state: Array, value: Array, left: Array, right: Array) -> Array:
    """Return one pass of the network over 0 .. left x right - 1.

    The rounds are a loop, not ten copies of the code: they would take longer to compile than to run.
    """

    def both_rounds(number: ArrayLike, halves: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = halves
        first = jnp.asarray(2 * number, jnp.uint32)
        low = _moved(low, left, high, state[0] + jnp.uint32(_GOLDEN) * (first + 1))
        return low, _moved(high, right, low, state[1] + jnp.uint32(_GOLDEN) * (first + 2))

    # Of numbers that are not negative, rem and div are % and //, and cheaper.
    wide = jnp.broadcast_to(left, value.shape)
    halves = jax.lax.rem(value, wide), jax.lax.div(value, wide)
    low, high = jax.lax.fori_loop(0, FEISTEL_ROUNDS // 2, both_rounds, halves)
    return low + high * left


def _moved(half: Array, modulus: Array, other: Array, salt: Array) -> Array:
    """Return `half`, moved within 0 .. modulus - 1 by what the other half says."""
    noise = mix(other.astype(jnp.uint32) * jnp.uint32(_ODD) ^ salt)
    # A number below the modulus (< 2^16) by multiplication: the modulo instruction is not vectorized.
    total = half + ((noise >> 16) * modulus.astype(jnp.uint32) >> 16).astype(jnp.int32)
    return jnp.where(total >= modulus, total - modulus, total)

"""What is drawn at random, beside SciPy: every value of a draw's bits, and the distributions of what is made of them.

`PIECES` push all 2^23 values of the bits through the functions that make numbers of them: as in `oracle_pieces.py`,
each gives the largest difference. `DRAWS` can only be compared in distribution: each gives a p-value.
"""

import math
from collections.abc import Callable
from functools import cache, partial
from itertools import permutations
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import textbook
from numpy.typing import NDArray
from oracle_pieces import Piece, gap, through
from scipy import special, stats

from jaxsweep.network import initial, randomness
from jaxsweep.network.mlp import Architecture
from jaxsweep.network.randomness import Stream
from jaxsweep.network.train import mixup_share
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS

Floats = NDArray[np.float64]

WORDS = 2**23  # values of the bits that a draw rests on


class Drawing(NamedTuple):
    """A shared piece whose numbers are random: the distribution it is compared with, and a function to a p-value."""

    name: str
    oracle: str
    p_value: Callable[[], float]


# --- draws ---------------------------------------------------------------------------------------------------------


def every_word(low: int = 0) -> Any:
    """Return a patch that makes `randomness.bits` give all values of the upper 23 bits in turn, over lower bits."""
    words = jnp.asarray((np.arange(WORDS, dtype=np.uint32) << 9) | np.uint32(low))
    return mock.patch.object(randomness, "bits", lambda state, shape, first=0: words.reshape(shape))


def drawn(draw: Callable[..., jax.Array], *more: Any, low: int = 0) -> NDArray[Any]:
    """Return what `draw` makes of every word, [WORDS]."""
    with every_word(low):
        return np.asarray(draw(jnp.zeros(2, jnp.uint32), (WORDS // 4096, 4096), *more)).ravel()


def midpoints() -> Floats:
    """Return the numbers that the words stand for: the middles of 2^23 intervals of equal length."""
    return np.asarray((np.arange(WORDS) + 0.5) / WORDS)


def _uniform() -> float:
    return gap(drawn(randomness.uniform, low=511), midpoints())


def _normal() -> float:
    return gap(drawn(randomness.normal, low=511), special.ndtri(midpoints()))


RATES = (0.0, 0.3, 0.9999999)


def _keep() -> float:
    """Return the largest difference of the share kept from 1 - rate; no rate that a float holds is further off."""
    return max(abs(float(drawn(randomness.keep, rate).mean()) - (1 - rate)) for rate in RATES)


class _Counter:
    """In place of threefry: element k of a draw gets the word k << 9."""

    @staticmethod
    def bind(first: Any, second: Any, zeros: Any, index: jax.Array) -> tuple[jax.Array, jax.Array]:
        return index.astype(jnp.uint32) << 9, jnp.zeros_like(index, jnp.uint32)


def initial_of_every_word(name: str) -> Floats:
    """Return the kernel that initializer `name` makes of every word, [WORDS]; it is 2048 x 4096."""
    shape = (WORDS // 4096, 4096)
    net = Architecture(shape[0], (), shape[1], False, ("relu",), ("none",), (name,))
    dtype = jnp.result_type(float)
    with mock.patch.object(initial, "threefry2x32_p", _Counter):
        draws = initial._Draws(net, [jnp.zeros(2, jnp.uint32)], dtype)
        (kernel,) = initial.INITIALIZERS[name].traced(net, draws, list(net.shapes))
    return np.asarray(kernel, np.float64).ravel()


def _initial(name: str) -> float:
    """Return how far the share of words below a weight is from the probability of a smaller one.

    In units of probability, since a weight in the tail changes much with the last bit of what it is made from. All
    weights must be finite; those of both ends and every 37th are compared.
    """
    weights = initial_of_every_word(name)
    if not np.isfinite(weights).all():
        return math.inf
    some = np.unique(np.concatenate([np.arange(0, WORDS, 37), np.arange(2**14), WORDS - 1 - np.arange(2**14)]))
    return gap(textbook.initial(name, WORDS // 4096, 4096).cdf(weights[some]), some / WORDS)


# --- distributions -------------------------------------------------------------------------------------------------

FANS = (7, 300)  # kernels of 7 x 300 and 300 x 7
LANES = 20


@cache
def initial_kernels(name: str, width: int = FANS[1], padded: int = 320) -> list[Floats]:
    """Return the kernels [LANES, 7, width] and [LANES, width, 7] of networks in a program `padded` units wide."""
    net = Architecture(FANS[0], (padded,), FANS[0], True, ("relu",), ("none",), (name,))
    keys = randomness.lane_keys(0, np.arange(LANES), np.zeros(LANES, int), np.zeros(LANES, int))
    widths = jnp.full(1, width)
    draw = jax.jit(jax.vmap(lambda key: initial.initialize(net, key, jnp.zeros((), jnp.int32), 1.0, widths)))
    params = draw(keys)
    kernels = [np.asarray(params[layer]["kernel"], np.float64) for layer in ("hidden_0", "output")]
    return [kernels[0][:, :, :width], kernels[1][:, :width]]


def _weights(name: str) -> float:
    """Return the smaller p-value of the two kernels' weights."""
    kernels = initial_kernels(name)
    return min(
        float(stats.kstest(kernel.ravel(), textbook.initial(name, *kernel.shape[1:]).cdf).pvalue) for kernel in kernels
    )


def orthogonal_kernels(count: int = 3000, side: int = 4) -> Floats:
    """Return many small square orthogonal kernels, [count, side, side]."""
    net = Architecture(side, (), side, False, ("relu",), ("none",), ("orthogonal",))
    keys = randomness.lane_keys(0, np.arange(count), np.zeros(count, int), np.zeros(count, int))
    draw = jax.jit(jax.vmap(lambda key: initial.initialize(net, key, jnp.zeros((), jnp.int32), 1.0, None)))
    return np.asarray(draw(keys)["output"]["kernel"], np.float64)


def _haar() -> float:
    """Return the smallest p-value of the entries of orthogonal kernels and of their determinants (times their number).

    Of a uniformly random orthogonal matrix (Mezzadri, 2007), (1 + an entry) / 2 is Beta((n - 1) / 2, (n - 1) / 2), also
    on the diagonal, and the determinant is as often -1 as 1.
    """
    kernels = orthogonal_kernels()
    side = kernels.shape[1]
    entry = stats.beta((side - 1) / 2, (side - 1) / 2, loc=-1, scale=2)
    places = [(row, column) for row in range(side) for column in range(side)]
    ps = [float(stats.kstest(kernels[:, row, column], entry.cdf).pvalue) for row, column in places]
    ps.append(float(stats.binomtest(int((np.linalg.det(kernels) > 0).sum()), len(kernels)).pvalue))
    return min(1.0, len(ps) * min(ps))


def permutations_of(size: int, length: int, count: int) -> NDArray[np.int64]:
    """Return the orders of `count` epochs of a lane with `size` rows, [count, size]."""
    key = randomness.lane_key(0, 0, 0, 0)

    def order(epoch: jax.Array, size: jax.Array) -> jax.Array:
        return randomness.permutation(randomness.stream(key, Stream.SHUFFLE, epoch), size, length)

    draw = jax.jit(jax.vmap(order, in_axes=(0, None)))
    return np.asarray(draw(jnp.arange(count), jnp.asarray(size, jnp.int32)), np.int64)[:, :size]


def _all_orders(size: int, length: int) -> float:
    """Return the p-value of a chi-square test over all orders of `size` rows, of which 30 each are expected."""
    orders = permutations_of(size, length, 30 * math.factorial(size))
    code = orders @ size ** np.arange(size)
    known = np.array([order @ size ** np.arange(size) for order in np.array(list(permutations(range(size))))])
    return float(stats.chisquare((code[:, None] == known[None, :]).sum(axis=0)).pvalue)


def _parities(size: int) -> float:
    """Return the p-value of how many orders are even permutations: half of them."""
    orders = permutations_of(size, size, 1000)
    inversions = np.triu(orders[:, :, None] > orders[:, None, :]).sum(axis=(1, 2))
    return float(stats.binomtest(int((inversions % 2 == 0).sum()), len(orders)).pvalue)


def mixup_shares(alpha: float, count: int = 20_000) -> Floats:
    """Return the shares of `count` steps of a lane."""
    return np.asarray(_mixed(jnp.arange(count), jnp.asarray(alpha)), np.float64)


@jax.jit
def _mixed(steps: jax.Array, alpha: jax.Array) -> jax.Array:
    key = randomness.lane_key(0, 1, 0, 0)
    return jax.vmap(lambda step: mixup_share(randomness.stream(key, Stream.MIXUP, step), alpha))(steps)


def _mixup(alpha: float) -> float:
    return float(stats.kstest(mixup_shares(alpha), stats.beta(alpha, alpha).cdf).pvalue)


def dropped(rate: float, rows: int = 500, units: int = 40, seed: int = 0) -> Floats:
    """Return ones [rows, units] after a hidden layer's dropout in training."""
    key = randomness.stream(randomness.lane_key(seed, 0, 0, 0), Stream.DROPOUT, 3)
    ones, mode = jnp.ones((rows, units)), {"dropout": jnp.asarray(rate), "key": key}
    return np.asarray(through(units, "none", {}, {}, ones, jnp.ones(rows, bool), **mode)[0], np.float64)


def _dropout(rate: float) -> float:
    """Return the smallest p-value of the number of units kept: of all, and of each unit's (as often as there are)."""
    kept = dropped(rate) > 0
    tests = [stats.binomtest(int(kept.sum()), kept.size, 1 - rate)]
    tests += [stats.binomtest(int(unit.sum()), len(unit), 1 - rate) for unit in kept.T]
    return min(1.0, len(tests) * min(float(test.pvalue) for test in tests))


# --- the tables ----------------------------------------------------------------------------------------------------

PIECES: tuple[Piece, ...] = (
    Piece("uniform, all 2^23 values", "midpoints of 2^23 intervals", _uniform, (0, 0)),
    Piece("normal, all values", "scipy.special.ndtri", _normal, (1e-5, 1e-13)),
    Piece("dropout mask, share of all words", "1 - rate", _keep, (2.0**-23, 2.0**-24)),
    *(
        Piece(f"{name}, all values", "scipy.stats, its cdf", partial(_initial, name), (2.0**-22, 1e-14))
        for name in HYPERPARAMETERS["init"].choices
        if name != "orthogonal"
    ),
)

DRAWS: tuple[Drawing, ...] = (
    *(
        Drawing(f"{name}, 20 lanes, 7 x 300 and 300 x 7", "scipy.stats, Kolmogorov-Smirnov", partial(_weights, name))
        for name in HYPERPARAMETERS["init"].choices
        if name != "orthogonal"
    ),
    Drawing("orthogonal, 4 x 4", "uniform on the group: entries, determinant", _haar),
    *(
        Drawing(
            f"order of {n} rows, {length} in store", "each of all orders, chi-square", partial(_all_orders, n, length)
        )
        for n, length in ((3, 3), (5, 100), (6, 6))
    ),
    *(
        Drawing(f"order of {n} rows, parity", "half are even, binomial", partial(_parities, n))
        for n in (25, 63, 65, 81)
    ),
    *(
        Drawing(f"mixup share, alpha {a:g}", "scipy.stats.beta, Kolmogorov-Smirnov", partial(_mixup, a))
        for a in (0.4, 1.0, 5.0)
    ),
    *(Drawing(f"dropout {rate:g}, units kept", "binomial", partial(_dropout, rate)) for rate in (0.1, 0.5, 0.9)),
)

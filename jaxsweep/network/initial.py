"""The initializers, one row each: Flax's, for the true shape of a network whose arrays may be wider.

A program's arrays may be wider than the networks it holds. JAX's threefry is partitionable, element k of a draw
depends on the key and on k alone, so each padded element is drawn at the index that it has in the true shape, for all
kernels together, and nothing compiles for true shapes.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.random import threefry2x32_p
from jax.typing import ArrayLike

from jaxsweep.network.late import nn
from jaxsweep.network.mlp import Architecture, Params, inside, select, true_shapes
from jaxsweep.network.randomness import wrap

ORTHOGONAL_BLOCK = 32  # columns that are made orthogonal one by one


def initialize(
    net: Architecture, key: Array, init: Array, scale: ArrayLike, widths: Array | None, depth: Array | None = None,
    factors: Array | None = None,
) -> Params:  # fmt: skip
    """Return the parameters that Flax's `init` gives to the unpadded network, padded with zeros.

    Args:
        net: what is static.
        key: uint32 [2], the lane's key.
        init: int32 [], index into net.inits.
        scale: the hyperparameter init_scale.
        widths: int32 [depth], the true widths, or None where the program does not pad.
        depth: int32 [], the true number of hidden layers, or None where it is that of the program; what a network does
            not have is zeros.
        factors: float [layers], by which the kernel of each layer is multiplied besides, or None.
    """
    dtype = jnp.result_type(float)
    true = true_shapes(net, widths, depth)
    draws = _Draws(net, _kernel_keys(net, key, dtype), dtype)
    params: Params = {}
    branches = [lambda _, name=name: INITIALIZERS[name].traced(net, draws, true) for name in net.inits]
    kernels = select(init, branches, 0)
    for layer, (name, shape) in enumerate(zip(net.layers, net.shapes, strict=True)):
        mask = inside(shape, *true[layer])
        own = scale if factors is None else scale * factors[layer]
        params[name] = {
            "kernel": jnp.where(mask, own * kernels[layer], 0).astype(dtype),
            "bias": jnp.zeros(shape[1], dtype),
        }
    if net.normalized:
        for layer, width in enumerate(net.widths):
            ones = (jnp.arange(width) < true[layer][1]).astype(dtype)  # 0 in padded units, for norms of parameters
            params[f"norm_{layer}"] = {"scale": ones, "bias": jnp.zeros(width, dtype)}
    return params


def _kernel_keys(net: Architecture, key: Array, dtype: Any) -> list[Array]:
    """Return the keys, uint32 [2] each, that Flax gives to the kernels of an MLP with the program's layer names."""
    keys: list[Array] = []

    def zeros(key: Array, shape: tuple[int, ...], dtype: Any = None) -> Array:
        keys.append(jax.random.key_data(key))
        return jnp.zeros(shape, dtype)

    class Probe(nn.Module):
        @nn.compact
        def __call__(self, x: Array) -> Array:
            for name, (_, outputs) in zip(net.layers, net.shapes, strict=True):
                x = nn.Dense(outputs, kernel_init=zeros, name=name)(x)
            return x

    Probe().init(wrap(key), jnp.zeros((1, net.features), dtype))
    return keys


def initial_stats(net: Architecture) -> Params:
    """Return the running statistics before the first step: mean 0 and variance 1."""
    if not net.normalized:
        return {}
    dtype = jnp.result_type(float)
    return {
        f"norm_{layer}": {"mean": jnp.zeros(width, dtype), "var": jnp.ones(width, dtype)}
        for layer, width in enumerate(net.widths)
    }


def started(
    net: Architecture, norm: Array, widths: Array | None, depth: Array | None, layers: Array,
    own: tuple[Params, Params], start: tuple[Params, Params],
) -> tuple[Params, Params]:  # fmt: skip
    """Return parameters and statistics with those of a trained network in place of a lane's own where shapes agree.

    Args:
        net: what is static.
        norm: int32 [], index into net.norms.
        widths: as in `initialize`.
        depth: as in `initialize`.
        layers: [], how many layers may take them, counted from the first; below 0 all.
        own: what the lane would start with, padded.
        start: of the trained network, in its true shapes.
    """
    params, stats = (dict(tree) for tree in own)
    plain = norm != net.norms.index("batch") if "batch" in net.norms else jnp.ones((), bool)
    last = len(net.widths) if depth is None else depth
    shapes = zip(net.layers, net.shapes, true_shapes(net, widths, depth), strict=True)
    for number, (name, padded, (rows, columns)) in enumerate(shapes):
        there = start[0].get(name, {}).get("kernel")
        if there is None or any(a > b for a, b in zip(there.shape, padded, strict=True)):
            continue
        place = last if name == "output" else number
        agrees = (jnp.asarray(rows) == there.shape[0]) & (columns == there.shape[1]) & ((layers < 0) | (place < layers))

        def taken(mine: Array, theirs: Array, where: Array) -> Array:
            wide = jnp.pad(theirs, [(0, a - b) for a, b in zip(mine.shape, theirs.shape, strict=True)])
            return jnp.where(where, wide.astype(mine.dtype), mine)

        # A layer before batch norm has no bias.
        biased = agrees & plain if name != "output" else agrees
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        params[name] = {
            "kernel": taken(kernel, there, agrees),
            "bias": taken(bias, start[0][name]["bias"], biased) if "bias" in start[0][name] else bias,
        }
        behind = name.replace("hidden_", "norm_")
        for tree, source in ((params, start[0]), (stats, start[1])):
            if behind != name and behind in tree and behind in source:
                tree[behind] = {key: taken(mine, source[behind][key], agrees) for key, mine in tree[behind].items()}
    return params, stats


Fans = Sequence[tuple[ArrayLike, ArrayLike]]  # rows and columns of the true shape of each kernel


class _Draws:
    """Uniform numbers for every kernel, from one threefry call over all of them."""

    def __init__(self, net: Architecture, keys: list[Array], dtype: Any):
        self.shapes, self.keys, self.dtype = net.shapes, keys, dtype

    def uniform(self, indices: list[Array], low: ArrayLike, high: ArrayLike) -> list[Array]:
        """Return numbers in [low, high) as `jax.random.uniform` gives them at these indices of each layer's draw."""
        flat = jnp.concatenate([index.ravel() for index in indices]).astype(jnp.uint32)
        owners = list(zip(self.keys, indices, strict=True))
        words = [
            jnp.concatenate([jnp.broadcast_to(key[half], (index.size,)) for key, index in owners]) for half in (0, 1)
        ]
        first, second = threefry2x32_p.bind(words[0], words[1], jnp.zeros_like(flat), flat)
        numbers = _to_unit(first, second, self.dtype)
        span = jnp.asarray(high, self.dtype) - jnp.asarray(low, self.dtype)
        scaled = jnp.maximum(jnp.asarray(low, self.dtype), numbers * span + jnp.asarray(low, self.dtype))
        pieces = jnp.split(scaled, list(_offsets(indices))[:-1])
        return [piece.reshape(index.shape) for piece, index in zip(pieces, indices, strict=True)]


def _offsets(arrays: list[Array]) -> list[int]:
    total, offsets = 0, []
    for array in arrays:
        total += array.size
        offsets.append(total)
    return offsets


def _to_unit(first: Array, second: Array, dtype: Any) -> Array:
    """Return floats in [0, 1) from two random words, bit for bit as `jax.random.uniform` makes them."""
    if dtype == jnp.float64:
        word = (first.astype(jnp.uint64) << 32) | second.astype(jnp.uint64)
        return jax.lax.bitcast_convert_type((word >> 12) | jnp.uint64(0x3FF0000000000000), jnp.float64) - 1.0
    word = first ^ second
    return jax.lax.bitcast_convert_type((word >> 9) | jnp.uint32(0x3F800000), jnp.float32) - 1.0


Kernels = Callable[[Architecture, _Draws, Fans], list[Array]]
"""Every kernel, padded; what lies outside the true shape is arbitrary."""


def _indices(net: Architecture, true: Fans) -> list[Array]:
    return [_positions(shape, columns) for shape, (_, columns) in zip(net.shapes, true, strict=True)]


def _fixed_normal(net: Architecture, draws: _Draws, true: Fans) -> list[Array]:
    return [0.05 * kernel for kernel in _normal(draws, _indices(net, true))]


def _fixed_uniform(net: Architecture, draws: _Draws, true: Fans) -> list[Array]:
    return [0.05 * kernel for kernel in draws.uniform(_indices(net, true), 0.0, 1.0)]


def _uniform_of(variance: Callable[[Array, Array], Array]) -> Kernels:
    """Return how uniform kernels of a variance are drawn, which follows from rows and columns."""

    def kernels(net: Architecture, draws: _Draws, true: Fans) -> list[Array]:
        unit = draws.uniform(_indices(net, true), -1.0, 1.0)
        variances = [variance(*fans) for fans in _fans(draws, true)]
        return [jnp.sqrt(3 * v) * kernel for v, kernel in zip(variances, unit, strict=True)]

    return kernels


def _normal_of(variance: Callable[[Array, Array], Array]) -> Kernels:
    """Return how normal kernels of a variance are drawn, cut at two standard deviations."""

    def kernels(net: Architecture, draws: _Draws, true: Fans) -> list[Array]:
        cut = _truncated(draws, _indices(net, true))
        variances = [variance(*fans) for fans in _fans(draws, true)]
        # The constant is the standard deviation that the cut leaves of 1.
        return [jnp.sqrt(v) / 0.87962566103423978 * kernel for v, kernel in zip(variances, cut, strict=True)]

    return kernels


def _fans(draws: _Draws, true: Fans) -> list[tuple[Array, Array]]:
    return [(jnp.asarray(rows, draws.dtype), jnp.asarray(columns, draws.dtype)) for rows, columns in true]


def _glorot(rows: Array, columns: Array) -> Array:
    return 2 / (rows + columns)


def _he(rows: Array, columns: Array) -> Array:
    return 2 / rows


def _lecun(rows: Array, columns: Array) -> Array:
    return 1 / rows


def _positions(shape: tuple[int, int], columns: ArrayLike) -> Array:
    """Return the index of each element of a padded [rows, columns] array in the true array, row by row."""
    return jnp.arange(shape[0])[:, None] * jnp.asarray(columns) + jnp.arange(shape[1])[None, :]


def _normal(draws: _Draws, indices: list[Array]) -> list[Array]:
    low = math.nextafter(-1.0, 0.0) if draws.dtype == jnp.float64 else -0.99999994
    return [math.sqrt(2) * jax.lax.erf_inv(number) for number in draws.uniform(indices, low, 1.0)]


def _truncated(draws: _Draws, indices: list[Array]) -> list[Array]:
    bound = jnp.asarray(2.0, draws.dtype)
    edge = jax.lax.erf(bound / math.sqrt(2))
    inner = jnp.nextafter(bound, jnp.zeros_like(bound))
    return [
        jnp.clip(math.sqrt(2) * jax.lax.erf_inv(number), -inner, inner)
        for number in draws.uniform(indices, -edge, edge)
    ]


def _orthogonal(net: Architecture, draws: _Draws, true: Fans) -> list[Array]:
    """Return orthogonal kernels: the QR factor of a normal matrix, tall side first, with the signs of R's diagonal.

    Zero rows and columns that pad the normal matrix leave the leading block of Q as it was.
    """
    sides = [max(shape) for shape in net.shapes]
    talls = [jnp.asarray(rows) >= columns for rows, columns in true]
    short = [jnp.minimum(rows, columns) for rows, columns in true]
    long = [jnp.maximum(rows, columns) for rows, columns in true]
    shapes = zip(sides, net.shapes, short, strict=True)
    indices = [_positions((side, min(shape)), columns) for side, shape, columns in shapes]
    kernels = []
    for layer, matrix in enumerate(_normal(draws, indices)):
        shape = net.shapes[layer]
        matrix = jnp.where(inside(matrix.shape, long[layer], short[layer]), matrix, 0)  # type: ignore[arg-type]
        q = orthonormal(matrix)
        square = jnp.zeros((sides[layer], sides[layer]), q.dtype).at[:, : q.shape[1]].set(q)
        kernels.append(jnp.where(talls[layer], square, square.T)[: shape[0], : shape[1]])
    return kernels


def orthonormal(matrix: Array) -> Array:
    """Return the Q of QR, [rows, columns] with rows >= columns, for which R has a positive diagonal; 0 columns stay 0.

    Gram-Schmidt, done twice, which is enough (Giraud, Langou and Rozloznik, Computers and Mathematics with
    Applications 50, 2005), in blocks of columns, so that most of the work is matrix products. LAPACK's QR is none for a
    batch of lanes: XLA lets it wait for threads of the pool that the callers occupy, for ever, and an accelerator would
    factor one matrix after another.
    """
    columns = matrix.shape[1]
    width = min(ORTHOGONAL_BLOCK, columns)
    blocks = -(-columns // width)
    padded = jnp.pad(matrix, ((0, 0), (0, blocks * width - columns)))

    def without(part: Array, basis: Array) -> Array:
        return part - _exact(basis, _exact(basis.T, part))

    def column(part: Array, number: ArrayLike, done: Array) -> Array:  # [rows, width] each; done is 0 from here on
        vector = jax.lax.dynamic_slice_in_dim(part, number, 1, axis=1)
        vector = without(without(vector, done), done)
        length = jnp.sqrt(jnp.sum(vector * vector))
        vector = jnp.where(length > 0, vector / jnp.where(length > 0, length, 1), 0)
        return jax.lax.dynamic_update_slice_in_dim(done, vector, number, axis=1)

    def cleaned(part: Array, basis: Array) -> Array:
        part = without(part, basis)
        return jax.lax.fori_loop(0, width, functools.partial(column, part), jnp.zeros_like(part))

    def block(number: ArrayLike, basis: Array) -> Array:
        part = jax.lax.dynamic_slice_in_dim(padded, number * width, width, axis=1)
        part = jax.lax.fori_loop(0, 2, lambda _, part: cleaned(part, basis), part)
        return jax.lax.dynamic_update_slice_in_dim(basis, part, number * width, axis=1)

    return jax.lax.fori_loop(0, blocks, block, jnp.zeros_like(padded))[:, :columns]


def _exact(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision="highest")


class Initializer(NamedTuple):
    """How the kernels of a network are drawn."""

    traced: Kernels
    reference: Callable[[], Callable[..., Array]]  # Flax's own, as the plain reference calls it


INITIALIZERS = {
    "random_normal": Initializer(_fixed_normal, lambda: nn.initializers.normal(0.05)),
    "random_uniform": Initializer(_fixed_uniform, lambda: nn.initializers.uniform(0.05)),
    "glorot_normal": Initializer(_normal_of(_glorot), lambda: nn.initializers.glorot_normal()),
    "glorot_uniform": Initializer(_uniform_of(_glorot), lambda: nn.initializers.glorot_uniform()),
    "he_normal": Initializer(_normal_of(_he), lambda: nn.initializers.he_normal()),
    "he_uniform": Initializer(_uniform_of(_he), lambda: nn.initializers.he_uniform()),
    "lecun_normal": Initializer(_normal_of(_lecun), lambda: nn.initializers.lecun_normal()),
    "orthogonal": Initializer(_orthogonal, lambda: nn.initializers.orthogonal()),
}

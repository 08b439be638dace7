"""The network: a Flax MLP whose layers may be wider than the network they hold.

`widths` are the padded, static widths of a program; the true ones may be smaller and traced. Padded units output
0 and get gradient 0, so that they change nothing. Parameters are a dict of Flax layers by name: `hidden_0`,
`norm_0`, ..., `output`, each with Flax's own names inside.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.extend.random import threefry2x32_p
from jax.typing import ArrayLike

from jaxsweep import randomness

Params = dict[str, dict[str, Array]]

NORM_MOMENTUM = 0.9  # of batch norm's running statistics; Flax's 0.99 is too slow for trainings of a few epochs
NORM_EPSILON = 1e-5

ACTIVATIONS: dict[str, Callable[[Array, ArrayLike], Array]] = {
    "relu": lambda z, slope: nn.relu(z),
    "leaky_relu": lambda z, slope: jnp.where(z >= 0, z, slope * z),
    "tanh": lambda z, slope: jnp.tanh(z),
    "sigmoid": lambda z, slope: nn.sigmoid(z),
    "elu": lambda z, slope: nn.elu(z),
    "gelu": lambda z, slope: nn.gelu(z),
    "silu": lambda z, slope: nn.silu(z),
    "softplus": lambda z, slope: nn.softplus(z),
}


class Architecture(NamedTuple):
    """What of a network is static: shapes, and which pieces of code a program holds."""

    features: int
    widths: tuple[int, ...]
    outputs: int
    padded: bool  # whether true widths may be smaller than `widths`
    activations: tuple[str, ...]
    norms: tuple[str, ...]
    inits: tuple[str, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """Return the names of the layers that have kernels, first to last."""
        return (*(f"hidden_{layer}" for layer in range(len(self.widths))), "output")

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Return the padded shape of each kernel, (inputs, outputs)."""
        sizes = (self.features, *self.widths, self.outputs)
        return tuple(pairwise(sizes))

    @property
    def normalized(self) -> bool:
        """Whether any network of the program has normalization layers."""
        return self.norms != ("none",)


class Mode(NamedTuple):
    """Traced choices and numbers that a forward pass needs; None where the program does not use them."""

    activation: Array  # int32 [], index into Architecture.activations
    norm: Array  # int32 [], index into Architecture.norms
    widths: Array | None  # int32 [depth], true widths, where the program pads
    negative_slope: ArrayLike
    dropout: ArrayLike | None


def select(index: Array, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Return branches[index](*operands); a single branch needs no switch."""
    if len(branches) == 1:
        return branches[0](*operands)
    return jax.lax.switch(index, branches, *operands)


# --- forward -----------------------------------------------------------------------------------------------------


def forward(
    net: Architecture,
    mode: Mode,
    params: Params,
    stats: Params,
    x: Array,
    rows: Array | None = None,
    dropout_key: Array | None = None,
) -> tuple[Array, Params]:
    """Return the outputs [batch, outputs] for inputs [batch, features], and the new running statistics.

    Args:
        net: what is static.
        mode: what is traced.
        params: the parameters of every layer.
        stats: running mean and variance of every normalization layer (used by batch norm only).
        x: inputs, [batch, features].
        rows: bool [batch], which rows are examples; None in evaluation, where each row stands for itself.
        dropout_key: uint32 [2], the stream of this step's dropout masks; None outside training.
    """
    new_stats: Params = {}
    for layer, width in enumerate(net.widths):
        units = None if mode.widths is None else jnp.arange(width) < mode.widths[layer]  # [width]
        x = _dense(width, _dense_params(net, mode, params[f"hidden_{layer}"]), x)
        if net.normalized:
            name = f"norm_{layer}"
            x, new_stats[name] = _normalize(net, mode, params[name], stats[name], x, rows, units)
        x = activate(net, mode, x)
        if units is not None:
            x = jnp.where(units, x, 0)  # select, not multiply: 0 * inf is NaN
        if mode.dropout is not None and dropout_key is not None:
            mask = randomness.keep(randomness.stream(dropout_key, layer + 1), x.shape, mode.dropout)
            x = jnp.where(mask, x / (1 - mode.dropout), 0)
    return _dense(net.outputs, params["output"], x), new_stats


def _dense(width: int, params: dict[str, Array], x: Array) -> Array:
    y: Any = nn.Dense(width, dot_general=_dot_general).apply({"params": params}, x)
    return y


def _dot_general(x: Array, kernel: Array, dimensions: Any, **_: Any) -> Array:
    """Return x @ kernel, as Flax's Dense asks for it, with a derivative in the kernel's own layout."""
    return _matmul(x, kernel)


@jax.custom_vjp
def _matmul(x: Array, kernel: Array) -> Array:
    return x @ kernel


def _matmul_back(kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    # JAX would compute the transpose of x.T @ gradient and then transpose it, and XLA would fuse that transposition
    # into every pass of the optimizer: strided reads, several times slower for wide layers.
    x, kernel = kept
    return gradient @ kernel.T, x.T @ gradient


_matmul.defvjp(lambda x, kernel: (x @ kernel, (x, kernel)), _matmul_back)


def _dense_params(net: Architecture, mode: Mode, params: dict[str, Array]) -> dict[str, Array]:
    """Return a hidden layer's parameters, its bias held at 0 before batch norm.

    Batch norm takes any bias away again, and leaves it a gradient of nothing but rounding errors, which optimizers
    such as lion would follow.
    """
    if "batch" not in net.norms:
        return params
    held = jnp.where(mode.norm == net.norms.index("batch"), 0, params["bias"])
    return {"kernel": params["kernel"], "bias": held}


def activate(net: Architecture, mode: Mode, z: Array) -> Array:
    """Return the activation that `mode` chooses, applied to `z`."""
    functions = [ACTIVATIONS[name] for name in net.activations]
    if len(functions) == 1:
        return functions[0](z, mode.negative_slope)
    slope = jnp.asarray(mode.negative_slope, z.dtype)
    return _switch_activation(functions, mode.activation, slope, z)


def _switch_activation(
    functions: list[Callable[[Array, ArrayLike], Array]], index: Array, slope: Array, z: Array
) -> Array:
    """Return functions[index](z, slope) with a derivative that keeps z alone.

    Differentiating a `switch` keeps what any branch needs, as zeros for the others. All that the backward pass of an
    activation needs is z, so it switches again.
    """

    @jax.custom_vjp
    def apply(index: Array, slope: Array, z: Array) -> Array:
        return select(index, functions, z, slope)

    def go(index: Array, slope: Array, z: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        return apply(index, slope, z), (index, slope, z)

    def back(kept: tuple[Array, Array, Array], gradient: Array) -> tuple[None, Array, Array]:
        index, slope, z = kept
        pullbacks = [
            lambda z, slope, g, f=function: jax.vjp(lambda z: f(z, slope), z)[1](g)[0] for function in functions
        ]
        return None, jnp.zeros_like(slope), select(index, pullbacks, z, slope, gradient)

    apply.defvjp(go, back)
    return apply(index, slope, z)


def _normalize(
    net: Architecture, mode: Mode, params: dict[str, Array], stats: dict[str, Array], x: Array,
    rows: Array | None, units: Array | None,
) -> tuple[Array, dict[str, Array]]:  # fmt: skip
    """Return x normalized as `mode` chooses, and the running statistics after it."""
    mask = None if units is None else jnp.broadcast_to(units, x.shape)

    def none(x: Array) -> tuple[Array, dict[str, Array]]:
        return x, stats

    def layer(x: Array) -> tuple[Array, dict[str, Array]]:
        norm = nn.LayerNorm(epsilon=NORM_EPSILON, use_fast_variance=False)
        y: Any = norm.apply({"params": params}, x, mask=mask)
        return y, stats

    def batch(x: Array) -> tuple[Array, dict[str, Array]]:
        norm = nn.BatchNorm(
            use_running_average=rows is None, momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON, use_fast_variance=False
        )
        variables = {"params": params, "batch_stats": stats}
        y: Any
        if rows is None:
            y = norm.apply(variables, x)
            return y, stats
        y, changed = norm.apply(variables, x, mask=rows[:, None], mutable=["batch_stats"])
        return y, changed["batch_stats"]

    table = {"none": none, "layer": layer, "batch": batch}
    return select(mode.norm, [table[name] for name in net.norms], x)


# --- initialization ----------------------------------------------------------------------------------------------


class _KeyProbe(nn.Module):
    """A Flax MLP of the program's layer names: it tells which key Flax gives to which kernel."""

    net: Architecture
    note: Callable[[Array], None]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        def zeros(key: Array, shape: tuple[int, ...], dtype: Any = None) -> Array:
            self.note(jax.random.key_data(key))
            return jnp.zeros(shape, dtype)

        for name, (_, outputs) in zip(self.net.layers, self.net.shapes, strict=True):
            x = nn.Dense(outputs, kernel_init=zeros, name=name)(x)
        return x


def initialize(net: Architecture, key: Array, init: Array, scale: ArrayLike, widths: Array | None) -> Params:
    """Return the parameters that Flax's `init` gives to the unpadded network, padded with zeros.

    JAX's threefry is partitionable: element k of a draw depends on the key and on k alone. So each padded element is
    drawn at the index that it has in the true shape, for all kernels together, and nothing compiles for true shapes.

    Args:
        net: what is static.
        key: uint32 [2], the lane's key.
        init: int32 [], index into net.inits.
        scale: the hyperparameter init_scale.
        widths: int32 [depth], the true widths, or None where the program does not pad.
    """
    dtype = jnp.result_type(float)
    seen: list[Array] = []
    _KeyProbe(net, seen.append).init(jax.random.wrap_key_data(key), jnp.zeros((1, net.features), dtype))
    true = _true_shapes(net, widths)
    draws = _Draws(net, seen, dtype)
    params: Params = {}
    branches = [lambda _, name=name: _kernels(name, net, draws, true) for name in net.inits]
    kernels = select(init, branches, 0)
    for layer, (name, shape) in enumerate(zip(net.layers, net.shapes, strict=True)):
        inside = _inside(shape, *true[layer])
        params[name] = {
            "kernel": jnp.where(inside, scale * kernels[layer], 0).astype(dtype),
            "bias": jnp.zeros(shape[1], dtype),
        }
    if net.normalized:
        for layer, width in enumerate(net.widths):
            ones = (jnp.arange(width) < true[layer][1]).astype(dtype)  # 0 in padded units, for norms of parameters
            params[f"norm_{layer}"] = {"scale": ones, "bias": jnp.zeros(width, dtype)}
    return params


def initial_stats(net: Architecture) -> Params:
    """Return the running statistics before the first step: mean 0 and variance 1."""
    if not net.normalized:
        return {}
    dtype = jnp.result_type(float)
    return {
        f"norm_{layer}": {"mean": jnp.zeros(width, dtype), "var": jnp.ones(width, dtype)}
        for layer, width in enumerate(net.widths)
    }


def _true_shapes(net: Architecture, widths: Array | None) -> list[tuple[ArrayLike, ArrayLike]]:
    if widths is None:
        return list(net.shapes)
    sizes: list[ArrayLike] = [net.features, *(widths[layer] for layer in range(len(net.widths))), net.outputs]
    return list(pairwise(sizes))


def _inside(shape: tuple[int, int], rows: ArrayLike, columns: ArrayLike) -> Array:
    return (jnp.arange(shape[0]) < rows)[:, None] & (jnp.arange(shape[1]) < columns)[None, :]


def true_kernels(net: Architecture, widths: Array | None, params: Params) -> list[Array]:
    """Return every kernel with its padding as constant zeros, which get no gradient."""
    kernels = [params[name]["kernel"] for name in net.layers]
    if widths is None:
        return kernels
    shapes = zip(kernels, net.shapes, _true_shapes(net, widths), strict=True)
    return [jnp.where(_inside(shape, *true), kernel, 0) for kernel, shape, true in shapes]


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


def _kernels(name: str, net: Architecture, draws: _Draws, true: list[tuple[ArrayLike, ArrayLike]]) -> list[Array]:
    """Return every kernel as the Flax initializer `name` draws it; what lies outside the true shape is arbitrary."""
    if name == "orthogonal":
        return _orthogonal(net, draws, true)
    shapes = net.shapes
    indices = [_positions(shape, columns) for shape, (_, columns) in zip(shapes, true, strict=True)]
    fans = [(jnp.asarray(rows, draws.dtype), jnp.asarray(columns, draws.dtype)) for rows, columns in true]
    if name == "random_normal":
        return [0.05 * kernel for kernel in _normal(draws, indices)]
    if name == "random_uniform":
        return [0.05 * kernel for kernel in draws.uniform(indices, 0.0, 1.0)]
    variances = [_variance(name, rows, columns) for rows, columns in fans]
    if name.endswith("uniform"):
        unit = draws.uniform(indices, -1.0, 1.0)
        return [jnp.sqrt(3 * variance) * kernel for variance, kernel in zip(variances, unit, strict=True)]
    # A normal cut at two standard deviations; the constant is the standard deviation that the cut leaves.
    cut = _truncated(draws, indices)
    return [jnp.sqrt(v) / 0.87962566103423978 * kernel for v, kernel in zip(variances, cut, strict=True)]


def _variance(name: str, rows: Array, columns: Array) -> Array:
    if name.startswith("glorot"):
        return 2 / (rows + columns)
    return (2 if name.startswith("he") else 1) / rows


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


def _orthogonal(net: Architecture, draws: _Draws, true: list[tuple[ArrayLike, ArrayLike]]) -> list[Array]:
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
        matrix = jnp.where(_inside(matrix.shape, long[layer], short[layer]), matrix, 0)  # type: ignore[arg-type]
        q, r = jnp.linalg.qr(matrix)
        diagonal = jnp.diagonal(r)
        q = q * jnp.where(diagonal < 0, -1, 1)
        square = jnp.zeros((sides[layer], sides[layer]), q.dtype).at[:, : q.shape[1]].set(q)
        kernels.append(jnp.where(talls[layer], square, square.T)[: shape[0], : shape[1]])
    return kernels

"""The network: a Flax MLP whose layers may be wider than the network they hold.

`widths` are the padded, static widths of a program; the true ones may be smaller and traced. Padded units output
0 and get gradient 0, so that they change nothing. Parameters are a dict of Flax layers by name: `hidden_0`,
`norm_0`, ..., `output`, each with Flax's own names inside.
"""

import functools
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxsweep.network import randomness
from jaxsweep.network.activations import Activation, activation
from jaxsweep.network.late import nn
from jaxsweep.spec.hyperparameters import layer_names
from jaxsweep.spec.own import Own

Params = dict[str, dict[str, Array]]

NORM_MOMENTUM = 0.9  # of batch norm's running statistics; Flax's 0.99 is too slow for trainings of a few epochs
NORM_EPSILON = 1e-5


class Architecture(NamedTuple):
    """What of a network is static: shapes, and which pieces of code a program holds."""

    features: int
    widths: tuple[int, ...]
    outputs: int
    padded: bool  # whether true widths may be smaller than `widths`
    activations: tuple[str, ...]
    norms: tuple[str, ...]
    inits: tuple[str, ...]
    platform: str = "cpu"  # of the device that it is compiled for: the same numbers, written as is fast there
    # Whether whole trainings are differentiated: the same numbers to rounding, written without derivatives of our own,
    # which JAX cannot differentiate forwards, and with finite ones where a root is of 0.
    differentiated: bool = False
    # Whether networks may have fewer hidden layers than these: what comes out of their last one passes the others by.
    shallower: bool = False

    @property
    def layers(self) -> tuple[str, ...]:
        """Return the names of the layers that have kernels, first to last."""
        return tuple(layer_names(len(self.widths)))

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
    depth: Array | None = None  # int32 [], true number of hidden layers, where it may be smaller ...
    deepest: Array | None = None  # ... and the largest of a tile's networks, the same for all, if that is known


def select(index: Array, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Return branches[index](*operands); a single branch needs no switch."""
    if len(branches) == 1:
        return branches[0](*operands)
    return jax.lax.switch(index, branches, *operands)


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
        further = net.shallower and layer > 0
        # One condition for all networks of a tile: products of layers that none of them has are not computed.
        runs = layer < mode.deepest if further and mode.deepest is not None else None
        through, new = _hidden(net, mode, params, stats, x, rows, dropout_key, layer, runs)
        if further:
            assert mode.depth is not None
            through = jnp.where(layer < mode.depth, through, _wide(x, width))
        x, new_stats = through, new_stats | new
    return _dense(net, net.outputs, params["output"], x), new_stats


def _wide(x: Array, width: int) -> Array:
    """Return what a layer gave, [batch, units], as [batch, width]; units that are cut off are padding."""
    if x.shape[1] >= width:
        return x[:, :width]
    return jnp.pad(x, ((0, 0), (0, width - x.shape[1])))


def _hidden(
    net: Architecture, mode: Mode, params: Params, stats: Params, x: Array, rows: Array | None,
    dropout_key: Array | None, layer: int, runs: Array | None,
) -> tuple[Array, Params]:  # fmt: skip
    """Return what a hidden layer makes of x, [batch, width], and its new running statistics.

    Its product with the kernel is 0 unless it `runs`.
    """
    width, new_stats = net.widths[layer], Params()
    units = None if mode.widths is None else jnp.arange(width) < mode.widths[layer]  # [width]
    x = _dense(net, width, _dense_params(net, mode, params[f"hidden_{layer}"]), x, runs)
    if net.normalized:
        name = f"norm_{layer}"
        x, new_stats[name] = _normalize(net, mode, params[name], stats[name], x, rows, units)
    if units is not None and any(isinstance(name, Own) for name in net.activations):
        # Of a function that is not ours nobody knows a value at which it and its derivative are finite: its padding
        # sees what unit 0 does.
        x = jnp.where(units, x, jax.lax.stop_gradient(x[:, :1]))
    x = activate(net, mode, x)
    if units is not None:
        x = jnp.where(units, x, 0)  # select, not multiply: 0 * inf is NaN
    if mode.dropout is not None and dropout_key is not None:
        mask = randomness.keep(randomness.stream(dropout_key, layer + 1), x.shape, mode.dropout)
        x = jnp.where(mask, x * (1 / (1 - mode.dropout)), 0)
    return x, new_stats


def _dense(net: Architecture, width: int, params: dict[str, Array], x: Array, runs: Array | None = None) -> Array:
    y: Any = nn.Dense(width, dot_general=_dot_general(net, runs)).apply({"params": params}, x)
    return y


def _dot_general(net: Architecture, runs: Array | None) -> Callable[..., Array]:
    """Return x @ kernel, as Flax's Dense asks for it, with a derivative in the kernel's own layout."""
    if net.differentiated:
        return lambda x, kernel, dimensions, **_: x @ kernel
    if runs is not None:
        return lambda x, kernel, dimensions, **_: _matmul_if(net.platform, runs, x, kernel)
    return lambda x, kernel, dimensions, **_: _matmul(net.platform, x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _matmul(platform: str, x: Array, kernel: Array) -> Array:
    return x @ kernel


def _matmul_back(platform: str, kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = kept
    if platform != "cpu":
        return gradient @ kernel.T, x.T @ gradient
    return _input_gradient(kernel, gradient), _kernel_gradient(x, gradient)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _matmul_if(platform: str, runs: Array, x: Array, kernel: Array) -> Array:
    """Return x @ kernel, or 0 unless `runs`.

    The derivative has a condition of its own: one that JAX makes would copy the kernel out of the first one.
    """
    nothing = jnp.zeros((x.shape[0], kernel.shape[1]), x.dtype)
    return jax.lax.cond(runs, lambda x, kernel: x @ kernel, lambda x, kernel: nothing, x, kernel)


def _matmul_if_back(platform: str, kept: tuple[Array, Array, Array], gradient: Array) -> tuple[None, Array, Array]:
    runs, x, kernel = kept
    back = lambda x, kernel, gradient: _matmul_back(platform, (x, kernel), gradient)  # noqa: E731
    nothing = lambda x, kernel, gradient: (jnp.zeros_like(x), jnp.zeros_like(kernel))  # noqa: E731
    return None, *jax.lax.cond(runs, back, nothing, x, kernel, gradient)


_matmul_if.defvjp(
    lambda platform, runs, x, kernel: (_matmul_if(platform, runs, x, kernel), (runs, x, kernel)), _matmul_if_back
)


def _input_gradient(kernel: Array, gradient: Array) -> Array:
    """Return gradient @ kernel.T, [batch, inputs], without a transposed copy of a kernel larger than the batch."""
    (inputs, outputs), batch = kernel.shape, gradient.shape[0]
    if inputs * outputs <= batch * (inputs + outputs):
        return gradient @ kernel.T
    fixed = jax.lax.optimization_barrier  # or XLA would fold the transposition into the product
    return fixed(kernel @ fixed(gradient.T)).T


def _kernel_gradient(x: Array, gradient: Array) -> Array:
    """Return x.T @ gradient, [inputs, outputs], for x [batch, inputs] and gradient [batch, outputs].

    JAX's own derivative would give the transpose of this, transposed again, and XLA would fuse that transposition into
    every pass of the optimizer: strided reads, several times slower for wide layers. On a CPU, XLA's fast kernels want
    the summed axis last on the left, so the cheaper of the two sides is transposed for them beforehand.
    """
    fixed = jax.lax.optimization_barrier  # or XLA would fold the transposition into the product
    (batch, inputs), outputs = x.shape, gradient.shape[1]
    if outputs * (batch + inputs) < batch * inputs:
        return fixed(fixed(gradient.T) @ x).T
    return fixed(x.T) @ gradient


_matmul.defvjp(lambda platform, x, kernel: (x @ kernel, (x, kernel)), _matmul_back)


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
    chosen, slope = [activation(name) for name in net.activations], jnp.asarray(mode.negative_slope, z.dtype)
    if net.differentiated:
        y: Array = select(mode.activation, [row.value for row in chosen], z, slope)
        return y
    again = net.platform != "cpu" and len(chosen) > 1
    return _activation(chosen, mode.activation, slope, z, again)


def _activation(chosen: list[Activation], index: Array, slope: Array, z: Array, again: bool) -> Array:
    """Return chosen[index](z) with a derivative that keeps z and the value alone, and multiplies.

    Differentiating a `switch` keeps what any branch needs, as zeros for the others; so the backward pass switches
    again. And where a derivative is a choice, as of relu, the gradient is multiplied by it: LLVM makes a masked store
    of a choice in place, which is slow on some processors.

    With `again` it keeps z alone, and computes anew what several activations need: on an accelerator that takes less
    time than to read it.
    """
    values = [activation.value for activation in chosen]
    derivatives = [functools.partial(_times, each, again) for each in chosen]

    @jax.custom_vjp
    def apply(index: Array, slope: Array, z: Array) -> Array:
        return select(index, values, z, slope)

    def go(index: Array, slope: Array, z: Array) -> tuple[Array, tuple[Array, Array, Array, Array]]:
        y = apply(index, slope, z)
        # The barrier keeps XLA from finding that the value has been computed before, and from keeping its parts.
        return y, (index, slope, *((jax.lax.optimization_barrier(z), z) if again else (z, y)))

    def back(kept: tuple[Array, Array, Array, Array], gradient: Array) -> tuple[None, Array, Array]:
        index, slope, z, y = kept
        return None, jnp.zeros_like(slope), select(index, derivatives, z, y, slope, gradient)

    apply.defvjp(go, back)
    return apply(index, slope, z)


def _times(chosen: Activation, again: bool, z: Array, y: Array, slope: Array, gradient: Array) -> Array:
    """Return a gradient times the derivative of an activation, whose value is y, or computed `again`."""
    return gradient * chosen.derivative(z, chosen.value(z, slope) if again else y, slope)


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
        used, new = stats, stats
        if rows is not None:
            counted = rows[:, None]
            mean = jnp.mean(x, axis=0, where=counted)
            own = {"mean": mean, "var": jnp.mean(jnp.square(x - mean), axis=0, where=counted)}
            # One row has no variance: it is normalized as in use, and teaches the running statistics nothing.
            alone = rows.sum() == 1
            used = {name: jnp.where(alone, stats[name], own[name]) for name in own}
            moved = {name: NORM_MOMENTUM * stats[name] + (1 - NORM_MOMENTUM) * own[name] for name in own}
            new = {name: jnp.where(alone, stats[name], moved[name]) for name in own}
        norm = nn.BatchNorm(use_running_average=True, epsilon=NORM_EPSILON)
        y: Any = norm.apply({"params": params, "batch_stats": used}, x)
        return y, new

    table = {"none": none, "layer": layer, "batch": batch}
    return select(mode.norm, [table[name] for name in net.norms], x)


def true_shapes(
    net: Architecture, widths: Array | None, depth: Array | None = None
) -> list[tuple[ArrayLike, ArrayLike]]:
    """Return the true shape of each kernel, (0, 0) of layers that a network does not have.

    `widths` is int32 [depth], or None where nothing is padded; `depth` is int32 [] where networks may be shallower,
    with the width of their last hidden layer also for those that they do not have.
    """
    hidden = list(net.widths) if widths is None else [widths[layer] for layer in range(len(net.widths))]
    sizes: list[ArrayLike] = [net.features, *hidden, net.outputs]
    shapes = list(pairwise(sizes))
    if depth is not None:
        for layer in range(1, len(hidden)):
            rows, columns = shapes[layer]
            shapes[layer] = jnp.where(layer < depth, rows, 0), jnp.where(layer < depth, columns, 0)
    return shapes


def inside(shape: tuple[int, int], rows: ArrayLike, columns: ArrayLike) -> Array:
    """Return which elements of a padded array are inside its true shape, bool `shape`."""
    return (jnp.arange(shape[0]) < rows)[:, None] & (jnp.arange(shape[1]) < columns)[None, :]


def true_kernels(net: Architecture, widths: Array | None, params: Params, depth: Array | None = None) -> list[Array]:
    """Return every kernel with its padding as constant zeros, which get no gradient."""
    kernels = [params[name]["kernel"] for name in net.layers]
    if widths is None and depth is None:
        return kernels
    shapes = zip(kernels, net.shapes, true_shapes(net, widths, depth), strict=True)
    return [jnp.where(inside(shape, *true), kernel, 0) for kernel, shape, true in shapes]

"""The activations: one row each, with its code, its derivative, Flax's own function, and NumPy's form. No JAX.

An activation is elementwise, and finite where its input is; that of 0 need not be 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxsweep.network.late import jax, jnp, nn
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.own import Own

if TYPE_CHECKING:
    from jax import Array
    from jax.typing import ArrayLike

Floats = NDArray[np.float64]


class Activation(NamedTuple):
    """An activation of z; `slope` is the hyperparameter negative_slope."""

    value: Callable[[Array, ArrayLike], Array]  # (z, slope)
    derivative: Callable[[Array, Array, ArrayLike], Array]  # (z, value(z), slope): from the value, if that is cheaper
    reference: Callable[[Config], Callable[[Array], Array]]  # what the plain reference applies
    numpy: Callable[[Floats, float], Floats]  # (z, slope), for prediction without JAX


def _gelu_derivative(z: Array, y: Array, slope: ArrayLike) -> Array:
    return jax.jvp(nn.gelu, (z,), (jnp.ones_like(z),))[1]


def _silu_derivative(z: Array, y: Array, slope: ArrayLike) -> Array:
    share = nn.sigmoid(z)
    return share + y * (1 - share)


def _sigmoid(z: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(0.5 * z))  # 1 / (1 + exp(-z)) would overflow


ACTIVATIONS = {
    "relu": Activation(
        lambda z, slope: nn.relu(z),
        lambda z, y, slope: jnp.where(y > 0, 1.0, 0.0).astype(z.dtype),
        lambda config: nn.relu,
        lambda z, slope: np.maximum(z, 0),
    ),
    "leaky_relu": Activation(
        lambda z, slope: jnp.where(z >= 0, z, slope * z),
        lambda z, y, slope: jnp.where(z >= 0, jnp.ones_like(z), slope),
        lambda config: lambda z: nn.leaky_relu(z, config["negative_slope"]),
        lambda z, slope: np.where(z >= 0, z, slope * z),
    ),
    "tanh": Activation(
        lambda z, slope: jnp.tanh(z),
        lambda z, y, slope: 1 - y * y,
        lambda config: nn.tanh,
        lambda z, slope: np.tanh(z),
    ),
    "sigmoid": Activation(
        lambda z, slope: nn.sigmoid(z),
        lambda z, y, slope: y * (1 - y),
        lambda config: nn.sigmoid,
        lambda z, slope: _sigmoid(z),
    ),
    "elu": Activation(
        lambda z, slope: nn.elu(z),
        lambda z, y, slope: jnp.where(z > 0, jnp.ones_like(z), y + 1),
        lambda config: nn.elu,
        lambda z, slope: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    ),
    "gelu": Activation(
        lambda z, slope: nn.gelu(z),
        _gelu_derivative,
        lambda config: nn.gelu,
        lambda z, slope: 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    ),
    "silu": Activation(
        lambda z, slope: nn.silu(z),
        _silu_derivative,
        lambda config: nn.silu,
        lambda z, slope: z * _sigmoid(z),
    ),
    "softplus": Activation(
        lambda z, slope: nn.softplus(z),
        lambda z, y, slope: nn.sigmoid(z),
        lambda config: nn.softplus,
        lambda z, slope: np.logaddexp(z, 0),
    ),
}


def activation(name: str) -> Activation:
    """Return the row of an activation; one of the user's own makes one, whose derivative is JAX's."""
    if not isinstance(name, Own):
        return ACTIVATIONS[name]
    own = name  # a local one, so that the functions below hold it and nothing else

    def derivative(z: Array, y: Array, slope: ArrayLike) -> Array:
        (slopes,) = jax.vjp(own, z)[1](jnp.ones_like(z))
        return slopes

    def in_float64(z: Floats, slope: float) -> Floats:
        with jax.enable_x64(True):
            return np.asarray(own(jnp.asarray(z)))

    return Activation(lambda z, slope: own(z), derivative, lambda config: own, in_float64)

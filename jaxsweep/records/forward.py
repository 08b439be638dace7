"""What a trained network computes, layer by layer: in NumPy and float64, or traced by JAX."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jaxsweep.network.activations import ACTIVATIONS
from jaxsweep.network.late import jnp
from jaxsweep.spec.hyperparameters import Config

Floats: TypeAlias = NDArray[np.float64]
Layers: TypeAlias = Mapping[str, Mapping[str, NDArray[Any]]]

NORM_EPSILON = 1e-5  # that of `network/mlp.py`, which cannot be imported without JAX; a test compares the two


def forward(config: Config, params: Layers, stats: Layers, x: Floats) -> Floats:
    """Return the outputs [rows, outputs] (logits, or standardized targets) for features [rows, features]."""
    return np.asarray(layers(config, params, stats, x)[-1])


def layers(config: Config, params: Layers, stats: Layers, x: Floats) -> list[Floats]:
    """Return what each hidden layer gives, [rows, width], and last the outputs, [rows, outputs]."""
    return _layers(config, params, stats, x, np, np.matmul, ACTIVATIONS[config["activation"]].numpy)


def traced(config: Config, params: Any, stats: Layers, x: Any) -> Any:
    """Return the outputs [..., outputs] for features [..., features] as a function of JAX, in JAX's own precision."""

    def matmul(a: Any, b: Any) -> Any:
        return jnp.matmul(a, b, precision="highest")  # of an accelerator, too

    x = jnp.asarray(x, jnp.result_type(float))
    return _layers(config, params, stats, x, jnp, matmul, ACTIVATIONS[config["activation"]].value)[-1]


def _layers(config: Config, params: Any, stats: Layers, x: Any, xp: Any, matmul: Any, activation: Any) -> list[Any]:
    """Return the outputs of all layers in the arithmetic of `xp`, NumPy or JAX, and the precision of `x`."""
    found = []
    for layer in range(sum(name.startswith("hidden_") for name in params)):
        dense = params[f"hidden_{layer}"]
        x = matmul(x, dense["kernel"].astype(x.dtype)) + dense["bias"]
        if config["norm"] != "none":
            norm = params[f"norm_{layer}"]
            running = stats[f"norm_{layer}"] if config["norm"] == "batch" else None
            mean = x.mean(axis=-1, keepdims=True) if running is None else running["mean"]
            var = x.var(axis=-1, keepdims=True) if running is None else running["var"].astype(x.dtype)
            x = (x - mean) / xp.sqrt(var + NORM_EPSILON) * norm["scale"] + norm["bias"]
        x = activation(x, config["negative_slope"])
        found.append(x)
    return [*found, matmul(x, params["output"]["kernel"].astype(x.dtype)) + params["output"]["bias"]]

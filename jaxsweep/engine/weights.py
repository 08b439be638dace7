"""Weights of lanes on their way from a tile to whoever keeps them."""

from collections.abc import Sequence
from typing import Any

import jax

from jaxsweep.engine.bank import taken
from jaxsweep.engine.outcome import Weights
from jaxsweep.network.mlp import Architecture
from jaxsweep.spec.hyperparameters import Config, layer_widths


def fetched(tree: Any, slots: Sequence[int], in_place: bool) -> list[Any]:
    """Return the part of each of some slots of a tree of arrays [tile, ...], as NumPy arrays of their own."""
    if not slots:
        return []
    leaves, structure = jax.tree.flatten(tree)
    parts = taken(leaves, slots, in_place)
    return [jax.tree.unflatten(structure, [part[i].copy() for part in parts]) for i in range(len(slots))]


def cut(weights: Weights, config: Config, net: Architecture) -> Weights:
    """Return a network's parameters and running statistics without their padding."""
    widths = layer_widths(config, net.outputs)
    sizes = (net.features, *widths, net.outputs)
    lacking = {f"{kind}_{layer}" for kind in ("hidden", "norm") for layer in range(len(widths), len(net.widths))}
    params, stats = ({name: arrays for name, arrays in part.items() if name not in lacking} for part in weights)
    for layer, name in enumerate(name for name in net.layers if name not in lacking):
        rows, columns = sizes[layer], sizes[layer + 1]
        params[name] = {"kernel": params[name]["kernel"][:rows, :columns], "bias": params[name]["bias"][:columns]}
        norm = f"norm_{layer}"
        if norm in params:
            if config["norm"] == "none":
                del params[norm], stats[norm]
                continue
            params[norm] = {key: value[:columns] for key, value in params[norm].items()}
            stats[norm] = {key: value[:columns] for key, value in stats[norm].items()}
            if config["norm"] == "layer":
                del stats[norm]
    return params, stats

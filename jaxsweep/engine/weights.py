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
    params, stats = ({**part} for part in weights)
    sizes = (net.features, *layer_widths(config, net.outputs), net.outputs)
    names = [*net.layers[: len(sizes) - 2], "output"]
    for layer in range(len(names) - 1, len(net.widths)):  # that the network does not have
        for name in (f"hidden_{layer}", f"norm_{layer}"):
            params.pop(name, None), stats.pop(name, None)
    for layer, name in enumerate(names):
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

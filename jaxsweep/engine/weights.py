"""Weights, and whole states, of lanes on their way between a tile and whoever keeps them."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from jaxsweep.engine.outcome import Weights
from jaxsweep.network.mlp import Architecture
from jaxsweep.spec.hyperparameters import Config, layer_widths

PICKED = 16  # lanes that are fetched together


@jax.jit
def _pick(tree: Any, slots: NDArray[np.int32]) -> Any:
    """Return what a tile holds of some slots: one program for all of it, whichever slots these are."""
    return jax.tree.map(lambda a: a[slots], tree)


def fetched(tree: Any, slots: Sequence[int], in_place: bool) -> list[Any]:
    """Return the part of each of some slots of a tree of arrays [tile, ...], as NumPy arrays of their own.

    On a CPU an array can be looked at `in_place`; elsewhere these slots' parts alone are fetched, some at a time.
    """
    if in_place:
        seen = jax.tree.map(np.asarray, tree)
        return [jax.tree.map(lambda a, slot=slot: np.array(a[slot]), seen) for slot in slots]
    picked: list[Any] = []
    for start in range(0, len(slots), PICKED):
        few = list(slots[start : start + PICKED])
        padded = np.array(few + few[:1] * (PICKED - len(few)), np.int32)
        block = jax.device_get(_pick(tree, padded))
        picked += [jax.tree.map(lambda a, i=i: np.array(a[i]), block) for i in range(len(few))]
    return picked


@jax.jit
def _put(tree: Any, parts: Any, slots: NDArray[np.int32]) -> Any:
    """Return a tree of arrays [tile, ...] with `parts` [PICKED, ...] in some slots; slots beyond its end are none."""
    return jax.tree.map(lambda a, part: a.at[slots].set(part, mode="drop"), tree, parts)


def placed(tree: Any, slots: Sequence[int], parts: Sequence[Any], in_place: bool) -> Any:
    """Return a tree of arrays [tile, ...] with `parts`, a tree for each of some slots, in these slots."""
    if in_place:

        def with_parts(whole: Any, *some: Any) -> Any:
            array = np.array(whole)
            for slot, part in zip(slots, some, strict=True):
                array[slot] = part
            return array

        return jax.tree.map(with_parts, tree, *parts)
    for start in range(0, len(slots), PICKED):
        few, some = list(slots[start : start + PICKED]), list(parts[start : start + PICKED])
        missing = PICKED - len(few)
        stacked = jax.tree.map(lambda *each: np.stack(each), *some, *some[:1] * missing)
        tree = _put(tree, stacked, np.array(few + [np.iinfo(np.int32).max] * missing, np.int32))
    return tree


def cut(weights: Weights, config: Config, net: Architecture) -> Weights:
    """Return a network's parameters and running statistics without their padding."""
    params, stats = ({**part} for part in weights)
    sizes = (net.features, *layer_widths(config, net.outputs), net.outputs)
    for layer, name in enumerate(net.layers):
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

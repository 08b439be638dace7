"""The optimizers, one row each: Optax's, driven by traced hyperparameters, and as the plain reference calls them.

An optimizer here is an Optax transformation that gives a direction; the learning rate, decoupled weight decay and
the application are the same for all. Its states, whatever Optax calls their fields, are kept in `Slots`: as many
trees shaped like the parameters as the hungriest optimizer of the program needs. So lanes with different optimizers
have the same state type, and a switch picks the code.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxsweep.network import inplace, sums
from jaxsweep.network.late import optax
from jaxsweep.network.mlp import Params, select
from jaxsweep.network.schedules import Hypers
from jaxsweep.spec.hyperparameters import Config

Slots = tuple[Params, ...]

ADAGRAD_START = 0.1  # Optax's initial accumulator
_ROOT = "root"  # in the hyperparameters of an optimizer: what is added below roots, see `apply`


def _sgd(h: Hypers) -> "optax.GradientTransformation":
    if "momentum" not in h:
        return optax.identity()
    plain = optax.trace(h["momentum"])
    if "nesterov" not in h:
        return plain

    def update(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        straight, new = plain.update(grads, state)
        nesterov, _ = plain.update(grads, new)  # Nesterov's momentum is the trace a step ahead
        return jax.tree.map(lambda a, b: jnp.where(h["nesterov"] > 0, b, a), straight, nesterov), new

    return optax.GradientTransformation(plain.init, update)


def _adam(h: Hypers) -> "optax.GradientTransformation":
    return optax.scale_by_adam(h["b1"], h["b2"], h["eps"], h.get(_ROOT, 0.0))


class Optimizer(NamedTuple):
    """A direction to go, without the learning rate and, unless it `decays`, without the weight decay."""

    traced: Callable[[Hypers], "optax.GradientTransformation"]  # state: trees like the parameters, and step counts
    reference: Callable[[Config], "optax.GradientTransformation"]  # what the plain reference calls
    decays: bool = False  # whether the direction holds the weight decay already


OPTIMIZERS = {
    "sgd": Optimizer(_sgd, lambda c: optax.trace(c["momentum"], c["nesterov"])),
    "adam": Optimizer(_adam, lambda c: optax.scale_by_adam(c["b1"], c["b2"], c["eps"])),
    "adamw": Optimizer(_adam, lambda c: optax.scale_by_adam(c["b1"], c["b2"], c["eps"])),
    "nadam": Optimizer(
        lambda h: optax.scale_by_adam(h["b1"], h["b2"], h["eps"], h.get(_ROOT, 0.0), nesterov=True),
        lambda c: optax.scale_by_adam(c["b1"], c["b2"], c["eps"], nesterov=True),
    ),
    "rmsprop": Optimizer(
        lambda h: optax.scale_by_rms(h["rms_decay"], h["eps"]),
        lambda c: optax.scale_by_rms(c["rms_decay"], c["eps"]),
    ),
    "adagrad": Optimizer(
        lambda h: optax.scale_by_rss(ADAGRAD_START, h["eps"]),
        lambda c: optax.scale_by_rss(ADAGRAD_START, c["eps"]),
    ),
    "adadelta": Optimizer(
        lambda h: optax.scale_by_adadelta(h["rms_decay"], h["eps"]),
        lambda c: optax.scale_by_adadelta(c["rms_decay"], c["eps"]),
    ),
    "lion": Optimizer(
        lambda h: optax.scale_by_lion(h["b1"], h["b2"]),
        lambda c: optax.scale_by_lion(c["b1"], c["b2"]),
    ),
    "lamb": Optimizer(
        lambda h: optax.chain(_adam(h), _decay(h), optax.scale_by_trust_ratio(eps=h.get(_ROOT, 0.0) ** 0.4)),
        lambda c: optax.chain(
            optax.scale_by_adam(c["b1"], c["b2"], c["eps"]), kernel_decay(c), optax.scale_by_trust_ratio()
        ),
        decays=True,
    ),
}


def kernel_decay(config: Config) -> "optax.GradientTransformation":
    """Return Optax's own weight decay of the kernels alone, for the plain reference."""
    return optax.add_decayed_weights(
        config["weight_decay"],
        mask=lambda params: jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params),
    )


def _decay(h: Hypers) -> "optax.GradientTransformation":
    """Return the addition of decayed kernels to the direction."""
    if "weight_decay" not in h:
        return optax.identity()

    def update(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return jax.tree_util.tree_map_with_path(lambda path, d, p: _decayed(path, p, d, h), grads, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _is_tree(node: Any) -> bool:
    return isinstance(node, dict)  # parameters are a dict; every other node of an Optax state is a tuple or a count


def _pack(state: Any) -> tuple[Slots, Any]:
    """Return the parameter-shaped parts of an Optax state, and what rebuilds it around them."""
    leaves, structure = jax.tree.flatten(state, is_leaf=_is_tree)
    return tuple(leaf for leaf in leaves if _is_tree(leaf)), (leaves, structure)


def _unpack(slots: Slots, skeleton: Any, count: Array) -> Any:
    leaves, structure = skeleton
    trees = iter(slots)
    return jax.tree.unflatten(structure, [next(trees) if _is_tree(leaf) else count for leaf in leaves])


def initial_slots(names: tuple[str, ...], index: Array, h: Hypers, params: Params) -> Slots:
    """Return the state before the first step of optimizer names[index], in the slots that all of `names` need."""
    packed = [_pack(OPTIMIZERS[name].traced(h).init(params))[0] for name in names]
    most = max(len(slots) for slots in packed)
    zeros = jax.tree.map(jnp.zeros_like, params)
    branches = [lambda _, slots=slots: slots + (zeros,) * (most - len(slots)) for slots in packed]
    result: Slots = select(index, branches, 0)
    return result


class Layer(NamedTuple):
    """What is special about the updates of one layer; None is nothing."""

    trains: Array | None = None  # bool [], whether it changes at all
    kernel: Array | None = None  # float [], factor of the learning rate of its kernel, and not of its weight decay ...
    vector: Array | None = None  # ... and of its bias and the normalization behind it


class Update(NamedTuple):
    """What one optimizer step needs beside gradients and state."""

    learning_rate: Array  # []
    step: Array  # int32 [], steps done before this one
    active: Array  # bool [], whether the lane trains in this step; if not, nothing changes
    layers: dict[str, Layer] | None = None  # by the names of those that have kernels; None: nothing is special

    def layer(self, path: Any) -> Layer:
        """Return that of a parameter, by its path; a normalization belongs to the layer before it."""
        if self.layers is None:
            return Layer()
        return self.layers[path[0].key.replace("norm_", "hidden_")]

    def scaled(self, path: Any, direction: Array) -> Array:
        """Return a parameter's direction times its layer's factor."""
        layer = self.layer(path)
        factor = layer.kernel if path[-1].key == "kernel" else layer.vector
        return direction if factor is None else factor * direction

    def kept(self, path: Any, gradient: Array) -> Array:
        """Return a parameter's gradient, 0 where its layer does not train."""
        trains = self.layer(path).trains
        return gradient if trains is None else jnp.where(trains, gradient, 0)


def apply(
    names: tuple[str, ...], index: Array, h: Hypers, now: Update, grads: Params, slots: Slots, params: Params,
    platform: str = "cpu", least: float | None = None, by_lane: bool = False, deepest: Array | None = None,
) -> tuple[Params, Slots]:  # fmt: skip
    """Return the parameters and slots after one step of optimizer names[index], written as is fast on a platform.

    With `least`, the smallest normal number, the step can itself be differentiated: it is added below roots that may be
    of 0, where they have no derivative, as of parameters that have never had a gradient. (A power of it, whose square
    has a reciprocal, is added to lamb's norm of a direction.) `by_lane` says that lanes of a tile have different ones:
    of each array what all of them would make is computed in one pass, and one is picked. Of hidden layers from number
    `deepest` on nothing changes, since no network of a tile has them.
    """
    if least is not None:
        h, platform = {**h, _ROOT: jnp.asarray(least)}, ""
    if now.layers is not None:
        grads = jax.tree_util.tree_map_with_path(now.kept, grads)
    if "clip_norm" in h:
        bound = h["clip_norm"]
        add = sums.total if platform == "cpu" else sums.plain
        norm = jnp.sqrt(sum(add(sums.squared, g) for g in jax.tree.leaves(grads)) + (least or 0.0))
        clipped = (bound > 0) & (norm >= bound)  # 0 is off, also where the norm overflows
        grads = jax.tree.map(lambda g: jnp.where(clipped, g / norm * bound, g), grads)

    if platform == "cpu":  # no parameters change before the whole backward pass has read them, see `_step`
        now = now._replace(active=now.active & _after(grads[_first(grads)]["kernel"]))

    def stepping(some: tuple[str, ...]) -> Callable[[Params, Slots, Params], tuple[Params, Slots]]:
        step: _Stepping = lambda grads, slots, params: _step(some, index, h, now, grads, slots, params, platform)  # noqa: E731
        return step if deepest is None else functools.partial(_by_layer, step, deepest)

    if by_lane:
        return stepping(names)(grads, slots, params)
    result: tuple[Params, Slots] = select(index, [stepping((name,)) for name in names], grads, slots, params)
    return result


_Stepping = Callable[[Params, Slots, Params], tuple[Params, Slots]]


def _by_layer(step: _Stepping, deepest: Array, grads: Params, slots: Slots, params: Params) -> tuple[Params, Slots]:
    """Take a step, with a condition for each hidden layer that networks need not have."""
    further = [layer for layer in range(1, len(params)) if f"hidden_{layer}" in params]
    parts = [(layer, [f"hidden_{layer}", f"norm_{layer}"]) for layer in further]
    taken = {name for _, names in parts for name in names}
    parts = [(0, [name for name in params if name not in taken]), *parts]
    moved: Params = {}
    kept: list[Params] = [{} for _ in slots]
    for layer, names in parts:
        own = [{name: tree[name] for name in names if name in tree} for tree in (grads, *slots, params)]
        arguments = (own[0], tuple(own[1:-1]), own[-1])
        if layer == 0:
            new, news = step(*arguments)
        else:
            new, news = jax.lax.cond(layer < deepest, step, lambda _, slots, params: (params, slots), *arguments)
        moved |= new
        for tree, part in zip(kept, news, strict=True):
            tree |= part
    return {name: moved[name] for name in params}, tuple({name: tree[name] for name in params} for tree in kept)


def _step(
    names: tuple[str, ...], index: Array, h: Hypers, now: Update, grads: Params, slots: Slots, params: Params,
    platform: str,
) -> tuple[Params, Slots]:  # fmt: skip
    """Return the parameters and slots after one step of optimizer names[index]; of a single name whatever the index."""
    transformations = [OPTIMIZERS[name].traced(h) for name in names]
    packed = [_pack(jax.eval_shape(each.init, params)) for each in transformations]
    used = max(len(own) for own, _ in packed)
    old, structure = jax.tree.flatten(slots[:used])

    def updating(number: int) -> inplace.Slotwise:
        own, skeleton = packed[number]

        def update(old: list[Array]) -> tuple[list[Array], list[Array]]:
            state = _unpack(jax.tree.unflatten(structure, old)[: len(own)], skeleton, now.step)
            direction, state = transformations[number].update(grads, state, params)
            return jax.tree.leaves(direction), jax.tree.leaves(_pack(state)[0])

        return update

    def pick(values: Sequence[Array]) -> Array:
        chosen = values[0]
        for number, value in enumerate(values[1:], 1):
            chosen = jnp.where(index == number, value, chosen)
        return chosen

    def move(params: Params, directions: Sequence[list[Array]], where: Array) -> Params:
        paths, tree = jax.tree_util.tree_flatten_with_path(params)
        decayed = [
            jax.tree.leaves(
                jax.tree_util.tree_map_with_path(
                    lambda path, p, d, name=name: _decayed(
                        path, p, now.scaled(path, d), {} if OPTIMIZERS[name].decays else h
                    ),
                    params,
                    jax.tree.unflatten(tree, direction),
                )
            )
            for name, direction in zip(names, directions, strict=True)
        ]
        moved = [
            jnp.where(_both(where, now.layer(path).trains), p - now.learning_rate * pick(several), p)
            for (path, p), *several in zip(paths, *decayed, strict=True)
        ]
        result: Params = jax.tree.unflatten(tree, moved)
        return result

    updates = [updating(number) for number in range(len(names))]
    if platform != "cpu":  # fuses all of it, and an order of its writes would only keep it from that
        directions, news = zip(*(update(old) for update in updates), strict=True)
        several = itertools.zip_longest(*news)
        found = [pick([old[i] if new is None else new for new in each]) for i, each in enumerate(several)]
        kept = [jnp.where(now.active, after, before) for after, before in zip(found, old, strict=True)]
        return move(params, directions, now.active), (*jax.tree.unflatten(structure, kept), *slots[used:])

    # Parameters change once the whole backward pass has read them (`now.active` is known then), and slots that
    # parameters do not read back once the new parameters have read the old ones. Only with this order made explicit
    # does XLA write every array in place; without it, it copies all of them in every step.
    staged = inplace.staged(updates, old, lambda new, old: jnp.where(now.active, new, old), pick)
    moved = move(params, staged.directions, now.active)
    waits = jax.lax.optimization_barrier([now.active & _after(p) for p in jax.tree.leaves(moved)])
    kept = [
        after if first else jnp.where(waits[i % len(waits)], after, before)
        for i, (after, before, first) in enumerate(zip(staged.slots, old, staged.early, strict=True))
    ]
    return moved, (*jax.tree.unflatten(structure, kept), *slots[used:])


def _both(where: Array, trains: Array | None) -> Array:
    return where if trains is None else where & trains


def _first(params: Params) -> str:
    return "hidden_0" if "hidden_0" in params else "output"


def _after(array: Array) -> Array:
    """Return true, but not before `array` is known: a data dependency that costs nothing and decides nothing."""
    number = array.ravel()[0]
    return (number == number) | (number != number)


def _decayed(path: Any, param: Array, direction: Array, h: Hypers) -> Array:
    if "weight_decay" in h and path[-1].key == "kernel":
        return direction + h["weight_decay"] * param
    return direction

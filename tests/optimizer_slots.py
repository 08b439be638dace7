"""An update of each optimizer as a function of its slots alone."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxsweep.network.optimizers import OPTIMIZERS

Slots = list[jax.Array]

HYPERS = {"momentum": 0.9, "nesterov": 0.0, "b1": 0.9, "b2": 0.99, "eps": 1e-8, "rms_decay": 0.95}
KERNEL = {"kernel": jnp.array([[0.5, -1.0, 2.0], [0.1, 0.2, -0.3]])}
GRADIENT = {"kernel": jnp.array([[0.3, 0.1, -0.2], [1.5, -0.7, 0.0]])}

# Which slots the direction needs through their successors alone, in Optax's order, of the optimizers of which somebody
# has worked it out by hand.
EARLY = {
    "sgd": [True],
    "adam": [True, True],
    "adamw": [True, True],
    "nadam": [True, True],
    "rmsprop": [True],
    "adagrad": [True],
    "adadelta": [True, False],  # the step follows from earlier steps, and is then added to their mean
    "lion": [False],  # the direction mixes gradient and momentum in another proportion than the new momentum
    "lamb": [True, True],
}


def is_slot(leaf: jax.Array) -> bool:
    return leaf.shape == KERNEL["kernel"].shape


def updates(name: str) -> tuple[Callable[[Slots], tuple[Slots, Slots]], Slots]:
    """Return the optimizer's update as a function of its slots alone, and slots that have seen one step."""
    transformation = OPTIMIZERS[name].traced({key: jnp.asarray(value) for key, value in HYPERS.items()})
    _, state = transformation.update(GRADIENT, transformation.init(KERNEL), KERNEL)
    leaves, structure = jax.tree.flatten(state)
    slots = [leaf for leaf in leaves if is_slot(leaf)]

    def update(old: Slots) -> tuple[Slots, Slots]:
        given = iter(old)
        state = jax.tree.unflatten(structure, [next(given) if is_slot(leaf) else leaf for leaf in leaves])
        direction, new = transformation.update(GRADIENT, state, KERNEL)
        return jax.tree.leaves(direction), [leaf for leaf in jax.tree.leaves(new) if is_slot(leaf)]

    return update, slots

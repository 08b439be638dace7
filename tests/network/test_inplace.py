"""Optimizer updates, evaluated slot by slot."""

import jax
import jax.numpy as jnp
import pytest

from jaxsweep.network import inplace
from jaxsweep.network.optimizers import OPTIMIZERS

HYPERS = {"momentum": 0.9, "nesterov": 0.0, "b1": 0.9, "b2": 0.99, "eps": 1e-8, "rms_decay": 0.95}
KERNEL = {"kernel": jnp.array([[0.5, -1.0, 2.0], [0.1, 0.2, -0.3]])}
GRADIENT = {"kernel": jnp.array([[0.3, 0.1, -0.2], [1.5, -0.7, 0.0]])}

# Which slots the direction needs through their successors alone, in Optax's order.
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


def updates(name: str):
    """Return the optimizer's update as a function of its slots alone, and slots that have seen one step."""
    transformation = OPTIMIZERS[name]({key: jnp.asarray(value) for key, value in HYPERS.items()})
    _, state = transformation.update(GRADIENT, transformation.init(KERNEL), KERNEL)
    leaves, structure = jax.tree.flatten(state)
    slots = [leaf for leaf in leaves if is_slot(leaf)]

    def update(old: list[jax.Array]) -> tuple[list[jax.Array], list[jax.Array]]:
        given = iter(old)
        state = jax.tree.unflatten(structure, [next(given) if is_slot(leaf) else leaf for leaf in leaves])
        direction, new = transformation.update(GRADIENT, state, KERNEL)
        return jax.tree.leaves(direction), [leaf for leaf in jax.tree.leaves(new) if is_slot(leaf)]

    return update, slots


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_gives_what_it_gives_in_one_go(name: str) -> None:
    update, slots = updates(name)
    directions, new, early = jax.jit(lambda old: inplace.staged(update, old, lambda new, _: new))(slots)
    expected_directions, expected_new = jax.jit(update)(slots)
    for got, expected in zip([*directions, *new], [*expected_directions, *expected_new], strict=True):
        assert jnp.allclose(got, expected, rtol=1e-6, atol=0)
    assert [bool(first) for first in early] == EARLY[name]


def test_directions_follow_from_the_slots_that_are_kept() -> None:
    update, slots = updates("adam")
    directions, new, _ = inplace.staged(update, slots, lambda _, old: old)
    assert all(jnp.array_equal(kept, old) for kept, old in zip(new, slots, strict=True))
    moved, _, _ = inplace.staged(update, slots, lambda new, _: new)
    assert not jnp.allclose(directions[0], moved[0])


def test_a_slot_that_the_update_hands_back_or_sets_anew_is_not_early() -> None:
    old = [jnp.ones(2), jnp.ones(2)]
    directions, new, early = inplace.staged(lambda old: ([old[0] * 2], [old[0], jnp.zeros(2)]), old, lambda new, _: new)
    assert early[0] is False
    assert jnp.array_equal(directions[0], jnp.full(2, 2.0))
    assert jnp.array_equal(new[0], old[0])
    assert jnp.array_equal(new[1], jnp.zeros(2))

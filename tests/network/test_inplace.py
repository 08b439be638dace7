"""Optimizer updates, evaluated slot by slot."""

import jax
import jax.numpy as jnp
import pytest
from optimizer_slots import EARLY, updates

from jaxsweep.network import inplace
from jaxsweep.network.optimizers import OPTIMIZERS


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_gives_what_it_gives_in_one_go(name: str) -> None:
    update, slots = updates(name)
    (directions,), new, early = jax.jit(lambda old: inplace.staged([update], old, lambda new, _: new))(slots)
    expected_directions, expected_new = jax.jit(update)(slots)
    for got, expected in zip([*directions, *new], [*expected_directions, *expected_new], strict=True):
        assert jnp.allclose(got, expected, rtol=1e-6, atol=0)
    early = [bool(first) for first in early]
    assert early == EARLY.get(name, early)


def test_directions_follow_from_the_slots_that_are_kept() -> None:
    update, slots = updates("adam")
    (directions,), new, _ = inplace.staged([update], slots, lambda _, old: old)
    assert all(jnp.array_equal(kept, old) for kept, old in zip(new, slots, strict=True))
    (moved,), _, _ = inplace.staged([update], slots, lambda new, _: new)
    assert not jnp.allclose(directions[0], moved[0])


def test_a_slot_that_the_update_hands_back_or_sets_anew_is_not_early() -> None:
    old = [jnp.ones(2), jnp.ones(2)]
    update = lambda old: ([old[0] * 2], [old[0], jnp.zeros(2)])  # noqa: E731
    (directions,), new, early = inplace.staged([update], old, lambda new, _: new)
    assert early[0] is False
    assert jnp.array_equal(directions[0], jnp.full(2, 2.0))
    assert jnp.array_equal(new[0], old[0])
    assert jnp.array_equal(new[1], jnp.zeros(2))

"""Quality of the counter-based draws: uniform, and independent between lanes, steps, layers, rows and units."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jaxsweep.network import randomness
from jaxsweep.network.randomness import Stream, lane_key, stream
from jaxsweep.network.train import mixup_share

SIGNIFICANT = 1e-6  # of a fixed draw: a failure is no bad luck


def _uniforms(key: jax.Array, *words: int) -> np.ndarray:
    return np.asarray(randomness.uniform(stream(key, *words), (64, 64)))


@given(st.integers(0, 2**63 - 1), st.lists(st.tuples(*[st.integers(0, 2**32 - 1)] * 3), max_size=5))
def test_the_hosts_keys_are_those_of_jax(seed: int, lanes: list[tuple[int, int, int]]) -> None:
    ids = np.array(lanes, np.uint64).reshape(-1, 3).T
    expected = [np.asarray(lane_key(seed, *map(np.uint32, each))) for each in lanes]
    np.testing.assert_array_equal(randomness.lane_keys(seed, *ids), np.array(expected, np.uint32).reshape(-1, 2))


def test_uniform_numbers_are_uniform() -> None:
    draws = np.concatenate([_uniforms(lane_key(0, lane, 0, 0), Stream.DROPOUT, 3).ravel() for lane in range(30)])
    assert stats.kstest(draws, "uniform").pvalue > SIGNIFICANT
    assert draws.min() > 0
    assert draws.max() < 1
    bits = np.asarray(randomness.bits(stream(lane_key(0, 1, 0, 0), 1), (256, 256))).ravel()
    ones = ((bits[:, None] >> np.arange(32, dtype=np.uint32)) & 1).mean(axis=0)
    np.testing.assert_allclose(ones, 0.5, atol=5 * 0.5 / 256)


def test_normal_numbers_are_normal() -> None:
    draws = np.asarray(randomness.normal(stream(lane_key(0, 1, 0, 0), Stream.NOISE, 7), (300, 300))).ravel()
    assert stats.kstest(draws, "norm").pvalue > SIGNIFICANT


NEIGHBOURS: dict[str, Callable[[int], np.ndarray]] = {
    "seeds": lambda i: _uniforms(lane_key(i, 0, 0, 0), Stream.DROPOUT, 0, 1),
    "trials": lambda i: _uniforms(lane_key(0, i, 0, 0), Stream.DROPOUT, 0, 1),
    "replicates": lambda i: _uniforms(lane_key(0, 0, i, 0), Stream.DROPOUT, 0, 1),
    "folds": lambda i: _uniforms(lane_key(0, 0, 0, i), Stream.DROPOUT, 0, 1),
    "streams": lambda i: _uniforms(lane_key(0, 0, 0, 0), i + 1, 0, 1),
    "steps": lambda i: _uniforms(lane_key(0, 0, 0, 0), Stream.DROPOUT, i, 1),
    "layers": lambda i: _uniforms(lane_key(0, 0, 0, 0), Stream.DROPOUT, 0, i),
    "rows": lambda i: np.asarray(randomness.uniform(stream(lane_key(0, 0, 0, 0), 1), (40, 4096)))[i],
    "units": lambda i: np.asarray(randomness.uniform(stream(lane_key(0, 0, 0, 0), 1), (4096, 40)))[:, i],
}


@pytest.mark.parametrize("what", NEIGHBOURS)
def test_neighbours_are_independent(what: str) -> None:
    """The correlations between 40 draws of 4,096 numbers are those of independent ones, each and in sum."""
    draws = np.stack([np.asarray(NEIGHBOURS[what](i)).ravel() for i in range(40)])
    pairs = np.corrcoef(draws)[np.triu_indices(40, k=1)] * np.sqrt(draws.shape[1])
    assert np.abs(pairs).max() < 5.2
    assert stats.chi2.sf((pairs**2).sum(), len(pairs)) > SIGNIFICANT


def test_a_lane_key_is_none_that_jax_makes_of_a_seed() -> None:
    """Nor one that follows from such a key by the ids of a lane: a user's data may come from there."""
    for seed in (0, 1, 2**31, 2**32 - 1):
        key = jax.random.wrap_key_data(jnp.array([0, seed], jnp.uint32), impl="threefry2x32")  # jax.random.key(seed)
        user = key
        for word in (3, 1, 2):
            user = jax.random.fold_in(user, word)
        own = np.asarray(lane_key(seed, 3, 1, 2)).tolist()
        assert own != np.asarray(jax.random.key_data(user)).tolist()
    assert len({tuple(np.asarray(lane_key(seed, 0, 0, 0)).tolist()) for seed in (0, 2**31, 2**32, 2**63 - 1)}) == 4


def test_masks_have_their_rate() -> None:
    for rate in (0.0, 0.1, 0.5, 0.9):
        masks = randomness.keep(stream(lane_key(0, 5, 0, 0), Stream.DROPOUT, 1), (400, 400), rate)
        assert abs(float(masks.mean()) - (1 - rate)) < 5 * 0.5 / 400


def test_elements_do_not_depend_on_the_shape() -> None:
    state = stream(lane_key(0, 1, 0, 0), 1)
    large = randomness.bits(state, (20, 30))
    np.testing.assert_array_equal(large[:7, :11], randomness.bits(state, (7, 11)))


@given(size=st.integers(1, 3000), seed=st.integers(0, 2**31), epoch=st.integers(0, 10**6))
def test_permutations_are_permutations(size: int, seed: int, epoch: int) -> None:
    order = np.asarray(_permutation(seed, epoch, size))
    assert sorted(order[:size].tolist()) == list(range(size))
    assert not order[size:].any()


@jax.jit
def _permutation(seed: int, epoch: int, size: int) -> jax.Array:
    return randomness.permutation(stream(lane_key(seed, 0, 0, 0), Stream.SHUFFLE, epoch), size, 3000)


def _orders(size: int, epochs: int) -> np.ndarray:
    key = lane_key(0, 0, 0, 0)
    draw = jax.jit(jax.vmap(lambda e: randomness.permutation(stream(key, Stream.SHUFFLE, e), size, size)))
    return np.asarray(draw(jnp.arange(epochs)))


@pytest.mark.parametrize("size", [3, 4, 5, 6])
def test_of_few_rows_every_order_is_equally_likely(size: int) -> None:
    epochs, ways = 100_000, math.factorial(size)
    places = _orders(size, epochs) @ size ** np.arange(size)
    _, counts = np.unique(places, return_counts=True)
    assert len(counts) == ways
    assert stats.chisquare(counts).pvalue > SIGNIFICANT


@pytest.mark.parametrize("size", [9, 25, 49, 65, 81, 121, 1078])
def test_even_and_odd_orders_are_equally_likely(size: int) -> None:
    """Also where both sides of a network of `size` elements would be odd, which can make even orders alone."""
    epochs = 4000 if size < 1000 else 400
    orders = _orders(size, epochs)
    cycles = np.zeros(epochs, np.int64)
    seen = np.zeros_like(orders, dtype=bool)
    lanes = np.arange(epochs)
    for start in range(size):
        fresh = ~seen[:, start]
        cycles += fresh
        at = np.full(epochs, start)
        while fresh.any():
            seen[lanes[fresh], at[fresh]] = True
            at = orders[lanes, at]
            fresh = fresh & ~seen[lanes, at]
    odd = int(((size - cycles) % 2).sum())
    assert stats.binomtest(odd, epochs).pvalue > SIGNIFICANT


_order = jax.jit(randomness.permutation, static_argnames=("length", "few"))


@pytest.mark.parametrize("size", [5, 60, 64, 65, 90])
def test_an_order_depends_on_the_rows_not_on_the_padding(size: int) -> None:
    state = stream(lane_key(0, 3, 0, 0), Stream.SHUFFLE, 1)
    alone = np.asarray(_order(state, size, size))
    for length in (64, 65, 100):
        if length >= size:
            padded = np.asarray(_order(state, size, length))
            np.testing.assert_array_equal(padded[:size], alone)
            assert not padded[size:].any()
    if size > randomness.FEW:
        np.testing.assert_array_equal(_order(state, size, 100, few=False)[:size], alone)


@pytest.mark.parametrize("size", [4, 10, 23, 65, 100])
def test_every_place_and_every_neighbour_is_equally_likely(size: int) -> None:
    epochs = 20_000
    orders = _orders(size, epochs)
    counts = np.stack([np.bincount(orders[:, place], minlength=size) for place in range(size)])
    statistic = ((counts - epochs / size) ** 2 / (epochs / size)).sum()
    assert stats.chi2.sf(statistic, (size - 1) ** 2) > SIGNIFICANT
    follows = np.bincount((orders[:, 1:] - orders[:, :-1]).ravel() % size, minlength=size)[1:]
    assert stats.chisquare(follows).pvalue > SIGNIFICANT


def test_a_lane_key_depends_on_its_identity_alone() -> None:
    for seed in (0, 2**40 + 5):
        many = randomness.lane_keys(seed, np.arange(50), np.arange(50) % 3, np.arange(50) % 2)
        np.testing.assert_array_equal(many[17], lane_key(seed, 17, 17 % 3, 17 % 2))
    assert len(np.unique(np.asarray(many), axis=0)) == 50


@pytest.mark.parametrize("alpha", [1e-4, 0.4, 3.0])
def test_mixup_shares_are_those_of_the_plain_draw(alpha: float) -> None:
    key = stream(lane_key(0, 1, 0, 0), Stream.MIXUP, 7)
    plain = jax.random.beta(randomness.wrap(key), alpha, alpha)
    assert float(mixup_share(key, jnp.asarray(alpha))) == pytest.approx(float(plain), rel=1e-6)
    assert float(mixup_share(key, jnp.asarray(0.0))) == 1.0

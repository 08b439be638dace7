"""No stream of the project is one that a user can reach, nor equals another stream of the project."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import jaxsweep as js
from jaxsweep import search, streams
from jaxsweep.data import prepare
from jaxsweep.data.splits import shuffled
from jaxsweep.search.permutation import permuted
from jaxsweep.search.sobol import SobolPoints

ROWS = 64
SEEDS = 100
SPACE = js.Space(learning_rate=js.LogUniform(1e-4, 1e-1), dropout=js.Uniform(0, 0.5), epochs=2)

USERS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "random": lambda rng: rng.random(ROWS),
    "uniform": lambda rng: rng.uniform(-3, 3, ROWS),
    "permutation": lambda rng: rng.permutation(ROWS).astype(float),
}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("stream", [0, 1])
def test_splits_are_independent_of_what_a_user_draws(user: str, stream: int) -> None:
    """Rank correlations of 10,000 (user's seed, sweep's seed) pairs are those of independent orders.

    The pairs of equal seeds, and those that the words of a seed sequence could confuse, are among them.
    """
    drawn = np.stack([USERS[user](np.random.default_rng(seed)) for seed in range(SEEDS)])
    orders = np.stack([shuffled(np.arange(ROWS), seed, stream) for seed in range(SEEDS)])
    ranks = np.argsort(np.argsort(drawn, axis=1), axis=1)
    places = np.argsort(orders, axis=1)  # where a row comes in the order
    z = _standard(ranks) @ _standard(places).T / np.sqrt(ROWS)
    assert np.abs(z).max() < 5.2
    assert abs(np.diagonal(z).mean()) * np.sqrt(SEEDS) < 5
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-6


def _standard(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=1, keepdims=True)
    standard: np.ndarray = centred / centred.std(axis=1, keepdims=True)
    return standard


def test_the_split_does_not_sort_the_users_first_draw() -> None:
    """One that did would train on the middle of the range and validate beyond it."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-3, 3, 400)
        data = prepare(js.Dataset.from_arrays(x[:, None], np.sin(x)), seed=seed)
        train, val = data.x[0][data.train[0], 0], data.x[0][data.val[0], 0]
        assert train.min() < np.quantile(val, 0.05)
        assert train.max() > np.quantile(val, 0.95)
        assert stats.ks_2samp(train, val).pvalue > 1e-4


def _streams() -> dict[str, np.ndarray]:
    """Return the first words of every stream that the host draws from, under neighbouring seeds."""
    found = {}
    purposes: list[tuple[str | int, ...]] = [("split", 0), ("split", 1), *((name,) for name in search.SEARCHERS)]
    for seed in (0, 1, 2**32, 2**63 - 1):
        for purpose in purposes:
            found[f"{purpose} {seed}"] = streams.bit_generator(seed, *purpose).random_raw(8)
        for user in ("search", "zoom", "evolution", "de", "bayes"):
            found[f"sobol of {user} {seed}"] = streams.bit_generator(seed, user, "sobol").random_raw(8)
    return found


def test_streams_differ_from_each_other_and_from_a_users() -> None:
    words = {name: set(raw.tolist()) for name, raw in _streams().items()}
    names = list(words)
    assert all(not words[a] & words[b] for i, a in enumerate(names) for b in names[:i])
    reachable = [*range(50), [0], [0, 0], [0, 1], [0, 0, 0], [1, 0], 2**32 - 1, 2**32, [0, 0, 0, 0, 0]]
    for seed in reachable:
        user = set(np.random.default_rng(seed).bit_generator.random_raw(64).tolist())
        assert not any(user & own for own in words.values()), seed


def test_names_and_numbers_of_a_stream_are_not_run_together() -> None:
    """As words of one list, (1, 23) and (12, 3), or a trailing 0, would read alike."""
    keys = [("a", 1, 23), ("a", 12, 3), ("a", 1), ("a", 1, 0), ("a1",), ("a", "1")]
    raws = {tuple(streams.bit_generator(0, *key).random_raw(2).tolist()) for key in keys}
    assert len(raws) == len(keys)


def test_a_stream_is_a_hash_of_project_purpose_and_seed() -> None:
    """Written down anew, so that a change of the rule cannot pass unseen: runs could not be repeated."""
    entropy = int.from_bytes(hashlib.sha256(b"('jaxsweep', 'split', 3, 7)").digest(), "little")
    expected = np.random.Philox(np.random.SeedSequence(entropy)).random_raw(4)
    np.testing.assert_array_equal(streams.bit_generator(7, "split", 3).random_raw(4), expected)


def test_searchers_draw_from_streams_of_their_own() -> None:
    def first(name: str, seed: int = 0) -> list[float]:
        return [config["learning_rate"] for config in search.make(name, SPACE, seed=seed).ask(8)]

    user = SPACE.sample(np.random.default_rng(0), 8)
    assert first("random") != [config["learning_rate"] for config in user]
    assert first("random") != first("random", 1)
    assert not np.array_equal(SobolPoints(2, 0, "search").draw(8), SobolPoints(2, 0, "evolution").draw(8))
    assert permuted(np.arange(50), 50, 0).tolist() != permuted(np.arange(50), 50, 1).tolist()


@pytest.mark.parametrize("seed", [-1, 2**63, 0.5, True, "a", None, np.int64(-3)])
def test_illegal_seeds_are_refused_in_one_sentence(seed: Any) -> None:
    for make in (
        lambda: streams.check_seed(seed),
        lambda: search.make("random", SPACE, seed=seed),
        lambda: prepare(js.load_dataset("iris"), seed=seed),
    ):
        with pytest.raises(
            js.RequestError, match=r"seed = .* is not legal: it must be an integer in \[0, 9223372036854775807\]"
        ):
            make()


@pytest.mark.parametrize("seed", [2**31, np.int64(2**63 - 1)])
def test_every_legal_seed_trains(seed: int) -> None:
    data, config = js.load_dataset("wine"), {"depth": 1, "width": 4, "epochs": 2}
    result = js.sweep(data, configs=[config], seed=seed, progress=False)
    assert result.request.seed == int(seed)
    alone = js.solo(data, config, seed=int(seed))
    np.testing.assert_allclose(result.curves("val_loss")[0], alone.curves["val_loss"], rtol=1e-4)

"""Shares of variance: of responses whose shares are known, of what is absent, of what is not random."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsweep.insight.sheet import Factor, FloatArray
from jaxsweep.insight.variance import fit, levels_of

KNOWN = {("x0",): 0.25, ("x1",): 0.15, ("x4",): 0.1, ("word",): 0.1, ("x2", "x3"): 0.2}  # the rest is noise


def problem(n: int, seed: int) -> tuple[list[Factor], FloatArray]:
    """Twelve hyperparameters; a line, a wave, a step, a word of four, and a product whose parts do nothing alone."""
    dice = np.random.default_rng(seed)
    u, word = dice.random((n, 11)), dice.integers(0, 4, n)
    parts = {
        ("x0",): u[:, 0],
        ("x1",): np.sin(2 * np.pi * u[:, 1]),
        ("x4",): (u[:, 4] < 0.2).astype(float),
        ("word",): np.array([0.0, 0.5, 1.0, 0.0])[word],
        ("x2", "x3"): (u[:, 2] - 0.5) * (u[:, 3] - 0.5),
    }
    y = sum((part - part.mean()) / part.std() * KNOWN[names] ** 0.5 for names, part in parts.items())
    y = y + dice.normal(size=n) * (1 - sum(KNOWN.values())) ** 0.5
    factors = [Factor(f"x{i}", u[:, i]) for i in range(11)]
    return [*factors, Factor("word", word.astype(float), tuple("abcd"))], np.asarray(y)


@pytest.mark.parametrize("seed", range(3))
def test_shares_are_those_that_are_known(seed: int) -> None:
    factors, y = problem(2000, seed)
    found = fit(factors, y)
    shares = {term.names: share for term, share in zip(found.terms, found.shares, strict=True)}
    errors = {term.names: error for term, error in zip(found.terms, found.errors, strict=True)}
    for names, share in KNOWN.items():
        assert shares[names] == pytest.approx(share, abs=0.05)
        assert shares[names] == pytest.approx(share, abs=4 * errors[names] + 0.015)  # bins are not fine for ever
    assert max(abs(share) for names, share in shares.items() if names not in KNOWN) < 0.03
    assert found.rest == pytest.approx(0.2, abs=0.05)
    assert found.deviation == pytest.approx(0.2**0.5, rel=0.1)
    assert found.trials == 2000


def test_noise_accounts_for_nothing() -> None:
    factors, _ = problem(1000, 0)
    found = fit(factors, np.random.default_rng(1).normal(size=1000))
    assert np.abs(found.shares).max() < 0.04
    assert found.rest > 0.9


def test_what_is_absent_accounts_for_nothing_there() -> None:
    """What the absence of a child does is its parent's."""
    dice = np.random.default_rng(0)
    word, x = dice.integers(0, 2, 2000).astype(float), dice.random(2000)
    child = np.where(word == 1, x, np.nan)
    y = np.where(word == 1, 3.0 + 2 * (x - 0.5), 0.0) + 0.1 * dice.normal(size=2000)
    found = fit([Factor("optimizer", word, ("adam", "sgd")), Factor("momentum", child)], y)
    shares = {term.names: share for term, share in zip(found.terms, found.shares, strict=True)}
    of_parent, of_child = 9 / 4, 4 / 12 / 2  # variances
    whole = of_parent + of_child + 0.01
    assert shares["optimizer",] == pytest.approx(of_parent / whole, abs=0.02)
    assert shares["momentum",] == pytest.approx(of_child / whole, abs=0.02)
    assert ("optimizer", "momentum") not in shares or abs(shares["optimizer", "momentum"]) < 0.01


def test_trials_that_a_search_crowded_together_count_once() -> None:
    """Two hyperparameters that go together, of which one does nothing."""
    dice = np.random.default_rng(0)
    a = dice.random(2000)
    b = np.clip(a + 0.15 * dice.normal(size=2000), 0, 1)
    found = fit([Factor("a", a), Factor("b", b)], a + 0.05 * dice.normal(size=2000))
    shares = {term.names: share for term, share in zip(found.terms, found.shares, strict=True)}
    assert shares["a",] > 0.9
    assert abs(shares["b",]) < 0.02


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0])), min_size=1, max_size=200),
    st.integers(1, 20),
)
def test_levels_hold_the_trials_that_have_a_value(values: list[float | None], most: int) -> None:
    x = np.array([np.nan if value is None else value for value in values])
    codes, at = levels_of(Factor("x", x), most)
    assert ((codes < 0) == np.isnan(x)).all()
    assert sorted({*codes[codes >= 0].tolist()}) == [*range(len(at))]
    assert len(at) <= most
    assert (np.diff(at) > 0).all()
    for level, value in enumerate(at):  # in order
        assert x[codes == level].min() <= value <= x[codes == level].max()


@settings(deadline=None, max_examples=40)
@given(st.integers(20, 120), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_any_table_is_explained_in_finite_numbers(n: int, count: int, seed: int) -> None:
    dice = np.random.default_rng(seed)
    factors = []
    for i in range(count):
        x = dice.integers(0, int(dice.integers(1, 30)), n).astype(float)
        x[dice.random(n) < dice.choice([0.0, 0.5, 1.0])] = np.nan
        factors.append(Factor(f"x{i}", x))
    y = dice.standard_cauchy(n) if seed % 2 else dice.integers(0, 3, n).astype(float)
    found = fit(factors, y)
    numbers = [found.shares, found.errors, np.array([found.rest, found.deviation, found.mean]), *found.effects]
    assert all(np.isfinite(each).all() for each in numbers)
    assert 0 <= found.rest <= 1

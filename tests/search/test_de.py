"""Differential evolution: what replaces what, and what a trial is made of."""

from typing import Any

import numpy as np
import pytest

from jaxsweep.errors import RequestError
from jaxsweep.search import make
from jaxsweep.search.contract import MIXED, merit, rounds
from jaxsweep.search.de import DE
from jaxsweep.spec.space import Choice, Int, Space, Uniform

SPACE = Space(dropout=Uniform(0, 1e-1), input_dropout=Uniform(0, 1e-1))


def started(space: Space = SPACE, **settings: Any) -> DE:
    """Return a searcher whose next generation knows what it was told."""
    searcher = make("de", space, **settings)
    assert isinstance(searcher, DE)
    return searcher


def test_the_best_member_is_never_lost_and_no_member_gets_worse() -> None:
    searcher, rng = started(population=12), np.random.default_rng(0)
    scores = -np.ones(12)
    searcher.tell(searcher.ask(12), scores)
    for _ in range(10):
        searcher.ask(0)
        configs = searcher.ask(12)
        before = searcher._merits.copy()
        np.testing.assert_array_equal(np.sort(before), np.sort(scores))
        told = np.where(rng.random(12) < 0.3, np.nan, rng.standard_normal(12))
        searcher.tell(configs, told)
        scores = np.fmax(before, told)  # the trials are of the members in their order


def test_the_best_of_several_trials_replaces_their_target() -> None:
    searcher = started(population=5)
    searcher.tell(searcher.ask(5), [0.0] * 5)
    trials = searcher.ask(15)
    order = np.random.default_rng(1).permutation(15)
    searcher.tell([trials[row] for row in order], order.astype(float))
    searcher.ask(1)
    np.testing.assert_array_equal(searcher._merits, [10, 11, 12, 13, 14])
    np.testing.assert_array_equal(searcher._genes, SPACE.to_unit(trials[10:]))


def test_a_trial_of_an_earlier_generation_still_competes_with_its_target() -> None:
    searcher = started(population=5)
    searcher.tell(searcher.ask(5), [0.0] * 5)
    late, soon = searcher.ask(5), searcher.ask(5)
    searcher.tell(soon, [1.0] * 5)
    searcher.ask(1)
    searcher.tell(late, [2.0, 0.5, 2.0, 0.5, np.nan])
    searcher.ask(1)
    np.testing.assert_array_equal(searcher._merits, [2, 1, 2, 1, 1])


def test_what_was_never_asked_enters_for_the_worst_and_only_once() -> None:
    searcher = started(population=4)
    searcher.tell(searcher.ask(4), [3.0, 1.0, 4.0, 2.0])
    searcher.ask(4)
    other = [{"dropout": 0.05, "input_dropout": 0.05}, {"dropout": 0.06, "input_dropout": 0.05}]
    searcher.tell([other[0], other[1], other[0]], [2.5, 0.5, 9.0])
    searcher.ask(1)
    assert sorted(searcher._merits) == [2, 3, 4, 9]


def test_results_of_an_earlier_search_are_the_population() -> None:
    """The first generation is a design all the same; the trials after it are of the best that were told."""
    searcher = started(population=20)
    earlier = SPACE.sample(np.random.default_rng(0), 500)
    scores = -np.abs(SPACE.to_unit(earlier) - 0.3).max(axis=1)
    searcher.tell(earlier, scores)
    searcher.ask(20)
    np.testing.assert_allclose(np.sort(searcher._merits), np.sort(scores)[-20:])
    assert (np.abs(SPACE.to_unit(searcher.ask(20)) - 0.3) < 0.3).all()


@pytest.mark.parametrize("seed", range(3))
def test_finds_the_least_of_a_quadratic_and_the_right_choices(seed: int) -> None:
    batches = rounds(make("de", MIXED, seed=seed), merit, 12)
    first, last = (np.mean([merit(config) for config in batch]) for batch in (batches[0], batches[-1]))
    assert first < -1.8
    assert last > -0.45
    assert sum(config["optimizer"] == "adam" for config in batches[-1]) > 35
    assert sum(config["activation"] == "gelu" for config in batches[-1]) > 30


def test_without_crossover_one_gene_mutates() -> None:
    searcher = started(MIXED, population=6, crossover=0.0)
    searcher.tell(searcher.ask(6), [0.0] * 6)
    searcher.ask(0)
    trials = MIXED.to_unit(searcher.ask(6))
    both = ~np.isnan(trials) & ~np.isnan(searcher._genes)
    assert ((trials != searcher._genes) & both).sum(axis=1).max() <= 1


def test_a_choice_that_mutates_is_that_of_another_member_or_drawn_anew() -> None:
    """All members have one of two of six values: most trials have one of them too."""
    words = ["relu", "tanh", "gelu", "elu", "softplus", "silu"]
    space = Space(dropout=Uniform(0, 0.9), activation=Choice(words))
    searcher = started(space, population=40)
    members = [{"dropout": 0.9 * k / 40, "activation": words[k % 2]} for k in range(40)]
    searcher.tell(members, [0.0] * 40)
    searcher.ask(40)
    other = sum(config["activation"] not in words[:2] for config in searcher.ask(4000))
    assert 0.04 * 4000 < other < 0.08 * 4000  # 0.9 mutate, of which 0.1 anew, of which 4 of 6 are others


def test_numbers_are_reflected_at_the_ends() -> None:
    """Members at one end only: differences that leave the cube come back inside, and few trials lie on the end."""
    searcher = started(population=10, scale=2.0)
    u = np.random.default_rng(0).random((10, 2)) * [0.2, 1.0]
    searcher.tell(SPACE.from_unit(u), u[:, 0])
    searcher.ask(10)
    trials = SPACE.to_unit(searcher.ask(1000))
    assert trials.min() >= 0
    assert trials.max() <= 1
    assert ((trials == 0) | (trials == 1)).mean() < 0.01


def test_nothing_twice_while_there_is_something_new() -> None:
    searcher, asked = started(Space(depth=Int(1, 16), width=Int(1, 64)), population=20), []
    for _ in range(10):
        configs = searcher.ask(20)
        searcher.tell(configs, [-config["depth"] - config["width"] for config in configs])
        asked += configs
    assert len({repr(config) for config in asked[20:]}) == 180


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"population": 3}, "population = 3 is not legal: it must be an integer >= 4"),
        ({"scale": -0.1}, r"scale = -0.1 is not legal: it must be a number in \[0, 2\]"),
        ({"crossover": "all"}, r"crossover = 'all' is not legal: it must be a number in \[0, 1\]"),
        ({"crossover": float("nan")}, "crossover = nan is not legal"),
    ],
)
def test_refuses_options(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        make("de", SPACE, **settings)

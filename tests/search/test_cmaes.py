"""What CMA-ES promises beyond the contract: it converges, starts again, and trains nothing twice."""

from typing import Any

import numpy as np
import pytest

from jaxsweep.errors import RequestError
from jaxsweep.search import make
from jaxsweep.search.cmaes import CMAES
from jaxsweep.search.contract import MIXED, merit, rounds
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.space import Choice, Int, Space, Uniform
from jaxsweep.streams import generator


def best(batches: list[list[Config]]) -> float:
    return max(merit(config) for config in batches[-1])


def test_it_narrows_around_the_best() -> None:
    """Ten generations of 50, of numbers, integers and choices; random ones are worse by an order of magnitude."""
    found = np.array([best(rounds(make("cmaes", MIXED, seed), merit, 10)) for seed in range(3)])
    random = np.array([best(rounds(make("random", MIXED, seed), merit, 10)) for seed in range(3)])
    assert (found > -0.02).all()
    assert found.mean() > random.mean() / 3


@pytest.mark.parametrize("n", [7, 33, 200])
def test_batches_of_any_size_are_generations(n: int) -> None:
    """Smaller ones make a generation together, of larger ones those count that are spread evenly over the ranks."""
    last = rounds(make("cmaes", MIXED, 1, population=20), merit, 800 // n, n)[-1]
    first = make("cmaes", MIXED, 1).ask(n)
    assert np.mean([merit(config) for config in last]) > np.mean([merit(config) for config in first]) + 0.7


def test_nothing_comes_twice_where_there_is_anything_new() -> None:
    space = Space(depth=Int(1, 6), batch_size=Int(1, 40), activation=Choice(["relu", "tanh", "gelu"]))
    batches = rounds(make("cmaes", space, population=30), lambda config: -config["depth"] - config["batch_size"], 9, 30)
    configs = [repr(config) for batch in batches for config in batch]
    assert len(set(configs[30:])) == 240
    assert not set(configs[:30]) & set(configs[30:])
    whole = rounds(make("cmaes", space, population=30), lambda config: -config["depth"], 40, 30)
    assert len({repr(config) for batch in whole for config in batch}) > 700  # of 720


def test_it_starts_again_when_nothing_is_new() -> None:
    """The best of a small space is found, and then it looks elsewhere."""
    space = Space(depth=Int(1, 8), batch_size=Int(1, 8), activation=Choice(["relu", "tanh", "gelu"]))
    searcher = make("cmaes", space, population=10)
    assert isinstance(searcher, CMAES)
    rounds(searcher, lambda config: -config["depth"] - config["batch_size"], 15, 10)
    assert searcher._starts > 1


def test_told_strangers_are_where_it_starts() -> None:
    space = Space(dropout=Uniform(0, 1 - 1e-6), input_dropout=Uniform(0, 1 - 1e-6))
    known = space.sample(generator(3, "test"), 400)
    searcher = make("cmaes", space, population=20)
    searcher.tell(known, [-abs(config["dropout"] - 0.9) - abs(config["input_dropout"] - 0.1) for config in known])
    configs = searcher.ask(20)
    assert np.median([config["dropout"] for config in configs]) > 0.7
    assert np.median([config["input_dropout"] for config in configs]) < 0.3


def test_late_results_do_not_count_for_another_distribution() -> None:
    """What is asked for before a generation is told may be told after it, without harm."""
    searcher = make("cmaes", MIXED, population=10)
    rounds(searcher, merit, 3, 10)
    early, late = searcher.ask(10), searcher.ask(10)
    searcher.tell(early, [merit(config) for config in early])
    searcher.ask(10)
    searcher.tell(late, [merit(config) for config in late])
    for config in searcher.ask(10):
        MIXED.check(config)


@pytest.mark.parametrize("population", [3, 2.5, True, None])
def test_illegal_options(population: Any) -> None:
    with pytest.raises(RequestError, match=r"population = .* is not legal: it must be an integer >= 4"):
        make("cmaes", MIXED, population=population)

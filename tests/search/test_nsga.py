"""Several objectives: who takes them, what NSGA-II makes of them, and a weighted sum for the others."""

import math
from typing import Any

import numpy as np
import pytest

from jaxsweep.errors import RequestError
from jaxsweep.search import SEARCHERS, Searcher, Weighted, make
from jaxsweep.search.contract import FINITE, MIXED, SPACES, merit
from jaxsweep.spec.distributions import FloatArray
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.pareto import first_front
from jaxsweep.spec.space import Choice, Space, Uniform

SEVERAL = [name for name, kind in SEARCHERS.items() if kind.several]
WAYS: Any = ["maximize", "minimize"]


def both(config: Config) -> list[float]:
    """Return two objectives of a config of MIXED that are at odds: its merit, and a size to be small."""
    return [merit(config), 10.0 ** config["depth"]]


def rounds(searcher: Searcher, count: int = 4, n: int = 30) -> list[list[Config]]:
    batches = []
    for _ in range(count):
        batches.append(searcher.ask(n))
        searcher.tell(
            batches[-1], [both(config) for config in batches[-1]], [float(c["depth"] > 4) for c in batches[-1]]
        )
    return batches


def test_who_takes_several_objectives() -> None:
    assert SEVERAL == ["random", "grid", "sobol", "evolution"]
    with pytest.raises(RequestError, match=r"direction = \['maximize', 'minimize'\] is not legal: bayes follows one"):
        make("bayes", MIXED, direction=WAYS)
    wrong: Any = ["maximize", "up"]
    with pytest.raises(RequestError, match="must be maximize or minimize"):
        make("evolution", MIXED, direction=wrong)


@pytest.mark.parametrize("name", SEVERAL)
def test_legal_and_the_same_again(name: str) -> None:
    batches = rounds(make(name, MIXED, direction=WAYS))
    assert batches == rounds(make(name, MIXED, direction=WAYS))
    for space in SPACES:
        searcher = make(name, space, direction=WAYS)
        for number in range(4):
            configs = searcher.ask(60)
            for config in configs:
                space.check(config)
            bad = [math.nan, math.inf, 1e308, 0.5][number]
            searcher.tell(configs, [[bad, -1e308 if row % 2 else 1.0] for row in range(len(configs))])


def test_the_order_of_telling_has_no_effect() -> None:
    results = []
    for order in (slice(None), slice(None, None, -1)):
        searcher = make("evolution", MIXED, direction=WAYS)
        configs = searcher.ask(50)[order]
        half = 20 if order.step else 33
        for told in (configs[:half], configs[half:]):
            searcher.tell(told, [both(config) for config in told], [0.0] * len(told))
        results.append(searcher.ask(50))
    assert results[0] == results[1]


def test_told_configs_with_parts_missing() -> None:
    """As of one objective: what is missing counts as inactive, and whole configs are proposed."""
    searcher = make("evolution", MIXED, direction=WAYS)
    configs = searcher.ask(50)
    parts = [{name: value for name, value in each.items() if name != "depth"} for each in configs]
    searcher.tell(parts, [both(config) for config in configs], [0.0] * 50)
    for config in searcher.ask(50):
        MIXED.check(config)


def test_scores_of_the_wrong_shape_are_refused() -> None:
    searcher = make("evolution", MIXED, direction=WAYS)
    configs = searcher.ask(2)
    wrong: Any
    for wrong in ([0.1, 0.2], [[0.1], [0.2]], [[1, 2, 3]] * 2, "ab"):
        with pytest.raises(RequestError, match="it must be a list of 2 numbers each"):
            searcher.tell(configs, wrong)
    with pytest.raises(RequestError, match="1 scores for 2 configs"):
        searcher.tell(configs, [[1, 2]])
    with pytest.raises(RequestError, match="1 violations for 2 configs"):
        searcher.tell(configs, [[1, 2]] * 2, [0])
    with pytest.raises(RequestError, match="violations must be numbers >= 0"):
        searcher.tell(configs, [[1, 2]] * 2, [0, -1])
    searcher.tell([], [])


def test_one_objective_is_told_as_ever() -> None:
    """Zero violations of one objective change nothing but the scale, of which only ranks count."""
    results = []
    for violations in (None, [0.0] * 50):
        searcher = make("evolution", MIXED)
        for _ in range(3):
            configs = searcher.ask(50)
            searcher.tell(configs, [merit(config) for config in configs], violations)
        results.append(searcher.ask(50))
    assert results[0] == results[1]


LINE = Space(dropout=Uniform(0, 0.9), input_dropout=Uniform(0, 0.9), activation=Choice(["relu", "tanh", "gelu"]))


def at_odds(config: Config) -> list[float]:
    """Return two losses: the front is input_dropout = 0.2 under gelu, where dropout trades one against the other."""
    off = abs(config["input_dropout"] - 0.2) + 0.3 * (config["activation"] != "gelu")
    return [config["dropout"] + off, (0.9 - config["dropout"]) ** 2 + off]


def volume(points: FloatArray) -> float:
    """Return the area that points dominate below (1.5, 1.5): the hypervolume of two losses."""
    front = points[first_front(-points)]
    front = front[np.argsort(front[:, 0])]
    area, top = 0.0, 1.5
    for x, y in front[(front < 1.5).all(axis=1)]:
        area, top = area + (1.5 - x) * (top - y), y
    return area


@pytest.mark.parametrize("seed", range(3))
def test_nsga2_finds_more_of_a_front_than_random_search(seed: int) -> None:
    found = {}
    ways: Any = ["minimize", "minimize"]
    for name in ("random", "evolution"):
        options = {"population": 25} if name == "evolution" else {}
        searcher = make(name, LINE, seed=seed, direction=ways, **options)
        points: list[list[float]] = []
        for _ in range(8):
            configs = searcher.ask(25)
            points += [at_odds(config) for config in configs]
            searcher.tell(configs, points[-25:])
        found[name] = volume(np.array(points))
    best = volume(np.array([[x, (0.9 - x) ** 2] for x in np.linspace(0, 0.9, 1000)]))
    assert best - found["evolution"] < 0.5 * (best - found["random"])


@pytest.mark.parametrize("ways", [["maximize"], WAYS])
def test_constraints_dominate(ways: Any) -> None:
    """Where nearly nothing is feasible, the search goes to where the violation is least."""
    searcher = make("evolution", LINE, population=25, direction=ways)
    for _ in range(6):
        configs = searcher.ask(25)
        excess = [max(0.0, config["input_dropout"] - 0.02) for config in configs]
        scores = [config["input_dropout"] if len(ways) == 1 else [config["input_dropout"], 1.0] for config in configs]
        searcher.tell(configs, scores, excess)
    assert np.mean([config["input_dropout"] < 0.1 for config in searcher.ask(25)]) > 0.7


def test_a_small_space_is_proposed_whole_and_then_again() -> None:
    searcher = make("evolution", FINITE, population=2, direction=WAYS)
    seen = []
    for _ in range(6):
        configs = searcher.ask(2)
        seen += configs
        searcher.tell(configs, [[config["depth"], config["depth"]] for config in configs])
    assert len({str(config) for config in seen}) == 5


class Told(Searcher):
    """A searcher that notes what it is told."""

    description = "notes what it is told"

    def _propose(self, n: int) -> list[Config]:
        return [{}] * n

    def _learn(self, configs: Any, merits: FloatArray) -> None:
        self.told = [*getattr(self, "told", []), *merits.tolist()]


def test_a_weighted_sum_is_in_units_of_the_first_scores() -> None:
    inner = Told(None)
    searcher = Weighted(inner, WAYS, [1.0, 0.5])
    assert (searcher.learns, searcher.batch, searcher.total, searcher.remainder(3)) == (True, None, None, None)
    configs = searcher.ask(6)
    scores = [[0.0, 100.0], [1.0, 200.0], [2.0, 300.0], [3.0, 400.0], [4.0, 500.0], [math.nan, 600.0]]
    searcher.tell(configs, scores)
    # median 2 and range 2 of the first, 300 and 200 of the second, of which less is better
    assert inner.told == [-0.5, -0.25, 0.0, 0.25, 0.5, -math.inf]
    searcher.tell([{}, {}], [[4.0, 300.0], [2.0, 100.0]], [0.0, 0.1])
    assert inner.told[-2:] == [1.0, -math.inf]
    flat = Told(None)
    Weighted(flat, WAYS, [1.0, 1.0]).tell([{}, {}], [[1.0, 5.0], [1.0, 5.0]])
    assert flat.told == [0.0, 0.0]

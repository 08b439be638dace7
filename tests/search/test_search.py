"""Searchers: one contract that each passes, and what each promises beside it."""

import importlib.util
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import NESTED, spaces

from jaxsweep.errors import RequestError
from jaxsweep.search import SEARCHERS, Listed, Searcher, make, options
from jaxsweep.search.permutation import permuted
from jaxsweep.spec.space import Choice, Constant, Int, LogUniform, Space, Uniform

ROOT = Path(__file__).resolve().parents[2]
MIXED = Space(
    learning_rate=LogUniform(1e-4, 1),
    dropout=Uniform(0, 0.9),
    depth=Int(1, 6),
    optimizer=Choice(["sgd", "adam", "rmsprop"]),
    momentum=Uniform(0, 0.99, when={"optimizer": "sgd"}),
    activation=Choice(["relu", "tanh", "gelu", "elu"]),
)


def merit(config: dict[str, Any]) -> float:
    """A score that is best, 0, at learning rate 0.1 and dropout 0.3 with adam and gelu."""
    wrong = (config["optimizer"] != "adam") + (config["activation"] != "gelu")
    score: float = -abs(math.log10(config["learning_rate"]) + 1) - abs(config["dropout"] - 0.3) - 0.5 * wrong
    return score


def search(searcher: Searcher, score: Callable[[dict[str, Any]], float], rounds: int = 6) -> list[dict[str, Any]]:
    """The configs of the last of several rounds of 50, each of which is told."""
    configs: list[dict[str, Any]] = []
    for _ in range(rounds):
        configs = searcher.ask(50)
        searcher.tell(configs, [score(config) for config in configs])
    return configs


@pytest.mark.parametrize("name", SEARCHERS)
class TestContract:
    @given(space=spaces(), seed=st.integers(0, 2**32))
    @settings(max_examples=25, deadline=None)
    def test_proposals_are_legal_points_of_the_space(self, name: str, space: Space, seed: int) -> None:
        searcher = make(name, space, seed)
        scores = np.random.default_rng(seed)
        for n in (30, 1, 60):
            configs = searcher.ask(n)
            assert len(configs) <= n
            for config in configs:
                space.check(config)
            searcher.tell(configs, np.where(scores.random(len(configs)) < 0.2, np.nan, scores.random(len(configs))))

    def test_same_seed_and_calls_give_the_same(self, name: str) -> None:
        first, second = (search(make(name, MIXED, seed=5), merit, 3) for _ in range(2))
        assert first == second

    def test_seed_0_is_a_seed_and_seeds_differ(self, name: str) -> None:
        assert make(name, MIXED, 0).ask(20) == make(name, MIXED, 0).ask(20)
        assert make(name, MIXED, 0).ask(20) != make(name, MIXED, 1).ask(20)

    def test_asking_in_pieces_gives_the_same(self, name: str) -> None:
        searcher = make(name, NESTED)
        pieces = searcher.ask(3) + searcher.ask(0) + searcher.ask(1) + searcher.ask(28)
        assert pieces == make(name, NESTED).ask(32)

    def test_is_exhausted_after_total(self, name: str) -> None:
        space = Space(depth=Int(1, 3), activation=Choice(["relu", "tanh"], when={"depth": [1, 2]}))
        searcher = make(name, space)
        if searcher.total is None:
            assert len(searcher.ask(1000)) == 1000
            assert len(searcher.ask(1)) == 1
        else:
            assert len(searcher.ask(1000)) == searcher.total
            assert searcher.ask(1) == []

    def test_failed_trials_poison_nothing(self, name: str) -> None:
        """With every score NaN, and with most, it goes on; what it then does depends on no NaN."""
        searcher = make(name, MIXED)
        for score in (math.nan, math.nan, math.inf, -math.inf):
            configs = searcher.ask(20)
            searcher.tell(configs, [score] * len(configs))
        searcher.tell([], [])
        configs = searcher.ask(20)
        searcher.tell(configs, [0.5] + [math.nan] * 19)
        configs = searcher.ask(20)
        assert len(configs) == 20
        for config in configs:
            MIXED.check(config)

    def test_told_in_any_order_with_others(self, name: str) -> None:
        others = MIXED.sample(np.random.default_rng(7), 30)
        results = []
        for order in (slice(None), slice(None, None, -1)):
            searcher = make(name, MIXED)
            told = (searcher.ask(50) + others)[order]
            searcher.tell(told, np.array([merit(config) for config in told]))
            results.append(searcher.ask(50))
        assert results[0] == results[1]

    def test_direction(self, name: str) -> None:
        """Minimizing the negative of a score is maximizing it."""
        upwards = search(make(name, MIXED), merit)
        downwards = search(make(name, MIXED, direction="minimize"), lambda config: -merit(config))
        assert upwards == downwards

    def test_batch_total_and_remainder(self, name: str) -> None:
        searcher = make(name, MIXED)
        assert searcher.batch is None or searcher.batch >= 1
        assert searcher.total is None or searcher.total >= 1
        assert searcher.remainder(searcher.total or 1) is None

    def test_a_space_of_constants(self, name: str) -> None:
        searcher = make(name, Space(epochs=3, rms_decay=Constant(0.5, when={"epochs": 3})))
        configs = searcher.ask(5)
        assert configs
        assert all(config == {"epochs": 3, "rms_decay": 0.5} for config in configs)
        searcher.tell(configs, [1.0] * len(configs))
        searcher.ask(5)

    def test_configs_are_not_shared(self, name: str) -> None:
        space = Space(width=Choice([[64, 32], [8]]))
        searcher = make(name, space)
        for config in searcher.ask(200):
            config["width"].append(1)
        assert space == Space(width=Choice([[64, 32], [8]]))

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"seed": -1}, "seed = -1 is not legal"),
            ({"seed": "a"}, "seed = 'a' is not legal"),
            ({"direction": "up"}, "direction = 'up' is not legal: it must be maximize or minimize"),
            ({"colour": 1}, "unknown option 'colour' of searcher"),
        ],
    )
    def test_refuses_settings(self, name: str, settings: dict[str, Any], words: str) -> None:
        with pytest.raises(RequestError) as caught:
            make(name, MIXED, **settings)
        assert words in str(caught.value)

    def test_refuses_calls(self, name: str) -> None:
        searcher = make(name, MIXED)
        with pytest.raises(RequestError, match=r"ask\(-1\) is not legal"):
            searcher.ask(-1)
        with pytest.raises(RequestError, match="2 scores for 1 configs: there must be one for each"):
            searcher.tell(searcher.ask(1), [0.1, 0.2])

    def test_describes_itself(self, name: str) -> None:
        assert 10 < len(SEARCHERS[name].description) < 80
        assert "\n" not in SEARCHERS[name].description


class TestRegistry:
    def test_suggests_the_nearest_name(self) -> None:
        with pytest.raises(RequestError, match="unknown searcher 'evolutoin'; did you mean 'evolution'"):
            make("evolutoin", MIXED)

    def test_lists_options(self) -> None:
        assert options("grid") == {"resolution": 5}
        assert options("evolution") == {"population": 50}
        assert options("random") == {}

    @pytest.mark.parametrize(
        ("name", "settings", "words"),
        [
            ("grid", {"resolutoin": 3}, "unknown option 'resolutoin' of searcher 'grid'; did you mean 'resolution'?"),
            ("grid", {"resolution": 1}, "resolution = 1 is not legal: it must be an integer in [2, 1000000]"),
            ("evolution", {"population": 2.5}, "population = 2.5 is not legal: it must be an integer >= 2"),
            ("random", {"population": 9}, "unknown option 'population' of searcher 'random'; it has none"),
        ],
    )
    def test_refuses_options(self, name: str, settings: dict[str, Any], words: str) -> None:
        with pytest.raises(RequestError) as caught:
            make(name, MIXED, **settings)
        assert words in str(caught.value)

    @pytest.mark.parametrize("name", SEARCHERS)
    def test_needs_a_space(self, name: str) -> None:
        with pytest.raises(RequestError, match=f"{name} needs a space"):
            make(name, None).ask(1)


class TestGrid:
    def test_every_combination_once(self) -> None:
        configs = make("grid", NESTED, resolution=3).ask(10**6)
        sgd_1 = 3  # momentum
        sgd_23 = 2 * 3 * (1 + 3)  # depth, momentum, nesterov without and with clip_norm
        assert len(configs) == sgd_1 + sgd_23 + 2 * 3  # adam and rmsprop: depth
        assert len({repr(config) for config in configs}) == len(configs)

    def test_values(self) -> None:
        space = Space(
            learning_rate=LogUniform(1e-4, 1),
            dropout=Uniform(0, 0.8),
            depth=Int(1, 3),
            epochs=Int(10, 50),
            width=Int(1, 1000, log=True),
            patience=Int(1, 6, log=True),
        )
        configs = make("grid", space).ask(10**6)
        assert len(configs) == 3 * 5**5
        assert sorted({config["learning_rate"] for config in configs}) == [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
        assert sorted({config["dropout"] for config in configs}) == [0, 0.2, 0.4, 0.6, 0.8]
        assert sorted({config["depth"] for config in configs}) == [1, 2, 3]
        assert sorted({config["epochs"] for config in configs}) == [10, 20, 30, 40, 50]
        assert sorted({config["width"] for config in configs}) == [1, 6, 32, 178, 1000]
        assert sorted({config["patience"] for config in configs}) == [1, 2, 3, 4, 6]

    @given(st.integers(1, 4000), st.integers(1, 4000), st.booleans(), st.integers(2, 30))
    @settings(deadline=None)
    def test_integers_have_the_stated_number_of_values(self, low: int, high: int, log: bool, resolution: int) -> None:
        low, high = min(low, high), max(low, high)
        levels = Int(low, high, log=log).levels(resolution)
        assert len(set(levels.tolist())) == len(levels) == min(resolution, high - low + 1)
        assert (levels[0], levels[-1]) == (low, high)

    def test_values_that_a_condition_names_are_tried(self) -> None:
        space = Space(depth=Int(0, 16), norm=Choice(["batch", "layer"], when={"depth": 3}))
        configs = make("grid", space, resolution=2).ask(100)
        assert {(config["depth"], config.get("norm")) for config in configs} == {
            (0, None),
            (3, "batch"),
            (3, "layer"),
            (16, None),
        }

    def test_a_remainder_is_told(self) -> None:
        searcher = make("grid", Space(dropout=Uniform(0, 0.5), depth=Int(1, 9), width=Choice([8, 9])), resolution=9)
        assert searcher.total == 162
        assert searcher.remainder(64) == "the grid has 162 points, 64 asked for: 98 are not tried"
        assert searcher.remainder(161) == "the grid has 162 points, 161 asked for: 1 is not tried"
        assert searcher.remainder(162) is None

    def test_a_large_grid_is_not_written_out_and_spreads(self) -> None:
        names = ("dropout", "input_dropout", "label_smoothing", "b1", "b2", "momentum", "rms_decay", "warmup", "flip")
        searcher = make("grid", Space.from_mapping({name: Uniform(0, 0.9) for name in names}), resolution=10)
        assert searcher.total == 10**9
        configs = searcher.ask(500)
        for name in names:
            _, counts = np.unique([config[name] for config in configs], return_counts=True)
            assert len(counts) == 10
            assert counts.min() > 20

    def test_refuses_a_grid_beyond_numbering(self) -> None:
        names = ("dropout", "input_dropout", "label_smoothing", "b1", "b2", "momentum", "rms_decay", "warmup", "flip")
        with pytest.raises(RequestError, match=r"the grid has 1.0e\+27 points at resolution = 1000"):
            make("grid", Space.from_mapping({name: Uniform(0, 0.9) for name in names}), resolution=1000)

    @given(st.integers(1, 3000), st.integers(0, 2**40))
    @settings(deadline=None)
    def test_the_order_is_a_permutation(self, total: int, seed: int) -> None:
        assert sorted(permuted(np.arange(total), total, seed).tolist()) == list(range(total))


class TestSobol:
    def test_fills_the_space_evenly(self) -> None:
        space = Space(dropout=Uniform(0, 0.8), learning_rate=LogUniform(1e-4, 1))
        u = space.to_unit(make("sobol", space, seed=3).ask(64))
        cells = (u * 8).astype(int)
        assert len({tuple(cell) for cell in cells.tolist()}) == 64


class TestListed:
    CONFIGS: tuple[dict[str, Any], ...] = ({"width": [64, 32], "optimizer": "sgd"}, {"epochs": 3}, {})

    def test_exactly_these_in_this_order(self) -> None:
        searcher = Listed(self.CONFIGS)
        assert searcher.total == 3
        first = searcher.ask(2)
        first[0]["width"].append(3)  # what is proposed is the caller's
        assert [*first[1:], *searcher.ask(5)] == list(self.CONFIGS[1:])
        assert searcher.ask(1) == []
        assert self.CONFIGS[0]["width"] == [64, 32]


class TestEvolution:
    def test_learns_numbers_and_choices(self) -> None:
        last = search(make("evolution", MIXED, seed=1), merit)
        assert np.mean([merit(config) for config in last]) > -0.6  # random configs: -2.4
        assert sum(config["optimizer"] == "adam" for config in last) > 25
        assert sum(config["activation"] == "gelu" for config in last) > 25

    def test_uses_ranks_alone(self) -> None:
        plain = search(make("evolution", MIXED), merit)
        assert search(make("evolution", MIXED), lambda config: 1000 * merit(config) ** 3) == plain

    def test_proposes_nothing_twice_while_there_is_something_new(self) -> None:
        searcher = make("evolution", Space(depth=Int(1, 16), width=Int(1, 64)), population=20)
        asked = []
        for _ in range(10):
            configs = searcher.ask(20)
            searcher.tell(configs, [-config["depth"] - config["width"] for config in configs])
            asked += configs
        assert len({repr(config) for config in asked[20:]}) == 180

    def test_more_than_a_population_at_once(self) -> None:
        searcher = make("evolution", MIXED, population=10)
        first = searcher.ask(1000)
        searcher.tell(first, [merit(config) for config in first])
        better = searcher.ask(5000)
        assert len(better) == 5000
        assert np.mean([merit(config) for config in better]) > np.mean([merit(config) for config in first]) + 0.5


def test_evolution_beats_random_on_hpobench() -> None:
    """Regret on the four tables of HPOBench, 20 repetitions of 200 evaluations: at most 0.030."""
    folder = ROOT.parent / "shared" / "tables"
    if not folder.is_dir() and not os.environ.get("CI"):
        pytest.skip(f"the tables of HPOBench are not in {folder}")
    spec = importlib.util.spec_from_file_location("bench", ROOT / "experiments" / "searchers_hpobench.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    evolution, random = (bench.mean_regrets(name, folder, 20).mean() for name in ("evolution", "random"))
    print(f"mean regret: evolution {evolution:.4f}, random {random:.4f}")
    assert evolution <= 0.030
    assert evolution < random - 0.008

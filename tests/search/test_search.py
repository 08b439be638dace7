"""The registry of searchers, and what each promises beside the contract, which is in `test_contract.py`."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsweep.errors import RequestError
from jaxsweep.search import SEARCHERS, Listed, make, options
from jaxsweep.search.contract import MIXED, NESTED, merit, rounds
from jaxsweep.search.permutation import permuted
from jaxsweep.spec.space import Choice, Int, LogUniform, Space, Uniform

ROOT = Path(__file__).resolve().parents[2]


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
    def test_refuses_an_unknown_option(self, name: str) -> None:
        with pytest.raises(RequestError, match="unknown option 'colour' of searcher"):
            make(name, MIXED, colour=1)

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
        last = rounds(make("evolution", MIXED, seed=1), merit, 6)[-1]
        assert np.mean([merit(config) for config in last]) > -0.6  # random configs: -2.4
        assert sum(config["optimizer"] == "adam" for config in last) > 25
        assert sum(config["activation"] == "gelu" for config in last) > 25

    def test_uses_ranks_alone(self) -> None:
        plain = rounds(make("evolution", MIXED), merit, 6)
        assert rounds(make("evolution", MIXED), lambda config: 1000 * merit(config) ** 3, 6) == plain

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
    """The config chosen after 200 evaluations on the four tables of HPOBench, 20 repetitions: better by a tenth."""
    folder = ROOT.parent / "shared" / "tables"
    if not folder.is_dir() and not os.environ.get("CI"):
        pytest.skip(f"the tables of HPOBench are not in {folder}")
    spec = importlib.util.spec_from_file_location("bench", ROOT / "experiments" / "search_quality.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    measured = bench.Measured(bench.load(folder), None)
    evolution, random = (measured.regrets(name, 4, 50, 20).mean() for name in ("evolution", "random"))
    print(f"mean regret: evolution {evolution:.4f}, random {random:.4f}")
    assert evolution <= 0.115
    assert evolution < 0.9 * random

"""What every searcher owes its callers, as one class of tests: also for a searcher of one's own.

A subclass says how the searcher is made, and pytest does the rest:

    from jaxsweep.search.contract import SearcherContract

    class TestMine(SearcherContract):
        def make(self, space, seed=0, direction="maximize"):
            return Mine(space, seed=seed, direction=direction)

The tests are plain methods with plain asserts: nothing here needs pytest, and a method can be called by hand.
"""

import copy
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from jaxsweep.errors import RequestError
from jaxsweep.search.base import Searcher
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.metrics import Direction
from jaxsweep.spec.space import Choice, Constant, Int, LogUniform, Space, Uniform
from jaxsweep.streams import generator

MIXED = Space(
    learning_rate=LogUniform(1e-4, 1),
    dropout=Uniform(0, 0.9),
    depth=Int(1, 6),
    optimizer=Choice(["sgd", "adam", "rmsprop"]),
    momentum=Uniform(0, 0.99, when={"optimizer": "sgd"}),
    activation=Choice(["relu", "tanh", "gelu", "elu"]),
)
"""Every kind of entry, one of them under a condition."""

NESTED = Space(
    optimizer=Choice(["sgd", "adam", "rmsprop"]),
    momentum=Uniform(0.0, 0.99, when={"optimizer": "sgd"}),
    nesterov=Choice([True, False], when={"optimizer": "sgd", "depth": [2, 3]}),
    clip_norm=Uniform(0.1, 1.0, when={"nesterov": True}),
    rms_decay=Constant(0.8, when={"optimizer": ["rmsprop"]}),
    depth=Int(1, 3),
    epochs=20,
)
"""Conditions under conditions."""

FINITE = Space(depth=Int(1, 3), activation=Choice(["relu", "tanh"], when={"depth": [1, 2]}))  # 5 configs
LISTS = Space(width=Choice([[64, 32], [8]]), batch_size=Int(1, 512, log=True))
POINT = Space(depth=Int(3, 3), optimizer=Choice(["adam"]))
CONSTANTS = Space(epochs=3, rms_decay=Constant(0.5, when={"epochs": 3}))
SPACES = (MIXED, NESTED, FINITE, LISTS, POINT, CONSTANTS)


def merit(config: Config) -> float:
    """Return a score of a config of MIXED: at most 0, at learning rate 0.1 and dropout 0.3 with adam and gelu."""
    wrong = (config["optimizer"] != "adam") + (config["activation"] != "gelu")
    return float(-abs(math.log10(config["learning_rate"]) + 1) - abs(config["dropout"] - 0.3) - 0.5 * wrong)


def rounds(searcher: Searcher, score: Callable[[Config], float], count: int, n: int = 50) -> list[list[Config]]:
    """Return the configs of `count` batches of `n`, each of which is told before the next is asked for."""
    batches = []
    for _ in range(count):
        batches.append(searcher.ask(n))
        searcher.tell(batches[-1], [score(config) for config in batches[-1]])
    return batches


class SearcherContract:
    """The tests that every searcher passes. A subclass has `make`, and may say less of its searcher by the flags.

    What a searcher does with results that help nobody (all failed, all equal, not asked for, a space of one point) is
    its own affair, as long as it goes on with legal configs: so the tests demand, and nothing of their quality.
    """

    any_order: ClassVar[bool] = True
    """Whether the order in which a batch is told has no effect."""

    seed_matters: ClassVar[bool] = True
    """Whether two seeds give different configs."""

    def make(self, space: Space, seed: int = 0, direction: Direction = "maximize") -> Searcher:
        """Return a new searcher of `space`."""
        raise NotImplementedError("a subclass of SearcherContract must have make(space, seed, direction)")

    def ask(self, searcher: Searcher, space: Space, n: int) -> list[Config]:
        """Return `searcher.ask(n)` after a look at each config: as many as there must be, legal, of plain values."""
        left = n if searcher.total is None else min(n, searcher.total - searcher.asked)
        configs = searcher.ask(n)
        assert len(configs) == left, f"ask({n}) gave {len(configs)} configs, not {left}"
        for config in configs:
            space.check(config)
            assert json.loads(json.dumps(config)) == config, f"not of plain values: {config}"
        return configs

    def goes_on(self, scores: Sequence[float], space: Space = MIXED, direction: Direction = "maximize") -> None:
        """Demand that a searcher goes on when all of a batch get one of `scores`, batch after batch."""
        searcher = self.make(space, direction=direction)
        for score in scores:
            configs = self.ask(searcher, space, 60)
            searcher.tell(configs, [score] * len(configs))
        self.ask(searcher, space, 60)

    # --- the same again ------------------------------------------------------------------------------------------

    def test_same_seed_and_calls_give_the_same(self) -> None:
        """Proposals follow from the seed and the calls, also after results."""
        assert rounds(self.make(MIXED, 5), merit, 4) == rounds(self.make(MIXED, 5), merit, 4)

    def test_seed_0_is_a_seed_and_seeds_differ(self) -> None:
        """No seed stands for one drawn by chance."""
        assert self.make(MIXED, 0).ask(20) == self.make(MIXED, 0).ask(20)
        assert not self.seed_matters or self.make(MIXED, 0).ask(20) != self.make(MIXED, 1).ask(20)

    def test_the_largest_seed(self) -> None:
        """A seed may be any integer in [0, 2**63 - 1]."""
        self.ask(self.make(MIXED, 2**63 - 1), MIXED, 5)

    def test_global_random_numbers_have_no_part(self) -> None:
        """NumPy's global generator neither decides a proposal nor is moved by one."""
        results = []
        for seed in (1, 2):
            np.random.seed(seed)  # noqa: NPY002  what somebody else might do
            before = np.random.get_state(legacy=True)  # noqa: NPY002
            results.append(rounds(self.make(MIXED), merit, 2))
            after = np.random.get_state(legacy=True)  # noqa: NPY002
            assert str(before) == str(after)
        assert results[0] == results[1]

    def test_asking_in_pieces_gives_the_same(self) -> None:
        """Before any result, n configs and then m are the first n + m."""
        searcher = self.make(NESTED)
        pieces = searcher.ask(3) + searcher.ask(0) + searcher.ask(1) + searcher.ask(28)
        assert pieces == self.make(NESTED).ask(32)

    def test_told_in_any_order_with_others(self) -> None:
        """A batch may be told backwards, configs that nobody asked for among it."""
        others = MIXED.sample(generator(7, "contract"), 30)
        results = []
        for order in (slice(None), slice(None, None, -1)):
            searcher = self.make(MIXED)
            told = (searcher.ask(50) + others)[order]
            searcher.tell(told, np.array([merit(config) for config in told]))
            results.append(self.ask(searcher, MIXED, 50))
        assert not self.any_order or results[0] == results[1]

    def test_told_in_any_order_where_scores_are_equal(self) -> None:
        """Ties are broken by the configs, not by which was told first."""
        results = []
        for order in (slice(None), slice(None, None, -1)):
            searcher = self.make(MIXED)
            told = searcher.ask(50)[order]
            searcher.tell(told, [round(merit(config)) for config in told])
            results.append(self.ask(searcher, MIXED, 50))
        assert not self.any_order or results[0] == results[1]

    def test_direction(self) -> None:
        """Minimizing the negative of a score is maximizing it."""
        upwards = rounds(self.make(MIXED), merit, 4)
        assert rounds(self.make(MIXED, direction="minimize"), lambda config: -merit(config), 4) == upwards

    # --- legal configs -------------------------------------------------------------------------------------------

    def test_proposals_are_legal(self) -> None:
        """In spaces with conditions, with lists, with few points or with one."""
        for space in SPACES:
            self.proposals_are_legal(space, seed=3)

    def proposals_are_legal(self, space: Space, seed: int) -> None:
        """Demand legal proposals of `space` in batches of several sizes, a fifth of them failed, in both directions."""
        directions: tuple[Direction, ...] = ("maximize", "minimize")
        for direction in directions:
            searcher = self.make(space, seed, direction)
            rng = generator(seed, "contract")
            for n in (30, 1, 60, 7):
                configs = self.ask(searcher, space, n)
                failed = rng.random(len(configs)) < 0.2
                searcher.tell(configs, np.where(failed, np.nan, rng.random(len(configs))))

    def test_ask_takes_a_number_of_configs_and_nothing_else(self) -> None:
        """Also an integer of NumPy; anything else is refused, and costs nothing."""
        searcher = self.make(MIXED)
        assert searcher.ask(0) == []
        wrong: tuple[Any, ...] = (-1, 1.5, True, "3", None, math.nan, 2**31)
        for n in wrong:
            assert "is not legal" in _refused(searcher.ask, n), f"ask({n!r})"
        numpys: Any = np.int64(2)
        assert len(searcher.ask(numpys)) == searcher.asked == 2

    def test_is_exhausted_after_total(self) -> None:
        """A searcher that runs out says when, and then proposes nothing; another proposes what is asked for."""
        searcher = self.make(FINITE)
        self.ask(searcher, FINITE, 1000)
        assert len(self.ask(searcher, FINITE, 1)) == (searcher.total is None)

    def test_batch_total_and_remainder(self) -> None:
        """A batch and a total are at least 1, and nothing remains of a total that was asked for."""
        searcher = self.make(MIXED)
        assert searcher.batch is None or searcher.batch >= 1
        assert searcher.total is None or searcher.total >= 1
        assert searcher.remainder(searcher.total or 1) is None

    def test_configs_are_the_callers(self) -> None:
        """Whatever she does with them, the space and later proposals stay what they are."""
        searcher, other, before = self.make(LISTS), self.make(LISTS), copy.deepcopy(LISTS)
        configs = searcher.ask(200)
        for config in configs:
            config["width"].append(1)
            config["depth"] = 9
        assert all(config["width"] in ([64, 32, 1], [8, 1]) for config in configs)
        other.ask(200)
        assert before == LISTS
        assert searcher.ask(20) == other.ask(20)

    def test_what_is_inactive_never_counts(self) -> None:
        """A value whose condition fails, and a name that the space lacks, may be told and change nothing."""
        results = []
        for more in ({}, {"momentum": 0.9, "l2": 0.1}):
            searcher = self.make(MIXED)
            for _ in range(3):
                configs = searcher.ask(50)
                searcher.tell([{**more, **config} for config in configs], [merit(config) for config in configs])
            results.append(self.ask(searcher, MIXED, 50))
        assert results[0] == results[1]

    # --- results that help nobody --------------------------------------------------------------------------------

    def test_all_failed(self) -> None:
        """A NaN is a failed trial."""
        for space in SPACES:
            self.goes_on([math.nan] * 3, space)

    def test_infinite_scores(self) -> None:
        """A score that is not finite is none, whichever its sign."""
        directions: tuple[Direction, ...] = ("maximize", "minimize")
        for direction in directions:
            self.goes_on([math.inf, -math.inf, math.nan, 0.5, math.inf], direction=direction)

    def test_infinite_is_as_bad_as_nan(self) -> None:
        """A trial that diverged to infinity in the right direction is no good one."""
        results = []
        for bad in (math.nan, math.inf, -math.inf):
            searcher = self.make(MIXED)
            for _ in range(3):
                configs = searcher.ask(50)
                searcher.tell(configs, [merit(config) if config["depth"] > 2 else bad for config in configs])
            results.append(self.ask(searcher, MIXED, 50))
        assert results[0] == results[1] == results[2]

    def test_one_that_did_not_fail(self) -> None:
        """One score of a batch is too little to learn from, and no reason to stop."""
        searcher = self.make(MIXED)
        for _ in range(3):
            configs = self.ask(searcher, MIXED, 20)
            searcher.tell(configs, [0.5] + [math.nan] * 19)
        self.ask(searcher, MIXED, 20)

    def test_all_equal(self) -> None:
        """Also where the equal scores are the largest numbers that there are."""
        for space in SPACES:
            self.goes_on([0.7] * 4, space)
        self.goes_on([1e308, -1e308, 1e308, 0.0, 5e-324])

    def test_one_trial_at_a_time(self) -> None:
        """One trial only, and then another one, each told before the next."""
        searcher = self.make(MIXED)
        for _ in range(70):
            configs = self.ask(searcher, MIXED, 1)
            searcher.tell(configs, [merit(config) for config in configs])

    def test_ask_without_tell(self) -> None:
        """Results may never come, or come for some."""
        searcher = self.make(MIXED)
        first = self.ask(searcher, MIXED, 150)
        self.ask(searcher, MIXED, 150)
        searcher.tell(first[:60], [merit(config) for config in first[:60]])
        for _ in range(3):
            self.ask(searcher, MIXED, 70)

    def test_told_what_was_never_asked(self) -> None:
        """Results of an earlier search, before the first ask; and of one config many times."""
        for n in (1, 3, 300):
            searcher = self.make(MIXED)
            others = MIXED.sample(generator(1, "contract"), n)
            searcher.tell(others, [merit(config) for config in others])
            searcher.tell(others[:1] * 40, np.arange(40.0))
            for _ in range(3):
                configs = self.ask(searcher, MIXED, 60)
                searcher.tell(configs, [merit(config) for config in configs])

    def test_told_what_the_space_does_not_have(self) -> None:
        """It is refused in a sentence or ignored, and leaves no trace."""
        results = []
        for wrong in (False, True):
            searcher = self.make(MIXED)
            configs = searcher.ask(50)
            told = [*configs[:9], {**configs[9], "depth": 99}]
            if wrong and (said := _refused(searcher.tell, told, [9.0] * 10)):
                assert "depth = 99" in said, said
            searcher.tell(configs, [merit(config) for config in configs])
            results.append(self.ask(searcher, MIXED, 50))
        assert results[0] == results[1]

    def test_told_configs_with_parts_missing(self) -> None:
        """Of an earlier search of fewer hyperparameters, say: refused without a trace, or ignored, or learned from."""
        results = []
        for wrong in (False, True):
            searcher = self.make(NESTED)
            configs, refused = searcher.ask(30), False
            parts = [
                {n: v for n, v in c.items() if n not in (list(c)[i % len(c)], "epochs")} for i, c in enumerate(configs)
            ]
            if wrong:
                refused = bool(_refused(searcher.tell, parts, np.arange(30.0)))
            searcher.tell(configs, np.arange(30.0))
            results.append(self.ask(searcher, NESTED, 40))
            for _ in range(3):
                searcher.tell(configs := self.ask(searcher, NESTED, 40), np.arange(float(len(configs))))
        assert not refused or results[0] == results[1]

    def test_a_tell_of_nothing(self) -> None:
        """No results change nothing."""
        searcher, other = self.make(MIXED), self.make(MIXED)
        searcher.tell([], [])
        assert searcher.ask(20) == other.ask(20)

    def test_a_score_for_each_config(self) -> None:
        """Any other number of them is refused."""
        searcher = self.make(MIXED)
        configs = searcher.ask(1)
        said = _refused(searcher.tell, configs, [0.1, 0.2])
        assert "2 scores for 1 configs: there must be one for each" in said

    def test_a_space_of_one_point(self) -> None:
        """There is nothing to search, and it is proposed at least once."""
        for space, only in ((POINT, {"depth": 3, "optimizer": "adam"}), (CONSTANTS, {"epochs": 3, "rms_decay": 0.5})):
            searcher = self.make(space)
            batches = [self.ask(searcher, space, 5)]
            assert batches[0]
            for _ in range(4):
                searcher.tell(batches[-1], [1.0] * len(batches[-1]))
                batches.append(self.ask(searcher, space, 60))
            assert all(config == only for batch in batches for config in batch)

    # --- settings ------------------------------------------------------------------------------------------------

    def test_refuses_a_seed_or_a_direction_that_is_none(self) -> None:
        """In a sentence, when it is made."""
        seeds: tuple[Any, ...] = (-1, "a", 1.5, None, True, 2**63)
        for seed in seeds:
            assert f"seed = {seed!r} is not legal" in _refused(self.make, MIXED, seed, "maximize")
        directions: tuple[Any, ...] = ("up", None, 1)
        for direction in directions:
            said = _refused(self.make, MIXED, 0, direction)
            assert f"direction = {direction!r} is not legal: it must be maximize or minimize" in said

    def test_describes_itself(self) -> None:
        """In one line for the table of searchers."""
        description = type(self.make(MIXED)).description
        assert 10 < len(description) < 80
        assert "\n" not in description


def _refused(call: Callable[..., Any], *arguments: Any) -> str:
    """Return what RequestError says of a call, or an empty string if there is none."""
    try:
        call(*arguments)
    except RequestError as error:
        return str(error)
    return ""

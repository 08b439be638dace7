"""Every searcher of the registry passes the contract, also over random spaces."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import spaces

from jaxsweep.errors import RequestError
from jaxsweep.search import SEARCHERS, Searcher, make
from jaxsweep.search.contract import SearcherContract
from jaxsweep.spec.distributions import FloatArray
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.metrics import Direction
from jaxsweep.spec.space import Space

# Optuna's TPE takes minutes for all of this; `test_optuna.py` has of it what depends on the sampler.
OPTIONS: dict[str, dict[str, Any]] = {"optuna": {"sampler": "nsgaii"}}


class Of(SearcherContract):
    """The contract of the searcher that the registry has under a name."""

    name: str

    def make(self, space: Space, seed: int = 0, direction: Direction = "maximize") -> Searcher:
        return make(self.name, space, seed, direction, **OPTIONS.get(self.name, {}))


class TestSearchers(Of):
    @pytest.fixture(autouse=True, params=SEARCHERS)
    def one_after_another(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param


@pytest.mark.parametrize("name", SEARCHERS)
@given(space=spaces(), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_proposals_are_legal_in_random_spaces(name: str, space: Space, seed: int) -> None:
    contract = Of()
    contract.name = name
    contract.proposals_are_legal(space, seed)


class Random(Searcher):
    """Random configs, with the flaws of its subclasses."""

    description = "random configs that are wrong somehow"
    first = 0

    def _propose(self, n: int) -> list[Config]:
        return self.space.sample(np.random.default_rng([self.seed, self.first, self.asked]), n)


class Illegal(Random):
    def _propose(self, n: int) -> list[Config]:
        return [{**config, "momentum": 0.5} for config in super()._propose(n)]


class Fewer(Random):
    def _propose(self, n: int) -> list[Config]:
        return super()._propose(n)[: max(1, n - 1)]


class Global(Random):
    def _propose(self, n: int) -> list[Config]:
        self.first = np.random.randint(1000)  # noqa: NPY002
        return super()._propose(n)


class Shared(Random):
    def _propose(self, n: int) -> list[Config]:
        return [{"width": width, "batch_size": 1} for width in [[8]] * n]


class Order(Random):
    def _learn(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray) -> None:
        self.first = len(str(configs[0]))


class Direct(Random):
    def _learn(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray) -> None:
        self.first = int(self.direction == "minimize")


class Inactive(Random):
    def _learn(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray) -> None:
        self.first = sum("momentum" in config for config in configs)


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Random, "test_asking_in_pieces_gives_the_same"),
        (Illegal, "test_all_equal"),
        (Illegal, "test_proposals_are_legal"),
        (Fewer, "test_ask_without_tell"),
        (Global, "test_global_random_numbers_have_no_part"),
        (Global, "test_same_seed_and_calls_give_the_same"),
        (Shared, "test_configs_are_the_callers"),
        (Shared, "test_a_space_of_one_point"),
        (Order, "test_told_in_any_order_with_others"),
        (Direct, "test_direction"),
        (Inactive, "test_what_is_inactive_never_counts"),
    ],
)
def test_the_contract_catches(kind: type[Searcher], test: str) -> None:
    class Flawed(SearcherContract):
        def make(self, space: Space, seed: int = 0, direction: Direction = "maximize") -> Searcher:
            return kind(space, seed=seed, direction=direction)

    with pytest.raises((AssertionError, RequestError)):
        getattr(Flawed(), test)()

"""Configs that come before those of a searcher: first, counted, and told before the searcher is asked."""

from typing import Any

import pytest

from jaxsweep.search import SEARCHERS, Initial, make
from jaxsweep.spec.space import Choice, Int, Space, Uniform

SPACE = Space(depth=Int(1, 3), dropout=Uniform(0, 0.9), activation=Choice(["relu", "tanh"]))
FIRST = [{"depth": depth, "dropout": 0.125, "activation": "tanh"} for depth in (3, 1)]


def _rounds(searcher: Any, n: int, rounds: int) -> list[list[dict[str, Any]]]:
    """What is asked for, in batches as the loop asks, each told by its dropout."""
    asked = []
    for _ in range(rounds):
        configs = searcher.ask(min(searcher.batch or n, n))
        searcher.tell(configs, [config["dropout"] for config in configs])
        asked.append(configs)
    return asked


@pytest.mark.parametrize("name", SEARCHERS)
def test_they_come_first_and_the_rest_is_the_searchers_own(name: str) -> None:
    searcher, alone = Initial(FIRST, make(name, SPACE, seed=3)), make(name, SPACE, seed=3)
    asked = _rounds(searcher, 20, 3)
    assert [config for batch in asked for config in batch][:2] == FIRST
    if searcher.learns:  # a batch of their own, told before the first ask
        assert [len(batch) for batch in asked] == [2, 20, 20]
        alone.tell(FIRST, [0.125, 0.125])
        assert asked[1:] == _rounds(alone, 20, 2)
    else:
        assert len(asked[0]) == 20
        assert asked[0][2:] == alone.ask(18)


def test_total_and_remainder_count_them() -> None:
    grid = make("grid", SPACE, resolution=2)
    searcher = Initial(FIRST, grid)
    assert (grid.total, searcher.total) == (8, 10)
    assert len(searcher.ask(100)) == 10
    assert searcher.ask(1) == []
    assert searcher.remainder(10) is None
    assert searcher.remainder(4) == "the grid has 8 points, 2 asked for: 6 are not tried"
    assert searcher.remainder(1) == "1 of 2 initial configs is not tried"
    endless = Initial(FIRST, make("random", SPACE))
    assert (endless.total, endless.remainder(5), endless.remainder(2)) == (None, None, None)


def test_fewer_than_there_are_and_one_at_a_time() -> None:
    for name in ("random", "evolution"):
        searcher = Initial(FIRST, make(name, SPACE))
        assert searcher.ask(1) + searcher.ask(1) == FIRST
        assert len(searcher.ask(1)) == 1


def test_what_is_proposed_is_the_callers_to_change() -> None:
    searcher = Initial(FIRST, make("random", SPACE))
    searcher.ask(2)[0]["depth"] = 99
    assert FIRST[0]["depth"] == 3


def test_a_searcher_says_whether_it_learns() -> None:
    assert {name for name in SEARCHERS if make(name, SPACE).learns} >= {"evolution"}
    assert not any(make(name, SPACE).learns for name in ("random", "grid", "sobol"))

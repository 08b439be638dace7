"""A sweep of more trials begins with those of a sweep of fewer, by every searcher that has one."""

from typing import Any

import pytest

import jaxsweep as js
from jaxsweep.search import SEARCHERS
from jaxsweep.setup import set_up
from jaxsweep.spec.request import Request

SPACE = js.Space(learning_rate=js.LogUniform(1e-3, 1.0), width=js.Int(4, 64), l2=js.Uniform(0.0, 1.0))
OPTIONS: dict[str, dict[str, Any]] = {
    "grid": {"resolution": 4},
    "zoom": {"per_round": 12},
    "gradient": {"starts": 12},
    **{name: {"population": 12} for name in ("bayes", "cmaes", "de", "evolution", "optuna", "policy")},
}


def _proposed(iris: js.Dataset, name: str, trials: int) -> list[dict[str, Any]]:
    """Return what a sweep proposes, told a score that follows from each config."""
    setup = set_up(iris, Request(space=SPACE, trials=trials, search=name, options=OPTIONS.get(name, {})))
    configs: list[dict[str, Any]] = []
    while len(configs) < trials:
        asked, _ = setup.ask(len(configs), trials - len(configs))
        if wants := setup.searcher.wants_gradients:
            setup.searcher.tell_gradients(asked, [1.0] * len(asked), [dict.fromkeys(wants, 0.1)] * len(asked))
        setup.searcher.tell(asked, [-abs(config["width"] - 30) - config["l2"] for config in asked])
        configs += asked
    return configs


@pytest.mark.parametrize("name", sorted(SEARCHERS))
def test_a_longer_sweep_begins_as_a_shorter_one(iris: js.Dataset, name: str) -> None:
    longest = _proposed(iris, name, 40)
    for trials in (1, 11, 13, 30):  # less than a batch of 12, more than one, more than two
        assert _proposed(iris, name, trials) == longest[:trials], trials

"""What the policy promises beyond the contract: it learns by ranks, of what is active alone."""

from typing import Any

import numpy as np
import pytest

from jaxsweep.errors import RequestError
from jaxsweep.search import make
from jaxsweep.search.contract import MIXED, merit, rounds
from jaxsweep.search.policy import RARE, Policy, _rewards
from jaxsweep.spec.space import Choice, Space, Uniform

CONDITIONAL = Space(optimizer=Choice(["sgd", "adam"]), momentum=Uniform(0, 0.99, when={"optimizer": "sgd"}))


def policy(space: Space, **options: Any) -> Policy:
    searcher = make("policy", space, **options)
    assert isinstance(searcher, Policy)
    return searcher


def test_it_learns() -> None:
    batches = rounds(policy(MIXED), merit, 12)
    means = [np.mean([merit(config) for config in batch]) for batch in batches]
    assert means[-1] > means[0] + 1.3
    assert np.mean([config["optimizer"] == "adam" for config in batches[-1]]) > 0.8


def test_rewards_are_ranks() -> None:
    """The worse half gets nothing, equals get the same, and the scale has no effect."""
    rewards = _rewards(np.array([3.0, -np.inf, 1e300, 0.0, 2.0, -np.inf]))
    assert rewards.sum() == pytest.approx(1)
    assert rewards[2] > rewards[0] > rewards[4] > 0
    np.testing.assert_array_equal(rewards[[1, 3, 5]], 0)
    np.testing.assert_array_equal(_rewards(np.array([5.0, 5.0, 5.0])), _rewards(np.full(3, -np.inf)))
    tied = _rewards(np.array([1.0, 2.0, 2.0, 0.0]))
    assert tied[1] == tied[2]


def test_equal_scores_teach_nothing() -> None:
    searcher = policy(MIXED, entropy=0)
    rounds(searcher, lambda config: 1.0, 3)
    np.testing.assert_allclose(searcher._means, 0.5, atol=1e-12)
    for odds in searcher._odds:
        assert odds is None or np.ptp(odds) < 1e-12


def test_what_is_inactive_has_no_part() -> None:
    """Under adam the momentum is absent: scores that only adam has leave its head where it was."""
    searcher = policy(CONDITIONAL, entropy=0)
    before = searcher._means.copy(), searcher._spreads.copy()
    rounds(searcher, lambda config: 1.0 if config["optimizer"] == "adam" else 0.0, 3)
    column = CONDITIONAL.columns.index("momentum")
    for array, known in zip((searcher._means, searcher._spreads), before, strict=True):
        assert array[column] == pytest.approx(known[column], abs=1e-12)
    odds = searcher._odds[CONDITIONAL.columns.index("optimizer")]
    assert odds is not None
    assert odds[1] > 0.9


def test_no_value_of_a_choice_gets_lost_and_entropy_keeps_more() -> None:
    odds = []
    for entropy in (0.0, 1.0):
        searcher = policy(CONDITIONAL, entropy=entropy)
        rounds(searcher, lambda config: float(config["optimizer"] == "adam"), 8)
        (known,) = (each for each in searcher._odds if each is not None)
        odds.append(known[0])
    assert odds[0] + 1e-12 >= RARE / 2
    assert odds[1] > odds[0]


def test_told_strangers_teach_too() -> None:
    searcher = policy(MIXED)
    others = make("random", MIXED, 5).ask(200)
    searcher.tell(others, [merit(config) for config in others])
    first = np.mean([merit(config) for config in searcher.ask(50)])
    assert first > np.mean([merit(config) for config in make("policy", MIXED).ask(50)]) + 0.3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": -1}, r"rate = -1 is not legal: it must be a number in \[0, 2\]"),
        ({"entropy": "x"}, r"entropy = 'x' is not legal: it must be a number in \[0, 1\]"),
        ({"population": 1}, "population = 1 is not legal"),
    ],
)
def test_illegal_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        make("policy", MIXED, **options)

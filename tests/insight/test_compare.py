"""Groups of trials, and luck: beside the textbook's tests and what is known of the numbers they were made from."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from jaxsweep.errors import RequestError
from jaxsweep.insight.compare import compare, luck
from jaxsweep.insight.sheet import Factor, Sheet


def sheet(scores: Any, sign: int = 1, **factors: Factor) -> Sheet:
    n = len(scores)
    none = np.zeros(n, bool)
    return Sheet(np.arange(n), factors, np.asarray(scores, float), none, "val_accuracy", sign, {})


def test_a_grid_is_compared_config_by_config() -> None:
    """As a paired t-test has it."""
    dice = np.random.default_rng(0)
    rate, word = np.repeat(np.arange(40.0), 2), np.tile([0.0, 1.0], 40)
    scores = 10 * np.sin(rate) + 0.5 * word + 0.2 * dice.normal(size=80)
    found = compare(sheet(scores, rate=Factor("rate", rate), word=Factor("word", word, ("a", "b"))), "word")
    first, second = found.groups
    assert (first.value, second.value, found.matched) == ("b", "a", 40)
    assert found.how == "in 40 configs that differ in nothing else"
    expected = stats.ttest_rel(scores[1::2], scores[::2]).confidence_interval()
    assert (second.low, second.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert second.behind == pytest.approx(scores[1::2].mean() - scores[::2].mean())
    assert (first.behind, first.low, first.high) == (0, 0, 0)
    assert "b is ahead of a by" in found.told()


@pytest.mark.parametrize("sign", [1, -1])
def test_random_configs_are_compared_at_equal_other_hyperparameters(sign: int) -> None:
    """Where one value had better other hyperparameters, and is worse itself."""
    dice = np.random.default_rng(1)
    word = dice.integers(0, 3, 1500)
    rate = dice.random(1500) * np.where(word == 0, 1.0, 0.7) + np.where(word == 0, 0.3, 0.0)  # 0 has larger ones
    scores = sign * (2 * rate + np.array([0.0, 0.3, 0.1])[word] + 0.1 * dice.normal(size=1500))
    made = sheet(scores, sign, rate=Factor("rate", rate), word=Factor("word", word.astype(float), ("a", "b", "c")))
    found = compare(made, "word")
    assert found.matched == 0
    assert [group.value for group in found.groups] == ["b", "c", "a"]
    means = {group.value: sign * group.mean for group in found.groups}
    assert means["a"] > means["b"]  # what a naive table would say
    behind = {group.value: (group.low, group.high) for group in found.groups}
    assert behind["c"][0] < 0.2 < behind["c"][1]
    assert behind["a"][0] < 0.3 < behind["a"][1]
    assert found.groups[1].effect == pytest.approx(0.2 / 0.1, rel=0.3)


def test_few_trials_of_many_hyperparameters_are_compared_value_by_value() -> None:
    """Also where a model of them has no room for each value of another one."""
    dice = np.random.default_rng(0)
    size = np.tile([16.0, 32.0, 64.0], 20)
    others = {f"x{i}": Factor(f"x{i}", dice.random(60)) for i in range(9)}
    found = compare(sheet(size / 16 + 0.1 * dice.normal(size=60), 1, size=Factor("size", size), **others), "size")
    assert [group.value for group in found.groups] == ["64", "32", "16"]
    assert [group.behind for group in found.groups] == pytest.approx([0, 2, 3], abs=0.2)


def test_intervals_hold_what_is_true() -> None:
    """Of 40 comparisons of two values that are the same about 95 % say so."""
    held = 0
    for seed in range(40):
        dice = np.random.default_rng(seed)
        word, rate = dice.integers(0, 2, 200).astype(float), dice.random(200)
        made = sheet(rate + dice.normal(size=200), rate=Factor("rate", rate), word=Factor("word", word, ("a", "b")))
        held += compare(made, "word").groups[1].low <= 0
    assert held >= 34


@pytest.mark.parametrize(
    ("name", "scores", "match"),
    [
        ("wrod", np.arange(30.0), "'wrod' was not varied in this sweep; did you mean 'word'"),
        ("rate", np.arange(30.0), "rate has 30 values, and up to 12 can be compared"),
        ("word", np.full(30, np.nan), "word has one value in all trials with a score"),
        ("word", [1.0, 2.0] + [np.nan] * 28, "2 trials have a score and a word: to compare takes 20 at least"),
        (5, np.arange(30.0), "5 was not varied in this sweep"),
    ],
)
def test_what_cannot_be_compared_is_said(name: Any, scores: Any, match: str) -> None:
    word = Factor("word", np.arange(30.0) % 2, ("a", "b"))
    with pytest.raises(RequestError, match=match):
        compare(sheet(scores, rate=Factor("rate", np.arange(30.0)), word=word), name)


@pytest.mark.parametrize("configs", [0.0, 0.5, 3.0])
def test_luck_is_told_from_configs(configs: float) -> None:
    dice = np.random.default_rng(0)
    table = configs * dice.normal(size=(400, 1)) + dice.normal(size=(400, 5))
    found = luck(table, "seed", "val_loss")
    assert found.luck == pytest.approx(1.0, rel=0.05)
    assert found.configs == pytest.approx(configs, abs=0.15)
    assert found.low <= 1 / (1 + configs**2) <= found.high
    assert found.low <= found.share <= found.high
    # The mean squares are those of the textbook's analysis of variance.
    between = table.mean(axis=1).var(ddof=1) * 5
    assert stats.f_oneway(*table).statistic == pytest.approx(between / found.luck**2)


def test_luck_needs_replicates_and_trials() -> None:
    with pytest.raises(RequestError, match="each config was trained once: with replicates the sweep can tell luck"):
        luck(np.zeros((9, 1)), "seed", "val_loss")
    with pytest.raises(RequestError, match="1 trials have all of their scores"):
        luck(np.array([[1.0, 2.0], [np.nan, 1.0]]), "fold", "val_loss")
    same = luck(np.ones((9, 3)), "seed", "val_loss")
    assert (same.share, same.luck, same.configs) == (0, 0, 0)

"""Zooming in: where the box lies, how it shrinks, and what becomes of choices, integers and small spaces."""

from typing import Any

import numpy as np
import pytest

from jaxsweep.errors import RequestError
from jaxsweep.search import make
from jaxsweep.spec.space import Choice, Int, Space, Uniform

SPACE = Space(dropout=Uniform(0, 1e-1), input_dropout=Uniform(0, 1e-1))


def sides(configs: list[dict[str, Any]], space: Space = SPACE) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower end and the length of what configs cover of each range, in the unit cube."""
    u = space.to_unit(configs)
    return u.min(axis=0), np.ptp(u, axis=0)


@pytest.mark.parametrize("seed", range(3))
def test_the_box_halves_and_lies_around_the_best_region_of_a_noisy_quadratic(seed: int) -> None:
    searcher, rng = make("zoom", SPACE, per_round=64, seed=seed), np.random.default_rng(seed)
    best = np.array([0.3, 0.6])
    for side in (1.0, 0.5, 0.25, 0.125, 0.0625, 0.05, 0.05):
        configs = searcher.ask(64)
        low, length = sides(configs)
        np.testing.assert_allclose(length, side, rtol=0.06)  # 64 Sobol points leave 1/64 at most at each end
        assert (low <= best + 0.01).all()
        assert (low + length >= best - 0.01).all()
        losses = ((SPACE.to_unit(configs) - best) ** 2).sum(axis=1) + 0.002 * rng.standard_normal(64)
        searcher.tell(configs, -losses)


def test_one_lucky_score_does_not_pull_the_box() -> None:
    searcher, others = make("zoom", SPACE, per_round=60), []
    for lucky in (False, True):
        searcher = make("zoom", SPACE, per_round=60)
        configs = searcher.ask(60)
        u = SPACE.to_unit(configs)
        scores = -np.abs(u - 0.7).max(axis=1)
        if lucky:
            scores[np.argmin(u.sum(axis=1))] = 9.0
        searcher.tell(configs, scores)
        others.append(sides(searcher.ask(60))[0])
    np.testing.assert_allclose(others[0], others[1], atol=0.06)


def test_at_an_end_of_the_space_the_box_is_moved_inwards() -> None:
    searcher = make("zoom", SPACE, per_round=64)
    for side in (1.0, 0.5, 0.25, 0.125):
        configs = searcher.ask(64)
        low, length = sides(configs)
        np.testing.assert_allclose(length, side, rtol=0.06)
        np.testing.assert_allclose(low + length, 1.0, atol=0.03)
        searcher.tell(configs, SPACE.to_unit(configs).min(axis=1))


def test_a_round_ends_when_its_results_are_there() -> None:
    """Two batches of 32 are one round of 64; results of an earlier search are one round, however many they are."""
    searcher = make("zoom", SPACE, per_round=64)
    lengths = []
    for _ in range(4):
        configs = searcher.ask(32)
        lengths.append(sides(configs)[1].mean())
        searcher.tell(configs, SPACE.to_unit(configs)[:, 0])
    np.testing.assert_allclose(lengths, [1, 1, 0.5, 0.5], rtol=0.1)
    searcher = make("zoom", SPACE, per_round=64)
    earlier = SPACE.sample(np.random.default_rng(0), 1000)
    searcher.tell(earlier, SPACE.to_unit(earlier)[:, 0])
    np.testing.assert_allclose(sides(searcher.ask(64))[1], 0.5, rtol=0.06)
    np.testing.assert_allclose(sides(searcher.ask(64))[1], 0.5, rtol=0.06)  # nothing new was told


def test_the_factor_is_an_option() -> None:
    searcher = make("zoom", SPACE, per_round=64, shrink=0.8)
    for side in (1.0, 0.8, 0.64):
        configs = searcher.ask(64)
        np.testing.assert_allclose(sides(configs)[1], side, rtol=0.06)
        searcher.tell(configs, SPACE.to_unit(configs)[:, 0])
    with pytest.raises(RequestError, match=r"shrink = 1.5 is not legal: it must be a number in \[0, 1\]"):
        make("zoom", SPACE, shrink=1.5)


def test_choices_among_the_best_are_kept_and_others_drawn_a_tenth_as_often() -> None:
    space = Space(dropout=Uniform(0, 0.8), activation=Choice(["relu", "tanh", "gelu", "elu"]))
    searcher = make("zoom", space, per_round=200)
    configs = searcher.ask(200)
    searcher.tell(configs, [config["activation"] in ("tanh", "elu") for config in configs])
    words = [config["activation"] for config in searcher.ask(2200)]
    counts = [words.count(word) for word in ("relu", "tanh", "gelu", "elu")]
    np.testing.assert_allclose(counts, [100, 1000, 100, 1000], rtol=0.05)


def test_integers_keep_their_neighbours() -> None:
    space = Space(depth=Int(1, 10), width=Int(1, 1000, log=True), dropout=Uniform(0, 0.8))
    searcher = make("zoom", space, per_round=100)
    for _ in range(6):
        configs = searcher.ask(100)
        searcher.tell(configs, [-abs(config["depth"] - 4) - abs(config["width"] - 2) for config in configs])
    assert {config["depth"] for config in configs} == {3, 4, 5}
    assert {1, 2, 3} <= {config["width"] for config in configs} <= {1, 2, 3, 4}


def test_what_was_inactive_in_the_best_keeps_its_whole_range() -> None:
    space = Space(
        dropout=Uniform(0, 0.8), optimizer=Choice(["sgd", "adam"]), momentum=Uniform(0, 0.9, when={"optimizer": "sgd"})
    )
    searcher = make("zoom", space, per_round=50)
    configs = searcher.ask(50)
    searcher.tell(configs, [config["optimizer"] == "adam" for config in configs])
    momenta = [config["momentum"] for config in searcher.ask(1000) if "momentum" in config]
    assert 50 < len(momenta) < 150
    assert min(momenta) < 0.1
    assert max(momenta) > 0.8


def test_nothing_twice_while_there_is_something_new() -> None:
    """Once the box of a small space is used up, the rest of the space is; and then anything goes."""
    space = Space(depth=Int(0, 16), patience=Int(0, 9))
    searcher, asked = make("zoom", space, per_round=20), []
    for _ in range(8):
        configs = searcher.ask(20)
        searcher.tell(configs, [-config["depth"] - config["patience"] for config in configs])
        asked.append({repr(config) for config in configs})
    assert [len(each) for each in asked[1:]] == [20] * 7
    assert len(set().union(*asked)) > 150  # of 170

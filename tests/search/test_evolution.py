"""Which children evolution proposes: those around which the configs told so far rank best."""

from typing import Any

import numpy as np
import pytest

from jaxsweep.search import make
from jaxsweep.search.evolution import Evolution
from jaxsweep.spec.space import Choice, Space, Uniform

SPACE = Space(dropout=Uniform(0, 0.8), input_dropout=Uniform(0, 0.8))


def grid(count: int) -> list[dict[str, Any]]:
    """Return configs that fill SPACE evenly, count x count of them."""
    ticks = (np.arange(count) + 0.5) / count * 0.8
    return [{"dropout": float(a), "input_dropout": float(b)} for a in ticks for b in ticks]


@pytest.mark.parametrize("seed", range(3))
def test_one_lucky_score_lifts_no_region(seed: int) -> None:
    """The best config by far lies among the worst; it breeds the most, but where it is nobody else did well."""
    configs = grid(10)
    scores = [config["dropout"] + config["input_dropout"] for config in configs]
    assert configs[11] == pytest.approx({"dropout": 0.12, "input_dropout": 0.12})
    scores[11] = 9.0
    searcher = make("evolution", SPACE, population=50, seed=seed)
    searcher.tell(configs, scores)
    children = searcher.ask(50)
    assert len(children) == 50
    assert sum(max(child["dropout"], child["input_dropout"]) < 0.4 for child in children) == 0
    assert np.mean([child["dropout"] + child["input_dropout"] for child in children]) > 1.2  # of at most 1.6


def test_a_choice_that_did_badly_is_not_proposed() -> None:
    """A quarter of all children draw their choice anew; where it is a bad one, another child is kept."""
    space = Space(dropout=Uniform(0, 0.8), activation=Choice(["relu", "tanh"]))
    rng = np.random.default_rng(0)
    configs = space.sample(rng, 100)
    searcher = make("evolution", space, population=50)
    searcher.tell(configs, [(config["activation"] == "relu") + 0.01 * rng.random() for config in configs])
    assert {child["activation"] for child in searcher.ask(50)} == {"relu"}


def test_what_was_told_before_the_first_ask_is_of_the_first_population() -> None:
    """From a whole one it breeds at once; from a part of it, it completes it by points that are spread evenly."""
    cold = make("evolution", SPACE, population=50).ask(50)
    configs = grid(10)
    merits = [config["dropout"] + config["input_dropout"] for config in configs]
    warm, half, failed = (make("evolution", SPACE, population=50) for _ in range(3))
    warm.tell(configs, merits)
    assert np.mean([child["dropout"] + child["input_dropout"] for child in warm.ask(50)]) > 1.2
    half.tell(configs[:30], merits[:30])
    assert half.ask(50)[:20] == cold[:20]
    failed.tell(configs, [np.nan] * 100)
    assert failed.ask(50) == cold


def test_distances_are_those_of_the_definition() -> None:
    """Of numbers the square of their difference, of two choices 1/4, of a gene that either has not 0."""
    space = Space(
        dropout=Uniform(0, 0.8), activation=Choice(["relu", "tanh", "gelu"]), optimizer=Choice(["adam", "sgd"]),
        momentum=Uniform(0, 0.9, when={"optimizer": "sgd"}), nesterov=Choice([True, False], when={"optimizer": "sgd"}),
    )  # fmt: skip
    searcher = make("evolution", space)
    assert isinstance(searcher, Evolution)
    genes = space.to_unit(space.sample(np.random.default_rng(0), 60))
    expected = np.zeros((60, 60))
    for column, name in enumerate(space.columns):
        difference = np.nan_to_num(genes[:, column, None] - genes[:, column])
        expected += np.where(difference == 0, 0, 1 / 4) if isinstance(space.entries[name], Choice) else difference**2
    np.testing.assert_allclose(searcher.distances(genes, genes), expected, atol=1e-14)

"""Hypergradients as a searcher: where steps go, how long they are, and what becomes of a start."""

from typing import Any

import numpy as np
import pytest

from jaxsweep.errors import RequestError
from jaxsweep.search import Initial, make
from jaxsweep.search.gradient import Gradient, _rate
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.space import Choice, Int, LogUniform, Space, Uniform

SPACE = Space(
    learning_rate=LogUniform(1e-4, 1.0), momentum=Uniform(0, 0.9), depth=Int(1, 6), optimizer=Choice(["sgd", "adam"])
)
NAMES = ("momentum", "learning_rate")
FLAT = Space(l2=Uniform(0, 1), l1=Uniform(0, 1))


def loss(config: Config) -> float:
    """Return a loss with its least at learning rate 0.01 and momentum 0.5, narrow along one of them."""
    return float(np.log10(config["learning_rate"] / 0.01) ** 2 + 30 * (config["momentum"] - 0.5) ** 2 + config["depth"])


def slopes(config: Config) -> dict[str, float]:
    rate = config["learning_rate"]
    return {
        "learning_rate": float(2 * np.log10(rate / 0.01) / rate / np.log(10)),
        "momentum": 60 * (config["momentum"] - 0.5),
    }


def started(space: Space = SPACE, **settings: Any) -> Gradient:
    searcher = make("gradient", space, **settings)
    assert isinstance(searcher, Gradient)
    return searcher


def tell(searcher: Any, configs: list[Config], values: list[float], rates: list[dict[str, float]]) -> None:
    searcher.tell_gradients(configs, values, rates)
    searcher.tell(configs, [-value for value in values])


def told(searcher: Any, count: int) -> list[list[Config]]:
    batches = []
    for _ in range(count):
        batches.append(searcher.ask(searcher.batch))
        tell(searcher, batches[-1], [loss(c) for c in batches[-1]], [slopes(c) for c in batches[-1]])
    return batches


def test_every_start_goes_downhill_and_what_has_no_slope_stays() -> None:
    batches = told(started(starts=12), 9)
    for start in range(12):
        first, *others = [batch[start] for batch in batches]
        assert min(map(loss, others)) - first["depth"] < 0.05 * (loss(first) - first["depth"]) + 0.02
        assert all(other["depth"] == first["depth"] and other["optimizer"] == first["optimizer"] for other in others)


def test_slopes_in_the_unit_cube_are_those_of_its_map() -> None:
    for entry, value in ((LogUniform(1e-4, 1.0), 0.03), (Uniform(2, 5), 3.0)):
        unit = float(entry.unit_from_codes(np.array([value]))[0])
        up, down = entry.codes_from_unit(np.array([unit + 1e-4, unit - 1e-4]))
        np.testing.assert_allclose(_rate(entry, value), (up - down) / 2e-4, rtol=1e-4)


def test_a_step_that_is_of_no_use_is_taken_back_and_halved() -> None:
    searcher = started(FLAT, starts=1, step=0.1)
    (first,) = searcher.ask(1)
    tell(searcher, [first], [1.0], [{"l2": 3.0, "l1": -1.5}])
    (second,) = searcher.ask(1)
    assert second["l2"] == pytest.approx(first["l2"] - 0.1)
    assert second["l1"] == pytest.approx(first["l1"] + 0.05)
    tell(searcher, [second], [1.1], [{"l2": -9.0, "l1": 0.0}])
    (third,) = searcher.ask(1)
    assert third["l2"] == pytest.approx(first["l2"] - 0.05)
    tell(searcher, [third], [0.9], [{"l2": 1.0, "l1": 0.0}])
    (fourth,) = searcher.ask(1)
    assert fourth["l2"] == pytest.approx(third["l2"] - 0.075)  # half as long again as the one that was of use


def test_at_the_ends_of_the_cube() -> None:
    """A coordinate does not leave; the others go on."""
    searcher = started(FLAT, starts=1, step=0.5)
    (first,) = searcher.ask(1)
    tell(searcher, [first], [1.0], [{"l2": 3.0, "l1": 0.0}])
    (second,) = searcher.ask(1)
    assert second["l2"] == 0
    tell(searcher, [second], [0.9], [{"l2": 9.0, "l1": 0.01 if second["l1"] > 0.5 else -0.01}])
    (third,) = searcher.ask(1)
    assert third["l2"] == 0
    assert abs(third["l1"] - second["l1"]) == pytest.approx(0.5)


def test_a_larger_batch_has_steps_of_several_lengths() -> None:
    searcher = started(FLAT, starts=2, step=0.1)
    firsts = searcher.ask(2)
    tell(searcher, firsts, [1.0, 2.0], [{"l2": 0.0, "l1": 1.0 if config["l1"] > 0.5 else -1.0} for config in firsts])
    steps = [abs(after["l1"] - firsts[i % 2]["l1"]) for i, after in enumerate(searcher.ask(6))]
    np.testing.assert_allclose(steps, [0.1, 0.1, 0.05, 0.05, 0.2, 0.2])


def test_a_start_that_failed_makes_room_for_a_new_one() -> None:
    searcher = started(starts=3, step=0.1)
    firsts = searcher.ask(3)
    searcher.tell_gradients(firsts, [1.0, np.nan, 1.0], [slopes(config) for config in firsts])
    searcher.tell(firsts, [-1.0, np.nan, -1.0])
    seconds = searcher.ask(3)
    apart = np.nanmax(np.abs(SPACE.to_unit(seconds) - SPACE.to_unit(firsts)), axis=1)
    assert apart[1] > 0.11
    assert max(apart[[0, 2]]) <= 0.1 + 1e-9
    tell(searcher, seconds[1:2], [0.5], [slopes(seconds[1])])
    (step,) = searcher.ask(4)[3:]  # the batch before had one trial of each
    assert np.nanmax(np.abs(SPACE.to_unit([step]) - SPACE.to_unit(firsts[:1]))) <= 0.2
    third = searcher.ask(1)[0]
    assert np.nanmax(np.abs(SPACE.to_unit([third]) - SPACE.to_unit(seconds[1:2]))) <= 0.2


def test_without_gradients_it_is_a_local_search() -> None:
    searcher = started(starts=8)
    best = []
    for _ in range(40):
        configs = searcher.ask(8)
        searcher.tell(configs, [-(loss(config) - config["depth"]) for config in configs])
        best.append(min(loss(config) - config["depth"] for config in configs))
    assert min(best[20:]) < 0.2 * best[0]


def test_what_it_wants() -> None:
    assert started().wants_gradients == ("momentum", "learning_rate")
    assert Initial([], started()).wants_gradients == ("momentum", "learning_rate")
    assert make("random", SPACE).wants_gradients == ()
    with pytest.raises(RequestError, match="needs a Uniform or LogUniform entry that has a hypergradient"):
        _ = started(Space(dropout=Uniform(0, 0.5), depth=Int(1, 3))).wants_gradients


@pytest.mark.parametrize(("name", "value"), [("starts", 0), ("starts", 2.0), ("step", 0), ("step", 0.6), ("step", "a")])
def test_refuses_illegal_options(name: str, value: Any) -> None:
    with pytest.raises(RequestError, match=f"{name} = .* is not legal: it must be"):
        started(**{name: value})

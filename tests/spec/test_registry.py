"""Classes that a request names: what they are made of, and how a name or an option that there is not is refused."""

from typing import Any

import pytest

from jaxsweep.errors import RequestError
from jaxsweep.spec.registry import Registry


class Plain:
    def __init__(self, *, seed: int) -> None:
        self.seed = seed


class Tuned(Plain):
    def __init__(self, *, seed: int, rate: float = 0.5, rounds: int = 3) -> None:
        super().__init__(seed=seed)
        self.rate, self.rounds = rate, rounds


TOOLS: Registry[Any] = Registry("tool", {"plain": Plain, "tuned": Tuned}, given=("seed",))


def test_one_is_made_of_what_is_given_and_of_its_options() -> None:
    assert TOOLS.options("tuned") == {"rate": 0.5, "rounds": 3}
    assert TOOLS.options("plain") == {}
    made = TOOLS.make("tuned", {"rounds": 7}, seed=5)
    assert type(made) is Tuned
    assert (made.seed, made.rate, made.rounds) == (5, 0.5, 7)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("tunde", {}, "unknown tool 'tunde'; did you mean 'tuned'?"),
        ("x", {}, "unknown tool 'x'; known: plain, tuned"),
        (["plain"], {}, "unknown tool ['plain']; did you mean 'plain'?"),
        (None, {}, "unknown tool None; known: plain, tuned"),
        ("tuned", {"rat": 1}, "unknown option 'rat' of tool 'tuned'; did you mean 'rate'?"),
        ("tuned", {"x": 1}, "unknown option 'x' of tool 'tuned'; known: rate, rounds"),
        ("tuned", {"seed": 1}, "unknown option 'seed' of tool 'tuned'; known: rate, rounds"),
        ("plain", {"rate": 1}, "unknown option 'rate' of tool 'plain'; it has none"),
    ],
)
def test_what_there_is_not_is_refused(name: Any, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError) as caught:
        TOOLS.make(name, settings)
    assert str(caught.value) == words


def test_a_class_of_the_users_own_can_be_added_while_it_runs() -> None:
    rows: dict[str, type[Any]] = {"plain": Plain}
    tools: Registry[Any] = Registry("tool", rows, given=("seed",))
    rows["tuned"] = Tuned
    assert tools.make("tuned", {"rate": 1.0}, seed=1).rate == 1.0

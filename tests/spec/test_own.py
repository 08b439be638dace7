"""Functions as values: what they are called, and what a space, a list of configs and a record make of them."""

import copy
import functools
import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jaxsweep.errors import RequestError
from jaxsweep.spec import own
from jaxsweep.spec.metrics import METRICS, check_objective, direction, metric_names, metric_values
from jaxsweep.spec.own import Metric, Own, OwnMetric, metrics_of
from jaxsweep.spec.request import Request
from jaxsweep.spec.scope import of_configs, of_space
from jaxsweep.spec.space import Choice, Constant, Space, Uniform
from jaxsweep.spec.swept import acts


def relu(z: Any) -> Any:
    return z


def square(z: Any) -> Any:
    return z * z


class Shape:
    def steep(self, z: Any) -> Any:
        return z

    def __call__(self, z: Any) -> Any:
        return z


def test_names() -> None:
    functions: list[tuple[Callable[..., Any], str]] = [
        (relu, "relu"), (math.sin, "sin"), (lambda z: z, "lambda"), (functools.partial(square), "square"),
        (Shape().steep, "steep"), (Shape(), "Shape"),
    ]  # fmt: skip
    assert [own.name_of(function) for function, _ in functions] == [name for _, name in functions]


def test_two_functions_of_one_name_are_told_apart() -> None:
    one, two = lambda z: z, lambda z: 2 * z
    space = Space(activation=Choice(["relu", one, relu, two]))
    entry = space.entries["activation"]
    assert isinstance(entry, Choice)
    assert list(entry.values) == ["relu", "lambda", "relu_2", "lambda_2"]
    assert [getattr(value, "function", None) for value in entry.values] == [None, one, relu, two]
    assert space.toml_lines() == ['activation = { choice = ["relu", "lambda", "relu_2", "lambda_2"] }']
    request = Request(configs=({"activation": one}, {"activation": two, "loss": one}, {"activation": one}))
    assert [config["activation"] for config in request.configs or ()] == ["lambda", "lambda_2", "lambda"]
    assert request.configs is not None
    assert request.configs[1]["loss"] == "lambda"


def test_the_same_twice_is_refused() -> None:
    with pytest.raises(RequestError, match="more than once"):
        Space(activation=Choice([square, square]))


def test_a_condition_may_name_a_function() -> None:
    one, two = lambda z: z, lambda z: 2 * z
    space = Space(activation=Choice([one, two]), dropout=Uniform(0, 0.5, when={"activation": two}))
    for config in space.sample(np.random.default_rng(0), 20):
        assert ("dropout" in config) == (config["activation"].function is two)
        space.check(config)
    np.testing.assert_array_equal(space.to_unit([config]), space.to_unit(space.from_unit(space.to_unit([config]))))
    assert space.to_unit([{"activation": two, "dropout": 0.1}])[0, 0] > 0.5 > space.to_unit([{"activation": one}])[0, 0]
    space.check({"activation": two, "dropout": 0.1})
    with pytest.raises(RequestError, match="is outside the space: it must be one of 'lambda', 'lambda_2'"):
        space.check({"activation": lambda z: 3 * z})
    with pytest.raises(RequestError, match="never holds"):
        Space(activation=Choice([one, two]), dropout=Uniform(0, 0.5, when={"activation": lambda z: 3 * z}))


@pytest.mark.parametrize(("name", "value"), [("activation", "sine"), ("loss", 3), ("optimizer", square)])
def test_what_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(RequestError, match=f"{name} = .* is not legal: it must be one of"):
        Space(**{name: value})


def test_the_scope_has_functions_after_the_words() -> None:
    space = Space(activation=Choice([square, "tanh", "relu"]))
    scope = of_space(space, {**dict.fromkeys(METRICS), **_defaults()})
    assert scope.values("activation") == ("relu", "tanh", "square")
    assert [value.function for value in scope.own] == [square]
    assert of_configs([_defaults()]).own == ()


def _defaults() -> dict[str, Any]:
    from jaxsweep.spec.hyperparameters import resolve

    return resolve({}, "classification", 100)


def test_a_loss_of_ones_own_may_be_smoothed() -> None:
    assert acts("label_smoothing", {**_defaults(), "loss": Own("mine", square)})
    assert not acts("focal_gamma", {**_defaults(), "loss": Own("mine", square)})


def test_copies_and_json() -> None:
    value = Own("square", square)
    assert copy.deepcopy({"a": [value]})["a"][0].function is square
    again: list[Any] = [copy.copy(each) for each in (value, OwnMetric("s", square, maximize=False))]
    assert again[0].function is again[1].function is square
    assert again[1].maximize is False
    assert json.dumps({"activation": value}) == '{"activation": "square"}'
    assert value(3) == 9
    with pytest.raises(RequestError, match="give it again"):
        Own("square")(3)


def test_metrics_and_their_directions() -> None:
    first, second = metrics_of({"a": square, "b": Metric(square, direction="minimize")}, METRICS)
    assert (first.maximize, second.maximize) == (True, False)
    assert metric_names("regression", 1, (first, second))[-2:] == ("a", "b")
    assert [direction(check_objective(f"val_{m}", "regression", 1, (first, second))) for m in "ab"] == [
        "maximize", "minimize",
    ]  # fmt: skip
    assert metrics_of((first, second), METRICS) == (first, second)
    values = metric_values(np.arange(5.0), "regression", 2.0, 1.0)
    assert values[-2:].tolist() == [3.0, 4.0]  # as the device gave them, in no unit of the target


BAD: dict[str, Any] = {
    "a dict such as": [square],
    "which there is already": {"accuracy": square},
    "'LOSS', which there is already": {"LOSS": square},
    "'a', which there is already": {"A": square, "a": square},
    "letters, digits": {"two words": square},
    "must be a function": {"a": 1},
}


@pytest.mark.parametrize("words", BAD)
def test_metrics_that_are_none(words: str) -> None:
    with pytest.raises(RequestError, match=re.escape(words)):
        metrics_of(BAD[words], METRICS)


def test_a_metric_needs_a_direction() -> None:
    with pytest.raises(RequestError, match="maximize or minimize"):
        Metric(square, direction="up")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="has no function"):
        Metric(3)  # type: ignore[arg-type]


def test_who_takes_weights() -> None:
    def third(o: Any, t: Any, w: Any) -> Any: ...
    def named(o: Any, t: Any, weights: Any = None) -> Any: ...
    def option(o: Any, t: Any, k: int = 3) -> Any: ...

    assert [own.takes_weights(f) for f in (third, named, option, lambda o, t: o)] == [True, True, False, False]


def test_constants_read_as_their_names() -> None:
    assert repr(Space(activation=square)) == "Space(\n    activation='square',\n)"
    assert Space(activation=Constant(square)) == Space(activation=square)

"""The table: checks, defaults and what is refused."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsweep.errors import RequestError
from jaxsweep.hyperparameters import HYPERPARAMETERS, layer_widths, lookup, resolve, used


def test_defaults_are_legal_and_complete() -> None:
    full = resolve({}, "classification", 100)
    assert list(full) == list(HYPERPARAMETERS)
    assert full["loss"] == "cross_entropy"
    assert resolve({}, "regression", 100)["loss"] == "mse"
    for row in HYPERPARAMETERS.values():
        assert row.check(full[row.name]) == full[row.name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0), ("learning_rate", float("nan")), ("learning_rate", "fast"), ("dropout", 1.0),
        ("dropout", -0.1), ("depth", 17), ("depth", 1.5), ("depth", True), ("width", 0), ("width", [3, 5000]),
        ("width", [1] * 17), ("batch_size", 0), ("optimizer", "Adam"), ("nesterov", 1), ("epochs", 0),
        ("momentum", 1.0), ("init_scale", 0.0), ("patience", -1), ("rotation", 181), ("warmup", 1.1),
    ],
)  # fmt: skip
def test_illegal_values_are_refused_with_what_is_legal(name: str, value: Any) -> None:
    row = HYPERPARAMETERS[name]
    with pytest.raises(RequestError, match=re.escape(f"{name} = {value!r} is not legal: it must be {row.legal}")):
        resolve({name: value}, "classification", 100, image=True)


def test_contradictions_are_refused() -> None:
    with pytest.raises(RequestError, match="did you mean 'learning_rate'"):
        lookup("learning_rat")
    with pytest.raises(RequestError, match="does not fit regression"):
        resolve({"loss": "focal"}, "regression", 100)
    with pytest.raises(RequestError, match="exceeds the 100 training rows"):
        resolve({"batch_size": 101}, "classification", 100)
    with pytest.raises(RequestError, match="has 2 entries for depth = 3"):
        resolve({"width": [3, 4], "depth": 3}, "classification", 100)
    with pytest.raises(RequestError, match="needs image-shaped inputs"):
        resolve({"rotation": 10}, "classification", 100)


def test_batch_size_of_the_whole_training_set() -> None:
    assert resolve({"batch_size": "full"}, "classification", 77)["batch_size"] == 77
    assert resolve({}, "classification", 7)["batch_size"] == 7  # the default gives way


def test_layer_widths() -> None:
    assert layer_widths(resolve({"width": [5, 3]}, "classification", 9), 2) == (5, 3)
    assert layer_widths(resolve({"width": 8, "depth": 3}, "classification", 9), 2) == (8, 8, 8)
    funnel = resolve({"width": 12, "depth": 3, "width_shape": "funnel"}, "classification", 9)
    assert layer_widths(funnel, 3) == (12, 9, 6)
    assert layer_widths(resolve({"depth": 0}, "classification", 9), 2) == ()


def test_used_leaves_out_what_is_neutral_everywhere() -> None:
    plain = resolve({}, "classification", 9)
    assert "dropout" not in used([plain])
    assert "dropout" in used([plain, {**plain, "dropout": 0.1}])


@given(
    st.dictionaries(st.sampled_from(list(HYPERPARAMETERS)), st.one_of(st.floats(), st.integers(), st.text(), st.none()))
)
def test_any_config_is_resolved_or_refused(config: dict[str, Any]) -> None:
    try:
        full = resolve(config, "classification", 50)
    except RequestError:
        return
    assert resolve(full, "classification", 50) == full

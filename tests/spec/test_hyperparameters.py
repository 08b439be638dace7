"""The table: checks, defaults and what is refused."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsweep.errors import RequestError
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, layer_widths, lookup, resolve, used


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


@pytest.mark.parametrize(
    ("name", "value", "single"),
    [
        ("b1", 0.99999999, "1"), ("b2", 1 - 1e-9, "1"), ("rms_decay", 0.99999998, "1"), ("dropout", 0.999999999, "1"),
        ("input_dropout", 1 - 2**-26, "1"), ("momentum", 0.99999999, "1"), ("label_smoothing", 0.99999999, "1"),
        ("scaling", 0.99999999, "1"), ("learning_rate", 1e39, "inf"), ("huber_delta", 1e39, "inf"), ("l2", 1e39, "inf"),
        ("learning_rate", 1e-50, "0"), ("eps", 1e-46, "0"), ("init_scale", 1e-40, "0"),
    ],
)  # fmt: skip
def test_values_that_float32_makes_illegal_are_refused(name: str, value: float, single: str) -> None:
    legal = re.escape(HYPERPARAMETERS[name].legal)
    bound = {"1": "at most 0.99999994", "inf": r"at most 3.403e\+38", "0": "at least 1.175e-38"}[single]
    with pytest.raises(
        RequestError, match=rf"{name} = .* since it is {single} in float32: it must be {legal}, {bound}"
    ):
        resolve({name: value}, "regression" if name == "huber_delta" else "classification", 100, image=True)


def test_every_float_that_is_legal_stays_legal_in_float32() -> None:
    rows = [row for row in HYPERPARAMETERS.values() if row.kind == "float"]
    assert len(rows) > 20
    for row in rows:
        below_one = [1 - 2.0**-power for power in (1, 24, 25, 26)]
        for value in (0.0, 2.0**-149, 2.0**-126, *below_one, 1.0, 100.0, 3.4e38, 1e39):
            try:
                checked = row.check(value)
            except RequestError:
                continue
            with np.errstate(over="ignore"):
                single = float(np.float32(checked))
            assert row.check(0.0 if single < 2.0**-126 else single) is not None, (row.name, value)


def test_defaults_of_an_optimizer() -> None:
    """That they are Optax's, test_oracles_pieces.py tests."""
    for optimizer, eps, b2 in (("adam", 1e-8, 0.999), ("adagrad", 1e-7, 0.999), ("lion", 1e-8, 0.99)):
        full = resolve({"optimizer": optimizer}, "classification", 100)
        assert (full["eps"], full["b2"]) == (eps, b2)
        assert resolve({"optimizer": optimizer, "eps": 0.5}, "classification", 100)["eps"] == 0.5
    assert "; its default is 0.99 for lion" in HYPERPARAMETERS["b2"].explained


def test_contradictions_are_refused() -> None:
    with pytest.raises(RequestError, match="did you mean 'learning_rate'"):
        lookup("learning_rat")
    with pytest.raises(RequestError, match="does not fit regression"):
        resolve({"loss": "focal"}, "regression", 100)
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

"""What people give a space in place of a distribution."""

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats

from jaxsweep.errors import RequestError
from jaxsweep.spec.space import Choice, Constant, Space


@pytest.mark.parametrize(
    ("entries", "use"),
    [
        ({"optimizer": ["sgd", "adam"]}, "use js.Choice(['sgd', 'adam'])"),
        ({"optimizer": {"sgd", "adam"}}, "use js.Choice(['adam', 'sgd'])"),
        ({"depth": range(1, 4)}, "use js.Int(1, 3)"),
        ({"depth": range(1, 9, 4)}, "use js.Choice([1, 5])"),
        ({"depth": (1, 3)}, "use js.Int(1, 3)"),
        ({"width": range(8, 65)}, "use js.Int(8, 64)"),
        ({"epochs": list(range(1, 20))}, "use js.Choice([1, 2, 3, 4, 5, 6, 7, 8, ...])"),
        ({"learning_rate": (1e-4, 1e-1)}, "use js.LogUniform(0.0001, 0.1)"),
        ({"momentum": (0.5, 0.9)}, "use js.Uniform(0.5, 0.9)"),
        ({"momentum": (0, 0.9)}, "use js.Uniform(0, 0.9)"),
        ({"learning_rate": [1e-3, 1e-2]}, "use js.Choice([0.001, 0.01])"),
        ({"learning_rate": np.logspace(-3, -1, 3)}, "use js.Choice([0.001, 0.01, 0.1])"),
        ({"learning_rate": stats.loguniform(1e-4, 1e-1)}, "use js.LogUniform(0.0001, 0.1)"),
        ({"dropout": stats.uniform(0.25, 0.5)}, "use js.Uniform(0.25, 0.75)"),
        ({"depth": stats.randint(1, 4)}, "use js.Int(1, 3)"),
        ({"dropout": stats.norm(0, 1)}, "use one of js.Uniform, js.LogUniform, js.Int and js.Choice"),
    ],
)
def test_the_distribution_that_was_meant_is_named(entries: dict[str, Any], use: str) -> None:
    with pytest.raises(RequestError) as caught:
        Space(**entries)
    assert str(caught.value).endswith(use)


def test_a_list_of_widths_is_warned_of_unless_it_is_plain_what_is_meant() -> None:
    with pytest.warns(UserWarning, match=r"means a network of two hidden layers .* Choice\(\[32, 64\]\) tries") as seen:
        space = Space(width=[32, 64])
    assert space.sample(np.random.default_rng(0), 1) == [{"width": [32, 64]}]
    assert [warning.filename for warning in seen] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Space(width=[32])
        Space(width=Constant([32, 64]))
        Space(width=[32, 64], depth=2)
        Space(width=Choice([[32, 64], [8]]))
        Space.from_toml({"width": [32, 64]})

"""Configs that somebody wrote, as points of a space: completed by defaults that it has, or refused in a sentence."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import spaces

from jaxsweep.errors import RequestError
from jaxsweep.schedulers import PBT
from jaxsweep.spec.hyperparameters import Config, resolve
from jaxsweep.spec.points import active_part, completed, point_or_reason
from jaxsweep.spec.request import Request
from jaxsweep.spec.space import Choice, Constant, Int, LogUniform, Space, Uniform
from jaxsweep.spec.swept import Swept
from jaxsweep.streams import generator

SPACE = Space(
    depth=Int(1, 3),
    width=16,
    optimizer=Choice(["sgd", "adam", "lion"]),
    momentum=Uniform(0.5, 0.9, when={"optimizer": "sgd"}),
    b2=Uniform(0.9, 0.999, when={"optimizer": ["adam", "lion"]}),
    learning_rate=LogUniform(1e-3, 1e-1),
    batch_size=Choice([32, "full"]),
    activation=Choice(["relu", jnp.sin]),
    loss=Choice(["cross_entropy", "focal"]),
    epochs=Constant(7, when={"depth": [1, 2]}),
)
WHOLE = partial(resolve, task="classification", rows=20)


def test_what_is_left_out_has_its_constant_or_its_default() -> None:
    """The default is the table's: by the optimizer, by the task, and not cut to the 20 rows that there are."""
    point = {
        "depth": 2, "width": 16, "activation": "relu", "loss": "cross_entropy", "optimizer": "adam", "b2": 0.999,
        "learning_rate": 0.001, "batch_size": 32, "epochs": 7,
    }  # fmt: skip
    assert completed(SPACE, {}, WHOLE) == point
    assert completed(SPACE, {"optimizer": "lion"}, WHOLE) == {**point, "optimizer": "lion", "b2": 0.99}
    del point["epochs"]  # its condition fails
    assert completed(SPACE, {"depth": np.int64(3)}, WHOLE) == {**point, "depth": 3}


def test_what_is_named_is_taken_as_it_is() -> None:
    named: dict[str, Any] = {"optimizer": "sgd", "momentum": 0.625, "learning_rate": 0.05, "batch_size": "full"}
    point = completed(SPACE, named, WHOLE)
    assert named.items() <= point.items()
    SPACE.check(point)
    assert completed(SPACE, point, WHOLE) == point


@pytest.mark.parametrize(
    ("sizes", "legal"),
    [([10, "full"], "full"), ([10, 500], 500), ([10, 20], 20), ([10, "full", 500], "full"),
     ([500, "full"], 500), (["full"], "full"), ([10, 20], 10)],
)  # fmt: skip
def test_conditions_on_a_batch_that_is_cut_to_the_rows_hold_in_what_was_trained(sizes: list[Any], legal: Any) -> None:
    """On 20 rows 'full' and 500 are trained as 20: tables, warm starts and pbt know what was asked for."""
    space = Space(
        batch_size=Choice(sizes), learning_rate=LogUniform(2e-3, 1e-1, when={"batch_size": legal}),
        l2=LogUniform(1e-6, 1e-2),
    )  # fmt: skip
    swept = Swept.of(Request(space=space))
    for config in space.sample(generator(0, "asked"), 20):
        whole = WHOLE(config)
        known = "learning_rate" in config
        assert ("learning_rate" in swept.params(whole)) == known
        assert ("learning_rate" in changed(space, whole)) == known
        assert WHOLE(completed(space, swept.params(whole), WHOLE)) == whole
        point = point_or_reason(space, whole, WHOLE)
        assert isinstance(point, dict)
        assert WHOLE(point) == whole
        assert ("learning_rate" in point) == known


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_conditions_on_a_cut_batch_decided_is_known_again(data: st.DataObject) -> None:
    """Whichever sizes a space has, and conditions name: tables and warm starts give what was trained."""
    listed = st.lists(st.sampled_from([8, 19, 20, 21, 64, 500, "full"]), min_size=1, max_size=4, unique=True)
    entry, values = data.draw(
        st.one_of(
            listed.map(lambda values: (Choice(values), values)),
            st.sampled_from([(Int(16, 200), [16, 20, 21, 128]), (Int(100, 200), [100, 101, 200])]),
        )
    )
    when = st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True).map(lambda some: {"batch_size": some})
    others: dict[str, Any] = {
        "learning_rate": LogUniform(0.01, 0.1, when=data.draw(when)),
        "dropout": Uniform(0.1, 0.5, when=data.draw(when)),
        "l2": Choice([0.0, 0.1, 0.2], when=data.draw(when)),
    }
    chosen = data.draw(st.lists(st.sampled_from(sorted(others)), min_size=1, unique=True))
    space = Space(batch_size=entry, **{name: others[name] for name in chosen})
    swept = Swept.of(Request(space=space))
    for config in space.sample(generator(data.draw(st.integers(0, 99)), "cut"), 4):
        whole = WHOLE(config)
        params, point = swept.params(whole), point_or_reason(space, whole, WHOLE)
        assert isinstance(point, dict), (config, point)
        space.check(point)
        assert WHOLE(point) == WHOLE(completed(space, params, WHOLE)) == whole
        assert {name for name in config if whole[name] != WHOLE({})[name]} <= {*params, "batch_size"}


def changed(space: Space, config: Config) -> set[str]:
    """Return what pbt changes in a resolved config."""
    scheduler = PBT(space=space, resample=1.0)
    new = scheduler._changed(config, np.full((2, 3), 0.37))
    return {name for name in new if new[name] != config[name]}


def test_a_list_of_widths_says_how_deep() -> None:
    space = Space(depth=Choice([3]), width=Choice([[8, 8, 8], [4, 4, 4]], when={"depth": 3}))
    assert completed(space, {"width": [8, 8, 8]}, WHOLE) == {"depth": 3, "width": [8, 8, 8]}


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            {"optimizer": "sgd"},
            r"momentum is left out, and its default 0\.0 is outside the space: give it as a number in",
        ),
        ({"depth": 4}, r"depth = 4 is outside the space: it must be an integer in \[1, 3\]"),
        ({"epochs": 8}, "epochs = 8 is outside the space: it must be 7"),
        ({"momentum": 0.6}, r"momentum = 0\.6 does not belong in the config: its condition fails"),
        ({"dropout": 0.5}, "'dropout' is not in the space"),
        ({"dept": 2}, "unknown hyperparameter 'dept'; did you mean 'depth'"),
        ({"learning_rate": -1}, "learning_rate = -1 is not legal"),
        ({"activation": jnp.cos}, "activation = .*cos.* is outside the space: it must be one of 'relu', 'sin'"),
    ],
)
def test_what_is_no_point_is_refused(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        completed(SPACE, config, WHOLE)


@given(space=spaces(), seed=st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_a_point_is_completed_to_itself(space: Space, seed: int) -> None:
    for config in space.sample(np.random.default_rng(seed), 5):
        assert active_part(space, {**dict.fromkeys(space), **config}) == config
        assert completed(space, config, lambda given: given) == config


def test_the_active_part_of_a_resolved_config() -> None:
    full = WHOLE({"optimizer": "sgd", "momentum": 0.6, "depth": 3})
    part = active_part(SPACE, full)
    assert set(SPACE) - set(part) == {"b2", "epochs"}
    assert part["momentum"] == 0.6


def test_a_batch_of_other_data_that_the_space_lists_is_that() -> None:
    """Also where it is more than the 20 rows that there are; one that it does not list was 'full', if it has that."""
    earlier = resolve({"batch_size": 128}, "classification", 1000)
    for sizes, expected in (([128, 500], 128), ([128, "full"], 128), ([16, "full"], "full"), ([16, 200], "batch_size")):
        point = point_or_reason(Space(batch_size=Choice(sizes), learning_rate=LogUniform(1e-4, 1)), earlier, WHOLE)
        assert (point if isinstance(point, str) else point["batch_size"]) == expected

"""Spaces: what is refused and in which words, conditions, the unit cube, the TOML form."""

import copy
import math
import tomllib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import spaces

from jaxsweep.errors import RequestError
from jaxsweep.search.contract import NESTED
from jaxsweep.spec.hyperparameters import resolve
from jaxsweep.spec.space import Choice, Constant, Int, LogUniform, Space, Uniform


class TestRefusals:
    @pytest.mark.parametrize(
        ("entries", "words"),
        [
            ({}, "the space is empty"),
            ({"learning_rat": 0.1}, "unknown hyperparameter 'learning_rat'; did you mean 'learning_rate'?"),
            ({"dropout": Uniform(0.5, 0.5)}, "dropout = Uniform(0.5, 0.5) is an empty range"),
            ({"dropout": Uniform(0.5, 0.2)}, "dropout = Uniform(0.5, 0.2) is an empty range"),
            ({"depth": Int(3, 1)}, "depth = Int(3, 1) is an empty range"),
            ({"l2": LogUniform(0, 1)}, "l2 = LogUniform(0, 1) is a log range that reaches zero"),
            ({"self": 1}, "unknown hyperparameter 'self'"),
            (
                {"l2": LogUniform(np.int64(0), 1)},  # type: ignore[arg-type]
                "is a log range that reaches zero: it must start above 0",
            ),
            ({"l2": LogUniform(-1, 1)}, "is a log range that reaches zero: it must start above 0"),
            ({"depth": Int(0, 3, log=True)}, "depth = Int(0, 3, log=True) is a log range that reaches zero"),
            ({"depth": Int(1, 3, log="no")}, "log = 'no'"),  # type: ignore[arg-type]
            ({"depth": Int(1, 17)}, "depth = 17 is not legal: it must be an integer in [0, 16]"),
            ({"depth": Int(1.5, 3)}, "depth = 1.5 is not legal"),  # type: ignore[arg-type]
            ({"l2": Int(1.5, 3)}, "has the end 1.5: it must be an integer"),  # type: ignore[arg-type]
            ({"patience": Int(0, 10**12)}, "has the end 1000000000000: it must be an integer up to 2147483648"),
            ({"dropout": Uniform(0, 1)}, "dropout = 1 is not legal: it must be a number in [0, 1)"),
            ({"learning_rate": LogUniform(1e-3, math.inf)}, "learning_rate = inf is not legal"),
            ({"learning_rate": Uniform(math.nan, 1)}, "learning_rate = nan is not legal"),
            ({"learning_rate": LogUniform("a", 1)}, "learning_rate = 'a' is not legal"),  # type: ignore[arg-type]
            ({"depth": Uniform(1, 3)}, "use Int(1, 3)"),
            ({"width": LogUniform(16, 64)}, "use Int(16, 64, log=True)"),
            ({"optimizer": Int(1, 3)}, "optimizer = Int(1, 3) is a range of numbers: use a Choice"),
            ({"nesterov": Uniform(0, 1)}, "nesterov = Uniform(0, 1) is a range of numbers: use a Choice"),
            ({"optimizer": Choice(["sgd", "adem"])}, "optimizer = 'adem' is not legal"),
            ({"optimizer": Choice([])}, "optimizer = Choice([]) is an empty choice"),
            ({"optimizer": Choice("sgd")}, "a choice needs a list of values"),
            ({"width": Choice([64, 64.0])}, "width = Choice([64, 64.0]) has 64 more than once"),
            ({"nesterov": Choice([True, 1])}, "nesterov = 1 is not legal"),
            ({"width": Choice([[64, 0]])}, "width = [64, 0] is not legal"),
            ({"width": 0}, "width = 0 is not legal"),
            ({"epochs": {"int": [1, 2]}}, "epochs = {'int': [1, 2]} is not legal"),
        ],
    )
    def test_entries(self, entries: dict[str, Any], words: str) -> None:
        with pytest.raises(RequestError) as caught:
            Space.from_mapping(entries)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("when", "words"),
        [
            ({"optimiser": "sgd"}, "momentum: its condition names 'optimiser', which the space lacks; did you mean"),
            ({3: "sgd"}, "momentum: its condition names 3, which the space lacks; known: depth"),
            ({"schedule": "step"}, "momentum: its condition names 'schedule', which the space lacks; known: depth"),
            ({"optimizer": "lion"}, "optimizer = 'lion' never holds: optimizer is one of 'sgd', 'adam'"),
            ({"optimizer": ["sgd", "lion"]}, "optimizer = 'lion' never holds"),
            ({"optimizer": "sdg"}, "optimizer = 'sdg' is not legal"),
            ({"optimizer": []}, "its condition on optimizer lists no values"),
            ({"depth": 5}, "depth = 5 never holds: depth is an integer in [1, 3]"),
            ({"epochs": 7}, "epochs = 7 never holds: epochs is 20"),
            ({"learning_rate": 0.1}, "a continuous range that meets no single value"),
            ({"momentum": 0.5}, "a continuous range"),
            ("sgd", "momentum: when = 'sgd' is not a condition"),
        ],
    )
    def test_conditions(self, when: Any, words: str) -> None:
        with pytest.raises(RequestError) as caught:
            Space(
                optimizer=Choice(["sgd", "adam"]),
                depth=Int(1, 3),
                epochs=20,
                learning_rate=LogUniform(0.01, 1),
                momentum=Uniform(0, 0.9, when=when),
            )
        assert words in str(caught.value)

    def test_a_circle_is_named(self) -> None:
        with pytest.raises(RequestError, match="circle, depth -> norm -> depth"):
            Space(depth=Int(1, 2, when={"norm": "batch"}), norm=Choice(["batch", "none"], when={"depth": 2}))

    def test_conditions_that_contradict_those_of_a_parent(self) -> None:
        with pytest.raises(RequestError, match=r"clip_norm can never be active: .* different values of optimizer"):
            Space(
                optimizer=Choice(["sgd", "adam"]),
                nesterov=Choice([True, False], when={"optimizer": "sgd"}),
                clip_norm=Uniform(0, 1, when={"nesterov": True, "optimizer": "adam"}),
            )

    @pytest.mark.parametrize(
        ("entries", "words"),
        [
            ({"width": [64, 32], "depth": 3}, "width = [64, 32] has 2 entries but can meet depth = 3"),
            ({"width": Choice([64, [64, 32]]), "depth": Int(2, 3)}, "can meet depth = 3"),
            ({"width": Choice([[64, 32], [8]]), "depth": 2}, "width = [8] has 1 entries but can meet depth = 2"),
            ({"width": Choice([[4, 4]], when={"depth": [2, 3]}), "depth": Int(1, 3)}, "can meet depth = 3"),
            ({"width": [64, 32], "width_shape": Choice(["constant", "funnel"])}, "can meet width_shape = 'funnel'"),
        ],
    )
    def test_width_lists_of_another_depth(self, entries: dict[str, Any], words: str) -> None:
        with pytest.raises(RequestError) as caught:
            Space(**entries)
        assert words in str(caught.value)

    @pytest.mark.parametrize(
        ("table", "words"),
        [
            ({"l2": {"loguniforn": [1e-4, 1]}}, "l2: unknown key 'loguniforn'; did you mean 'loguniform'?"),
            ({"l2": {"log": True}}, "l2 = {'log': True} has none of the forms: it must have exactly one of uniform"),
            ({"l2": {"int": [0, 1], "uniform": [0, 1]}}, "has uniform and int: it must have exactly one"),
            ({"l2": {"uniform": [0, 1], "log": True}}, "l2: log = True goes with int only"),
            ({"l2": {"uniform": [0]}}, "l2: uniform = [0] is not a range: it must be [low, high]"),
            ({"l2": {"uniform": [0, 1], "when": "sgd"}}, "l2: when = 'sgd' is not a condition"),
            ({"l2": {"uniform": [0, 1], "when": {}}}, "l2: when = {} is not a condition"),
            ({"droput": 0.1}, "unknown hyperparameter 'droput'; did you mean 'dropout'?"),
            ({}, "the space is empty"),
            ([1], "space = [1] is not a table"),
        ],
    )
    def test_toml(self, table: Any, words: str) -> None:
        with pytest.raises(RequestError) as caught:
            Space.from_toml(table)
        assert words in str(caught.value)


class TestWidthLists:
    """A list of widths is accepted where every config of the space agrees with it."""

    @pytest.mark.parametrize(
        "entries",
        [
            {"width": Choice([[64, 32], [8]])},  # depth follows from the list
            {"width": Choice([64, [64, 32]]), "depth": 2},
            {"width": Choice([[64, 32], [9, 9]], when={"depth": 2}), "depth": Int(1, 3)},
            {"width": Choice([64, [64, 32]]), "depth": Int(1, 3, when={"width": 64})},
            {
                "optimizer": Choice(["sgd", "adam"]),
                "width": Choice([[64, 32]], when={"optimizer": "sgd"}),
                "depth": Int(1, 3, when={"optimizer": "adam"}),
            },
        ],
    )
    def test_every_config_resolves(self, entries: dict[str, Any]) -> None:
        for config in Space(**entries).sample(np.random.default_rng(0), 50):
            full = resolve(config, "classification", rows=100)
            assert not isinstance(full["width"], list) or len(full["width"]) == full["depth"]

    def test_lists_are_not_shared(self) -> None:
        first, second = Space(width=[64, 32], depth=2).sample(np.random.default_rng(0), 2)
        first["width"].append(1)
        assert second == {"depth": 2, "width": [64, 32]}


class TestConfigs:
    def test_conditions_nest(self) -> None:
        configs = NESTED.sample(np.random.default_rng(0), 2000)
        for config in configs:
            sgd = config["optimizer"] == "sgd"
            assert ("momentum" in config) == sgd
            assert ("nesterov" in config) == (sgd and config["depth"] >= 2)
            assert ("clip_norm" in config) == (config.get("nesterov") is True)
            assert ("rms_decay" in config) == (config["optimizer"] == "rmsprop")
            assert config["epochs"] == 20
        assert sum("clip_norm" in config for config in configs) == pytest.approx(2000 / 9, abs=60)

    @given(spaces(), st.integers(0, 2**32))
    @settings(max_examples=60, deadline=None)
    def test_are_legal_points_of_the_space_in_plain_types(self, space: Space, seed: int) -> None:
        for config in space.sample(np.random.default_rng(seed), 20):
            space.check(config)
            resolve(config, "classification", rows=10_000)
            assert list(config) == [name for name in space if name in config]
            assert {type(value) for value in config.values()} <= {bool, int, float, str, list}

    def test_drawing_in_pieces_gives_the_same(self) -> None:
        rng = np.random.default_rng(3)
        pieces = NESTED.sample(rng, 3) + NESTED.sample(rng, 7)
        assert pieces == NESTED.sample(np.random.default_rng(3), 10)

    def test_do_not_depend_on_the_order_of_entries(self) -> None:
        backwards = Space.from_mapping(dict(reversed(list(NESTED.entries.items()))))
        assert backwards == NESTED
        assert hash(backwards) == hash(NESTED)
        assert backwards.sample(np.random.default_rng(0), 9) == NESTED.sample(np.random.default_rng(0), 9)

    def test_distributions_are_what_they_say(self) -> None:
        space = Space(
            learning_rate=LogUniform(1e-4, 1), dropout=Uniform(0.2, 0.6), depth=Int(1, 4), width=Int(1, 15, log=True)
        )
        configs = space.sample(np.random.default_rng(0), 20_000)
        rates = np.log10([config["learning_rate"] for config in configs])
        assert np.histogram(rates, 4, (-4, 0))[0] == pytest.approx(5000, rel=0.05)
        assert np.histogram([config["dropout"] for config in configs], 4, (0.2, 0.6))[0] == pytest.approx(
            5000, rel=0.05
        )
        assert np.bincount([config["depth"] for config in configs])[1:] == pytest.approx(5000, rel=0.05)
        widths = np.array([config["width"] for config in configs])
        octaves = [np.mean((widths >= 2**k) & (widths < 2 ** (k + 1))) for k in range(4)]
        assert octaves == pytest.approx([0.25] * 4, rel=0.05)

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ({"optimizer": "adam", "depth": 1}, "epochs is missing from the config: it must be 20"),
            ({"optimizer": "adam", "depth": 1, "epochs": 20, "l1": 0}, "'l1' is not in the space"),
            (
                {"optimizer": "adam", "depth": 4, "epochs": 20},
                "depth = 4 is outside the space: it must be an integer in",
            ),
            ({"optimizer": "lion", "depth": 1, "epochs": 20}, "optimizer = 'lion' is outside the space"),
            ({"optimizer": "adam", "depth": 1, "epochs": 20, "momentum": 0.1}, "momentum = 0.1 does not belong"),
            ({"optimizer": "sgd", "depth": 1, "epochs": 20, "momentum": 0.995}, "momentum = 0.995 is outside"),
            ({"optimizer": "adam", "depth": 1, "epochs": 21}, "epochs = 21 is outside the space: it must be 20"),
        ],
    )
    def test_check_refuses_what_is_not_a_point(self, config: dict[str, Any], words: str) -> None:
        with pytest.raises(RequestError) as caught:
            NESTED.check(config)
        assert words in str(caught.value)


class TestUnitCube:
    @given(spaces(), st.integers(0, 2**32))
    @settings(max_examples=100, deadline=None)
    def test_round_trip_is_exact(self, space: Space, seed: int) -> None:
        u = np.random.default_rng(seed).random((20, space.dimensions))
        u[0], u[1] = 0.0, 1.0
        configs = space.from_unit(u)
        back = space.to_unit(configs)
        assert back.shape == (20, space.dimensions)
        assert space.from_unit(back) == configs
        np.testing.assert_array_equal(space.snap(u), back)

    @given(st.floats(1e-37, 1e25), st.floats(1e-12, 1e12), st.floats(0, 1))  # what float32 holds
    @settings(deadline=None)
    def test_round_trip_is_exact_in_extreme_ranges(self, low: float, span: float, u: float) -> None:
        for kind in (Uniform, LogUniform):
            if low * (1 + span) > low:
                space = Space(learning_rate=kind(low, low * (1 + span)))
                configs = space.from_unit(np.array([[u]]))
                space.check(configs[0])
                assert space.from_unit(space.to_unit(configs)) == configs

    def test_hand_written_values_come_back(self) -> None:
        space = Space(learning_rate=LogUniform(1e-5, 1), dropout=Uniform(0, 0.9), width=Int(1, 4096, log=True))
        configs = [
            {"width": width, "learning_rate": rate, "dropout": drop}
            for width in (1, 2, 3, 77, 4095, 4096)
            for rate in (1e-5, 3e-5, 0.1, 0.3, 0.123456789, 1.0)
            for drop in (0.0, 0.1, 0.3, 0.7, 0.9)
        ]
        assert space.from_unit(space.to_unit(configs)) == configs

    def test_inactive_and_missing_are_nan(self) -> None:
        u = NESTED.to_unit([{"optimizer": "adam", "depth": 1, "epochs": 20}, {"optimizer": "sgd", "depth": 1}])
        assert NESTED.columns == ("depth", "optimizer", "momentum", "nesterov", "clip_norm")
        np.testing.assert_allclose(u, [[1 / 6, 0.5, *[np.nan] * 3], [1 / 6, 1 / 6, *[np.nan] * 3]])

    def test_refuses_other_shapes_and_points_outside(self) -> None:
        with pytest.raises(ValueError, match=r"shape \(2, 3\): it must be \[n, 5\]"):
            NESTED.from_unit(np.zeros((2, 3)))
        with pytest.raises(ValueError, match="a coordinate of depth outside"):
            NESTED.from_unit(np.full((1, 5), 1.5))
        with pytest.raises(ValueError, match="a coordinate of depth outside"):
            NESTED.from_unit(np.full((1, 5), np.nan))
        with pytest.raises(RequestError, match="depth = 9 is outside the space"):
            NESTED.to_unit([{"depth": 9}])


class TestForms:
    @given(spaces())
    @settings(max_examples=100, deadline=None)
    def test_toml_and_repr_round_trip(self, space: Space) -> None:
        assert Space.from_toml(tomllib.loads("\n".join(space.toml_lines()))) == space
        assert eval(repr(space)) == space  # a repr that reads as the code that makes it

    def test_toml_is_as_documented(self) -> None:
        text = """
            learning_rate = { loguniform = [1e-4, 1e-1] }
            optimizer = { choice = ["sgd", "adam", "rmsprop"] }
            momentum = { uniform = [0.0, 0.99], when = { optimizer = "sgd" } }
            rms_decay = { value = 0.8, when = { optimizer = ["rmsprop", "adam"], depth = 2 } }
            width = { int = [16, 1024], log = true }
            depth = { int = [1, 3] }
            epochs = 20
        """
        assert Space.from_toml(tomllib.loads(text)) == Space(
            learning_rate=LogUniform(1e-4, 1e-1),
            optimizer=Choice(["sgd", "adam", "rmsprop"]),
            momentum=Uniform(0, 0.99, when={"optimizer": "sgd"}),
            rms_decay=Constant(0.8, when={"optimizer": ["rmsprop", "adam"], "depth": 2}),
            width=Int(16, 1024, log=True),
            depth=Int(1, 3),
            epochs=20,
        )

    def test_inequality(self) -> None:
        assert Space(depth=Int(1, 3)) != Space(depth=Int(1, 4))
        assert Space(l2=Uniform(0.1, 1)) != Space(l2=LogUniform(0.1, 1))
        assert Space(depth=2) == Space(depth=Constant(2))

    def test_is_immutable_and_can_be_copied(self) -> None:
        with pytest.raises(TypeError):
            NESTED.entries["depth"] = Int(1, 2)  # type: ignore[index]
        with pytest.raises(AttributeError):
            NESTED.entries["depth"].low = 0  # type: ignore[attr-defined]
        assert copy.deepcopy(NESTED) == NESTED

    def test_repr_reads_well(self) -> None:
        space = Space(epochs=20, momentum=Uniform(0, 0.5, when={"optimizer": "sgd"}), optimizer="sgd")
        assert repr(space).splitlines() == [
            "Space(",
            "    optimizer='sgd',",
            "    momentum=Uniform(0.0, 0.5, when={'optimizer': 'sgd'}),",
            "    epochs=20,",
            ")",
        ]

    def test_repr_of_a_great_many_values_is_short(self) -> None:
        text = repr(Space(learning_rate=Choice([0.001 * step for step in range(1, 1000)]), epochs=20))
        assert len(text) < 600
        assert text.splitlines()[1].startswith("    learning_rate=Choice([0.001, 0.002, ")
        assert text.splitlines()[2] == "    epochs=20,"

"""What programs are compiled with, and what needs no program of its own."""

from pathlib import Path
from typing import Any, cast

import chex
import jax
import numpy as np
import pytest
from devices.training import training
from parity import run_lanes, three_classes

import jaxsweep as js
from jaxsweep.engine import programs
from jaxsweep.engine.costs import Costs
from jaxsweep.network import ambient
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS


def test_options_that_this_xla_does_not_have_are_left_out() -> None:
    options = {"xla_backend_optimization_level": 1, "xla_no_such_option": True}
    assert programs._known_of(options) == {"xla_backend_optimization_level": 1}
    for known, asked in zip(programs.known_options("cpu"), programs.OPTIONS["cpu"], strict=True):
        assert set(known) <= set(asked)
        assert "xla_backend_optimization_level" in known


@pytest.mark.parametrize("precision", ["highest", "default"])
def test_every_product_has_the_precision_that_the_sweep_asks_for(precision: str) -> None:
    asked = training([{"width": 8, "depth": 2, "batch_size": 32, "epochs": 2}] * 2, "gpu", Costs(), 2, 2, precision)
    with ambient.own(), programs.tracing(asked.group.program):
        text = jax.jit(asked.function).lower(*asked.arguments).as_text()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    assert len(products) > 5
    assert all(("HIGHEST" in product) == (precision == "highest") for product in products)


def test_on_a_cpu_no_precision_makes_a_program_of_its_own(tmp_path: Path) -> None:
    how: dict[str, Any] = {"configs": [{"width": 8, "epochs": 2}], "progress": False}
    plain = js.sweep("iris", **how)
    other = js.sweep("iris", precision="default", out=tmp_path / "run", **how)
    assert other.to_pandas().equals(plain.to_pandas())
    assert other.numbers["seconds"]["compile"] == 0
    stored = js.load(tmp_path / "run")
    assert (stored.request.precision, stored.numbers["precision"]) == ("default", "highest")
    with pytest.raises(js.RequestError, match="precision = 'tf32' is not legal: it must be one of highest, default"):
        js.sweep("iris", precision="tf32", **how)


def test_values_never_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 configs that differ in everything but shape trace the training program once."""
    programs.clear()
    traced = chex.assert_max_traces(programs.advance, n=1)
    monkeypatch.setattr(programs, "advance", traced)
    rng = np.random.default_rng(0)
    lanes = run_lanes(three_classes(), [_anything(rng) for _ in range(500)], tile=4)
    assert len(lanes) == 500
    assert sum(lane.status == "completed" for lane in lanes) > 400
    run_lanes(three_classes(), [_anything(rng) for _ in range(500)], tile=4)  # other values, no new program
    programs.clear()


def _anything(rng: np.random.Generator) -> dict[str, Any]:
    config: dict[str, Any] = {"depth": 1, "width": 4, "batch_size": 75, "epochs": int(rng.integers(1, 4))}
    for row in HYPERPARAMETERS.values():
        if row.name in (*config, "width_shape", "loss") or row.images_only:
            continue
        if row.kind == "choice":
            config[row.name] = str(rng.choice(row.choices))
        elif row.kind == "bool":
            config[row.name] = bool(rng.integers(2))
        elif row.kind == "int":
            config[row.name] = int(rng.integers(max(0, int(row.low or 0)), 3))
        else:
            high = min(row.high or 1.0, 0.9)
            config[row.name] = float(rng.uniform(max(row.low or 0.0, 1e-6), high))
    config["loss"] = str(rng.choice(["cross_entropy", "focal"]))
    config["learning_rate"] = float(10 ** rng.uniform(-4, -1))
    return config


def test_programs_beyond_the_bound_are_forgotten_the_least_recently_used_first(monkeypatch: pytest.MonkeyPatch) -> None:
    programs.clear()
    monkeypatch.setattr(programs, "KEPT", 2)
    marks: list[Any] = ["a", "b", "c"]
    programs._keep("first", None, marks[0])
    programs._keep("second", None, marks[1])
    assert programs._known("first", None) is marks[0]
    programs._keep("third", None, marks[2])
    found: list[Any] = [programs._known(key, None) for key in ("first", "second", "third")]
    assert found == ["a", None, "c"]
    programs._keep("third", cast(Any, "another device"), marks[1])  # devices of a program count as one
    assert programs._known("first", None) is marks[0]
    assert not programs._locks
    programs.clear()

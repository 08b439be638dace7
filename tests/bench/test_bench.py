"""`bench`: the work, and a run of each contender."""

import functools
import json
from typing import Any

import jax
import numpy as np
import pytest

from jaxsweep.bench import work
from jaxsweep.bench.contenders import CONTENDERS, load
from jaxsweep.cli import main
from jaxsweep.engine.costs import sizes_of


def test_the_kinds_of_work_differ_in_what_they_say() -> None:
    assert {config["learning_rate"] for config in work.uniform(3)} == {1e-4, 1e-3, 1e-2}
    mixed = work.mixed(200)
    assert [len({config[name] for config in mixed}) for name in ("optimizer", "activation", "init", "schedule")] == [
        4, 4, 3, 3
    ]  # fmt: skip
    assert all(0 < config["dropout"] < 0.5 and config["l2"] > 0 for config in work.regularized(20))
    epochs = [config["epochs"] for config in work.ragged(500)]
    assert (min(epochs), max(epochs) > 80) == (1, True)
    assert np.median(epochs) == pytest.approx(10, rel=0.3)


def test_flops_are_those_of_the_matrix_products() -> None:
    sizes = sizes_of(load("iris"))  # 90 training and 30 validation rows, 4 features, 3 classes
    forward = 2 * (4 * 16 + 16 * 3)
    step = forward + 2 * (4 * 16 + 16 * 3) + 2 * 16 * 3  # the inputs need no gradient
    assert work.flops(work.small(2, 5), sizes) == 2 * 5 * (90 * step + 30 * forward)


def test_the_least_traffic_is_that_of_weights_moments_and_rows() -> None:
    sizes = sizes_of(load("iris"))
    weights = 4 * 16 + 16 * 3 + 16 + 3
    assert work.least_bytes(work.small(2, 5), sizes) == 4 * 2 * 5 * (2 * 6 * weights + 90 * 4 + weights + 30 * 4)


@pytest.mark.parametrize("name", list(CONTENDERS))
def test_every_contender_learns(name: str) -> None:
    contender = CONTENDERS[name]
    if not contender.installed:
        pytest.skip(f"{contender.package} is not installed")
    configs = [{**config, "learning_rate": 0.01} for config in work.uniform(2, width=16, depth=1, epochs=3)]
    assert contender.make(load("digits"))(configs) > 0.8


def test_the_command_prints_numbers(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "uniform", functools.partial(work.uniform, width=8, depth=1, epochs=2))
    assert main(["bench", "mixtures", "--configs", "4", "--repeats", "1", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["sgemm"] > 1e8
    assert set(found["mixtures"]) == {"uniform", "mixed", "dropout and L2", "epochs 1 to 100"}
    assert found["mixtures"]["uniform"]["ratio"] == 1.0


def test_a_device_that_is_not_there_is_refused(capsys: Any) -> None:
    if jax.default_backend() != "cpu":
        pytest.skip("there is another device")
    assert main(["bench", "contenders", "--device", "tpu"]) == 2
    assert "--device tpu: JAX finds none here" in capsys.readouterr().err


def test_an_unknown_section_is_refused(capsys: Any) -> None:
    assert main(["bench", "contender"]) == 2
    assert "did you mean 'contenders'" in capsys.readouterr().err


def test_the_studies_hold_what_they_say() -> None:
    usual, little = work.usual(400), work.little(200)
    for name, values in {"width": 3, "depth": 3, "activation": 2, "optimizer": 2, "batch_size": 4}.items():
        assert len({config[name] for config in usual}) == values
    assert all(("momentum" in config) == (config["optimizer"] == "sgd") for config in usual)
    assert min(config["width"] for config in little) < 15 < 95 < max(config["width"] for config in little)
    shapes = work.by_shape(usual)
    assert len(shapes) == 9
    assert sum(map(len, shapes)) == 400


def test_a_usual_study_is_raced(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its shapes swept alone are all of it."""
    few = [*work.uniform(2, width=8, depth=1, epochs=2), *work.uniform(2, width=6, depth=1, epochs=2)]
    monkeypatch.setattr(work, "usual", lambda count: few[:count])
    assert main(["bench", "usual", "--configs", "3", "--repeats", "1", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["usual"]
    assert {"empty cache", "warm", "shapes alone"} <= set(found)
    assert found["warm"]["programs"] <= found["shapes alone"]["programs"]
    assert found["empty cache"]["seconds"][0] > found["warm"]["seconds"][0]


def test_scikit_learn_counts_what_diverges() -> None:
    contender = CONTENDERS["scikit-learn"]
    if not contender.installed:
        pytest.skip("scikit-learn is not installed")
    wild = {"width": 8, "depth": 1, "batch_size": 16, "epochs": 1, "learning_rate": 1e30, "optimizer": "sgd"}
    assert contender.make(load("iris"))([wild]) < 0.7

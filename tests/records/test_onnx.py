"""Networks as graphs of ONNX: run by onnxruntime beside `Model.predict`, for every activation and norm."""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from numpy.typing import NDArray

import jaxsweep as js
from jaxsweep.data import prepare
from jaxsweep.records import onnx as exported
from jaxsweep.records.model import Model
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, layer_widths, resolve
from jaxsweep.spec.own import Own

ACTIVATIONS = HYPERPARAMETERS["activation"].choices
NORMS = HYPERPARAMETERS["norm"].choices
ROWS = 400


def frame(rows: int = ROWS) -> pd.DataFrame:
    """Numbers of different sizes, two categories, one with rare words, and missing values in some of them."""
    draw = np.random.default_rng(0)
    size, weight = draw.normal(5, 2, rows), draw.normal(1e6, 3, rows)
    colour = draw.choice(np.array(["red", "gr\u00fcn", "deep blue"], dtype=object), rows)
    make = draw.choice(np.array([f"make {number}" for number in range(8)], dtype=object), rows)
    size[::9], colour[::7] = np.nan, None
    return pd.DataFrame({"size of it": size, "colour": colour, "weight": weight, "make": make})


def dataset(task: str, table: pd.DataFrame | None = None, targets: int = 1) -> js.Dataset:
    table = frame() if table is None else table
    draw = np.random.default_rng(1)
    if task == "classification":
        return js.Dataset.from_arrays(table, draw.choice(np.array(["low", "middle", "h\u00f6h"]), len(table)))
    y = draw.normal(1.7e9, 1000, (len(table), targets))  # float32 has steps of 128 there
    return js.Dataset.from_arrays(table, y if targets > 1 else y[:, 0], task="regression")


def network(data: js.Dataset, seed: int = 0, **config: Any) -> Model:
    """A network with random weights: what training makes of them is no matter here."""
    prepared = prepare(data)
    whole = resolve({**({} if "depth" in config else {"width": [7, 5]}), **config}, data.task, rows=100)
    draw = np.random.default_rng(seed)
    sizes = (len(prepared.feature_names), *layer_widths(whole, prepared.n_outputs), prepared.n_outputs)
    params: dict[str, Any] = {}
    stats: dict[str, Any] = {}

    def numbers(*shape: int) -> NDArray[np.float32]:
        return draw.normal(0, 2 / np.sqrt(shape[0]), shape).astype(np.float32)

    for layer, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        name = "output" if layer == len(sizes) - 2 else f"hidden_{layer}"
        params[name] = {"kernel": numbers(rows, columns), "bias": 0.1 * numbers(columns)}
        if name != "output" and whole["norm"] != "none":
            params[f"norm_{layer}"] = {"scale": numbers(columns), "bias": numbers(columns)}
        if name != "output" and whole["norm"] == "batch":
            stats[f"norm_{layer}"] = {"mean": numbers(columns), "var": np.exp(numbers(columns))}
    return Model.of(prepared, whole, params, stats)


def inputs(model: Model, table: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """What a stranger would give to the graph, who has the names in its metadata."""
    found: dict[str, NDArray[Any]] = {}
    numbers, words = ([e.name for e in model.preprocessor.inputs if hasattr(e, "mean") == own] for own in (True, False))
    if numbers:
        found["numbers"] = table[numbers].to_numpy(np.float64)
    if words:
        found["words"] = table[words].fillna("").to_numpy(object)
    return found


def run(path: Path, given: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, given), strict=True))


def metadata(path: Path) -> dict[str, Any]:
    return {each.key: json.loads(each.value) for each in onnx.load(path).metadata_props}


def of_each(activation: str, norm: str, path: Path) -> dict[str, float]:
    """The largest differences between a network and its graph: of probabilities, and in a regression's own scale."""
    worst, table = {}, frame()
    for task in ("classification", "regression"):
        model = network(dataset(task), activation=activation, norm=norm, negative_slope=0.3)
        for features in (False, True):
            model.to_onnx(path, features=features)
            given = {"features": model.features(table).astype(np.float32)} if features else inputs(model, table)
            came, truth = run(path, given), model.predict(table)
            if task == "regression":
                assert came["value"].shape == truth.shape
                gap = np.abs(came["value"] - truth).max() / model.preprocessor.target_scale
                assert truth.std() > 0.02 * model.preprocessor.target_scale
            else:
                shares = model.predict_proba(table)
                gap = np.abs(came["probabilities"] - shares).max()
                labels = np.array(metadata(path)["classes"])[came["class_index"]]
                sure = np.ptp(np.sort(shares, axis=1)[:, -2:], axis=1) > 1e-4  # of two equal ones rounding decides
                assert sure.mean() > 0.99
                np.testing.assert_array_equal(labels[sure], truth[sure])
                assert np.ptp(shares, axis=0).max() > 0.02
            worst[f"{task}, {'features' if features else 'raw'}"] = float(gap)
    return worst


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_and_norm(activation: str, norm: str, tmp_path: Path) -> None:
    worst = of_each(activation, norm, tmp_path / "m.onnx")
    assert max(worst.values()) < 5e-6, worst  # 24 of them came to 2e-6 at most


def test_there_is_a_graph_of_every_activation() -> None:
    assert tuple(exported.ACTIVATIONS) == ACTIVATIONS


def test_raw_columns_of_all_kinds_may_be_missing_or_unknown(tmp_path: Path) -> None:
    """Beside the table of before: numbers that stand for missing ones, and a column of which rare words share one."""
    table = frame()
    table["weight"] = table["weight"].where(np.arange(ROWS) % 5 > 0, -999.0)
    (tmp_path / "x.csv").write_text(table.assign(y=np.arange(ROWS) % 3).to_csv(index=False))
    data = js.read_table(tmp_path / "x.csv", target="y", missing=[-999], most_categories=3)
    model = network(data)
    names = model.preprocessor.feature_names
    assert {"size of it missing", "weight missing", "colour missing", "make: other"} <= set(names)
    model.to_onnx(path := tmp_path / "m.onnx")
    new = frame()[: ROWS // 2]
    new.loc[0:2, "weight"] = [-999.0, np.nan, 1e6]
    new.loc[3:5, "colour"] = [None, "a colour that nobody knows", "red "]
    new.loc[6:7, "make"] = [None, "make of another kind"]
    given = inputs(model, new)
    given["words"][5, 0] = "red"
    with pytest.warns(UserWarning, match="a colour that nobody knows"):
        truth = model.predict_proba(new)
    came = run(path, given)["probabilities"]
    assert np.abs(came - truth).max() < 5e-6
    features = model.features(new.drop(index=4))
    assert len(np.unique(features[:, names.index("make: other")])) == 2
    assert metadata(path)["numbers"] == ["size of it", "weight"]
    assert metadata(path)["words"] == ["colour", "make"]
    assert metadata(path)["features"] == list(names)


@pytest.mark.parametrize("kept", [["weight"], ["colour", "make"]])
def test_an_input_of_which_there_is_nothing_is_absent(kept: list[str], tmp_path: Path) -> None:
    table = frame()[kept]
    model = network(dataset("classification", table), depth=0)
    model.to_onnx(path := tmp_path / "m.onnx")
    given = inputs(model, table)
    assert len(given) == 1
    assert np.abs(run(path, given)["probabilities"] - model.predict_proba(table)).max() < 5e-6
    one = {name: rows[:1] for name, rows in given.items()}
    assert run(path, one)["probabilities"].shape == (1, 3)


def test_several_targets_are_in_their_units(tmp_path: Path) -> None:
    model = network(dataset("regression", targets=2), width=6)
    model.to_onnx(path := tmp_path / "m.onnx")
    came, truth = run(path, inputs(model, frame()))["value"], model.predict(frame())
    assert came.dtype == np.float64
    assert came.shape == truth.shape == (ROWS, 2)
    assert np.abs(came - truth).max() < 0.01  # of 1.7e9, where float32 has steps of 128
    assert metadata(path)["targets"] == list(model.targets)


def test_what_a_trained_network_says_is_what_its_graph_says(tmp_path: Path, iris: js.Dataset) -> None:
    model = js.sweep(
        iris, configs=[{"depth": 1, "width": 8, "epochs": 10, "learning_rate": 0.01}], progress=False
    ).model()
    model.save(tmp_path / "model")
    X = np.random.default_rng(0).normal(3, 2, (50, 4))
    for each in (model, js.load_model(tmp_path / "model")):
        assert isinstance(each, js.Model)
        each.to_onnx(tmp_path / "m.onnx")
        came = run(tmp_path / "m.onnx", {"numbers": X})
        np.testing.assert_array_equal(np.array(model.classes)[came["class_index"]], model.predict(X))
        assert np.abs(came["probabilities"] - model.predict_proba(X)).max() < 1e-6


def test_a_graph_is_plain_and_has_no_name_of_the_data(tmp_path: Path) -> None:
    network(dataset("classification"), norm="layer", activation="gelu").to_onnx(path := tmp_path / "m.onnx")
    made = onnx.load(path)
    assert [(each.domain, each.version) for each in made.opset_import] == [("", exported.OPSET)]
    assert made.ir_version == exported.IR
    assert (made.producer_name, made.producer_version) == ("jaxsweep", js.__version__)
    graph = made.graph
    names = [each.name for kind in (graph.input, graph.output, graph.node, graph.initializer) for each in kind]
    assert len(names) == len(set(names) | {"class_index", "probabilities"}) + 2  # nodes are called as their outputs
    assert all(name.isidentifier() for name in names)
    assert metadata(path)["classes"] == ["h\u00f6h", "low", "middle"]
    assert metadata(path)["config"]["norm"] == "layer"


def test_dates_are_refused_unless_features_go_in(tmp_path: Path) -> None:
    table = frame(60)
    table["day"] = pd.date_range("2020-01-01", periods=60, freq="37D").strftime("%d.%m.%Y")
    model = network(dataset("classification", table))
    with pytest.raises(js.RequestError, match=r"the network reads dates \('day'\), .* --onnx-features"):
        model.to_onnx(tmp_path / "m.onnx")
    model.to_onnx(tmp_path / "m.onnx", features=True)
    came = run(tmp_path / "m.onnx", {"features": model.features(table).astype(np.float32)})
    assert np.abs(came["probabilities"] - model.predict_proba(table)).max() < 5e-6


def test_what_cannot_be_a_graph_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, path = network(dataset("classification")), tmp_path / "m.onnx"
    mine = network(dataset("classification"), activation=Own("wave", np.sin))
    with pytest.raises(js.RequestError, match="'wave' is a function of your own, which ONNX has no operator for"):
        mine.to_onnx(path)
    with pytest.raises(js.RequestError, match=r"cannot be written .*: name a file that can"):
        model.to_onnx(tmp_path / "none" / "m.onnx")
    for wrong in ({"path": 3}, {"path": path, "features": "yes"}):
        with pytest.raises(js.RequestError, match=r"(path|features) = .* is not legal"):
            model.to_onnx(**wrong)
    huge = {"kernel": np.full((5, 3), 1e300), "bias": np.zeros(3)}
    with pytest.raises(js.RequestError, match="output has weights beyond what float32 holds"):
        Model(model.task, model.config, {**model.params, "output": huge}, {}, model.preprocessor).to_onnx(path)
    with monkeypatch.context() as patch:
        patch.setattr(exported, "LARGEST", 100)
        with pytest.raises(js.RequestError, match=r"weights of 0\.0 GiB: a file of ONNX holds less than 2 GiB"):
            model.to_onnx(path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(js.RequestError, match=r"needs the package onnx, .*: pip install 'jaxsweep\[onnx\]'"):
        model.to_onnx(path)
    assert not path.exists()

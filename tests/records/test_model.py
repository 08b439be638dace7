"""Exported networks: the folder's contract, predictions without JAX, and broken folders."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import textbook
from safetensors.numpy import load_file, save_file

import jaxsweep as js
from jaxsweep.data import prepare
from jaxsweep.network import mlp
from jaxsweep.network.reference import MLP
from jaxsweep.records import forward, model
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS

ACTIVATIONS = HYPERPARAMETERS["activation"].choices
NORMS = HYPERPARAMETERS["norm"].choices
SHAPE = {"epochs": 3, "batch_size": 16, "learning_rate": 0.01, "depth": 2, "width": 6}
CONFIGS = [
    {**SHAPE, "activation": activation, "norm": norm, "negative_slope": 0.2}
    for activation in ACTIVATIONS
    for norm in NORMS
]


def raw_frame(rows: int = 120) -> pd.DataFrame:
    """Numbers of different sizes, a category, missing values in both, and a column that says which class it is."""
    draw = np.random.default_rng(0)
    size, weight = draw.normal(5, 2, rows), draw.normal(1000, 300, rows)
    colour = draw.choice(np.array(["red", "green", "blue"], dtype=object), rows)
    size[::9], colour[::7] = np.nan, None
    return pd.DataFrame({"size": size, "colour": colour, "weight": weight})


@pytest.fixture(scope="module")
def labels() -> list[str]:
    frame = raw_frame()
    pairs = zip(frame.weight, frame.colour, strict=True)
    return ["heavy" if weight > 1100 else "light" if colour == "red" else "odd" for weight, colour in pairs]


@pytest.fixture(scope="module")
def result(labels: list[str]) -> js.Result:
    data = js.Dataset.from_arrays(raw_frame(), labels)
    return js.sweep(data, configs=CONFIGS, keep=len(CONFIGS), progress=False)


def numpy_probabilities(folder: Path, x: np.ndarray) -> np.ndarray:
    """What a stranger would write who has the folder, its description in the README, and NumPy."""
    w, d = load_file(folder / "model.safetensors"), json.loads((folder / "model.json").read_text())
    c = d["config"]
    for i in range(c["depth"]):
        x = x @ w[f"hidden_{i}/kernel"] + w[f"hidden_{i}/bias"]
        if c["norm"] != "none":
            batch = c["norm"] == "batch"
            mean, var = (w[f"norm_{i}/{k}"] if batch else getattr(x, k)(1, keepdims=True) for k in ("mean", "var"))
            x = (x - mean) / np.sqrt(var + 1e-5) * w[f"norm_{i}/scale"] + w[f"norm_{i}/bias"]
        x = textbook.ACTIVATIONS[c["activation"]](x, c["negative_slope"])
    e = np.exp(x @ w["output/kernel"] + w["output/bias"])
    probabilities: np.ndarray = e / e.sum(axis=1, keepdims=True)
    return probabilities


def features(folder: Path, frame: pd.DataFrame) -> np.ndarray:
    """The inputs of the first kernel, from model.json alone."""
    columns = []
    for entry in json.loads((folder / "model.json").read_text())["inputs"]:
        raw = frame[entry["name"]]
        if entry["kind"] == "number":
            columns.append((raw.fillna(entry["fill"]).to_numpy() - entry["mean"]) / entry["scale"])
        elif entry["kind"] == "missing":
            columns.append(raw.isna().to_numpy().astype(float))
        else:
            columns += [(raw == word).to_numpy().astype(float) for word in entry["categories"]]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("number", range(len(CONFIGS)), ids=[f"{c['activation']}-{c['norm']}" for c in CONFIGS])
def test_a_folder_and_numpy_are_enough_to_predict(result: js.Result, tmp_path: Path, number: int) -> None:
    network = result.model(number)
    network.save(tmp_path / "m")
    frame = raw_frame()
    given = js.load_model(tmp_path / "m").predict_proba(frame)
    by_hand = numpy_probabilities(tmp_path / "m", features(tmp_path / "m", frame))
    np.testing.assert_allclose(by_hand, given, rtol=0, atol=1e-5)
    variables = {"params": network.params, "batch_stats": network.stats}
    outputs = MLP(network.config, 3).apply(variables, jnp.asarray(network.preprocessor.transform_table(frame)))
    powers = np.exp(np.asarray(outputs, np.float64))
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), given, rtol=0, atol=1e-5)
    names = set(load_file(tmp_path / "m" / "model.safetensors"))
    kinds = {"none": [], "layer": ["scale", "bias"], "batch": ["scale", "bias", "mean", "var"]}[network.config["norm"]]
    layers = ["hidden_0", "hidden_1", "output"]
    norms = {f"norm_{i}/{kind}" for i in (0, 1) for kind in kinds}
    assert names == {f"{layer}/{kind}" for layer in layers for kind in ("kernel", "bias")} | norms


@pytest.mark.parametrize("number", range(len(CONFIGS)), ids=[f"{c['activation']}-{c['norm']}" for c in CONFIGS])
def test_hidden_layers_and_the_pure_function_are_those_of_the_network(result: js.Result, number: int) -> None:
    network, frame = result.model(number), raw_frame()
    x, given = network.features(frame), network.predict_proba(frame)
    hidden = network.activations(frame)
    assert [layer.shape for layer in hidden] == [(120, 6), (120, 6)]
    outputs = hidden[-1] @ network.params["output"]["kernel"] + network.params["output"]["bias"]
    np.testing.assert_array_equal(outputs.argmax(axis=1), given.argmax(axis=1))
    np.testing.assert_allclose(jax.nn.softmax(outputs), given, rtol=0, atol=1e-5)
    if network.config["norm"] == "none":
        z = x @ network.params["hidden_0"]["kernel"] + network.params["hidden_0"]["bias"]
        by_hand = textbook.ACTIVATIONS[network.config["activation"]](z, 0.2)
        np.testing.assert_allclose(hidden[0], by_hand, rtol=1e-6, atol=1e-7)
    pure = network.apply(network.params, x)
    assert isinstance(pure, jax.Array)
    np.testing.assert_allclose(pure, given, rtol=0, atol=1e-5)


def test_the_pure_function_can_be_compiled_mapped_and_differentiated(result: js.Result) -> None:
    network = result.model(CONFIGS.index({**SHAPE, "activation": "tanh", "norm": "batch", "negative_slope": 0.2}))
    x = network.features(raw_frame(9))
    given = network.apply(network.params, x)
    np.testing.assert_allclose(jax.jit(network.apply)(network.params, x), given, rtol=1e-5)
    one_by_one = jax.vmap(network.apply, in_axes=(None, 0))(network.params, x)
    np.testing.assert_allclose(one_by_one, given, rtol=1e-5)

    def confidence(params: Any, x: Any) -> Any:
        return jnp.log(network.apply(params, x)[:, 0]).sum()

    slopes = jax.grad(confidence, argnums=(0, 1))(network.params, x)
    shapes = {layer: {name: array.shape for name, array in values.items()} for layer, values in network.params.items()}
    assert jax.tree.map(np.shape, slopes[0]) == shapes
    step = np.zeros_like(x)
    step[3, 1] = 1e-4
    up, down = (np.log(network.predicted(at)[1][:, 0]).sum() for at in (x + step, x - step))
    assert slopes[1][3, 1] == pytest.approx((up - down) / 2e-4, rel=1e-3)


def test_the_validation_accuracy_is_that_of_the_exported_network(result: js.Result, labels: list[str]) -> None:
    data = prepare(js.Dataset.from_arrays(raw_frame(), labels))
    trial = result.best
    network = result.model(trial.id)
    outputs = forward.forward(network.config, network.params, network.stats, data.x[0][data.val[0]])
    accuracy = np.mean(outputs.argmax(axis=1) == data.y[0][data.val[0]])
    assert accuracy == pytest.approx(trial.score)


def test_the_epsilon_is_that_of_training() -> None:
    assert forward.NORM_EPSILON == mlp.NORM_EPSILON


def test_predictions_have_the_labels_type(result: js.Result) -> None:
    predicted = result.model(0).predict(raw_frame(5))
    assert predicted.shape == (5,)
    assert set(predicted.tolist()) <= {"heavy", "light", "odd"}
    assert result.model(0).classes == ("heavy", "light", "odd")
    as_array = raw_frame(5).to_numpy(dtype=object)
    assert result.model(0).predict(as_array).tolist() == predicted.tolist()
    assert result.model(0).predict(raw_frame(5)[["weight", "colour", "size"]]).tolist() == predicted.tolist()
    with pytest.raises(js.RequestError, match="'size' is not in the data"):
        result.model(0).predict(raw_frame(5)[["weight", "colour"]])


def test_regression_predicts_in_units_of_the_target(tmp_path: Path) -> None:
    frame = raw_frame()
    y = 5000 + 40 * (frame.weight - 1000).to_numpy()
    config = {"epochs": 60, "batch_size": 8, "learning_rate": 0.02, "depth": 0}
    network = js.sweep(js.Dataset.from_arrays(frame, y), configs=[config], progress=False).model()
    network.save(tmp_path / "m")
    loaded = js.load_model(tmp_path / "m")
    assert isinstance(loaded, js.Model)
    predicted = loaded.predict(frame)
    assert predicted.dtype == np.float64
    assert np.abs(predicted - y).mean() < 0.2 * y.std()
    np.testing.assert_array_equal(predicted, network.predict(frame))
    np.testing.assert_allclose(loaded.apply(loaded.params, loaded.features(frame)), predicted, rtol=1e-5)
    assert loaded.activations(frame) == []  # a linear model
    document = json.loads((tmp_path / "m" / "model.json").read_text())
    assert set(document) == {"task", "config", "header", "inputs", "target"}
    assert document["header"] is True
    assert set(document["target"]) == {"mean", "scale"}
    with pytest.raises(js.RequestError, match="use predict"):
        loaded.predict_proba(frame)


def test_many_rows_are_predicted_in_blocks(result: js.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = result.model(1).predict_proba(raw_frame(50))
    monkeypatch.setattr(model, "BLOCK", 7)
    np.testing.assert_allclose(result.model(1).predict_proba(raw_frame(50)), whole, rtol=1e-12)
    assert result.model(1).predict_proba(raw_frame(50)[:0]).shape == (0, 3)


def test_an_export_is_replaced_but_nothing_else_is(result: js.Result, tmp_path: Path) -> None:
    result.model(0).save(tmp_path / "m")
    result.model(5).save(tmp_path / "m")
    assert model.load_model(tmp_path / "m").config == result.model(5).config
    assert [entry.name for entry in tmp_path.iterdir()] == ["m"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(js.RequestError, match=r"holds other things \(notes.txt\)"):
        result.model(0).save(tmp_path / "mine")
    with pytest.raises(js.RequestError, match="is a file"):
        result.model(0).save(tmp_path / "mine" / "notes.txt")
    with pytest.raises(js.RequestError, match="cannot be written"):
        result.model(0).save("/proc/nowhere/m")
    assert [entry.name for entry in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_the_folder_says_whether_the_table_had_a_header(result: js.Result, tmp_path: Path) -> None:
    network = result.model(0)
    for header in (True, False, None):
        dataclasses.replace(network, header=header).save(tmp_path / "m")
        assert json.loads((tmp_path / "m" / "model.json").read_text()).get("header") is header
        assert js.load_model(tmp_path / "m").header is header
    assert "header" not in json.loads((tmp_path / "m" / "model.json").read_text())  # a folder of before, saved again


def _edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads((folder / "model.json").read_text())
    change(document)
    (folder / "model.json").write_text(json.dumps(document))


def _tensors(folder: Path, change: Callable[[dict[str, np.ndarray]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


BREAKAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no weights": (lambda m: (m / "model.safetensors").unlink(), "has no model.safetensors"),
    "no description": (lambda m: (m / "model.json").unlink(), "has no model.json"),
    "cut weights": (
        lambda m: (m / "model.safetensors").write_bytes((m / "model.safetensors").read_bytes()[:-9]),
        "broken exported network",
    ),
    "not JSON": (lambda m: (m / "model.json").write_text("{"), "broken exported network"),
    "a list": (lambda m: (m / "model.json").write_text("[]"), "holds no object"),
    "no task": (lambda m: _edit(m, lambda d: d.pop("task")), "task = None"),
    "no classes": (lambda m: _edit(m, lambda d: d.pop("classes")), "has classes"),
    "no config": (lambda m: _edit(m, lambda d: d.pop("config")), "no config"),
    "illegal config": (lambda m: _edit(m, lambda d: d["config"].update(width=-1)), "width = -1 is not legal"),
    "header is a word": (lambda m: _edit(m, lambda d: d.update(header="yes")), "header = 'yes': it must be true or"),
    "other widths": (lambda m: _edit(m, lambda d: d["config"].update(width=7)), "must be finite floats of shape"),
    "an input less": (lambda m: _edit(m, lambda d: d["inputs"].pop()), "must be finite floats of shape"),
    "a tensor less": (lambda m: _tensors(m, lambda t: t.pop("output/bias")), "lacks output/bias"),
    "a tensor more": (lambda m: _tensors(m, lambda t: t.update({"x": np.zeros(1)})), "unexpected x"),
    "not finite": (lambda m: _tensors(m, lambda t: t["output/bias"].fill(np.nan)), "is not finite"),
}


@pytest.mark.parametrize("what", BREAKAGES)
def test_broken_folders_are_refused(result: js.Result, tmp_path: Path, what: str) -> None:
    damage, words = BREAKAGES[what]
    result.model(1).save(tmp_path / "m")
    damage(tmp_path / "m")
    with pytest.raises(js.RequestError, match=words):
        js.load_model(tmp_path / "m")

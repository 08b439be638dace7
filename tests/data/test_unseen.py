"""Features that say nothing in a fold's training rows: their weights are not trained, so they must not be used."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import jaxsweep as js
from jaxsweep.data import Dataset, Prepared, prepare
from jaxsweep.records.model import Model
from jaxsweep.spec.hyperparameters import resolve

ROWS = 90


def rare_words() -> Dataset:
    """Return rows of which every tenth has a word of its own, with missing values in one row, and a rare number."""
    draw = np.random.default_rng(0)
    word = np.array([f"own{row}" if row % 10 == 0 else "ab"[row % 2] for row in range(ROWS)], dtype=object)
    size = draw.normal(size=ROWS)
    size[45] = np.nan
    flood = np.where(np.arange(ROWS) == 30, 1e6, 0.0)
    frame = pd.DataFrame({"size": size, "word": word, "flood": flood, "x": draw.normal(size=ROWS)})
    return Dataset.from_arrays(frame, draw.normal(size=ROWS))


def network(data: Prepared, **config: Any) -> Model:
    """Return a network as if training had left all of its weights far from 0."""
    resolved = resolve({"depth": 1, "width": 3, "batch_size": 1, **config}, data.task, rows=100, image=False)
    sizes = [len(data.feature_names), *[3] * resolved["depth"], data.n_outputs]
    draw = np.random.default_rng(1)
    params = {
        ("output" if layer == len(sizes) - 2 else f"hidden_{layer}"): {
            "kernel": draw.normal(size=sizes[layer : layer + 2]).astype(np.float32),
            "bias": draw.normal(size=sizes[layer + 1]).astype(np.float32),
        }
        for layer in range(len(sizes) - 1)
    }
    return Model.of(data, resolved, params, {})


def test_what_no_training_row_of_a_fold_has_is_zero_in_all_rows() -> None:
    data = rare_words()
    prepared = prepare(data, (0.8, 0, 0.2), folds=4)
    names = prepared.feature_names
    hidden = 0
    for x, x_test, train, val, preprocessor in zip(
        prepared.x, prepared.x_test, prepared.train, prepared.val, prepared.preprocessors, strict=True
    ):
        assert preprocessor.unseen == tuple(np.flatnonzero(~x[train].any(axis=0)))
        assert not x[:, list(preprocessor.unseen)].any()
        assert not x_test[:, list(preprocessor.unseen)].any()
        raw = dataclasses.replace(preprocessor, unseen=()).transform(data.inputs)[:, list(preprocessor.unseen)]
        assert raw.any()  # the columns themselves are not 0
        hidden += len(preprocessor.unseen)
        own = [names.index(name) for name in names if name.startswith("word=own")]
        assert (x[val][:, own].any(axis=1)).sum() == 0  # each such word has a single row
        assert x[train][:, own].any()
    assert hidden > 4


def test_every_kind_of_feature_can_be_unseen() -> None:
    prepared = prepare(rare_words(), (1, 0, 0), folds=3)
    names = np.array(prepared.feature_names)
    seen = [set(names[list(preprocessor.unseen)]) for preprocessor in prepared.preprocessors]
    for name in ("size missing", "flood", "word=own10"):
        assert sum(name in unseen for unseen in seen) == 1, name
    assert all(unseen.isdisjoint({"size", "x", "word=a", "word=b"}) for unseen in seen)


def test_an_indicator_that_only_the_validation_part_needs_is_zero() -> None:
    x = np.arange(12.0)[:, None]
    data = Dataset.from_arrays(x, [0, 1] * 6, X_val=[[np.nan], [1.0]], y_val=[0, 1])
    prepared = prepare(data)
    assert prepared.feature_names == ("0", "0 missing")
    assert prepared.preprocessors[0].unseen == (1,)
    assert not prepared.x[0, :, 1].any()


def test_without_folds_every_word_of_a_feature_is_seen() -> None:
    data = rare_words()
    prepared = prepare(Dataset.from_arrays(pd.DataFrame({c.name: c.values for c in data.inputs[1:2]}), data.target))
    assert prepared.preprocessors[0].unseen == ()


@pytest.mark.parametrize("depth", [0, 1])
def test_the_exported_network_does_not_use_them(tmp_path: Path, depth: int) -> None:
    prepared = prepare(rare_words(), (1, 0, 0), folds=3)
    model = network(prepared, depth=depth)
    unseen = list(prepared.preprocessors[0].unseen)
    model.save(tmp_path / "m")
    kernel = load_file(tmp_path / "m" / "model.safetensors")[f"{'hidden_0' if depth else 'output'}/kernel"]
    assert kernel.dtype == np.float32
    assert not kernel[unseen].any()
    assert np.delete(kernel, unseen, axis=0).all()
    document = json.loads((tmp_path / "m" / "model.json").read_text())
    words = next(entry["categories"] for entry in document["inputs"] if entry["kind"] == "category")
    assert [f"word={word}" for word in words] == [name for name in prepared.feature_names if name.startswith("word=")]
    rows = pd.DataFrame(
        {"size": [0.0, np.nan], "word": [name.removeprefix("word=") for name in words[:2]], "flood": 1e6, "x": 0.5}
    )
    np.testing.assert_array_equal(js.load_model(tmp_path / "m").predict(rows), model.predict(rows))


def test_an_unseen_word_predicts_as_no_word_at_all() -> None:
    prepared = prepare(rare_words(), (1, 0, 0), folds=3)
    model = network(prepared)
    names = [prepared.feature_names[number] for number in prepared.preprocessors[0].unseen]
    word = next(name.removeprefix("word=") for name in names if name.startswith("word="))
    rows = pd.DataFrame({"size": 0.0, "word": [word, None], "flood": 0.0, "x": 0.5})
    first, second = model.predict(rows)
    assert first == second


def test_the_weights_that_were_given_stay_as_they_are() -> None:
    prepared = prepare(rare_words(), (1, 0, 0), folds=3)
    kernel = np.ones((len(prepared.feature_names), 1), np.float32)
    params = {"output": {"kernel": kernel, "bias": np.zeros(1, np.float32)}}
    config = resolve({"depth": 0, "batch_size": 1}, "regression", rows=100, image=False)
    model = Model.of(prepared, config, params, {})
    assert kernel.all()
    assert (model.params["output"]["kernel"] == 0).sum() == len(prepared.preprocessors[0].unseen) > 0


def test_a_sweep_with_folds_keeps_such_networks() -> None:
    result = js.sweep(
        rare_words(), configs=[{"depth": 1, "width": 4, "epochs": 2}], folds=3, split=(1, 0, 0), progress=False
    )
    model = result.model()
    unseen = list(model.preprocessor.unseen)
    assert unseen
    assert not model.params["hidden_0"]["kernel"][unseen].any()
    assert np.delete(model.params["hidden_0"]["kernel"], unseen, axis=0).any(axis=1).all()

"""Runs for other programs, from the command line: tables in files, ONNX, TensorBoard.

That for MLflow is tested beside the rest of it, whose database takes ten seconds to make.
"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pyarrow.parquet
import pytest
from cli_helpers import Out, ok, refused

import jaxsweep as js

FIXTURES = sorted((Path(__file__).resolve().parents[1] / "fixtures").glob("run_*"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(FIXTURES[-1], tmp_path_factory.mktemp("runs") / "flowers"))


def test_a_table_goes_into_a_file_of_the_kind_that_its_name_says(run: Path, tmp_path: Path, capsys: Out) -> None:
    rows = json.loads(ok("show", run, "--format", "json"))
    for name in ("x.csv", "x.json", "x.parquet", "x.PQ"):
        assert ok("show", run, "--out", tmp_path / name) == ""
        assert capsys.readouterr().err.endswith(f"{len(rows)} of {len(rows)} trials are in {tmp_path / name}\n")
    assert (tmp_path / "x.json").read_text() == ok("show", run, "--format", "json")
    assert (tmp_path / "x.csv").read_text() == ok("show", run, "--format", "csv")
    ids = [row["trial"] for row in rows]
    assert pyarrow.parquet.read_table(tmp_path / "x.parquet")["trial"].to_pylist() == ids
    assert (tmp_path / "x.PQ").read_bytes() == (tmp_path / "x.parquet").read_bytes()
    ok("show", run, "--top", "2", "--sort", "val_loss", "--format", "parquet", "--out", tmp_path / "table")
    frame = pd.read_parquet(tmp_path / "table")
    assert frame["val_loss"].tolist() == sorted(row["val_loss"] for row in rows if row["val_loss"] is not None)[:2]
    with (tmp_path / "x.csv").open(newline="") as file:
        assert [int(row["trial"]) for row in csv.DictReader(file)] == ids


def test_what_no_file_can_be_is_refused(run: Path, tmp_path: Path, capsys: Out) -> None:
    text = refused(capsys, "show", run, "--out", tmp_path / "x.txt")
    assert "x.txt: name a file that ends in .csv, .json or .parquet, or say --format" in text
    assert "--format parquet is no text to print" in refused(capsys, "show", run, "--format", "parquet")
    assert "cannot be written" in refused(capsys, "show", run, "--out", tmp_path / "none" / "x.csv")


def test_a_network_goes_to_onnx(run: Path, tmp_path: Path, capsys: Out) -> None:
    ok("export", run, "--onnx", tmp_path / "m.onnx", "--out", tmp_path / "model")
    assert capsys.readouterr().err.endswith(f" is in {tmp_path / 'model'} and {tmp_path / 'm.onnx'}\n")
    ok("export", run, "--onnx", tmp_path / "f.onnx", "--onnx-features")
    model = js.load_model(tmp_path / "model")
    X = np.random.default_rng(0).normal(3, 2, (20, len(model.preprocessor.inputs)))
    inputs = {"m.onnx": {"numbers": X}, "f.onnx": {"features": model.features(X).astype(np.float32)}}
    for name, given in inputs.items():
        session = onnxruntime.InferenceSession(tmp_path / name, providers=["CPUExecutionProvider"])
        (_, probabilities) = session.run(["class_index", "probabilities"], given)
        np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=1e-6)
    capsys.readouterr()
    assert "required: --out DIR, or --onnx FILE" in refused(capsys, "export", run)
    text = refused(capsys, "export", run, "--out", tmp_path / "again", "--onnx-features")
    assert "--onnx-features says what a graph takes, and there is none: add --onnx FILE" in text
    assert not (tmp_path / "again").exists()


def test_the_best_trials_go_to_tensorboard(run: Path, tmp_path: Path, capsys: Out) -> None:
    count = len(js.load(run).trials)
    ok("tensorboard", run, "--out", tmp_path / "a", "--top", "2")
    text = f"the best 2 of {count} trials are in {tmp_path / 'a'}: tensorboard --logdir {tmp_path / 'a'}\n"
    assert capsys.readouterr().err.endswith(text)
    assert len(list((tmp_path / "a").glob("trial_*/events.out.tfevents.*"))) == 2
    ok("tensorboard", run, "--out", tmp_path / "b", "--top", "all", "--show-test")
    assert len(list((tmp_path / "b").glob("trial_*/events.out.tfevents.*"))) == count
    capsys.readouterr()
    assert "--top: 'many' is not legal" in refused(capsys, "tensorboard", run, "--out", tmp_path / "c", "--top", "many")
    assert "trials = 0 is not legal" in refused(capsys, "tensorboard", run, "--out", tmp_path / "c", "--top", "0")


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_runs_of_all_formats_can_be_written(path: Path, tmp_path: Path) -> None:
    result = js.load(path)
    result.to_parquet(tmp_path / "x.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "x.parquet").column_names == list(result.to_pandas())
    assert result.to_tensorboard(tmp_path / "a", trials=None).among == len(result.trials)

"""Columns of a table that are no inputs: weights of rows, and several targets."""

import csv
import io
import json
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
from cli_helpers import SETS, Out, ok, refused

import jaxsweep as js

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 2)).round(3)
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "times": RNG.integers(0, 4, 90)})
WORDS = FRAME.assign(who=np.where(X[:, 0] + 0.5 * RNG.normal(size=90) > 0.4, "one", "other"))


def test_rows_and_classes_that_weigh_differently(tmp_path: Path, capsys: Out) -> None:
    WORDS.to_csv(tmp_path / "t.csv", index=False)
    run = tmp_path / "run"
    given = ["--data", tmp_path / "t.csv", "--target", "who", "--weight", "times", "--trials", 2, *SETS]
    ok("run", *given, "--search", "grid", "--set", 'class_weight={choice=["none","balanced"]}', "--out", run, "--quiet")
    assert tomllib.loads((run / "sweep.toml").read_text())["data"]["weight"] == "times"
    result = js.load(run)
    balanced = result.trials[0]
    assert [trial.config["class_weight"] for trial in result.trials] == ["balanced", "none"]
    losses = result.curves("train_loss")[:, -1]
    assert abs(losses[0] - losses[1]) > 1e-3
    assert "largest difference" in ok("solo", run, "--trial", 0)  # reads the table, and its weights, again
    data = js.read_table(tmp_path / "t.csv", "who", weight="times")
    alone = js.solo(data, balanced.config, trial=0)
    np.testing.assert_allclose(result.curves("val_accuracy")[0], alone.curves["val_accuracy"], rtol=1e-5)
    plain = js.solo(js.read_table(tmp_path / "t.csv", "who", drop="times"), balanced.config, trial=0)
    assert np.abs(plain.curves["val_accuracy"] - alone.curves["val_accuracy"]).max() > 1e-3
    capsys.readouterr()
    assert "weight names the target column 'who'" in refused(capsys, "run", *given, "--weight", "who")
    regression = ["--data", "diabetes", "--set", "class_weight=balanced"]
    assert "class_weight = 'balanced' does not fit regression, which has no classes" in refused(
        capsys, "run", *regression
    )
    assert "weight = 'a' goes with a table on disk" in refused(capsys, "run", "--data", "iris", "--weight", "a")


def test_several_targets(tmp_path: Path, capsys: Out) -> None:
    noise = RNG.normal(size=90) * 0.1
    table = FRAME.assign(price=1000 * X[:, 0] + noise, size=X[:, 1] - noise, word=["one", "two"] * 45)
    table.to_csv(tmp_path / "t.csv", index=False)
    run, model = tmp_path / "run", tmp_path / "model"
    given = ["--data", tmp_path / "t.csv", "--set", "drop=word", *SETS]
    printed = ok(
        "run", *given, "--set", "target=price,size", "--trials", 2, "--out", run, "--quiet", "--format", "json"
    )
    assert set(json.loads(printed.splitlines()[-1])["best"]["metrics"]) >= {"val_mse", "val_r2", "test_mae"}
    assert "largest difference" in ok("solo", run, "--trial", 1)
    ok("run", run / "sweep.toml", "--out", tmp_path / "again", "--quiet")
    assert js.load(tmp_path / "again").best.score == js.load(run).best.score
    ok("export", run, "--out", model)
    target = json.loads((model / "model.json").read_text())["target"]
    assert [list(each) for each in target] == [["name", "mean", "scale"]] * 2
    rows = list(csv.DictReader(io.StringIO(ok("predict", model, tmp_path / "t.csv"))))
    assert list(rows[0]) == ["prediction_price", "prediction_size"]
    loaded = js.load_model(model)
    assert loaded.targets == ("price", "size")
    predicted = loaded.predict(table)
    assert predicted.shape == (90, 2)
    np.testing.assert_array_equal([[float(cell) for cell in row.values()] for row in rows], predicted)
    np.testing.assert_array_equal(js.load(run).model().predict(table), predicted)
    listed = tmp_path / "sweep.toml"
    listed.write_text(f'[data]\npath = "{tmp_path / "t.csv"}"\ntarget = ["price", "size"]\ndrop = ["word"]\n')
    ok("run", listed, "--trials", 2, *SETS, "--out", tmp_path / "listed", "--quiet")
    ok("plan", *given, "--target", "price, size")
    assert js.load(tmp_path / "listed").best.score == js.load(run).best.score
    capsys.readouterr()
    message = refused(capsys, "run", *given, "--target", "price,size", "--task", "classification")
    assert "target names 2 columns: task = 'classification' takes one" in message
    del target[1]["scale"]
    document = json.loads((model / "model.json").read_text()) | {"target": target}
    (model / "model.json").write_text(json.dumps(document))
    assert "the preprocessing of the network cannot be read" in refused(capsys, "predict", model, tmp_path / "t.csv")

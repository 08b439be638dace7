"""Columns of a table that are no inputs: weights of rows."""

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

"""What results say of hyperparameters, and the page of a run: in Python and from the command line."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_helpers import ok

import jaxsweep as js
from jaxsweep.cli import main

pytestmark = pytest.mark.usefixtures("one_tile")

SPACE = js.Space(
    learning_rate=js.LogUniform(1e-3, 1e3), optimizer=js.Choice(["sgd", "adam"]),
    momentum=js.Uniform(0.0, 0.9, when={"optimizer": "sgd"}), dropout=js.Uniform(0.0, 0.5), depth=1, width=4,
    batch_size=30, epochs=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def result(iris: js.Dataset, tmp_path_factory: pytest.TempPathFactory) -> js.Result:
    out = tmp_path_factory.mktemp("runs") / "one"
    return js.sweep(
        iris, SPACE, trials=150, objective="val_loss", replicates=2, confirm=2, keep=1, out=out, progress=False
    )


@pytest.fixture(scope="module")
def page(result: js.Result) -> str:
    return result.report().read_text(encoding="utf-8")


def test_what_matters_is_what_was_varied(result: js.Result) -> None:
    found = result.importance()
    assert next(iter(found.main)) == "learning_rate"
    assert set(found.main) == {"learning_rate", "optimizer", "momentum", "dropout"}
    assert found.to_pandas()["hyperparameters"].iloc[0] == "learning_rate"
    assert "of the variance of score over" in found.told() in repr(found)
    assert result.importance(names=["dropout"]).main.keys() == {"dropout"}
    momentum = result.sheet.factors["momentum"]
    sgd = [trial.config["optimizer"] == "sgd" for trial in result.trials]
    assert momentum.present.tolist() == sgd
    assert result.importance("val_accuracy").of == "val_accuracy"


def test_a_run_that_is_read_says_the_same(result: js.Result) -> None:
    assert result.run is not None
    loaded = js.load(result.run)
    pd.testing.assert_frame_equal(loaded.importance().to_pandas(), result.importance().to_pandas(), check_exact=True)
    pd.testing.assert_frame_equal(
        loaded.compare("optimizer").to_pandas(), result.compare("optimizer").to_pandas(), check_exact=True
    )
    assert loaded.variance() == result.variance()


def test_two_together_and_luck(result: js.Result) -> None:
    both = result.interaction("learning_rate", "optimizer")
    assert both.trials.sum() == np.isfinite(result.sheet.scores).sum()
    assert list(both.to_pandas().columns) == ["adam", "sgd"]
    assert both.names == ("learning_rate", "optimizer")
    luck = result.variance("seed")
    table = result.to_pandas(lanes=True).pivot(index="trial", columns="replicate", values="score").dropna()
    assert luck.luck == pytest.approx(table.var(axis=1, ddof=1).mean() ** 0.5)
    assert luck.trainings == 2


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda r: r.importance("val_los"), "'val_los' is nothing that trials have; did you mean 'val_loss'"),
        (lambda r: r.importance("test"), "'test' is nothing that trials have"),
        (lambda r: r.importance(names=["width"]), "'width' was not varied in this sweep"),
        (lambda r: r.interaction("dropout", "dropout"), "the two must be different hyperparameters"),
        (lambda r: r.variance("luck"), "must be 'seed' or 'fold'"),
        (lambda r: r.variance("fold"), "each config was trained once: with folds"),
        (lambda r: r.compare("dropout"), "dropout has 1[0-9]{2} values, and up to 12 can be compared"),
        (lambda r: r.report(Path("no") / "such" / "page.html"), r"page\.html cannot be written \(No such file"),
    ],
)
def test_what_cannot_be_answered_is_said(result: js.Result, ask: object, match: str) -> None:
    with pytest.raises(js.RequestError, match=match):
        ask(result)  # type: ignore[operator]


def test_too_few_trials_are_said(iris: js.Dataset, tmp_path: Path) -> None:
    few = js.sweep(iris, SPACE, trials=5, progress=False)
    with pytest.raises(js.RequestError, match="trials have a score: to say what matters takes 20 at least"):
        few.importance()
    with pytest.raises(js.RequestError, match=r"has no run directory for its report: name a file"):
        few.report()
    text = few.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "to say what matters takes 20 at least" in text


def test_a_report_has_what_a_sweep_came_to(result: js.Result, page: str) -> None:
    assert result.run is not None
    assert (result.run / "report.html").exists()
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == [
        "Best configs", "Learning curves", "What matters", "Score against each hyperparameter", "What interacts",
        "All configs", "Where it diverges", "Score against cost", "The winner", "The winner&#x27;s curse", "Luck",
        "Plan and what happened", "To run it again",
    ] or titles == [
        "Best configs", "Learning curves", "What matters", "Score against each hyperparameter", "All configs",
        "Where it diverges", "Score against cost", "The winner", "The winner&#x27;s curse", "Luck",
        "Plan and what happened", "To run it again",
    ]  # fmt: skip
    assert f"<td>{result.best.id}</td>" in page
    assert result.confirmed[0].told("val_loss").replace("'", "&#x27;") in page
    assert "[space]" in page


def test_the_plan_stands_beside_what_came_of_the_same(result: js.Result, page: str) -> None:
    said = result.numbers["prediction"]
    cells = "".join(f"<td>{each / 1e6:,.0f}</td>" for each in (said["bytes"], said["peak_bytes"]))
    assert f"<td>most memory of the process, MB</td>{cells}" in page
    assert said["peak_bytes"] > 1e8  # Python and JAX alone take more


def test_the_command_says_where_the_page_is(
    result: js.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    assert ok("report", result.run, "--out", out).strip() == str(out)
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["report", str(tmp_path / "none")]) == 2
    assert "is no run directory" in capsys.readouterr().err


@pytest.mark.parametrize("way", ["regression", "pbt", "all diverge", "configs"])
def test_every_kind_of_sweep_has_a_page(way: str, tmp_path: Path) -> None:
    how: dict[str, object] = {"space": js.Space(learning_rate=js.LogUniform(1e-3, 1e-1), depth=1, width=4, epochs=4)}
    name = "diabetes" if way == "regression" else "iris"
    if way == "pbt":
        how |= {"scheduler": "pbt", "every": 1}
    elif way == "all diverge":
        how = {"space": js.Space(learning_rate=1e30, depth=1, width=js.Int(2, 4), epochs=2)}
    elif way == "configs":
        how = {"configs": [{"learning_rate": rate, "depth": 1, "width": 4, "epochs": 2} for rate in (0.01, 0.1)]}
    found = js.sweep(name, trials=None if way == "configs" else 24, progress=False, **how)  # type: ignore[arg-type]
    text = found.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h2>Best configs</h2>" in text
    assert ("<h2>The winner</h2>" in text) == (way != "all diverge")
    assert ("<h2>Scheduler</h2>" in text) == (way == "pbt")
    if way != "all diverge":
        ensemble = found.ensemble()
        metric = ensemble.objective.removeprefix("val_")
        row = [f"ensemble of {len(ensemble.members)} of {len(found.models)} kept networks"]
        row += [f"{ensemble.metrics[f'{part}_{metric}']:.4g}" for part in ("val", "test")]
        assert "".join(f"<td>{cell}</td>" for cell in row) in text
        assert f"<td>trial {found.best.id} alone</td><td>{found.best.metrics[f'val_{metric}']:.4g}</td>" in text
        assert f"trial {ensemble.trials[0]}" in text

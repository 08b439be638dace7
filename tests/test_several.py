"""A sweep with several objectives and constraints, from the request to the run directory and back."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxsweep as js
from jaxsweep.data import prepare
from jaxsweep.errors import RequestError, SweepFailed
from jaxsweep.setup import resolve_for, set_up
from jaxsweep.spec.aims import count_parameters
from jaxsweep.spec.request import Request

pytestmark = pytest.mark.usefixtures("one_tile")

SPACE = js.Space(
    learning_rate=js.LogUniform(1e-3, 1e-1), width=js.Int(1, 16), depth=1, epochs=js.Int(1, 4), batch_size=45
)
BOTH = ["val_accuracy", "parameters", "iterations"]
LIMIT = "parameters <= 99"


def options(**more: Any) -> dict[str, Any]:
    """Return the options of the sweep of this file: evolution in generations of 12."""
    return {"trials": 36, "search": "evolution", "population": 12, "progress": False, "keep": 4, **more}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "a"


@pytest.fixture(scope="module")
def swept(out: Path) -> js.Result:
    return js.sweep("iris", SPACE, **options(objective=BOTH, constraints=LIMIT, out=out))


def test_sizes_are_those_of_the_networks(swept: js.Result) -> None:
    for trial in swept.trials:
        width, epochs = trial.config["width"], trial.config["epochs"]
        assert trial.metrics["parameters"] == (4 * width + width) + (width * 3 + 3)
        assert trial.metrics["iterations"] == 2 * epochs  # 90 rows in batches of 45
        assert trial.score == trial.metrics["val_accuracy"]
        assert trial.broken == ((LIMIT,) if width > 12 else ())
    frame = swept.to_pandas()
    assert list(frame.columns[:5]) == ["trial", "status", "score", "front", "feasible"]
    assert frame["parameters"].tolist() == [trial.metrics["parameters"] for trial in swept.trials]
    assert (frame["feasible"] == (frame["width"] <= 12)).all()
    assert 0 < (~frame["feasible"]).sum() < len(frame)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_parameters_are_what_the_plain_network_has(norm: str) -> None:
    data, config = js.load_dataset("iris"), {"width": [5, 3], "norm": norm, "epochs": 1, "batch_size": 90}
    params = js.solo(data, config).params
    whole = resolve_for(prepare(data, split=(0.6, 0.2, 0.2), folds=0, seed=0), config)
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    if norm == "batch":  # which has no biases before it: they stand there as zeros
        assert not np.any(params["hidden_0"]["bias"])
        count -= 5 + 3
    assert count_parameters(whole, 4, 3) == count


def test_the_front_is_what_brute_force_finds(swept: js.Result) -> None:
    able = {trial.id: trial for trial in swept.trials if trial.counts}
    values = {n: np.array([-t.metrics["val_accuracy"], *(t.metrics[m] for m in BOTH[1:])]) for n, t in able.items()}
    alone = {
        n for n, a in values.items() if not any((b <= a).all() and (b < a).any() for b in values.values())
    }  # fmt: skip
    front = swept.front()
    assert {trial.id for trial in front} == alone
    assert [trial.score for trial in front] == sorted((trial.score or 0 for trial in front), reverse=True)
    assert front[0].score == swept.best.score == max(trial.score or 0 for trial in able.values())
    assert [row["trial"] for row in swept.summary()["front"]] == [trial.id for trial in front]
    assert list(swept.summary()["front"][0]) == ["trial", *BOTH]


def test_what_breaks_a_constraint_is_no_winner(swept: js.Result) -> None:
    assert all(trial.feasible for trial in [swept.best, *swept.top(36), *swept.front()])
    assert sorted(swept.models) == sorted(trial.id for trial in swept.top(4))
    assert "Pareto front of val_accuracy, parameters and iterations" in swept._repr_html_()
    assert "(parameters &lt;= 99)" in swept._repr_html_()


def test_it_is_the_same_when_it_is_loaded(swept: js.Result, out: Path) -> None:
    again = js.load(out)
    assert replace(again.request, source=swept.request.source) == swept.request
    assert again.aims == swept.aims
    assert [trial.id for trial in again.front()] == [trial.id for trial in swept.front()]
    assert [(t.metrics, t.broken) for t in again.trials] == [(t.metrics, t.broken) for t in swept.trials]
    assert again.best.id == swept.best.id
    assert again.to_pandas().equals(swept.to_pandas())
    assert {key: again.summary()[key] for key in ("front", "best")} == {
        key: swept.summary()[key] for key in ("front", "best")
    }


def test_the_same_seed_gives_the_same_and_a_run_can_warm_another(swept: js.Result, out: Path) -> None:
    again = js.sweep("iris", SPACE, **options(objective=BOTH, constraints=LIMIT))
    assert again.to_pandas().equals(swept.to_pandas())
    warm = js.sweep("iris", SPACE, **options(objective=BOTH, constraints=LIMIT, warm_start=out, trials=12, keep=0))
    assert warm.trials[0].config != swept.trials[0].config
    with pytest.raises(RequestError, match=r"does not say seconds of its trials, which this sweep must know"):
        js.sweep("iris", SPACE, **options(objective=[*BOTH, "seconds"], warm_start=out))


def test_other_searchers_refuse_or_weigh() -> None:
    with pytest.raises(RequestError) as error:
        js.sweep("iris", SPACE, objective=BOTH, search="de", progress=False)
    assert str(error.value) == (
        "search = 'de' follows one objective, and there are 3 (val_accuracy, parameters, iterations): use one of "
        "random, grid, sobol, evolution, or say how much each counts, such as objective_weights = [1, 1, 1]"
    )
    with pytest.raises(js.RequestError, match="'gradient' follows the derivatives of one objective"):
        js.plan("iris", SPACE, search="gradient", objective=BOTH[:2], objective_weights=[1, 0.5])
    request = Request(space=SPACE, search="de", objective=BOTH[:2], objective_weights=(1, 0.5))  # type: ignore[arg-type]
    assert request.objective_weights == (1.0, 0.5)
    result = js.sweep(
        "iris", SPACE, trials=24, search="de", population=12, objective=BOTH[:2], objective_weights=[1, 0.5], keep=0,
        progress=False,
    )  # fmt: skip
    assert result.front()
    notes = set_up(js.load_dataset("iris"), Request(space=SPACE, objective=BOTH[:2], objective_weights=(1, 1))).notes  # type: ignore[arg-type]
    assert "objective_weights have no effect: the searcher random learns nothing of scores" in notes


def test_where_nothing_meets_the_constraints_there_is_no_best() -> None:
    result = js.sweep("iris", SPACE, trials=3, constraints=["val_accuracy >= 2", "seconds >= 0"], progress=False)
    assert result.status == "completed"
    assert result.front() == result.top(3) == []
    assert not result.models
    assert "none of 3 trials finished and meets the constraints" in result._repr_html_()
    with pytest.raises(SweepFailed, match="no trial meets the constraints: 3 finished, and each breaks one of val_acc"):
        _ = result.best
    assert all(math.isfinite(trial.metrics["seconds"]) for trial in result.trials)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"objective": ["val_accuracy", "val_r2"]}, "'val_r2' does not exist for classification"),
        ({"objective": ["val_accuracy", "test_accuracy"]}, "the test split is never searched on"),
        ({"objective": ["val_accuracy", "parameter"]}, "unknown objective 'parameter'"),
        ({"objective": ["val_accuracy", "val_accuracy"]}, "'val_accuracy' is there twice"),
        ({"constraints": ["test_accuracy >= 0.5"]}, "the test split is never searched on"),
        ({"constraints": ["parameter <= 5"]}, "unknown metric 'parameter'; did you mean 'parameters'?"),
        ({"objective": ["val_accuracy", "val_auc"]}, "val_auc"),
    ],
)
def test_what_these_data_do_not_have_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError) as error:
        set_up(js.load_dataset("iris"), Request(space=SPACE, **fields))
    assert said in str(error.value)


def test_seconds_are_said_to_be_the_clocks() -> None:
    request = Request(space=SPACE, objective=["val_accuracy", "seconds"])  # type: ignore[arg-type]
    assert any("seconds are what the clock says" in note for note in set_up(js.load_dataset("iris"), request).notes)


def test_bounds_that_no_network_can_meet_are_said_before_anything_trains() -> None:
    """Of listed configs it is known; of a space as far as 256 configs drawn from it show."""
    limit = ["parameters <= 10"]
    notes = js.plan("iris", SPACE, trials=4, constraints=limit).notes
    assert "none of 256 configs drawn from the space can meet parameters <= 10: no trial may be the best" in notes
    assert not any("can meet" in note for note in js.plan("iris", SPACE, trials=4, constraints=["val_loss <= 0"]).notes)
    with pytest.raises(js.RequestError, match="none of the 2 configs can meet parameters <= 10"):
        js.plan("iris", configs=[{"width": 8}, {"width": 4}], constraints=limit)
    assert js.plan("iris", configs=[{"depth": 0}, {"width": 9}], constraints=["parameters <= 15"]).lanes == 2

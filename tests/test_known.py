"""What is known before a sweep: configs that are trained first, and earlier runs."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_helpers import SETS, Out, ok, refused

import jaxsweep as js
from jaxsweep.loop import execute
from jaxsweep.records import stored
from jaxsweep.setup import set_up
from jaxsweep.spec import sweepfile
from jaxsweep.spec.request import Request

pytestmark = pytest.mark.usefixtures("one_tile")

SHAPE: dict[str, Any] = {"depth": 1, "width": 8, "batch_size": 30, "epochs": 2}
SPACE = js.Space(learning_rate=js.LogUniform(1e-3, 1e-1), optimizer=js.Choice(["adam", "sgd"]), **SHAPE)
FIRST: list[dict[str, Any]] = [{"learning_rate": 0.0625, "optimizer": "sgd"}, {"learning_rate": 0.03125}]


def test_initial_configs_are_the_first_trials_and_are_told(iris: js.Dataset, tmp_path: Path) -> None:
    out = tmp_path / "a"
    asked: dict[str, Any] = {"search": "evolution", "population": 4, "trials": 6, "keep": 0, "progress": False}
    result = js.sweep(iris, SPACE, initial=FIRST, out=out, **asked)
    configs = [trial.config for trial in result.trials]
    assert len(configs) == 6
    assert [config["learning_rate"] for config in configs[:2]] == [0.0625, 0.03125]
    assert [config["optimizer"] for config in configs[:2]] == ["sgd", "adam"]  # adam is the default

    setup = set_up(iris, result.request)
    first, _ = setup.ask(0, 6)
    setup.searcher.tell(first, [trial.score or np.nan for trial in result.trials[:2]])
    assert setup.ask(2, 4)[1] == configs[2:]

    written = tomllib.loads((out / "sweep.toml").read_text())["sweep"]["initial"]
    assert written == [{**SHAPE, **FIRST[0]}, {**SHAPE, **FIRST[1], "optimizer": "adam"}]
    again = execute(iris, sweepfile.read(out / "sweep.toml").request(), tmp_path / "b")
    assert [trial.config for trial in again.trials] == configs
    assert [trial.score for trial in again.trials] == [trial.score for trial in result.trials]
    assert js.load(out).request.initial == result.request.initial


def test_the_params_of_trials_are_configs_of_their_space(iris: js.Dataset) -> None:
    """Also with a batch of all rows, which is a number in them, and without what had no effect."""
    space = js.Space(
        batch_size=js.Choice([30, "full"]),
        optimizer=js.Choice(["adam", "sgd"]),
        momentum=js.Uniform(0.1, 0.9),
        epochs=1,
    )
    found = js.sweep(iris, space, trials=8, progress=False, keep=0).trials
    assert {trial.config["batch_size"] for trial in found} == {30, 90}
    assert {"momentum" in trial.params for trial in found} == {True, False}
    again = set_up(iris, Request(space=space, initial=tuple(trial.params for trial in found), trials=8))
    first, full = again.ask(0, 8)
    assert [config["batch_size"] for config in first] == [
        "full" if trial.config["batch_size"] == 90 else 30 for trial in found
    ]
    assert [(each["optimizer"], each["momentum"]) for each in full] == [
        (trial.config["optimizer"], trial.params.get("momentum", 0.5)) for trial in found
    ]


def test_what_has_no_effect_is_said(iris: js.Dataset) -> None:
    inert = js.Space(momentum=js.Uniform(0.1, 0.9), rms_decay=js.Uniform(0.1, 0.9), **SHAPE)
    (note,) = js.plan(iris, inert, trials=4).notes
    assert note == (
        "momentum, rms_decay have no effect in any of 256 configs drawn from the space; what would have: momentum "
        "where optimizer is sgd; rms_decay where optimizer is rmsprop or adadelta"
    )
    acting = js.Space(momentum=js.Uniform(0.1, 0.9), optimizer=js.Choice(["adam", "sgd"]), **SHAPE)
    assert js.plan(iris, acting, trials=4).notes == ()
    (few,) = js.plan(iris, SPACE, trials=4, search="evolution").notes
    assert few.startswith("the searcher evolution learns of no score before its first 50 configs")
    assert js.plan(iris, SPACE, trials=4, search="evolution", population=2).notes == ()


def test_a_sweep_without_them_is_recorded_as_before(iris: js.Dataset) -> None:
    text = sweepfile.to_toml(Request(space=SPACE))
    assert "initial" not in text
    assert set_up(iris, Request(space=SPACE, initial=())).searcher.ask(5) == set_up(
        iris, Request(space=SPACE)
    ).searcher.ask(5)


def test_functions_in_initial_configs_go_by_the_names_of_the_space(iris: js.Dataset, tmp_path: Path) -> None:
    import jax.numpy as jnp

    space = js.Space(activation=js.Choice(["relu", jnp.sin]), **SHAPE)
    out = tmp_path / "a"
    result = js.sweep(iris, space, initial=[{"activation": jnp.sin}], trials=1, keep=0, out=out, progress=False)
    assert result.trials[0].config["activation"] == "sin"
    (config,) = stored.load(out, {"sin": jnp.sin}).request.initial
    assert config["activation"].function is jnp.sin

    warm = Request(space=space, search="evolution", warm_start=(str(out),))
    assert f"warm start: the searcher knows 1 of 1 trials of {out}" in set_up(iris, warm).notes

    def sin(z: Any) -> Any:
        return jnp.cos(z)

    with pytest.raises(js.RequestError, match="sin is not the function that"):
        set_up(iris, replace(warm, space=js.Space(activation=js.Choice(["relu", sin]), **SHAPE)))
    without = js.Space(activation=js.Choice(["relu", "tanh"]), **SHAPE)
    assert (
        set_up(iris, replace(warm, space=without)).notes[-1].endswith("; 1 is no point of this space (by activation)")
    )


def test_a_plan_has_all_batches_of_the_searcher(iris: js.Dataset) -> None:
    planned = js.plan(iris, SPACE, initial=FIRST, search="evolution", population=30, trials=100)
    assert planned.lanes == 100
    assert js.plan(iris, SPACE, initial=FIRST, trials=100).lanes == 100
    assert js.plan(iris, SPACE, initial=FIRST, search="evolution", trials=1).lanes == 1


def test_more_of_them_than_trials_are_noted(iris: js.Dataset) -> None:
    request = Request(space=SPACE, initial=tuple(FIRST), trials=1)
    assert "1 of 2 initial configs is not tried" in set_up(iris, request).notes
    grid = replace(request, search="grid", trials=None)
    assert set_up(iris, grid).trials == 12  # of 10 points


def test_refusals_name_the_config(iris: js.Dataset) -> None:
    with pytest.raises(js.RequestError, match=r"initial\[1\]: learning_rate = 1\.0 is outside the space: it must be a"):
        js.plan(iris, SPACE, initial=[{}, {"learning_rate": 1}])
    with pytest.raises(js.RequestError, match="initial does not go with configs"):
        js.plan(iris, configs=[SHAPE], initial=[{}])
    with pytest.raises(js.RequestError, match=r"initial = \{'depth': 1\} is not a list of configs"):
        js.plan(iris, SPACE, initial={"depth": 1})  # type: ignore[arg-type]


def test_the_shell_takes_them_by_set(tmp_path: Path, capsys: Out) -> None:
    first = "initial=[{learning_rate=0.0625, l2=1e-4}]"
    out = tmp_path / "a"
    ok("run", "--data", "iris", "--trials", 2, "--keep", 0, *SETS, "--set", first, "--out", out, "--quiet")
    assert stored.load(out).trials[0].config["learning_rate"] == 0.0625
    assert "initial[0]: depth = 9 is outside" in refused(
        capsys, "plan", "--data", "iris", *SETS, "--set", "initial=[{depth=9}]"
    )
    assert "initial = 3 is not legal: it must be a list of configs" in refused(capsys, "plan", "--set", "initial=3")


# --- warm start ----------------------------------------------------------------------------------------------------


def test_a_warm_start_tells_the_searcher_and_trains_nothing_again(iris: js.Dataset, tmp_path: Path) -> None:
    before = js.sweep(iris, SPACE, trials=2, keep=0, out=tmp_path / "before", progress=False)
    asked: dict[str, Any] = {"search": "evolution", "population": 4, "trials": 2, "keep": 0, "progress": False}
    result = js.sweep(iris, SPACE, warm_start=tmp_path / "before", out=tmp_path / "a", **asked)
    cold = set_up(iris, replace(result.request, warm_start=()))
    part = [{name: trial.config[name] for name in SPACE} for trial in before.trials]
    cold.searcher.tell(part, [trial.score or np.nan for trial in before.trials])
    assert [trial.config for trial in result.trials] == cold.ask(0, 2)[1]

    text = (tmp_path / "a" / "sweep.toml").read_text()
    assert tomllib.loads(text)["sweep"]["warm_start"] == [str((tmp_path / "before").resolve())]
    setup = set_up(iris, sweepfile.read(tmp_path / "a" / "sweep.toml").request())
    assert setup.ask(0, 2)[1] == [trial.config for trial in result.trials]
    assert f"warm start: the searcher knows 2 of 2 trials of {(tmp_path / 'before').resolve()}" in setup.notes
    assert js.load(tmp_path / "a").request.warm_start == setup.request.warm_start

    both = set_up(iris, replace(setup.request, initial=tuple(FIRST)))
    assert [config["learning_rate"] for config in both.ask(0, 2)[1]] == [0.0625, 0.03125]
    idle = set_up(iris, replace(setup.request, search="random", options={}))
    assert idle.notes[-1] == "warm_start has no effect: the searcher random learns nothing of what it is told"


def test_the_shell_takes_earlier_runs(tmp_path: Path, capsys: Out) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for out, seed in ((a, 0), (b, 1)):
        ok("run", "--data", "iris", "--trials", 2, "--keep", 0, *SETS, "--seed", seed, "--out", out, "--quiet")
    capsys.readouterr()
    ok("plan", "--data", "iris", *SETS, "--search", "evolution", "--warm-start", a, "--warm-start", b)
    said = " ".join(capsys.readouterr().err.split())
    assert f"the searcher knows 2 of 2 trials of {a} " in said
    assert f"the searcher knows 2 of 2 trials of {b}; its validation rows are others" in said
    assert "is no run directory" in refused(capsys, "plan", "--warm-start", tmp_path)
    assert "warm_start does not go with configs" in refused(
        capsys, "plan", "--set", "configs=[{depth=1}]", "--warm-start", a
    )

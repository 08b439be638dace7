"""Functions of the user's own on record: names, fingerprints, and that they must be given again, and be the same."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import jaxsweep as js
from jaxsweep.records import own

RNG = np.random.default_rng(1)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)


def bell(z: Any) -> Any:
    return jnp.exp(-z * z)


def bump(z: Any) -> Any:
    return jnp.exp(-2 * z * z)


def exponential(outputs: Any, targets: Any) -> Any:
    sides = 2 * targets[:, 1] - 1
    return jnp.exp(-sides * (outputs[:, 1] - outputs[:, 0]) / 2)


def margin(outputs: Any, targets: Any) -> Any:
    return jnp.mean((2 * targets - 1) * (outputs[:, 1] - outputs[:, 0]))


GIVEN: dict[str, Any] = {"bell": bell, "exponential": exponential, "margin": margin}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> js.Result:
    table = tmp_path_factory.mktemp("data") / "points.csv"
    lines = [",".join(map(str, (*row, f"c{label}"))) for row, label in zip(X.tolist(), Y.tolist(), strict=True)]
    table.write_text("\n".join(["a,b,c,y", *lines]) + "\n")
    space = {
        "activation": js.Choice([bell, "relu"]), "loss": exponential, "depth": 1, "width": 4, "epochs": 2,
        "learning_rate": 0.05, "dropout": js.Choice([0.1, 0.2], when={"activation": bell}),
    }  # fmt: skip
    return js.sweep(
        js.read_table(str(table), target="y"), space, trials=6, search="sobol", keep=2, metrics={"margin": margin},
        objective="val_margin", out=table.parent / "run", progress=False,
    )  # fmt: skip


def folder(result: js.Result) -> Path:
    assert result.run is not None
    return result.run


def mine(result: js.Result) -> js.Trial:
    return next(trial for trial in result.trials if trial.config["activation"] == "bell")


def test_the_record_names_functions(swept: js.Result) -> None:
    table = tomllib.loads((folder(swept) / "sweep.toml").read_text())
    assert table["space"]["activation"] == {"choice": ["bell", "relu"]}
    assert table["space"]["dropout"]["when"] == {"activation": "bell"}
    assert table["sweep"]["objective"] == "val_margin"
    rows = [(row["role"], row["name"], row["function"].rpartition(".")[2]) for row in table["run"]["functions"]]
    assert rows == [
        ("activation", "bell", "bell"),
        ("loss", "exponential", "exponential"),
        ("metric", "margin", "margin"),
    ]
    assert [row["fingerprint"] for row in table["run"]["functions"]] == [own.fingerprint_of(f) for f in GIVEN.values()]
    assert table["run"]["functions"][2]["direction"] == "maximize"


def test_a_run_is_read_without_its_functions(swept: js.Result) -> None:
    again = js.load(folder(swept))
    assert again.best.score == swept.best.score
    assert again.objective == "val_margin"
    assert [trial.params for trial in again.trials] == [trial.params for trial in swept.trials]
    assert again.to_pandas().equals(swept.to_pandas())
    assert again.request.space == swept.request.space
    np.testing.assert_array_equal(again.curves("val_margin"), swept.curves("val_margin"))


def test_what_needs_a_function_asks_for_it(swept: js.Result) -> None:
    again = js.load(folder(swept))
    lost = next(trial.id for trial in again.trials if trial.id not in again.models)
    for needs, trial in ((again.retrain, mine(again).id), (again.model, lost)):
        with pytest.raises(js.RequestError, match=r"is a function of your own.* give it again.*js\.load"):
            needs(trial)
    given = js.load(folder(swept), functions=GIVEN)
    features = given.data.x[0]
    np.testing.assert_allclose(
        given.model(lost).predicted(features)[1], swept.model(lost).predicted(features)[1], rtol=1e-4
    )
    assert given.retrain(mine(given).id).config["loss"] == "exponential"


@pytest.mark.parametrize(
    ("functions", "words"),
    [
        ({"bell": bump}, "bell is not the function that .* was trained with: its fingerprint is"),
        ({"bel": bell}, "'bel', which is no function of .*did you mean 'bell'"),
        ({"bell": 3}, "is no function"),
        ([bell], "must be like"),
    ],
)
def test_another_function_is_refused(swept: js.Result, functions: Any, words: str) -> None:
    with pytest.raises(js.RequestError, match=words):
        js.load(folder(swept), functions=functions)


def test_an_exported_network_predicts_once_it_has_its_activation(swept: js.Result, tmp_path: Path) -> None:
    model = swept.model(mine(swept).id)
    model.save(tmp_path / "model")
    document = json.loads((tmp_path / "model" / "model.json").read_text())
    assert [row["name"] for row in document["functions"]] == ["bell", "exponential"]
    bare = js.load_model(tmp_path / "model")
    assert isinstance(bare, js.Model)
    assert bare.config["activation"] == "bell"
    with pytest.raises(js.RequestError, match=r"'bell' is a function of your own.*load_model.*activation="):
        bare.predict(X)
    with pytest.raises(js.RequestError, match="bell is not the function"):
        js.load_model(tmp_path / "model", activation=bump)
    whole = js.load_model(tmp_path / "model", activation=bell)
    np.testing.assert_array_equal(whole.predict_proba(X), model.predict_proba(X))
    np.testing.assert_allclose(whole.apply(whole.params, whole.features(X)), model.predict_proba(X), atol=1e-5)
    bare.save(tmp_path / "again")  # as it is, whoever passes it on
    assert json.loads((tmp_path / "again" / "model.json").read_text())["functions"][0]["fingerprint"]
    with pytest.raises(js.RequestError, match="which has none"):
        js.load_model(_plain(tmp_path), activation=bell)


def _plain(where: Path) -> Path:
    result = js.sweep((X, Y), configs=[{"depth": 1, "width": 2, "epochs": 1}], progress=False)
    result.model().save(where / "plain")
    return where / "plain"


def test_a_broken_record_is_told(swept: js.Result, tmp_path: Path) -> None:
    swept.model(mine(swept).id).save(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "functions": [3]}))
    with pytest.raises(js.RequestError, match="broken exported network: functions = "):
        js.load_model(tmp_path / "model")


def test_code_that_imports_as_it_runs_has_no_fingerprint() -> None:
    def late(z: Any) -> Any:
        import math

        return z * math.pi

    assert own.fingerprint_of(late) == ""
    assert own.fingerprint_of(bell) == own.fingerprint_of(bell) != own.fingerprint_of(bump)

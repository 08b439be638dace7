"""Public functions with arguments of any kind: the right thing, or a sentence about the argument that is wrong.

The suite makes a few hundred calls; WRONG_ARGUMENTS=4000 makes as many as it says.
"""

import os
import shutil
import sqlite3
import traceback
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import jaxsweep as js
from jaxsweep import api, resuming
from jaxsweep.engine.costs import Costs
from jaxsweep.network import reference
from jaxsweep.planning import plan_of
from jaxsweep.records.rundir import RESUMABLE
from jaxsweep.setup import set_up
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS

CALLS = int(os.environ.get("WRONG_ARGUMENTS", "400"))
RUN = Path(__file__).parent / "fixtures" / "run_format_1"


class Planned(Exception):
    """A request was found right; the training itself is no matter here."""


def values() -> list[Any]:
    """Return what nobody should give, new each time: some of it can be used up or changed."""
    choice, log_uniform = cast(Any, js.Choice), cast(Any, js.LogUniform)
    return [
        None, np.nan, np.inf, -np.inf, 10**400, -(10**400), -1, 0, 1, 2, 3, 0.5, 1e308, -0.0, 1j, True, False, "", "x",
        "0", "val_loss", "random", "s\x00", "y" * 100_000, b"", b"x", bytearray(b"x"), [], [None], [1], [[1]],
        [1, "x", None], [{}], (), (1,), (1, 2), (0.5, 0.5, 0.0), (np.nan, 0.5, 0.5), ("a", "b"), {}, {"x": 1},
        {"depth": 1}, {1: 2}, {None: None}, set(), {1, 2}, frozenset("ab"), object(), object, len, lambda: 0,
        (i for i in range(2)), iter([]), range(0), range(2), slice(1), Ellipsis, NotImplemented, np.float32(1),
        np.int64(2), np.bool_(True), np.str_("x"), np.datetime64("NaT"), np.zeros(0), np.zeros(3), np.zeros((0, 4)),
        np.zeros((2, 3)), np.ones((2, 2, 2)), np.array(1), np.array("x"), np.array([None, "x"], object), np.arange(3),
        np.array([np.nan, np.inf]), np.array([1 + 1j]), pd.DataFrame(), pd.DataFrame({"a": [1, 2]}), pd.Series([1, 2]),
        pd.NA, pd.NaT, Path("x"), Path("/dev/null/x"), js.Uniform(0, 1), js.Int(3, 1), js.Choice([]), choice(None),
        js.Constant({}), log_uniform(None, "x"), js.Space(depth=1), ValueError("x"), memoryview(b"x"),
        [js.Int(1, 2)], {"depth": js.Int(1, 2)}, {"width": [[]]}, [{"learning_rate": 10**400}], "a/b.csv", ".",
    ]  # fmt: skip


def targets(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Callable[..., Any], dict[str, Any]]]:
    """Return functions, each with arguments that are right."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    data = js.Dataset.from_arrays(X, y)

    def execute(dataset: js.Dataset, request: Any, *_: Any, **__: Any) -> None:
        setup = set_up(dataset, request)
        plan_of(setup, setup.ask(0, min(setup.trials, 2))[1], Costs())
        raise Planned

    def train(prepared: Any, config: Any, seed: int, **_: Any) -> None:
        raise Planned

    monkeypatch.setattr(api, "execute", execute)
    monkeypatch.setattr(resuming, "execute", execute)
    monkeypatch.setattr(reference, "train", train)
    space = js.Space(depth=js.Int(0, 2), learning_rate=js.LogUniform(1e-3, 1e-1), optimizer=js.Choice(["sgd", "adam"]))
    request = {
        "data": data, "space": space, "configs": None, "trials": 2, "initial": None, "warm_start": None,
        "search": "random", "objective": None, "seed": 0, "replicates": 1, "folds": 0, "split": (0.6, 0.2, 0.2),
        "keep": 1, "keep_lanes": False, "confirm": 0, "keep_weights": "last", "train_metrics": False,
        "precision": "highest", "checkpoint_seconds": 60.0,
        "metrics": None, "out": None, "progress": False,
    }  # fmt: skip
    again = {
        "path": "again", "trials": None, "minutes": None, "data": None, "functions": None, "progress": False,
    }  # fmt: skip
    listed = {**request, "space": None, "configs": [{"depth": 1}], "trials": None}
    solo = {
        "data": data, "config": {"depth": 1}, "seed": 0, "trial": 0, "replicate": 0, "fold": 0, "folds": 0,
        "split": (0.6, 0.2, 0.2), "objective": None, "keep_weights": "last", "train_metrics": False, "metrics": None,
    }  # fmt: skip
    one = {name: row.default for name, row in HYPERPARAMETERS.items()}
    shutil.copytree(RUN, "run")
    shutil.copytree(RUN, "again")
    with closing(sqlite3.connect("again/trials.sqlite")) as db:  # as if it were one that can go on
        db.execute(f"PRAGMA user_version = {RESUMABLE}")
    result = js.load("run")
    model = result.model()
    table = pd.DataFrame({column.name: [0.0, 1.0] for column in model.preprocessor.inputs})
    configs = space.sample(rng, 2)
    found: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (js.sweep, request), (js.sweep, listed), (js.plan, request), (js.plan, listed), (js.solo, solo),
        (lambda config: js.plan(data, configs=[config]), {"config": {"depth": 1}}),
        (lambda **config: js.plan(data, configs=[config]), one),
        (lambda **entries: js.Space(**entries), one),
        (js.Space.from_mapping, {"entries": {"depth": 1}}),
        (js.Space.from_toml, {"table": {"depth": {"int": [1, 3]}}}),
        (lambda form: js.Space.from_toml({"depth": form}), {"form": {"int": [1, 3]}}),
        (lambda **ends: js.Space(depth=js.Int(**ends)), {"low": 1, "high": 3, "log": False, "when": None}),
        (lambda **ends: js.Space(dropout=js.Uniform(**ends)), {"low": 0.1, "high": 0.3, "when": None}),
        (lambda **ends: js.Space(l2=js.LogUniform(**ends)), {"low": 0.1, "high": 0.3, "when": None}),
        (lambda **own: js.Space(width=js.Choice(**own)), {"values": [1, 2], "when": None}),
        (lambda **own: js.Space(depth=js.Constant(**own)), {"value": 1, "when": None}),
        (lambda value: js.Space(optimizer="sgd", l2=js.Constant(0.5, when={"optimizer": value})), {"value": "sgd"}),
        (space.sample, {"rng": rng, "n": 2}), (space.from_unit, {"u": rng.random((2, 3))}),
        (space.snap, {"u": rng.random((2, 3))}), (space.to_unit, {"configs": configs}),
        (space.check, {"config": configs[0]}),
        (lambda value: space.to_unit([{"depth": value, "optimizer": value}]), {"value": 1}),
        (js.Dataset.from_arrays, {
            "X": X, "y": y, "task": None, "X_val": None, "y_val": None, "X_test": None, "y_test": None,
            "image_shape": None, "name": "a", "feature_names": None,
        }),
        (js.load_dataset, {"name": "iris"}), (js.load, {"path": "run"}), (js.resume, again),
        (js.load_model, {"directory": "x"}),
        (js.read_table, {"path": "x.csv", "target": "y", "task": None, "header": None, "drop": None}),
        (result.top, {"k": 1}), (result.curves, {"metric": "val_loss"}), (result.model, {"trial": None}),
        (model.predict, {"X": table}), (model.predict_proba, {"X": table}), (model.save, {"directory": "model"}),
        (model.to_onnx, {"path": "x.onnx", "features": False}),
        (result.to_csv, {"path": "x.csv", "lanes": False}), (result.to_parquet, {"path": "x.parquet", "lanes": False}),
        (result.to_tensorboard, {"folder": "boards", "trials": 2, "show_test": False}),
        (js.search.make, {"name": "random", "space": space, "seed": 0, "direction": "maximize"}),
        (lambda **own: js.search.make("evolution", space, **own), js.search.options("evolution")),
        (lambda **own: js.search.make("zoom", space, **own), js.search.options("zoom")),
        (lambda **own: js.search.make("de", space, **own), js.search.options("de")),
        (lambda **own: js.search.make("bayes", space, **own), js.search.options("bayes")),
        (lambda **own: js.search.make("grid", space, **own).ask(2), js.search.options("grid")),
        (js.search.options, {"name": "random"}),
    ]  # fmt: skip
    for name in js.search.SEARCHERS:
        searcher = js.search.make(name, space)
        found += [(searcher.ask, {"n": 1}), (searcher.tell, {"configs": configs, "scores": [0.5, 1.0]})]
        found += [(searcher.remainder, {"asked": 1})]
    return found


def raised(error: Exception) -> str:
    """Return an error with the last line of the package on its way."""
    frames = traceback.extract_tb(error.__traceback__)
    package = Path(js.__file__).parent
    paths = [(Path(frame.filename), frame.lineno) for frame in frames]
    here = [f"{path.relative_to(package)}:{line}" for path, line in paths if path.is_relative_to(package)]
    return f"{type(error).__name__} in {here[-1] if here else 'the test'}: {error!s:.80}"


def complaint(function: Callable[..., Any], arguments: dict[str, Any]) -> str | None:
    """Return what is wrong with how a function takes these arguments, or None."""
    try:
        function(**arguments)
    except (Planned, js.SweepFailed):
        return None
    except js.RequestError as error:
        text = str(error)
        return None if len(text) > 20 else f"says only {text!r}"
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            return None  # the signature's own
        return raised(error)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return raised(error)
    return None


def test_whatever_is_given_is_taken_or_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(7)
    functions = targets(monkeypatch)
    found: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(CALLS):
            function, right = functions[number % len(functions)]
            names = list(right)
            wrong = rng.choice(names, size=min(len(names), int(rng.integers(1, 3))), replace=False)
            pool = values()
            arguments = {**right, **{str(name): pool[int(rng.integers(len(pool)))] for name in wrong}}
            if (text := complaint(function, arguments)) is not None:
                called = ", ".join(f"{name}={arguments[str(name)]!r:.60}" for name in wrong)
                found.setdefault(text.partition(": ")[0], f"{text}: {getattr(function, '__qualname__', '')}({called})")
    assert not found, "\n".join(found.values())

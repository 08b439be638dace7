"""Whatever is written into a file or after a flag: a request, a table, a run, or one sentence; never a traceback.

More than the suite asks for: `EXAMPLES=10000 pytest tests/test_generated.py`.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jaxsweep as js
from jaxsweep import search
from jaxsweep.data.labels import TASKS
from jaxsweep.loop import execute
from jaxsweep.records import stored
from jaxsweep.resuming import go_on, stored_run
from jaxsweep.setup import set_up
from jaxsweep.spec import sweepfile
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS
from jaxsweep.spec.request import Request
from jaxsweep.spec.toml import toml_text

EXAMPLES = int(os.environ.get("EXAMPLES", "150"))
MANY = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)

SCALARS = st.one_of(
    st.booleans(), st.integers(-3, 100), st.sampled_from([2**31, 2**63, -(2**70), 10**400]), st.floats(),
    st.sampled_from(["adam", "relu", "full", "val_loss", "random", "iris", "", "../x", "\x1b[2J", "a=b", "none"]),
    st.text(max_size=4),
)  # fmt: skip
FORMS = st.one_of(
    st.builds(lambda name, ends: {name: ends}, st.sampled_from(["uniform", "loguniform", "int", "choice", "value"]),
              st.lists(SCALARS, max_size=3)),
    st.builds(lambda low, high, log: {"int": [low, high], "log": log}, SCALARS, SCALARS, SCALARS),
    st.builds(lambda form, name, value: {"choice": form, "when": {name: value}}, st.lists(SCALARS, max_size=3),
              st.sampled_from([*HYPERPARAMETERS, "x"]), SCALARS),
)  # fmt: skip
VALUES = st.one_of(
    SCALARS, FORMS, st.lists(SCALARS, max_size=3), st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
)
SECTIONS: dict[str, list[str]] = {
    "data": list(sweepfile.KEYS["data"]),
    "sweep": list(sweepfile.KEYS["sweep"]),
    "search": sorted({name for each in search.SEARCHERS for name in search.options(each)}),
    "space": list(HYPERPARAMETERS),
}
ENTRIES = st.sampled_from([(section, key) for section, keys in SECTIONS.items() for key in [*keys, "unknown"]])
DOCUMENTS = st.lists(st.tuples(ENTRIES, VALUES), max_size=6)


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Inside, a wrong request is an error of its kind, with a sentence that a person can read."""
    said = ""
    try:
        yield
    except js.RequestError as error:
        said = str(error)
    assert len(said) < 3000


@MANY
@given(DOCUMENTS)
def test_sweep_files(iris: js.Dataset, tmp_path_factory: pytest.TempPathFactory, document: list[Any]) -> None:
    tables: dict[str, dict[str, Any]] = {}
    for (section, key), value in document:
        tables.setdefault(section, {})[key] = value
    lines = [
        f"[{section}]\n" + "".join(f"{key} = {toml_text(value)}\n" for key, value in table.items())
        for section, table in tables.items()
    ]
    path = tmp_path_factory.mktemp("files") / "sweep.toml"
    path.write_text("".join(lines), encoding="utf-8", errors="replace")
    with one_sentence():
        request = sweepfile.read(path).request(iris.rows)
        if request.trials is None or request.trials <= 1000:
            set_up(iris, request)


@MANY
@given(st.lists(st.tuples(st.sampled_from(["sweep.", "space.", "data.", "search.", ""]), ENTRIES, VALUES), max_size=3))
def test_assignments(iris: js.Dataset, sets: list[Any]) -> None:
    texts = [f"{prefix}{key}={toml_text(value)}" for prefix, (_, key), value in sets]
    with one_sentence():
        request = sweepfile.assemble(sweepfile.Draft(), {}, texts).request(iris.rows)
        if request.trials is None or request.trials <= 1000:
            set_up(iris, request)


@MANY
@given(st.lists(st.text(max_size=30), max_size=3))
def test_assignments_of_any_text(sets: list[str]) -> None:
    with one_sentence():
        sweepfile.assemble(sweepfile.Draft(), {}, sets).request(100)


@MANY
@given(st.dictionaries(st.one_of(st.sampled_from(list(HYPERPARAMETERS)), st.text(max_size=3)), VALUES, max_size=4))
def test_spaces(entries: dict[str, Any]) -> None:
    with one_sentence():
        space = js.Space.from_toml(entries)
        space.sample(np.random.default_rng(0), 2)


WORDS = ["", "NA", "a", '"q,\n"', "1,5", "12.5 kg", "2020-01-01", "∞"]  # cells of tables


def spoiled(draw: st.DrawFn, content: bytes) -> bytes:
    """Return a file in which some pieces were removed, doubled or changed."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(changed)))
        end = min(len(changed), start + draw(st.integers(0, 20)))
        new = draw(st.one_of(st.just(b""), st.just(bytes(changed[start:end]) * 2), st.binary(max_size=6)))
        changed[start:end] = new
    return bytes(changed)


@st.composite
def files(draw: st.DrawFn, content: bytes) -> bytes:
    return spoiled(draw, content)


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    cells = draw(
        st.lists(
            st.one_of(st.floats().map(repr), st.sampled_from(WORDS)),
            min_size=4, max_size=40,
        )
    )  # fmt: skip
    columns, delimiter = draw(st.integers(1, 4)), draw(st.sampled_from([",", ";", "\t", " "]))
    rows = [delimiter.join(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return spoiled(draw, "\n".join(["a,b,y,d", *rows]).encode())


@MANY
@given(tables(), st.sampled_from(["y", "a", 0, -1, 5, ["a", "b"]]), st.sampled_from([None, *TASKS]))
def test_tables(tmp_path_factory: pytest.TempPathFactory, content: bytes, target: Any, task: Any) -> None:
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    path.write_bytes(content)
    with one_sentence():
        js.read_table(path, target=target, task=task)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run that has ended."""
    out = tmp_path_factory.mktemp("finished") / "run"
    space = js.Space(learning_rate=js.LogUniform(1e-3, 1e-1), epochs=2, depth=1, width=4)
    execute(js.load_dataset("iris"), Request(space=space, trials=4, keep=1), out)
    return out


@settings(MANY, max_examples=max(EXAMPLES // 5, 20))
@given(st.data())
def test_runs_that_go_on(finished: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """With another sweep.toml, or a changed database: refused, or the trials that were recorded."""
    run = shutil.copytree(finished, tmp_path_factory.mktemp("runs") / "run")
    name = data.draw(st.sampled_from(["sweep.toml", "trials.sqlite"]))
    (run / name).write_bytes(data.draw(files((finished / name).read_bytes())))
    with one_sentence():
        known = stored_run(run)
        before = {trial.id: trial.values for trial in known.trials}
        result = go_on(known, minutes=1e-9)  # nothing is trained
        assert {trial.id: trial.values for trial in result.trials} == before
    with one_sentence():
        stored.load(run)

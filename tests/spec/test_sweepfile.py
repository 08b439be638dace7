"""Sweep files: Python and TOML one to one, `--set`, and what is refused."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsweep.data.source import Source
from jaxsweep.errors import RequestError
from jaxsweep.spec.default import adapted_space, default_space
from jaxsweep.spec.request import Request
from jaxsweep.spec.space import Choice, Constant, Int, LogUniform, Space, Uniform
from jaxsweep.spec.sweepfile import Draft, assemble, from_table, read, to_toml
from jaxsweep.spec.toml import toml_text

DESIGN_EXAMPLE = """
[data]
name = "digits"
split = [0.6, 0.2, 0.2]
[sweep]
trials = 256
search = "random"
objective = "val_accuracy"
seed = 0
replicates = 1
folds = 0
[space]
learning_rate = { loguniform = [1e-4, 1e-1] }
optimizer = { choice = ["sgd", "adam", "rmsprop"] }
momentum = { uniform = [0.0, 0.99], when = { optimizer = "sgd" } }
width = { choice = [32, 64, 128] }
depth = { int = [1, 3] }
dropout = { uniform = [0.0, 0.5] }
epochs = 20
"""

DESIGN_REQUEST = Request(
    space=Space(
        learning_rate=LogUniform(1e-4, 1e-1),
        optimizer=Choice(["sgd", "adam", "rmsprop"]),
        momentum=Uniform(0.0, 0.99, when={"optimizer": "sgd"}),
        width=Choice([32, 64, 128]),
        depth=Int(1, 3),
        dropout=Uniform(0.0, 0.5),
        epochs=20,
    ),
    trials=256,
    objective="val_accuracy",
    source=Source(name="digits"),
)

REQUESTS = {
    "everything": DESIGN_REQUEST,
    "configs that come first": replace(
        DESIGN_REQUEST, initial=({"optimizer": "sgd", "momentum": 0.9, "width": 32}, {"learning_rate": 0.01})
    ),
    "a table": Request(
        space=Space(epochs=3),
        source=Source(path='odd "name" \\ é 😀.csv', target="a\tb", task="regression", header=False, drop=("x", 3)),
    ),
    "a column number": Request(space=Space(epochs=3), source=Source(path="a.csv", target=4)),
    "in memory": Request(space=Space(epochs=3, weight_decay=LogUniform(1e-6, 1e-2)), seed=7, keep_weights="best"),
    "a searcher's options": Request(
        space=Space(depth=Int(1, 3)), search="grid", options={"resolution": 4}, folds=3, replicates=2, keep=0
    ),
    "configs": Request(configs=({"depth": 1, "width": [8]}, {"activation": "tanh", "nesterov": True}, {})),
    "nested conditions": Request(
        space=Space(
            optimizer=Choice(["sgd", "adam"]),
            momentum=Constant(0.9, when={"optimizer": "sgd"}),
            width=Choice([[8, 4], [16, 8]]),
            batch_size="full",
        ),
        split=(0.5, 0.5, 0.0),
    ),
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_written_request_reads_back_equal(request_: Request, tmp_path: Path) -> None:
    text = to_toml(request_, {"run": {"objective": "val_f1", "none": None}, "versions": {"scikit-learn": "1.0"}})
    assert from_table(tomllib.loads(text)) == request_
    (tmp_path / "sweep.toml").write_text(text, encoding="utf-8")
    assert read(tmp_path / "sweep.toml").request() == request_
    assert tomllib.loads(text)["versions"] == {"scikit-learn": "1.0"}


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text(DESIGN_EXAMPLE)
    assert read(tmp_path / "sweep.toml").request() == DESIGN_REQUEST


def test_every_default_is_written() -> None:
    table = tomllib.loads(to_toml(Request(space=Space(epochs=3))))
    assert table["sweep"] == {
        "search": "random", "seed": 0, "replicates": 1, "folds": 0, "keep": 10, "confirm": 0,
        "keep_weights": "last", "train_metrics": False, "precision": "highest",
        "checkpoint_seconds": 60.0,
    }  # fmt: skip
    assert table["data"] == {"split": [0.6, 0.2, 0.2]}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(text: str) -> None:
    assert tomllib.loads(f"a = {toml_text(text)}") == {"a": text}


def _set(*sets: str, text: str = DESIGN_EXAMPLE) -> Request:
    return assemble(Draft(tomllib.loads(text)), {}, sets).request()


def test_set_changes_any_key() -> None:
    changed = _set(
        "epochs=5",
        "space.learning_rate={loguniform=[1e-3,1e-2]}",
        "optimizer = sgd",
        "sweep.seed=3",
        "replicates=2",
        "data.split=[0.7, 0.2, 0.1]",
        "search=grid",
        "search.resolution=3",
        "objective='val_f1'",
        "init_scale=.5",
        "trials=9",
        "trials=10",
    )
    assert changed.space is not None
    entries = changed.space.entries
    assert entries["epochs"] == Constant(5)
    assert entries["learning_rate"] == LogUniform(1e-3, 1e-2)
    assert entries["optimizer"] == Constant("sgd")
    assert entries["init_scale"] == Constant(0.5)
    assert entries["width"] == Choice([32, 64, 128])
    assert (changed.seed, changed.replicates, changed.trials) == (3, 2, 10)
    assert (changed.search, changed.options, changed.objective) == ("grid", {"resolution": 3}, "val_f1")
    assert changed.split == (0.7, 0.2, 0.1)


def test_flags_go_before_the_file_and_set_before_flags() -> None:
    draft = assemble(
        Draft(tomllib.loads(DESIGN_EXAMPLE)), {"sweep.trials": 5, "sweep.seed": 5, "sweep.keep": None}, ["seed=6"]
    )
    assert (draft.request().trials, draft.request().seed, draft.request().keep) == (5, 6, 10)


def test_other_data_replace_the_files() -> None:
    table = {"data": {"path": "a.csv", "target": "y", "task": "regression", "split": [0.5, 0.5, 0]}}
    assert assemble(Draft(table), {"data.name": "iris"}).source() == Source(name="iris")
    assert assemble(Draft(table), {"data.path": "b.csv"}).source() == Source(
        path="b.csv", target="y", task="regression"
    )
    assert assemble(Draft(table), {"data.name": "iris"}).request().split == (0.5, 0.5, 0.0)
    assert table["data"]["path"] == "a.csv"


def test_the_default_space_bends_to_what_is_set() -> None:
    space = _set("optimizer=adam", "width=[8,4]", text="").space
    assert space is not None
    assert "momentum" not in space
    assert "depth" not in space
    assert space.entries["learning_rate"] == LogUniform(1e-4, 1e-1)
    space = _set("optimizer={choice=['sgd','lion']}", text="").space
    assert space is not None
    assert "momentum" in space
    # what the user wrote stays: a space of one's own is not bent
    with pytest.raises(RequestError, match="momentum"):
        _set("optimizer=adam")


BATCHES = {None: 64, 1: 1, 2: 1, 3: 1, 30: 8, 107: 32, 128: 64, 9000: 64, 20_000: 256, 10**6: 512}


@pytest.mark.parametrize(("rows", "batch"), BATCHES.items())
def test_the_default_batch_fits_the_data(rows: int | None, batch: int) -> None:
    assert default_space(rows)["batch_size"] == batch
    assert Space.from_toml(adapted_space({}, rows)).entries["batch_size"] == Constant(batch)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[dat]\nname = 'digits'", "unknown section or key 'dat'; did you mean 'data'?"),
        ("trials = 3", "unknown section or key 'trials'"),
        ("data = 3", r"data = 3 is not a section: write \[data\]"),
        ("[sweep]\ntrails = 3", r"unknown key 'trails' in \[sweep\]; did you mean 'trials'?"),
        ("[sweep]\nepochs = 3", r"unknown key 'epochs' in \[sweep\]; it belongs into \[space\]"),
        ("[data]\nseed = 3", r"it belongs into \[sweep\]"),
        ("[sweep]\ntrials = '3'", "trials = '3' is not legal: it must be an integer"),
        ("[sweep]\nseed = true", "seed = True is not legal: it must be an integer"),
        ("[sweep]\ntrials = 0", "trials = 0 is not legal"),
        ("[sweep]\nkeep_weights = 'all'", "keep_weights = 'all' is not legal"),
        ("[data]\nsplit = ['a', 1, 2]", "split = .* it must be three fractions"),
        ("[data]\nname = 'digits'\npath = 'a.csv'", "it must have one"),
        ("[data]\nname = 'digits'\ntarget = 'y'", "target = 'y' goes with a table on disk"),
        ("[space]", "the space is empty"),
        ("[space]\nlearning_rat = 3", "unknown hyperparameter 'learning_rat'; did you mean 'learning_rate'?"),
        ("[space]\ndepth = { int = [3, 1] }", "empty range"),
        ("[space]\nlearning_rate = { loguniform = [0, 1] }", "log range that reaches zero"),
        ("configs = []", r"configs = \[\] is empty"),
        ("configs = 3", "it must be a list"),
        ("configs = [{depth = 2}]\n[space]\nepochs = 3", "not both"),
        ("configs = [{depth = 2}, 3]", "it must be a list"),
    ],
)
def test_what_a_file_may_not_say(text: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        from_table(tomllib.loads(text))


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("epochs", "it must be KEY=VALUE"),
        ("=3", "it must be KEY=VALUE"),
        ("epoch=3", "unknown key 'epoch'; did you mean 'epochs'?"),
        ("zzzz=3", "unknown key 'zzzz'; `jaxsweep hyperparameters`"),
        ("spaces.epochs=3", "unknown section 'spaces'; did you mean 'space'?"),
        ("space.epoch=3", "unknown hyperparameter 'epoch'; did you mean 'epochs'?"),
        ("sweep.tirals=3", r"unknown key 'tirals' in \[sweep\]; did you mean 'trials'?"),
        ("epochs=[1,", "neither a TOML value nor a word"),
        ("epochs=1\nwidth = 3", "neither a TOML value nor a word"),
        ("seed=x", "seed = 'x' is not legal: it must be an integer"),
        ("optimizer=adm", "optimizer = 'adm' is not legal: it must be one of sgd, adam"),
        ("epochs={int=[1,2],log=3,x=1}", "unknown key 'x'"),
    ],
)
def test_what_set_may_not_say(assignment: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        _set(assignment)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[data\n")
    with pytest.raises(RequestError, match=r"bad.toml is not TOML"):
        read(tmp_path / "bad.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(RequestError, match="is not TOML"):
        read(tmp_path / "latin.toml")
    (tmp_path / "odd.toml").write_text("[sweeep]\n")
    with pytest.raises(RequestError, match=r"odd.toml: unknown section or key 'sweeep'"):
        read(tmp_path / "odd.toml")

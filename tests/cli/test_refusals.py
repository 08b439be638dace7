"""What the command line refuses: with exit code 2 and one line, before anything is compiled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_helpers import Out, refused

from jaxsweep import loop


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the test does must not come so far as to make an engine."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        pytest.fail("the request was not refused before training")

    monkeypatch.setattr(loop, "Engine", refuse)


def rows_of(path: Path, rows: int = 60, edit: Callable[[list[list[str]]], object] | None = None) -> Path:
    """Write a small table with two classes, edited."""
    draw = np.random.default_rng(0)
    table = [[f"{a:.3f}", "uvw"[k % 3], "yes" if a > 0 else "no"] for k, a in enumerate(draw.normal(size=rows))]
    table.insert(0, ["size", "shape", "label"])
    if edit is not None:
        edit(table)
    path.write_text("".join(",".join(row) + "\n" for row in table))
    return path


def _set_cell(row: int, column: int, text: str) -> Callable[[list[list[str]]], object]:
    return lambda table: table[row].__setitem__(column, text)


def _one_class(table: list[list[str]]) -> None:
    for row in table[1:]:
        row[2] = "yes"


def _rare_class(table: list[list[str]]) -> None:
    for number, row in enumerate(table[1:]):
        row[2] = "rare" if number < 2 else "usual"


BAD_TABLES: dict[str, tuple[Callable[[list[list[str]]], object], str]] = {
    "a target with one class": (_one_class, "target 'label' has only one class, 'yes'"),
    "zero rows": (lambda table: table.__delitem__(slice(1, None)), "zero rows"),
    "ragged": (lambda table: table[5].append("more"), "line 6 of t.csv has 4 cells: it must have 3"),
    "infinite": (_set_cell(4, 0, "inf"), "column 'size' has an infinite value in row 3"),
    "a class too small": (_rare_class, "class 'rare' of t has 2 rows: splitting into train, validation and test"),
}


@pytest.mark.parametrize("what", BAD_TABLES)
def test_bad_tables_are_refused(what: str, tmp_path: Path, capsys: Out, no_training: None) -> None:
    edit, words = BAD_TABLES[what]
    path = rows_of(tmp_path / "t.csv", edit=edit)
    assert words in refused(capsys, "run", "--data", path, "--target", "label", "--out", tmp_path / "r")
    assert not (tmp_path / "r").exists()


BAD_REQUESTS: dict[str, tuple[list[str], str]] = {
    "a missing file": (["--data", "none.csv", "--target", "y"], "none.csv does not exist"),
    "a missing file, and no target": (["--data", "none.csv"], "none.csv does not exist"),
    "unknown data": (["--data", "digit"], "neither a built-in data set nor a file; did you mean 'digits'?"),
    "an absent target": (["--data", "t.csv", "--target", "lable"], "'lable' is not in t.csv; did you mean 'label'?"),
    "a target out of range": (["--data", "t.csv", "--target", "3"], "target column 3 is not in t.csv"),
    "no target": (["--data", "t.csv"], "the target column of t.csv is not named"),
    "a target of built-in data": (["--data", "iris", "--target", "x"], "target = 'x' goes with a table on disk"),
    "an unknown hyperparameter": (["--set", "space.learnin_rate=1"], "unknown hyperparameter 'learnin_rate'"),
    "an unknown key": (["--set", "learnin_rate=1"], "did you mean 'learning_rate'?"),
    "an illegal value": (["--set", "dropout=1.5"], "dropout = 1.5 is not legal: it must be a number in [0, 1)"),
    "an empty batch": (["--data", "iris", "--set", "batch_size=0"], "batch_size = 0 is not legal"),
    "augmentation of no image": (["--data", "iris", "--set", "rotation=5"], "rotation = 5.0 needs image-shaped inputs"),
    "an empty space": (["empty.toml"], "the space is empty"),
    "no data in the file": (["nodata.toml"], "nodata.toml names no data"),
    "no such sweep file": (["no.toml"], "no.toml cannot be read"),
    "an objective of another task": (["--objective", "val_r2"], "'val_r2' does not exist for classification"),
    "auc for ten classes": (["--objective", "val_auc"], "does not exist for classification with 10 classes"),
    "a test metric": (["--objective", "test_accuracy"], "the test split is never searched on"),
    "an unknown objective": (["--objective", "val_acuracy"], "did you mean 'val_accuracy'?"),
    "an unknown searcher": (["--search", "randm"], "unknown searcher 'randm'; did you mean 'random'?"),
    "an unknown option": (["--set", "search.resolution=3"], "unknown option 'resolution' of searcher 'random'"),
    "no trials": (["--trials", "0"], "trials = 0 is not legal"),
    "trials without end": (["--trials", "10000001"], "are too many: one sweep has at most 10,000,000"),
    "no number": (["--trials", "many"], "argument --trials: 'many' is not legal: it must be an integer"),
    "a negative seed": (["--seed", "-1"], "seed = -1 is not legal"),
    "an unknown task": (["--task", "ranking"], "argument --task: invalid choice: 'ranking'"),
    "an unknown flag": (["--trails", "3"], "has no option --trails; did you mean '--trials'?"),
    "a flag like nothing": (["--zzz", "3"], "unrecognized arguments: --zzz (see jaxsweep "),
    "a hyperparameter as flag": (
        ["--data", "iris", "--epochs", "3"], "epochs is a hyperparameter, to be given as --set epochs=3\n"
    ),
    "and its value": (["--batch-size=32"], "batch_size is a hyperparameter, to be given as --set batch_size=32\n"),
    "what others call it": (["--lr=1"], "here it is called learning_rate, to be given as --set learning_rate=1\n"),
    "one mistyped": (["--learnin-rate", "0.1"], "there is learning_rate, to be given as --set learning_rate=0.1\n"),
    "a key as flag": (["--folds", "5"], "folds is a key of [sweep], to be given as --set folds=5\n"),
    "an option of a searcher as flag": (["--resolution", "3"], "to be given as --set search.resolution=3\n"),
    "an option of a scheduler as flag": (["--grace", "4"], "to be given as --set scheduler.grace=4\n"),
    "an option of searchers": (["--set", "population=20"], "population is an option of the searchers evolution, de, "),
    "an option of the searcher chosen": (
        ["--search", "de", "--set", "population=20"],
        "population is an option of the searcher de, to be given as --set search.population=...",
    ),
    "an option of the searcher set": (
        ["--set", "scale=1", "--set", "search=de"], "scale is an option of the searcher de, to be given as --set search"
    ),
    "an option of schedulers": (
        ["--set", "eta=4"], "eta is an option of the schedulers halving, hyperband, asha, to be given as --set "
    ),
    "an option of the scheduler chosen": (
        ["--scheduler", "median", "--set", "least=4"], "of the scheduler median, to be given as --set scheduler.least="
    ),
    "a section of options": (["--set", "options.population=20"], "is to be given as --set search.population=...\n"),
    "no such study": (
        ["--data", "iris", "--warm-start", "sqlite:///x.db#a"], "the file x.db does not exist, so that there is no"
    ),
    "the second flag": (["--zzz", "--epochs", "3"], "has no option --epochs"),
    "an unwritable directory": (["--out", "/proc/r"], "--out /proc/r cannot be written"),
    "a file as directory": (["--out", "t.csv"], "--out t.csv cannot be written"),
    "a split without validation": (["--set", "split=[0.8,0.0,0.2]"], "leaves nothing to validate on"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_REQUESTS)
def test_bad_requests_are_refused(
    what: str, tmp_path: Path, capsys: Out, no_training: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows_of(tmp_path / "t.csv")
    (tmp_path / "empty.toml").write_text("[data]\nname = 'iris'\n[space]\n")
    (tmp_path / "nodata.toml").write_text("[space]\nepochs = 3\n")
    argv, words = BAD_REQUESTS[what]
    assert words in refused(capsys, "run", *argv)
    if "--out" not in argv:  # a plan needs no directory
        assert words in refused(capsys, "plan", *argv)
    assert not (tmp_path / "runs").exists()


def test_a_directory_that_holds_a_run_is_refused(tmp_path: Path, capsys: Out, no_training: None) -> None:
    (tmp_path / "trials.sqlite").touch()
    assert "already holds a run" in refused(capsys, "run", "--data", "iris", "--out", tmp_path)

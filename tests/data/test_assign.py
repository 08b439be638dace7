"""Groups that stay together, folds of one's own, and tables of one's own for validation and test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit

import jaxsweep as js
from jaxsweep.data import Dataset, prepare, read_table
from jaxsweep.data.assign import assign, check_folds, split_by
from jaxsweep.errors import RequestError
from jaxsweep.spec import sweepfile

RNG = np.random.default_rng(5)
X = RNG.normal(size=(120, 2))
Y = RNG.integers(0, 3, 120)
GROUPS = np.repeat(np.arange(24), 5)


def dataset(**more: Any) -> Dataset:
    return Dataset.from_arrays(X, Y, **more)


@settings(deadline=None, max_examples=80)
@given(st.data(), st.integers(6, 60), st.integers(2, 3), st.sampled_from([0, 2, 3]), st.integers(0, 2**63 - 1))
def test_groups_stay_together(data: st.DataObject, groups: int, classes: int, folds: int, seed: int) -> None:
    sizes = data.draw(st.lists(st.integers(classes, 9), min_size=groups, max_size=groups))
    labels = np.repeat([f"g{number}" for number in range(groups)], sizes)
    y = np.concatenate([np.arange(size) % classes for size in sizes])
    made = Dataset.from_arrays(np.arange(len(y))[:, None], y, task="classification", groups=labels)
    found = assign(made, (0.6, 0.2, 0.2), folds, seed)
    every = [*zip(found.train, found.val, strict=True)]
    assert len(every) == max(folds, 1)
    for train, val in every:
        parts = [train, val, found.test]
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(y)))
        owners = [set(labels[part]) for part in parts]
        assert all(owners)
        assert sum(map(len, owners)) == groups  # no group is in two parts
        shares = np.array([len(part) for part in parts]) / len(y)
        due = [0.8 - 0.8 / folds, 0.8 / folds, 0.2] if folds else [0.6, 0.2, 0.2]
        assert np.abs(shares - due).max() <= 2 * max(sizes) / len(y) + 1 / groups


def test_groups_are_dealt_as_evenly_as_they_allow_and_by_the_seed() -> None:
    made = dataset(groups=GROUPS)
    one, other = (assign(made, (0.6, 0.2, 0.2), 0, seed) for seed in (0, 1))
    assert [len(part) for part in (one.train[0], one.val[0], one.test)] == [70, 25, 25]
    assert set(one.test.tolist()) != set(other.test.tolist())
    again = assign(made, (0.6, 0.2, 0.2), 0, 0)
    np.testing.assert_array_equal(one.train[0], again.train[0])


def test_a_group_column_is_no_input(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("who,a,t\n" + "".join(f"p{row // 4},{row % 7},{'xy'[row % 2]}\n" for row in range(80)))
    data = read_table(path, "t", group="who")
    assert [column.name for column in data.inputs] == ["a"]
    assert data.groups is not None
    assert len(set(data.groups.tolist())) == 20
    plain = read_table(path, "t", drop="who")
    assert plain.fingerprint != data.fingerprint
    with pytest.raises(RequestError, match="group names the target column 't'"):
        read_table(path, "t", group="t")
    with pytest.raises(RequestError, match=r"group: column 'hwo' is not in t.csv; did you mean 'who'\?"):
        read_table(path, "t", group="hwo")


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(RequestError, match="has 2 groups for 3 parts or folds, and groups stay together"):
        prepare(dataset(groups=np.arange(120) % 2))
    with pytest.raises(RequestError, match="groups has 3 labels but X has 120 rows"):
        dataset(groups=[1, 2, 3])


@pytest.mark.parametrize(
    "splitter",
    [KFold(4), StratifiedKFold(3, shuffle=True, random_state=1), TimeSeriesSplit(3), GroupKFold(4)],
    ids=lambda splitter: type(splitter).__name__,
)
def test_splitters_of_scikit_learn(splitter: Any) -> None:
    made = dataset(groups=GROUPS) if isinstance(splitter, GroupKFold) else dataset()
    pairs = split_by(splitter, made, (0.6, 0.2, 0.2), 0)
    test = set(assign(made, (0.6, 0.2, 0.2), 0, 0).test.tolist())
    pool = np.array(sorted(set(range(120)) - test))
    wanted = list(splitter.split(X[pool], Y[pool], GROUPS[pool] if made.groups is not None else None))
    assert [(list(a), list(b)) for a, b in pairs] == [(pool[a].tolist(), pool[b].tolist()) for a, b in wanted]
    prepared = prepare(made, folds=pairs)
    used = {row for pair in pairs for part in pair for row in part}
    assert set(prepared.test_numbers.tolist()) == set(range(120)) - used
    for split, (train, val) in enumerate(pairs):
        assert prepared.numbers[prepared.train[split]].tolist() == sorted(train)
        assert prepared.numbers[prepared.val[split]].tolist() == sorted(val)


BAD = {
    "no pair": ([[1, 2, 3]], "as a list it must hold pairs"),
    "no folds": ([], "as a list it must hold pairs"),
    "a word": ("five", "folds = 'five' is not legal"),
    "a fraction": (2.5, "folds = 2.5 is not legal"),
    "no numbers": ([(["a"], [1])], "rows must be given by their numbers from 0"),
    "negative": ([([-1], [1])], "rows must be given by their numbers from 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_list_of_folds_is_refused(case: str) -> None:
    folds, words = BAD[case]
    with pytest.raises(RequestError, match=words):
        check_folds(folds)


def test_folds_that_do_not_fit_the_data_are_refused() -> None:
    rows = list(range(60))
    for folds, words in (
        ([(rows, [200])], "fold 0 has row 200, but arrays has the rows 0 to 119"),
        ([(rows, [5])], "fold 0 trains and validates on row 5"),
        ([([*rows, 7], [100])], "fold 0 has a training row twice"),
        ([(rows, [])], "fold 0 has no validation rows"),
        ([(np.flatnonzero(Y == 1).tolist(), np.flatnonzero(Y == 0).tolist())], "have none of class 0"),
    ):
        with pytest.raises(RequestError, match=words):
            prepare(dataset(), folds=folds)
    own = Dataset.from_arrays(X, Y, X_val=X[:9], y_val=Y[:9])
    with pytest.raises(RequestError, match="a list of folds does not go with a validation part of your own"):
        prepare(own, folds=[(rows, [100])])


def test_a_sweep_on_folds_of_ones_own_is_recorded_and_repeated(tmp_path: Path) -> None:
    folds = [(list(range(0, 40)), list(range(40, 70))), (list(range(30, 90)), list(range(0, 20)))]  # of unequal sizes
    config = {"depth": 1, "width": 4, "epochs": 2, "learning_rate": 0.01, "batch_size": 64}
    result = js.sweep(dataset(), configs=[config], folds=folds, out=tmp_path / "run", progress=False)
    assert [len(part) for part in result.data.train] == [40, 60]
    read = sweepfile.read(tmp_path / "run" / "sweep.toml").request()
    assert read.folds == check_folds(folds)
    scores = result.to_pandas(lanes=True)["val_loss"].tolist()
    for fold, score in enumerate(scores):
        alone = js.solo(dataset(), config, folds=folds, fold=fold)
        assert alone.curves["val_loss"][-1] == pytest.approx(score, rel=1e-4)
    by_splitter = js.sweep(dataset(), configs=[config], folds=GroupKFold(2), groups=GROUPS, progress=False)
    assert len(by_splitter.data.train) == 2
    with pytest.raises(RequestError, match=r"KFold\(.*\) parts the rows of a group in fold 0"):
        js.sweep(dataset(), configs=[config], folds=KFold(5, shuffle=True), groups=GROUPS, progress=False)


def test_validation_and_test_tables(tmp_path: Path) -> None:
    cells: dict[str, Callable[[int], str]] = {
        "a": lambda row: f"{row + 1},5",
        "colour": lambda row: "red" if row % 3 else "blue",
        "t": lambda row: "xy"[row % 2],
    }

    def table(name: str, rows: int, columns: str = "a;colour;t") -> Path:
        lines = [";".join(cells[column](row) for column in columns.split(";")) for row in range(rows)]
        (tmp_path / name).write_text("\n".join([columns, *lines]) + "\n")
        return tmp_path / name

    train, val, test = table("train.csv", 40), table("val.csv", 9, "t;colour;a"), table("test.csv", 5)
    data = read_table(train, "t", validation=val, test=test)
    prepared = prepare(data)
    assert (len(prepared.train[0]), len(prepared.val[0]), prepared.x_test.shape[1]) == (40, 9, 5)
    np.testing.assert_allclose(prepared.x[0, prepared.val[0]], prepared.x[0, :9])  # the same rows, columns by name
    origin = data.origin or {}
    assert (origin["validation"], origin["test"]) == (str(val.resolve()), str(test.resolve()))
    with pytest.raises(RequestError, match=r"bare\.csv has no column 'colour'"):
        read_table(train, "t", test=table("bare.csv", 5, "a;t"))
    with pytest.raises(RequestError, match=r"target column 't' is not in blind\.csv"):
        read_table(train, "t", test=table("blind.csv", 5, "a;colour"))


def test_batches_larger_than_the_training_part_are_cut_and_said() -> None:
    planned = js.plan(dataset(), js.Space(batch_size=js.Choice([16, 128, 1024]), epochs=1), trials=20)
    (note,) = [note for note in planned.notes if "batch_size" in note]
    assert note == "batch_size 128, 1024: cut to the 72 training rows there are"
    result = js.sweep(dataset(), configs=[{"batch_size": 1000, "epochs": 1, "width": 4}], keep=0, progress=False)
    assert result.best.config["batch_size"] == 72


def test_more_rows_than_there_are_to_be_seen_are_said() -> None:
    planned = js.plan(dataset(), js.Space(train_rows=js.Int(20, 100), epochs=1), trials=20)
    assert "train_rows 100: cut to the 72 training rows there are" in planned.notes
    same = {"epochs": 1, "width": 4, "init_seed": 0, "order_seed": 0}
    configs = [{**same, "train_rows": rows} for rows in (0, 72, 73)]
    result = js.sweep(dataset(), configs=configs, keep=0, progress=False)
    assert [note for note in result.notes if "rows" in note] == ["train_rows 73: cut to the 72 training rows there are"]
    assert result.trials[1].score == result.trials[2].score

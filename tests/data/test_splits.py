"""Splits: disjoint, complete, stratified, the same for the same seed; and what they refuse."""

import os
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsweep.data import Dataset, Prepared, load_dataset, prepare
from jaxsweep.data.inputs import NumberInput
from jaxsweep.errors import RequestError


def classes_of(sizes: list[int], seed: int = 0) -> Dataset:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    # The only feature is the number of the row, so that rows can be told apart after the split.
    return Dataset.from_arrays(np.arange(len(labels), dtype=float)[:, None], labels, task="classification")


def raw_rows(prepared: Prepared) -> tuple[list[int], list[int]]:
    """Return the original numbers of the pool's and of the test part's rows, from their only feature."""
    entry = prepared.preprocessors[0].inputs[0]
    assert isinstance(entry, NumberInput)
    pool, test = (
        [round(value) for value in x[0, :, 0] * entry.scale + entry.mean] for x in (prepared.x, prepared.x_test)
    )
    return pool, test


sizes_ = st.lists(st.integers(6, 40), min_size=2, max_size=6)
splits_ = st.sampled_from(
    [(0.6, 0.2, 0.2), (0.8, 0.2, 0.0), (0.05, 0.05, 0.9), (0.98, 0.01, 0.01), (1 / 3, 1 / 3, 1 / 3)]
)


@settings(deadline=None, max_examples=60)
@given(sizes_, splits_, st.integers(0, 2**40), st.sampled_from([0, 2, 3, 5]))
def test_parts_are_disjoint_complete_and_hold_every_class(
    sizes: list[int], split: tuple[float, float, float], seed: int, folds: int
) -> None:
    data = classes_of(sizes)
    prepared = prepare(data, split, folds, seed)
    pool, test = raw_rows(prepared)
    assert sorted(pool + test) == list(range(data.rows))
    assert pool == sorted(pool)
    assert len(prepared.train) == len(prepared.val) == max(folds, 1) == len(prepared.x) == len(prepared.y)
    for train, val, y in zip(prepared.train, prepared.val, prepared.y, strict=True):
        assert train.dtype == val.dtype == y.dtype == np.int32
        assert sorted([*train, *val]) == list(range(len(pool)))
        np.testing.assert_array_equal(y, data.target[pool])
        for part in (y[train], y[val], *([prepared.y_test[0]] if split[2] else [])):
            assert set(part.tolist()) == set(range(len(sizes)))
    assert bool(test) == (split[2] > 0)
    if folds:
        assert sorted(np.concatenate(prepared.val)) == list(range(len(pool)))
        lengths = [len(val) for val in prepared.val]
        assert max(lengths) - min(lengths) <= 1


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(3, 200), min_size=2, max_size=10))
def test_class_shares_are_within_one_row_or_the_one_that_each_part_needs(sizes: list[int]) -> None:
    prepared = prepare(classes_of(sizes))
    for code, size in enumerate(sizes):
        got = [
            np.sum(prepared.y[0, prepared.train[0]] == code),
            np.sum(prepared.y[0, prepared.val[0]] == code),
            np.sum(prepared.y_test[0] == code),
        ]
        for count, fraction in zip(got, (0.6, 0.2, 0.2), strict=True):
            assert abs(count - size * fraction) < 2 or count == 1
    if min(sizes) >= 5:  # nobody was forced, so the whole parts keep their shares too
        assert abs(len(prepared.val[0]) - 0.2 * sum(sizes)) <= 1.5
        assert abs(len(prepared.y_test[0]) - 0.2 * sum(sizes)) <= 1.5


def test_exact_fractions_give_exact_counts() -> None:
    prepared = prepare(classes_of([100, 100]), (0.29, 0.42, 0.29))  # 0.29 * 100 is less than 29 in floating point
    assert Counter(prepared.y[0, prepared.train[0]].tolist()) == {0: 29, 1: 29}


def test_same_seed_same_split_and_seeds_differ() -> None:
    data = load_dataset("iris")
    first, again, other = prepare(data, seed=0), prepare(data, seed=0), prepare(data, seed=1)
    np.testing.assert_array_equal(first.train[0], again.train[0])
    np.testing.assert_array_equal(first.x_test, again.x_test)
    assert not np.array_equal(first.x_test, other.x_test)


def test_split_and_fingerprint_do_not_depend_on_the_process() -> None:
    code = (
        "import hashlib, numpy as np; from jaxsweep.data import Dataset, prepare;"
        "X = np.array([[c, str(i % 7)] for i, c in enumerate('abcdefgh' * 8)], dtype=object);"
        "d = Dataset.from_arrays(X, list('xyzw' * 16)); p = prepare(d, seed=3);"
        "print(d.fingerprint, hashlib.sha256(p.x.tobytes() + p.train[0].tobytes()).hexdigest())"
    )
    seen = set()
    for seed in ("0", "1234"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        seen.add(subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True).stdout)
    assert len(seen) == 1


def test_a_split_stays_what_it_was() -> None:
    """A run can only be resumed, and a figure repeated, if later versions split the same way."""
    prepared = prepare(Dataset.from_arrays(np.arange(12.0)[:, None], [0, 1] * 6), seed=0)
    assert (prepared.train[0].tolist(), prepared.val[0].tolist()) == GOLDEN


GOLDEN = ([0, 1, 2, 3, 4, 5, 8], [6, 7, 9])


def test_regression_split_and_targets() -> None:
    data = load_dataset("diabetes")
    prepared = prepare(data)
    assert prepared.n_outputs == 1
    assert prepared.classes is None
    train = prepared.train[0]
    assert [len(train), len(prepared.val[0]), prepared.y_test.shape[1]] == [265, 89, 88]
    np.testing.assert_allclose(prepared.y[0, train].mean(), 0, atol=1e-12)
    np.testing.assert_allclose(prepared.y[0, train].std(), 1)
    raw = np.concatenate([prepared.y[0], prepared.y_test[0]]) * prepared.target_scale[0] + prepared.target_mean[0]
    np.testing.assert_allclose(np.sort(raw), np.sort(data.target))


def test_own_parts_are_used_as_given() -> None:
    rows = np.arange(20.0)[:, None]
    y = np.tile([0, 1], 10)
    data = Dataset.from_arrays(rows, y, X_val=rows[:4] + 100, y_val=y[:4], X_test=rows[:6] + 200, y_test=y[:6])
    prepared = prepare(data)
    pool, test = raw_rows(prepared)
    assert pool == [*range(20), *range(100, 104)]
    assert test == list(range(200, 206))
    assert prepared.train[0].tolist() == list(range(20))
    assert prepared.val[0].tolist() == list(range(20, 24))
    np.testing.assert_array_equal(prepared.y[0], [*y, *y[:4]])


def test_a_part_that_is_not_given_is_split_off() -> None:
    rows, y = np.arange(20.0)[:, None], np.tile([0, 1], 10)
    own_test = prepare(Dataset.from_arrays(rows, y, X_test=rows, y_test=y))
    assert [len(own_test.train[0]), len(own_test.val[0]), own_test.y_test.shape] == [16, 4, (1, 20)]
    own_validation = prepare(Dataset.from_arrays(rows, y, X_val=rows, y_val=y))
    assert [len(own_validation.train[0]), len(own_validation.val[0])] == [16, 20]
    assert own_validation.y_test.shape == (1, 4)
    pool, test = raw_rows(own_validation)
    assert sorted(pool[:16] + test) == list(range(20))
    folds = prepare(Dataset.from_arrays(rows, y, X_test=rows, y_test=y), folds=5)
    assert folds.x.shape == (5, 20, 1)
    assert folds.y_test.shape == (5, 20)


def test_two_classes_of_which_one_has_three_rows() -> None:
    prepared = prepare(classes_of([50, 3]))
    for part in (prepared.y[0, prepared.train[0]], prepared.y[0, prepared.val[0]], prepared.y_test[0]):
        assert np.sum(part == 1) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"split": (0.5, 0.5)},
            r"split = \(0.5, 0.5\) is not legal: it must be three numbers: train, validation, test",
        ),
        ({"split": (0.5, 0.2, 0.2)}, r"split = \[0.5, 0.2, 0.2\] is not legal: .* must be >= 0 and sum to 1"),
        ({"split": (1.2, -0.1, -0.1)}, r"must be >= 0 and sum to 1"),
        ({"split": (float("nan"), 0.5, 0.5)}, r"must be >= 0 and sum to 1"),
        ({"split": (0.0, 0.5, 0.5)}, r"leaves nothing to train on: its first fraction must be > 0"),
        ({"split": (0.8, 0.0, 0.2)}, r"leaves nothing to validate on: its second fraction must be > 0"),
        ({"split": (1.0, 1e-15, 0)}, r"leaves nothing to validate on"),
        ({"folds": 1}, r"folds = 1 is not legal: it must be 0, or an integer of at least 2"),
        ({"folds": -2}, r"folds = -2 is not legal"),
        ({"folds": 2.5}, r"folds = 2.5 is not legal"),
        ({"seed": -1}, r"seed = -1 is not legal: it must be an integer in \[0, 9223372036854775807\]"),
        ({"seed": 0.5}, r"seed = 0.5 is not legal"),
        (
            {"folds": 5},
            r"class 1 of arrays has 5 rows: splitting into 5 folds and a test part needs at least 6 .* each",
        ),
        (
            {"folds": 6, "split": (0.8, 0.2, 0)},
            r"class 1 of arrays has 5 rows: splitting into 6 folds needs at least 6",
        ),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        prepare(classes_of([20, 5]), **arguments)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(RequestError, match=r"class 1 of arrays has 2 rows: splitting into train, validation and test "):
        prepare(classes_of([20, 2]))
    with pytest.raises(RequestError, match=r"class 1 of arrays has 1 row: splitting into train and validation needs"):
        prepare(classes_of([20, 1]), (0.8, 0.2, 0))
    with pytest.raises(
        RequestError, match=r"arrays has 2 rows: splitting into train, validation and test needs at least"
    ):
        prepare(Dataset.from_arrays([[1.0], [2.0]], [0.5, 1.5]))


def test_folds_with_own_validation_are_refused() -> None:
    x, y = np.arange(20.0)[:, None], np.tile([0, 1], 10)
    with pytest.raises(RequestError, match=re.escape("folds = 2 does not go with a validation part of your own")):
        prepare(Dataset.from_arrays(x, y, X_val=x, y_val=y), folds=2)


def test_random_labels_a_constant_column_and_one_feature() -> None:
    rng = np.random.default_rng(0)
    prepared = prepare(Dataset.from_arrays(np.full((60, 1), 0.1), rng.integers(0, 2, 60)))
    assert np.all(prepared.x == 0)
    assert prepared.feature_names == ("0",)


def test_what_would_not_fit_into_memory_is_refused() -> None:
    words = [f"w{number // 2}" for number in range(100_000)]
    x = np.array(words, dtype=object)[:, None]
    data = Dataset.from_arrays(x, np.arange(100_000) / 3, most_categories=50_000)
    with pytest.raises(RequestError, match=r"column '0' alone has 50000 categories\): leave out columns"):
        prepare(data, folds=3)

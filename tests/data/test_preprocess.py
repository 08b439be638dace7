"""Preprocessing: statistics of the training part only, the contract of model.json, raw new data."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from jaxsweep.data import Dataset, Prepared, Preprocessor, UnknownWords, load_dataset, prepare, read_raw, read_table
from jaxsweep.data.inputs import CategoryInput, Input, NumberInput
from jaxsweep.errors import RequestError


def frame(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size = rng.normal(5, 3, rows)
    size[::7] = np.nan
    colour = rng.choice(["red", "green", "blue"], rows).astype(object)
    colour[::11] = None
    return pd.DataFrame({"size": size, "count": rng.integers(0, 9, rows), "colour": colour, "flag": size > 5})


def target(rows: int = 60) -> list[str]:
    return ["yes", "no", "no"] * (rows // 3)


def number(entry: Input) -> NumberInput:
    """Return the entry of a column of numbers."""
    assert isinstance(entry, NumberInput)
    return entry


def test_features_by_hand() -> None:
    x = pd.DataFrame({"n": [1.0, None, 3.0, 8.0, 1.0, 1.0], "c": ["b", "a", None, "b", "a", "b"], "k": [7] * 6})
    data = Dataset.from_arrays(x[:4], [0, 1, 0, 1], X_val=x[4:], y_val=[0, 1], task="classification")
    prepared = prepare(data, (0.8, 0.2, 0))
    assert prepared.feature_names == ("n", "n missing", "c=a", "c=b", "c missing", "k")
    filled = np.array([1, 3, 3, 8])  # the median of 1, 3, 8 is 3
    expected = np.stack(
        [(filled - filled.mean()) / filled.std(), [0, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0], [0] * 4], 1
    )
    np.testing.assert_allclose(prepared.x[0, :4], expected)
    assert prepared.preprocessors[0].to_json() == {
        "inputs": [
            {"name": "n", "kind": "number", "mean": 3.75, "scale": filled.std(), "fill": 3.0},
            {"name": "n", "kind": "missing"},
            {"name": "c", "kind": "category", "categories": ["a", "b"]},
            {"name": "c", "kind": "missing"},
            {"name": "k", "kind": "number", "mean": 7.0, "scale": 1.0, "fill": 7.0},
        ],
        "classes": [0, 1],
    }


def test_statistics_come_from_the_training_part_only() -> None:
    x, y = frame(), np.arange(60.0) ** 2
    first = prepare(Dataset.from_arrays(x, y), seed=4)
    train_rows = original_rows(first, y)[first.train[0]]
    other = x.copy()
    changed = np.setdiff1d(np.arange(60), train_rows)
    other.loc[changed, "size"] = 1e6
    other.loc[changed, "count"] = -12345
    other.loc[changed, "colour"] = "never seen"
    y_other = y.copy()
    y_other[changed] += 1e6
    second = prepare(Dataset.from_arrays(other, y_other), seed=4)
    assert first.preprocessors[0] == second.preprocessors[0]
    np.testing.assert_array_equal(first.x[0][first.train[0]], second.x[0][second.train[0]])
    np.testing.assert_array_equal(first.y[0][first.train[0]], second.y[0][second.train[0]])
    unseen = second.x[0][second.val[0]][
        :, [second.feature_names.index(f"colour={c}") for c in ("blue", "green", "red")]
    ]
    assert not unseen.any()


def original_rows(prepared: Prepared, y: NDArray[np.float64]) -> NDArray[np.int64]:
    values = prepared.y[0] * prepared.target_scale[0] + prepared.target_mean[0]
    return np.array([int(np.argmin(np.abs(y - value))) for value in values])


def test_folds_share_features_but_not_statistics() -> None:
    x = frame()
    x.loc[5, "colour"] = "unique"
    prepared = prepare(Dataset.from_arrays(x, target()), (0.8, 0.2, 0), folds=4)
    assert prepared.x.shape[0] == len(prepared.preprocessors) == 4
    assert "colour=unique" in prepared.feature_names
    assert len({preprocessor.feature_names for preprocessor in prepared.preprocessors}) == 1
    assert len({number(preprocessor.inputs[0]).mean for preprocessor in prepared.preprocessors}) == 4
    at = prepared.feature_names.index("count")
    for x_split, train in zip(prepared.x, prepared.train, strict=True):
        np.testing.assert_allclose(x_split[train, at].mean(), 0, atol=1e-12)
        np.testing.assert_allclose(x_split[train, at].std(), 1)


def test_an_indicator_needs_missing_values_outside_the_test_part() -> None:
    x = np.arange(12.0)[:, None]
    gone = np.array([[np.nan], [1.0]])
    for part, names in [("test", ("0",)), ("val", ("0", "0 missing"))]:
        own: dict[str, Any] = {f"X_{part}": gone, f"y_{part}": [0, 1]}
        data = Dataset.from_arrays(x, [0, 1] * 6, **own)
        prepared = prepare(data)
        assert prepared.feature_names == names
        assert np.all(np.isfinite(prepared.x))
        assert np.all(np.isfinite(prepared.x_test))


def test_pixels_share_one_mean_and_scale() -> None:
    data = load_dataset("digits")
    prepared = prepare(data)
    preprocessor = prepared.preprocessors[0]
    assert prepared.image_shape == (8, 8)
    entries = [number(entry) for entry in preprocessor.inputs]
    assert len({(entry.mean, entry.scale) for entry in entries}) == 1
    pixels = prepared.x[0, prepared.train[0]]
    np.testing.assert_allclose([pixels.mean(), pixels.std()], [0, 1], atol=1e-12)


def test_json_round_trip_is_exact() -> None:
    for data in (Dataset.from_arrays(frame(), target()), Dataset.from_arrays(frame(), np.arange(60) / 7)):
        preprocessor = prepare(data).preprocessors[0]
        document = json.loads(json.dumps({"task": data.task, "config": {}, **preprocessor.to_json()}))
        assert Preprocessor.from_json(document) == preprocessor


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"inputs": 3, "classes": []},
        {"inputs": [{"name": "a", "kind": "number", "mean": 0, "scale": 0, "fill": 0}], "classes": [0, 1]},
        {"inputs": [{"name": "a", "kind": "number", "mean": 0, "scale": 1}], "classes": [0, 1]},
        {"inputs": [{"name": "a", "kind": "colour"}], "classes": [0, 1]},
        {"inputs": [{"name": "a", "kind": "missing"}], "classes": [0, 1]},
        {"inputs": [], "target": {"mean": 0}},
    ],
)
def test_broken_json_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="the preprocessing of the network cannot be read"):
        Preprocessor.from_json(document)


def test_new_tables(tmp_path: Path) -> None:
    x = frame()
    data = Dataset.from_arrays(x, target())
    prepared = prepare(data, (0.8, 0.2, 0))
    preprocessor = prepared.preprocessors[0]
    np.testing.assert_array_equal(preprocessor.transform_table(x), prepared.x[0])
    shuffled = x[["flag", "colour", "size", "count"]].assign(answer=target())
    np.testing.assert_array_equal(preprocessor.transform_table(shuffled), prepared.x[0])
    np.testing.assert_array_equal(preprocessor.transform_table(x.to_numpy(dtype=object)), prepared.x[0])
    shuffled.to_csv(tmp_path / "new.csv", index=False)
    np.testing.assert_array_equal(preprocessor.transform_table(read_raw(tmp_path / "new.csv")), prepared.x[0])
    with pytest.warns(UnknownWords, match="column 'colour' in 60 of 60 rows"):
        unseen = preprocessor.transform_table(x.assign(colour="violet"))
    assert not unseen[:, [name.startswith("colour") for name in prepared.feature_names]].any()


def test_new_tables_without_names(tmp_path: Path) -> None:
    rows = ["yes,1,a", "no,2,b", "no,4,a", "yes,1,b", "no,3,a", "yes,7,b"] * 3
    (tmp_path / "with.csv").write_text("\n".join(rows))
    (tmp_path / "without.csv").write_text("\n".join(row.partition(",")[2] for row in rows))
    data = read_table(tmp_path / "with.csv", 0)
    assert [column.name for column in data.inputs] == ["1", "2"]
    prepared = prepare(data, (0.8, 0.2, 0))
    for name in ("with.csv", "without.csv"):
        new = prepared.preprocessors[0].transform_table(read_raw(tmp_path / name))
        np.testing.assert_array_equal(new, prepared.x[0])


def test_new_tables_that_do_not_fit_are_refused() -> None:
    x = frame()
    preprocessor = prepare(Dataset.from_arrays(x, target())).preprocessors[0]
    with pytest.raises(RequestError, match=r"input column 'colour' is not in the data; did you mean 'color'\?"):
        preprocessor.transform_table(x.rename(columns={"colour": "color"}))
    with pytest.raises(RequestError, match="X has 3 columns: it must have the 4 of the training data"):
        preprocessor.transform_table(x.to_numpy(dtype=object)[:, :3])
    with pytest.raises(RequestError, match=r"column 'count' holds 'many' in row 0 \(from 0\): it must be a number"):
        preprocessor.transform_table(x.assign(count="many"))
    with pytest.raises(RequestError, match="column 'count' has an infinite value in row 0"):
        preprocessor.transform_table(x.assign(count=np.inf))


def test_categories_that_are_numbers_keep_their_words() -> None:
    codes = pd.Series([1, 2, None, 1, 2, 1], dtype="category")
    data = Dataset.from_arrays(pd.DataFrame({"code": codes}), [0, 1, 0, 1, 0, 1])
    preprocessor = prepare(data, (0.5, 0.5, 0)).preprocessors[0]
    (entry,) = preprocessor.inputs
    assert isinstance(entry, CategoryInput)
    assert entry.categories == ("1", "2")
    new = preprocessor.transform_table(pd.DataFrame({"code": ["1", "2"]}))
    np.testing.assert_array_equal(new, preprocessor.transform_table(pd.DataFrame({"code": [1.0, 2.0]})))
    assert new.sum() == 2


def test_predictions_map_back() -> None:
    y = np.arange(60.0) * 3 + 100
    prepared = prepare(Dataset.from_arrays(frame(), y))
    preprocessor = prepared.preprocessors[0]
    np.testing.assert_allclose(preprocessor.restore_target(preprocessor.standardize_target(y)), y)
    labels = prepare(Dataset.from_arrays(frame(), target())).preprocessors[0].labels([[0, 1], [1, 1]])
    assert labels.tolist() == [["no", "yes"], ["yes", "yes"]]


def test_a_constant_whose_deviation_rounds_to_something_is_a_constant() -> None:
    data = Dataset.from_arrays(np.full((100, 1), 0.1), [0, 1] * 50)
    entry = number(prepare(data).preprocessors[0].inputs[0])
    assert (entry.mean, entry.scale) == (0.1, 1.0)

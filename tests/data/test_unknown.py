"""New tables: words that training did not know are said, names that occur twice are refused."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jaxsweep.data import Dataset, Preprocessor, UnknownWords, prepare
from jaxsweep.errors import RequestError

FRAME = pd.DataFrame({"n": np.arange(12.0), "code": ["1", "2", "x"] * 4, "tone": ["lo", "hi"] * 6})


@pytest.fixture
def fitted() -> Preprocessor:
    return prepare(Dataset.from_arrays(FRAME, [0, 1] * 6)).preprocessors[0]


def said(fitted: Preprocessor, frame: pd.DataFrame) -> str:
    """Return the one warning that a frame gives."""
    with pytest.warns(UnknownWords) as caught:
        features = fitted.transform_table(frame)
    (warning,) = caught
    assert issubclass(warning.category, UserWarning)
    assert warning.filename == __file__  # whoever called, not the library
    text = str(warning.message)
    assert "\n" not in text
    assert fitted.unknown_words(frame) == text
    assert features.shape == (len(frame), 6)
    return text


def test_unknown_words_are_counted_and_named(fitted: Preprocessor) -> None:
    text = said(fitted, FRAME.assign(tone=["hi", "mid"] * 6))
    assert text == (
        "X has words that training did not know, which count as none of its categories: "
        "column 'tone' in 6 of 12 rows ('mid'; known: 'hi', 'lo')"
    )


def test_all_columns_are_in_one_sentence(fitted: Preprocessor) -> None:
    text = said(fitted, FRAME.assign(tone="mid", code=list("abcdefabcd12")))
    assert "column 'code' in 10 of 12 rows ('a', 'b', 'c', ...; known: '1', '2', 'x'); column 'tone' in 12 " in text


def test_known_numbers_in_another_spelling_are_pointed_at(fitted: Preprocessor) -> None:
    text = said(fitted, pd.DataFrame({"n": 0.0, "code": ["1.0", "2.00", "zz", "x", None, "1.0"], "tone": "hi"}))
    assert "column 'code' in 4 of 6 rows ('1.0', '2.00', 'zz'; '1.0' is '1' and '2.00' is '2', spelled " in text
    text = said(fitted, pd.DataFrame({"n": 0.0, "code": [*"aabbcc", "01"], "tone": "hi"}))
    assert "('01', 'a', 'b', ...; '01' is '1', spelled differently as a number" in text


def test_unknown_words_are_zeros(fitted: Preprocessor) -> None:
    with pytest.warns(UnknownWords):
        found = fitted.transform_table(FRAME.assign(code="1.0"))
    assert not found[:, 1:4].any()
    np.testing.assert_array_equal(found[:, 4:], fitted.transform_table(FRAME)[:, 4:])


def test_many_known_words_are_not_listed() -> None:
    frame = pd.DataFrame({"word": [f"w{row // 2}" for row in range(40)]})
    fitted = prepare(Dataset.from_arrays(frame, [0, 1] * 20), (0.8, 0.2, 0)).preprocessors[0]
    with pytest.warns(UnknownWords, match=r"column 'word' in 1 of 1 rows \('other'\)$"):
        fitted.transform_table([["other"]])


def test_what_is_known_or_missing_is_no_unknown_word(fitted: Preprocessor) -> None:
    """Warnings are errors here."""
    assert fitted.unknown_words(FRAME) is None
    assert fitted.transform_table(FRAME).any()
    numbers = fitted.transform_table(FRAME.assign(code=1.0))  # as numbers they are the same words
    assert numbers[:, 1].all()
    missing: list[Any] = [None, np.nan, pd.NA, "", "?"]
    for gone in missing:
        found = fitted.transform_table(FRAME.assign(tone=gone, n=gone))
        assert not found[:, 4:].any()
        assert np.all(np.isfinite(found))
    categories = FRAME.assign(tone=pd.Series([None, "hi"] * 6, dtype="category"))
    assert fitted.transform_table(categories)[:, 4].tolist() == [0, 1] * 6


def test_tables_without_rows(fitted: Preprocessor) -> None:
    assert fitted.transform_table(FRAME.iloc[:0]).shape == (0, 6)
    assert fitted.transform_table(pd.DataFrame(columns=["tone", "code", "n"])).shape == (0, 6)
    with pytest.raises(RequestError, match="X has no columns: it must have the 3 of the training data"):
        fitted.transform_table(pd.DataFrame())


def test_every_call_warns(fitted: Preprocessor) -> None:
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted.transform_table(FRAME.assign(tone="mid"))
        assert len(caught) == 1


def test_a_name_that_occurs_twice_is_refused_where_it_is_needed(fitted: Preprocessor) -> None:
    twice = pd.concat([FRAME, -FRAME[["n"]]], axis=1)
    with pytest.raises(RequestError, match=r"column name 'n' occurs twice in X \(columns 0 and 3\): every column"):
        fitted.transform_table(twice)
    numbers = pd.DataFrame(np.zeros((12, 4)), columns=[0, 1, "1", 2])  # "1" and 1 are the same name
    by_number = prepare(Dataset.from_arrays(np.arange(36.0).reshape(12, 3), [0, 1] * 6)).preprocessors[0]
    with pytest.raises(RequestError, match="column name '1' occurs twice in X"):
        by_number.transform_table(numbers)
    extra = pd.concat([FRAME, FRAME[["n"]].set_axis(["z"], axis=1), FRAME[["n"]].set_axis(["z"], axis=1)], axis=1)
    np.testing.assert_array_equal(fitted.transform_table(extra), fitted.transform_table(FRAME))

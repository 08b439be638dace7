"""A raw column: numbers or categories, with missing values marked, and how any cell becomes one or the other.

Cells come from CSV text, NumPy arrays and pandas series. How they are read is a `Reading`, found out once from the
table that is trained on (`reading.py`) and carried by an exported network, so that new cells are read likewise.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.cells import DOUBTFUL, PLUS, category, is_missing, parse_boolean, parse_number, parse_numbers
from jaxsweep.data.dates import DatePart, as_dates, find_formats, parse_dates, part_of
from jaxsweep.data.forms import NumberForm
from jaxsweep.errors import RequestError, shown

Kind = Literal["number", "category"]
Raw: TypeAlias = Any  # the cells of one column: a list, a NumPy array [rows] or a pandas Series

LARGEST = 1e150  # the square of anything larger overflows, so that it could not be standardized


@dataclass(frozen=True)
class Reading:
    """How the cells of a raw column become those of a `Column`.

    Attributes:
        column: the raw column's name.
        number: how its text stands for numbers, where not as Python writes them.
        date: which number of a date it is.
        missing: words and numbers that count as missing here, beside those that do everywhere.
        present: words that count as missing elsewhere, but not here.
        lenient: whether text that is no number counts as missing, as the owner of the table has declared.
    """

    column: str
    number: NumberForm | None = None
    date: DatePart | None = None
    missing: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    lenient: bool = False

    @property
    def plain(self) -> bool:
        """Return whether text stands for numbers as Python writes them."""
        return self.number is None and self.date is None

    def to_json(self, name: str) -> dict[str, Any]:
        """Return what `model.json` says of the reading beside the column's name; nothing for a plain one."""
        found: dict[str, Any] = {} if self.column == name else {"column": self.column}
        if self.number is not None:
            found["form"] = self.number.to_json()
        if self.date is not None:
            found["date"] = {"format": self.date.format, "part": self.date.part}
        found |= {key: list(words) for key in ("missing", "present") if (words := getattr(self, key))}
        return found | ({"lenient": True} if self.lenient else {})

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Reading":
        """Return the reading in an entry of `model.json`; KeyError, TypeError or ValueError if it has none."""
        return cls(
            str(entry.get("column", entry["name"])),
            NumberForm.from_json(entry["form"]) if "form" in entry else None,
            DatePart(str(entry["date"]["format"]), str(entry["date"]["part"])) if "date" in entry else None,
            tuple(map(str, entry.get("missing", ()))),
            tuple(map(str, entry.get("present", ()))),
            bool(entry.get("lenient", False)),
        )


@dataclass(frozen=True, eq=False)
class Column:
    """One raw input.

    `values` is float64 [rows] with NaN for missing where `kind` is number, and object [rows] of str with None for
    missing where it is category. `reading` None: its cells are read as they stand.
    """

    name: str
    kind: Kind
    values: NDArray[Any]
    reading: Reading | None = None

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Return which rows have no value, bool [rows]."""
        if self.kind == "number":
            return np.asarray(np.isnan(self.values))
        return np.fromiter((value is None for value in self.values), dtype=np.bool_, count=len(self.values))

    def take(self, rows: NDArray[Any] | slice) -> "Column":
        """Return the column with only the given rows."""
        return Column(self.name, self.kind, self.values[rows], self.reading)


@dataclass(frozen=True, eq=False)
class Words:
    """A column of text by its distinct words: `codes` int [rows] into `words`, -1 for missing."""

    codes: NDArray[np.int64]
    words: tuple[str, ...]

    def spread(self, values: NDArray[Any], missing: Any) -> NDArray[Any]:
        """Return the rows' values [rows] of those of the words [words]."""
        found = np.append(values, np.array([missing], dtype=values.dtype))
        return np.asarray(found[self.codes])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Return in how many rows each word stands, [words]."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.words))

    def first_row(self, word: int) -> int:
        """Return the first row of a word."""
        return int(np.argmax(self.codes == word))


def make_column(name: str, raw: Raw, kind: Kind | None = None, reading: Reading | None = None) -> Column:
    """Return `raw` as a column of the given kind, or of the kind that its cells suggest.

    Raises:
        RequestError: cells that are neither numbers nor text (lists), infinite or overflowing numbers, and, where
            `kind` is number, text that stands for none.
    """
    how = reading or Reading(name)
    if how.date is not None:
        return Column(name, "number", part_of(dates_of(name, raw, how), how.date.part), reading)
    cells = plain_cells(name, raw)
    if isinstance(cells, np.ndarray):
        cells = _without(cells, how.missing)
        if kind == "category":
            return Column(name, "category", _categories(name, cells.tolist(), how), reading)
        return finite(Column(name, "number", cells, reading))
    if kind == "number":
        return finite(Column(name, "number", _forced_numbers(name, cells, how), reading))
    if kind is None and not is_categorical(raw):
        found = parse_numbers(cells)
        if found is not None:
            return finite(Column(name, "number", _without(found, how.missing), reading))
    return Column(name, "category", _categories(name, cells, how), reading)


def plain_cells(name: str, raw: Raw) -> NDArray[np.float64] | list[Any]:
    """Return numeric cells as float64 [rows] with NaN for missing, all others as a list with None for missing.

    Raises:
        RequestError: a type that is neither numbers nor text.
    """
    if isinstance(raw, list):
        return raw
    pandas = hasattr(raw, "isna")
    values: Any = raw if pandas else np.asarray(raw)
    kind = "O" if is_categorical(raw) else getattr(values.dtype, "kind", "O")
    if kind in "biuf":
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan) if pandas else values, dtype=np.float64)
    if kind not in "OUT":
        raise RequestError(
            f"column {shown(name)} has type {values.dtype}: convert it to numbers or text, or leave it out"
        )
    if not pandas:
        return list(values.tolist())
    gone = values.isna().to_numpy(dtype=bool)
    return [None if missing else cell for cell, missing in zip(values.tolist(), gone, strict=True)]


def words_of(cells: Sequence[Any], missing: Sequence[str] = (), present: Sequence[str] = ()) -> Words | None:
    """Return cells that are all text, or missing, by their distinct words; None if some are neither.

    Args:
        cells: as `plain_cells` gives them.
        missing: what counts as missing beside what does everywhere.
        present: what does not count as missing here; a column with `+` has `-` as well.
    """
    if not all(type(cell) is str or cell is None for cell in cells):
        return None
    import pandas as pd  # which takes longer to import than most tables to read

    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    codes, found = pd.factorize(array)
    gone = _missing_test(missing)
    stripped = [word.strip() for word in found]
    kept = {*present, *([DOUBTFUL] if PLUS in stripped else [])}
    place: dict[str, int] = {}
    new = [
        -1 if (word not in kept and is_missing(word)) or gone(word) else place.setdefault(word, len(place))
        for word in stripped
    ]
    return Words(np.asarray([*new, -1], dtype=np.int64)[codes], tuple(place))


def dates_of(name: str, raw: Raw, how: Reading) -> NDArray[np.datetime64]:
    """Return cells as dates, datetime64 [rows], NaT for missing; RequestError for text that is none in its format."""
    if is_datetime(raw):
        return as_dates(raw)
    assert how.date is not None
    cells = plain_cells(name, raw)
    words = words_of(cells, how.missing) if isinstance(cells, list) else None
    if words is None:
        raise RequestError(f"column {shown(how.column)} holds numbers: it must hold dates, as it did in training")
    form = how.date.format or next(iter(find_formats(words.words)), "%Y-%m-%d")  # of cells that were no text
    dates = parse_dates(words.words, form)
    if np.isnat(dates).any():
        word = int(np.argmax(np.isnat(dates)))
        raise RequestError(
            f"column {shown(how.column)} holds {shown(words.words[word])} in row {words.first_row(word)} (from 0): it "
            f"must be a date in the format {form}, or missing"
        )
    return words.spread(dates, np.datetime64("NaT"))


def is_datetime(raw: Raw) -> bool:
    """Return whether cells have a type for dates, of NumPy or pandas, or are dates of Python."""
    kind = getattr(getattr(raw, "dtype", None), "kind", "")
    if kind != "O":
        return kind == "M"
    first = next((cell for cell in raw if not is_missing(cell)), None)
    return isinstance(first, date)


def is_categorical(raw: Raw) -> bool:
    """Return whether cells are pandas' categories."""
    return type(getattr(raw, "dtype", None)).__name__ == "CategoricalDtype"


def finite(column: Column) -> Column:
    """Return the column if all its numbers are finite and can be squared; RequestError if not."""
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero(np.abs(column.values) > LARGEST)
    if len(bad):
        value, row = float(column.values[bad[0]]), int(bad[0])
        what = "an infinite value" if math.isinf(value) else f"the value {value:g}, too large to standardize,"
        raise RequestError(
            f"column {shown(column.name)} has {what} in row {row} (from 0): every value must be a finite number, or "
            "missing"
        )
    return column


def _missing_test(missing: Sequence[str]) -> Callable[[str], bool]:
    """Return whether a word is one of those that count as missing, or the same number as one of them."""
    words = {word.strip() for word in missing}
    values = {value for word in words if (value := parse_number(word)) is not None and not math.isnan(value)}
    if not words:
        return lambda word: False
    return lambda word: word in words or parse_number(word) in values


def _without(values: NDArray[np.float64], missing: Sequence[str]) -> NDArray[np.float64]:
    """Return numbers with NaN for those that count as missing."""
    codes = [value for word in missing if (value := parse_number(word)) is not None]
    return np.where(np.isin(values, codes), np.nan, values) if codes else values


def _categories(name: str, cells: Sequence[Any], how: Reading) -> NDArray[np.object_]:
    words = words_of(cells, how.missing, how.present)
    if words is not None:
        return words.spread(np.array(words.words, dtype=object), None)
    gone = _missing_test(how.missing)
    values = np.empty(len(cells), dtype=np.object_)
    for row, cell in enumerate(cells):
        word = category(name, cell)
        values[row] = None if word is not None and gone(word) else word
    return values


def _forced_numbers(name: str, cells: Sequence[Any], how: Reading) -> NDArray[np.float64]:
    """Return cells as numbers; RequestError for what is none, unless the reading lets it count as missing."""
    found = parse_numbers(cells) if how.number is None else None
    if found is not None:
        return _without(found, how.missing)
    gone = _missing_test(how.missing)
    found = np.empty(len(cells))
    known: dict[str, float | None] = {}
    for row, cell in enumerate(cells):
        text = cell.strip() if isinstance(cell, str) else None
        if text is None:
            value = parse_number(cell)
            value = parse_boolean(cell) if value is None else value
        elif text in known:
            value = known[text]
        else:
            value = known[text] = math.nan if is_missing(text) or gone(text) else _number(text, how)
        if value is None and how.lenient:
            value = math.nan
        if value is None:
            form = "a number" if how.number is None else f"a number with {how.number.describe()}"
            raise RequestError(
                f"column {shown(name)} holds {shown(cell)} in row {row} (from 0): it must be {form}, or missing"
            )
        found[row] = value
    return found


def _number(word: str, how: Reading) -> float | None:
    if how.number is not None:
        value = how.number.parse(word)
        plain = how.number.decimal == "." and not how.number.thousands and how.number.suffix not in ("%", "‰")
        return parse_number(word) if value is None and plain else value
    value = parse_number(word)
    return parse_boolean(word) if value is None else value

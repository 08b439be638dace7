"""A raw column: numbers or categories, with missing values marked, and how any cell becomes one or the other.

Cells come from CSV text, NumPy arrays and pandas series. Text is numeric if all its non-missing cells parse as
numbers; a column that holds nothing but true and false counts as the numbers 1 and 0; everything else is a category.
"""

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jaxsweep.errors import RequestError

Kind = Literal["number", "category"]
Raw: TypeAlias = Any  # the cells of one column: a list, a NumPy array [rows] or a pandas Series

# The spellings pandas also takes for missing, and the `?` of the UCI repository. A lower-case `none` or `na` is a word.
MISSING = frozenset(
    ["", "?", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "NAN", "-nan", "-NaN", "NULL", "null", "Null", "None"]
)
BOOLEANS = {"True": True, "true": True, "TRUE": True, "False": False, "false": False, "FALSE": False}
LARGEST = 1e150  # the square of anything larger overflows, so that it could not be standardized


@dataclass(frozen=True, eq=False)
class Column:
    """One raw input.

    `values` is float64 [rows] with NaN for missing where `kind` is number, and object [rows] of str with None for
    missing where it is category.
    """

    name: str
    kind: Kind
    values: NDArray[Any]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Return which rows have no value, bool [rows]."""
        if self.kind == "number":
            return np.asarray(np.isnan(self.values))
        return np.fromiter((value is None for value in self.values), dtype=np.bool_, count=len(self.values))

    def take(self, rows: NDArray[Any] | slice) -> "Column":
        """Return the column with only the given rows."""
        return Column(self.name, self.kind, self.values[rows])


def make_column(name: str, raw: Raw, kind: Kind | None = None) -> Column:
    """Return `raw` as a column of the given kind, or of the kind that its cells suggest.

    Raises:
        RequestError: cells that are neither numbers nor text (dates, lists), infinite or overflowing numbers, and,
            where `kind` is number, text.
    """
    cells = plain_cells(name, raw)
    if isinstance(cells, np.ndarray):
        if kind == "category":
            return Column(name, "category", _categories(name, cells.tolist()))
        return _finite(Column(name, "number", cells))
    if kind == "number":
        return _finite(Column(name, "number", _forced_numbers(name, cells)))
    if kind is None and not _is_categorical(raw):
        found = parse_numbers(cells)
        if found is not None:
            return _finite(Column(name, "number", found))
    return Column(name, "category", _categories(name, cells))


def plain_cells(name: str, raw: Raw) -> NDArray[np.float64] | list[Any]:
    """Return numeric cells as float64 [rows] with NaN for missing, all others as a list with None for missing.

    Raises:
        RequestError: a type that is neither numbers nor text, such as dates.
    """
    if isinstance(raw, list):
        return raw
    pandas = hasattr(raw, "isna")
    values: Any = raw if pandas else np.asarray(raw)
    kind = "O" if _is_categorical(raw) else getattr(values.dtype, "kind", "O")
    if kind in "biuf":
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan) if pandas else values, dtype=np.float64)
    if kind not in "OUT":
        raise RequestError(f"column {name!r} has type {values.dtype}: convert it to numbers or text, or leave it out")
    if not pandas:
        return list(values.tolist())
    gone = values.isna().to_numpy(dtype=bool)
    return [None if missing else cell for cell, missing in zip(values.tolist(), gone, strict=True)]


def is_missing(cell: Any) -> bool:
    """Return whether a single cell is missing."""
    if isinstance(cell, str):
        return cell.strip() in MISSING
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    return type(cell).__name__ in ("NAType", "NaTType")  # pandas.NA and NaT, which equal nothing


def parse_number(cell: Any) -> float | None:
    """Return a cell as a number, NaN if it is missing, None if it is neither (true and false are neither)."""
    if is_missing(cell):
        return math.nan
    if isinstance(cell, (bool, np.bool_)) or not isinstance(cell, (str, numbers.Real, numbers.Number)):
        return None
    if isinstance(cell, str) and "_" in cell:
        return None  # float() would read 1_000
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    except OverflowError:  # an integer of more than 308 digits
        return math.inf


def parse_boolean(cell: Any) -> bool | None:
    """Return a cell as true or false, None if it is neither."""
    if isinstance(cell, (bool, np.bool_)):
        return bool(cell)
    return BOOLEANS.get(cell.strip()) if isinstance(cell, str) else None


def parse_numbers(cells: Sequence[Any]) -> NDArray[np.float64] | None:
    """Return the cells as float64 [rows] with NaN for missing, or None if some are not numbers.

    A column of nothing but true and false (and missing) gives 1 and 0.
    """
    if not any(type(cell) is not str or "_" in cell for cell in cells):
        try:
            return np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))  # the common case, fast
        except ValueError:
            pass  # text, or numbers with missing cells among them
    for parse in (parse_number, parse_boolean):
        found = np.empty(len(cells))
        for row, cell in enumerate(cells):
            value = math.nan if is_missing(cell) else parse(cell)
            if value is None:
                break
            found[row] = value
        else:
            return found
    return None


def category(name: str, cell: Any) -> str | None:
    """Return a cell as the word of a category, None if it is missing. The number 1.0 is the word 1.

    Raises:
        RequestError: the cell is neither text nor a number.
    """
    if is_missing(cell):
        return None
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, (bool, np.bool_)):
        return str(bool(cell))
    if isinstance(cell, numbers.Real):
        value = float(cell)
        # A column of integers turns into floats when a value is missing; its categories must stay the same words.
        return str(int(value)) if value.is_integer() else repr(value)
    raise RequestError(
        f"column {name!r} holds a {type(cell).__name__}, {cell!r}: convert it to numbers or text, or leave it out"
    )


def _categories(name: str, cells: Sequence[Any]) -> NDArray[np.object_]:
    values = np.empty(len(cells), dtype=np.object_)
    known: dict[Any, str | None] = {}  # few distinct words repeat often
    for row, cell in enumerate(cells):
        if type(cell) is str:
            word = known.get(cell, cell)
            if word is cell:
                word = known[cell] = category(name, cell)
            values[row] = word
        else:
            values[row] = category(name, cell)
    return values


def _forced_numbers(name: str, cells: Sequence[Any]) -> NDArray[np.float64]:
    found = parse_numbers(cells)
    if found is not None:
        return found
    found = np.empty(len(cells))
    for row, cell in enumerate(cells):
        value = parse_number(cell)
        if value is None:
            value = parse_boolean(cell)
        if value is None:
            raise RequestError(f"column {name!r} holds {cell!r} in row {row} (from 0): it must be a number, or missing")
        found[row] = value
    return found


def _finite(column: Column) -> Column:
    """Return the column if all its numbers are finite and can be squared."""
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero(np.abs(column.values) > LARGEST)
    if len(bad):
        value, row = float(column.values[bad[0]]), int(bad[0])
        what = "an infinite value" if math.isinf(value) else f"the value {value:g}, too large to standardize,"
        raise RequestError(
            f"column {column.name!r} has {what} in row {row} (from 0): every value must be a finite number, or missing"
        )
    return column


def _is_categorical(raw: Raw) -> bool:
    return type(getattr(raw, "dtype", None)).__name__ == "CategoricalDtype"

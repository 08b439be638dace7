"""Single cells: what counts as missing, as a number, as true and false, and which word any other cell is."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.errors import RequestError, shown

# The spellings that pandas takes for missing, the `?` of the UCI repository, `.` of SAS, `\N` of databases, the errors
# of spreadsheets. A lower-case `none` is a word, and so is `-` beside a `+` (see `DOUBTFUL`).
MISSING = frozenset(
    ["", "?", "NA", "na", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "NAN", "-nan", "-NaN", "NULL", "null", "Null",
     "None", "-", ".", "#NULL!", "#DIV/0!", r"\N", "NIL"]
)  # fmt: skip
DOUBTFUL, PLUS = "-", "+"  # the first is missing, unless the column has the second as well
BOOLEANS = {"True": True, "true": True, "TRUE": True, "False": False, "false": False, "FALSE": False}


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
        try:
            value = float(cell)
        except OverflowError:
            raise RequestError(
                f"column {shown(name)} holds the integer {shown(cell)}, which is no number to reckon with: "
                "write it as text, or leave the column out"
            ) from None
        # A column of integers turns into floats when a value is missing; its categories must stay the same words.
        return str(int(value)) if value.is_integer() else repr(value)
    raise RequestError(
        f"column {shown(name)} holds a {type(cell).__name__}, {shown(cell)}: convert it to numbers or text, or leave "
        "it out"
    )

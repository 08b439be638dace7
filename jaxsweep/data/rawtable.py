"""Raw cells by column: what files, arrays and frames have in common before anything is known about their kinds."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.columns import Raw
from jaxsweep.errors import RequestError, shown, suggestion


@dataclass(frozen=True, eq=False)
class Table:
    """Raw cells by column, before anything is known about their kinds.

    Attributes:
        names: the columns' names.
        cells: one entry a column, each [rows].
        rows: the number of rows.
        named: False if all names are only numbers.
        what: what errors call the table.
        nameless: the numbers of the columns that a header leaves without a name.
        again: names that the columns have got since theirs stood before in the header, with the ones that they were.
        delimiter: what separates cells, in a CSV file.
        notes: what the owner of the table should know of how it was read.
    """

    names: tuple[str, ...]
    cells: tuple[Raw, ...]
    rows: int
    named: bool = True
    what: str = "X"
    nameless: tuple[int, ...] = ()
    again: Mapping[str, str] = field(default_factory=dict)
    delimiter: str | None = None
    notes: tuple[str, ...] = ()

    def find(self, column: str | int, file: str, what: str) -> int:
        """Return the number of a column given by name or number; a name goes before a number.

        Raises:
            RequestError: there is none, in words that call the table `file` and the column `what`.
        """
        name = str(column)
        if name in self.names:
            return self.names.index(name)
        number = number_of(name)
        if number is not None and number < len(self.names):
            return number
        found = self._in_first_row(name)
        if found is not None:
            raise RequestError(
                f"{what} {shown(name)} is not among the columns of {file}, which was read without a header, but it "
                "stands "
                f"in the first row (cell {found}): --set header=true (in Python header=True) makes names of that row"
            )
        if number is not None:
            raise RequestError(
                f"{what} {name} is not in {file}, whose columns have the numbers 0 to {len(self.names) - 1}"
            )
        hint = (
            "" if self.named else ", which was read without a header (--set header=true makes names of its first row)"
        )
        raise RequestError(f"{what} {shown(name)} is not in {file}{hint}{suggestion(name, _shown(self.names))}")

    def take(self, rows: NDArray[np.int64]) -> "Table":
        """Return the table with only the given rows."""
        cells = tuple(
            [column[row] for row in rows] if isinstance(column, list) else column.iloc[rows] if hasattr(column, "iloc")
            else column[rows] for column in self.cells
        )  # fmt: skip
        return replace(self, cells=cells, rows=len(rows))

    def only(self, name: str) -> "Table":
        """Return the table with only the column of this name."""
        return replace(self, names=(name,), cells=(self.cells[self.names.index(name)],), nameless=())

    def _in_first_row(self, name: str) -> int | None:
        if self.named or not self.rows:
            return None
        return next((number for number, cells in enumerate(self.cells) if _same(cells[0], name)), None)


def table_of(X: Any, what: str, feature_names: Sequence[str] | None = None) -> Table:
    """Return a frame, an array [rows, features] or images [rows, height, width] as a table."""
    if hasattr(X, "iloc"):  # a pandas frame
        if getattr(X, "ndim", 2) != 2:
            raise RequestError(f"{what} is a pandas series: it must be a frame with one column a feature")
        names = tuple(str(name) for name in X.columns)
        cells: tuple[Raw, ...] = tuple(X.iloc[:, number] for number in range(X.shape[1]))
        table = Table(names, cells, len(X), what=what)
    else:
        values = as_array(X, what)
        if values.ndim == 3:
            values = values.reshape(len(values), -1)
        if values.ndim != 2:
            raise RequestError(f"{what} has shape {values.shape}: it must be [rows, features]")
        names = tuple(str(number) for number in range(values.shape[1]))
        table = Table(names, tuple(values.T), len(values), named=False, what=what)
    if feature_names is None:
        return table
    if isinstance(feature_names, (str, bytes)) or not hasattr(feature_names, "__len__"):
        raise RequestError(
            f"feature_names = {shown(feature_names)} is not legal: it must be a list with one name for each column"
        )
    if len(feature_names) != len(table.names):
        raise RequestError(
            f"feature_names has {len(feature_names)} names for the {len(table.names)} columns of {what}: "
            "there must be one for each column"
        )
    return replace(table, names=tuple(str(name) for name in feature_names), named=True)


def check_names(names: Sequence[str], what: str, among: Collection[str] | None = None) -> None:
    """Raise RequestError if a column name, or if given one of those in `among`, occurs twice."""
    watched = None if among is None else set(among)
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        if name in seen and (watched is None or name in watched):
            raise RequestError(
                f"column name {shown(name)} occurs twice in {what} (columns {seen[name]} and {number}): "
                "every column needs a name of its own"
            )
        seen[name] = number


def number_of(column: str | int) -> int | None:
    """Return the number that a column is given by; None if it can only be a name."""
    text = str(column)
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 20 else None


def numbered_twice(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return names of which those that occur again have a number behind them, as pandas has it.

    The second value has the new names, with the ones that they were.
    """
    given, found = set(names), []
    seen: Counter[str] = Counter()
    again: dict[str, str] = {}
    for name in names:
        new = name
        while seen[name] and (new == name or new in given):
            new = f"{name}.{seen[name]}"
            seen[name] += new in given
        seen[name] += 1
        given.add(new)
        found.append(new)
        if new != name:
            again[new] = name
    return found, again


def as_array(values: Any, what: str) -> NDArray[Any]:
    """Return nested lists or an array as an array, or raise RequestError if the lists are ragged."""
    try:
        return np.asarray(values)
    except ValueError:
        raise RequestError(f"{what} is ragged: all its rows must be equally long") from None


def check_index(X: Any, y: Any, x_name: str, y_name: str) -> None:
    """Raise RequestError if a frame and the series beside it, of equally many rows, have indices that contradict.

    Rows belong together by position. An index that only counts them says nothing against that, unless the other one
    has the same labels in another order.
    """
    if not (hasattr(X, "iloc") and hasattr(y, "iloc")) or X.index.equals(y.index):
        return
    labels, others = X.index.tolist(), y.index.tolist()
    row = next((row for row, (ours, theirs) in enumerate(zip(labels, others, strict=True)) if ours != theirs), None)
    if row is None:
        return
    if Counter(labels) == Counter(others):
        by_label = f"{y_name}.loc[{x_name}.index] to go by label, or " if X.index.is_unique else ""
        raise RequestError(
            f"the index of {y_name} has the labels of that of {x_name} in another order: "
            f"give {by_label}{y_name}.to_numpy() to go by position"
        )
    if not _only_counts(X.index) and not _only_counts(y.index):
        theirs, ours = others[row], labels[row]
        raise RequestError(
            f"the index of {y_name} is not that of {x_name} (in row {row}, from 0, {shown(theirs)} beside "
            f"{shown(ours)}): give rows with the same labels, or {y_name}.to_numpy() to go by position"
        )


def _only_counts(index: Any) -> bool:
    """Return whether the labels of a pandas index are 0, 1, 2, ..."""
    return getattr(index.dtype, "kind", "O") in "iu" and bool((index.to_numpy() == np.arange(len(index))).all())


def _same(cell: Any, name: str) -> bool:
    if isinstance(cell, str) or cell is None:
        return cell is not None and cell.strip() == name
    try:
        return float(cell) == float(name)
    except (ValueError, OverflowError):
        return False


def _shown(names: Sequence[str]) -> Sequence[str]:
    return names if len(names) <= 50 else [*names[:50], "..."]

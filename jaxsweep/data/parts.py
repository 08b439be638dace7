"""Rows that are set aside, and new rows: the same columns as the first table's, and a target with the same classes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.cells import is_missing
from jaxsweep.data.columns import Column, make_column
from jaxsweep.data.labels import Target, check_target, encode_target, infer_task, is_absent
from jaxsweep.data.options import TableOptions
from jaxsweep.data.rawtable import Table
from jaxsweep.errors import RequestError, shown, suggestion


@dataclass(frozen=True, eq=False)
class Part:
    """Rows that the user set aside for validation or testing: the same columns, and their target."""

    inputs: tuple[Column, ...]
    target: NDArray[Any]
    weights: NDArray[np.float64] | None = None  # [rows]; None: every row counts 1

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(self.target)


def raw_names(columns: Sequence[Column]) -> list[str]:
    """Return the names of the raw columns that these are read from, each once: a date gives several numbers."""
    return list(dict.fromkeys(column.reading.column if column.reading else column.name for column in columns))


def text_columns(columns: Sequence[Column]) -> set[str]:
    """Return the names of the raw columns whose cells must be read as they are written."""
    return {
        column.reading.column if column.reading else column.name
        for column in columns
        if column.kind == "category" or (column.reading is not None and not column.reading.plain)
    }


def read_alike(first: Sequence[Column], table: Table, what: str) -> tuple[Column, ...]:
    """Return the columns of another table that the first ones are read from, in their order and read as they are.

    Args:
        first: the columns that were found out.
        table: other rows; its columns are found by name, or by place if it has no names and only the columns needed.
        what: what errors call it.

    Raises:
        RequestError: a column is missing, or its cells cannot be read likewise.
    """
    names = raw_names(first)
    by_place = not table.named and len(table.names) == len(names)
    place = {name: number for number, name in enumerate(names if by_place else table.names)}
    columns = []
    for column in first:
        raw = column.reading.column if column.reading else column.name
        if raw not in place:
            raise RequestError(f"{what} has no column {shown(raw)}{suggestion(raw, place)}")
        try:
            columns.append(make_column(column.name, table.cells[place[raw]], column.kind, column.reading))
        except RequestError as error:
            raise RequestError(f"{what}: {error}") from None
    return tuple(columns)


def encode_parts(
    targets: Sequence[list[Any]], target_name: str, whats: Sequence[str], task: str | None
) -> list[Target]:
    """Encode the targets of all parts with one set of classes, all of which the first part must know.

    Args:
        targets: each part's cells, the first those that are trained on.
        target_name: what errors call the target of the first part.
        whats: what errors call the targets of the others.
        task: classification or regression; None: what the first part asks for.

    Raises:
        RequestError: a target that does not fit the task, or a class that the first part has not.
    """
    for what, cells in zip(whats[1:], targets[1:], strict=True):
        check_target(cells, what)
    check_target(targets[0], target_name)
    whole = encode_target([cell for cells in targets for cell in cells], target_name, task or infer_task(targets[0]))
    result, start = [], 0
    for cells in targets:
        result.append(Target(whole.task, whole.values[start : start + len(cells)], whole.classes))
        start += len(cells)
    if whole.classes is not None:
        known = set(result[0].values.tolist())
        for what, part in zip(whats[1:], result[1:], strict=True):
            unknown = sorted(set(part.values.tolist()) - known)
            if unknown:
                raise RequestError(
                    f"{what} has the class {shown(whole.classes[unknown[0]])}, which {whats[0]} has not: "
                    "every class needs rows to train on"
                )
    return result


def with_target(
    table: Table, cells: list[Any], options: TableOptions, task: str | None
) -> tuple[Table, list[Any], NDArray[np.int64], list[str]]:
    """Return the rows that the options leave of a table and its target, their numbers, and what is said of the others.

    Raises:
        RequestError: no rows are left.
    """
    gone = np.array([is_absent(cell) for cell in cells], dtype=bool)
    if gone.any() and options.missing_target != "drop":
        return table, cells, np.arange(len(cells)), []  # refused soon, in words of its own
    rows = np.flatnonzero(~gone)
    lost = int(gone.sum())
    notes = [f"{lost:,} row{'s' * (lost != 1)} without a target left out"] if lost else []
    present = [cells[row] for row in rows]
    if options.min_class_rows > 1 and present and (task or infer_task(present)) == "classification":
        counts = Counter(present)
        rows = np.array([row for row in rows if counts[cells[row]] >= options.min_class_rows], dtype=np.int64)
        rare = sorted(str(label) for label, count in counts.items() if count < options.min_class_rows)
        if rare:
            shown = ", ".join(rare[:5]) + ", ..." * (len(rare) > 5)
            gone_rows = len(present) - len(rows)
            notes.append(f"{gone_rows:,} rows of classes with fewer than {options.min_class_rows} left out: {shown}")
    if not len(rows):
        raise RequestError("no rows are left: every row needs a target, of a class with at least min_class_rows rows")
    if len(rows) == len(cells):
        return table, cells, rows, notes
    return table.take(rows), [cells[row] for row in rows], rows, notes


def group_codes(labels: Any, rows: int, what: str) -> NDArray[np.int64]:
    """Return which rows belong together, int64 [rows]: those with the same label.

    Raises:
        RequestError: another number of labels than rows, or a row without a label.
    """
    if isinstance(labels, (str, bytes)) or not hasattr(labels, "__len__"):
        raise RequestError(f"groups = {shown(labels)} is not legal: it must have one label for each row")
    found = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    if len(found) != rows:
        raise RequestError(f"groups has {len(found)} labels but {what} has {rows} rows: they must be equal")
    lost = [row for row, label in enumerate(found) if is_missing(label)]
    if lost:
        raise RequestError(
            f"groups of {what} has {len(lost):,} missing value{'s' * (len(lost) != 1)}, the first in row {lost[0]} "
            "(from 0): every row needs a group; one that belongs to no other needs a label of its own"
        )
    place: dict[str, int] = {}
    return np.array([place.setdefault(str(label), len(place)) for label in found], dtype=np.int64)

"""The target column: which task it asks for, and its values as class codes or numbers."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.columns import LARGEST, Raw, is_missing, parse_boolean, parse_number
from jaxsweep.errors import RequestError

Task = Literal["classification", "regression"]
TASKS: tuple[Task, ...] = get_args(Task)
Label = str | int | float | bool

MOST_INTEGER_CLASSES = 20
_INTEGER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, eq=False)
class Target:
    """An encoded target: int64 class codes [rows] with the sorted labels in `classes`, or float64 [rows] with None."""

    task: Task
    values: NDArray[Any]
    classes: tuple[Label, ...] | None


def encode_target(cells: Sequence[Any], name: str, task: str | None = None) -> Target:
    """Return the target encoded for `task`, which is inferred if None.

    Text, booleans and up to 20 distinct integers are classes; all other numbers are a regression target. What is an
    integer is decided by the type, not by the value: 1.0 is none.

    Raises:
        RequestError: missing or infinite values, a single value, text where the task is regression.
    """
    if task is not None and task not in TASKS:
        raise RequestError(f"task = {task!r} is not known: it must be classification or regression")
    check_target(cells, name)
    kinds = {type(cell) for cell in cells}
    if task is None:
        task = infer_task(cells)
    target = _classes(cells, kinds) if task == "classification" else _regression(cells, name)
    distinct = len(target.classes) if target.classes is not None else len(np.unique(target.values))
    if distinct < 2:
        what = "class" if task == "classification" else "value"
        raise RequestError(f"target {name!r} has only one {what}, {cells[0]!r}: at least two are needed")
    return target


def target_cells(name: str, raw: Raw) -> list[Any]:
    """Return a target from an array, a list or a series as plain Python values, None for missing. Text stays text."""
    if hasattr(raw, "isna"):
        gone = raw.isna().to_numpy(dtype=bool)
        values: list[Any] = [None if missing else cell for cell, missing in zip(raw.tolist(), gone, strict=True)]
    else:
        values = np.asarray(raw, dtype=object).tolist() if isinstance(raw, (list, tuple)) else np.asarray(raw).tolist()
    for row, cell in enumerate(values):
        if isinstance(cell, np.generic):
            values[row] = cell = cell.item()
        if isinstance(cell, str):
            values[row] = cell.strip()
        elif not is_missing(cell) and not isinstance(cell, (bool, int, float)):
            number = parse_number(cell)  # a Decimal or a Fraction
            if number is None:
                raise RequestError(
                    f"target {name!r} holds a {type(cell).__name__}, {cell!r}: it must be numbers, text or booleans"
                )
            values[row] = number
    return values


def typed_cells(cells: Sequence[str]) -> list[Any]:
    """Return the cells of a CSV target as integers, numbers, booleans or else text: the first that fits them all."""
    stripped = [cell.strip() for cell in cells]
    present = [cell for cell in stripped if not is_missing(cell)]
    distinct = dict.fromkeys(present)
    typed: dict[str, Any] = {}
    if all(_INTEGER.fullmatch(cell) for cell in distinct):
        typed = {cell: int(cell) for cell in distinct}
    elif all(parse_number(cell) is not None for cell in distinct):
        typed = {cell: parse_number(cell) for cell in distinct}
    elif all(parse_boolean(cell) is not None for cell in distinct):
        typed = {cell: parse_boolean(cell) for cell in distinct}
    return [None if is_missing(cell) else typed.get(cell, cell) for cell in stripped]


def check_target(cells: Sequence[Any], name: str) -> None:
    """Raise RequestError if a target has missing or infinite values."""
    gone = [row for row, cell in enumerate(cells) if is_missing(cell)]
    if gone:
        count = f"{len(gone)} missing value{'s' * (len(gone) > 1)}"
        raise RequestError(
            f"target {name!r} has {count}, the first in row {gone[0]} (from 0): every row needs a target, "
            "so leave such rows out"
        )
    for row, cell in enumerate(cells):
        if isinstance(cell, (int, float)) and abs(cell) > LARGEST:
            raise RequestError(
                f"target {name!r} has the value {str(cell)[:20]} in row {row} (from 0): "
                "every value must be a finite number, no larger than 1e150"
            )


def infer_task(cells: Sequence[Any]) -> Task:
    """Return the task that a target without missing values asks for."""
    kinds = {type(cell) for cell in cells}
    if kinds <= {int}:
        return "classification" if len(set(cells)) <= MOST_INTEGER_CLASSES else "regression"
    return "regression" if kinds <= {int, float} else "classification"


def _classes(cells: Sequence[Any], kinds: set[type]) -> Target:
    if kinds <= {int, float} and all(math.floor(cell) == cell for cell in cells):
        cells = [int(cell) for cell in cells]  # whole numbers stored as floats
    elif len(kinds) > 1:
        cells = [str(cell) for cell in cells]  # a mixture has no order
    classes = tuple(sorted(set(cells)))
    code = {label: number for number, label in enumerate(classes)}
    return Target("classification", np.fromiter((code[cell] for cell in cells), np.int64, len(cells)), classes)


def _regression(cells: Sequence[Any], name: str) -> Target:
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        number = float(cell) if isinstance(cell, bool) else parse_number(cell)
        if number is None:
            raise RequestError(
                f"target {name!r} holds {cell!r} in row {row} (from 0), which task = 'regression' cannot use: "
                "it must be a number; or use task = 'classification'"
            )
        values[row] = number
    return Target("regression", values, None)

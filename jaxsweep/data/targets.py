"""Several numeric targets of one table: which they are, their cells by column, and their values side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.labels import Target, describe_task, is_absent, target_cells
from jaxsweep.data.options import TableOptions
from jaxsweep.data.parts import encode_parts, with_target
from jaxsweep.data.rawtable import Table, as_array
from jaxsweep.errors import RequestError, shown

MOST = 1000  # more are an image, or a table taken for its target


def target_numbers(table: Table, target: Any, file: str) -> list[int]:
    """Return the numbers of the target columns of a table.

    Args:
        table: the table.
        target: a name or a number, a list of them, or several names apart by commas (unless that is a column's name).
        file: what errors call the table.

    Raises:
        RequestError: a column that there is not, or twice the same.
    """
    named = target_list(target)
    whole = str(target) if isinstance(target, str) else None
    columns = [whole] if whole is not None and whole in table.names else named
    found = [table.find(column, file, "target column") for column in columns]
    for place, number in enumerate(found):
        if number in found[:place]:
            raise RequestError(
                f"target names the column {shown(table.names[number])} twice: every target must be another"
            )
    return found


def target_list(target: Any) -> list[str | int]:
    """Return the targets that are named, by names or numbers: `a,b` names two of them.

    Raises:
        RequestError: an empty list, or something in it that is neither a name nor a number.
    """
    if isinstance(target, str):
        words = [word.strip() for word in target.split(",")]
        return list(words) if len(words) > 1 and all(words) else [target]
    named = list(target) if isinstance(target, (list, tuple)) else [target]
    if not named or any(isinstance(name, bool) or not isinstance(name, (str, int, np.integer)) for name in named):
        raise RequestError(
            f"target = {shown(target)} is not legal: it must be a column's name, its number from 0, or a list of them"
        )
    return [name if isinstance(name, (str, int)) else int(name) for name in named]


def target_columns(y: Any, what: str, task: str | None) -> dict[str, Any] | None:
    """Return the columns of several targets [rows, targets] by name; None if y is one target, [rows] or [rows, 1].

    A frame names its columns, those of an array are 0, 1, ...

    Raises:
        RequestError: one-hot classes, several targets for classification, another number of dimensions.
    """
    if hasattr(y, "iloc"):
        names = [str(name) for name in y.columns] if getattr(y, "ndim", 1) == 2 else []
        columns, values = [y.iloc[:, number] for number in range(len(names))], y.to_numpy() if names else None
    else:
        values = as_array(y, what)
        names = [str(number) for number in range(values.shape[1])] if values.ndim == 2 else []
        columns = list(values.T) if names else []
    if len(names) < 2:
        return None
    if len(names) > MOST:
        raise RequestError(f"{what} has {len(names)} targets: it must be [rows], or [rows, targets] with up to {MOST}")
    assert values is not None
    if (
        values.dtype.kind in "biuf"
        and len(values)
        and np.isin(values, (0, 1)).all()
        and (values.sum(axis=1) == 1).all()
    ):
        codes = f"{what}.to_numpy().argmax(axis=1)" if hasattr(y, "iloc") else f"{what}.argmax(axis=1)"
        raise RequestError(f"{what} holds one-hot classes, {len(names)} of them: give the class of each row, {codes}")
    if task == "classification":
        raise RequestError(f"{what} has {len(names)} targets: task = 'classification' takes one, [rows]")
    if len(set(names)) < len(names):
        raise RequestError(f"{what} has two columns of one name: every target needs a name of its own")
    return dict(zip(names, columns, strict=True))


def cells_of(columns: dict[str, Any]) -> list[list[Any]]:
    """Return the cells of each target, [targets][rows], as `target_cells` does."""
    return [target_cells(name, values) for name, values in columns.items()]


def with_targets(
    table: Table, cells: Sequence[list[Any]], options: TableOptions
) -> tuple[Table, list[list[Any]], NDArray[np.int64], list[str]]:
    """Return what `with_target` does of several targets [targets][rows]: a row without one of them has none."""
    together = [None if any(map(is_absent, row)) else 0.0 for row in zip(*cells, strict=True)]
    table, _, rows, notes = with_target(table, together, options, "regression")
    return table, [[column[row] for row in rows] for column in cells], rows, notes


def encoded(
    parts: Sequence[Sequence[list[Any]]], names: Sequence[str], name: str, whats: Sequence[str], task: str | None
) -> list[Target]:
    """Return the target of each part, or its targets side by side, float64 [rows, targets].

    Args:
        parts: for each part its cells, [targets][rows]; the first one is trained on.
        names: of several targets; () for one.
        name: what errors call one target of the first part.
        whats: what errors call the targets of the parts.
        task: classification or regression; None: what the first part asks for.

    Raises:
        RequestError: as `encode_parts`.
    """
    if not names:
        return encode_parts([cells[0] for cells in parts], name, whats, task)
    found: list[list[Target]] = []
    for number, each in enumerate(names):
        called = [each, *(f"{each} of {what}" for what in whats[1:])]
        found.append(encode_parts([cells[number] for cells in parts], each, called, "regression"))
    values = [np.stack([target[part].values for target in found], axis=1) for part in range(len(parts))]
    return [Target("regression", each, None) for each in values]


def described(target: Target, names: Sequence[str], name: str, task: str | None) -> str:
    """Return which task a target, or which targets, are trained for; `task` is what was asked for."""
    if not names:
        return describe_task(target, name, given=task is not None)
    return f"targets {', '.join(map(repr, names))} are taken as numbers (regression)"

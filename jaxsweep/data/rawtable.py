"""Raw cells by column: what files, arrays and frames have in common before anything is known about their kinds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.columns import Raw
from jaxsweep.errors import RequestError


@dataclass(frozen=True, eq=False)
class Table:
    """Raw cells by column, before anything is known about their kinds. `named` is False if names are only numbers."""

    names: tuple[str, ...]
    cells: tuple[Raw, ...]
    rows: int
    named: bool = True


def table_of(X: Any, what: str, feature_names: Sequence[str] | None = None) -> Table:
    """Return a frame, an array [rows, features] or images [rows, height, width] as a table."""
    if hasattr(X, "iloc"):  # a pandas frame
        if getattr(X, "ndim", 2) != 2:
            raise RequestError(f"{what} is a pandas series: it must be a frame with one column a feature")
        names = tuple(str(name) for name in X.columns)
        cells: tuple[Raw, ...] = tuple(X.iloc[:, number] for number in range(X.shape[1]))
        table = Table(names, cells, len(X))
    else:
        values = as_array(X, what)
        if values.ndim == 3:
            values = values.reshape(len(values), -1)
        if values.ndim != 2:
            raise RequestError(f"{what} has shape {values.shape}: it must be [rows, features]")
        names = tuple(str(number) for number in range(values.shape[1]))
        table = Table(names, tuple(values.T), len(values), named=False)
    if feature_names is None:
        return table
    if len(feature_names) != len(table.names):
        raise RequestError(
            f"feature_names has {len(feature_names)} names for the {len(table.names)} columns of {what}: "
            "there must be one for each column"
        )
    return Table(tuple(str(name) for name in feature_names), table.cells, table.rows)


def check_names(names: Sequence[str], what: str) -> None:
    """Raise RequestError if a column name occurs twice."""
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        if name in seen:
            raise RequestError(
                f"column name {name!r} occurs twice in {what} (columns {seen[name]} and {number}): "
                "every column needs a name of its own"
            )
        seen[name] = number


def as_array(values: Any, what: str) -> NDArray[Any]:
    """Return nested lists or an array as an array, or raise RequestError if the lists are ragged."""
    try:
        return np.asarray(values)
    except ValueError:
        raise RequestError(f"{what} is ragged: all its rows must be equally long") from None

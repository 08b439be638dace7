"""CSV and Parquet files as datasets."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jaxsweep.data.columns import make_column
from jaxsweep.data.csvfile import read_csv
from jaxsweep.data.dataset import Dataset
from jaxsweep.data.labels import encode_target, target_cells, typed_cells
from jaxsweep.data.rawtable import Table, check_names, table_of
from jaxsweep.errors import RequestError, meant, nearest, suggestion


def read_table(
    path: str | Path,
    target: str | int,
    task: str | None = None,
    header: bool | None = None,
    drop: str | int | Iterable[str | int] | None = None,
) -> Dataset:
    """Return a CSV or Parquet file as a dataset.

    Args:
        path: a file; `.parquet` and `.pq` are Parquet, everything else is CSV (comma, semicolon or tab).
        target: the target column: its name, or its number from 0. A name goes before a number.
        task: classification or regression. If None, text, booleans and up to 20 distinct integers are classes.
        header: whether the first row of a CSV file holds the names; found out if None. Without a header the columns
            are named by their numbers from 0.
        drop: columns to leave out, by name or number.

    Raises:
        RequestError: the file cannot be read or is no table, or the target or an input cannot be used.
    """
    table, name = read_raw(path, header), Path(path).name
    goal = _find(table, target, name, "target column")
    dropped = [drop] if isinstance(drop, (str, int)) else list(drop or ())
    gone = {_find(table, column, name, "drop: column") for column in dropped}
    if goal in gone:
        raise RequestError(f"drop names the target column {table.names[goal]!r}: it must name input columns only")
    keep = [number for number in range(len(table.names)) if number != goal and number not in gone]
    if not keep:
        raise RequestError(
            f"{name} has no input columns left besides its target {table.names[goal]!r}: at least one is needed"
        )
    cells = table.cells[goal]
    typed = typed_cells(cells) if isinstance(cells, list) else target_cells(table.names[goal], cells)
    encoded = encode_target(typed, table.names[goal], task)
    inputs = tuple(make_column(table.names[number], table.cells[number]) for number in keep)
    origin = {"path": str(Path(path).resolve()), "target": target, "task": task, "header": header}
    return Dataset(
        Path(path).stem, encoded.task, inputs, encoded.values, encoded.classes, table.names[goal],
        origin={**origin, "drop": tuple(dropped)}, named=table.named,
    )  # fmt: skip


def read_raw(path: str | Path, header: bool | None = None) -> Table:
    """Return a CSV or Parquet file as raw cells, such as `Preprocessor.transform_table` takes for prediction.

    Raises:
        RequestError: the file cannot be read, is no table, or has zero rows.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise RequestError(f"path = {path!r} is not legal: it must be the path of a CSV or Parquet file")
    file = Path(path)
    try:
        if file.is_dir():
            raise RequestError(f"{file} is a directory: it must be a CSV or Parquet file")
        if not file.exists():
            raise RequestError(f"{file} does not exist: it must be a CSV or Parquet file{_nearby(file)}")
        return _read_parquet(file) if file.suffix.lower() in (".parquet", ".pq") else read_csv(file, header)
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({error.strerror or error}): it must be a readable file") from error


def _read_parquet(file: Path) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise RequestError(
            f"{file.name} needs pyarrow to be read: install it with pip install 'jaxsweep[parquet]'"
        ) from None
    try:
        arrow: Any = pyarrow.parquet.read_table(file)
        frame = arrow.to_pandas()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RequestError(f"{file} cannot be read as Parquet ({reason}): it must be a Parquet file") from error
    if not len(frame):
        raise RequestError(f"{file} has zero rows: it must have at least one")
    table = table_of(frame, file.name)
    check_names(table.names, file.name)
    return table


def _find(table: Table, column: str | int, file: str, what: str) -> int:
    """Return the number of a column given by name or number."""
    name = str(column)
    if name in table.names:
        return table.names.index(name)
    if name.isdecimal():
        if int(name) < len(table.names):
            return int(name)
        raise RequestError(
            f"{what} {name} is not in {file}, whose columns have the numbers 0 to {len(table.names) - 1}"
        )
    raise RequestError(f"{what} {name!r} is not in {file}{suggestion(name, _shown(table.names))}")


def _shown(names: Sequence[str]) -> Sequence[str]:
    return names if len(names) <= 50 else [*names[:50], "..."]


def _nearby(file: Path) -> str:
    if not file.parent.is_dir():
        return ""
    return meant(nearest(file.name, [other.name for other in file.parent.iterdir()]))

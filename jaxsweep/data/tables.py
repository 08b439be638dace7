"""CSV and Parquet files as datasets."""

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.cells import parse_number
from jaxsweep.data.columns import Column, Reading, make_column
from jaxsweep.data.csvfile import read_csv
from jaxsweep.data.dataset import Dataset
from jaxsweep.data.labels import check_task, is_absent, target_cells, typed_cells
from jaxsweep.data.options import TableOptions, table_options
from jaxsweep.data.parts import Part, group_codes, read_alike, text_columns, with_target
from jaxsweep.data.rawtable import Table, check_names, table_of
from jaxsweep.data.reading import declared_number, read_inputs
from jaxsweep.data.targets import described, encoded, target_list, target_numbers, with_targets
from jaxsweep.data.textfile import is_parquet
from jaxsweep.data.weights import row_weights
from jaxsweep.errors import RequestError, meant, nearest, shown


def read_table(
    path: str | Path,
    target: str | int | Sequence[str | int],
    task: str | None = None,
    header: bool | None = None,
    drop: str | int | Iterable[str | int] | None = None,
    *,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    group: str | int | None = None,
    weight: str | int | None = None,
    **options: Any,
) -> Dataset:
    """Return a CSV or Parquet file as a dataset; `Dataset.notes` says how its columns were read.

    Args:
        path: a file: Parquet, or CSV, which may be packed as .gz, .bz2, .xz or .zip. Cells are separated by comma,
            semicolon, tab, `|` or white space; lines that begin with `#` are skipped.
        target: the target column: its name, or its number from 0. A name goes before a number. Several numeric targets
            are a list, or names apart by commas.
        task: classification or regression. If None, text, booleans and up to 20 distinct whole numbers are classes.
        header: whether the first row of a CSV file holds the names; found out if None. Without a header the columns
            are named by their numbers from 0.
        drop: columns to leave out, by name or number.
        validation: another such file, whose rows validate.
        test: another such file, whose rows test.
        group: a column whose rows stay together when rows are split: those of one patient, say. It is no input.
        weight: a column of numbers >= 0, by which rows count in losses and metrics. It is no input. The rows of a
            further table that has no such column count 1.
        **options: the other fields of `TableOptions`, such as `categories`, `missing`, `delimiter` or `encoding`.

    Raises:
        RequestError: the file cannot be read or is no table, or the target or an input cannot be used.
    """
    said = table_options({"header": header, "drop": () if drop is None else drop, **options})
    check_task(task)
    file = _path(path)
    table = read_raw(file, options=said, target=target if isinstance(target, str) else target_list(target)[0])
    goals = target_numbers(table, target, file.name)
    gone = {table.find(column, file.name, "drop: column") for column in said.drop}
    for goal in gone.intersection(goals):
        raise RequestError(f"drop names the target column {shown(table.names[goal])}: it must name input columns only")
    together = None if group is None else table.find(group, file.name, "group: column")
    if together in goals:
        raise RequestError(f"group names the target column {shown(table.names[together])}: it must name another one")
    heavy = None if weight is None else table.find(weight, file.name, "weight: column")
    if heavy is not None and heavy in (*goals, together):
        other = "target" if heavy in goals else "group"
        raise RequestError(f"weight names the {other} column {shown(table.names[heavy])}: it must name another one")
    which = [number for number in range(len(table.names)) if number not in gone | {*goals, together, heavy}]
    name = ", ".join(table.names[goal] for goal in goals)
    if not which:
        raise RequestError(
            f"{file.name} has no input columns left besides its target {shown(name)}: at least one is needed"
        )
    several = tuple(table.names[goal] for goal in goals) if len(goals) > 1 else ()
    if several and task == "classification":
        raise RequestError(
            f"target names {len(several)} columns: task = 'classification' takes one, regression several"
        )
    cells, how, read_notes = _targets(table, goals, said, "regression" if several else task)
    if several:
        table, cells, rows, dropped = with_targets(table, cells, said)
    else:
        table, cells[0], rows, dropped = with_target(table, cells[0], said, task)
    inputs = read_inputs(table, which, said, file.name)
    column = None if heavy is None else _weight_column(table, heavy, file.name, said)
    others = {name: Path(other) for name, other in (("validation", validation), ("test", test)) if other is not None}
    tables = {part: _alike(other, table, goals, how, inputs.columns, said) for part, other in others.items()}
    whats = [file.name, *(others[name].name for name in tables)]
    found_targets = encoded([cells, *(found[1] for found in tables.values())], several, name, whats, task)
    parts = {
        part: Part(
            read_alike(inputs.columns, found[0], others[part].name),
            own.values,
            None if column is None else _weights(found[0], column, others[part].name),
        )
        for (part, found), own in zip(tables.items(), found_targets[1:], strict=True)
    }
    weighed = [] if column is None else [f"rows count by {shown(column.name)}"]
    task_note = described(found_targets[0], several, name, task)
    notes = (*table.notes, *dropped, *inputs.notes, *read_notes, *weighed, task_note)
    together_codes = None if together is None else group_codes(table.cells[together], table.rows, file.name)
    kept = target if isinstance(target, (str, int)) else target_list(target)
    origin = {"path": str(file.resolve()), "target": kept, "task": task, **said.said}
    origin |= {part: str(other.resolve()) for part, other in others.items()}
    columns = {"group": group, "weight": weight}
    origin |= {key: column for key, column in columns.items() if column is not None}
    packed = file.suffix in (".gz", ".bz2", ".xz", ".zip")
    return Dataset(
        Path(file.stem).stem if packed else file.stem,
        found_targets[0].task,
        inputs.columns,
        found_targets[0].values,
        found_targets[0].classes,
        name,
        validation=parts.get("validation"),
        test=parts.get("test"),
        origin=origin,
        named=table.named,
        groups=together_codes,
        numbers=rows if dropped else None,
        weights=None if column is None else _weights(table, column, file.name),
        most_categories=said.most_categories,
        notes=notes,
        options=said,
        target_names=several,
    )


def read_raw(
    path: str | Path,
    header: bool | None = None,
    *,
    options: TableOptions | None = None,
    target: str | int | None = None,
    text: Collection[str] = (),
) -> Table:
    """Return a CSV or Parquet file as raw cells, such as `Preprocessor.transform_table` takes for prediction.

    Args:
        path: the file.
        header: whether the first row of a CSV file holds the names; found out if None.
        options: what else its owner says about it.
        target: the target column, by which a header of numbers is told from data.
        text: names of columns whose cells are wanted as they are written.

    Raises:
        RequestError: the file cannot be read, is no table, or has zero rows.
    """
    file = _path(path)
    said = options or TableOptions()
    said = said if header is None else replace(said, header=header)
    try:
        if file.is_dir():
            raise RequestError(f"{file} is a directory: it must be a CSV or Parquet file")
        if not file.exists():
            raise RequestError(f"{file} does not exist: it must be a CSV or Parquet file{_nearby(file)}")
        if is_parquet(file):
            return _read_parquet(file)
        return read_csv(file, said, target=target, text={*text, *map(str, (*said.categories, *said.numbers))})
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({error.strerror or error}): it must be a readable file") from error


def _path(path: str | Path) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise RequestError(f"path = {shown(path)} is not legal: it must be the path of a CSV or Parquet file")
    return Path(path)


def _target(
    table: Table, goal: int, options: TableOptions, task: str | None, like: Reading | None = None
) -> tuple[list[Any], Reading | None, str | None]:
    """Return the target's cells as Python values, None for missing, how its numbers are read, and a note on that.

    `like` is how those of another table were read, None if they were words.
    """
    cells, name = table.cells[goal], table.names[goal]
    if like is not None:
        column = make_column(name, cells, "number", like)
        return target_cells(name, column.values), like, None
    if goal in {table.find(column, table.what, "numbers: column") for column in options.numbers}:
        column, note = declared_number(name, cells, options, table.delimiter)
        return target_cells(name, column.values), column.reading, note
    text = isinstance(cells, list) or (not hasattr(cells, "isna") and cells.dtype.kind == "O")  # of a CSV file
    text = text and all(isinstance(cell, str) or cell is None for cell in cells)
    if text and goal in {table.find(column, table.what, "categories: column") for column in options.categories}:
        words = [None if cell is None else cell.strip() for cell in cells]
        return [word if word and word not in options.missing else None for word in words], None, None
    if text:
        found, form = typed_cells(cells, name, options, table.delimiter, task)
        note = None if form is None else f"the target is read as numbers with {form.describe()}"
        return found, _reading_of(found, Reading(name, form, missing=options.missing)), note
    plain = target_cells(name, cells)
    gone = {parse_number(word) for word in options.missing}
    plain = [None if isinstance(cell, (int, float)) and cell in gone else cell for cell in plain]
    return plain, _reading_of(plain, Reading(name, missing=options.missing)), None


def _reading_of(cells: Sequence[Any], numbers: Reading) -> Reading | None:
    """Return how a target's numbers are read, None if it is words or booleans."""
    return numbers if all(cell is None or type(cell) in (int, float) for cell in cells) else None


def _weight_column(table: Table, number: int, what: str, options: TableOptions) -> Column:
    """Return the column of weights, read as an input would be."""
    name = table.names[number]
    found = read_inputs(table, [number], replace(options, keep=(*options.keep, name)), what).columns
    if len(found) != 1 or found[0].kind != "number":
        raise RequestError(f"weight column {shown(name)} of {what} holds no numbers: it must have one >= 0 in each row")
    return found[0]


def _weights(table: Table, column: Column, what: str) -> NDArray[np.float64] | None:
    """Return the weights of a table's rows, [rows], read as `column` is; None if it has no such column."""
    if column.name not in table.names:
        return None
    (found,) = read_alike([column], table.only(column.name), what)
    return row_weights(found.values, table.rows, f"weight column {shown(column.name)} of {what}", what)


def _targets(
    table: Table, goals: Sequence[int], options: TableOptions, task: str | None
) -> tuple[list[list[Any]], list[Reading | None], list[str]]:
    """Return the cells of each target, [targets][rows], how they are read, and notes on that."""
    found = [_target(table, goal, options, task) for goal in goals]
    return [cells for cells, _, _ in found], [how for _, how, _ in found], [note for _, _, note in found if note]


def _alike(
    other: Path, table: Table, goals: Sequence[int], how: Sequence[Reading | None], inputs: Sequence[Column],
    options: TableOptions,
) -> tuple[Table, list[list[Any]]]:  # fmt: skip
    """Return another file with the columns of the first, and the cells of its target, or of each of several.

    Its columns and targets are read as those of the first are.
    """
    said = replace(options, header=table.named) if options.header is None else options
    written = {table.names[goal] for goal in goals} | text_columns(inputs)
    try:
        found = read_raw(other, options=said, text=written)
    except RequestError as error:
        more = f" (what is set holds for {table.what} too)" if "--set" in str(error) else ""
        raise RequestError(f"{error}{more}") from None
    cells = []
    for goal, reading in zip(goals, how, strict=True):
        number = found.find(table.names[goal], other.name, "target column")
        try:
            cells.append(_target(found, number, options, "classification", reading)[0])
        except RequestError as error:
            raise RequestError(f"{other.name}: {error}") from None
    if options.missing_target == "drop":
        whole = [not any(map(is_absent, row)) for row in zip(*cells, strict=True)]
        rows = np.flatnonzero(whole)
        return found.take(rows), [[column[row] for row in rows] for column in cells]
    return found, cells


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
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise RequestError(f"{file} cannot be read as Parquet ({_reason(error)}): it must be a Parquet file") from error
    try:
        frame = arrow.to_pandas(date_as_object=False)
        if any(name is not None for name in frame.index.names):
            frame = frame.reset_index()  # an index with a name is a column
    except MemoryError:
        raise
    except Exception as error:
        raise RequestError(
            f"{file} cannot be read as Parquet ({_reason(error)}): its columns, and what it says of them for pandas, "
            "must be those of one table"
        ) from error
    if not len(frame):
        raise RequestError(f"{file} has zero rows: it must have at least one")
    table = table_of(frame, file.name)
    check_names(table.names, file.name)
    return table


def _reason(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _nearby(file: Path) -> str:
    if not file.parent.is_dir():
        return ""
    return meant(nearest(file.name, [other.name for other in file.parent.iterdir()]))

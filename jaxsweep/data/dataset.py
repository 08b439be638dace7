"""Raw data before any split: columns, a target and, where the user has them, validation and test parts."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.columns import Column, make_column
from jaxsweep.data.labels import Label, Task, check_task, target_cells
from jaxsweep.data.options import MOST_CATEGORIES, TableOptions, table_options
from jaxsweep.data.parts import Part, group_codes, read_alike, with_target
from jaxsweep.data.rawtable import Table, as_array, check_index, check_names, table_of
from jaxsweep.data.reading import Inputs, read_inputs
from jaxsweep.data.targets import cells_of, described, encoded, target_columns, with_targets
from jaxsweep.data.weights import row_weights
from jaxsweep.errors import RequestError, shown


@dataclass(frozen=True, eq=False)
class Dataset:
    """Raw data before any split.

    Attributes:
        name: what messages and reports call the data.
        task: classification or regression.
        inputs: the raw columns, in order.
        target: int64 class codes [rows], or float64 [rows] for regression; several targets are [rows, targets].
        classes: the sorted labels that the codes stand for; None for regression.
        target_name: the target's column name; of several targets all of them, apart by commas.
        image_shape: height and width where the columns are the pixels of an image, row by row.
        validation: the user's own validation part, if any.
        test: the user's own test part, if any.
        origin: where the data can be read again, by the keys of a sweep file's [data]; None for data in memory.
        named: whether the table names its columns: False for arrays, and CSV without a header.
        groups: which rows stay together when rows are split, int64 [rows]; None: none do.
        numbers: the rows' numbers in what the user gave, int64 [rows], where rows were left out; None: 0, 1, 2, ...
        weights: how much each row counts in losses and metrics, float64 [rows]; None: all count alike.
        most_categories: words of a column that get a feature each, the most frequent ones; all others share one.
        notes: how the columns were read, as far as their owner might wonder.
        options: what the owner of a file said about it.
        target_names: the names of several targets; () for one.
    """

    name: str
    task: Task
    inputs: tuple[Column, ...]
    target: NDArray[Any]
    classes: tuple[Label, ...] | None
    target_name: str
    image_shape: tuple[int, int] | None = None
    validation: Part | None = None
    test: Part | None = None
    origin: Mapping[str, Any] | None = field(default=None, compare=False)
    named: bool = True
    groups: NDArray[np.int64] | None = None
    numbers: NDArray[np.int64] | None = field(default=None, compare=False)
    weights: NDArray[np.float64] | None = None
    most_categories: int = MOST_CATEGORIES
    notes: tuple[str, ...] = field(default=(), compare=False)
    options: TableOptions = field(default_factory=TableOptions, compare=False)
    target_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_inputs(self)

    def __repr__(self) -> str:
        kinds = ", ".join(count_kinds(self.inputs))
        classes = "" if self.classes is None else f" of {len(self.classes)} classes"
        classes = f" of {len(self.target_names)} targets" if self.target_names else classes
        return f"Dataset({self.name!r}, {self.rows:,} rows, {kinds}, {self.task}{classes})"

    @property
    def rows(self) -> int:
        """Return the number of rows, without explicit validation and test parts."""
        return len(self.target)

    @cached_property
    def fingerprint(self) -> str:
        """Return the SHA-256 of all contents but the name, as hex digits; the same on every machine."""
        digest = hashlib.sha256()
        for piece in _contents(self):
            digest.update(len(piece).to_bytes(8, "little"))
            digest.update(piece)
        return digest.hexdigest()

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        y: Any,
        task: str | None = None,
        X_val: Any = None,
        y_val: Any = None,
        X_test: Any = None,
        y_test: Any = None,
        image_shape: tuple[int, int] | None = None,
        name: str = "arrays",
        feature_names: Sequence[str] | None = None,
        groups: Any = None,
        weights: Any = None,
        weights_val: Any = None,
        weights_test: Any = None,
        **options: Any,
    ) -> "Dataset":
        """Return NumPy arrays or pandas frames as a dataset.

        Args:
            X: [rows, features], or images [rows, height, width]. Columns of a frame may hold numbers, booleans,
                text, categories and missing values.
            y: [rows] labels or numbers, in the order of the rows of X; a series beside a frame needs its index. Several
                targets are [rows, targets] numbers; a frame names them.
            task: classification or regression. If None, text, booleans and up to 20 distinct whole numbers are classes.
            X_val, y_val: a validation part of your own, used as it is.
            X_test, y_test: a test part of your own, used as it is.
            image_shape: (height, width) where the features are the pixels of an image, row by row.
            name: what messages and reports call the data.
            feature_names: names of the features; a frame brings its own, an array's are 0, 1, ...
            groups: [rows] labels; rows with the same one stay together when rows are split.
            weights: [rows] numbers >= 0, by which rows count in losses and metrics, as scikit-learn's `sample_weight`;
                also those that are split off.
            weights_val, weights_test: the same of the parts of your own; without, their rows count 1.
            **options: those of `read_table` that say how cells are read: `categories`, `numbers`, `missing`, `drop`,
                `keep`, `day_first`, `missing_target`, `min_class_rows`, `most_categories`.

        Raises:
            RequestError: shapes or pandas indices that do not fit together, types that are neither numbers nor text,
                infinite values, a target that does not fit the task.
        """
        said = table_options(options)
        for key in said.said.keys() - CELL_OPTIONS:
            raise RequestError(
                f"{key} = {shown(getattr(said, key))} is for files: arrays and frames have no such thing"
            )
        check_task(task)
        given = [("X", X, "y", y), ("X_val", X_val, "y_val", y_val), ("X_test", X_test, "y_test", y_test)]
        given = [(a, b, c, d) for a, b, c, d in given if a == "X" or b is not None or d is not None]
        image_shape = _image_shape(X, image_shape)
        tables, targets, several = [], [], target_columns(y, "y", task)
        for x_name, part_x, y_name, part_y in given:
            if part_x is None or part_y is None:
                missing = x_name if part_x is None else y_name
                raise RequestError(f"{missing} is missing: {x_name} and {y_name} must be given together")
            table = table_of(part_x, x_name, feature_names)
            columns_y = target_columns(part_y, y_name, task)
            if (columns_y and len(columns_y)) != (several and len(several)):
                raise RequestError(
                    f"{y_name} has {len(columns_y or '1')} targets, y has {len(several or '1')}: they must be the same"
                )
            cells = cells_of(columns_y) if columns_y else [target_cells(y_name, _vector(part_y, y_name))]
            if len(cells[0]) != table.rows:
                raise RequestError(
                    f"{x_name} has {table.rows} rows but {y_name} has {len(cells[0])}: they must be equal"
                )
            if not cells[0]:
                raise RequestError(f"{x_name} has zero rows: at least one is needed")
            check_index(part_x, part_y, x_name, y_name)
            tables.append(table)
            targets.append(cells)
        weighed = _weights(given, tables, {"X": weights, "X_val": weights_val, "X_test": weights_test})
        together = None if groups is None else group_codes(groups, tables[0].rows, "X")
        target_name = str(y.name) if getattr(y, "name", None) is not None else "y"
        if several is None:
            tables[0], targets[0][0], rows, left = with_target(tables[0], targets[0][0], said, task)
        else:
            target_name = ", ".join(several)
            tables[0], targets[0], rows, left = with_targets(tables[0], targets[0], said)
        inputs = _inputs(tables[0], said, image_shape is not None)
        _check_same(tables, [part[0] for part in given])
        columns = [inputs.columns]
        columns += [
            read_alike(inputs.columns, table, part[0]) for table, part in zip(tables[1:], given[1:], strict=True)
        ]
        whats = [part[2] for part in given]
        parts = encoded(targets, tuple(several or ()), target_name, whats, task)
        extra = {
            part[0]: Part(own, target.values, weighed.get(part[0]))
            for part, own, target in zip(given[1:], columns[1:], parts[1:], strict=True)
        }
        first = parts[0]
        return cls(
            name, first.task, columns[0], first.values, first.classes, target_name, image_shape,
            validation=extra.get("X_val"), test=extra.get("X_test"), named=tables[0].named,
            groups=None if together is None else together[rows], numbers=rows if left else None,
            weights=None if "X" not in weighed else weighed["X"][rows], most_categories=said.most_categories,
            notes=(*left, *inputs.notes, described(first, tuple(several or ()), target_name, task)), options=said,
            target_names=tuple(several or ()),
        )  # fmt: skip


CELL_OPTIONS = {
    "categories", "numbers", "missing", "drop", "keep", "decimal", "day_first", "missing_target", "min_class_rows",
    "most_categories",
}  # fmt: skip


def _weights(
    given: Sequence[tuple[str, Any, str, Any]], tables: Sequence[Table], weights: Mapping[str, Any]
) -> dict[str, NDArray[np.float64]]:
    """Return the weights of the parts that have some, each [rows], by the name of the part's inputs."""
    place = {part[0]: (part[1], table) for part, table in zip(given, tables, strict=True)}
    found = {}
    for part, values in weights.items():
        if values is None:
            continue
        name = part.replace("X", "weights")
        if part not in place:
            raise RequestError(f"{name} is given without {part}: there are no rows that it could weigh")
        found[part] = row_weights(values, place[part][1].rows, name, part)
        check_index(place[part][0], values, part, name)
    return found


def count_kinds(columns: Sequence[Column]) -> list[str]:
    """Return how many raw columns are numbers, categories and dates: `22 numbers`, `5 categories`, `1 date`."""
    dates = {column.reading.column for column in columns if column.reading and column.reading.date}
    plain = [column.kind for column in columns if not (column.reading and column.reading.date)]
    counts = (("number", plain.count("number")), ("category", plain.count("category")), ("date", len(dates)))
    plural = {"number": "numbers", "category": "categories", "date": "dates"}
    return [f"{count:,} {name if count == 1 else plural[name]}" for name, count in counts if count]


def _inputs(table: Table, options: TableOptions, image: bool) -> Inputs:
    """Return the columns of X; those of an image stay as they are, and so do those of an array, whose rows have all."""
    check_names(table.names, "X")
    gone = {table.find(column, "X", "drop: column") for column in options.drop}
    which = [number for number in range(len(table.names)) if number not in gone]
    if image and all(getattr(getattr(cells, "dtype", None), "kind", "O") in "biuf" for cells in table.cells):
        return Inputs(tuple(make_column(name, cells) for name, cells in zip(table.names, table.cells, strict=True)), ())
    return read_inputs(table, which, options, "X", chosen=table.named)


def _check_same(tables: Sequence[Table], whats: Sequence[str]) -> None:
    first = tables[0]
    for what, table in zip(whats[1:], tables[1:], strict=True):
        if len(table.names) != len(first.names) or (table.named and set(table.names) != set(first.names)):
            raise RequestError(
                f"{what} has the columns {list(table.names)}, X has {list(first.names)}: they must be the same"
            )


def _image_shape(X: Any, image_shape: tuple[int, int] | None) -> tuple[int, int] | None:
    shape: tuple[int, ...] = X.shape if hasattr(X, "shape") else as_array(X, "X").shape
    if image_shape is None:
        return (int(shape[1]), int(shape[2])) if len(shape) == 3 else None
    sides = image_shape if isinstance(image_shape, (tuple, list)) else ()
    if len(sides) != 2 or any(not isinstance(side, (int, np.integer)) or side < 1 for side in sides):
        raise RequestError(f"image_shape = {shown(image_shape)} is not legal: it must be (height, width)")
    return (int(image_shape[0]), int(image_shape[1]))


def _vector(y: Any, what: str) -> Any:
    if hasattr(y, "iloc"):
        if getattr(y, "ndim", 1) == 1:
            return y
        y = y.to_numpy()
    shape = as_array(y, what).shape
    if len(shape) == 2 and shape[1] == 1:
        return np.asarray(y).reshape(-1)
    if len(shape) != 1:
        raise RequestError(f"{what} has shape {shape}: it must be [rows], one target for each row")
    return y


def _check_inputs(data: Dataset) -> None:
    if not data.inputs:
        raise RequestError(f"{data.name} has no input columns: at least one besides the target is needed")
    if data.rows == 0:
        raise RequestError(f"{data.name} has zero rows: at least one is needed")
    if data.image_shape is not None:
        height, width = data.image_shape
        if height * width != len(data.inputs) or any(column.kind != "number" for column in data.inputs):
            raise RequestError(
                f"image_shape = {data.image_shape} needs {height * width} columns of numbers, but {data.name} has "
                f"{len(data.inputs)} columns"
            )


def _contents(data: Dataset) -> Iterator[bytes]:
    yield json.dumps([data.task, data.classes, data.target_name, data.image_shape]).encode()
    parts = [Part(data.inputs, data.target, data.weights), data.validation, data.test]
    if data.groups is not None:
        yield b"groups" + data.groups.astype("<i8").tobytes()
    for number, part in enumerate(parts):
        if part is None:
            continue
        yield str(number).encode()
        yield part.target.astype("<i8" if data.task == "classification" else "<f8").tobytes()
        if part.weights is not None:
            yield b"weights" + part.weights.astype("<f8").tobytes()
        for column in part.inputs:
            yield json.dumps([column.name, column.kind]).encode()
            if column.kind == "category":
                yield json.dumps(column.values.tolist()).encode()
            else:
                values = column.values.astype("<f8")
                values[np.isnan(values)] = np.nan  # NaNs differ in their bits
                yield values.tobytes()

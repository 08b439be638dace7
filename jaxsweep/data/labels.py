"""The target column: which task it asks for, and its values as class codes or numbers."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.cells import DOUBTFUL, PLUS, is_missing, parse_boolean, parse_number
from jaxsweep.data.columns import LARGEST, Raw, Words, words_of
from jaxsweep.data.dates import find_formats
from jaxsweep.data.forms import INTEGER, Ambiguous, NumberForm, find_form, other_marks
from jaxsweep.data.noticed import ALMOST, most_fitting
from jaxsweep.data.options import TableOptions, setting
from jaxsweep.errors import RequestError, shown

Task = Literal["classification", "regression"]
TASKS: tuple[Task, ...] = get_args(Task)
Label = str | int | float | bool

MOST_INTEGER_CLASSES = 20
LONG = 400  # digits of an integer that is no number to reckon with; Python refuses to read one of some thousand
FEW_CLASSES = 5  # so many may be classes even if most of them stand in a single row


@dataclass(frozen=True, eq=False)
class Target:
    """An encoded target: int64 class codes [rows] with the sorted labels in `classes`, or float64 [rows] with None."""

    task: Task
    values: NDArray[Any]
    classes: tuple[Label, ...] | None


def encode_target(cells: Sequence[Any], name: str, task: str | None = None) -> Target:
    """Return the target encoded for `task`, which is inferred if None (see `infer_task`).

    Raises:
        RequestError: missing or infinite values, a single value, text where the task is regression.
    """
    check_task(task)
    check_target(cells, name)
    kinds = {type(cell) for cell in cells}
    if task is None:
        task = infer_task(cells)
    target = _classes(cells, kinds) if task == "classification" else _regression(cells, name)
    distinct = len(target.classes) if target.classes is not None else len(np.unique(target.values))
    if distinct < 2:
        what = "class" if task == "classification" else "value"
        raise RequestError(f"target {shown(name)} has only one {what}, {shown(cells[0])}: at least two are needed")
    return target


def check_task(task: str | None) -> None:
    """Raise RequestError if a task is given that there is not."""
    if task is not None and (not isinstance(task, str) or task not in TASKS):
        raise RequestError(f"task = {shown(task)} is not known: it must be classification or regression")


def target_cells(name: str, raw: Raw) -> list[Any]:
    """Return a target from an array, a list or a series as plain Python values, None for missing. Text stays text."""
    if (hasattr(raw, "isna") and not hasattr(raw, "iloc")) or type(raw).__module__.startswith("pandas.core.arrays"):
        import pandas as pd  # an index, categories, or another array of pandas

        raw = pd.Series(list(raw) if isinstance(raw, pd.MultiIndex) else raw)
    kind = getattr(getattr(raw, "dtype", None), "kind", "O")
    if not hasattr(raw, "isna") and kind in "biuf":  # the common case, fast
        return raw.tolist() if kind in "biu" else [None if cell != cell else cell for cell in raw.tolist()]
    doubtful = False
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
            doubtful |= values[row] in (PLUS, DOUBTFUL)
        elif is_missing(cell):
            values[row] = None
        elif not isinstance(cell, (bool, int, float)):
            number = parse_number(cell)  # a Decimal or a Fraction
            if number is None:
                raise RequestError(
                    f"target {shown(name)} holds a {type(cell).__name__}, {shown(cell)}: it must be numbers, text or "
                    "booleans"
                )
            values[row] = number
    kept = DOUBTFUL if doubtful and PLUS in values else None
    return [None if isinstance(cell, str) and cell != kept and is_missing(cell) else cell for cell in values]


def is_absent(cell: Any) -> bool:
    """Return whether a target's cell, as `target_cells` and `typed_cells` give it, is missing."""
    return cell is None or cell != cell


def typed_cells(
    cells: Sequence[str | None],
    name: str,
    options: TableOptions | None = None,
    delimiter: str | None = None,
    task: str | None = None,
) -> tuple[list[Any], NumberForm | None]:
    """Return text cells of a target as integers, numbers, booleans or else text: the first that fits them all.

    Args:
        cells: as they stand in a file.
        name: the target's name.
        options: what the owner of the table says about it.
        delimiter: of the file, by which a comma is told from a decimal one.
        task: what the target is for, if that is said.

    Returns:
        The cells, None for missing, and the form of its numbers if they are not as Python writes them.

    Raises:
        RequestError: numbers whose separators may be decimal ones or not; numbers with a few other words.
    """
    options = options or TableOptions()
    found = words_of(list(cells), options.missing)
    assert found is not None  # a file holds text
    words = found.words
    used = None
    typed: list[Any] = list(words)
    form = None if not words else find_form(words, options.decimal, delimiter)
    if isinstance(form, NumberForm) and form.suffix.isalpha() and len(words) <= MOST_INTEGER_CLASSES:
        form = None  # 2XL is a class, not the number 2
    if all(INTEGER.fullmatch(word) for word in words):
        typed = [int(word) if len(word) < LONG else parse_number(word) for word in words]
    elif not other_marks(words, options.decimal) and all(parse_number(word) is not None for word in words):
        typed = [parse_number(word) for word in words]
    elif all(parse_boolean(word) is not None for word in words):
        typed = [parse_boolean(word) for word in words]
    elif isinstance(form, Ambiguous):
        raise RequestError(
            f"target {shown(name)} holds numbers such as {shown(form.word)}, whose separator may be a decimal one or "
            "not: --set decimal=, or --set decimal=. tells (in Python decimal=',' or decimal='.')"
        )
    elif form is not None:
        typed, used = [form.parse(word) for word in words], form
    elif len(words) > MOST_INTEGER_CLASSES and find_formats(words) and task != "classification":
        raise RequestError(
            f"target {shown(name)} holds dates such as {shown(words[0])}: it must be numbers, such as days, or "
            "classes; --task classification takes every date as a class"
        )
    elif len(words) > MOST_INTEGER_CLASSES and task != "classification":
        _check_almost_numbers(found, name, options, delimiter)
    values = [*typed, None]
    return [values[code] for code in found.codes.tolist()], used


def _check_almost_numbers(found: Words, name: str, options: TableOptions, delimiter: str | None) -> None:
    """Raise RequestError if most cells of a target are numbers, and too many for classes, but some are not."""
    form = most_fitting(found, options.decimal, delimiter)
    parse = parse_number if form is None else form.parse
    fits = np.array([parse(word) is not None or parse_number(word) is not None for word in found.words], dtype=bool)
    if found.counts[fits].sum() < ALMOST * found.counts.sum():
        return
    word = int(np.argmin(fits))
    ways = f"{setting('numbers', [name])} --set missing_target=drop leaves such rows out"
    raise RequestError(
        f"target {shown(name)} holds numbers, and {shown(found.words[word])} in row {found.first_row(word)} (from 0): "
        f"{ways}, and --task classification takes every word as a class"
    )


def check_target(cells: Sequence[Any], name: str) -> None:
    """Raise RequestError if a target has missing or infinite values."""
    gone = [row for row, cell in enumerate(cells) if is_absent(cell)]
    if gone:
        count = f"{len(gone):,} missing value{'s' * (len(gone) > 1)}"
        text = any(isinstance(cell, str) for cell in cells)
        more = f"; if NA or None is a class, {setting('categories', [name])} says so" if text else ""
        raise RequestError(
            f"target {shown(name)} has {count}, the first in row {gone[0]} (from 0): every row needs a target; "
            f"--set missing_target=drop leaves such rows out (in Python missing_target='drop'){more}"
        )
    numbers = (int, float)
    row = next((row for row, cell in enumerate(cells) if isinstance(cell, numbers) and abs(cell) > LARGEST), None)
    if row is not None:
        raise RequestError(
            f"target {shown(name)} has the value {str(cells[row])[:20]} in row {row} (from 0): "
            "every value must be a finite number, no larger than 1e150"
        )


def infer_task(cells: Sequence[Any]) -> Task:
    """Return the task that a target without missing values asks for.

    Text, booleans and up to 20 distinct whole numbers are classes, unless many of those stand in one row alone; all
    other numbers are a regression target.
    """
    kinds = {type(cell) for cell in cells}
    if not kinds <= {int, float}:
        return "classification"
    counts: Counter[float] = Counter()
    for cell in cells:
        counts[cell] += 1
        if len(counts) > MOST_INTEGER_CLASSES or math.floor(cell) != cell:
            return "regression"
    single = sum(count == 1 for count in counts.values())
    return "regression" if len(counts) > FEW_CLASSES and 2 * single > len(counts) else "classification"


def describe_task(target: Target, name: str, given: bool) -> str:
    """Return which task a target is trained for, and how to ask for the other one."""
    if target.classes is None:
        text = f"target {shown(name)} is taken as numbers (regression)"
        other = "classification"
    else:
        text = f"target {shown(name)} is taken as {len(target.classes):,} classes (classification)"
        other = "regression" if not any(isinstance(label, str) for label in target.classes) else ""
    return text if given or not other else f"{text}; --task {other} takes it as {_TAKEN[other]}"


_TAKEN = {"classification": "classes", "regression": "numbers"}


def _classes(cells: Sequence[Any], kinds: set[type]) -> Target:
    if kinds <= {int, float} and all(math.floor(cell) == cell for cell in cells):
        cells = [int(cell) for cell in cells]  # whole numbers stored as floats
    elif len(kinds) > 1:
        cells = [str(cell) for cell in cells]  # a mixture has no order
    classes = tuple(sorted(set(cells)))
    code = {label: number for number, label in enumerate(classes)}
    return Target("classification", np.fromiter((code[cell] for cell in cells), np.int64, len(cells)), classes)


def _regression(cells: Sequence[Any], name: str) -> Target:
    if {type(cell) for cell in cells} <= {int, float, bool}:
        return Target("regression", np.array(cells, dtype=np.float64), None)
    values = np.empty(len(cells))
    form = find_form([*dict.fromkeys(cells)]) if all(isinstance(cell, str) for cell in cells) else None
    if isinstance(form, NumberForm):
        return Target("regression", np.array([form.parse(cell) for cell in cells], dtype=np.float64), None)
    for row, cell in enumerate(cells):
        number = float(cell) if isinstance(cell, bool) else parse_number(cell)
        if number is None:
            raise RequestError(
                f"target {shown(name)} holds {shown(cell)} in row {row} (from 0), which task = 'regression' cannot "
                "use: it must be a number; or use task = 'classification'"
            )
        values[row] = number
    return Target("regression", values, None)

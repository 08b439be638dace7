"""Which columns of a table are numbers, categories or dates, which are left out, and what its owner is told of that."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxsweep.data import noticed
from jaxsweep.data.cells import DOUBTFUL, parse_numbers
from jaxsweep.data.columns import (
    Column,
    Raw,
    Reading,
    Words,
    is_categorical,
    is_datetime,
    make_column,
    plain_cells,
    words_of,
)
from jaxsweep.data.dates import DatePart, as_dates, find_formats, parse_dates, varying_parts
from jaxsweep.data.forms import Ambiguous, find_form, other_marks
from jaxsweep.data.options import TableOptions, setting
from jaxsweep.data.rawtable import Table
from jaxsweep.errors import RequestError, shown

TABLES = 2  # the version of the rules by which tables are read: 2 knows dates, forms of numbers, more missing words
OWN_WORDS = 0.9  # a column with this share of distinct words among its rows says nothing about new rows
_ID = re.compile(r"(?i:^id$|^index$|^unnamed|[_ .-]id$|^id[_ .-])|[a-z]I[dD]$")  # names of identifiers


@dataclass(frozen=True)
class Inputs:
    """The columns to train on, in the order of the table, and what its owner should know about them."""

    columns: tuple[Column, ...]
    notes: tuple[str, ...]


@dataclass
class _Findings:
    """What was found out about the columns, by kind, while they are read one by one."""

    left_out: list[str] = field(default_factory=list)
    numbered: list[str] = field(default_factory=list)
    counters: list[str] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    points: bool = False  # whether numbers of some column have decimal points
    read_as: dict[str, list[str]] = field(default_factory=dict)  # columns by what they are read as
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Named:
    """Columns that the owner of the table names, by their numbers."""

    categories: frozenset[int]
    numbers: frozenset[int]
    keep: frozenset[int]


def read_inputs(table: Table, which: Sequence[int], options: TableOptions, what: str, chosen: bool = True) -> Inputs:
    """Return some columns of a table as inputs.

    Args:
        table: the raw cells.
        which: the numbers of the columns.
        options: what the owner of the table says about it.
        what: what errors call the table.
        chosen: whether columns that say nothing about new rows are left out, rather than refused: those of a table
            with names, or of a file, whose new rows are found by name.

    Raises:
        RequestError: cells that cannot be used, names of columns that there are not.
    """
    named = _named(table, options, what)
    found = _Findings(points=any(noticed.has_fractions(table.cells[number]) for number in which))
    columns: list[Column] = []
    for number in which:
        columns += _read(table, number, options, named, found, chosen)
    for column in columns if not chosen else ():
        if column.kind == "category" and len(set(column.values) - {None}) >= table.rows:
            raise RequestError(
                f"column {shown(column.name)} has {table.rows} categories in {table.rows} rows of {what}, so that it "
                f"says nothing about new rows: leave it out with drop={column.name!r}"
            )
    if chosen:
        found.notes += noticed.decimals(columns) + noticed.total(table)
    if found.constant and chosen:
        verb = "holds" if len(found.constant) == 1 else "hold"
        found.notes.append(f"{noticed.listed(found.constant)} {verb} one value in all rows")
    lost = found.left_out + found.numbered
    if not columns and lost:
        raise RequestError(
            f"{what} has no input columns left: those there are say nothing about new rows, as every row has another "
            f"value; {setting('keep', lost)} takes {noticed.it(lost)} in"
        )
    notes = [
        f"{noticed.listed(names)} {noticed.are(names)} read as {what}" for what, names in found.read_as.items()
    ] + found.notes
    if found.numbered:
        notes.append(
            f"left out, since it has no name and only counts the rows: column {noticed.listed(found.numbered)}"
        )
    if found.left_out:
        notes.append(
            f"left out, since nearly every row has a word of its own there: {noticed.listed(found.left_out)} "
            f"({setting('keep', found.left_out)} takes {noticed.it(found.left_out)} in)"
        )
    if found.counters:
        verb, them = "seems" if len(found.counters) == 1 else "seem", noticed.it(found.counters)
        notes.append(
            f"{noticed.listed(found.counters)} {verb} to count or name the rows: {setting('drop', found.counters)} "
            f"leaves {them} out"
        )
    return Inputs(tuple(columns), tuple(notes))


def _named(table: Table, options: TableOptions, what: str) -> _Named:
    sets = {
        key: frozenset(table.find(column, what, f"{key}: column") for column in getattr(options, key))
        for key in ("categories", "numbers", "keep", "drop")
    }
    for one, other in (("categories", "numbers"), ("keep", "drop")):
        if both := sets[one] & sets[other]:
            raise RequestError(
                f"{one} and {other} both name the column {shown(table.names[min(both)])}: it can be only in one"
            )
    return _Named(sets["categories"], sets["numbers"], sets["keep"])


def _read(
    table: Table, number: int, options: TableOptions, named: _Named, found: _Findings, chosen: bool
) -> list[Column]:
    name, raw = table.names[number], table.cells[number]
    keep = number in named.keep or not chosen
    plain = Reading(name, missing=options.missing)
    if number in named.categories:
        return _category(name, make_column(name, raw, "category", plain), True, found)
    if is_datetime(raw):
        return _date(name, raw, "", found)
    if number in named.numbers:
        column, note = declared_number(name, raw, options, table.delimiter)
        found.notes += [note] if note else []
        return [column]
    if is_categorical(raw):
        return _category(name, make_column(name, raw, "category", plain), keep, found)
    cells = plain_cells(name, raw)
    nameless = number in table.nameless or not table.named
    if isinstance(cells, np.ndarray):
        return _number(name, cells, nameless, plain, keep, found)
    words = words_of(cells, options.missing)
    if words is None:  # numbers and text mixed, in a frame
        column = make_column(name, cells, None, plain)
        return [column] if column.kind == "number" else _category(name, column, keep, found)
    return _text(name, words, cells, options, table, plain, keep, found)


def _text(
    name: str, words: Words, cells: Sequence[Any], options: TableOptions, table: Table, plain: Reading, keep: bool,
    found: _Findings,
) -> list[Column]:  # fmt: skip
    """Return a column of text as what it says: numbers, dates or categories."""
    if not other_marks(words.words, options.decimal):
        numbers = parse_numbers(words.words)
        if numbers is not None:
            return _number(name, words.spread(numbers, np.nan), False, plain, True, found)
    # A comma in a table whose numbers have points groups thousands.
    form = find_form(words.words, options.decimal, "," if found.points else table.delimiter)
    if isinstance(form, Ambiguous):
        found.notes.append(
            f"{shown(name)} holds numbers such as {shown(form.word)}, whose separator may be a decimal one or not: "
            f"taken as {len(words.words):,} categories (--set decimal=, or --set decimal=. tells)"
        )
    elif form is not None:
        found.read_as.setdefault(f"numbers with {form.describe()}", []).append(name)
        return [make_column(name, cells, "number", Reading(name, form, missing=options.missing))]
    formats = find_formats(words.words)
    if options.day_first is not None and len(formats) > 1:
        formats = [form for form in formats if (form.find("%d") < form.find("%m")) == options.day_first]
    if len(formats) > 1:
        example = words.words[0]
        found.notes.append(
            f"{shown(name)} holds dates such as {shown(example)}, whose day and month cannot be told apart: taken as "
            f"{len(words.words):,} categories (--set day_first=true or --set day_first=false tells)"
        )
    elif formats:
        return _date(name, cells, formats[0], found, options.missing)
    present = (DOUBTFUL,) if DOUBTFUL in words.words else ()
    reading = Reading(name, missing=options.missing, present=present)
    values = words.spread(np.array([*words.words, None], dtype=object)[:-1], None)
    used = reading if reading.missing or reading.present else None
    column = Column(name, "category", values, used)
    found.notes += noticed.spellings(name, words)
    note, advice = noticed.almost(name, words, options, table.delimiter) if form is None and not formats else ("", "")
    if note:
        kept = [column] if keep or not _has_own_words(column) else []
        what = (
            f"taken as {len(words.words):,} categories" if kept else "left out, since nearly every row has another one"
        )
        found.notes.append(f"{note}: {what}" + f" ({advice})" * bool(advice))
        return kept
    return _category(name, column, keep, found)


def _number(name: str, values: Any, nameless: bool, plain: Reading, keep: bool, found: _Findings) -> list[Column]:
    column = make_column(name, values, "number", plain if plain.missing else None)
    found.notes += noticed.codes(name, column.values, plain.missing)
    if noticed.is_constant(column.values):
        found.constant.append(name)
    if not keep and _counts_rows(column):
        if nameless:
            found.numbered.append(name)
            return []
        found.counters.append(name)
    elif not keep and _ID.search(name) and _names_rows(column):
        found.counters.append(name)
    return [column]


def _counts_rows(column: Column) -> bool:
    rows = len(column.values)
    return rows > 2 and column.values[0] in (0, 1) and bool((np.diff(column.values) == 1).all())


def _names_rows(column: Column) -> bool:
    """Return whether every row has a whole number of its own."""
    values = column.values
    return len(values) > 2 and bool((values == np.floor(values)).all()) and len(np.unique(values)) == len(values)


def _category(name: str, column: Column, keep: bool, found: _Findings) -> list[Column]:
    if not keep and _has_own_words(column):
        found.left_out.append(name)
        return []
    return [column]


def _has_own_words(column: Column) -> bool:
    present = [word for word in column.values if word is not None]
    return len(present) > 1 and len(set(present)) >= OWN_WORDS * len(present)


def _date(name: str, raw: Raw, form: str, found: _Findings, missing: tuple[str, ...] = ()) -> list[Column]:
    """Return the numbers of a date that vary, each as a column."""
    if form:
        words = words_of(list(plain_cells(name, raw)), missing)
        assert words is not None
        dates = words.spread(parse_dates(words.words, form), np.datetime64("NaT"))
    else:
        dates = as_dates(raw)
    parts = varying_parts(dates)
    how = f" in the format {form}" if form else ""
    if not parts:
        found.notes.append(f"{shown(name)} holds one date{how}, and is left out")
        return []
    found.read_as.setdefault(f"dates{how}: {', '.join(parts)}", []).append(name)
    columns = []
    for part in parts:
        reading = Reading(name, date=DatePart(form, part), missing=missing)
        columns.append(make_column(f"{name} {part}", raw, "number", reading))
    return columns


def declared_number(name: str, raw: Raw, options: TableOptions, delimiter: str | None) -> tuple[Column, str | None]:
    """Return a column that is said to hold numbers, where what is none counts as missing, and a note if there is such.

    Raises:
        RequestError: infinite or overflowing numbers.
    """
    cells = plain_cells(name, raw)
    words = words_of(cells, options.missing) if isinstance(cells, list) else None
    if words is None:
        return make_column(name, raw, "number", Reading(name, missing=options.missing, lenient=True)), None
    form = noticed.most_fitting(words, options.decimal, delimiter)
    column = make_column(name, cells, "number", Reading(name, form, missing=options.missing, lenient=True))
    odd = np.isnan(column.values) & (words.codes >= 0)
    if not odd.any():
        return column, None
    row, count = int(np.argmax(odd)), int(odd.sum())
    what = "is no number and counts" if count == 1 else "are no numbers and count"
    example = f"such as {shown(str(cells[row]).strip())} in row {row} (from 0)"
    return column, f"{count:,} cell{'s' * (count != 1)} of {shown(name)}, {example}, {what} as missing"

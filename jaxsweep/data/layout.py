"""How the text of a CSV file is laid out: what is skipped, what separates cells, which row holds the names."""

import contextlib
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from jaxsweep.data.cells import is_missing, parse_boolean, parse_number, parse_numbers
from jaxsweep.data.noticed import listed
from jaxsweep.data.options import TableOptions, setting
from jaxsweep.data.rawtable import number_of, numbered_twice
from jaxsweep.errors import RequestError, shown

BLANKS = " "  # the delimiter that stands for any white space
DELIMITERS = ("\t", ";", "|", ",")
JUDGED = 50  # records by which a delimiter is judged
_ZEROS = re.compile(r"0\d+")
HEAD = 1_000_000  # characters by which a delimiter is judged, at most
SAMPLE = 2000  # records by which a header is told from data


@dataclass(frozen=True)
class Layout:
    """Where the rows of a table begin in its text, and what they look like.

    Attributes:
        delimiter: what separates cells, `BLANKS` for white space.
        width: the number of cells of a row.
        names: the columns' names, nameless ones by their numbers; None without a header.
        nameless: the numbers of the columns whose names are missing in a header.
        again: new names of columns whose own ones occurred before, with these.
        start: where the rows begin in the text.
        line: the number of the line there, from 1.
        first: what an error says of the line that set the width.
        notes: what the owner of the table should know.
    """

    delimiter: str
    width: int
    names: tuple[str, ...] | None
    nameless: tuple[int, ...]
    again: dict[str, str]
    start: int
    line: int
    first: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Record:
    cells: list[str]
    line: int  # its first line, from 1
    end: int  # its last line


def find_layout(text: str, name: str, options: TableOptions, target: str | int | None = None) -> Layout:
    """Return the layout of a CSV text.

    Args:
        text: the whole file.
        name: what errors call it.
        options: what its owner says about it.
        target: the target column, which tells a header of numbers from data if it is one of them.

    Raises:
        RequestError: no rows, a title above the table, a header that does not fit the rows, unbalanced quotes.
    """
    start, line, delimiter, notes = _top(text, options)
    delimiter = options.delimiter or delimiter or _delimiter(text[start : start + HEAD])
    sample = _sample(text, start, delimiter, name, line)
    if not sample:
        raise RequestError(f"{name} is empty: it must have at least one row")
    width = Counter(len(record.cells) for record in sample[1:] or sample).most_common(1)[0][0]
    _check_title(sample, width, name)
    first, body = sample[0], [record.cells for record in sample[1:] if len(record.cells) == width]
    cells = [cell.strip() for cell in first.cells]
    if len(cells) == width + 1 and not cells[-1] and options.header is not False:
        cells.pop()  # a delimiter after the last name
    header = options.header
    names_rows = len({record[0] for record in body}) == len(body) > 0
    if len(cells) == width - 1 and names_rows and header is not False and (header or not any(map(_is_value, cells))):
        header, cells = True, ["", *cells]
        notes.append("the first column has no name in the header, as R writes row names")
    if header is None and len(cells) == width:
        columns = [list(column) for column in zip(*body, strict=True)] or [[] for _ in cells]
        header = _has_header(cells, columns, target)
    if not header:
        return Layout(delimiter, len(first.cells), None, (), {}, start, line, first.line, tuple(notes))
    if cells and cells[0].startswith("#"):
        cells[0] = cells[0].lstrip("# ")
    names = [cell or str(number) for number, cell in enumerate(cells)]
    names, again = numbered_twice(names)
    notes += [f"the name {shown(old)} occurs again: that column is called {shown(new)}" for new, old in again.items()]
    nameless = tuple(number for number, cell in enumerate(cells) if not cell)
    notes += _zeros(names, body)
    below = _line_start(text, start, first.end - line + 1)
    return Layout(delimiter, len(cells), tuple(names), nameless, again, below, first.end + 1, first.line, tuple(notes))


def reader(lines: Iterator[str], delimiter: str) -> Any:
    """Return a reader of records; an unbalanced quote is an error, not an endless cell."""
    if delimiter == BLANKS:
        lines = (line.replace("\t", " ").strip(" \n") + "\n" for line in lines)
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)


def is_blank(record: Sequence[str]) -> bool:
    """Return whether a record is a line without anything."""
    return len(record) == 0 or (len(record) == 1 and not record[0].strip())


def _top(text: str, options: TableOptions) -> tuple[int, int, str | None, list[str]]:
    """Return where the table begins, its line there, the delimiter that a line `sep=` names, and notes."""
    at = _line_start(text, 0, options.skip)
    line, comments, delimiter, kept = options.skip + 1, 0, None, None
    while at < len(text):
        end = text.find("\n", at)
        content = text[at : end if end >= 0 else len(text)]
        separator = re.fullmatch(r'"?sep=(.)"?\s*', content)
        if separator and delimiter is None:
            delimiter = separator[1]
        elif content.startswith("#"):
            comments += 1
            kept = (at, line)
        elif content.strip():
            break
        at, line = (end if end >= 0 else len(text)) + 1, line + 1
    if kept is not None and _is_header_behind_mark(text[kept[0] : at], text[at : at + 10_000]):
        (at, line), comments = kept, comments - 1
    notes = [f"{comments} comment line{'s' * (comments != 1)} skipped"] if comments else []
    return min(at, len(text)), line, delimiter, notes


def _is_header_behind_mark(comment: str, rows: str) -> bool:
    """Return whether the last comment line is the header: it has as many cells as all rows, which have no other."""
    delimiter = _delimiter(rows)
    try:
        found = [record for record in islice(reader(iter(io.StringIO(rows)), delimiter), JUDGED) if record][:-1]
        names = next(reader(iter([comment.strip().lstrip("# ")]), delimiter))
    except (csv.Error, StopIteration):
        return False
    if not found or len(names) < 2 or any(len(record) != len(names) for record in found):
        return False
    return any(map(_is_value, found[0])) and not any(map(_is_value, names))


def _line_start(text: str, start: int, lines: int) -> int:
    """Return where the line begins that many lines after `start`; the end of the text if there are fewer."""
    for _ in range(lines):
        end = text.find("\n", start)
        if end < 0:
            return len(text)
        start = end + 1
    return start


def _delimiter(text: str) -> str:
    """Return the delimiter that cuts most lines of a sample into the same number of cells.

    White space is one only where no other character cuts anything. Of several that are equally regular the rarer in
    words comes first: a comma may be a decimal one.
    """
    scores = []
    for delimiter in (*DELIMITERS, BLANKS):
        lengths: Counter[int] = Counter()
        with contextlib.suppress(csv.Error):  # to be reported once the delimiter is known
            records = reader(iter(io.StringIO(text, newline="")), delimiter)
            lengths.update(len(record) for record in islice(records, JUDGED) if record)
        usual, times = lengths.most_common(1)[0] if lengths else (0, 0)
        scores.append((usual > 1, times))
    if any(cuts for cuts, _ in scores[:-1]) or not scores[-1][0]:
        return DELIMITERS[scores.index(max(scores[:-1]))] if any(cuts for cuts, _ in scores[:-1]) else ","
    return BLANKS


def _lines(text: str, start: int) -> Iterator[str]:
    """Yield the lines from a place on, one by one: a copy of all of a large file would be for nothing."""
    while start < len(text):
        stop = _line_start(text, start, 1)
        yield text[start:stop]
        start = stop


def _sample(text: str, start: int, delimiter: str, name: str, first_line: int) -> list[_Record]:
    rows = reader(_lines(text, start), delimiter)
    records: list[_Record] = []
    line = first_line
    try:
        while len(records) < SAMPLE:
            line = first_line + rows.line_num
            record = next(rows)
            if not is_blank(record):
                records.append(_Record(record, line, first_line + rows.line_num - 1))
    except StopIteration:
        pass
    except csv.Error as error:
        raise RequestError(f"line {line} of {name} cannot be read as CSV: {error}") from None
    return records


def _check_title(sample: Sequence[_Record], width: int, name: str) -> None:
    """Raise RequestError if the first line is a title: one cell above many, and then a full row."""
    titles = 0
    for record, below in pairwise(sample):
        filled = [cell for cell in record.cells if cell.strip()]
        padded = len(record.cells) == width and len(filled) == 1 and record.cells[0].strip() == filled[0].strip()
        full = len(below.cells) == width and all(cell.strip() for cell in below.cells) and not is_blank(below.cells)
        if width < 2 or not (len(record.cells) == 1 < width or (padded and (full or titles))):
            break
        titles += 1
    if not titles or titles == len(sample) - 1:
        return
    skip = sample[titles].line - 1
    raise RequestError(
        f"line {sample[0].line} of {name} is a title ({sample[0].cells[0].strip()[:60]!r}), not the names of the "
        f"columns: skip what stands above them with --set skip={skip} (in Python skip={skip})"
    )


def _has_header(first: Sequence[str], columns: Sequence[Sequence[str]], target: str | int | None) -> bool:
    """Return whether the first row holds names: they are text unlike what stands below, or the target is among them."""
    names = [cell for cell in first if cell]  # pandas writes no name over its index
    for each in () if target is None else (str(target), *(word.strip() for word in str(target).split(","))):
        if each in names and (_only_a_name(each, len(first)) or _counts(names)):
            return True
    if not names or any(is_missing(cell) or _is_value(cell) for cell in names):
        return False
    if any(_is_numeric(cells) for cells in columns):
        return True  # words over numbers, even if a name occurs twice
    if len(set(names)) < len(names):
        return False
    return not any(name in {cell.strip() for cell in cells} for name, cells in zip(first, columns, strict=True) if name)


def _zeros(names: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Return a note on columns of whole numbers with zeros before them, such as postal codes."""
    found = [
        name
        for name, column in zip(names, zip(*body, strict=True), strict=False)
        if any(_ZEROS.fullmatch(cell.strip()) for cell in column) and _is_numeric(column)
    ]
    if not found:
        return []
    advice = setting("categories", found)
    return [f"{listed(found)}: the zeros before numbers such as 01 are lost; {advice} takes them as words"]


def _only_a_name(target: str | int, width: int) -> bool:
    """Return whether a target cannot be the number of a column."""
    number = number_of(target)
    return number is None or number >= width


def _counts(names: Sequence[str]) -> bool:
    """Return whether the numbers among the names are consecutive, as those of a header are."""
    numbers = [int(name) for name in names if name.isdecimal() and len(name) < 20]
    others = [name for name in names if not name.isdecimal() or len(name) >= 20]
    return len(numbers) > 1 and all(b - a == 1 for a, b in pairwise(numbers)) and not any(map(_is_value, others))


def _is_value(cell: str) -> bool:
    return parse_number(cell) is not None or parse_boolean(cell) is not None


def _is_numeric(cells: Sequence[str]) -> bool:
    return not all(map(is_missing, cells)) and parse_numbers(cells) is not None

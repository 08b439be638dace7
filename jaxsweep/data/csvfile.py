"""CSV text as cells by column: delimiter and header row are found out, ragged lines are refused."""

import contextlib
import csv
import io
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from jaxsweep.data.columns import is_missing, parse_boolean, parse_number, parse_numbers
from jaxsweep.data.rawtable import Table, check_names
from jaxsweep.errors import RequestError

DELIMITERS = (",", ";", "\t")
SAMPLE = 50  # records by which a delimiter is judged


def read_csv(path: Path, header: bool | None = None) -> Table:
    """Return the cells of a CSV file by column, as text.

    Args:
        path: a UTF-8 file; cells separated by comma, semicolon or tab.
        header: whether the first row holds the names. If None, it does when all its cells are distinct text and
            do not look like the rows below: some column below is all numbers, or none of them occurs again below.

    Raises:
        RequestError: no rows, another encoding, unbalanced quotes, ragged lines, a name that occurs twice.
    """
    text = _text(path)
    records = _records(text, _delimiter(text), path.name)
    if not records:
        raise RequestError(f"{path} is empty: it must have at least one row")
    columns = [list(cells) for cells in zip(*records, strict=True)]
    if header is None:
        header = _has_header(columns)
    names = [str(number) for number in range(len(columns))]
    if header:
        first = [cells.pop(0).strip() for cells in columns]
        names = [name or number for name, number in zip(first, names, strict=True)]
        check_names(names, path.name)
    if not columns[0]:
        raise RequestError(f"{path} has zero rows below its header: it must have at least one")
    return Table(tuple(names), tuple(columns), len(columns[0]), named=header)


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(
            f"{path} is not text in UTF-8 (byte {content[error.start]:#04x} at position {error.start}): "
            "save it as a CSV file in UTF-8"
        ) from None


def _reader(text: str, delimiter: str) -> Any:
    # strict: an unbalanced quote would otherwise swallow the rest of the file in silence
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)


def _delimiter(text: str) -> str:
    """Return the delimiter that cuts most lines of a sample into the same number of cells, then into most cells."""
    scores = []
    for delimiter in DELIMITERS:
        lengths: Counter[int] = Counter()
        with contextlib.suppress(csv.Error):  # to be reported once the delimiter is known
            lengths.update(len(record) for record in islice(_reader(text, delimiter), SAMPLE) if record)
        usual, times = lengths.most_common(1)[0] if lengths else (0, 0)
        scores.append((usual > 1, times, usual))
    return DELIMITERS[scores.index(max(scores))]


def _records(text: str, delimiter: str, name: str) -> list[list[str]]:
    records: list[list[str]] = []
    reader = _reader(text, delimiter)
    first_line = 0
    try:
        while True:
            line = reader.line_num + 1
            record = next(reader)
            if len(record) == 0 or (len(record) == 1 and not record[0].strip()):
                continue  # a blank line
            first_line = first_line or line
            if records and len(record) != len(records[0]):
                raise RequestError(
                    f"line {line} of {name} has {len(record)} cell{'s' * (len(record) != 1)}: "
                    f"it must have {len(records[0])}, as line {first_line} has"
                )
            records.append(record)
    except StopIteration:
        return records
    except csv.Error as error:
        raise RequestError(f"line {line} of {name} cannot be read as CSV: {error}") from None


def _has_header(columns: Sequence[Sequence[str]]) -> bool:
    first = [cells[0].strip() for cells in columns]
    names = [cell for cell in first if cell]  # pandas writes no name over its index
    if not names or any(is_missing(cell) or _is_value(cell) for cell in names):
        return False
    if any(_is_numeric(cells[1:]) for cells in columns):
        return True  # words over numbers, even if a name occurs twice
    if len(set(names)) < len(names):
        return False
    return not any(
        name in {cell.strip() for cell in cells[1:]} for name, cells in zip(first, columns, strict=True) if name
    )


def _is_value(cell: str) -> bool:
    return parse_number(cell) is not None or parse_boolean(cell) is not None


def _is_numeric(cells: Sequence[str]) -> bool:
    return not all(map(is_missing, cells)) and parse_numbers(cells) is not None

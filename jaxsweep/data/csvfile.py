"""CSV text as cells by column: by pandas where every line has the same number of cells, else by Python's own reader.

pandas fills short lines up and forgives odd quotes; what it is given here has neither, as a look at the bytes tells.
"""

import csv
import io
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.cells import DOUBTFUL, MISSING
from jaxsweep.data.layout import BLANKS, Layout, find_layout, is_blank, reader
from jaxsweep.data.options import TableOptions
from jaxsweep.data.rawtable import Table
from jaxsweep.data.textfile import read_text
from jaxsweep.errors import RequestError

BLOCK = 1 << 23  # bytes that are looked at together


def read_csv(
    path: Path,
    options: TableOptions | None = None,
    *,
    target: str | int | None = None,
    text: Collection[str] = (),
) -> Table:
    """Return the cells of a CSV file by column: numbers as an array of pandas' type for them, all else as text.

    Args:
        path: a file of text, packed or not.
        options: what its owner says about it; what is left out is found out.
        target: the target column, by which a header of numbers is told from data.
        text: names of columns whose cells are wanted as they are written.

    Raises:
        RequestError: no rows, another encoding or format, a title above the table, unbalanced quotes, ragged lines.
    """
    options = options or TableOptions()
    content = read_text(path, options.encoding)
    layout = find_layout(content, path.name, options, target)
    names = layout.names or tuple(str(number) for number in range(layout.width))
    notes = list(layout.notes)
    start = len(content[: layout.start].encode())
    raw = content.encode()
    del content  # one copy of a large file is enough
    if _is_regular(raw, start, layout):
        as_text = {number for number, name in enumerate(names) if name in text or options.decimal == ","}
        cells = _by_pandas(raw, start, layout, [*MISSING - {DOUBTFUL}, *options.missing], as_text)
    else:
        cells, comments = _line_by_line(raw[start:].decode(), layout, path.name)
        if comments:
            notes.append(f"{comments} comment line{'s' * (comments != 1)} among the rows skipped")
    if not cells or not len(cells[0]):
        raise RequestError(f"{path} has zero rows below its header: it must have at least one")
    return Table(
        names, tuple(cells), len(cells[0]), named=layout.names is not None, what=path.name, nameless=layout.nameless,
        again=layout.again, delimiter=layout.delimiter, notes=tuple(notes),
    )  # fmt: skip


def _by_pandas(raw: bytes, start: int, layout: Layout, missing: list[str], as_text: Collection[int]) -> list[Any]:
    import pandas as pd

    # Older versions round numbers otherwise than Python unless they are told.
    older = tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1)
    exact: dict[str, Any] = {"float_precision": "round_trip"} if older else {}
    text = io.BytesIO(raw)
    text.seek(start)
    words: Any = missing  # for all columns at once, where there may be 100,000
    if as_text:
        words = {number: missing for number in range(layout.width) if number not in as_text}
    frame: Any = pd.read_csv(
        text,
        sep=r"\s+" if layout.delimiter == BLANKS else layout.delimiter,
        header=None,
        names=list(range(layout.width)),
        index_col=False,
        dtype=dict.fromkeys(as_text, object),
        na_values=words,
        keep_default_na=False,
        skipinitialspace=layout.delimiter != BLANKS,
        low_memory=False,  # a column has one type from its first row to its last
        encoding="utf-8",
        **exact,
    )
    return [_cells(frame[number]) for number in frame.columns]


def _cells(series: Any) -> Any:
    if series.dtype.kind in "iufb":
        return series.to_numpy()
    return series.to_numpy(dtype=object, na_value=None)


def _is_regular(raw: bytes, start: int, layout: Layout) -> bool:
    """Return whether every line has the width of the layout, and quotes stand around whole cells alone."""
    if not layout.delimiter.isascii():
        return False
    if layout.width == 1 and re.search(rb'(?:^|\n)(?:[ \t]+|"")(?:\n|$)', raw[start:]):
        return False  # a line without anything looks like a cell
    quoted = b'"' in raw
    while start < len(raw):
        stop = _line_end(raw, start + BLOCK)
        while quoted and raw.count(b'"', start, stop) % 2 and stop < len(raw):
            stop = _line_end(raw, stop)  # inside a cell of several lines
        if not _is_regular_block(np.frombuffer(raw, np.uint8, stop - start, start), quoted, layout):
            return False
        start = stop
    return True


def _line_end(raw: bytes, start: int) -> int:
    return (raw.find(b"\n", start) + 1) or len(raw)


def _is_regular_block(data: NDArray[np.uint8], quoted: bool, layout: Layout) -> bool:
    """Return whether whole lines are regular."""
    outside: NDArray[np.bool_] | None = None
    if quoted:
        quotes = np.flatnonzero(data == ord('"'))
        if len(quotes) % 2 or not _around_cells(data, quotes, layout.delimiter):
            return False
        outside = np.bitwise_xor.accumulate((data == ord('"')).astype(np.uint8)) == 0
    ends = data == ord("\n")
    if layout.delimiter == BLANKS:
        blank = (data == ord(" ")) | (data == ord("\t")) | ends
        if outside is not None:
            blank &= outside
        marks = ~blank & np.concatenate([[True], blank[:-1]])  # where cells begin
    else:
        marks = data == ord(layout.delimiter)
        if outside is not None:
            marks &= outside
    if outside is not None:
        ends &= outside
    stops = np.flatnonzero(ends)
    if data[-1] != ord("\n"):
        stops = np.append(stops, len(data))
    counts = np.diff(np.searchsorted(np.flatnonzero(marks), stops), prepend=0)
    filled = np.diff(stops, prepend=-1) > 1
    return bool((counts[filled] == layout.width - (layout.delimiter != BLANKS)).all())


def _around_cells(data: NDArray[np.uint8], quotes: NDArray[np.int64], delimiter: str) -> bool:
    """Return whether each opening quote begins a cell and each closing one ends it; doubled quotes do neither."""
    between = np.zeros(257, dtype=bool)
    between[[ord(delimiter), ord("\n"), ord('"'), 256, *([ord("\t")] if delimiter == BLANKS else [])]] = True
    wide = np.concatenate([[256], data.astype(np.int16), [256]])
    return bool(between[wide[quotes[0::2]]].all() and between[wide[quotes[1::2] + 2]].all())


def _line_by_line(body: str, layout: Layout, name: str) -> tuple[list[list[str]], int]:
    """Return the cells by column, and how many comment lines stand among the rows; RequestError for ragged lines."""
    rows = reader(iter(io.StringIO(body, newline="")), layout.delimiter)
    records: list[list[str]] = []
    ragged: tuple[int, int] | None = None
    comments, line = 0, layout.line
    try:
        while True:
            line = layout.line + rows.line_num
            record = next(rows)
            if is_blank(record):
                continue
            if ragged is not None:
                break
            if len(record) == layout.width + 1 and layout.delimiter == BLANKS and not record[-1]:
                record.pop()
            if len(record) == layout.width:
                records.append(record)
            elif record[0].startswith("#"):
                comments += 1
            else:
                ragged = (line, len(record))
    except StopIteration:
        line = 0
    except csv.Error as error:
        raise RequestError(f"line {line} of {name} cannot be read as CSV: {error}") from None
    if ragged is not None:
        at, cells = ragged
        last = "; it is the last line, and may be a remark" if line == 0 and records else ""
        raise RequestError(
            f"line {at} of {name} has {cells} cell{'s' * (cells != 1)}: it must have {layout.width}, "
            f"as line {layout.first} has{last}"
        )
    return [list(column) for column in zip(*records, strict=True)] or [[] for _ in range(layout.width)], comments

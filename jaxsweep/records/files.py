"""Tables of trials as files, CSV and Parquet, and files and folders that are either whole or not there."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxsweep.errors import RequestError, printable, spreadsheet_text
from jaxsweep.spec.extras import extra

Row = Mapping[str, Any]


def write(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or not there, or through what is no plain file: a device, a link.

    Raises:
        OSError: it cannot be written.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_bytes(content)
        return
    beside: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            beside = Path(file.name)
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o666 & ~umask)  # a temporary file is its owner's alone
        beside.replace(path)
        beside = None
    finally:  # also when it is interrupted
        if beside is not None:
            beside.unlink(missing_ok=True)


def save(path: Path, content: bytes) -> None:
    """Write a file as `write` does; RequestError if it cannot be written."""
    try:
        write(path, content)
    except OSError as error:
        raise RequestError(f"{path} cannot be written ({error.strerror or error}): name a file that can") from None


def replace_folder(target: Path, check: Callable[[Path], None], write: Callable[[Path], None]) -> None:
    """Write a folder to the side, and put it in the place of an earlier one.

    Args:
        target: the folder.
        check: raises RequestError if what is there must not be replaced.
        write: writes all of it into an empty folder.

    Raises:
        RequestError: as `check`; or the folder cannot be written.
    """
    try:
        check(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as beside:
            new = Path(beside) / "new"
            new.mkdir()
            write(new)
            if target.exists():
                target.rename(Path(beside) / "old")
            new.rename(target)
    except OSError as error:
        raise RequestError(f"{target} cannot be written ({error.strerror}): choose a folder that can") from error


def csv_text(rows: Sequence[Row]) -> str:
    """Return rows as the text of a CSV file, in whose cells neither a spreadsheet nor a terminal finds an order."""
    import pandas as pd

    plain = [{name: cell(value) if isinstance(value, str) else value for name, value in row.items()} for row in rows]
    return pd.DataFrame(plain).rename(columns=cell).to_csv(index=False)


def cell(text: str) -> str:
    """Return a text as a cell of a CSV file, which neither a spreadsheet nor a terminal obeys."""
    return spreadsheet_text(printable(text))


def parquet_bytes(rows: Sequence[Row]) -> bytes:
    """Return rows as a file of Parquet, whose columns have the types bool, int64, double or string.

    A column with values of several kinds, or with lists, widths such as 64 and [64, 32], has their texts, as a CSV file
    has. What is not a finite number is null.

    Raises:
        RequestError: pyarrow is not installed.
    """
    arrow, parquet = (extra(package, "a Parquet file", "parquet") for package in ("pyarrow", "pyarrow.parquet"))
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _typed(arrow, [row.get(name) for row in rows]) for name in names}
    sink = arrow.BufferOutputStream()
    parquet.write_table(arrow.table(columns), sink)
    return bytes(sink.getvalue())


def _typed(arrow: Any, values: Sequence[Any]) -> Any:
    """Return the values of a column as an array of Arrow."""
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    known = [value for value in plain if value is not None]
    if known and all(isinstance(value, bool) for value in known):
        return arrow.array(plain, arrow.bool_())
    numbers = not any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in known)
    if known and numbers and all(isinstance(value, int) and -(2**63) <= value < 2**63 for value in known):
        return arrow.array(plain, arrow.int64())
    if known and numbers:
        reals = [None if value is None else _finite(value) for value in plain]
        return arrow.array(reals, arrow.float64())
    return arrow.array([None if value is None else str(value) for value in plain], arrow.string())


def _finite(value: float) -> float | None:
    try:
        return float(value) if np.isfinite(float(value)) else None
    except OverflowError:  # an integer that no double holds
        return None

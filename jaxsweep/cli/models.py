"""`predict`: an exported network and a table. Imports no JAX."""

import csv
import io
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxsweep.data import read_raw
from jaxsweep.data.rawtable import Table
from jaxsweep.errors import RequestError
from jaxsweep.export import Model, load_model


def predict(arguments: Namespace) -> int:
    """Print a network's predictions for a raw table, or write them to a file."""
    model = load_model(arguments.model)
    table = _read(model, arguments.table)
    columns: list[Iterable[Any]] = [model.predict(table).tolist()]
    header = ["prediction"]
    if model.classes is not None:
        columns += model.predict_proba(table).T.tolist()
        header += [f"proba_{label}" for label in model.classes]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    if arguments.out is None:
        sys.stdout.write(text.getvalue())
    else:
        _write(Path(arguments.out), text.getvalue())
        print(f"{table.rows} predictions are in {arguments.out}", file=sys.stderr)
    return 0


def _read(model: Model, path: str) -> Table:
    """Return the table; whether its first row holds names is told from the network's inputs."""
    names = [entry.name for entry in model.preprocessor.inputs]
    if all(name.isdecimal() for name in names):
        return read_raw(path, header=False)  # the training table had no names
    try:
        named = read_raw(path, header=True)
    except RequestError:
        return read_raw(path)
    return named if set(names) & set(named.names) else read_raw(path)


def _write(path: Path, text: str) -> None:
    """Write a file so that it is either whole or not there."""
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", dir=path.parent, delete=False) as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        Path(file.name).chmod(0o666 & ~umask)  # a temporary file is its owner's alone
        Path(file.name).replace(path)
    except OSError as error:
        raise RequestError(f"--out {path} cannot be written ({error.strerror}): name a file that can") from None

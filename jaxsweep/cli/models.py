"""`predict`: an exported network, or ensemble of several, and a table. Imports no JAX."""

import csv
import io
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxsweep.data import read_raw
from jaxsweep.data.options import NEW_FILES, TableOptions, table_options
from jaxsweep.data.rawtable import Table
from jaxsweep.data.unknown import UnknownWords
from jaxsweep.errors import RequestError, cut, printable, spreadsheet_text
from jaxsweep.records.ensemble import Ensemble
from jaxsweep.records.exported import load_model
from jaxsweep.records.files import write
from jaxsweep.records.model import Model
from jaxsweep.spec import sweepfile

LONGEST_NOTE = 4000  # characters of what is said of the table


def predict(arguments: Namespace) -> int:
    """Print a network's predictions for a raw table, or write them to a file."""
    model = load_model(arguments.model)
    table = _read(model, arguments.table, _said(arguments.set))
    unknown = model.preprocessor.unknown_words(table, Path(arguments.table).name)
    header = ["prediction"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownWords)  # said below, once and in a line
        predicted = model.predict(table)
        columns: list[Iterable[Any]] = [predicted.tolist()]
        if model.targets:
            header, columns = [f"prediction_{name}" for name in model.targets], predicted.T.tolist()
        if model.classes is not None:
            columns += model.predict_proba(table).T.tolist()
            header += [f"proba_{label}" for label in model.classes]
    for note in table.notes:
        _say(f"{Path(arguments.table).name}: {note}")
    if unknown is not None:
        _say(" ".join(unknown.splitlines()))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(spreadsheet_text, header))
    writer.writerows(map(_row, zip(*columns, strict=True)))
    if arguments.out is None:
        # A terminal would obey the names of labels; a file has them as they are.
        sys.stdout.write(printable(text.getvalue()) if sys.stdout.isatty() else text.getvalue())
    else:
        _write(Path(arguments.out), text.getvalue())
        print(printable(f"{table.rows} predictions are in {arguments.out}"), file=sys.stderr)
    return 0


def _say(note: str) -> None:
    print(printable(f"jaxsweep: {cut(note, LONGEST_NOTE)}"), file=sys.stderr)


def _row(cells: Iterable[Any]) -> list[Any]:
    return [spreadsheet_text(cell) if isinstance(cell, str) else cell for cell in cells]


def _said(sets: Sequence[str]) -> dict[str, Any]:
    """Return what `--set KEY=VALUE` says of the table's file."""
    table = sweepfile.assemble(sweepfile.Draft(), {}, sets)
    said = {**table.table, "space": table.space} if table.space else dict(table.table)
    for section, keys in said.items():
        for key in keys:
            if section != "data" or key not in NEW_FILES:
                raise RequestError(f"--set {key}: of a table to predict can be said: {', '.join(NEW_FILES)}")
    return dict(said.get("data", {}))


def _read(model: Model | Ensemble, path: str, said: Mapping[str, Any]) -> Table:
    """Return the table, laid out like the one that was trained on, or otherwise in a way that can be found out.

    What is said of it by `--set` goes before both.
    """
    ways = [{**model.table, **said}]
    if "encoding" not in said and "encoding" in model.table:
        ways.insert(0, {key: value for key, value in ways[0].items() if key != "encoding"})  # UTF-8, if it is that
    if model.table:
        ways.append(dict(said))
    refusals = []
    for way in ways:
        try:
            table = _read_so(model, path, table_options(way))
        except RequestError as error:
            refusals.append(error)
            continue
        if not table.named or model.preprocessor.raw_names <= set(table.names):
            return table
    if refusals:
        raise refusals[0]
    return table


def _read_so(model: Model | Ensemble, path: str, options: TableOptions) -> Table:
    """Return the table; whether its first row holds names is told from the network and its inputs."""
    text = model.preprocessor.text_columns
    names = model.preprocessor.raw_names
    # Folders of before it was written down do not say whether the training table had names.
    if not (any(not name.isdecimal() for name in names) if model.header is None else model.header):
        return read_raw(path, header=False, options=options, text=text)
    try:
        table = read_raw(path, header=True, options=options, text=text)
    except RequestError:
        plain = read_raw(path, header=False, options=options)
        if _are_names({str(cells[0]).strip() for cells in plain.cells}, names):
            raise  # names that cannot be used as they are, or no rows below them
        return read_raw(path, options=options, text=text)
    return table if _are_names(set(table.names), names) else read_raw(path, options=options, text=text)


def _are_names(first_row: set[str], names: frozenset[str]) -> bool:
    """Return whether a table's first row holds names of inputs. A few numbers among many may be so by chance."""
    found = first_row & names
    return any(not name.isdecimal() for name in found) or 2 * len(found) > len(names)


def _write(path: Path, text: str) -> None:
    try:
        write(path, text.encode())
    except OSError as error:
        raise RequestError(f"--out {path} cannot be written ({error.strerror}): name a file that can") from None

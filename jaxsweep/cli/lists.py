"""`hyperparameters`, `datasets`, `searchers` and `schedulers`: what there is, as tables. Imports no JAX."""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from jaxsweep import schedulers as scheduling
from jaxsweep import search
from jaxsweep.data import datasets as built_in
from jaxsweep.report.console import Results
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS


def hyperparameters(arguments: Namespace) -> int:
    """Print the table of hyperparameters."""
    records = [
        {"name": row.name, "group": row.group, "role": row.role, "legal": row.legal, "default": row.default,
         "meaning": row.explained}
        for row in HYPERPARAMETERS.values()
    ]  # fmt: skip
    return _print(arguments, records, group="group")


def datasets(arguments: Namespace) -> int:
    """Print the table of built-in data sets."""
    return _print(arguments, [row._asdict() for row in built_in()])


def searchers(arguments: Namespace) -> int:
    """Print the table of searchers."""
    records = [
        {"name": name, "options": search.options(name), "about": kind.description}
        for name, kind in search.SEARCHERS.items()
    ]
    return _print(arguments, records)


def schedulers(arguments: Namespace) -> int:
    """Print the table of schedulers."""
    records = [
        {"name": name, "options": scheduling.options(name), "about": kind.description}
        for name, kind in scheduling.SCHEDULERS.items()
    ]
    return _print(arguments, records)


def _print(arguments: Namespace, records: Sequence[dict[str, Any]], group: str | None = None) -> int:
    """Print records as JSON or as a table, which has a heading for each value of the column `group`."""
    if arguments.format == "json":
        print(json.dumps(records))
        return 0
    console = Results(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console = Results(file=sys.stdout, highlight=False, width=160)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    columns = [name for name in records[0] if name != group]
    for name in columns:
        table.add_column(
            name, no_wrap=name == "name", overflow="fold", ratio=1 if name in ("meaning", "about") else None
        )
    last = None
    for record in records:
        if group is not None and record[group] != last:
            last = record[group]
            table.add_row(f"[bold]{last}[/bold]")
        table.add_row(*(_text(record[name]) for name in columns))
    console.print(table)
    return 0


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        items = {key: "auto" if item is None else item for key, item in value.items()}
        return ", ".join(f"{key} = {item}" for key, item in items.items()) or "-"
    text = " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text.replace("[", "\\[")  # rich would take it for markup

"""Tables on stdout: for people where it is a terminal, complete where it is not."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from jaxsweep.errors import cut, printable
from jaxsweep.report.console import Results
from jaxsweep.report.words import short
from jaxsweep.spec.aims import SIZES
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS
from jaxsweep.spec.metrics import direction
from jaxsweep.spec.swept import acts

Row = Mapping[str, Any]
MARKS = ("front", "feasible")  # columns of true and false, where a sweep has them
LONGEST_NOTE = 8000  # characters; what is said of a table with many odd columns has some thousand
FIRST = ("status", "epochs_done", "learning_rate", "optimizer")  # of what varies


def stdout() -> Console:
    """Return a console for results; what is no terminal is as wide as it needs to be. Texts stand as they are."""
    plain: dict[str, Any] = {"file": sys.stdout, "highlight": False, "markup": False, "emoji": False}
    console = Results(**plain)
    return console if console.is_terminal else Results(**plain, width=500)


def say(text: str) -> None:
    """Print a message for people on stderr."""
    print(printable(cut(text, LONGEST_NOTE)), file=sys.stderr)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> Table:
    """Return a table; `numbers` are the columns that stand to the right."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(printable(column), justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    return table


def trial_table(
    console: Console, rows: Sequence[Row], everything: Sequence[Row], objective: str, sort: str,
    show_test: bool = False, also: Sequence[str] = (),
) -> str:  # fmt: skip
    """Print rows of trials with the columns that tell them apart; return a remark on columns left out, or "".

    A hyperparameter that does nothing in a trial's config, such as momentum under adam, has an empty cell there, and no
    column if that is so in all rows.

    Args:
        console: where to print.
        rows: the rows to print, as `Trial.row` gives them.
        everything: all rows of the run, which decide what varies.
        objective: the metric that `score` is.
        sort: a column to show in any case.
        show_test: whether there is a column with the objective on the test rows.
        also: metrics that have a column in any case: further objectives, and what is constrained.
    """
    shown = _columns(everything, objective, sort, show_test, also)
    columns = [name for name in shown if any(acts(name, row) for row in rows)]
    if "feasible" in columns and all(row["feasible"] for row in rows):
        columns.remove("feasible")
    left_out: list[str] = []
    while len(columns) > 3 and _width(console, _trials(rows, columns)) > console.width:
        losses = (name for name in ("train_loss", "val_loss") if name in columns and name not in (sort, *also))
        spare = next(losses, columns[-1])
        left_out.append(spare)
        columns.remove(spare)
    console.print(_trials(rows, columns))
    return f"no room for {', '.join(left_out)}" if left_out else ""


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update(width=10_000), table).maximum


def _columns(rows: Sequence[Row], objective: str, sort: str, show_test: bool, also: Sequence[str]) -> list[str]:
    """Return the columns worth a look, the most telling first: score, metrics that matter, and what varies."""
    varied = [name for name in (*FIRST, *HYPERPARAMETERS) if varies(rows, name)]
    test = ["test_" + objective.removeprefix("val_")] if show_test else []
    metrics = [name for name in (*test, "train_loss", "val_loss") if rows and name in rows[0] and name != objective]
    first = ["trial", "score", *(name for name in also if rows and name in rows[0] and name != objective)]
    first += [name for name in MARKS if rows and name in rows[0]]
    first += [sort] if sort not in ("trial", "score") else []
    return list(dict.fromkeys([*first, *metrics, *varied]))


def varies(rows: Sequence[Row], name: str) -> bool:
    """Whether a column has more than one value."""
    return len({repr(row[name]) for row in rows}) > 1


def _trials(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for name in columns:
        text = name in ("status", "width", *MARKS) or (
            name in HYPERPARAMETERS and HYPERPARAMETERS[name].kind == "choice"
        )
        table.add_column(printable(name), justify="left" if text else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(cell(name, row[name]) if acts(name, row) else "" for name in columns))
    return table


def cell(name: str, value: Any) -> str:
    """Return a value of a trial's row in few characters."""
    if name in MARKS:
        return {"front": ("", "front"), "feasible": ("no", "yes")}[name][bool(value)]
    if name in ("parameters", "iterations") and math.isfinite(value) and value == int(value):
        return str(int(value))
    if isinstance(value, float) and not math.isfinite(value):
        return "-"
    if isinstance(value, float) and name not in HYPERPARAMETERS:
        return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.4g}"
    return short(value)


def sort_rows(rows: Sequence[Row], column: str, objective: str) -> list[Row]:
    """Return rows sorted by a column: metrics with the best first, all else ascending; what has no value is last.

    By a metric those that break a constraint stand behind all that do not.
    """
    metric = objective if column == "score" else column
    measured = metric.startswith(("train_", "val_", "test_")) and metric not in HYPERPARAMETERS  # train_rows
    best_first = measured and direction(metric) == "maximize"
    values = [row[column] for row in rows]
    mixed = len({isinstance(value, (int, float)) for value in values}) > 1 or any(isinstance(v, list) for v in values)

    ranking = measured or metric in SIZES

    def key(row: Row) -> tuple[int, Any, int]:
        value = row[column]
        if isinstance(value, float) and math.isnan(value):
            return 2, "" if mixed else 0, row["trial"]
        if mixed or isinstance(value, str):
            return 0, str(value), row["trial"]
        behind = ranking and not row.get("feasible", True)
        return int(behind), -value if best_first else value, row["trial"]

    return sorted(rows, key=key)


def finite(value: Any) -> Any:
    """Return a value as JSON can have it: what is not finite is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def json_text(value: Any) -> str:
    """Return a value as one line of JSON."""
    return json.dumps(finite(value), allow_nan=False)


def print_json(value: Any) -> None:
    """Print a value on stdout as one line of JSON."""
    print(json_text(value))

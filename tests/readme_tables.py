"""The tables in README.md that come from the code. `python tests/readme_tables.py` writes them anew."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jaxsweep import schedulers, search
from jaxsweep.data import datasets
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS

README = Path(__file__).resolve().parents[1] / "README.md"


def hyperparameters() -> str:
    """Return a table of all hyperparameters, with a heading for each group."""
    lines: list[str] = []
    for group in dict.fromkeys(row.group for row in HYPERPARAMETERS.values()):
        rows = [
            (f"`{row.name}`", row.legal, _default(row.default), row.role, row.explained)
            for row in HYPERPARAMETERS.values()
            if row.group == group
        ]
        lines += [f"**{group.capitalize()}**", "", *_table(("name", "legal", "default", "role", "meaning"), rows), ""]
    return "\n".join(lines[:-1])


def built_in() -> str:
    """Return a table of the built-in data sets."""
    columns = ("name", "task", "rows", "features", "classes", "what")
    rows = [(f"`{row.name}`", row.task, row.rows, row.features, row.classes or "", row.about) for row in datasets()]
    return "\n".join(_table(columns, rows))


def searchers() -> str:
    """Return a table of the searchers and their options."""
    rows = []
    for name, kind in search.SEARCHERS.items():
        rows.append((f"`{name}`", kind.description, ", ".join(f"`{k} = {v}`" for k, v in search.options(name).items())))
    return "\n".join(_table(("name", "proposes", "options"), rows))


def in_training() -> str:
    """Return a table of the schedulers and their options."""
    rows = []
    for name, kind in schedulers.SCHEDULERS.items():
        known = {k: "auto" if v is None else v for k, v in schedulers.options(name).items()}
        rows.append((f"`{name}`", kind.description, ", ".join(f"`{k} = {v}`" for k, v in known.items())))
    return "\n".join(_table(("name", "what it does", "options"), rows))


TABLES = {"hyperparameters": hyperparameters, "datasets": built_in, "searchers": searchers, "schedulers": in_training}


def filled(text: str) -> str:
    """Return `text` with every table between its two markers made anew."""
    for name, make in TABLES.items():
        start, end = f"<!-- table: {name} -->\n", f"\n<!-- end: {name} -->"
        before, after = text.index(start) + len(start), text.index(end)
        text = text[:before] + make() + text[after:]
    return text


def _default(value: Any) -> str:
    if value is None:
        return "by task"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    body = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return ["| " + " | ".join(line) + " |" for line in (list(columns), ["---"] * len(columns), *body)]


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")

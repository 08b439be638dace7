"""The reference of the API and of the command line, from docstrings, signatures and the parser."""

import argparse
import inspect
import os
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import cached_property
from importlib import import_module
from types import FunctionType
from typing import Any

import jaxsweep as js
from jaxsweep.cli.parser import make_parser

KINDS = {  # in the order of the page
    "Data": ("load_dataset", "read_table", "datasets", "Dataset"),
    "Spaces": ("Space", "Uniform", "LogUniform", "Int", "Choice", "Constant"),
    "Sweeps": ("sweep", "resume", "load", "plan", "Plan", "solo", "Metric", "search"),
    "Results": ("Result", "Trial", "Confirmed"),
    "Networks": ("Model", "Ensemble", "load_model"),
    "Estimators of scikit-learn": ("SweepClassifier", "SweepRegressor"),
    "Errors": ("RequestError", "SweepFailed"),
}
FURTHER = {  # what results give
    "What results say": (
        "jaxsweep.insight.plots.Plots", "jaxsweep.insight.importance.Importance",
        "jaxsweep.insight.surface.Interaction", "jaxsweep.insight.compare.Comparison", "jaxsweep.insight.compare.Luck",
    ),
}  # fmt: skip
MADE = (  # classes that users call
    "Space", "Uniform", "LogUniform", "Int", "Choice", "Constant", "Metric", "SweepClassifier", "SweepRegressor",
)  # fmt: skip
INNER = {  # methods that others of the package call
    "codes_from_unit", "codes_from_values", "levels", "unit_from_codes", "values_from_codes", "words", "columns",
    "dimensions", "snap", "from_unit", "to_unit", "to_json", "row", "told", "of", "predicted", "sheet", "aims",
    "why_none", "swept", "counts", "table", "lanes", "fingerprint",
}  # fmt: skip
SECTION = re.compile(r"^(Args|Attributes|Returns|Raises):$", re.MULTILINE)
WORDS = {"Args": "Arguments", "Attributes": "Attributes", "Returns": "Returns", "Raises": "Raises"}
STARS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
WIDTH = 88  # of help and signatures, which pages have room for


def api() -> str:
    """Return the reference of every public name."""
    lines: list[str] = []
    for title, names in {**KINDS, **FURTHER}.items():
        lines += [f"## {title}", ""]
        for name in names:
            lines += [*_entry(name), ""]
    return "\n".join(lines)


def _entry(name: str) -> Iterator[str]:
    """Yield the lines of a function, a class with its methods, or a module."""
    module, _, last = name.rpartition(".")
    found = getattr(import_module(module) if module else js, last)
    called = last if module else f"js.{name}"
    yield f"### `{called}`"
    yield ""
    if inspect.isfunction(found) or last in MADE:
        yield _signature(called, found)
    yield prose(inspect.getdoc(found) or "")
    if not inspect.isclass(found) or issubclass(found, Exception):
        return
    for method, value in _methods(found):
        yield ""
        yield f"#### `{last}.{method}`"
        yield ""
        if isinstance(value, classmethod):
            yield _signature(f"js.{last}.{method}", value.__func__)
        elif callable(value):
            yield _signature(f"{last.lower()}.{method}", value)
        yield prose(inspect.getdoc(value) or "")


def _methods(kind: type[Any]) -> list[tuple[str, Any]]:
    """Return the public methods and properties of a class and of its bases in this package."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("jaxsweep"):
            found.update({
                name: value for name, value in vars(base).items()
                if not name.startswith("_") and name not in INNER and inspect.getdoc(value)
                and isinstance(value, (FunctionType, classmethod, property, cached_property))
            })  # fmt: skip
    return list(found.items())


def _signature(called: str, found: Callable[..., Any]) -> str:
    """Return how something is called, as a block of code; one parameter a line, if it is long."""
    shown: list[str] = []
    for parameter in inspect.signature(found).parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        name = STARS.get(parameter.kind, "") + parameter.name
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        shown.append(name + default)
    line = f"{called}({', '.join(shown)})"
    if len(line) > WIDTH:
        line = textwrap.fill(line, WIDTH, subsequent_indent=" " * 4, break_long_words=False)
    return f"```py\n{line}\n```\n"


def prose(docstring: str) -> str:
    """Return a docstring as Markdown: its paragraphs, and its sections as lists."""
    first, *rest = SECTION.split(docstring)
    lines = [first.strip()]
    for head, body in zip(rest[::2], rest[1::2], strict=True):
        if head == "Returns":
            lines.append(f"**{WORDS[head]}**: {' '.join(body.split())}")
            continue
        lines.append(f"**{WORDS[head]}**")
        lines.append("\n".join(f"- `{name}`: {text}" for name, text in _named(body)))
    return "\n\n".join(lines)


def arguments(kind: type[Any]) -> dict[str, str]:
    """Return what the docstring of a class, or of its constructor, says of each argument."""
    for docstring in (inspect.getdoc(kind), inspect.getdoc(kind.__init__)):
        _, *rest = SECTION.split(docstring or "")
        found = dict(zip(rest[::2], rest[1::2], strict=True))
        if "Args" in found:
            return dict(_named(found["Args"]))
    return {}


def _named(body: str) -> list[tuple[str, str]]:
    """Return the names of a section, each with what is said of it in one line."""
    items = re.split(r"^(?=\S)", textwrap.dedent(body).strip("\n"), flags=re.MULTILINE)
    pairs = [item.partition(":") for item in items if item.strip()]
    return [(name.strip(), " ".join(text.split())) for name, _, text in pairs]


def command_line() -> str:
    """Return the help of every command."""
    os.environ["COLUMNS"] = str(WIDTH)  # which argparse asks for
    parser = make_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    blocks = [f"```text\n{parser.format_help().strip()}\n```"]
    for name, command in commands.choices.items():
        blocks.append(f"## `{name}`\n\n```text\n{command.format_help().strip()}\n```")
    return "\n\n".join(blocks)

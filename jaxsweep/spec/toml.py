"""The TOML form of a space, one to one: `learning_rate = { loguniform = [1e-4, 1e-1] }`.

| Python | TOML |
| --- | --- |
| `Uniform(a, b)` | `{ uniform = [a, b] }` |
| `LogUniform(a, b)` | `{ loguniform = [a, b] }` |
| `Int(1, 3)` | `{ int = [1, 3] }` |
| `Int(16, 1024, log=True)` | `{ int = [16, 1024], log = true }` |
| `Choice(["sgd", "adam"])` | `{ choice = ["sgd", "adam"] }` |
| `Constant(0.9, when=...)` | `{ value = 0.9, when = { optimizer = "sgd" } }` |
| a plain value | the value |

Any of them may have `when = { optimizer = "sgd", depth = [2, 3] }`.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxsweep.errors import RequestError, shown, suggestion
from jaxsweep.spec.distributions import (
    Choice,
    Constant,
    Distribution,
    Int,
    LogUniform,
    Uniform,
    condition_dict,
    plain,
)

_KINDS = ("uniform", "loguniform", "int", "choice", "value")
_KEYS = (*_KINDS, "log", "when")


def parse(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the distributions and plain values of a parsed [space] table; RequestError for what is not one."""
    if not isinstance(table, Mapping):
        raise RequestError(f"space = {shown(table)} is not a table: it must be like {{ depth = {{ int = [1, 3] }} }}")
    return {name: _entry(name, form) if isinstance(form, Mapping) else form for name, form in table.items()}


def _entry(name: str, form: Mapping[str, Any]) -> Distribution:
    for key in form:
        if key not in _KEYS:
            raise RequestError(f"{name}: unknown key {shown(key)}{suggestion(str(key), _KEYS)}")
    kinds = [key for key in _KINDS if key in form]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none of the forms"
        raise RequestError(f"{name} = {shown(dict(form))} has {found}: it must have exactly one of {', '.join(_KINDS)}")
    (kind,) = kinds
    when = form.get("when")
    if "log" in form and kind != "int":
        raise RequestError(f"{name}: log = {shown(form['log'])} goes with int only: for a float range use loguniform")
    if "when" in form and not (isinstance(when, Mapping) and when):
        raise RequestError(f"{name}: when = {shown(when)} is not a condition: it must be like {{ optimizer = 'sgd' }}")
    if kind == "choice":
        return Choice(form["choice"], when=when)
    if kind == "value":
        return Constant(form["value"], when=when)
    ends = form[kind]
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        raise RequestError(f"{name}: {kind} = {shown(ends)} is not a range: it must be [low, high]")
    low, high = ends
    if kind == "int":
        return Int(low, high, log=form.get("log", False), when=when)
    return Uniform(low, high, when=when) if kind == "uniform" else LogUniform(low, high, when=when)


def _form(entry: Distribution) -> Any:
    when = condition_dict(entry.when)
    form: dict[str, Any]
    if isinstance(entry, Constant):
        if not when:
            return plain(entry.value)
        form = {"value": plain(entry.value)}
    elif isinstance(entry, Choice):
        form = {"choice": plain(entry.values)}
    elif isinstance(entry, Int):
        form = {"int": [entry.low, entry.high]} | ({"log": True} if entry.log else {})
    else:
        assert isinstance(entry, (Uniform, LogUniform))
        form = {type(entry).__name__.lower(): [entry.low, entry.high]}
    return form | ({"when": when} if when else {})


def lines(entries: Mapping[str, Distribution]) -> list[str]:
    """Return the [space] section as TOML text, one line an entry, without the header; `parse` reads it back."""
    return [f"{name} = {toml_text(_form(entry))}" for name, entry in entries.items()]


def toml_text(value: Any) -> str:
    """Return a value of a table as TOML text: strings, booleans, numbers, lists and inline tables."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml_text(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_text(item) for item in value) + "]"
    if isinstance(value, str):  # JSON's escapes are TOML's, but for surrogate pairs and for DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)

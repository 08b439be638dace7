"""The user's own functions on record: their names and fingerprints, and how they are given again.

A record has a row for each: `role` (activation, loss or metric), `name`, `function` (module and qualified name), of a
metric its `direction`, and `fingerprint`, a hash of its code and of all that this names; empty where a hash cannot tell
(code that imports as it runs). It is no promise that a function is the same, but it tells one that was changed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jaxsweep.errors import RequestError, shown, suggestion
from jaxsweep.spec.own import ROLES, Own, OwnMetric, home_of, takes_weights

Row = dict[str, Any]
_KEYS = {"role", "name", "fingerprint"}
Owns = dict[str, dict[str, Own]]  # by role and name


def row_of(role: str, own: Own) -> Row:
    """Return the row of a function."""
    row = {"role": role, "name": str(own), "function": "", "fingerprint": own.fingerprint}
    if own.function is not None:
        row |= {"function": home_of(own.function), "fingerprint": fingerprint_of(own.function)}
    return row | ({"direction": "maximize" if own.maximize else "minimize"} if isinstance(own, OwnMetric) else {})


def rows_of(config: Mapping[str, Any]) -> list[Row]:
    """Return the rows of the functions in a config."""
    return [row_of(role, config[role]) for role in ROLES if isinstance(config.get(role), Own)]


def fingerprint_of(function: Callable[..., Any]) -> str:
    """Return the hash of a function's code and of all that it names, or "" if that would never be the same again."""
    from jaxsweep.engine import fingerprint  # with JAX

    found = fingerprint.of(function)
    return found if found == fingerprint.of(function) else ""


def checked_rows(rows: Any) -> list[Row]:
    """Return the rows of a record, or raise ValueError if they are none."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() >= _KEYS for row in rows):
        raise ValueError(f"functions = {shown(rows)}: it must be a list of objects with {', '.join(sorted(_KEYS))}")
    return rows


def recalled(rows: Sequence[Row], functions: Mapping[str, Callable[..., Any]] | None, where: str) -> Owns:
    """Return the functions of a record by role and name, with those that are given again.

    Args:
        rows: of the record, as `checked_rows` gives them.
        functions: by name, or by `role:name` where two have the same.
        where: what was read, as errors call it.

    Raises:
        RequestError: something is given that the record does not name, that is no function, or that has changed.
    """
    given = dict(functions or {})
    known: Owns = {}
    used = set()
    for row in rows:
        role, name, mark = (str(row[key]) for key in ("role", "name", "fingerprint"))
        key = next((key for key in (f"{role}:{name}", name) if key in given), None)
        function = None if key is None else _checked(given[key], name, mark, where)
        used.add(key)
        own = Own(name, function, mark)
        if role == "metric":
            weighted = function is not None and takes_weights(function)
            own = OwnMetric(name, function, mark, row.get("direction") != "minimize", weighted)
        known.setdefault(role, {})[name] = own
    for key in given:
        if key not in used:
            names = [name for several in known.values() for name in several]
            hint = suggestion(str(key), names) if names else ", which has none"
            raise RequestError(f"functions has {shown(key)}, which is no function of {where}{hint}")
    return known


def _checked(function: Any, name: str, mark: str, where: str) -> Callable[..., Any]:
    if isinstance(function, Own):
        function = function.function
    if not callable(function):
        raise RequestError(f"functions[{name!r}] = {shown(function)} is no function: it must be that of {where}")
    new: Callable[..., Any] = function
    if mark and (found := fingerprint_of(new)) and found != mark:
        raise RequestError(
            f"{name} is not the function that {where} was trained with: its fingerprint is {found[:12]}, and was "
            f"{mark[:12]}, so that its code, something that this names, or the version of Python has changed"
        )
    return new


def given(known: Owns) -> dict[str, Callable[..., Any]]:
    """Return functions of a record as `recalled` takes them."""
    return {
        f"{role}:{name}": own.function
        for role, several in known.items()
        for name, own in several.items()
        if own.function is not None
    }


def put(table: Mapping[str, Any], known: Owns) -> dict[str, Any]:
    """Return the tables of a sweep file with the functions in place of their names."""
    new = dict(table)
    if isinstance(new.get("space"), Mapping):
        new["space"] = {name: _form(name, form, known) for name, form in new["space"].items()}
    if isinstance(new.get("configs"), list):
        new["configs"] = [put_in_config(config, known) for config in new["configs"]]
    if isinstance(new.get("sweep"), Mapping) and "initial" in new["sweep"]:
        new["sweep"] = {**new["sweep"], "initial": [put_in_config(config, known) for config in new["sweep"]["initial"]]}
    return new


def put_in_config(config: Mapping[str, Any], known: Owns) -> dict[str, Any]:
    """Return a config with the functions in place of their names."""
    return {name: _value(value, known.get(name)) for name, value in config.items()}


def _form(name: str, form: Any, known: Owns) -> Any:
    if not isinstance(form, Mapping):
        return _value(form, known.get(name))
    new = {key: _value(part, known.get(name)) if key in ("choice", "value") else part for key, part in form.items()}
    if isinstance(new.get("when"), Mapping):
        new["when"] = put_in_config(new["when"], known)
    return new


def _value(value: Any, names: Mapping[str, Own] | None) -> Any:
    if not names:
        return value
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_value(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value

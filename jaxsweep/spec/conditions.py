"""Conditions between the entries of a space: what `when` may say, and in which order entries are decided.

An entry is active if every entry that its `when` names is active and has one of the values named. Spelled out
through all parents (`requirements`), that is one set of allowed values for each ancestor, so whether an entry
can be active at all, or together with a value of another, is a question of sets and is answered exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jaxsweep.errors import RequestError, shown, suggestion
from jaxsweep.spec import own
from jaxsweep.spec.distributions import Choice, Constant, Distribution, Int, LogUniform, Uniform, hashable, plain
from jaxsweep.spec.hyperparameters import lookup

Entries = Mapping[str, Distribution]
Requirements = dict[str, frozenset[Any]]  # allowed values of each ancestor


def checked_conditions(entries: dict[str, Distribution]) -> dict[str, Distribution]:
    """Return `entries` with every condition checked and its values in their plain types.

    Raises:
        RequestError: a condition on something absent or continuous, on a value that is never taken, in a circle, or
            one that contradicts those of its parents.
    """
    checked: dict[str, Distribution] = {}
    for name, entry in entries.items():
        unchecked: Any = entry  # each distribution is a dataclass, which their base class cannot say
        if entry.when is None:
            checked[name] = entry
        else:
            checked[name] = replace(unchecked, when=_checked_when(name, entry.when, entries))
    evaluation_order(checked)
    for name in checked:
        for parent, allowed in requirements(checked, name).items():
            if not allowed:
                raise RequestError(
                    f"{name} can never be active: its condition and those of its parents ask for different values "
                    f"of {parent}, so drop one of them"
                )
    return checked


def _checked_when(name: str, when: Any, entries: Entries) -> dict[str, tuple[Any, ...]]:
    if not isinstance(when, Mapping):
        raise RequestError(f"{name}: when = {shown(when)} is not a condition: it must be like {{'optimizer': 'sgd'}}")
    checked = {parent: _checked_values(name, parent, values, entries) for parent, values in when.items()}
    return {parent: checked[parent] for parent in entries if parent in checked}


def _checked_values(name: str, parent: str, values: tuple[Any, ...], entries: Entries) -> tuple[Any, ...]:
    if parent not in entries:
        others = [other for other in entries if other != name]
        raise RequestError(
            f"{name}: its condition names {parent!r}, which the space lacks{suggestion(str(parent), others)}"
        )
    entry = entries[parent]
    if isinstance(entry, (Uniform, LogUniform)):
        raise RequestError(
            f"{name}: its condition names {parent} = {entry!r}, a continuous range that meets no single value: "
            f"make {parent} a Choice or an Int"
        )
    if not values:
        raise RequestError(f"{name}: its condition on {parent} lists no values: it must be {entry.words()}")
    row = lookup(parent)
    values = tuple(own.found(plain(value), named_values(entry)) for value in values)
    legal = tuple(hashable(row.check(value)) for value in values)
    for value, given in zip(legal, values, strict=True):
        try:
            if isinstance(value, own.Own) and not isinstance(given, own.Own):
                raise LookupError(value)  # another function, however it is called
            entry.codes_from_values([value])
        except LookupError:
            raise RequestError(
                f"{name}: its condition {parent} = {plain(value)!r} never holds: {parent} is {entry.words()}"
            ) from None
    return tuple(dict.fromkeys(legal))


def named_values(entry: Distribution) -> Sequence[Any]:
    """Return the values that an entry names, none of a range."""
    return entry.values if isinstance(entry, Choice) else (entry.value,) if isinstance(entry, Constant) else ()


def parents(entry: Distribution) -> Mapping[str, tuple[Any, ...]]:
    """Return the checked condition of `entry`: the allowed values by parent."""
    return entry.when or {}


def active(entries: Entries, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the entries whose conditions hold in a config that has a value for each, parents before children."""
    on: dict[str, None] = {}
    for name in evaluation_order(entries):
        if all(parent in on and hashable(config[parent]) in legal for parent, legal in parents(entries[name]).items()):
            on[name] = None
    return tuple(on)


def evaluation_order(entries: Entries) -> tuple[str, ...]:
    """Return the names with every parent before its children; raise RequestError for a circle."""
    order: dict[str, None] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join((*path[path.index(name) :], name))
            raise RequestError(f"conditions go in a circle, {circle}: drop one of them")
        if name not in order:
            for parent in parents(entries[name]):
                visit(parent, (*path, name))
            order[name] = None

    for name in entries:
        visit(name, ())
    return tuple(order)


def requirements(entries: Entries, *names: str) -> Requirements:
    """Return the values that each ancestor may have where all of `names` are active."""
    allowed: Requirements = {}
    for name in names:
        for parent, values in parents(entries[name]).items():
            _narrow(allowed, parent, frozenset(values))
            for ancestor, above in requirements(entries, parent).items():
                _narrow(allowed, ancestor, above)
    return allowed


def _narrow(allowed: Requirements, name: str, values: frozenset[Any]) -> None:
    allowed[name] = allowed[name] & values if name in allowed else values


def check_width_lists(entries: Entries) -> None:
    """Refuse a list of widths that can meet another depth, or a `width_shape` other than constant.

    Where depth is absent from a config it follows from the list, so a space may leave depth out, or make it
    conditional on the widths that are single numbers.
    """
    width = entries.get("width")
    options = width.values if isinstance(width, Choice) else (width.value,) if isinstance(width, Constant) else ()
    for option in options:
        if not isinstance(option, tuple):
            continue
        shown = plain(option)
        if (depth := _other_value(entries, option, "depth", len(option))) is not None:
            raise RequestError(
                f"width = {shown} has {len(option)} entries but can meet depth = {depth}: leave depth out (it follows "
                f"from the list), or give width the condition when={{'depth': {len(option)}}}"
            )
        if (shape := _other_value(entries, option, "width_shape", "constant")) is not None:
            raise RequestError(
                f"width = {shown} can meet width_shape = {shape!r}: a list of widths goes with width_shape = "
                "'constant' only"
            )


def _other_value(entries: Entries, width: tuple[int, ...], name: str, right: Any) -> Any:
    """Return a value of entry `name` other than `right` that is possible together with `width`, or None."""
    if name not in entries:
        return None
    allowed = requirements(entries, "width", name)
    _narrow(allowed, "width", frozenset([width]))
    if not all(allowed.values()):
        return None
    entry = entries[name]
    possible = range(entry.low, entry.high + 1) if isinstance(entry, Int) else getattr(entry, "values", None)
    values = possible if possible is not None else (entry.value,) if isinstance(entry, Constant) else ()
    return next((value for value in values if value != right and value in allowed.get(name, values)), None)

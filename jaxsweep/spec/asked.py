"""Which batch size a config was asked for, of one that is resolved: that is cut to the rows that there are.

On 90 rows 'full', 128 and 500 are all trained as 90, and conditions speak of what was asked for. A resolved config does
not say which it was, but its other values do: what an active entry has lies in its range, and what an inactive one has
is the default.
"""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

from jaxsweep.spec.conditions import Entries, evaluation_order, parents
from jaxsweep.spec.distributions import Choice, Constant, Int, has, hashable
from jaxsweep.spec.hyperparameters import Config, defaults


def as_asked(entries: Entries, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a resolved config with the batch size that it was asked for, as far as its values tell."""
    if not isinstance(size := config.get("batch_size"), int):
        return config
    return _with_best(entries, config, _candidates(entries, size), defaults(config["optimizer"]))


def as_listed(entries: Entries, config: Mapping[str, Any], resolve: Callable[[Config], Config]) -> Mapping[str, Any]:
    """Return a part of a config with the batch size that the space has for the rows it names, such as 'full' for all.

    Args:
        entries: of the space.
        config: values by name.
        resolve: makes a config whole, as it is trained on the data.
    """
    if not isinstance(size := config.get("batch_size"), Integral):
        return config
    same = [each for each in _candidates(entries, int(size)) if resolve({"batch_size": each})["batch_size"] == size]
    return _with_best(entries, config, same, resolve({}))


def _with_best(
    entries: Entries, config: Mapping[str, Any], sizes: Sequence[Any], default: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return a config with the first of the sizes with which the fewest of its values are out of place."""
    if not sizes:
        return config
    several = [{**config, "batch_size": size} for size in sizes]
    if len(several) == 1 or not any("batch_size" in parents(entry) for entry in entries.values()):
        return several[0]
    return min(several, key=lambda each: _misplaced(entries, each, default))


def _candidates(entries: Entries, size: int) -> list[Any]:
    """Return the values of a space's `batch_size` that rows may have cut to `size`: itself first, 'full' last.

    Of a range these are, of those above, the ones that conditions name, and one that none names.
    """
    entry = entries.get("batch_size")
    if isinstance(entry, (Choice, Constant)):
        values = entry.values if isinstance(entry, Choice) else (entry.value,)
        larger = [value for value in values if value != "full" and value > size]
        return [*([size] if size in values else []), *larger, *(["full"] if "full" in values else [])]
    if not isinstance(entry, Int):
        return []
    named = {value for other in entries.values() for value in parents(other).get("batch_size", ())}
    above = range(max(entry.low, size + 1), entry.high + 1)
    unnamed = next((value for value in above if value not in named), None)
    return [
        *([size] if entry.low <= size <= entry.high else []),
        *([] if unnamed is None else [unnamed]),
        *sorted(value for value in named if value in above),
    ]


def _misplaced(entries: Entries, config: Mapping[str, Any], default: Mapping[str, Any]) -> int:
    """Return how many values of a config cannot be: outside an active entry, or of an inactive one not the default."""
    active, wrong = dict[str, Any](), 0
    for name in evaluation_order(entries):
        entry = entries[name]
        if all(parent in active and hashable(active[parent]) in legal for parent, legal in parents(entry).items()):
            active[name] = config.get(name, entry.value if isinstance(entry, Constant) else default[name])
            wrong += not has(entry, active[name])
        else:
            wrong += name in config and default[name] is not None and config[name] != default[name]
    return wrong

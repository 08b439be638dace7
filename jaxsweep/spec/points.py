"""Configs that no searcher proposed, as points of a space: written by hand, or trained by an earlier sweep."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxsweep.errors import RequestError
from jaxsweep.spec import scope
from jaxsweep.spec.conditions import evaluation_order, parents
from jaxsweep.spec.distributions import Constant, Distribution, hashable, plain
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, Config, check_together, lookup
from jaxsweep.spec.space import Space
from jaxsweep.spec.swept import acts

Resolve = Callable[[Config], Config]


def completed(space: Space, config: Mapping[str, Any], resolve: Resolve) -> Config:
    """Return a config that somebody wrote as a point of the space, with what it leaves out.

    An active entry that is left out has its constant, or its default where the space has that, or any value where none
    has an effect: what is written is what is trained, whatever the seed. (Optuna's `enqueue_trial` would draw it.) So
    `Trial.params` of a sweep of this space are a config of it.

    Args:
        space: what is searched.
        config: values by name, of entries of the space alone.
        resolve: makes a config whole, with the defaults that follow from the data.

    Raises:
        RequestError: a name that the space lacks, a value outside it, an entry whose condition fails, or one that is
            left out though its default lies outside.
    """
    for name in config:
        lookup(name)
    config = _as_listed(space, config, resolve)
    for name, value in config.items():
        space.check_value(name, value)
    given = {name: HYPERPARAMETERS[name].check(plain(value)) for name, value in config.items()}
    constants = {name: plain(entry.value) for name, entry in space.entries.items() if isinstance(entry, Constant)}
    fixed = {name: value for name, value in constants.items() if not parents(space.entries[name])}
    size = HYPERPARAMETERS["batch_size"].default  # not as it is cut to the rows that there are
    known = {**resolve({**fixed, **given}), "batch_size": size, **constants, **given}
    whole = {**active_part(space, known), **given}
    for name, value in whole.items():
        if not holds(space, name, value) and not acts(name, known):
            whole[name] = _any_value(space.entries[name])  # none would change what is trained
        elif not holds(space, name, value):
            raise RequestError(
                f"{name} is left out, and its default {value!r} is outside the space: "
                f"give it as {space.entries[name].words()}"
            )
    space.check(whole)
    return {name: whole[name] for name in space.entries if name in whole}


def all_completed(configs: Sequence[Mapping[str, Any]], space: Space, resolve: Resolve) -> tuple[Config, ...]:
    """Return the configs that come first as points of the space; RequestError as `completed`."""
    found = []
    for number, config in enumerate(configs):
        try:
            found.append(completed(space, config, resolve))
            check_together(resolve(found[-1]))
        except RequestError as error:
            raise RequestError(f"initial[{number}]: {error}") from None
    return tuple(found)


def active_part(space: Space, config: Mapping[str, Any]) -> Config:
    """Return the part of a config that the entries of a space decide: those whose conditions hold in it.

    Whether its values are possible is another matter (`Space.check`). `config` must have every entry of the space.
    """
    part: Config = {}
    for name in evaluation_order(space.entries):
        conditions = parents(space.entries[name]).items()
        if all(parent in part and hashable(part[parent]) in legal for parent, legal in conditions):
            part[name] = config[name]
    return {name: part[name] for name in space.entries if name in part}


def holds(space: Space, name: str, value: Any) -> bool:
    """Return whether an entry of a space can have a value."""
    try:
        space.entries[name].codes_from_values([value])
    except LookupError:
        return False
    return True


def _any_value(entry: Distribution) -> Any:
    """Return the value of an entry in the middle of its range."""
    return entry.values_from_codes(entry.codes_from_unit(np.array([0.5])))[0]


def _as_listed(space: Space, config: Mapping[str, Any], resolve: Resolve) -> Mapping[str, Any]:
    """Return a config with the batch size that the space has for the rows it names, such as 'full' for all of them."""
    listed = _listed_sizes(space, config.get("batch_size"), resolve)
    return {**config, "batch_size": listed[0]} if listed else config


def _listed_sizes(space: Space, size: Any, resolve: Resolve) -> list[Any] | None:
    """Return the batch sizes of a space that are so many rows; None where it holds the size or lists none."""
    entry = space.entries.get("batch_size")
    values = None if entry is None or size is None or holds(space, "batch_size", size) else scope.possible(entry)
    return None if values is None else [each for each in values if resolve({"batch_size": each})["batch_size"] == size]


def point_or_reason(space: Space, config: Config, resolve: Resolve) -> Config | str:
    """Return the point of the space that a resolved config is, or the first hyperparameter that makes it none.

    That one has a value that the space has not, or is not in the space and has an effect that its default has not.
    """
    part = active_part(space, _unresolved(space, config, resolve))
    if (outside := next((name for name, value in part.items() if not holds(space, name, value)), None)) is not None:
        return outside
    full = resolve(part)
    differs = (name for name in HYPERPARAMETERS if name not in part and full[name] != config[name] and acts(name, full))
    return next(differs, part)


def _unresolved(space: Space, config: Config, resolve: Resolve) -> Config:
    """Return a resolved config with the batch size that the space has for it: 'full', or one that was cut."""
    listed = _listed_sizes(space, config["batch_size"], resolve)
    if listed is None:
        return config
    return {**config, "batch_size": next(iter(listed), "full")}  # on other data 'full' was another number

"""Configs that no searcher proposed, as points of a space: written by hand, or trained by an earlier sweep."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxsweep.errors import RequestError
from jaxsweep.spec.asked import as_asked, as_listed
from jaxsweep.spec.conditions import active, parents
from jaxsweep.spec.distributions import Constant, Distribution, has, plain
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
    config = as_listed(space.entries, config, resolve)
    for name, value in config.items():
        space.check_value(name, value)
    given = {name: HYPERPARAMETERS[name].check(plain(value)) for name, value in config.items()}
    constants = {name: plain(entry.value) for name, entry in space.entries.items() if isinstance(entry, Constant)}
    fixed = {name: value for name, value in constants.items() if not parents(space.entries[name])}
    size = HYPERPARAMETERS["batch_size"].default  # not as it is cut to the rows that there are
    known = {**resolve({**fixed, **given}), "batch_size": size, **constants, **given}
    whole = {**active_part(space, known), **given}
    for name, value in whole.items():
        if not has(space.entries[name], value) and not acts(name, known):
            whole[name] = _any_value(space.entries[name])  # none would change what is trained
        elif not has(space.entries[name], value):
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
    on = active(space.entries, config)
    return {name: config[name] for name in space.entries if name in on}


def _any_value(entry: Distribution) -> Any:
    """Return the value of an entry in the middle of its range."""
    return entry.values_from_codes(entry.codes_from_unit(np.array([0.5])))[0]


def point_or_reason(space: Space, config: Config, resolve: Resolve) -> Config | str:
    """Return the point of the space that a resolved config is, or the first hyperparameter that makes it none.

    That one has a value that the space has not, or is not in the space and has an effect that its default has not.
    """
    asked = as_asked(space.entries, config)
    size = asked["batch_size"]
    if size != config["batch_size"] != resolve({"batch_size": size})["batch_size"]:
        asked = {**config, "batch_size": "full"}  # which was another number on other data
    part = active_part(space, asked)
    outside = [name for name, value in part.items() if not has(space.entries[name], value)]
    if outside:
        return outside[0]
    full = resolve(part)
    differs = (name for name in HYPERPARAMETERS if name not in part and full[name] != config[name] and acts(name, full))
    return next(differs, part)

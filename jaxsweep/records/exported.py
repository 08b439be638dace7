"""Whatever was exported, read again: a network, or an ensemble of several."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxsweep.errors import RequestError, shown, suggestion
from jaxsweep.records.ensemble import ENSEMBLE, MOST, Ensemble
from jaxsweep.records.model import DESCRIPTION, WEIGHTS, Model
from jaxsweep.records.model import load_model as load_network
from jaxsweep.spec import arguments, documents
from jaxsweep.spec.own import Own, name_of


def load_model(
    directory: str | os.PathLike[str],
    *,
    activation: Callable[..., Any] | Mapping[str, Callable[..., Any]] | None = None,
) -> Model | Ensemble:
    """Return the network that `Model.save` wrote, or the ensemble of several that `Ensemble.save` did.

    Args:
        directory: of the network.
        activation: the function, if the activation of a network is one of your own, of which the folder has the name
            alone; without, it can be looked at and cannot predict. Of an ensemble with several such a dict of them.

    Raises:
        RequestError: the folder is no exported network, or a broken one; or an activation is not that of a network.
    """
    folder = arguments.path("directory", directory)
    if not os.path.lexists(folder / ENSEMBLE):
        if not isinstance(activation, Mapping):
            return load_network(folder, activation=activation)
        return _with_activations(folder, {folder: load_network(folder)}, activation)[0]
    try:
        weights = _weights(folder)
    except (OSError, ValueError) as error:
        raise RequestError(f"{folder} is a broken exported ensemble: {error}") from error
    paths = [folder / str(number) for number in range(len(weights))]
    members = [load_network(path) for path in paths]
    first = members[0].preprocessor.to_json()
    for number, model in enumerate(members):
        same = model.task == members[0].task and model.preprocessor.to_json() == first
        if not same or (model.header, model.table) != (members[0].header, members[0].table):
            raise RequestError(
                f"{folder} is a broken exported ensemble: its network {number} was trained on other data than the first"
            )
    loaded = dict(zip(paths, members, strict=True))
    return Ensemble(tuple(_with_activations(folder, loaded, activation)), tuple(weights))


def _weights(folder: Path) -> list[int]:
    """Return how often each network of an ensemble counts; ValueError if that is not said, or something is a link."""
    if (folder / ENSEMBLE).is_symlink():
        raise ValueError(f"{ENSEMBLE} is a link, which no exported ensemble has")
    document = documents.json_value(documents.text_of(folder / ENSEMBLE))
    weights = document.get("weights") if isinstance(document, dict) else None
    if not isinstance(weights, list) or not 0 < len(weights) <= MOST:
        raise ValueError(f"{ENSEMBLE} has no list of 1 to {MOST:,} weights")
    for number, weight in enumerate(weights):
        if type(weight) is not int or not 0 < weight <= MOST:
            raise ValueError(f"weight {number} = {shown(weight)}: it must be an integer in [1, {MOST}]")
        for path in (folder / str(number), *(folder / str(number) / name for name in (DESCRIPTION, WEIGHTS))):
            if path.is_symlink():
                raise ValueError(f"{path.relative_to(folder)} is a link, which no exported ensemble has")
    return weights


def _with_activations(folder: Path, loaded: Mapping[Path, Model], activation: Any) -> list[Model]:
    """Return networks, by their folders, with the activations of the user's own that are given again.

    Args:
        folder: where all of them are, as errors call it.
        loaded: the networks without.
        activation: a function, functions by name, or None.
    """
    own = {path: str(name) for path, model in loaded.items() if isinstance(name := model.config["activation"], Own)}
    names = sorted(set(own.values()))
    if activation is not None and not isinstance(activation, Mapping):
        if len(names) > 1:
            listed = ", ".join(f"{name!r}: ..." for name in names)
            raise RequestError(f"{folder} has {len(names)} activations of your own: give activation={{{listed}}}")
        activation = {names[0] if names else name_of(activation): activation}
    given = dict(activation or {})
    for name in given:
        if name not in names:
            hint = suggestion(str(name), names) if names else ", which has none"
            raise RequestError(f"activation has {shown(name)}, which is no function of {folder}{hint}")
    return [
        load_network(path, activation=given[own[path]]) if own.get(path) in given else model
        for path, model in loaded.items()
    ]

"""Arguments of public functions, taken as what they must be or refused in a sentence."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxsweep.errors import RequestError, shown

_LONGEST = 255  # bytes of a file's name on most systems


def path(name: str, value: Any) -> Path:
    """Return a path, or raise RequestError if no file can have it."""
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise RequestError(f"{name} = {shown(value)} is not legal: it must be a path, such as 'runs/a'")
    found = Path(text)
    if any(len(os.fsencode(part)) > _LONGEST for part in found.parts):
        raise RequestError(f"{name} = {shown(text)} is not legal: a file's name has at most {_LONGEST} bytes")
    return found


def paths(name: str, value: Any) -> tuple[str, ...]:
    """Return one path or several, each once; None is none; RequestError for what is no path."""
    if value is None:
        return ()
    several = [value] if isinstance(value, (str, os.PathLike)) else value
    if isinstance(several, (bytes, Mapping)) or not isinstance(several, Iterable) or getattr(several, "ndim", 1) != 1:
        raise RequestError(f"{name} = {shown(value)} is not legal: it must be a list of paths, such as ['runs/a']")
    return tuple(dict.fromkeys(str(path(f"{name}[{number}]", each)) for number, each in enumerate(several)))


def whole(name: str, value: Any, least: int = 0, most: int = 2**63 - 1) -> int:
    """Return an integer in [least, most], or raise RequestError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
        range_ = f"in [{least}, {most}]" if most < 2**63 - 1 else f"of at least {least}, and below 2**63"
        raise RequestError(f"{name} = {shown(value)} is not legal: it must be an integer {range_}")
    return int(value)


def flag(name: str, value: Any) -> bool:
    """Return a truth value, or raise RequestError."""
    if not isinstance(value, (bool, np.bool_)):
        raise RequestError(f"{name} = {shown(value)} is not legal: it must be true or false")
    return bool(value)


def word(name: str, value: Any, example: str) -> str:
    """Return a word, or raise RequestError that gives an example."""
    if not isinstance(value, str):
        raise RequestError(f"{name} = {shown(value)} is not legal: it must be a name, such as {example!r}")
    return value


def config(name: str, value: Any) -> Mapping[str, Any]:
    """Return a config, or raise RequestError."""
    if not isinstance(value, Mapping):
        raise RequestError(f"{name} = {shown(value)} is not a config: it must be a dict such as {{'depth': 2}}")
    return value


def functions(value: Any) -> Mapping[str, Any] | None:
    """Return functions by name, or raise RequestError for what has no names."""
    if not isinstance(value, Mapping | None):
        raise RequestError(f"functions = {shown(value)} is not legal: it must be like {{'sin': jnp.sin}}")
    return value


def configs(value: Any, name: str = "configs") -> Sequence[Mapping[str, Any]]:
    """Return a list of configs, or raise RequestError."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) != 1:
        raise RequestError(f"{name} = {shown(value)} is not a list of configs: it must be like [{{'depth': 2}}]")
    return [config(f"{name}[{number}]", each) for number, each in enumerate(value)]


def floats(name: str, value: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return an array of floats, or raise RequestError."""
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise RequestError(f"{name} = {shown(value)} is not legal: it must be an array of numbers") from None


def scores(value: Any, objectives: int = 1) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return scores [configs], or [configs, objectives] of several objectives, or raise RequestError."""
    listed = not isinstance(value, (str, bytes, Mapping)) and isinstance(value, Iterable)
    found = floats("scores", list(value)) if listed and getattr(value, "ndim", 1) in (1, 2) else None
    if objectives > 1:
        if found is not None and not found.size:
            return found.reshape(0, objectives)
        if found is None or found.ndim != 2 or found.shape[1] != objectives:
            raise RequestError(f"scores = {shown(value)} is not legal: it must be a list of {objectives} numbers each")
    elif found is None or found.ndim != 1:
        raise RequestError(f"scores = {shown(value)} is not legal: it must be a list of numbers")
    return found

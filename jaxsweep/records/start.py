"""The weights that a sweep's networks start with: from an exported network, and as a file of the run directory."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as tensors_as_bytes

from jaxsweep.data.start import Start
from jaxsweep.errors import RequestError
from jaxsweep.records.model import Model, load_model
from jaxsweep.records.rundir import START

STATS = ("mean", "var")  # of a normalization: everything else is a parameter


def start_of(model: Model) -> Start:
    """Return what others take from a network."""
    return Start(*({k: dict(v) for k, v in tree.items()} for tree in (model.params, model.stats)))


def exported_start(path: str) -> Start:
    """Return the weights of an exported network; RequestError if that is none."""
    try:
        return start_of(load_model(path))
    except RequestError as error:
        raise RequestError(f"start_from = {path!r}: {error}") from error


def start_bytes(start: Start) -> bytes:
    """Return the content of the file in which a run directory keeps them."""
    tensors = {
        f"{layer}/{name}": np.ascontiguousarray(array)
        for tree in (start.params, start.stats)
        for layer, arrays in tree.items()
        for name, array in arrays.items()
    }
    return tensors_as_bytes(tensors)


def kept_start(folder: Path, fingerprint: Any) -> Start:
    """Return the weights that a run directory keeps; RequestError if they are not there, or are others."""
    path = folder / START
    try:
        tensors = load_file(os.fspath(path))
        trees: tuple[dict[str, dict[str, Any]], ...] = ({}, {})
        for key, array in tensors.items():
            layer, _, name = key.partition("/")
            if array.dtype not in (np.float32, np.float64) or array.ndim != (2 if name == "kernel" else 1):
                raise ValueError(f"{key} is {array.dtype} {list(array.shape)}")
            trees[name in STATS].setdefault(layer, {})[name] = array
        start = Start(*trees)
        if start.fingerprint != fingerprint:
            raise ValueError("they are not what was recorded")
    except (OSError, ValueError, SafetensorError, TypeError, AttributeError) as error:
        raise RequestError(f"{path} does not hold the weights that the run started with: {error}") from error
    return start

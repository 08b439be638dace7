"""The space that is searched when a request names none."""

import math
from collections.abc import Mapping
from typing import Any


def default_space(rows: int | None = None) -> dict[str, Any]:
    """Return the default [space] table for a training part of about `rows` rows (None: unknown, so not small).

    Its few shapes make few programs; everything else that differs costs no compilation.
    """
    return {
        "depth": {"int": [1, 2]},
        "width": {"choice": [32, 64, 128]},
        "activation": {"choice": ["relu", "tanh"]},
        "init": {"choice": ["glorot_uniform", "he_normal"]},
        "optimizer": {"choice": ["sgd", "adam", "rmsprop"]},
        "momentum": {"uniform": [0.0, 0.99], "when": {"optimizer": "sgd"}},
        "learning_rate": {"loguniform": [1e-4, 1e-1]},
        "schedule": {"choice": ["constant", "cosine"]},
        "batch_size": _batch_size(rows),
        "epochs": 20,
        "dropout": {"uniform": [0.0, 0.5]},
        "l2": {"loguniform": [1e-6, 1e-2]},
    }


def adapted_space(overrides: Mapping[str, Any], rows: int | None = None) -> dict[str, Any]:
    """Return the default [space] table with `overrides`, without what these make impossible.

    Who sets `optimizer = "adam"` did not write the default's momentum, and must not be told to remove it.
    """
    table = {**default_space(rows), **overrides}
    for name, entry in default_space().items():
        if name in overrides or not isinstance(entry, dict):
            continue
        for parent, value in entry.get("when", {}).items():
            possible = _possible(table[parent])
            if possible is not None and value not in possible:
                del table[name]
    if isinstance(overrides.get("width"), list) and "depth" not in overrides:
        del table["depth"]  # a list of widths says how deep the network is
    return table


def _possible(form: Any) -> list[Any] | None:
    """Return the values that a TOML form can have, None if that is for others to find out."""
    if not isinstance(form, dict):
        return [form]
    choice = form.get("choice")
    return choice if isinstance(choice, list) else [form["value"]] if "value" in form else None


def _batch_size(rows: int | None) -> int:
    """Return a power of two: 64, up to 512 where there are very many rows, at most half of them where there are few."""
    if rows is None or rows < 2:
        return 64 if rows is None else 1
    usual = min(max(2 ** round(math.log2(rows / 100)), 64), 512)
    return int(min(usual, 2 ** int(math.log2(rows / 2))))

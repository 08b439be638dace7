"""What people give a space in place of a distribution, and the distribution that they may have meant."""

import math
import warnings
from typing import Any

import numpy as np

from jaxsweep.data.unknown import frames_to_user
from jaxsweep.spec.distributions import plain
from jaxsweep.spec.hyperparameters import Hyperparameter

_SHOWN = 8  # values of a collection that a sentence repeats
_DECADE = 10  # ends that are so many times apart are rather meant on a log scale


def meant(row: Hyperparameter, value: Any) -> str | None:
    """Return the distribution that a value stands for, such as `js.Choice(['sgd', 'adam'])`, or None if for none.

    Collections stand for choices, a pair of numbers or a `range` for a range, and SciPy's distributions for the
    package's own. A list of widths is itself a value.
    """
    if hasattr(value, "dist") and hasattr(value, "support"):
        return _of_scipy(value)
    if row.kind == "widths" and isinstance(value, (list, tuple)):
        return None
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=repr)
    if not isinstance(value, (list, tuple, range)) or not value:
        return None
    whole = row.kind in ("int", "widths", "batch")
    if isinstance(value, range) and value.step == 1 and whole:
        return f"js.Int({value[0]}, {value[-1]})"
    if isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value)):
        low, high = value
        if whole and low < high:
            return f"js.Int({low}, {high})"
        if row.kind == "float" and low < high:
            return f"js.LogUniform({low}, {high})" if 0 < low * _DECADE <= high else f"js.Uniform({low}, {high})"
    more = ", ..." if len(value) > _SHOWN else ""
    return f"js.Choice([{', '.join(map(repr, value[:_SHOWN]))}{more}])"


def warn_of_widths(value: Any) -> None:
    """Warn of what may have been meant by a list of several widths, which is one network."""
    words = plain(value)
    count = {2: "two", 3: "three", 4: "four"}.get(len(words), str(len(words)))
    warnings.warn(
        f"width = {words} means a network of {count} hidden layers with these widths; Choice({words}) tries each (with "
        f"depth = {len(words)}, or as Constant({words}), it is taken as meant)",
        UserWarning, stacklevel=frames_to_user(),
    )  # fmt: skip


def _of_scipy(value: Any) -> str:
    name = getattr(value.dist, "name", "")
    low, high = (float(end) for end in value.support())
    if math.isfinite(low) and math.isfinite(high):
        if name in ("loguniform", "reciprocal"):
            return f"js.LogUniform({low}, {high})"
        if name == "uniform":
            return f"js.Uniform({low}, {high})"
        if name == "randint":
            return f"js.Int({low:.0f}, {high:.0f})"
    return "one of js.Uniform, js.LogUniform, js.Int and js.Choice"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

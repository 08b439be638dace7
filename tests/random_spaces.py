"""Random spaces with nested conditions, for property tests."""

import copy
from typing import Any

from hypothesis import strategies as st

from jaxsweep.errors import RequestError
from jaxsweep.spec.space import Choice, Constant, Distribution, Int, LogUniform, Space, Uniform

FINITE = ("depth", "activation", "optimizer", "nesterov", "batch_size", "patience", "norm")
"""Entries that conditions of the random spaces may name."""

_NUMBER = st.floats(0.0, 0.9, allow_subnormal=False)


def _ends(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[float, float]]:
    return st.tuples(numbers, numbers).filter(lambda ends: ends[0] < ends[1]).map(lambda ends: (ends[0], ends[1]))


_UNIFORM = _ends(_NUMBER).map(lambda ends: Uniform(*ends))
_LOG = _ends(st.floats(1e-9, 0.9)).map(lambda ends: LogUniform(*ends))
_FLOATS = st.lists(_NUMBER, min_size=1, max_size=4, unique=True).map(Choice)


def _ints(low: int, high: int) -> st.SearchStrategy[Distribution]:
    ends = st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)
    return st.builds(lambda ends, log: Int(ends[0], ends[1], log=log and ends[0] > 0), ends, st.booleans())


def _words(*words: Any) -> st.SearchStrategy[Distribution]:
    return st.lists(st.sampled_from(words), min_size=1, unique=True).map(Choice)


_WIDTHS = st.one_of(st.integers(1, 4096), st.lists(st.integers(1, 4096), min_size=1, max_size=3))
_ENTRIES: dict[str, st.SearchStrategy[Any]] = {
    "depth": st.one_of(_ints(0, 16), st.integers(0, 16)),
    "width": st.lists(_WIDTHS, min_size=1, max_size=4, unique_by=repr).map(Choice),
    "activation": _words("relu", "tanh", "gelu"),
    "norm": st.one_of(_words("none", "batch", "layer"), st.just("batch")),
    "optimizer": _words("sgd", "adam", "rmsprop", "lion"),
    "momentum": st.one_of(_UNIFORM, _FLOATS),
    "nesterov": _words(True, False),
    "learning_rate": st.one_of(_LOG, st.just(0.1)),
    "batch_size": st.one_of(_ints(1, 512), _words(16, 32, "full")),
    "dropout": _UNIFORM,
    "l2": st.one_of(_LOG, _ints(0, 9)),
    "patience": _ints(0, 1000),
}


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """A random space; conditions name entries that come earlier in a random order, so that they nest."""
    names = draw(st.lists(st.sampled_from(sorted(_ENTRIES)), min_size=1, max_size=9, unique=True))
    entries: dict[str, Any] = {}
    for name in names:
        entry = draw(_ENTRIES[name])
        parents = [parent for parent in entries if parent in FINITE]
        if bool(parents) and draw(st.booleans()):
            chosen = draw(st.lists(st.sampled_from(parents), min_size=1, max_size=2, unique=True))
            when = {parent: draw(_some_values(entries[parent])) for parent in chosen}
            entry = entry if isinstance(entry, Distribution) else Constant(entry)
            object.__setattr__(entry, "when", when)
            entry = copy.copy(entry)
            entry.__post_init__()
        entries[name] = entry
    try:
        return Space(**entries)
    except RequestError as error:
        by_chance = "can meet" in str(error) or "can never be active" in str(error)  # lists of widths, contradictions
        if not by_chance:
            raise
        return Space(**{name: entry for name, entry in entries.items() if name != "width" and not _when(entry)})


def _when(entry: Any) -> Any:
    return getattr(entry, "when", None)


def _some_values(entry: Any) -> st.SearchStrategy[Any]:
    if isinstance(entry, Int):
        one: st.SearchStrategy[Any] = st.integers(entry.low, entry.high)
    elif isinstance(entry, Choice):
        one = st.sampled_from(list(entry.values))
    else:
        one = st.just(entry.value if isinstance(entry, Constant) else entry)
    return st.one_of(one, st.lists(one, min_size=1, max_size=3))

"""The distributions that a space is made of: Uniform, LogUniform, Int, Choice, Constant.

Each maps the unit interval to its values and back, a column at a time. In between stand *codes*, one number for each
value: the number itself for ranges, the position for a choice. Conditions compare codes, so that they too work
on whole columns. What only a name can tell (whether a value is legal) is checked when a Space is built.
"""

# ruff: noqa: D102  (the methods are described once, in Distribution)

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Codes = NDArray[Any]  # float64 for continuous ranges, int64 for all others
When = Mapping[str, Any] | None

DIGITS = 10  # of a continuous value, see _round
_POWERS_OF_TEN = np.array([float(f"1e{power}") for power in range(301)])


def hashable(value: Any) -> Any:
    """Return `value` with lists turned into tuples, to compare it or look it up."""
    return tuple(hashable(item) for item in value) if isinstance(value, (list, tuple)) else value


def plain(value: Any) -> Any:
    """Return `value` with tuples turned into (new) lists, as configs and TOML have them."""
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def condition_dict(when: When) -> dict[str, Any] | None:
    """Return `when` as it is written by hand: one value alone, several as a list."""
    if not when:
        return None
    lone = {
        name: values[0] if len(values) == 1 and not isinstance(values[0], tuple) else values
        for name, values in when.items()
    }
    return {name: plain(value) for name, value in lone.items()}


def _round(values: FloatArray, decimals: NDArray[np.int64]) -> FloatArray:
    """Round to `decimals` decimals.

    Values of ten digits read well, survive any text format, and make the way to the unit cube and back exact: its
    rounding error is far smaller than half a last digit. Where ten digits are not to be had, nothing is rounded.
    """
    scale = _POWERS_OF_TEN[np.minimum(np.abs(decimals), 300)]
    down = decimals < 0
    whole = np.where(down, values / scale, values * np.where(down, 1.0, scale))
    rounded = np.where(down, np.rint(whole) * np.where(down, scale, 1.0), np.rint(whole) / scale)
    return np.where((np.abs(whole) < 2.0**53) & (np.abs(decimals) <= 300), rounded, values)


class Distribution(ABC):
    """What a space knows about one hyperparameter; `when` says under which values of others it is active.

    `when` maps a name to a value, or to a list of values of which any will do; all names must match. After
    construction it holds a tuple of values for each name.
    """

    when: When

    def __post_init__(self) -> None:
        if isinstance(self.when, Mapping):
            several = {
                name: tuple(hashable(item) for item in value) if isinstance(value, (list, tuple)) else (value,)
                for name, value in self.when.items()
            }
            object.__setattr__(self, "when", several or None)

    def _repr(self, *arguments: str) -> str:
        when = condition_dict(self.when) if isinstance(self.when, Mapping) else self.when
        shown = list(arguments) if when is None else [*arguments, f"when={when!r}"]
        return f"{type(self).__name__}({', '.join(shown)})"

    @abstractmethod
    def codes_from_unit(self, u: FloatArray) -> Codes:
        """Return the codes [n] of the points `u` [n] of the unit interval."""

    @abstractmethod
    def unit_from_codes(self, codes: Codes) -> FloatArray:
        """Return the points [n] of the unit interval (middles, where a whole stretch has the same code)."""

    @abstractmethod
    def codes_from_values(self, values: Sequence[Any]) -> Codes:
        """Return the codes [n] of `values`; raise LookupError with the first value that is not possible."""

    def values_from_codes(self, codes: Codes) -> list[Any]:
        """Return `codes` [n] as plain Python values."""
        values: list[Any] = codes.tolist()
        return values

    @abstractmethod
    def levels(self, resolution: int) -> Codes:
        """Return the codes that a grid tries: all of a finite distribution, else at most `resolution`."""

    @abstractmethod
    def words(self) -> str:
        """Return the possible values in words, as error messages show them."""


@dataclass(frozen=True, repr=False)
class _Range(Distribution):
    low: float
    high: float
    when: When = None

    def __repr__(self) -> str:
        return self._repr(repr(self.low), repr(self.high))

    def codes_from_values(self, values: Sequence[Any]) -> Codes:
        for value in values:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
                raise LookupError(value)
        return np.array(values, dtype=np.float64)

    def levels(self, resolution: int) -> Codes:
        return np.unique(self.codes_from_unit(np.linspace(0.0, 1.0, resolution)))

    def words(self) -> str:
        return f"a number in [{self.low:g}, {self.high:g}]"

    def _ends(self, u: FloatArray, values: FloatArray) -> FloatArray:
        """Let both ends be met exactly, whatever the rounding."""
        inside = np.clip(values, self.low, self.high)
        return np.where(u <= 0, self.low, np.where(u >= 1, self.high, inside))


class Uniform(_Range):
    """Any number in [low, high], each as likely as the others."""

    def codes_from_unit(self, u: FloatArray) -> Codes:
        span = self.high - self.low
        decimals = DIGITS - 1 - math.floor(math.log10(span))
        return self._ends(u, _round(self.low + u * span, np.array(decimals)))

    def unit_from_codes(self, codes: Codes) -> FloatArray:
        return np.clip((codes - self.low) / (self.high - self.low), 0.0, 1.0)


class LogUniform(_Range):
    """Any number in [low, high], low > 0, each order of magnitude as likely as the others."""

    def codes_from_unit(self, u: FloatArray) -> Codes:
        low, high = np.log(self.low), np.log(self.high)
        values = np.clip(np.exp(low + u * (high - low)), self.low, self.high)
        decimals = DIGITS - 1 - np.floor(np.log10(values)).astype(np.int64)
        return self._ends(u, _round(values, decimals))

    def unit_from_codes(self, codes: Codes) -> FloatArray:
        low, high = np.log(self.low), np.log(self.high)
        return np.asarray(np.clip((np.log(codes) - low) / (high - low), 0.0, 1.0), dtype=np.float64)


@dataclass(frozen=True, repr=False)
class Int(Distribution):
    """An integer in [low, high], both ends included; with `log`, k has the probability of [k, k + 1) on a log scale."""

    low: int
    high: int
    log: bool = False
    when: When = None

    def __repr__(self) -> str:
        return self._repr(repr(self.low), repr(self.high), *(["log=True"] if self.log else []))

    def codes_from_unit(self, u: FloatArray) -> Codes:
        if self.log:
            low, high = np.log(self.low), np.log(self.high + 1)
            values = np.floor(np.exp(low + u * (high - low)))
        else:
            values = self.low + np.floor(u * (self.high - self.low + 1))
        return np.asarray(np.clip(values, self.low, self.high), dtype=np.int64)

    def unit_from_codes(self, codes: Codes) -> FloatArray:
        if self.log:
            low, high = np.log(self.low), np.log(self.high + 1)
            middle = (np.log(codes) + np.log(codes + 1)) / 2  # far from both edges of the code's stretch
            return np.asarray((middle - low) / (high - low), dtype=np.float64)
        return np.asarray((codes - self.low + 0.5) / (self.high - self.low + 1), dtype=np.float64)

    def codes_from_values(self, values: Sequence[Any]) -> Codes:
        for value in values:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not self.low <= value <= self.high or value != int(value):
                raise LookupError(value)
        return np.array(values, dtype=np.int64)

    def levels(self, resolution: int) -> Codes:
        if self.high - self.low < resolution:
            return np.arange(self.low, self.high + 1)
        spaced = (np.geomspace if self.log else np.linspace)(self.low, self.high, resolution)
        steps = np.arange(resolution)
        # The first values of a log range may round to the same integer: move up those that do.
        return np.maximum.accumulate(np.rint(spaced).astype(np.int64) - steps) + steps

    def words(self) -> str:
        return f"an integer in [{self.low}, {self.high}]"


@dataclass(frozen=True, repr=False)
class Choice(Distribution):
    """One of `values`, each as likely as the others and without an order; a value may be a list of widths."""

    values: Sequence[Any]
    when: When = None
    _positions: dict[Any, int] = field(default_factory=dict, init=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        items: Any = self.values
        if isinstance(items, (list, tuple, range, np.ndarray)):
            items = items.tolist() if isinstance(items, np.ndarray) else items
            object.__setattr__(self, "values", tuple(hashable(item) for item in items))

    def __repr__(self) -> str:
        return self._repr(repr(plain(self.values)))

    def codes_from_unit(self, u: FloatArray) -> Codes:
        return np.minimum((u * len(self.values)).astype(np.int64), len(self.values) - 1)

    def unit_from_codes(self, codes: Codes) -> FloatArray:
        return (codes + 0.5) / len(self.values)

    def codes_from_values(self, values: Sequence[Any]) -> Codes:
        if not self._positions:
            self._positions.update({value: position for position, value in enumerate(self.values)})
        keys = [hashable(value) for value in values]
        try:
            return np.array([self._positions[key] for key in keys], dtype=np.int64)
        except (KeyError, TypeError):
            raise LookupError(next(value for value in values if hashable(value) not in self.values)) from None

    def values_from_codes(self, codes: Codes) -> list[Any]:
        if any(isinstance(value, tuple) for value in self.values):
            return [plain(self.values[code]) for code in codes.tolist()]
        return [self.values[code] for code in codes.tolist()]

    def levels(self, resolution: int) -> Codes:
        return np.arange(len(self.values))

    def words(self) -> str:
        return "one of " + ", ".join(repr(plain(value)) for value in self.values)


@dataclass(frozen=True, repr=False)
class Constant(Distribution):
    """Always `value`; needed only where it is to have a condition, since a plain value is a constant too."""

    value: Any
    when: When = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "value", hashable(self.value))

    def __repr__(self) -> str:
        return self._repr(repr(plain(self.value)))

    def codes_from_unit(self, u: FloatArray) -> Codes:
        return np.zeros(len(u), dtype=np.int64)

    def unit_from_codes(self, codes: Codes) -> FloatArray:
        return np.full(len(codes), 0.5)

    def codes_from_values(self, values: Sequence[Any]) -> Codes:
        for value in values:
            if hashable(value) != self.value:
                raise LookupError(value)
        return np.zeros(len(values), dtype=np.int64)

    def values_from_codes(self, codes: Codes) -> list[Any]:
        return [plain(self.value) for _ in range(len(codes))]

    def levels(self, resolution: int) -> Codes:
        return np.zeros(1, dtype=np.int64)

    def words(self) -> str:
        return repr(plain(self.value))


def has(entry: Distribution, value: Any) -> bool:
    """Return whether an entry can have a value."""
    try:
        entry.codes_from_values([value])
    except LookupError:
        return False
    return True

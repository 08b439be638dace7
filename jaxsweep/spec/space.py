"""A space: named distributions over hyperparameters, with conditions.

A config is one point of it: a dict with a plain Python value for every active entry. An inactive entry is absent, so
that the default of the table applies. Entries stand in the order of the table of hyperparameters, however they
were given: the same space with the same seed has the same configs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.errors import RequestError, shown, suggestion
from jaxsweep.spec import arguments, instead, own, toml
from jaxsweep.spec.conditions import (
    check_width_lists,
    checked_conditions,
    evaluation_order,
    named_values,
    parents,
)
from jaxsweep.spec.distributions import (
    Choice,
    Codes,
    Constant,
    Distribution,
    FloatArray,
    Int,
    LogUniform,
    Uniform,
    hashable,
    plain,
)
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, Config, Hyperparameter, lookup

__all__ = ["Choice", "Constant", "Distribution", "Int", "LogUniform", "Space", "Uniform"]

_ABSENT: Any = object()
_LARGEST_INT = 2**31
LONGEST = 600  # characters of an entry in the repr of a space


class Space:
    """Named distributions over hyperparameters; a plain value is a constant.

    `Space(learning_rate=LogUniform(1e-4, 1e-1), depth=Int(1, 3), epochs=20)`. It is immutable.

    Raises:
        RequestError: an unknown hyperparameter, a range or a value that is not legal for it, or a condition that
            cannot hold.
    """

    def __init__(self, /, **entries: Any) -> None:
        if not entries:
            raise RequestError("the space is empty: it must have at least one hyperparameter")
        rows = {name: lookup(name) for name in entries}
        ordered = [name for name in HYPERPARAMETERS if name in rows]
        checked = checked_conditions({name: _checked(rows[name], entries[name]) for name in ordered})
        check_width_lists(checked)
        widths = entries.get("width")
        if isinstance(widths, (list, tuple)) and len(widths) > 1 and "depth" not in entries:
            instead.warn_of_widths(widths)
        self._entries = checked
        self._order = evaluation_order(checked)
        varied = [name for name in checked if not isinstance(checked[name], Constant)]
        self._columns = {name: column for column, name in enumerate(varied)}
        self._when = {
            name: {parent: checked[parent].codes_from_values(values) for parent, values in parents(entry).items()}
            for name, entry in checked.items()
        }

    @classmethod
    def from_mapping(cls, entries: Mapping[str, Any]) -> "Space":
        """Return the space of `entries`: distributions or plain values by name."""
        if not isinstance(entries, Mapping):
            raise RequestError(f"space = {shown(entries)} is not a space: it must be a dict, such as {{'depth': 2}}")
        for name in entries:
            if not isinstance(name, str):
                raise RequestError(f"unknown hyperparameter {shown(name)}: a name must be a string")
        return cls(**entries)

    @classmethod
    def from_toml(cls, table: Mapping[str, Any]) -> "Space":
        """Return the space of a parsed [space] table, such as `{"depth": {"int": [1, 3]}, "epochs": 20}`."""
        entries = toml.parse(table)
        if isinstance(entries.get("width"), list):
            entries["width"] = Constant(entries["width"])  # beside the forms of TOML it is plain what a list means
        return cls.from_mapping(entries)

    def toml_lines(self) -> list[str]:
        """Return the [space] section of a sweep file, a line for each entry, without the header."""
        return toml.lines(self._entries)

    @property
    def entries(self) -> Mapping[str, Distribution]:
        """The distributions by name, in the order of the table of hyperparameters."""
        return MappingProxyType(self._entries)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the entries that are not constant: the columns of the unit cube."""
        return tuple(self._columns)

    @property
    def dimensions(self) -> int:
        """The number of entries that are not constant."""
        return len(self._columns)

    def sample(self, rng: np.random.Generator, n: int) -> list[Config]:
        """Return `n` random configs; drawing n, then m, gives the same as drawing n + m."""
        if not isinstance(rng, np.random.Generator):
            raise RequestError(
                f"rng = {shown(rng)} is not legal: it must be a generator, as np.random.default_rng gives"
            )
        return self.from_unit(rng.random((arguments.whole("n", n, most=2**31), self.dimensions)))

    def from_unit(self, u: NDArray[np.float64]) -> list[Config]:
        """Return the config at each point `u` [n, dimensions] of the unit cube.

        Coordinates of inactive entries are ignored, and may be NaN.

        Raises:
            RequestError: another shape, or a coordinate of an active entry outside [0, 1].
        """
        codes, active = self._decide(u)
        empty: Config = dict.fromkeys(self._entries)
        configs = [empty.copy() for _ in range(len(u))]  # of thousands: a dict that grows takes three times as long
        for name, entry in self._entries.items():
            for config, value in zip(configs, entry.values_from_codes(codes[name]), strict=True):
                config[name] = value
        for name in self._entries:
            for row in np.flatnonzero(~active[name]).tolist():
                del configs[row][name]
        return configs

    def snap(self, u: NDArray[np.float64]) -> FloatArray:
        """Return what `to_unit(from_unit(u))` would, [n, dimensions], without making the configs.

        Two points snap to the same one if they are the same config.
        """
        codes, active = self._decide(u)
        snapped = np.full((len(active[self._order[0]]), self.dimensions), np.nan)
        for name, column in self._columns.items():
            on = active[name]
            snapped[on, column] = self._entries[name].unit_from_codes(codes[name][on])
        return snapped

    def _decide(self, u: NDArray[np.float64]) -> tuple[dict[str, Codes], dict[str, NDArray[np.bool_]]]:
        """Return, by name, the codes [n] at the points `u` [n, dimensions] and where each entry is active [n]."""
        u = arguments.floats("u", u)
        if u.ndim != 2 or u.shape[1] != self.dimensions:
            raise RequestError(f"u has the shape {u.shape}: it must be [n, {self.dimensions}]")
        codes: dict[str, Codes] = {}
        active: dict[str, NDArray[np.bool_]] = {}
        for name in self._order:
            on = self._active(name, codes, active, len(u))
            column = u[:, self._columns[name]] if name in self._columns else np.full(len(u), 0.5)
            if not ((column[on] >= 0) & (column[on] <= 1)).all():
                raise RequestError(f"u has a coordinate of {name} outside [0, 1]")
            codes[name] = self._entries[name].codes_from_unit(np.where(on, column, 0.5))
            active[name] = on
        return codes, active

    def to_unit(self, configs: Sequence[Mapping[str, Any]]) -> FloatArray:
        """Return the point of the unit cube of each config, [n, dimensions]; NaN where an entry is inactive or missing.

        `from_unit(to_unit(configs)) == configs` holds exactly for every config that comes from this space, and for
        hand-written ones whose continuous values have up to ten digits. Names that the space lacks are ignored.

        Raises:
            RequestError: a value that its entry cannot have.
        """
        configs = arguments.configs(configs)
        codes: dict[str, Codes] = {}
        active: dict[str, NDArray[np.bool_]] = {}
        u = np.full((len(configs), self.dimensions), np.nan)
        for name in self._order:
            known = named_values(self._entries[name])
            values = [own.found(config.get(name, _ABSENT), known) for config in configs]
            present = np.fromiter((value is not _ABSENT for value in values), np.bool_, len(values))
            on = self._active(name, codes, active, len(configs)) & present
            entry = self._entries[name]
            found = self._codes(name, [value for value, here in zip(values, on.tolist(), strict=True) if here])
            codes[name] = np.zeros(len(configs), dtype=found.dtype)
            codes[name][on] = found
            active[name] = on
            if name in self._columns:
                u[on, self._columns[name]] = entry.unit_from_codes(found)
        return u

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise RequestError if `config` is not a point of the space."""
        for name in arguments.config("config", config):
            self._check_name(name)
        config = {name: own.found(value, named_values(self._entries[name])) for name, value in config.items()}
        for name in self._order:
            conditions = parents(self._entries[name]).items()
            on = all(parent in config and hashable(config[parent]) in values for parent, values in conditions)
            if on and name not in config:
                raise RequestError(f"{name} is missing from the config: it must be {self._entries[name].words()}")
            if not on and name in config:
                raise RequestError(f"{name} = {shown(config[name])} does not belong in the config: its condition fails")
            if on:
                self.check_value(name, config[name])

    def check_value(self, name: str, value: Any) -> None:
        """Raise RequestError if the entry `name` cannot have a value, or if there is none of that name."""
        self._check_name(name)
        value = own.found(value, named_values(self._entries[name]))
        legal = isinstance(value, own.Own) or not callable(value)  # else a function that the space lacks
        self._codes(name, [lookup(name).check(value) if legal else value])

    def _check_name(self, name: Any) -> None:
        if name not in self._entries:
            raise RequestError(f"{shown(name)} is not in the space{suggestion(str(name), self._entries)}")

    def _active(
        self, name: str, codes: Mapping[str, Codes], active: Mapping[str, NDArray[np.bool_]], n: int
    ) -> NDArray[np.bool_]:
        """Return where entry `name` is active, [n]; the parents are decided already."""
        on = np.ones(n, dtype=np.bool_)
        for parent, allowed in self._when[name].items():
            on &= active[parent] & np.isin(codes[parent], allowed)
        return on

    def _codes(self, name: str, values: list[Any]) -> Codes:
        try:
            return self._entries[name].codes_from_values(values)
        except LookupError as error:
            value, right = error.args[0], self._entries[name].words()
            raise RequestError(f"{name} = {shown(value)} is outside the space: it must be {right}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        return self._entries == other._entries if isinstance(other, Space) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        plainly = {
            name: repr(plain(entry.value)) if isinstance(entry, Constant) and not entry.when else repr(entry)
            for name, entry in self._entries.items()
        }
        return "Space(\n" + "".join(f"    {name}={_short(text)},\n" for name, text in plainly.items()) + ")"


def _short(text: str) -> str:
    """Return an entry's text, without its middle if it lists a great many values."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 4 :]}"


def _checked(row: Hyperparameter, entry: Any) -> Distribution:
    """Return `entry` as a distribution whose values are legal for `row` and have their plain types."""
    if not isinstance(entry, Distribution):
        if (distribution := instead.meant(row, entry)) is not None:
            raise RequestError(f"{row.name} = {entry!r} is not a single value: use {distribution}")
        entry = Constant(entry)
    if isinstance(entry, Choice):
        return _checked_choice(row, entry)
    if isinstance(entry, Int):
        return _checked_int(row, entry)
    if isinstance(entry, (Uniform, LogUniform)):
        return _checked_range(row, entry)
    assert isinstance(entry, Constant)
    return replace(entry, value=row.check(plain(entry.value)))


def _checked_choice(row: Hyperparameter, entry: Choice) -> Choice:
    if not isinstance(entry.values, tuple):
        raise RequestError(f"{row.name} = {entry!r}: a choice needs a list of values, each {row.legal}")
    if not entry.values:
        raise RequestError(f"{row.name} = {entry!r} is an empty choice: it needs at least one value, {row.legal}")
    values = [row.check(plain(value)) for value in own.named(entry.values, row.choices)]
    repeated = next((value for value in values if values.count(value) > 1), None)
    if repeated is not None:
        raise RequestError(f"{row.name} = {entry!r} has {repeated!r} more than once: each value must differ")
    return replace(entry, values=values)


def _refuse_words(row: Hyperparameter, entry: Distribution) -> None:
    if row.kind in ("choice", "bool"):
        raise RequestError(f"{row.name} = {entry!r} is a range of numbers: use a Choice of values, {row.legal}")


def _checked_int(row: Hyperparameter, entry: Int) -> Int:
    _refuse_words(row, entry)
    for end in (entry.low, entry.high):
        row.check(end)
        if isinstance(end, bool) or end != int(end) or abs(end) > _LARGEST_INT:
            raise RequestError(f"{row.name} = {entry!r} has the end {end!r}: it must be an integer up to 2147483648")
    low, high = int(entry.low), int(entry.high)
    if low > high:
        raise RequestError(f"{row.name} = {entry!r} is an empty range: the first end must not exceed the second")
    if not isinstance(entry.log, bool):
        raise RequestError(f"{row.name}: log = {shown(entry.log)} is not legal: it must be true or false")
    if entry.log and low < 1:
        raise RequestError(f"{row.name} = {entry!r} is a log range that reaches zero: it must start at 1 or above")
    return replace(entry, low=low, high=high)


def _checked_range(row: Hyperparameter, entry: Uniform | LogUniform) -> Distribution:
    _refuse_words(row, entry)
    if row.kind != "float":
        form = ", log=True" if isinstance(entry, LogUniform) else ""
        ends = f"{entry.low!r}, {entry.high!r}"
        raise RequestError(f"{row.name} = {entry!r} has fractions, but takes {row.legal}: use Int({ends}{form})")
    if isinstance(entry, LogUniform) and isinstance(entry.low, (int, float, np.number)) and entry.low <= 0:
        raise RequestError(f"{row.name} = {entry!r} is a log range that reaches zero: it must start above 0")
    low, high = row.check(entry.low), row.check(entry.high)
    if not low < high:
        raise RequestError(f"{row.name} = {entry!r} is an empty range: the first end must be below the second")
    return replace(entry, low=low, high=high)

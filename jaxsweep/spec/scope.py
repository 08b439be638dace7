"""What a sweep can use at all: which optimizers, activations, ..., and which traced hyperparameters.

A program holds code for these and for nothing else. The scope comes from the space, not from the configs that happen
to be drawn, so that a later generation of a search needs no new program.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, Config, used
from jaxsweep.spec.own import Own
from jaxsweep.spec.space import Choice, Constant, Distribution, Int, LogUniform, Space, Uniform

CATEGORICAL = tuple(row.name for row in HYPERPARAMETERS.values() if row.role == "categorical")
TRACED = tuple(row.name for row in HYPERPARAMETERS.values() if row.role == "traced" and row.name != "epochs")
NO_NUMBERS = (  # a lane has what is made of them instead
    "class_weight", "init_seed", "order_seed", "train_rows", "parametrization", "base_width",
)  # fmt: skip


@dataclass(frozen=True)
class Scope:
    """The values that each categorical hyperparameter can take, in the table's order, and the traced ones in use."""

    categories: tuple[tuple[str, tuple[str, ...]], ...]
    traced: tuple[str, ...]

    @property
    def own(self) -> tuple[Own, ...]:
        """Return the functions of the user's own among the values."""
        return tuple(value for _, values in self.categories for value in values if isinstance(value, Own))

    def values(self, name: str) -> tuple[str, ...]:
        """Return the values that the categorical hyperparameter `name` can take."""
        return dict(self.categories)[name]


def of_configs(configs: Iterable[Config]) -> Scope:
    """Return the scope of resolved configs."""
    configs = list(configs)
    names = used(configs)
    values: dict[str, set[str]] = {name: {config[name] for config in configs} for name in CATEGORICAL}
    return _scope(values, names)


def of_space(space: Space, defaults: Mapping[str, Any]) -> Scope:
    """Return the scope of every config that the space can give; `defaults` is a resolved empty config."""
    values = {name: {defaults[name]} for name in CATEGORICAL}
    names = set(used([defaults]))
    for name, entry in space.entries.items():
        values_of = possible(entry)
        if name in CATEGORICAL:
            kept = values[name] if entry.when else set()  # where its condition fails, the default applies
            values[name] = kept | set(values_of or HYPERPARAMETERS[name].choices)
        elif values_of is None or any(value != HYPERPARAMETERS[name].neutral for value in values_of):
            names.add(name)
    return _scope(values, frozenset(names))


def possible(entry: Distribution) -> tuple[Any, ...] | None:
    """Return the values that an entry can take, or None for a range."""
    if isinstance(entry, Choice):
        return tuple(entry.values)
    return (entry.value,) if isinstance(entry, Constant) else None


def ends(entry: Distribution) -> Sequence[Any]:
    """Return the values of an entry, or the two ends of its range, which stand for all between them."""
    values = possible(entry)
    if values is not None:
        return values
    assert isinstance(entry, (Int, Uniform, LogUniform))
    return entry.low, entry.high


def _scope(values: Mapping[str, set[str]], names: frozenset[str]) -> Scope:
    categories = tuple((name, _ordered(HYPERPARAMETERS[name].choices, values[name])) for name in CATEGORICAL)
    return Scope(categories, tuple(name for name in TRACED if name in names))


def _ordered(choices: tuple[str, ...], values: set[str]) -> tuple[str, ...]:
    """Return values in the table's order, and after them the user's own functions by name."""
    return (*(choice for choice in choices if choice in values), *sorted(values.difference(choices)))

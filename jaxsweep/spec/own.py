"""The user's own functions as values: an activation, a loss or a metric that goes by a name. No JAX here.

To everything that asks, compares or records configs, `Own` is its name; only what trains looks for the function behind
it. A run directory and an exported network hold the name and a fingerprint: nothing that is loaded may run code, so
that what comes from there is without its function until the user gives it again.
"""

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MethodType
from typing import Any, Literal, get_args

from jaxsweep.errors import RequestError, shown

Direction = Literal["maximize", "minimize"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
ROLES = ("activation", "loss")  # hyperparameters that a function can be the value of
_WEIGHTS = ("weights", "sample_weight", "w")


class Own(str):
    """The name of a user's function, and the function, unless it has to be given again."""

    function: Callable[..., Any] | None
    fingerprint: str  # of the function that the name stood for when it was recorded; empty if it was not

    def __new__(cls, name: str, function: Callable[..., Any] | None = None, fingerprint: str = "") -> "Own":
        """Return the name with its function."""
        new = super().__new__(cls, name)
        new.function, new.fingerprint = function, fingerprint
        return new

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function makes of the arguments; RequestError if it has to be given first."""
        if self.function is None:
            raise self.missing()
        return self.function(*arguments)

    def missing(self) -> RequestError:
        """Return what to say where the function is needed and absent."""
        return RequestError(
            f"{str(self)!r} is a function of your own, of which run directories and exported networks hold the name "
            f"alone, since nothing that is loaded may run code: give it again, as in js.load(RUN, functions="
            f"{{{str(self)!r}: ...}}) or js.load_model(FOLDER, activation=...)"
        )

    def __deepcopy__(self, memo: Any) -> "Own":
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.function, self.fingerprint


class Metric:
    """A metric of the user's own, and which way is better.

    Args:
        function: `f(outputs, targets)` or `f(outputs, targets, weights)`, see the README.
        direction: maximize or minimize.

    Raises:
        RequestError: no function, or no direction.
    """

    def __init__(self, function: Callable[..., Any], direction: Direction = "maximize") -> None:
        if not callable(function):
            raise RequestError(f"Metric({shown(function)}) has no function: it must be one of outputs and targets")
        if not isinstance(direction, str) or direction not in DIRECTIONS:
            raise RequestError(f"direction = {shown(direction)} is not legal: it must be maximize or minimize")
        self.function, self.direction = function, direction

    def __repr__(self) -> str:
        return f"Metric({name_of(self.function)}, direction={self.direction!r})"


def name_of(function: Callable[..., Any]) -> str:
    """Return what to call a function: the last part of its qualified name, in letters, digits and underscores."""
    plainly: Any = function
    while hasattr(plainly, "func") and not hasattr(plainly, "__name__"):
        plainly = plainly.func  # of a partial
    full = getattr(plainly, "__qualname__", None) or getattr(plainly, "__name__", None) or type(plainly).__qualname__
    name = re.sub(r"\W+", "_", str(full).rpartition(".")[2], flags=re.ASCII).strip("_") or "own"
    return name if name[0].isalpha() else f"own_{name}"


def home_of(function: Callable[..., Any]) -> str:
    """Return where a function stands, module and qualified name, as a record says it."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    return f"{module or '?'}.{name or name_of(function)}"


def same(one: Any, other: Any) -> bool:
    """Return whether two functions are one; a method is made anew whenever it is asked for."""
    return one is other or (isinstance(one, MethodType) and isinstance(other, MethodType) and one == other)


def named(values: Iterable[Any], taken: Collection[str]) -> list[Any]:
    """Return values with each function among them under a name of its own: `f`, of another function `f_2`.

    Args:
        values: words and functions, in an order that decides who is called how.
        taken: names that are no user's.
    """
    known: dict[str, Any] = {}
    return [_named(value, taken, known) if callable(value) else value for value in values]


def _named(value: Any, taken: Collection[str], known: dict[str, Any]) -> Own:
    function = value.function if isinstance(value, Own) else value
    base = str(value) if isinstance(value, Own) else name_of(value)
    if function is not None:
        base = next((name for name, other in known.items() if same(other, function)), base)
    name, number = base, 1
    while name in taken or (name in known and not same(known[name], function)):
        number += 1
        name = f"{base}_{number}"
    known[name] = function
    if isinstance(value, Own) and name == str(value):
        return value
    return Own(name, function)


def named_configs(configs: Iterable[Mapping[str, Any]], taken: Mapping[str, Collection[str]]) -> tuple[Any, ...]:
    """Return configs with each function in them under a name of its own; `taken` are the words by hyperparameter."""
    listed = list(configs)
    for role in ROLES:
        places = [number for number, config in enumerate(listed) if callable(config.get(role))]
        for number, value in zip(places, named([listed[n][role] for n in places], taken[role]), strict=True):
            listed[number] = {**listed[number], role: value}
    return tuple(listed)


def found(value: Any, values: Iterable[Any]) -> Any:
    """Return which of the named values a function is, or the value itself."""
    if isinstance(value, Own) or not callable(value):
        return value
    return next((each for each in values if isinstance(each, Own) and same(each.function, value)), value)


def check_given(config: Mapping[str, Any], metrics: Iterable[Own] = ()) -> None:
    """Raise RequestError if a config, or a metric beside it, names a function that is not there."""
    for value in (*(config.get(role) for role in ROLES), *metrics):
        if isinstance(value, Own) and value.function is None:
            raise value.missing()


def takes_weights(function: Callable[..., Any]) -> bool:
    """Return whether a metric has a third parameter for the weights of rows: without a default, or called so."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False  # code that does not say what it takes
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(places) > 2 and (places[2].default is inspect.Parameter.empty or places[2].name in _WEIGHTS)


class OwnMetric(Own):
    """The name of a metric of the user's own, perhaps behind `val_` and the like, and which way is better."""

    maximize: bool
    weighted: bool  # whether the function takes the weights of rows, too

    def __new__(
        cls, name: str, function: Callable[..., Any] | None = None, fingerprint: str = "", maximize: bool = True,
        weighted: bool = False,
    ) -> "OwnMetric":  # fmt: skip
        """Return the name with its function, its direction, and what it takes."""
        new: OwnMetric = super().__new__(cls, name, function, fingerprint)  # type: ignore[assignment]
        new.maximize, new.weighted = maximize, weighted
        return new

    def prefixed(self, prefix: str) -> "OwnMetric":
        """Return it under its name behind a prefix."""
        return OwnMetric(prefix + self, self.function, self.fingerprint, self.maximize, self.weighted)

    def of_rows(self, outputs: Any, targets: Any, weights: Any) -> Any:
        """Return the metric of rows; `weights` [rows] are there for a function that takes them."""
        return self(outputs, targets, weights) if self.weighted else self(outputs, targets)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.function, self.fingerprint, self.maximize, self.weighted


def metrics_of(given: Any, taken: Collection[str]) -> tuple[OwnMetric, ...]:
    """Return what a sweep was given as `metrics`, in its order; `taken` are the names of the package's own.

    Raises:
        RequestError: it is no dict of names and functions, or a name cannot be had.
    """
    if isinstance(given, tuple) and all(isinstance(each, OwnMetric) for each in given):
        return given
    if not isinstance(given, Mapping):
        raise RequestError(f"metrics = {shown(given)} is not legal: it must be a dict such as {{'name': function}}")
    found: dict[str, OwnMetric] = {}
    for name, what in given.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,59}", name):
            raise RequestError(
                f"metrics has the name {shown(name)}: "
                "it must be at most 60 letters, digits and underscores, a letter first"
            )
        if name.lower() in (*(each.lower() for each in taken), *found):  # as columns of a database they would be one
            raise RequestError(f"metrics has the name {name!r}, which there is already: call it otherwise")
        metric = what if isinstance(what, Metric) else None
        if metric is None and not callable(what):
            raise RequestError(f"metrics[{name!r}] = {shown(what)} is not legal: it must be a function, or a js.Metric")
        metric = metric or Metric(what)
        function, maximize = metric.function, metric.direction == "maximize"
        found[name.lower()] = OwnMetric(name, function, maximize=maximize, weighted=takes_weights(function))
    return tuple(found.values())


def directed(name: str, metrics: Iterable[OwnMetric]) -> str:
    """Return the name of a metric, which knows its direction if it is one of the user's own behind a prefix."""
    for metric in metrics:
        for prefix in ("val_", "test_", "train_"):
            if name == prefix + metric:
                return metric.prefixed(prefix)
    return name

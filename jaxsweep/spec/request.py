"""A sweep as it was asked for, checked and with every default written out."""

import sys
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from jaxsweep.data import Dataset, Prepared, prepare
from jaxsweep.data.assign import Folds, check_folds
from jaxsweep.data.source import Source
from jaxsweep.data.splits import DEFAULT_SPLIT
from jaxsweep.data.start import Start
from jaxsweep.errors import RequestError, shown
from jaxsweep.spec import arguments
from jaxsweep.spec.aims import SIZES, Constraint
from jaxsweep.spec.conditions import named_values
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, Config
from jaxsweep.spec.metrics import TAKEN
from jaxsweep.spec.own import ROLES, OwnMetric, found, metrics_of, named_configs
from jaxsweep.spec.space import Space
from jaxsweep.spec.studies import sources
from jaxsweep.streams import check_seed

DEFAULT_TRIALS = 256
DEFAULT_SEARCH = "random"
MOST_TRIALS = 10_000_000  # of which a plan and a table take 2 KB each
MOST_EACH = 100_000  # networks of a trial; some hundreds of replicates tell any two configs apart
LEAST_FRESH = 5  # trainings of a trial that is confirmed
KEEP_WEIGHTS = ("last", "best")
PRECISIONS = ("highest", "default")  # of matrix products on an accelerator
EXAMPLES = {"search": "random", "objective": "val_loss", "scheduler": "asha"}
LARGEST = sys.float_info.max  # an integer may be larger, and is no number that one could reckon with


@dataclass(frozen=True)
class Request:
    """What a sweep is to do. `trials` None: as many as the searcher has, or 256 if it has no end.

    Exactly one of `space` and `configs` is given; `initial` are configs of the space that come first,
    `warm_start` the directories of earlier runs, or Optuna studies, of which the searcher is told.
    `objective` None: val_accuracy or val_mse, by the task; of a list of objectives the first, with the others in
    `further`. `scheduler` None: all trials train to their ends. `minutes`
    None: until all have.

    Raises:
        RequestError: a number out of its range, or fields that contradict each other.
    """

    space: Space | None = None
    configs: tuple[Config, ...] | None = None
    trials: int | None = None
    search: str = DEFAULT_SEARCH
    options: Mapping[str, Any] = field(default_factory=dict)
    objective: str | None = None
    seed: int = 0
    replicates: int = 1
    folds: Folds = 0
    split: tuple[float, ...] = DEFAULT_SPLIT
    keep: int = 10
    keep_weights: str = "last"
    train_metrics: bool = False
    precision: str = "highest"
    checkpoint_seconds: float = 60.0  # between what is saved of trainings under way, if the sweep is recorded
    source: Source = field(default_factory=Source)
    metrics: tuple[OwnMetric, ...] = ()  # of the user's own
    initial: tuple[Config, ...] = ()
    warm_start: tuple[str, ...] = ()
    scheduler: str | None = None
    scheduler_options: Mapping[str, Any] = field(default_factory=dict)
    minutes: float | None = None
    confirm: int = 0  # how many of the best trials are trained again after the search
    further: tuple[str, ...] = ()  # objectives beside the first one
    objective_weights: tuple[float, ...] = ()  # of all objectives, for a searcher that follows a single one
    constraints: tuple[str, ...] = ()
    start_from: str | None = None  # the folder of an exported network, with whose weights all start
    start: Start | None = field(default=None, compare=False, repr=False)  # these weights, once they are known
    keep_lanes: bool = False  # whether kept trials keep the networks of all their lanes, in memory

    @property
    def keep_best(self) -> bool:
        """Return whether the best epoch of a trial counts instead of the last."""
        return self.keep_weights == "best"

    @property
    def fresh(self) -> int:
        """Return the replicates of a trial that is confirmed: as many as in the search, and at least 5."""
        return max(self.replicates, LEAST_FRESH)

    def prepared(self, dataset: Dataset) -> Prepared:
        """Return data, split and standardized as the request says, with the weights that networks start with."""
        data = prepare(dataset, split=self.split, folds=self.folds, seed=self.seed)
        return replace(data, start=self.start)

    def __post_init__(self) -> None:
        if (self.space is None) == (self.configs is None):
            raise RequestError("a sweep needs either a space or a list of configs, and not both")
        if self.configs is not None and not self.configs:
            raise RequestError("configs = [] is empty: it must have at least one config")
        for number, config in enumerate(self.configs or ()):
            if not isinstance(config, Mapping):
                raise RequestError(
                    f"configs[{number}] = {shown(config)} is not a config: it must be a dict such as {{'depth': 2}}"
                )
        if self.configs is not None:
            taken = {name: HYPERPARAMETERS[name].choices for name in ROLES}
            object.__setattr__(self, "configs", named_configs(self.configs, taken))
        object.__setattr__(self, "initial", self._initial())
        object.__setattr__(self, "warm_start", sources("warm_start", self.warm_start))
        if self.warm_start and self.space is None:
            raise RequestError("warm_start does not go with configs: nothing is searched, so leave it out")
        for name, low in (("trials", 1), ("replicates", 1), ("keep", 0), ("confirm", 0)):
            object.__setattr__(self, name, _at_least(name, getattr(self, name), low))
        object.__setattr__(self, "seed", check_seed(self.seed))
        object.__setattr__(self, "folds", check_folds(self.folds))
        lanes = self.replicates * (max(self.folds, 1) if isinstance(self.folds, int) else len(self.folds))
        if lanes > MOST_EACH:
            raise RequestError(
                f"a trial has {lanes:,} networks, replicates = {self.replicates} in each of its folds: it may have "
                f"{MOST_EACH:,}"
            )
        self._take_aims()
        for name in ("search", "objective", "scheduler"):
            if not isinstance(value := getattr(self, name), str | None):
                raise RequestError(
                    f"{name} = {shown(value)} is not legal: it must be a name, such as {EXAMPLES[name]!r}"
                )
        for name, words in (("keep_weights", KEEP_WEIGHTS), ("precision", PRECISIONS)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in words:
                raise RequestError(f"{name} = {shown(value)} is not legal: it must be one of {', '.join(words)}")
        if not isinstance(self.start_from, str | None):
            raise RequestError(
                f"start_from = {shown(self.start_from)} is not legal: it must be the folder of an exported network"
            )
        if self.scheduler_options and self.scheduler is None:
            name = next(iter(self.scheduler_options))
            raise RequestError(f"{name} is an option of a scheduler, and there is none: add scheduler, or leave it out")
        for name in ("minutes", "checkpoint_seconds"):
            object.__setattr__(self, name, _time(name, getattr(self, name)))
        object.__setattr__(self, "metrics", metrics_of(self.metrics, TAKEN))
        for name in ("train_metrics", "keep_lanes"):
            object.__setattr__(self, name, arguments.flag(name, getattr(self, name)))

    def _take_aims(self) -> None:
        """Take objectives apart into the first and the others, and check constraints and weights."""
        objectives: Any = self.objective
        if isinstance(objectives, (list, tuple)):
            if not objectives or not all(isinstance(name, str) for name in objectives):
                raise RequestError(
                    f"objective = {shown(objectives)} is not legal: it must be a name, or a list of names such as "
                    "['val_accuracy', 'parameters']"
                )
            object.__setattr__(self, "objective", objectives[0])
            object.__setattr__(self, "further", tuple(objectives[1:]))
        if isinstance(self.objective, str) and self.objective in SIZES:
            raise RequestError(
                f"objective = {shown(self.objective)} comes first: the first objective must be a validation metric, "
                f"whose best trial is the best one; write ['val_accuracy', '{self.objective}'], or constrain it"
            )
        given: Any = self.constraints
        given = (given,) if isinstance(given, str) else given
        if not isinstance(given, (list, tuple)):
            raise RequestError(f"constraints = {shown(given)} is not legal: it must be like ['parameters <= 10000']")
        object.__setattr__(self, "constraints", tuple(str(Constraint.parse(text)) for text in given))
        weights = self.objective_weights
        count = 1 + len(self.further)
        whole = isinstance(weights, (list, tuple)) and len(weights) in (0, count)
        if not whole or not all(_is_share(weight) for weight in weights) or (weights and not any(weights)):
            raise RequestError(
                f"objective_weights = {shown(weights)} is not legal: it must be {count} numbers >= 0, one for each "
                "objective, and not all 0"
            )
        if weights and not self.further:
            raise RequestError("objective_weights goes with several objectives, and there is one: leave it out")
        object.__setattr__(self, "objective_weights", tuple(map(float, weights)))

    def _initial(self) -> tuple[Config, ...]:
        """Return the configs that come first, with functions under the names that they have in the space."""
        given = arguments.configs(() if self.initial is None else self.initial, "initial")
        if given and self.space is None:
            raise RequestError(
                "initial does not go with configs, which are trained in their order: put them first there"
            )
        entries = {} if self.space is None else self.space.entries
        return tuple(
            {
                name: found(value, named_values(entries[name])) if name in entries else value
                for name, value in each.items()
            }
            for each in given
        )


def _is_share(value: Any) -> bool:
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return real and bool(0 <= value <= LARGEST)


def _time(name: str, value: Any) -> float | None:
    """Return a time as a float; a limit may be None, which is none."""
    if value is None and name == "minutes":
        return None
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not real or not 0 < value <= LARGEST:
        raise RequestError(f"{name} = {shown(value)} is not legal: it must be a number above 0")
    return float(value)


def _at_least(name: str, value: Any, low: int) -> int | None:
    """Return a number of the request as a plain int; only `trials` may be None."""
    if value is None and name == "trials":
        return None
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise RequestError(f"{name} = {shown(value)} is not legal: it must be an integer of at least {low}")
    if value > MOST_TRIALS:
        raise RequestError(f"{name} = {shown(int(value))} are too many: one sweep has at most {MOST_TRIALS:,}")
    return int(value)


def difference(one: Request, other: Request, but: Container[str]) -> tuple[str, str, str] | None:
    """Return the first field in which two requests differ, `but` for some, and its two values as text; None if none.

    Of two spaces that is the text of the entries in which they differ.
    """
    for entry in fields(Request):
        values = getattr(one, entry.name), getattr(other, entry.name)
        if entry.compare and entry.name not in but and values[0] != values[1]:
            return entry.name, *_apart(*values)
    return None


def _apart(one: Any, other: Any) -> tuple[str, str]:
    if not (isinstance(one, Space) and isinstance(other, Space)):
        return shown(one), shown(other)
    names = [name for name in {**one.entries, **other.entries} if one.entries.get(name) != other.entries.get(name)]

    def text(space: Space) -> str:
        entries = [f"{name}={space.entries[name]!r}" if name in space.entries else f"no {name}" for name in names]
        return " ".join(f"Space({', '.join(entries)})".split())

    return text(one), text(other)

"""What every scheduler has: `begin(entrants)` takes in trials, `report(reports)` hears of them, both return orders.

A scheduler decides how long each trial trains. It sees numbers alone, and what it decides follows from its options, its
seed, the trials and what these came to, whatever the order in which reports arrive: a machine that trains them in
another order, or more at a time, takes the same decisions. Trials that it has given no order for wait, with their
weights in memory, and take no slot.

A scheduler is a subclass of `Scheduler` in a file of its own, with `begin` and `report`, and a line in the registry of
`jaxsweep.schedulers`. Its options are the keyword arguments of its `__init__`.
"""

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxsweep.errors import RequestError
from jaxsweep.spec.distributions import FloatArray
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.space import Space
from jaxsweep.streams import check_seed

UNITS = ("epochs", "iterations")


@dataclass(frozen=True)
class Entrant:
    """A trial as a scheduler gets it: its config, whose `epochs` it trains if nobody stops it."""

    trial: int
    config: Config  # every hyperparameter
    epochs: int
    epoch_steps: int  # iterations in an epoch


@dataclass(frozen=True)
class Report:
    """A trial that stands still: it has trained as long as it was told to, or has ended."""

    trial: int
    merits: FloatArray  # [epochs] what it would have been worth after each; larger is better; not finite: nothing
    ended: bool  # it has trained all its epochs, stopped early or diverged: nothing is left to train
    diverged: bool = False  # it, or one of its replicates and folds, so that it will have no score
    intact: bool = True  # none of these has ended, but for those that diverged: it can be copied, and become a copy


@dataclass(frozen=True)
class Go:
    """Train a trial until so many epochs are done in all, or to its end if it has no more."""

    trial: int
    until: int


@dataclass(frozen=True)
class Stop:
    """A trial is over; what it came to so far is what it came to."""

    trial: int


@dataclass(frozen=True)
class Copy:
    """A trial goes on as a copy of another, which stands still, and then under a config of its own."""

    trial: int
    source: int
    config: Config
    until: int


Order = Go | Stop | Copy


class Scheduler(ABC):
    """Decides how long trials train.

    Every trial that has begun is in the end stopped, or has ended by itself. A trial that has ended gets no order; only
    if the scheduler `changes` trials, one that has diverged and is intact waits for a `Copy` or a `Stop`. An order is
    one for a trial that stands still, and it goes on further than it has come.

    Args:
        seed: an integer in [0, 2**63 - 1].
        space: what configs may be changed within, for those that change them.
    """

    description: ClassVar[str]
    """One line for the table of schedulers."""

    changes: ClassVar[bool] = False
    """Whether a trial's config may be another one in the end than it was in the beginning."""

    def __init__(self, *, seed: int = 0, space: Space | None = None) -> None:
        self.seed, self.space = check_seed(seed), space

    @abstractmethod
    def begin(self, entrants: Sequence[Entrant]) -> list[Order]:
        """Take in the trials of one batch, by their numbers, and return what to train first, most urgent first."""

    @abstractmethod
    def report(self, reports: Sequence[Report]) -> list[Order]:
        """Hear of trials that stand still, and return what follows, most urgent first."""

    @abstractmethod
    def expected(self, entrants: Sequence[Entrant]) -> float:
        """Return the share in (0, 1] of the epochs of a batch that will be trained, as far as can be foreseen."""

    @abstractmethod
    def first_look(self, entrant: Entrant) -> int:
        """Return after how many epochs such a trial is looked at for the first time; not before its end: never."""


def rungs(entrant: Entrant, first: int, eta: int, unit: str) -> list[int]:
    """Return the epochs of a trial at each rung: `first`, times `eta` each, below all of its epochs; then these.

    In iterations, what a rung says is rounded up to whole epochs, as nothing is known of a network before its first.
    Several rungs may so be its first look (`joins`): the number of a rung stands for a budget, whoever is there.
    """
    steps = 1 if unit == "epochs" else entrant.epoch_steps
    found: list[int] = []
    budget = first
    while budget < entrant.epochs * steps:
        found.append(-(-budget // steps))
        budget *= eta
    return [*found, entrant.epochs]


def joins(budgets: Sequence[int]) -> int:
    """Return the rung at which a trial with these epochs at each is first compared: the last one of its first look.

    At the rungs before it would have had more iterations than those that it is compared with.
    """
    return bisect_right(budgets, budgets[0]) - 1


def merit_at(report: Report, epochs: int) -> float:
    """Return what a trial was worth after so many epochs, -inf for nothing; of one that ended before, in the end."""
    if report.diverged or not len(report.merits):
        return float("-inf")
    merit = float(report.merits[min(epochs, len(report.merits)) - 1])
    return merit if math.isfinite(merit) else float("-inf")


def one_of(name: str, value: Any, legal: Sequence[str]) -> str:
    """Return the option `value`, or raise RequestError if it is none of `legal`."""
    if not isinstance(value, str) or value not in legal:
        raise RequestError(f"{name} = {value!r} is not legal: it must be one of {', '.join(legal)}")
    return str(value)

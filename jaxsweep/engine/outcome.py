"""A lane as data: who it is before it trains, and what it has come to. No JAX."""

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.spec.lineage import Lineage

if TYPE_CHECKING:  # it knows JAX
    from jaxsweep.engine.bank import Row

Weights = tuple[dict[str, dict[str, NDArray[Any]]], dict[str, dict[str, NDArray[Any]]]]  # parameters, statistics


@dataclass(frozen=True)
class Parked:
    """A lane that stands still, with all that it takes to go on, and to be judged if it does not."""

    state: "Row | None"  # where its `train.State` is; None of one that is but recalled from a record
    epochs: int
    steps: int
    curves: NDArray[np.float64]  # [epochs, curve metrics]
    test: NDArray[np.float64] | None  # [metrics]
    seconds: float

    @classmethod
    def recalled(cls, curves: NDArray[np.float64]) -> "Parked":
        """Return where a lane stood of which nothing but its learning curves is known."""
        return cls(None, len(curves), 0, curves, None, 0.0)


@dataclass(frozen=True)
class Job:
    """A lane that waits for a slot: which config, under which identity."""

    position: int  # of the config in the list given to `Engine.run`
    trial: int
    replicate: int
    fold: int
    until: int = 0  # epochs after which it stands still; 0: it trains to its end
    parked: Parked | None = None  # where it goes on


@dataclass
class LaneResult:
    """A lane that has ended: one replicate on one fold of a trial."""

    job: Job
    status: str  # completed, stopped or diverged
    steps: int
    curves: NDArray[np.float64]  # [epochs, curve metrics]
    test: NDArray[np.float64] | None  # [metrics]
    seconds: float
    weights: Weights | None = None  # if somebody wants them
    lineage: Lineage = ()
    halted: bool = False  # whether a scheduler or a time limit ended it, where it could have gone on
    recorded: bool = False  # whether it is in the run directory already: it ended before the sweep was resumed

    @property
    def epochs(self) -> int:
        """Return after how many epochs it ended."""
        return len(self.curves)


Wanted = Callable[[Sequence[LaneResult]], Sequence[bool]]  # of lanes that have ended together, whose weights are


def last_lane_first(job: Job) -> tuple[int, int, int]:
    """Return a key that sorts lanes so that the first one of a trial comes after its others."""
    return job.trial, -job.replicate, -job.fold


Done = queue.SimpleQueue[
    Sequence[LaneResult] | BaseException | None
]  # what workers hand over; None from each at its end

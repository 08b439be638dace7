"""A lane as data: who it is before it trains, and what it has come to. No JAX."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = tuple[dict[str, dict[str, NDArray[Any]]], dict[str, dict[str, NDArray[Any]]]]  # parameters, statistics


@dataclass(frozen=True)
class Parked:
    """A lane that stands still, with all that it takes to go on, and to be judged if it does not."""

    state: Any  # a `train.State` of NumPy arrays
    epochs: int
    steps: int
    curves: NDArray[np.float64]  # [epochs, curve metrics]
    test: NDArray[np.float64] | None  # [metrics]
    seconds: float


@dataclass(frozen=True)
class Job:
    """A lane that waits for a slot: which config, under which identity."""

    position: int  # of the config in the list given to `Engine.run`
    trial: int
    replicate: int
    fold: int
    until: int = 0  # epochs after which it stands still; 0: it trains to its end
    parked: Parked | None = None  # where it goes on


@dataclass(frozen=True)
class Ancestor:
    """A part of a network's training: from an epoch on (0 is the first), as which trial, under which config."""

    epoch: int
    trial: int
    config: dict[str, Any]


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
    lineage: tuple[Ancestor, ...] = ()  # if it is a copy of another, in part: all of its parts, in their order

    @property
    def epochs(self) -> int:
        """Return after how many epochs it ended."""
        return len(self.curves)


Wanted = Callable[[Sequence[LaneResult]], Sequence[bool]]  # of lanes that have ended together, whose weights are


def last_lane_first(job: Job) -> tuple[int, int, int]:
    """Return a key that sorts lanes so that the first one of a trial comes after its others."""
    return job.trial, -job.replicate, -job.fold

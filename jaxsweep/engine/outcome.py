"""A lane as data: who it is before it trains, and what it has come to. No JAX."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = tuple[dict[str, dict[str, NDArray[Any]]], dict[str, dict[str, NDArray[Any]]]]  # parameters, statistics


@dataclass(frozen=True)
class Job:
    """A lane before it has trained: which config, under which identity."""

    position: int  # of the config in the list given to `Engine.run`
    trial: int
    replicate: int
    fold: int


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

    @property
    def epochs(self) -> int:
        """Return after how many epochs it ended."""
        return len(self.curves)

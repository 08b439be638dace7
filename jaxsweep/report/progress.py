"""What a sweep tells about itself while it runs, and who listens."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxsweep.records.trials import Trial


class Preparing(NamedTuple):
    """A program that is being made ready to run, by its number in the plan. Times in seconds."""

    number: int  # from 1
    of: int  # that the plan has
    expected: float  # it will take in all ...
    taken: float  # ... and has so far
    kept: bool  # since an earlier process compiled it, so that it need only be loaded


@dataclass
class Snapshot:
    """Where a sweep stands. Times in seconds; `busy` is the share of lane-steps run that were useful, in [0, 1].

    With a run directory, trials that have finished are those that are committed there, and the best is one of them.
    """

    requested: int = 0
    finished: int = 0
    diverged: int = 0
    seconds: float = 0.0
    rate: float = 0.0  # configs a second
    left: float | None = None  # seconds to go, None while unknown
    busy: float = 0.0
    objective: str = ""
    best_trial: int | None = None
    best_score: float | None = None
    best_params: dict[str, Any] = field(default_factory=dict)  # what the sweep varied
    programs: int = 0  # compiled so far
    preparing: tuple[Preparing, ...] = ()
    training: int = 0  # lanes in training ...
    depths: tuple[int, ...] = ()  # ... and their numbers of hidden layers, if those follow from their programs
    confirming: int = 0  # trials that are being trained again, after the search
    confirmed: int = 0  # fresh trainings of the best trial, whose mean its score then is
    scored: list[Trial] = field(default_factory=list)  # those that can be the best, which a view looks at now and then
    best_curve: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # the objective after each epoch ...
    best_curve_of: int = -1  # ... of the best trial of the search
    interrupted: bool = False  # somebody wants it to end, and it waits for what cannot be stopped, or has ended so


class Progress:
    """A listener; this one is silent. `update` may be called often: views limit their own rate."""

    def start(self, snapshot: Snapshot) -> None:
        """Begin to show."""

    def update(self, snapshot: Snapshot) -> None:
        """Show a new state."""

    def message(self, text: str) -> None:
        """Show a sentence that must not be lost, such as a remainder that is not tried."""

    def close(self, snapshot: Snapshot) -> None:
        """Show the last state and stop showing."""

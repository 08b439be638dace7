"""What the engine did: when something compiled or trained, and how many of the steps were of use."""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Usage:
    """What the engine did.

    `compiling` and `training` are intervals (start, end) of time; `programs` holds the keys of the training programs
    that were used, whether they were compiled for this sweep or were there already.
    """

    compiling: list[tuple[float, float]] = field(default_factory=list)
    training: list[tuple[float, float]] = field(default_factory=list)
    programs: set[Any] = field(default_factory=set)
    lane_steps: int = 0
    useful_steps: int = 0
    tile_bytes: int = 0  # of the largest tile, as XLA counts them
    given_up: int = 0  # lanes that a time limit ended where they were
    continued: int = 0  # lanes that went on from where an earlier process had left them ...
    begun_again: int = 0  # ... and those that it had left with states of another program, which train from the start
    remarks: list[str] = field(default_factory=list)  # that whoever asked for the sweep should read
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def compiled(self, key: Any, interval: tuple[float, float] | None) -> None:
        """Note that a program is used, and when it was compiled, if it was just now."""
        with self._guard:
            self.programs.add(key)
            if interval:
                self.compiling.append(interval)

    def needs(self, tile_bytes: int) -> None:
        """Note that a tile takes so many bytes."""
        with self._guard:
            self.tile_bytes = max(self.tile_bytes, tile_bytes)

    def trained(self, interval: tuple[float, float], lane_steps: int = 0, useful: int = 0) -> None:
        """Note that a tile trained, for how many steps of all its slots, and how many of them lanes took."""
        with self._guard:
            self.training.append(interval)
            self.lane_steps += lane_steps
            self.useful_steps += useful

    def gives_up(self, lanes: int) -> None:
        """Note that a time limit has ended so many lanes."""
        with self._guard:
            self.given_up += lanes

    def remark(self, text: str) -> None:
        """Note a sentence."""
        with self._guard:
            self.remarks.append(text)

    def continues(self, lanes: int, others: int) -> None:
        """Note that so many lanes of an earlier process go on from where they were, and others from their start."""
        with self._guard:
            self.continued += lanes
            self.begun_again += others

    @property
    def occupancy(self) -> float:
        """Return the share of the lane-steps run that were useful, 0 before the first."""
        return self.useful_steps / self.lane_steps if self.lane_steps else 0.0

    def seconds(self) -> tuple[float, float]:
        """Return seconds in which something trained, and further seconds in which something was only compiled."""
        trained = _union(self.training)
        return trained, _union(self.training + self.compiling) - trained


def _union(intervals: list[tuple[float, float]]) -> float:
    total, end = 0.0, -np.inf
    for start, stop in sorted(intervals):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total

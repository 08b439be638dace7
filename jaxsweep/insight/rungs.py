"""Where a scheduler stopped trials: after how many epochs, how many, and what they were worth there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jaxsweep.insight.sheet import FloatArray


@dataclass(frozen=True)
class Rung:
    """An epoch after which a scheduler stopped trials, or let some go on as copies of others.

    Attributes:
        epoch: how many epochs were done.
        came: trials that trained so long, those that were not compared there among them.
        went_on: those of them that trained longer.
        stopped: those that a scheduler, or the time limit, ended there; others ended by themselves.
        copied: those that went on from others' weights, of which the end still has something.
        best: the best score there, NaN if nobody has one.
        of_kept: the median score, there, of those that went on; NaN without any.
        of_stopped: likewise of those that were stopped.
    """

    epoch: int
    came: int
    went_on: int
    stopped: int
    copied: int
    best: float
    of_kept: float
    of_stopped: float


@dataclass(frozen=True)
class Stops:
    """How far each trial came under a scheduler.

    Attributes:
        done: the epochs of each trial, [trials].
        halted: whether a scheduler, or the time limit, ended it, bool [trials].
        copied: how many trials went on from others' weights, by the epochs that were done.
    """

    done: NDArray[np.int64]
    halted: NDArray[np.bool_]
    copied: Mapping[int, int] = field(default_factory=dict)

    def rungs(self, table: FloatArray, sign: int) -> list[Rung]:
        """Return the rungs, the first first.

        Args:
            table: the objective after each epoch, [trials, epochs], NaN beyond a trial's end.
            sign: 1 if larger values of it are better, else -1.
        """
        epochs = sorted({*self.done[self.halted].tolist(), *self.copied} - {0})
        return [self._rung(epoch, table[:, epoch - 1], sign) for epoch in epochs if epoch <= table.shape[1]]

    def _rung(self, epoch: int, scores: FloatArray, sign: int) -> Rung:
        on, here = self.done > epoch, self.halted & (self.done == epoch)
        came = self.done >= epoch
        known = scores[came & np.isfinite(scores)]
        best = float(sign * (sign * known).max()) if len(known) else np.nan
        counts = int(came.sum()), int(on.sum()), int(here.sum()), self.copied.get(epoch, 0)
        return Rung(epoch, *counts, best, _median(scores[on]), _median(scores[here]))

    def ends(self, table: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
        """Return after which epoch each stopped trial ended, [stopped], and what a metric [trials, epochs] was then."""
        rows = np.flatnonzero(self.halted & (self.done > 0) & (self.done <= table.shape[1]))
        values = table[rows, self.done[rows] - 1]
        finite = np.isfinite(values)
        return self.done[rows][finite], values[finite]


def _median(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan

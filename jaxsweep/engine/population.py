"""A population as data: what another process needs to go on with trials that become copies of others. No JAX."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxsweep.engine.checkpoint import Checkpoint, Identity

Repetition = tuple[int, int]  # replicate and fold
STANDS = ""  # of a lane that can go on; of others, how they ended


class Heard(NamedTuple):
    """What a scheduler heard of a trial: what has become of its lanes since it was last let go on."""

    trial: int
    lanes: Mapping[Repetition, tuple[str, NDArray[np.float64]]]  # how it ended, curves [new epochs, curve metrics]


@dataclass(frozen=True)
class Population:
    """All trials of a batch just after a decision, when none of them trains."""

    story: Sequence[Sequence[Heard]]  # a call of `Scheduler.report` each
    over: frozenset[int]  # trials that have ended
    lanes: Mapping[Identity, Checkpoint]  # of the others, from where they go on

    def of(self, trials: Sequence[int]) -> bool:
        """Return whether it is one of these trials."""
        return {*trials} == self.over | {identity.trial for identity in self.lanes}

"""How far a sweep is: what goes on in the engine, and how long the rest will take, as views show it."""

import math
import time

from jaxsweep.engine.engine import Engine
from jaxsweep.engine.planner import Plan
from jaxsweep.engine.underway import expected_compilation, seconds_left
from jaxsweep.recording import Recording
from jaxsweep.report.progress import Preparing, Snapshot

LOOK_SECONDS = 0.1  # how often it is reckoned how far the engine is: a sweep may finish thousands of trials a second


class Watch:
    """Keeps a sweep's snapshot up to date.

    Args:
        snapshot: what views are shown.
        engine: what trains.
        recording: what has finished.
        deadline: when the time limit ends, as `time.perf_counter` has it.

    Attributes:
        began: when the sweep did.
        later: trials that are to be asked for after the current batch.
        searching: seconds that the searcher has taken for those before.
        planned: the plan of the current batch.
        may_compile: whether later batches may have shapes that nothing is compiled for.
    """

    def __init__(self, snapshot: Snapshot, engine: Engine, recording: Recording, began: float, deadline: float) -> None:
        self.snapshot, self.engine, self.recording, self.deadline = snapshot, engine, recording, deadline
        self.began = self._looked = began
        self.later, self.searching = snapshot.requested, 0.0
        self.planned: Plan | None = None
        self.may_compile = True

    @property
    def ended(self) -> bool:
        """Whether all trials of the current batch have finished."""
        return len(self.recording.trials) + self.later == self.snapshot.requested

    def look(self) -> Snapshot:
        """Return where the sweep stands."""
        now, usage = self.snapshot, self.engine.usage
        now.seconds = time.perf_counter() - self.began
        now.rate = (now.finished - self.recording.restored) / now.seconds if now.seconds > 0 else 0.0
        now.busy = usage.occupancy
        now.programs = len(usage.programs)
        now.interrupted |= self.engine.interrupted
        if time.perf_counter() - self._looked > LOOK_SECONDS:
            self.reckon()
        return now

    def reckon(self) -> None:
        """Let the snapshot know what goes on in the engine, and how long the rest will take."""
        now, works, clock = self.snapshot, self.engine.works, time.perf_counter()
        self._looked = clock
        now.preparing = tuple(
            Preparing(number, len(works), expected_compilation(works, work), clock - since, work.kept)
            for number, work in enumerate(works, 1)
            if (since := work.compiling) is not None
        )
        now.training = sum(work.lanes for work in works)
        training = [work.bucket for work in works if work.lanes]
        of_one_depth = not any(bucket.shallower for bucket in training)
        now.depths = tuple(sorted({bucket.depth for bucket in training})) if of_one_depth else ()
        if not works or self.planned is None:
            return
        restored = self.recording.restored
        done, rest = len(self.recording.trials) - restored, now.requested - len(self.recording.trials)
        batch = sum(len(work.bucket.members) for work in works)
        left = seconds_left(works, self.planned, clock, self.later / batch, may_compile=self.may_compile)
        left += self.searching * self.later / (now.requested - self.later)
        if done and not now.confirming and self.engine.usage.training:
            # What the first trials took says little of the rest; once many have finished, they are the better measure.
            weight = (done / (now.requested - restored)) ** 2
            left += weight * ((clock - self.engine.usage.training[0][0]) * rest / done - left)
        now.left = left if rest or now.confirming else 0.0
        if not now.confirming and math.isfinite(self.deadline):
            now.left = min(now.left, max(0.0, self.deadline - clock))

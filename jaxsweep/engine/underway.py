"""What goes on in the engine: for each bucket how far it is, and from that how long the rest will take. No JAX.

Workers note what they do as they do it, a few numbers a call. Whoever waits for lanes may look at any time; nothing
here waits for a device.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from jaxsweep.engine.planner import LONE, Bucket, Plan

PRIOR = 0.05  # share of what a plan predicts that it takes to outweigh the prediction by what was measured


@dataclass
class Work:
    """How far a bucket is. Steps are lane-steps, seconds those of one worker."""

    bucket: Bucket
    steps: int = 0  # that its lanes take if none ends early
    done: int = 0  # of them; those that a lane did not need since it ended early are done too
    lanes: int = 0  # in training
    trained: float = 0.0
    compiled: float | None = None  # seconds, once its programs are there
    compiling: float | None = None  # since when, while they are not
    kept: bool = False  # whether programs that are being made ready were traced by an earlier process
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def preparing(self, kept: bool) -> Iterator[None]:
        """While this is entered, the bucket's programs are made ready."""
        began = time.perf_counter()
        with self._guard:
            self.kept = kept
            if self.compiled is None:
                self.compiling = began
        try:
            yield
        finally:
            with self._guard:
                self.compiling = None
                if self.compiled is None:
                    self.compiled = time.perf_counter() - began

    def enter(self, lanes: int) -> None:
        """Note that so many lanes are in training from now on."""
        with self._guard:
            self.lanes += lanes

    def took(self, steps: int, seconds: float) -> None:
        """Note that lanes took so many steps of their own together, in so many seconds of a worker."""
        with self._guard:
            self.done += steps
            self.trained += seconds

    def leave(self, lanes: int, unneeded: int) -> None:
        """Note that lanes have ended, together so many steps before they had to."""
        with self._guard:
            self.lanes -= lanes
            self.done += unneeded

    @property
    def share(self) -> float:
        """The share of its training that is done, in [0, 1]."""
        return min(self.done / self.steps, 1.0) if self.steps else 0.0


def seconds_left(
    works: Sequence[Work], plan: Plan, now: float, waiting: float = 0.0, may_compile: bool = True
) -> float:
    """Return the seconds until all of a plan's buckets have trained: at the beginning what the plan predicted.

    Training and compiling are each corrected by how long what is done took beside its prediction, training the more so
    the more is done: programs that were kept are there in a moment, and lanes may stop early. A machine that is slow to
    compile is taken to be as slow to train until that is measured.

    Args:
        works: one for each bucket of the plan.
        plan: it says how many workers compute at a time, and how many take turns at that.
        now: the time, as `time.perf_counter` has it.
        waiting: how many more plans like this one are to come. They may need programs for tiles of other sizes: how
            many, what this one had to compile tells best.
        may_compile: whether they may need programs at all.
    """
    slower_compiling = _factor_compiling(works, now)
    slower = _factor_training(works, plan.workers / plan.at_once, max(1.0, slower_compiling))

    def elapsed(whole: bool) -> float:
        """Return the seconds of what is left, or of the whole plan, as `make_plan` adds them up."""
        total, longest = 0.0, 0.0
        for work in works:
            compiling = slower_compiling * work.bucket.compile_seconds
            ready = not may_compile if whole else work.compiled is not None or work.share == 1
            if ready:
                compiling = 0.0
            elif not whole and work.compiling is not None:
                compiling = max(compiling - (now - work.compiling), 0.0)
            rest = slower * (1.0 if whole else 1 - work.share)
            training = rest * work.bucket.seconds
            total += training + compiling
            alone = max(rest * work.bucket.tile_seconds, training / plan.at_once)
            longest = max(longest, LONE * compiling + alone)
        return max(total / plan.at_once, longest)

    return elapsed(whole=False) + (waiting * elapsed(whole=True) if waiting > 0 else 0.0)


def expected_compilation(works: Sequence[Work], work: Work) -> float:
    """Return the seconds that making a bucket's programs ready should take in all."""
    alone = not any(other.lanes or (other.compiling is not None and other is not work) for other in works)
    return (LONE if alone else 1.0) * _factor_compiling(works) * work.bucket.compile_seconds


def _factor_training(works: Sequence[Work], turns: float, supposed: float) -> float:
    """Return the measured seconds of training beside the predicted ones; before, what is supposed."""
    prior = PRIOR * sum(work.bucket.seconds for work in works)
    expected = sum(work.share * work.bucket.seconds for work in works)
    measured = sum(work.trained for work in works) / max(turns, 1)
    return (measured + supposed * prior) / (expected + prior) if prior > 0 else supposed


def _factor_compiling(works: Sequence[Work], now: float | None = None) -> float:
    """Return the measured seconds of compiling beside the predicted ones; 1 while nothing was compiled.

    With the time, programs count too that are not ready although they should be.
    """
    done = [(work.compiled, work.bucket.compile_seconds) for work in works if work.compiled is not None]
    if now is not None:
        running = [(now - work.compiling, work.bucket.compile_seconds) for work in works if work.compiling is not None]
        done += [(taken, predicted) for taken, predicted in running if taken > predicted]
    expected = sum(predicted for _, predicted in done)
    return sum(measured for measured, _ in done) / expected if expected > 0 else 1.0

"""A machine of numbers in the place of one that trains: it obeys a scheduler, and refuses what no machine could do.

What a trial is worth after each epoch is known beforehand. Which of the trials that it may train it takes up next, and
how many stand still before the scheduler hears of them, is drawn at random: no scheduler may depend on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jaxsweep.schedulers.base import Copy, Entrant, Go, Order, Report, Scheduler, Stop
from jaxsweep.streams import generator


@dataclass
class Learner:
    """A trial as it is known beforehand.

    Args:
        merits: [epochs] what it is worth after each epoch.
        ends: after so many epochs patience ends it.
        diverges: after so many epochs it diverges; what it was worth before is lost.
        intact: whether it reports that none of its networks has ended.
    """

    merits: NDArray[np.float64]
    ends: int | None = None
    diverges: int | None = None
    intact: bool = True


@dataclass
class Course:
    """What became of a trial."""

    done: int = 0  # epochs, those that it copied included
    over: str = ""  # "ended" by itself or "stopped"; "" while it is neither
    diverged: bool = False
    copied: bool = False  # from then on nothing of what was known beforehand ends it
    orders: list[Order] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)  # its merits


class Machine:
    """Trains batches of learners as a scheduler says.

    Args:
        scheduler: it may know of earlier batches.
        learners: by the numbers of their trials.
        entrants: the same trials as the scheduler gets them.
        seed: decides in which order they train.
    """

    def __init__(
        self, scheduler: Scheduler, learners: Mapping[int, Learner], entrants: Sequence[Entrant], seed: int = 0
    ) -> None:
        self.scheduler, self.learners = scheduler, learners
        self.entrants = {each.trial: each for each in entrants}
        self.courses = {trial: Course() for trial in self.entrants}
        self.configs = {each.trial: each.config for each in entrants}
        self.trained = 0  # epochs in all
        self._queue: list[Go | Copy] = []
        self._rng = generator(seed, "machine")

    def run(self) -> "Machine":
        """Train until nothing is left to train, and demand that every trial is over then."""
        self._obey(self.scheduler.begin(list(self.entrants.values())))
        while self._queue:
            some = 1 + int(self._rng.random() * min(len(self._queue), 7))
            taken = [self._queue.pop(int(self._rng.random() * len(self._queue))) for _ in range(some)]
            reports = [self._train(order) for order in taken]
            self._obey(self.scheduler.report(reports))
        left = [trial for trial, course in self.courses.items() if not course.over and not course.diverged]
        assert not left, f"nothing trains any more, and nobody stopped trials {left[:5]}, which have not ended"
        return self

    @property
    def share(self) -> float:
        """Return the share of all epochs that were trained."""
        return self.trained / sum(each.epochs for each in self.entrants.values())

    def orders(self) -> dict[int, list[Order]]:
        """Return the orders that each trial got."""
        return {trial: course.orders for trial, course in self.courses.items()}

    def _obey(self, orders: Sequence[Order]) -> None:
        queued = {order.trial for order in self._queue}
        before = {trial: (course.done, list(course.seen)) for trial, course in self.courses.items()}
        for order in orders:
            assert order.trial in self.courses, f"{order} is for a trial that is none of the batch"
            course = self.courses[order.trial]
            assert order.trial not in queued, f"{order} is for a trial that trains"
            assert not course.over, f"{order} is for a trial that is over"
            course.orders.append(order)
            if isinstance(order, Stop):
                course.over = "stopped"
                continue
            if isinstance(order, Copy):
                self._check_copy(order, queued, before)
                course.done, course.seen = before[order.source][0], list(before[order.source][1])
                course.diverged, course.copied, self.configs[order.trial] = False, True, order.config
            assert not course.diverged, f"{order} is for a trial that has diverged"
            assert course.done < order.until, f"{order} is for a trial that has done {course.done} epochs"
            most = self.configs[order.trial]["epochs"] if course.copied else self.entrants[order.trial].epochs
            assert order.until <= most, f"{order} is for a trial of {most} epochs"
            queued.add(order.trial)
            self._queue.append(order)

    def _check_copy(self, order: Copy, queued: set[int], before: Mapping[int, tuple[int, list[float]]]) -> None:
        assert self.scheduler.changes, f"{order} changes a config, and the scheduler says that it changes none"
        source = self.courses[order.source]
        assert order.source != order.trial, f"{order} is a copy of itself"
        assert order.source not in queued or source.orders[-1] is not None
        assert not source.over, f"{order} copies a trial that is over"
        assert not source.diverged, f"{order} copies a trial that has diverged"
        assert before[order.source][0], f"{order} copies a trial that has not begun"
        for trial in (order.trial, order.source):
            assert self.learners[trial].intact, f"{order} has to do with a trial of which a part has ended"

    def _train(self, order: Go | Copy) -> Report:
        """Let a trial do what it was told, and return its report."""
        trial = order.trial
        learner, course = self.learners[trial], self.courses[trial]
        until = order.until
        if not course.copied:
            until = min(until, learner.ends or until, learner.diverges or until)
        self.trained += until - course.done
        course.seen += learner.merits[course.done : until].tolist()
        course.done = until
        diverged = not course.copied and until == learner.diverges
        most = self.configs[trial]["epochs"] if course.copied else self.entrants[trial].epochs
        ended = diverged or until == most or (not course.copied and until == learner.ends)
        course.diverged = diverged
        if ended and not (diverged and self.scheduler.changes and learner.intact):
            course.over = "ended"
        merits = np.array([-np.inf]) if diverged else np.array(course.seen)
        return Report(trial, merits, ended, diverged, learner.intact)

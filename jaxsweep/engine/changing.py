"""A scheduler at work that lets trials become copies of others: kept, and continued, as a whole population.

What a lane has come to says too little of such a trial: its config and its past may be another's. So what the scheduler
hears is noted; where all trials go on at the same moment, that is kept together with their states. Another process lets
the scheduler hear it once more, and decide what it decided, and all trials then go on from where they stood.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jaxsweep.engine.checkpoint import Checkpoint, Identity, Saver
from jaxsweep.engine.director import Director, Settled, Standing
from jaxsweep.engine.lanes import Group
from jaxsweep.engine.outcome import Job, LaneResult, Parked
from jaxsweep.engine.population import STANDS, Heard, Population, Repetition
from jaxsweep.errors import RequestError
from jaxsweep.schedulers import Entrant
from jaxsweep.spec.hyperparameters import Config

Stood = Callable[[Group, Sequence[Job]], Sequence[Parked]]  # where lanes of a population go on
Kept = Callable[[Group, Job], Checkpoint]  # what a lane that waits in a queue has come to


class Changing(Director):
    """A director whose scheduler changes trials. `recorded` counts for a population that goes on, and else not."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._saver: tuple[Saver, Kept] | None = None
        self._story: list[tuple[Heard, ...]] = []  # all that the scheduler has heard of the batch, if it is kept
        self._since: dict[int, dict[Repetition, int]] = {}  # of trials: epochs of the lanes that were last let go on
        self._let_go: list[tuple[Group, Job]] = []  # since lanes were last taken
        self._replays = False

    def keep(self, saver: Saver, kept: Kept) -> None:
        """Hand the population to `saver` from time to time."""
        self._saver = saver, kept

    def begin(
        self, trials: dict[int, Standing], entrants: Sequence[Entrant], group_of: Callable[[Group, Config], Group],
        lanes: Sequence[Repetition], underway: Mapping[Identity, Parked] | None = None,
    ) -> list[Settled]:  # fmt: skip
        """See `Director.begin`; nobody has the weights that trials went on from, so that all of them train."""
        self.recorded = {}
        return super().begin(trials, entrants, group_of, lanes, underway)

    def begin_again(
        self, trials: dict[int, Standing], entrants: Sequence[Entrant], group_of: Callable[[Group, Config], Group],
        lanes: Sequence[Repetition], population: Population, stood: Stood,
    ) -> list[Settled]:  # fmt: skip
        """Take in the trials of a batch as an earlier process has left them; `recorded` has those that are over.

        Raises:
            RequestError: the population is not one of these trials.
        """
        self._enter(trials, group_of, lanes)
        with self.changed:
            try:
                settled = self._replay(entrants, population)
                self._go_on(stood)
            except (KeyError, IndexError, ValueError) as error:
                raise RequestError(
                    f"checkpoints/ of the run does not belong to its trials ({type(error).__name__}: {error}): remove "
                    "it, and what is not recorded trains again"
                ) from error
        return settled

    def _replay(self, entrants: Sequence[Entrant], population: Population) -> list[Settled]:
        """Let the scheduler hear what it heard, and do what followed, but for training."""
        self._replays = True
        settled, _ = self._obey(self.scheduler.begin(entrants))
        for call in population.story:
            for heard in call:
                self._stand_again(heard)
            settled += self._tell([heard.trial for heard in call])[0]
            self._story.append(tuple(call))
        self._replays = False
        return settled

    def _stand_again(self, heard: Heard) -> None:
        """Let the lanes of a trial stand, or have ended, where a scheduler has heard that they did."""
        standing = self.trials[heard.trial]
        for lane, (status, new) in heard.lanes.items():
            before = standing.parked.pop(lane, None)
            curves = new if before is None else np.concatenate([before.curves, new])
            if status == STANDS:
                standing.parked[lane] = Parked.recalled(curves)
            else:
                job = Job(standing.position, heard.trial, *lane)
                standing.ended[lane] = LaneResult(job, status, 0, curves, None, 0.0)

    def _go_on(self, stood: Stood) -> None:
        """Put all trials into their queues, with the states that they had."""
        queued: dict[int, tuple[Group, list[Job]]] = {}
        for trial, standing in self.trials.items():
            if standing.ended or len(standing.parked) != standing.lanes:
                raise ValueError(f"trial {trial} does not stand still")
            jobs = super()._jobs(trial, standing)
            self._since[trial] = _epochs(jobs)
            queued.setdefault(id(standing.group), (standing.group, []))[1].extend(jobs)
            self.training += len(jobs)
        for group, jobs in queued.values():
            parked = stood(group, jobs)
            group.push([replace(job, parked=where) for job, where in zip(jobs, parked, strict=True)])

    def take(self, ended: Sequence[LaneResult], paused: Sequence[tuple[Job, Parked]]) -> list[Settled]:
        """See `Director.take`."""
        with self.changed:
            settled = super().take(ended, paused)
            population, self._let_go = self._population(), []
        if population is not None and self._saver is not None:
            self._saver[0].save_together(population)
        return settled

    def _population(self) -> Population | None:
        """Return all trials as they go on, if somebody wants that now, and all of them begin to do so."""
        if self._saver is None or not 0 < self.training == len(self._let_go) or not self._saver[0].due_together():
            return None
        whole = self.training == sum(standing.lanes for standing in self.trials.values())
        if not whole or any(job.parked is None or job.parked.state is None for _, job in self._let_go):
            return None
        kept = self._saver[1]
        over = frozenset({heard.trial for call in self._story for heard in call} - self.trials.keys())
        return Population(tuple(self._story), over, {Identity.of(job): kept(group, job) for group, job in self._let_go})

    def _tell(self, still: Sequence[int]) -> tuple[list[Settled], list[int]]:
        if self._saver is not None and not self._replays:
            self._story.append(tuple(self._heard(trial) for trial in still))
        return super()._tell(still)

    def _heard(self, trial: int) -> Heard:
        """Return what there is to hear of a trial that stands still."""
        standing, lanes = self.trials[trial], {}
        for lane, since in self._since[trial].items():
            if lane in standing.parked:
                lanes[lane] = STANDS, standing.parked[lane].curves[since:]
            else:
                lanes[lane] = standing.ended[lane].status, standing.ended[lane].curves[since:]
        return Heard(trial, lanes)

    def _jobs(self, trial: int, standing: Standing) -> list[Job]:
        if self._replays:
            return []
        jobs = super()._jobs(trial, standing)
        self._since[trial] = _epochs(jobs)
        if self._saver is not None:
            self._let_go += [(standing.group, job) for job in jobs]
        return jobs

    def _settle(self, trial: int) -> list[Settled]:
        if self._replays and trial not in self.recorded:
            raise ValueError(f"trial {trial} is over, and not recorded")
        return super()._settle(trial)


def _epochs(jobs: Sequence[Job]) -> dict[Repetition, int]:
    """Return how many epochs lanes have done."""
    return {(job.replicate, job.fold): job.parked.epochs if job.parked else 0 for job in jobs}

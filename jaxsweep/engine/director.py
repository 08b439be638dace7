"""A scheduler at work: lanes that stand still, what is decided about them, and the queues in which they go on.

Workers hand over lanes that have paused or ended; the scheduler hears of a trial once all its lanes stand still, and
what it orders is done at once, in the worker's thread: lanes go back into a queue with the weights that they stopped
with, end, or become copies of others. Nothing is trained twice.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxsweep.engine.checkpoint import Identity
from jaxsweep.engine.costs import Sizes
from jaxsweep.engine.lanes import Group
from jaxsweep.engine.outcome import Job, LaneResult, Parked, Wanted, last_lane_first
from jaxsweep.engine.population import Repetition
from jaxsweep.engine.weights import cut
from jaxsweep.network.train import Program, final_weights
from jaxsweep.schedulers import Copy, Entrant, Order, Report, Scheduler, Stop
from jaxsweep.spec.hyperparameters import Config, epoch_steps
from jaxsweep.spec.lineage import Lineage, Part

Merits = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # of curves [epochs, metrics]: [epochs], larger is better


@dataclass
class Standing:
    """A trial: its lanes that stand still, and those that have ended."""

    position: int  # of its config
    group: Group
    lanes: int
    parked: dict[Repetition, Parked] = field(default_factory=dict)
    ended: dict[Repetition, LaneResult] = field(default_factory=dict)
    lineage: Lineage = ()
    until: int = 0  # epochs for which it was last let go on

    @property
    def still(self) -> bool:
        """Whether none of its lanes trains."""
        return len(self.parked) + len(self.ended) == self.lanes


def entrants(configs: Mapping[int, Config], sizes: Sizes) -> list[Entrant]:
    """Return the trials of a batch as a scheduler gets them; `configs` by their numbers."""
    return [
        Entrant(trial, config, config["epochs"], epoch_steps(config, sizes.rows))
        for trial, config in sorted(configs.items())
    ]


class Settled(NamedTuple):
    """A lane that is over; of one that was stopped where it stood, its weights are in `parked`."""

    result: LaneResult
    parked: Parked | None = None
    program: Program | None = None


class Director:
    """Lets a scheduler decide about the lanes of one batch.

    Args:
        scheduler: it may know of earlier batches.
        merits: what a lane is worth after each epoch, from its learning curves.
        configs: those of the engine's run; new ones are put at the end.
        barred: says of a config that its trials are worth nothing, whatever they learn: they end after an epoch, or, of
            a scheduler that changes trials, wait to become others.
        recorded: lanes of trials that an earlier process has recorded. The scheduler hears of them what it heard then,
            from their curves; only if it now lets one go on further does that train again.
    """

    def __init__(
        self, scheduler: Scheduler, merits: Merits, configs: list[Config],
        barred: Callable[[Config], bool] = lambda config: False,
        recorded: Mapping[int, Sequence[LaneResult]] | None = None,
    ) -> None:  # fmt: skip
        self.scheduler, self.merits, self.configs, self.barred = scheduler, merits, configs, barred
        self.recorded = dict(recorded or {})
        self.trials: dict[int, Standing] = {}
        self.changed = threading.Condition()  # of what waits in queues
        self.training = 0  # lanes in queues or in tiles
        self._nothing: set[int] = set()  # trials that are barred
        self._group_of: Callable[[Group, Config], Group] = lambda group, config: group
        self._underway: dict[Identity, Parked] = {}

    def begin(
        self, trials: dict[int, Standing], entrants: Sequence[Entrant], group_of: Callable[[Group, Config], Group],
        lanes: Sequence[Repetition], underway: Mapping[Identity, Parked] | None = None,
    ) -> list["Settled"]:  # fmt: skip
        """Take in the trials of a batch; return those about which all is decided, by what is known of them already.

        `group_of` gives the queue of lanes like those of another under a config; `underway` are lanes, by trial,
        replicate and fold, that an earlier process has left in the middle of their training, from where they go on.
        """
        self._enter(trials, group_of, lanes)
        self._underway = dict(underway or {})
        with self.changed:
            settled, still = self._obey(self.scheduler.begin(entrants))
            return settled + self._hear(still)

    def _enter(
        self, trials: dict[int, Standing], group_of: Callable[[Group, Config], Group], lanes: Sequence[Repetition]
    ) -> None:
        self.trials, self._group_of, self._lanes = trials, group_of, tuple(lanes)
        self._nothing = {trial for trial, standing in trials.items() if self.barred(self.configs[standing.position])}

    @property
    def done(self) -> bool:
        """Whether nothing is left to train."""
        return self.training == 0

    def take(self, ended: Sequence[LaneResult], paused: Sequence[tuple[Job, Parked]]) -> list["Settled"]:
        """Take lanes that have stopped training, and return those about which all is decided."""
        with self.changed:
            self.training -= len(ended) + len(paused)
            moved: dict[int, None] = {}
            for result in ended:
                self.trials[result.job.trial].ended[result.job.replicate, result.job.fold] = result
                moved[result.job.trial] = None
            for job, parked in paused:
                self.trials[job.trial].parked[job.replicate, job.fold] = parked
                moved[job.trial] = None
            settled = self._hear([trial for trial in moved if self.trials[trial].still])
            self.changed.notify_all()
            return settled

    def _hear(self, still: Sequence[int]) -> list["Settled"]:
        """Let the scheduler hear of trials that stand still, and do what follows, as long as something does."""
        settled: list[Settled] = []
        while still:
            more, still = self._tell(still)
            settled += more
        return settled

    def _tell(self, still: Sequence[int]) -> tuple[list["Settled"], list[int]]:
        """Let the scheduler hear of trials; return the lanes that are over, and the trials that stand still at once."""
        reports = [self._report(trial) for trial in still]
        settled, at_once = self._obey(self.scheduler.report(reports))
        for report in reports:
            waits = self.scheduler.changes and report.diverged and report.intact  # it may become a copy
            if report.ended and not waits and report.trial in self.trials:
                settled += self._settle(report.trial)
        return settled, at_once

    def conclude(self) -> list["Settled"]:
        """Return what the trials that stand still, or wait to go on, came to: nobody lets them go on any more."""
        with self.changed:
            for group in {id(standing.group): standing.group for standing in self.trials.values()}.values():
                for job in group.pop(len(group.jobs)):
                    self.training -= 1
                    if job.parked is not None:
                        self.trials[job.trial].parked[job.replicate, job.fold] = job.parked
            still = [trial for trial, standing in self.trials.items() if standing.still]
            return [result for trial in still for result in self._settle(trial)]

    def _report(self, trial: int) -> Report:
        standing = self.trials[trial]
        diverged = any(result.status == "diverged" for result in standing.ended.values())
        intact = all(result.status == "diverged" for result in standing.ended.values())
        merits = np.full(1, -np.inf)
        if not diverged:
            curves = [lane.curves for lane in standing.parked.values()]
            curves += [lane.curves for lane in standing.ended.values()]
            several = [self.merits(curve) for curve in curves]
            mean = several[0]
            if len(several) > 1:
                length = max(map(len, several))
                padded = [np.pad(each, (0, length - len(each)), mode="edge") for each in several]
                mean = np.mean(padded, axis=0)
            merits = np.where(np.isfinite(mean) & (trial not in self._nothing), mean, -np.inf)
        return Report(trial, merits, self._ends(trial) or not standing.parked, diverged, intact)

    def _ends(self, trial: int) -> bool:
        """Return whether a trial trains for one epoch, and no more."""
        return trial in self._nothing and not self.scheduler.changes

    def _obey(self, orders: Sequence[Order]) -> tuple[list["Settled"], list[int]]:
        """Do what the scheduler says; return the lanes that are over, and the trials that stand still again at once."""
        settled: list[Settled] = []
        still: list[int] = []
        queued: dict[int, tuple[Group, list[Job]]] = {}
        # Before anybody moves: a copy is one of a trial that stands still.
        copies = {order.trial: self.trials[order.source] for order in orders if isinstance(order, Copy)}
        sources = {trial: replace(source, parked=dict(source.parked)) for trial, source in copies.items()}
        for order in orders:
            if isinstance(order, Stop):
                settled += self._settle(order.trial)
                continue
            standing = self.trials[order.trial]
            if isinstance(order, Copy):
                self._copy(order, standing, sources[order.trial])
            standing.until = 1 if self._ends(order.trial) else order.until
            jobs = self._jobs(order.trial, standing)
            if not jobs:
                still.append(order.trial)
                continue
            queued.setdefault(id(standing.group), (standing.group, []))[1].extend(jobs)
            self.training += len(jobs)
        for group, jobs in queued.values():
            group.push(jobs)
        return settled, still

    def _jobs(self, trial: int, standing: Standing) -> list[Job]:
        """Return the lanes of a trial that train on; none of one that stands there already, by what is known of it."""
        until = standing.until
        if trial in self.recorded and self._recalled(trial, until):
            return []
        lanes: dict[Repetition, Parked | None] = {**standing.parked} or dict.fromkeys(self._lanes)
        standing.parked, jobs = {}, []
        for lane, parked in lanes.items():
            furthest = self._furthest(Identity(trial, *lane), parked, until)
            if furthest is not None and furthest.epochs == until:
                standing.parked[lane] = furthest
            else:
                jobs.append(Job(standing.position, trial, *lane, until=until, parked=furthest))
        return jobs

    def _furthest(self, lane: Identity, parked: Parked | None, until: int) -> Parked | None:
        """Return where a lane goes on towards an epoch: where it stands, or where an earlier process has left it.

        One that was left beyond that epoch stands there once more, for the scheduler to say what it said then, and has
        its weights again when it goes on.
        """
        known = self._underway.get(lane)
        if known is None or (parked is not None and parked.epochs >= known.epochs):
            return parked
        if known.epochs > until:
            return Parked.recalled(known.curves[:until])
        return self._underway.pop(lane)

    def _recalled(self, trial: int, until: int) -> bool:
        """Let a trial stand where its record says that it stood after so many epochs; return whether it says that.

        One that was halted before, and is to go on, trains again from its beginning: nobody has its weights.
        """
        lanes, standing = self.recorded[trial], self.trials[trial]
        standing.parked, standing.ended = {}, {}
        if any(lane.halted and lane.epochs < until for lane in lanes):
            del self.recorded[trial]
            return False
        for lane in lanes:
            identity = lane.job.replicate, lane.job.fold
            if lane.epochs > until or (lane.halted and lane.epochs == until):
                standing.parked[identity] = Parked.recalled(lane.curves[:until])
            else:
                standing.ended[identity] = lane
        return True

    def _copy(self, order: Copy, standing: Standing, source: Standing) -> None:
        """Let a trial stand where its source does, with a config of its own."""
        epoch = next(iter(source.parked.values())).epochs
        before = source.lineage or (Part(0, order.source, self.configs[source.position]),)
        self.configs.append(order.config)
        standing.position = len(self.configs) - 1
        standing.group = self._group_of(source.group, order.config)
        standing.parked, standing.ended = dict(source.parked), {}
        standing.lineage = (*before, Part(epoch, order.trial, order.config))
        self._nothing -= {order.trial}
        self._nothing |= {order.trial} if self.barred(order.config) else set()

    def _settle(self, trial: int) -> list["Settled"]:
        """Return the lanes of a trial that goes on no more, and forget it."""
        standing = self.trials.pop(trial)
        if trial in self.recorded:
            return [Settled(lane) for lane in self.recorded[trial]]
        settled = [Settled(result) for result in standing.ended.values()]
        for lane, parked in standing.parked.items():
            job = Job(standing.position, trial, *lane)
            result = LaneResult(job, "stopped", parked.steps, parked.curves, parked.test, parked.seconds, halted=True)
            settled.append(Settled(result, parked, standing.group.program))
        for each in settled:
            each.result.lineage = standing.lineage
        return settled


def with_weights(settled: Sequence[Settled], wanted: Wanted, configs: Sequence[Config]) -> list[LaneResult]:
    """Return lanes that are over; those that were stopped where they stood, with their weights if they are wanted."""
    stopped = [(each.result, each.parked, each.program) for each in settled if each.parked is not None]
    stopped.sort(key=lambda each: last_lane_first(each[0].job))
    flags = wanted([result for result, _, _ in stopped]) if stopped else []
    for (result, parked, program), fetch in zip(stopped, flags, strict=True):
        if fetch and program is not None and parked.state is not None:
            weights: Any = final_weights(program, parked.state.tree())
            result.weights = cut(weights, configs[result.job.position], program.net)
    return [each.result for each in settled]

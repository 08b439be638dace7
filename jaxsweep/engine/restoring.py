"""Lanes that an earlier process has left in the middle of their training: where they go on in this one."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from jaxsweep.engine import programs
from jaxsweep.engine.checkpoint import Checkpoint, Identity, checkpoint, digest, fits, together
from jaxsweep.engine.lanes import Group, Supply
from jaxsweep.engine.outcome import Job, Parked
from jaxsweep.engine.population import Population
from jaxsweep.engine.usage import Usage
from jaxsweep.network import ambient
from jaxsweep.network.train import State


class Restorer:
    """Puts states of checkpoints into the banks of groups, and tells what a lane that stands in one has come to.

    Args:
        supply: what the lanes train on.
        usage: counts those that go on, and those that do not.
        wide: whether numbers have 64 bits.
    """

    def __init__(self, supply: Supply, usage: Usage, wide: bool) -> None:
        self.supply, self.usage, self.wide = supply, usage, wide
        self._shapes: dict[str, State] = {}  # of the states of programs, by their names

    def standing(self, groups: Sequence[Group], underway: Mapping[Identity, Checkpoint]) -> dict[Identity, Parked]:
        """Return where waiting lanes of some groups go on, of those that this process can go on with."""
        standing: dict[Identity, Parked] = {}
        for group in groups:
            configs = {job.trial: group.configs[job.position] for job in group.jobs}
            found = [underway[identity] for job in group.jobs if (identity := Identity.of(job)) in underway]
            good = [
                known
                for known in found
                if known.program == group.states
                and known.config == digest(self.supply.seed, configs[known.identity.trial])
                and known.epochs < configs[known.identity.trial]["epochs"]
                and fits(known, self._shapes_of(group))
            ]
            self.usage.continues(len(good), len(found) - len(good))
            if good:
                standing |= zip((known.identity for known in good), self._parked(group, good), strict=True)
        return standing

    def stood(self, population: Population, group: Group, jobs: Sequence[Job]) -> list[Parked]:
        """Return where lanes of a population go on; ValueError if it has others than these."""
        found = [population.lanes[Identity.of(job)] for job in jobs]
        for job, known in zip(jobs, found, strict=True):
            same = known.program == group.states and job.parked is not None and job.parked.epochs == known.epochs
            if not same or known.config != digest(self.supply.seed, group.configs[job.position]):
                raise ValueError(f"trial {job.trial} had another config, or came to another epoch")
            if not fits(known, self._shapes_of(group)):
                raise ValueError(f"trial {job.trial} has a state of another shape")
        self.usage.continues(len(found), 0)
        return self._parked(group, found)

    def kept(self, group: Group, job: Job) -> Checkpoint:
        """Return what a lane that waits in a queue has come to."""
        assert job.parked is not None
        assert job.parked.state is not None
        config, state = group.configs[job.position], job.parked.state.tree()
        return checkpoint(Identity.of(job), group.states, self.supply.seed, config, job.parked, state)

    def _shapes_of(self, group: Group) -> State:
        if group.states not in self._shapes:
            with ambient.own(self.wide):
                empty = self.supply.choices([], group, 1), self.supply.lanes([], group, 1)
                self._shapes[group.states] = programs.state_of(group.program, *empty)
        return self._shapes[group.states]

    def _parked(self, group: Group, lanes: Sequence[Checkpoint]) -> list[Parked]:
        """Let lanes stand in a group's bank as their checkpoints have them."""
        rows = group.bank.put(together(lanes, self._shapes_of(group)), range(len(lanes)), in_place=True)
        return [
            Parked(row, known.epochs, known.steps, known.curves, known.test, known.seconds)
            for known, row in zip(lanes, rows, strict=True)
        ]


def go_on(groups: Sequence[Group], standing: Mapping[Identity, Parked]) -> None:
    """Let lanes that stand go on before those that are new."""
    for group in groups:
        jobs = [replace(job, parked=standing.get(Identity.of(job))) for job in group.jobs]
        group.jobs = deque(sorted(jobs, key=lambda job: job.parked is None))

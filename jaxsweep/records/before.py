"""What a run directory knows of a sweep that goes on: the trials that it need not train again."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

from jaxsweep.engine.checkpoint import Identity
from jaxsweep.engine.outcome import Job, LaneResult
from jaxsweep.errors import RequestError
from jaxsweep.records.lanes import Lane
from jaxsweep.records.stored import StoredRun
from jaxsweep.records.trials import Trial
from jaxsweep.spec.hyperparameters import Config


@dataclass(frozen=True)
class Before:
    """The trials of a run directory, as a sweep that goes on finds them; `run` is read when the sweep begins again."""

    run: StoredRun

    @cached_property
    def trials(self) -> Mapping[int, Trial]:
        """The recorded trials by their ids."""
        return {trial.id: trial for trial in self.run.trials}

    @cached_property
    def lanes(self) -> Mapping[int, Sequence[Lane]]:
        """The lanes of the recorded trials."""
        return self.run.lanes

    def of(self, ids: Sequence[int], configs: Sequence[Config], again: bool) -> dict[int, list[LaneResult]]:
        """Return the lanes of the trials of a batch that are recorded.

        Args:
            ids: of the trials of the batch.
            configs: the resolved configs that they have now.
            again: whether trials train on that a time limit halted; a scheduler knows itself which ones do.

        Raises:
            RequestError: a trial had another config then.
        """
        found = {}
        for position, (number, config) in enumerate(zip(ids, configs, strict=True)):
            trial = self.trials.get(number)
            if trial is None:
                continue
            if not trial.lineage and trial.config != config:
                was, now = trial.config, config
                name = next(name for name in was if was[name] != now.get(name))
                raise RequestError(
                    f"{self.run.path} cannot go on: its trial {number} was trained with {name} = {was[name]!r}, and "
                    f"the same search proposes {now.get(name)!r} now: another version, a table that has changed, or "
                    "an earlier run that has"
                )
            lanes = self.lanes[number]
            if again and any(lane.halted for lane in lanes):
                continue
            found[number] = [_ended(trial, lane, position, len(lanes)) for lane in lanes]
        return found

    @cached_property
    def confirmed(self) -> dict[int, list[LaneResult]]:
        """The lanes by which the best trials were confirmed, if they were."""
        fresh = self.run.fresh_lanes
        return {
            number: [_ended(self.trials[number], lane, 0, len(lanes)) for lane in lanes]
            for number, lanes in fresh.items()
        }

    def confirming(self, trials: Set[int]) -> tuple[dict[Identity, LaneResult], int]:
        """Return the lanes of a confirmation that had ended before all had, of some trials; and how many are broken."""
        lanes, broken = self.run.confirming()
        known = [(number, lane) for number, lane in lanes if number in trials and number in self.trials]
        ended = [
            replace(_ended(self.trials[number], lane, 0, 1), seconds=0.0, lineage=(), recorded=False)
            for number, lane in known
        ]
        return {Identity.of(lane.job): lane for lane in ended}, broken


def _ended(trial: Trial, lane: Lane, position: int, lanes: int) -> LaneResult:
    job = Job(position, trial.id, lane.replicate, lane.fold)
    seconds = trial.seconds / lanes
    return LaneResult(
        job, lane.status, 0, lane.curves, lane.test, seconds, lineage=trial.lineage, halted=lane.halted, recorded=True
    )

"""Trials as they finish: made of their lanes, recorded, and only then counted and shown; and those recorded before.

What cannot be recorded waits and is tried again while training goes on. Of what is under way the run directory has
checkpoints, which are removed once all of it is over.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence

from jaxsweep.engine.checkpoint import Checkpoint, Identity
from jaxsweep.engine.garbage import set_aside_too
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.engine.population import Population
from jaxsweep.engine.usage import Usage
from jaxsweep.errors import RequestError
from jaxsweep.records.before import Before
from jaxsweep.records.checkpoints import Checkpoints
from jaxsweep.records.front import judge
from jaxsweep.records.keeper import Keeper
from jaxsweep.records.lanes import Lane
from jaxsweep.records.model import Model
from jaxsweep.records.result import Networks
from jaxsweep.records.store import NotRecorded, Store
from jaxsweep.records.trials import Trial, make_trial, mean_of
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.setup import Setup
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.swept import Swept

FLUSH_SECONDS = 0.2  # how often finished trials are committed, and so shown: as often as a view draws
RETRY_SECONDS = 5.0  # until what could not be recorded is tried again
PORTION = 500  # most trials of one commit: on a disk that is nearly full some fit where all do not
STAY = 10_000  # trials, of whose objects the garbage collector is to know that they stay


class Remarks:
    """Sentences that whoever asked for a sweep should read: shown at once, and kept for those who read the record."""

    def __init__(self, progress: Progress) -> None:
        self.notes: list[str] = []
        self._progress = progress

    def say(self, note: str) -> None:
        """Show a sentence and keep it."""
        self.notes.append(note)
        self._progress.message(note)


class Recording:
    """The trials of a running sweep.

    Args:
        setup: what is trained.
        store: the run directory, if there is one.
        before: what it had when the sweep went on, if it does.
        snapshot: counts what is recorded; of a sweep that is not recorded what has finished.
        remarks: what is to be said of it.

    Attributes:
        trials: those that have finished, in the order in which they did.
        lanes: what is remembered of each one's lanes, by its id.
        restored: how many of them were recorded before this sweep went on.
        keeper: the networks of the best.
        trouble: why nothing can be recorded now; "" if all can.
        underway: lanes that an earlier process has left in the middle of their training.
    """

    def __init__(
        self, setup: Setup, store: Store | None, before: Before | None, snapshot: Snapshot, remarks: Remarks
    ) -> None:
        self.setup, self.store, self.before, self.snapshot, self._say = setup, store, before, snapshot, remarks.say
        request = setup.request
        kept = max(request.keep, request.confirm) if request.keep else 0  # the winner's is among them
        self.keeper = Keeper(
            kept, setup.data, setup.columns, request.keep_best, setup.lanes_each, store, bool(setup.aims.constraints),
            request.keep_lanes,
        )  # fmt: skip
        self.checkpoints = (
            None
            if store is None
            else Checkpoints(store.path, before is not None, request.checkpoint_seconds, store.check, setup.columns)
        )
        self.underway: dict[Identity, Checkpoint] = {}
        self._population: Population | None = None  # that an earlier process has left
        self._networks: Mapping[int, Model] = {} if before is None else Networks(before.run)  # that are kept already
        self._swept = Swept.of(request)
        self.trials: list[Trial] = []
        self.restored = 0
        self.lanes: dict[int, Sequence[Lane]] = {}
        self._pending: dict[int, list[LaneResult]] = {}
        self._unsaved: list[tuple[Trial, list[LaneResult]]] = []
        self._fresh: list[LaneResult] = []  # of a confirmation that is not whole yet: what is not recorded of it
        self._flushed = -math.inf  # the first trial is shown at once
        self.trouble = ""
        self._staying = 0  # trials of which the garbage collector knows

    def take(self, lane: LaneResult, configs: Sequence[Config]) -> None:
        """Take one finished lane; the last one of a trial makes the trial."""
        lanes = self._pending.setdefault(lane.job.trial, [])
        lanes.append(lane)
        if len(lanes) < self.setup.lanes_each:
            return
        del self._pending[lane.job.trial]
        lanes.sort(key=lambda each: (each.job.replicate, each.job.fold))
        if self.before is not None and all(each.recorded for each in lanes):
            self._restore(self.before.trials[lane.job.trial])
            return
        keep_best = self.setup.request.keep_best
        config = configs[lane.job.position]
        trial = make_trial(lane.job.trial, config, lanes, self.setup.columns, keep_best, self._swept)
        judge(trial, lanes, self.setup.aims, self.setup.data)
        self.lanes[trial.id] = tuple(map(Lane.of, lanes))
        self._unsaved.append((trial, lanes))
        self.trials.append(trial)
        self.keeper.settle(trial, lanes)

    def take_fresh(self, lane: LaneResult) -> None:
        """Take one finished lane of a confirmation, to be recorded before all of it is."""
        if self.store is not None:
            self._fresh.append(lane)

    def left_confirming(self, chosen: Sequence[Trial]) -> dict[Identity, LaneResult]:
        """Return the lanes of a confirmation of some trials that had ended when an earlier process did."""
        if self.before is None:
            return {}
        lanes, broken = self.before.confirming({trial.id for trial in chosen})
        if broken:
            self._say(f"{broken:,} trainings of the confirmation are not what was recorded, and train again")
        if lanes:
            self._say(f"{len(lanes):,} trainings of the confirmation are recorded, and train no more")
        return lanes

    def recall(self) -> None:
        """Take in the recorded trials that the search has not come to again: an interrupt or a time limit was first."""
        if self.before is None:
            return
        here = {trial.id for trial in self.trials}
        for number, trial in self.before.trials.items():
            if number not in here:
                self._restore(trial)

    def _restore(self, trial: Trial) -> None:
        """Take in a trial that is recorded."""
        assert self.before is not None
        self.lanes[trial.id] = self.before.lanes[trial.id]
        self.trials.append(trial)
        self.restored += 1
        self._note(trial)
        if trial.id not in self._networks:
            return
        try:
            self.keeper.take(trial, self._networks[trial.id])
        except RequestError as error:
            self._say(f"{error}; it is removed, and would be trained again where it is asked for")
            self.keeper.drop([trial.id])

    def drop_networks(self) -> None:
        """Remove networks of trials that trained again, and are among the best no more."""
        self.keeper.drop(self._networks)

    def _note(self, trial: Trial) -> None:
        """Let the snapshot know of a trial, which is committed if anything is."""
        self.snapshot.finished += 1
        self.snapshot.diverged += trial.status == "diverged"
        best, sign = self.snapshot.best_score, self.setup.columns.sign
        rank = None if trial.score is None or not trial.counts else (sign * trial.score, -trial.id)
        if rank is not None:
            self.snapshot.scored.append(trial)
        if rank is not None and (best is None or rank > (sign * best, -(self.snapshot.best_trial or 0))):
            self.snapshot.best_score, self.snapshot.best_trial = trial.score, trial.id
            self.snapshot.best_params = trial.params
            curves = mean_of([lane.curves for lane in self.lanes[trial.id]])
            self.snapshot.best_curve, self.snapshot.best_curve_of = curves[:, self.setup.columns.place], trial.id

    def agree(self) -> None:
        """See to it that what has finished is counted and recorded once: an interrupt comes between any two lines."""
        counted = {trial.id for trial in self.trials}
        self.trials += [trial for trial, _ in self._unsaved if trial.id not in counted]
        try:
            recorded = self.store.recorded() if self.store is not None else set()
        except NotRecorded:  # then nothing has been, since it was counted last
            recorded = set()
        self._unsaved = [each for each in self._unsaved if each[0].id not in recorded]
        unsaved = {trial.id for trial, _ in self._unsaved}
        self.snapshot.finished = self.snapshot.diverged = 0
        self.snapshot.best_score = self.snapshot.best_trial = None
        self.snapshot.scored = []
        for trial in self.trials:
            if trial.id not in unsaved:
                self._note(trial)

    @property
    def recorded(self) -> int | None:
        """The trials that the run directory has, if there is one."""
        if self.store is None:
            return None
        try:
            return len(self.store.recorded())
        except NotRecorded:
            return len(self.trials) - len(self._unsaved)

    def due(self, whole: bool) -> bool:
        """Return whether something should be committed now: not each trial by itself, if thousands end.

        `whole` is whether nothing else ends soon.
        """
        if not self._unsaved and not self._fresh:
            return False
        wait = 0.0 if whole or self.store is None else FLUSH_SECONDS
        return time.perf_counter() - self._flushed >= wait

    def flush(self) -> None:
        """Commit what has finished, and only then count it: what a user has been told of survives a kill."""
        self._flushed = math.inf  # if this is interrupted, no tick tries again while the workers end
        if self.store is None:
            self._counted(len(self._unsaved))
        elif self.waits and not self.written(self._record):
            return
        self._flushed = time.perf_counter()

    @property
    def waits(self) -> bool:
        """Whether something that has finished is not in the run directory."""
        return bool(self._unsaved or self._fresh) or self.keeper.waits

    def _record(self) -> None:
        without: NotRecorded | None = None
        try:
            self.keeper.save()
        except NotRecorded as error:  # rows take less than networks
            without = error
        self._record_rows()
        self._record_fresh()
        if without is not None:
            raise without

    def _record_rows(self) -> None:
        assert self.store is not None
        size, emptied = PORTION, False
        while self._unsaved:
            try:
                self.store.record(portion := self._unsaved[:size])
            except NotRecorded as error:
                if not error.full or (emptied and size == 1):
                    raise
                size = max(1, min(size, len(self._unsaved)) // 2) if emptied else size
                emptied = True
                self.store.give_room()
            else:
                emptied = False
                self._counted(len(portion))

    def _record_fresh(self) -> None:
        assert self.store is not None
        if self._fresh:
            self.store.record_confirming(self._fresh)
            self._fresh = []

    def confirm(self, lanes: Sequence[LaneResult]) -> None:
        """Commit a confirmation that is whole."""
        store = self.store
        if store is None or all(lane.recorded for lane in lanes):
            return
        if self.written(lambda: store.record_fresh(lanes)):
            self._fresh = []

    def _counted(self, number: int) -> None:
        """Count so many of those that waited, now that they are recorded."""
        saved, self._unsaved = self._unsaved[:number], self._unsaved[number:]
        for trial, _ in saved:
            self._note(trial)
        if len(self.trials) - self._staying >= STAY:
            self._staying = len(self.trials)
            set_aside_too()

    def written(self, write: Callable[[], None]) -> bool:
        """Write into the run directory and return whether that worked; say it if it does not, and when it does again.

        What cannot be recorded waits and is not shown as finished; training goes on. What is under way is worth less
        than what has finished: checkpoints are removed to make room, and none is written meanwhile.
        """
        try:
            self._with_room(write)
        except NotRecorded as error:
            if not self.trouble:
                goes_on = "training goes on, and this is tried again every"
                then = "" if self.snapshot.interrupted else f": {goes_on} {RETRY_SECONDS:g} s"
                self._say(f"{self.store.path if self.store else ''} cannot be written ({error}){then}")
            self.trouble = str(error)
            self._flushed = time.perf_counter() + RETRY_SECONDS
            return False
        if self.trouble and not self.waits:
            self.trouble = ""
            if self.checkpoints is not None:
                self.checkpoints.gives_way = False
            self._say("it can be written again: what waited for that is recorded")
        return True

    def _with_room(self, write: Callable[[], None]) -> None:
        """Write, for which, where the disk is full, room is made in one way after the other."""
        assert self.store is not None
        assert self.checkpoints is not None
        ways = iter((self.store.give_room, self.checkpoints.give_way))
        while True:
            try:
                return write()
            except NotRecorded as error:
                if not error.full or not any(way() for way in ways):
                    raise

    def look_for_checkpoints(self) -> None:
        """Read the lanes that an earlier process has left in the middle of their training, if one has."""
        if self.before is None or self.checkpoints is None:
            return
        if self.setup.scheduler is not None and self.setup.scheduler.changes:
            self._population, broken = self.checkpoints.read_together(self.before.trials)
        else:
            self.underway, broken = self.checkpoints.read()
        for remark in broken:
            self._say(remark)

    def left_together(self, ids: Sequence[int], known: Mapping[int, Sequence[LaneResult]]) -> Population | None:
        """Return the population of a batch from where it goes on, unless all of it is recorded and over."""
        over = len(known) == len(ids) and not any(lane.halted for lanes in known.values() for lane in lanes)
        population = self._population
        return None if over or population is None or not population.of(ids) else population

    def left_underway(self, known: Mapping[int, Sequence[LaneResult]]) -> dict[Identity, Checkpoint]:
        """Return the lanes of checkpoints, but for those of trials that are recorded and over."""
        over = {trial for trial, lanes in known.items() if not any(lane.halted for lane in lanes)}
        return {lane: state for lane, state in self.underway.items() if lane.trial not in over}

    def save_together(self) -> None:
        """Save the population that waits for trials to be recorded, if they are."""
        if self.checkpoints is not None and self.checkpoints.waiting is not None:
            unsaved = {trial.id for trial, _ in self._unsaved}
            self.checkpoints.write_together({trial.id for trial in self.trials} - unsaved)

    def tell_of_checkpoints(self, usage: Usage) -> None:
        """Say what came of them, and why none are written, if so."""
        if self.checkpoints is None:
            return
        self._say_problem(self.checkpoints)
        left = self.underway or self._population is not None
        if not left or not usage.continued + usage.begun_again:
            return
        self.underway, self._population = {}, None
        if usage.continued:
            self._say(f"{usage.continued:,} trainings that were under way go on from their checkpoints")
        if usage.begun_again:
            self._say(
                f"{usage.begun_again:,} trainings that were under way train again from their first epoch: their "
                "checkpoints are of programs that the sweep has no more: it has more trials, another time limit, or "
                "another version of jaxsweep or JAX"
            )

    def drop_checkpoints(self) -> None:
        """Remove the checkpoints once every lane in them is over, and recorded."""
        if self.checkpoints is not None:
            self.checkpoints.waiting = None
        if self.checkpoints is not None and self.checkpoints.any:
            self.flush()
            if not self._unsaved:
                self.checkpoints.clear()
                self._say_problem(self.checkpoints)

    def _say_problem(self, checkpoints: Checkpoints) -> None:
        problem, checkpoints.problem = checkpoints.problem, ""
        if problem:
            self._say(problem)

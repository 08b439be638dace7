"""The loop: ask a searcher, plan, train, record, tell."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.confirm import settle, train_again
from jaxsweep.data import Dataset
from jaxsweep.data.reading import TABLES
from jaxsweep.data.source import Source
from jaxsweep.engine import machine
from jaxsweep.engine.calibrate import device_costs
from jaxsweep.engine.checkpoint import Checkpoint, Identity
from jaxsweep.engine.director import Director
from jaxsweep.engine.engine import Engine
from jaxsweep.engine.garbage import set_aside
from jaxsweep.engine.hypergradients import hypergradients
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.engine.planner import Plan, Shape
from jaxsweep.engine.underway import expected_compilation, seconds_left
from jaxsweep.engine.usage import Usage
from jaxsweep.planning import foreseen, plan_again, plan_of
from jaxsweep.records import own
from jaxsweep.records.before import Before
from jaxsweep.records.checkpoints import Checkpoints
from jaxsweep.records.confirmed import Confirmed
from jaxsweep.records.front import judge
from jaxsweep.records.keeper import Keeper
from jaxsweep.records.lanes import Lane
from jaxsweep.records.model import Model
from jaxsweep.records.result import Networks, Result
from jaxsweep.records.store import NotRecorded, Store
from jaxsweep.records.stored import StoredRun
from jaxsweep.records.stored import load as read_run
from jaxsweep.records.trials import Trial, best_first, make_trial
from jaxsweep.report.progress import Preparing, Progress, Snapshot
from jaxsweep.setup import SLAB, WAVE, Setup, how_read, set_up
from jaxsweep.spec.hypergradients import followed
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.own import ROLES, Own
from jaxsweep.spec.request import Request
from jaxsweep.spec.studies import resolved
from jaxsweep.spec.sweepfile import to_toml
from jaxsweep.spec.swept import Swept
from jaxsweep.streams import RULES

FLUSH_SECONDS = 0.2  # how often finished trials are committed, and so shown: as often as a view draws
RETRY_SECONDS = 5.0  # until what could not be recorded is tried again
TICKS = 20  # how often in that time it is asked whether it is over: thousands of lanes may end at once
WAVE_SHARE, LEAST_WAVE = 0.05, 32  # of a time limit, for the trials of a wave; and how many they are at least
LOOK_SECONDS = 0.1  # how often it is reckoned how far the engine is: a sweep may finish thousands of trials a second


def execute(
    dataset: Dataset, request: Request, out: Path | None = None, progress: Progress | None = None,
    command: str | None = None, before: StoredRun | None = None, remarks: Sequence[str] = (),
) -> Result:  # fmt: skip
    """Run a sweep and return its result; with `out`, record it there as it goes.

    An interrupt (Ctrl-C) ends the sweep early and keeps the trials that have finished. With `before`, the run that is
    in `out`, the sweep goes on: it asks and tells what it did from the start, and trains what is not recorded.
    `remarks` come before the sweep's own.
    """
    setup = set_up(dataset, request)
    setup.notes[:0] = remarks
    store, known = None, None
    if out is not None:
        record = _record(setup, dataset, command) if before is None else before.record
        document = to_toml(written_out(setup, dataset), record)
        store = Store(out, document, setup.columns.curves, setup.columns.test, resumed=before is not None)
        if before is not None:
            known = Before(read_run(out, own.given(before.functions)))  # once more: now nobody else writes into it
    loop = _Loop(setup, dataset, store, progress or Progress(), known)
    try:
        with set_aside():
            return loop.run()
    finally:
        if store is not None:
            store.close()


def written_out(setup: Setup, dataset: Dataset) -> Request:
    """Return the request with every default written out, and where its data came from if they know."""
    request, origin = setup.request, dataset.origin
    source = request.source
    if origin is not None and source == Source():
        source = Source(**origin)
    warm = tuple(map(resolved, request.warm_start))  # to be found from wherever it is read
    return replace(request, trials=setup.trials, objective=setup.objective, source=source, warm_start=warm)


def _record(setup: Setup, dataset: Dataset, command: str | None) -> dict[str, dict[str, Any]]:
    """Return what sweep.toml says beside the request."""
    import platform
    from importlib.metadata import version

    packages = ("jaxsweep", "jax", "jaxlib", "flax", "optax", "numpy")
    run: dict[str, Any] = {"task": setup.data.task, "fingerprint": dataset.fingerprint}
    if read := how_read(dataset, setup.data):
        run["columns"] = read[0]
    functions = [(role, value) for role in ROLES for value in setup.scope.values(role) if isinstance(value, Own)]
    if functions := [*functions, *(("metric", metric) for metric in setup.request.metrics)]:
        run["functions"] = [own.row_of(*each) for each in functions]
    if command:
        run["command"] = command
    versions = {
        "rules": RULES,
        "tables": TABLES,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
    return {"run": run, "versions": versions}


class _Loop:
    """The state of a running sweep."""

    def __init__(
        self, setup: Setup, dataset: Dataset, store: Store | None, progress: Progress, before: Before | None = None
    ) -> None:
        self.setup, self.dataset, self.store, self.progress = setup, dataset, store, progress
        self.before = before
        request = setup.request
        self.costs = device_costs()  # once, and first: what is free later is less by what this sweep itself has taken
        self.engine = Engine(
            setup.data, setup.scope, setup.objective, request.seed, keep_best=request.keep_best,
            train_metrics=request.train_metrics, metrics=request.metrics, precision=request.precision,
        )  # fmt: skip
        kept = max(request.keep, request.confirm) if request.keep else 0  # the winner's is among them
        self.keeper = Keeper(
            kept, setup.data, setup.columns, request.keep_best, setup.lanes_each, store,
            bool(setup.aims.constraints),
        )  # fmt: skip
        self.checkpoints = None if store is None else Checkpoints(store.path, resumed=before is not None)
        self.underway: dict[Identity, Checkpoint] = {}  # lanes that an earlier process has left in their middle
        self.networks: Mapping[int, Model] = {} if before is None else Networks(before.run)  # that are kept already
        self.swept = Swept.of(request)
        self.trials: list[Trial] = []
        self.restored = 0  # of these, recorded before this sweep went on
        self.lanes: dict[int, Sequence[Lane]] = {}
        self.plans: list[Plan] = []
        self.sizes: Iterator[int] = itertools.repeat(SLAB)  # most configs of each batch
        self.frame: tuple[Shape, ...] = ()  # of programs, for whatever the search asks for
        self.pending: dict[int, list[LaneResult]] = {}
        self.unsaved: list[tuple[Trial, list[LaneResult]]] = []
        self.fresh: list[LaneResult] = []  # lanes of trials that are confirmed
        self.confirmed: tuple[Confirmed, ...] = ()
        self.began = self.looked = time.perf_counter()
        self.trouble = ""  # why nothing can be recorded now
        self.late = False  # whether the time limit ended the search
        self.notes: list[str] = []  # that its user should read
        minutes = request.minutes
        self.deadline = math.inf if minutes is None else self.began + 60 * minutes
        self.flushed = self.ticked = -math.inf  # the first trial is shown at once
        self.later = setup.trials  # that are to be asked for after the current batch
        self.searching = 0.0  # seconds that the searcher has taken for those before
        self.snapshot = Snapshot(requested=setup.trials, objective=setup.objective)

    def run(self) -> Result:
        status, whole = "completed", False
        try:
            self.progress.start(self.snapshot)
            for note in self.setup.notes:
                self._say(note)
            self._look_for_checkpoints()
            while len(self.trials) < self.setup.trials and self._batch():
                pass
            self._note_limit()
            self._recall()
            self._confirm()
            self._drop_networks()
            self._drop_checkpoints()
            whole = True
        except KeyboardInterrupt:
            status = "interrupted"
            self.snapshot.interrupted = True
        finally:
            try:
                if not whole:
                    self._agree()
                self._recall()
                self._flush()
                self._settle()
            finally:
                self._reckon()
                self.progress.close(self._look())
        if status == "completed" and not any(trial.score is not None for trial in self.trials):
            status = "failed"
        self.trials.sort(key=lambda trial: trial.id)
        result = Result(
            status, self.setup.objective, self.trials, self.lanes, self.setup.columns, (self.dataset, self.setup.data),
            self.setup.request, self.store.path if self.store else None, self._numbers(), self.keeper.models,
            self.confirmed,
        )  # fmt: skip
        if self.store is not None:
            self._recorded(lambda: self._conclude(result))
            result.numbers["trouble"] = self.trouble
        return result

    def _conclude(self, result: Result) -> None:
        """Record what the sweep came to: the last thing that is written."""
        assert self.store is not None
        self.keeper.restore()
        further = {name: result.numbers[name] for name in ("prediction", "notes", "precision")}
        self.store.conclude({**result.summary(), **further})

    def _batch(self) -> bool:
        """Ask for one batch, train it and tell its scores; return whether there was one."""
        first = len(self.trials)
        if first == 0 and (whole := foreseen(self.setup, self.costs)) is not None:  # before anything is asked for
            self.frame = tuple(bucket.shape for bucket in whole.buckets)
            if self.setup.waves:
                self.sizes = self._waves(whole)
        asked = time.perf_counter()
        configs, resolved = self.setup.ask(first, self.setup.trials - first, next(self.sizes))
        self.searching += time.perf_counter() - asked
        if not configs:
            return False
        resolved = list(resolved)  # to which a scheduler may add
        plan = plan_of(self.setup, resolved, self.costs, frame=self.frame, ready=self._ready())
        self.plans.append(plan)
        self.later = self.setup.trials - first - len(configs)
        ids = range(first, first + len(configs))
        scheduler, director = self.setup.scheduler, None
        known = {} if self.before is None else self.before.of(ids, resolved, again=scheduler is None)
        if scheduler is not None and scheduler.changes:
            # Nobody has the weights that trials went on from: all of the batch is recorded, or all of it trains again.
            known, scheduler = (known, None) if len(known) == len(ids) else ({}, scheduler)
        if scheduler is not None:
            director = Director(scheduler, self._merits, resolved, self._barred, known)
        over = {trial for trial, lanes in known.items() if not any(lane.halted for lane in lanes)}
        underway = {lane: state for lane, state in self.underway.items() if lane.trial not in over}
        saver = self.checkpoints if scheduler is None or not scheduler.changes else None  # those become others
        lanes = self.engine.run(
            plan, resolved, ids, self.setup.request.replicates, self.keeper.wanted, self._tick, director, self.deadline,
            without=known if director is None else (), saver=saver, underway=underway if saver else None,
        )  # fmt: skip
        try:
            if director is None:
                for lane in itertools.chain.from_iterable(known.values()):
                    self._take(lane, resolved)
            for lane in lanes:
                self._take(lane, resolved)
                if time.perf_counter() - self.ticked >= FLUSH_SECONDS / TICKS:
                    self._tick()
            self._tick()
        except KeyboardInterrupt:
            self.snapshot.interrupted = True
            raise
        finally:
            lanes.close()
        ended = {trial.id: trial for trial in self.trials[first:]}
        if len(ended) < len(configs):  # the time is up, and nobody asks any more
            return False
        self._drop_checkpoints()
        if self.later and not self._over and (names := self.setup.searcher.wants_gradients):
            measure, replicates = followed(self.setup.objective, self.setup.data.task), self.setup.request.replicates
            found = hypergradients(
                self.engine, plan, resolved, ids, names, measure, replicates, self._tick, deadline=self.deadline
            )
            self.setup.searcher.tell_gradients(configs, *zip(*found, strict=True))
        scores, metrics = [ended[i].score for i in ids], [ended[i].metrics for i in ids]
        self.setup.searcher.tell(configs, *self.setup.aims.told(scores, metrics))
        return not self._over

    def _look_for_checkpoints(self) -> None:
        """Read the lanes that an earlier process has left in the middle of their training, if one has."""
        if self.before is not None and self.checkpoints is not None:
            self.underway, broken = self.checkpoints.read()
            for remark in broken:
                self._say(remark)

    def _tell_of_checkpoints(self) -> None:
        """Say what came of them, and why none are written, if so."""
        if self.checkpoints is None:
            return
        problem, self.checkpoints.problem = self.checkpoints.problem, ""
        if problem:
            self._say(problem)
        usage = self.engine.usage
        if not self.underway or not usage.continued + usage.begun_again:
            return
        self.underway = {}
        if usage.continued:
            self._say(f"{usage.continued:,} trainings that were under way go on from their checkpoints")
        if usage.begun_again:
            self._say(
                f"{usage.begun_again:,} trainings that were under way train again from their first epoch: their "
                "checkpoints are of other shapes, or of another version of jaxsweep or JAX"
            )

    def _drop_checkpoints(self) -> None:
        """Remove the checkpoints once every lane in them is over, and recorded."""
        if self.checkpoints is not None and self.checkpoints.any and not (self.late or self.engine.usage.given_up):
            self._flush()
            if not self.unsaved:
                self.checkpoints.clear()

    @property
    def _over(self) -> bool:
        """Whether the time limit has passed."""
        return time.perf_counter() > self.deadline

    def _waves(self, whole: Plan) -> Iterator[int]:
        """Yield the most configs of each batch: under a time limit, what a small part of the time is for.

        The first ones are smaller, so that all kinds of networks have been tried soon.
        """
        each = sum(bucket.seconds for bucket in whole.buckets) / whole.at_once / self.setup.trials
        longest = int(np.clip(WAVE_SHARE * 60 * (self.setup.request.minutes or 0.0) / each, LEAST_WAVE, SLAB))
        size = min(WAVE, longest)
        while True:
            yield size
            size = min(2 * size, longest)

    def _note_limit(self) -> None:
        """See whether the time limit, if there is one, ended the search, and say so."""
        late, given_up = self._over, self.engine.usage.given_up
        if not late or (len(self.trials) == self.setup.trials and not given_up):
            return
        self.late = True
        stopped = f", {given_up:,} trainings stopped where they were" if given_up else ""
        self._say(
            f"time limit of {self.setup.request.minutes:g} minutes: {len(self.trials):,} of {self.setup.trials:,} "
            f"trials{stopped}"
        )

    def _say(self, note: str) -> None:
        """Show a sentence to whoever listens, and keep it for those who read the record."""
        self.notes.append(note)
        self.progress.message(note)

    def _ready(self) -> tuple[Shape, ...]:
        """Return the shapes whose programs the sweep has already."""
        return tuple(dict.fromkeys(bucket.shape for plan in self.plans for bucket in plan.buckets))

    def _confirm(self) -> None:
        """Train the best trials again, under fresh seeds."""
        chosen = best_first(self.trials, self.setup.objective)[: self.setup.request.confirm]
        if not chosen:
            return
        self._flush()
        if self.before is not None and (known := self.before.confirmed):
            if set(known) == {trial.id for trial in chosen}:
                self.fresh = [lane for lanes in known.values() for lane in lanes]
                return
            store = self.store
            assert store is not None
            if not self._recorded(
                lambda: store.forget_fresh(self.setup.request.replicates)
            ):  # others are the best by now
                return
        self.plans.append(plan_again(self.setup, [trial.config for trial in chosen], self.costs, self._ready()))
        self.snapshot.confirming = len(chosen)
        self._tick()
        self.fresh = train_again(self.setup, self.engine, chosen, self.plans[-1], self._tick)

    def _settle(self) -> None:
        """Commit the confirmation, if it is whole, and only then show its winner as the best."""
        self.snapshot.confirming = 0
        if not self.fresh:
            return
        confirmed = settle(self.setup, self.trials, self.fresh)
        if (store := self.store) is not None and not all(lane.recorded for lane in self.fresh):
            self._recorded(lambda: store.record_fresh(self.fresh))
        self.confirmed, winner = confirmed, confirmed[0]
        if winner.confirmed_score is not None:
            self.snapshot.best_score, self.snapshot.confirmed = winner.confirmed_score, winner.trainings
            self.snapshot.best_trial = winner.trial
            self.snapshot.best_params = next(trial.params for trial in self.trials if trial.id == winner.trial)

    def _merits(self, curves: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what a lane is worth after each epoch, [epochs], from its learning curves [epochs, metrics]."""
        columns = self.setup.columns
        merits = columns.sign * curves[:, columns.place]
        return np.fmax.accumulate(merits) if self.setup.request.keep_best else merits

    def _barred(self, config: Config) -> bool:
        """Return whether the trials of a resolved config are worth nothing to a scheduler, whatever they learn."""
        data = self.setup.data
        return self.setup.aims.too_large(config, len(data.feature_names), data.n_outputs)

    def _take(self, lane: LaneResult, configs: Sequence[Config]) -> None:
        """Take one finished lane; the last one of a trial makes the trial."""
        lanes = self.pending.setdefault(lane.job.trial, [])
        lanes.append(lane)
        if len(lanes) < self.setup.lanes_each:
            return
        del self.pending[lane.job.trial]
        lanes.sort(key=lambda each: (each.job.replicate, each.job.fold))
        if self.before is not None and all(each.recorded for each in lanes):
            self._restore(self.before.trials[lane.job.trial])
            return
        keep_best = self.setup.request.keep_best
        config = configs[lane.job.position]
        trial = make_trial(lane.job.trial, config, lanes, self.setup.columns, keep_best, self.swept)
        judge(trial, lanes, self.setup.aims, self.setup.data)
        self.lanes[trial.id] = tuple(map(Lane.of, lanes))
        self.unsaved.append((trial, lanes))
        self.trials.append(trial)
        self.keeper.settle(trial, lanes)

    def _recall(self) -> None:
        """Take in the recorded trials that the search has not come to again: an interrupt or a time limit was first."""
        if self.before is None:
            return
        here = {trial.id for trial in self.trials}
        for number, trial in self.before.trials.items():
            if number not in here:
                self._restore(trial)

    def _drop_networks(self) -> None:
        """Remove networks of trials that trained again, and are among the best no more."""
        for number in self.networks:
            if self.store is not None and number not in self.keeper.models and self.store.model_path(number).exists():
                self.store.remove_model(number)

    def _restore(self, trial: Trial) -> None:
        """Take in a trial that is recorded."""
        assert self.before is not None
        self.lanes[trial.id] = self.before.lanes[trial.id]
        self.trials.append(trial)
        self.restored += 1
        if trial.id in self.networks:
            self.keeper.take(trial, self.networks[trial.id])
        self._note(trial)

    def _note(self, trial: Trial) -> None:
        """Let the snapshot know of a trial, which is committed if anything is."""
        self.snapshot.finished += 1
        self.snapshot.diverged += trial.status == "diverged"
        best, sign = self.snapshot.best_score, self.setup.columns.sign
        rank = None if trial.score is None or not trial.counts else (sign * trial.score, -trial.id)
        if rank is not None and (best is None or rank > (sign * best, -(self.snapshot.best_trial or 0))):
            self.snapshot.best_score, self.snapshot.best_trial = trial.score, trial.id
            self.snapshot.best_params = trial.params

    def _agree(self) -> None:
        """See to it that what has finished is counted and recorded once: an interrupt comes between any two lines."""
        counted = {trial.id for trial in self.trials}
        self.trials += [trial for trial, _ in self.unsaved if trial.id not in counted]
        recorded = self.store.recorded() if self.store is not None else set()
        self.unsaved = [each for each in self.unsaved if each[0].id not in recorded]
        unsaved = {trial.id for trial, _ in self.unsaved}
        self.snapshot.finished = self.snapshot.diverged = 0
        self.snapshot.best_score = self.snapshot.best_trial = None
        for trial in self.trials:
            if trial.id not in unsaved:
                self._note(trial)

    def _due(self) -> bool:
        """Return whether what has finished should be committed now: not each trial by itself, if thousands end."""
        whole = len(self.trials) + self.later == self.setup.trials  # the batch has ended
        wait = 0.0 if whole or self.store is None else FLUSH_SECONDS
        return time.perf_counter() - self.flushed >= wait

    def _flush(self) -> None:
        """Commit what has finished, and only then count it: what a user has been told of survives a kill."""
        self.flushed = math.inf  # if this is interrupted, no tick tries again while the workers end
        if self.store is not None and not self._recorded(self._record):
            return
        saved, self.unsaved = self.unsaved, []
        for trial, _ in saved:
            self._note(trial)
        self.flushed = time.perf_counter()

    def _record(self) -> None:
        assert self.store is not None
        self.keeper.save()
        if self.unsaved:
            self.store.record(self.unsaved)

    def _recorded(self, write: Callable[[], None]) -> bool:
        """Write into the run directory and return whether that worked; say it if it does not, and when it does again.

        What cannot be recorded waits and is not shown as finished; training goes on.
        """
        try:
            write()
        except NotRecorded as error:
            if not self.trouble:
                self._say(
                    f"{self.store.path if self.store else ''} cannot be written ({error}): training goes on, and this "
                    f"is tried again every {RETRY_SECONDS:g} s"
                )
            self.trouble = str(error)
            self.flushed = time.perf_counter() + RETRY_SECONDS
            return False
        if self.trouble:
            self.trouble = ""
            self._say("it can be written again: what waited for that is recorded")
        return True

    def _look(self) -> Snapshot:
        now, usage = self.snapshot, self.engine.usage
        now.seconds = time.perf_counter() - self.began
        now.rate = (now.finished - self.restored) / now.seconds if now.seconds > 0 else 0.0
        now.busy = usage.occupancy
        now.programs = len(usage.programs)
        now.interrupted |= self.engine.interrupted
        if time.perf_counter() - self.looked > LOOK_SECONDS:
            self._reckon()
        return now

    def _tick(self) -> None:
        """Show where the sweep stands: after each lane, and while none ends."""
        self._tell_of_checkpoints()
        if self.unsaved and self._due():
            self._flush()
        self.progress.update(self._look())
        self.ticked = time.perf_counter()

    def _reckon(self) -> None:
        """Let the snapshot know what goes on in the engine, and how long the rest will take."""
        now, works, clock = self.snapshot, self.engine.works, time.perf_counter()
        self.looked = clock
        now.preparing = tuple(
            Preparing(number, len(works), expected_compilation(works, work), clock - since, work.kept)
            for number, work in enumerate(works, 1)
            if (since := work.compiling) is not None
        )
        now.training = sum(work.lanes for work in works)
        training = [work.bucket for work in works if work.lanes]
        of_one_depth = not any(bucket.shallower for bucket in training)
        now.depths = tuple(sorted({bucket.depth for bucket in training})) if of_one_depth else ()
        if not works:
            return
        done, rest = len(self.trials) - self.restored, now.requested - len(self.trials)
        batch = sum(len(work.bucket.members) for work in works)
        left = seconds_left(works, self.plans[-1], clock, self.later / batch, may_compile=not self.frame)
        left += self.searching * self.later / (now.requested - self.later)
        if done and not now.confirming and self.engine.usage.training:
            # What the first trials took says little of the rest; once many have finished, they are the better measure.
            weight = (done / (now.requested - self.restored)) ** 2
            left += weight * ((clock - self.engine.usage.training[0][0]) * rest / done - left)
        now.left = left if rest or now.confirming else 0.0
        if not now.confirming and math.isfinite(self.deadline):
            now.left = min(now.left, max(0.0, self.deadline - clock))

    def _numbers(self) -> dict[str, Any]:
        """Return what the summary says of speed."""
        usage: Usage = self.engine.usage
        total = time.perf_counter() - self.began
        trained, compiled = usage.seconds()
        useful = sum(plan.useful_flops for plan in self.plans)
        waste = sum(plan.padding_waste * plan.useful_flops for plan in self.plans) / max(useful, 1)
        return {
            "requested": self.setup.trials,
            "time_limit_reached": self.late,
            "notes": self.notes,
            "recorded": len(self.store.recorded()) if self.store else None,
            "prediction": {
                "seconds": sum(plan.predicted_seconds for plan in self.plans),
                "bytes": max((plan.predicted_bytes for plan in self.plans), default=0),
                "tile_bytes": usage.tile_bytes,
                "peak_bytes": machine.peak_memory(),
            },
            "seconds": {
                "total": total,
                "compile": compiled,
                "train": trained,
                "host": max(0.0, total - trained - compiled),
            },
            "programs": len(usage.programs),
            "lane_occupancy": usage.occupancy,
            "padding_waste": waste,
            "iterations": usage.useful_steps,
            "precision": self.engine.precision,
        }

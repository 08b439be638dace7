"""The loop: ask a searcher, plan, train, record, tell."""

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep import interruption
from jaxsweep.confirm import settle, train_again
from jaxsweep.data import Dataset
from jaxsweep.data.reading import TABLES
from jaxsweep.data.source import Source
from jaxsweep.data.start import MEMORY
from jaxsweep.engine import machine
from jaxsweep.engine.calibrate import device_costs
from jaxsweep.engine.changing import Changing
from jaxsweep.engine.director import Director
from jaxsweep.engine.engine import Engine
from jaxsweep.engine.garbage import collect_new, set_aside
from jaxsweep.engine.hypergradients import hypergradients
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.engine.planner import Plan, Shape
from jaxsweep.engine.usage import Usage
from jaxsweep.errors import RequestError
from jaxsweep.planning import foreseen, plan_again, plan_of
from jaxsweep.recording import Recording, Remarks
from jaxsweep.records import own
from jaxsweep.records.before import Before
from jaxsweep.records.confirmed import Confirmed
from jaxsweep.records.result import Result
from jaxsweep.records.rundir import WHOLE_BATCHES
from jaxsweep.records.store import Store
from jaxsweep.records.stored import StoredRun
from jaxsweep.records.stored import load as read_run
from jaxsweep.records.trials import best_first
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.setup import SLAB, WAVE, Setup, how_read, set_up
from jaxsweep.spec.hypergradients import followed
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.own import ROLES, Own
from jaxsweep.spec.request import Request
from jaxsweep.spec.studies import resolved
from jaxsweep.spec.sweepfile import to_toml
from jaxsweep.streams import RULES
from jaxsweep.watching import Watch

TICK_SECONDS = 0.01  # how often it is asked whether what has finished should be committed: thousands may end at once
WAVE_SHARE, LEAST_WAVE = 0.05, 32  # of a time limit, for the trials of a wave; and how many they are at least


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
    interruption.begins()
    store, known = None, None
    if out is not None:
        record = _record(setup, dataset, command) if before is None else before.record
        asked = written_out(setup, dataset)
        if before is not None:
            _check_told(setup, before)
            asked = replace(asked, minutes=before.request.minutes)  # another limit is one for this time
        document = to_toml(asked, record)
        store = Store(out, document, setup.columns.curves, setup.columns.test, before is not None, setup.request.start)
        if before is not None:
            known = Before(read_run(out, own.given(before.functions)))  # once more: now nobody else writes into it
    loop = _Loop(setup, dataset, store, progress or Progress(), known)
    try:
        with set_aside():
            try:
                return loop.run()
            finally:
                if loop.engine.usage.compiling:
                    collect_new()
    finally:
        if store is not None:
            store.close()
        if loop.engine.usage.compiling:
            machine.give_back_memory()


def written_out(setup: Setup, dataset: Dataset) -> Request:
    """Return the request with every default written out, and where its data came from if they know."""
    request, origin = setup.request, dataset.origin
    source = request.source
    if origin is not None and source == Source():
        source = Source(**origin)
    warm = tuple(map(resolved, request.warm_start))  # to be found from wherever it is read
    first = request.start_from
    if first is not None and first != MEMORY:
        first = str(Path(first).resolve())
    return replace(
        request, trials=setup.trials, objective=setup.objective, source=source, warm_start=warm, start_from=first
    )


def _record(setup: Setup, dataset: Dataset, command: str | None) -> dict[str, dict[str, Any]]:
    """Return what sweep.toml says beside the request."""
    import platform
    from importlib.metadata import version

    packages = ("jaxsweep", "jax", "jaxlib", "flax", "optax", "numpy")
    run: dict[str, Any] = {"task": setup.data.task, "fingerprint": dataset.fingerprint}
    if read := how_read(dataset, setup.data):
        run["columns"] = read[0]
    functions = [(role, value) for role in ROLES for value in setup.scope.values(role) if isinstance(value, Own)]
    if setup.request.start is not None:
        run["start"] = setup.request.start.fingerprint
    if setup.told:
        run["told"] = setup.told
    if functions := [*functions, *(("metric", metric) for metric in setup.request.metrics)]:
        run["functions"] = [own.row_of(*each) for each in functions]
    if command:
        run["command"] = command
    versions = {
        "rules": RULES,
        "tables": TABLES,
        "python": platform.python_version(),
        "machine": machine.described(),
        **{name: version(name) for name in packages},
    }
    return {"run": run, "versions": versions}


def _check_told(setup: Setup, before: StoredRun) -> None:
    """Raise RequestError if earlier runs tell the searcher something else than when a run began."""
    known = before.record.get("run", {}).get("told")
    if known is not None and known != setup.told:
        raise RequestError(
            f"{before.path} cannot go on: what {', '.join(setup.request.warm_start)} has to tell its searcher has "
            "changed since it began, by further trials perhaps: put back what it was, or begin another run"
        )


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
        self.remarks = Remarks(progress)
        self.snapshot = Snapshot(requested=setup.trials, objective=setup.objective)
        self.recording = Recording(setup, store, before, self.snapshot, self.remarks)
        began, minutes = time.perf_counter(), request.minutes
        self.deadline = math.inf if minutes is None else began + 60 * minutes
        self.watch = Watch(self.snapshot, self.engine, self.recording, began, self.deadline)
        self.plans: list[Plan] = []
        self.sizes: Iterator[int] = itertools.repeat(SLAB)  # most configs of each batch
        self.frame: tuple[Shape, ...] = ()  # of programs, for whatever the search asks for
        self.fresh: list[LaneResult] = []  # lanes of trials that are confirmed
        self.confirmed: tuple[Confirmed, ...] = ()
        self.late = False  # whether the time limit ended the search
        self.ticked = -math.inf
        self.remarked = 0  # sentences of the engine that were said

    def run(self) -> Result:
        status, whole, trials = "completed", False, self.recording.trials
        try:
            self.progress.start(self.snapshot)
            for note in self.setup.notes:
                self.remarks.say(note)
            self.recording.look_for_checkpoints()
            while len(trials) < self.setup.trials and self._batch():
                pass
            self._note_limit()
            self.recording.recall()
            self._confirm()
            self.recording.drop_networks()
            whole = True
        except KeyboardInterrupt:
            interruption.act()
            status = "interrupted"
            self.snapshot.interrupted = True
        finally:
            try:
                if not whole:
                    self.recording.agree()
                self.recording.recall()
                self.recording.flush()
                self.recording.save_together()
                self._settle()
                if whole and not self.late:
                    self.recording.drop_checkpoints()
            finally:
                self.watch.reckon()
                self.progress.close(self.watch.look())
        if status == "completed" and not any(trial.score is not None for trial in trials):
            status = "failed"
        trials.sort(key=lambda trial: trial.id)
        numbers = self._numbers()
        result = Result(
            status, self.setup.objective, trials, self.recording.lanes, self.setup.columns,
            (self.dataset, self.setup.data), self.setup.request, self.store.path if self.store else None,
            numbers, self.recording.keeper.models, self.confirmed, self.recording.keeper.others,
        )  # fmt: skip
        if self.store is not None:
            if not self.recording.waits:  # or else it has not come to an end, for who reads it
                self.recording.written(lambda: self._conclude(result))
            numbers["trouble"] = self.recording.trouble
        return result

    def _conclude(self, result: Result) -> None:
        """Record what the sweep came to: the last thing that is written."""
        assert self.store is not None
        self.recording.keeper.restore()
        before = {} if self.before is None else self.before.run.summary
        ended = before.get("status") == "completed" and not before.get("time_limit_reached")
        if self.store.untouched and ended and result.status == "completed" and not self.late:
            return  # it had come to that before
        further = {name: result.numbers[name] for name in ("prediction", "notes", "precision")}
        self.store.conclude({**result.summary(), **further})

    def _batch(self) -> bool:
        """Ask for one batch, train it and tell its scores; return whether there was one."""
        first, recording = len(self.recording.trials), self.recording
        if first == 0 and (whole := foreseen(self.setup, self.costs)) is not None:  # before anything is asked for
            self.frame = tuple(bucket.shape for bucket in whole.buckets)
            if self.setup.waves:
                self.sizes = self._waves(whole)
        asked = time.perf_counter()
        in_part = self.before is not None and self.before.run.format < WHOLE_BATCHES
        configs, resolved = self.setup.ask(first, self.setup.trials - first, next(self.sizes), in_part)
        self.watch.searching += time.perf_counter() - asked
        if not configs:
            return False
        resolved = list(resolved)  # to which a scheduler may add
        plan = plan_of(self.setup, resolved, self.costs, frame=self.frame, ready=self._ready())
        self.plans.append(plan)
        later = self.setup.trials - first - len(configs)
        self.watch.later, self.watch.planned, self.watch.may_compile = later, plan, not self.frame
        ids = range(first, first + len(configs))
        scheduler, director = self.setup.scheduler, None
        known = {} if self.before is None else self.before.of(ids, resolved, again=scheduler is None)
        population = recording.left_together(ids, known) if scheduler is not None and scheduler.changes else None
        if population is not None:
            known = {trial: known[trial] for trial in population.over}
        elif scheduler is not None and scheduler.changes:
            # Nobody has the weights that trials went on from: all of the batch is recorded, or all of it trains again.
            known, scheduler = (known, None) if len(known) == len(ids) else ({}, scheduler)
        if scheduler is not None:
            kind = Changing if scheduler.changes else Director
            director = kind(scheduler, self._merits, resolved, self._barred, known)
        lanes = self.engine.run(
            plan, resolved, ids, self.setup.request.replicates, recording.keeper.wanted, self._tick, director,
            self.deadline, without=known if director is None else (),
            saver=recording.checkpoints, underway=recording.left_underway(known), population=population,
        )  # fmt: skip
        try:
            if director is None:
                for lane in itertools.chain.from_iterable(known.values()):
                    recording.take(lane, resolved)
            for lane in lanes:
                recording.take(lane, resolved)
                if time.perf_counter() - self.ticked >= TICK_SECONDS:
                    self._tick()
            self._tick()
        except KeyboardInterrupt:
            self.snapshot.interrupted = True
            raise
        finally:
            lanes.close()
        ended = {trial.id: trial for trial in recording.trials[first:]}
        if len(ended) < len(configs):  # the time is up, and nobody asks any more
            return False
        if not self.engine.usage.given_up:
            recording.drop_checkpoints()
        if later and not self._over and (names := self.setup.searcher.wants_gradients):
            measure, replicates = followed(self.setup.objective, self.setup.data.task), self.setup.request.replicates
            found = hypergradients(
                self.engine, plan, resolved, ids, names, measure, replicates, self._tick, deadline=self.deadline
            )
            self.setup.searcher.tell_gradients(configs, *zip(*found, strict=True))
        scores, metrics = [ended[i].score for i in ids], [ended[i].metrics for i in ids]
        self.setup.searcher.tell(configs, *self.setup.aims.told(scores, metrics))
        return not self._over

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
        finished = len(self.recording.trials)
        if not late or (finished == self.setup.trials and not given_up):
            return
        self.late = True
        stopped = f", {given_up:,} trainings stopped where they were" if given_up else ""
        limit = f"time limit of {self.setup.request.minutes:g} minutes"
        self.remarks.say(f"{limit}: {finished:,} of {self.setup.trials:,} trials{stopped}")

    def _ready(self) -> tuple[Shape, ...]:
        """Return the shapes whose programs the sweep has already."""
        return tuple(dict.fromkeys(bucket.shape for plan in self.plans for bucket in plan.buckets))

    def _confirm(self) -> None:
        """Train the best trials again, under fresh seeds."""
        chosen = best_first(self.recording.trials, self.setup.objective)[: self.setup.request.confirm]
        if not chosen:
            return
        self.recording.flush()
        if self.before is not None and (known := self.before.confirmed):
            if set(known) == {trial.id for trial in chosen}:
                self.fresh = [lane for lanes in known.values() for lane in lanes]
                return
            if not self.recording.written(self._forget_fresh):
                return
        self.plans.append(plan_again(self.setup, [trial.config for trial in chosen], self.costs, self._ready()))
        self.watch.planned = self.plans[-1]
        self.snapshot.confirming = len(chosen)
        self._tick()
        recording = self.recording
        over, underway = recording.left_confirming(chosen), recording.left_underway({})
        self.fresh = train_again(
            self.setup, self.engine, chosen, self.plans[-1], recording.take_fresh, self._tick, over,
            recording.checkpoints, underway,
        )  # fmt: skip

    def _forget_fresh(self) -> None:
        """Remove a confirmation of trials that are not the best any more."""
        assert self.store is not None
        self.store.forget_fresh(self.setup.request.replicates)

    def _settle(self) -> None:
        """Commit the confirmation, if it is whole, and only then show its winner as the best."""
        self.snapshot.confirming = 0
        if not self.fresh:
            return
        trials = self.recording.trials
        confirmed = settle(self.setup, trials, self.fresh)
        self.recording.confirm(self.fresh)
        self.confirmed, winner = confirmed, confirmed[0]
        if winner.confirmed_score is not None:
            self.snapshot.best_score, self.snapshot.confirmed = winner.confirmed_score, winner.trainings
            self.snapshot.best_trial = winner.trial
            self.snapshot.best_params = next(trial.params for trial in trials if trial.id == winner.trial)

    def _merits(self, curves: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what a lane is worth after each epoch, [epochs], from its learning curves [epochs, metrics]."""
        columns = self.setup.columns
        merits = columns.sign * curves[:, columns.place]
        return np.fmax.accumulate(merits) if self.setup.request.keep_best else merits

    def _barred(self, config: Config) -> bool:
        """Return whether the trials of a resolved config are worth nothing to a scheduler, whatever they learn."""
        data = self.setup.data
        return self.setup.aims.too_large(config, len(data.feature_names), data.n_outputs)

    def _tick(self) -> None:
        """Show where the sweep stands: after each lane, and while none ends."""
        self.recording.tell_of_checkpoints(self.engine.usage)
        for remark in self.engine.usage.remarks[self.remarked :]:
            self.remarks.say(remark)
            self.remarked += 1
        if self.recording.due(self.watch.ended):
            self.recording.flush()
        self.recording.save_together()
        self.progress.update(self.watch.look())
        self.ticked = time.perf_counter()

    def _numbers(self) -> dict[str, Any]:
        """Return what the summary says of speed."""
        usage: Usage = self.engine.usage
        total = time.perf_counter() - self.watch.began
        trained, compiled = usage.seconds()
        useful = sum(plan.useful_flops for plan in self.plans)
        waste = sum(plan.padding_waste * plan.useful_flops for plan in self.plans) / max(useful, 1)
        return {
            "requested": self.setup.trials,
            "time_limit_reached": self.late,
            "notes": self.remarks.notes,
            "recorded": self.recording.recorded,
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
            "trouble": "",
        }

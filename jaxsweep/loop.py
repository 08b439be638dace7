"""The loop: ask a searcher, plan, train, record, tell."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxsweep.data import Dataset
from jaxsweep.data.source import Source
from jaxsweep.engine import machine
from jaxsweep.engine.calibrate import device_costs
from jaxsweep.engine.engine import Engine
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.engine.planner import Plan
from jaxsweep.engine.usage import Usage
from jaxsweep.records.keeper import Keeper
from jaxsweep.records.result import Result
from jaxsweep.records.store import Store
from jaxsweep.records.trials import Trial, make_trial, mean_of
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.setup import Setup, plan_of, resolve_for, set_up
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.request import Request
from jaxsweep.spec.sweepfile import to_toml
from jaxsweep.streams import RULES

FLUSH_SECONDS = 0.5  # how often finished trials are committed


def execute(
    dataset: Dataset, request: Request, out: Path | None = None, progress: Progress | None = None,
    command: str | None = None,
) -> Result:  # fmt: skip
    """Run a sweep and return its result; with `out`, record it there as it goes.

    An interrupt (Ctrl-C) ends the sweep early and keeps the trials that have finished.
    """
    setup = set_up(dataset, request)
    store = None
    if out is not None:
        store = Store(
            out, to_toml(_written_out(setup, dataset), _record(setup, dataset, command)), setup.columns.curves
        )
    loop = _Loop(setup, store, progress or Progress())
    try:
        return loop.run()
    finally:
        if store is not None:
            store.close()


def _written_out(setup: Setup, dataset: Dataset) -> Request:
    """Return the request with every default written out, and where its data came from if they know."""
    request, origin = setup.request, dataset.origin
    source = request.source
    if origin is not None and source == Source():
        source = Source(**origin)
    return replace(request, trials=setup.trials, objective=setup.objective, source=source)


def _record(setup: Setup, dataset: Dataset, command: str | None) -> dict[str, dict[str, Any]]:
    """Return what sweep.toml says beside the request."""
    import platform
    from importlib.metadata import version

    packages = ("jaxsweep", "jax", "jaxlib", "flax", "optax", "numpy")
    run = {"task": setup.data.task, "fingerprint": dataset.fingerprint}
    if command:
        run["command"] = command
    versions = {"rules": RULES, "python": platform.python_version(), **{name: version(name) for name in packages}}
    return {"run": run, "versions": versions}


class _Loop:
    """The state of a running sweep."""

    def __init__(self, setup: Setup, store: Store | None, progress: Progress) -> None:
        self.setup, self.store, self.progress = setup, store, progress
        request = setup.request
        self.engine = Engine(
            setup.data, setup.scope, setup.objective, request.seed, keep_best=request.keep_best,
            train_metrics=request.train_metrics,
        )  # fmt: skip
        self.costs = device_costs()  # once: what is free later is less by what this sweep itself has taken
        self.keeper = Keeper(request.keep, setup.data, setup.columns, request.keep_best, setup.lanes_each == 1, store)
        self.defaults = resolve_for(setup.data, {})
        self.trials: list[Trial] = []
        self.curves: dict[int, Any] = {}
        self.plans: list[Plan] = []
        self.pending: dict[int, list[LaneResult]] = {}
        self.unsaved: list[tuple[Trial, list[LaneResult]]] = []
        self.began = time.perf_counter()
        self.flushed = self.began
        self.snapshot = Snapshot(requested=setup.trials, objective=setup.objective)

    def run(self) -> Result:
        status = "completed"
        try:
            self.progress.start(self.snapshot)
            for note in self.setup.notes:
                self.progress.message(note)
            while len(self.trials) < self.setup.trials and self._batch():
                pass
        except KeyboardInterrupt:
            status = "interrupted"
        finally:
            try:
                self._flush()
            finally:
                self.progress.close(self._look())
        if status == "completed" and not any(trial.score is not None for trial in self.trials):
            status = "failed"
        self.trials.sort(key=lambda trial: trial.id)
        result = Result(
            status, self.setup.objective, self.trials, self.curves, self.setup.columns, self.setup.data,
            self.setup.request, self.store.path if self.store else None, self._numbers(), self.keeper.models,
        )  # fmt: skip
        if self.store:
            self.store.conclude({**result.summary(), "prediction": result.numbers["prediction"]})
        return result

    def _batch(self) -> bool:
        """Ask for one batch, train it and tell its scores; return whether there was one."""
        first = len(self.trials)
        configs, resolved = self.setup.ask(first, self.setup.trials - first)
        if not configs:
            return False
        plan = plan_of(self.setup, resolved, self.costs)
        self.plans.append(plan)
        ids = range(first, first + len(configs))
        lanes = self.engine.run(plan, resolved, ids, self.setup.request.replicates, self.keeper.wanted)
        try:
            for lane in lanes:
                self._take(lane, resolved)
        finally:
            lanes.close()
        scores = {trial.id: trial.score for trial in self.trials[first:]}
        self.setup.searcher.tell(configs, [np.nan if (score := scores[i]) is None else score for i in ids])
        return True

    def _take(self, lane: LaneResult, configs: Sequence[Config]) -> None:
        """Take one finished lane; the last one of a trial makes the trial."""
        lanes = self.pending.setdefault(lane.job.trial, [])
        lanes.append(lane)
        if len(lanes) < self.setup.lanes_each:
            return
        del self.pending[lane.job.trial]
        lanes.sort(key=lambda each: (each.job.replicate, each.job.fold))
        keep_best = self.setup.request.keep_best
        trial = make_trial(lane.job.trial, configs[lane.job.position], lanes, self.setup.columns, keep_best)
        self.trials.append(trial)
        self.curves[trial.id] = mean_of([each.curves for each in lanes])
        self._note(trial)
        self.keeper.settle(trial, lanes)
        if self.store is not None:
            self.unsaved.append((trial, lanes))
        if time.perf_counter() - self.flushed > FLUSH_SECONDS:
            self._flush()
        self.progress.update(self._look())

    def _note(self, trial: Trial) -> None:
        """Let the snapshot know of a trial, and of what its config has that is no default."""
        self.snapshot.diverged += trial.status == "diverged"
        best, sign = self.snapshot.best_score, self.setup.columns.sign
        rank = None if trial.score is None else (sign * trial.score, -trial.id)
        if rank is not None and (best is None or rank > (sign * best, -(self.snapshot.best_trial or 0))):
            self.snapshot.best_score, self.snapshot.best_trial = trial.score, trial.id
            self.snapshot.best_config = {k: v for k, v in trial.config.items() if v != self.defaults[k]}

    def _flush(self) -> None:
        if self.store is not None and self.unsaved:
            self.store.record(self.unsaved)
        self.unsaved = []
        self.flushed = time.perf_counter()

    def _look(self) -> Snapshot:
        now, usage = self.snapshot, self.engine.usage
        now.finished = len(self.trials)
        now.seconds = time.perf_counter() - self.began
        now.rate = now.finished / now.seconds if now.seconds > 0 else 0.0
        now.busy = usage.occupancy
        now.programs = len(usage.programs)
        share = now.finished / max(now.requested, 1)
        now.left = now.seconds * (1 - share) / share if share > 0 else None
        return now

    def _numbers(self) -> dict[str, Any]:
        """Return what the summary says of speed."""
        usage: Usage = self.engine.usage
        total = time.perf_counter() - self.began
        trained, compiled = usage.seconds()
        useful = sum(plan.useful_flops for plan in self.plans)
        waste = sum(plan.padding_waste * plan.useful_flops for plan in self.plans) / max(useful, 1)
        return {
            "requested": self.setup.trials,
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
        }

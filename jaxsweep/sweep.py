"""The loop: ask a searcher, plan, train, record, tell."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxsweep import machine, scope, search
from jaxsweep.calibrate import device_costs
from jaxsweep.costs import Costs
from jaxsweep.data import Dataset, Prepared, prepare
from jaxsweep.engine import Engine
from jaxsweep.export import Model
from jaxsweep.hyperparameters import Config, resolve
from jaxsweep.keeper import Keeper
from jaxsweep.lanes import LaneResult, sizes_of
from jaxsweep.metrics import check_objective, default_objective, direction
from jaxsweep.plan import Plan, make_plan
from jaxsweep.progress import Progress, Snapshot
from jaxsweep.request import DEFAULT_TRIALS, Request, Source
from jaxsweep.result import Result
from jaxsweep.scope import Scope
from jaxsweep.space import Distribution, Int, LogUniform, Space, Uniform
from jaxsweep.store import Store
from jaxsweep.sweepfile import to_toml
from jaxsweep.trials import Columns, LaneRecord, Trial, make_trial, mean_curve
from jaxsweep.usage import Usage

SLAB = 50_000  # most configs that are asked for at once
FLUSH_SECONDS = 0.5  # how often finished trials are committed


@dataclass
class Setup:
    """A request that has been checked against its data: all that the loop needs."""

    request: Request
    data: Prepared
    objective: str
    columns: Columns
    defaults: Config
    scope: Scope
    searcher: search.Searcher
    trials: int
    listed: Sequence[Config] | None  # the configs of a request that lists them, resolved
    notes: list[str] = field(default_factory=list)

    @property
    def lanes_each(self) -> int:
        """Return the lanes of one trial."""
        return self.request.replicates * len(self.data.train)

    def ask(self, first: int, count: int, most: int = SLAB) -> tuple[list[Config], Sequence[Config]]:
        """Return up to `count` configs from number `first` on, as they are proposed and with every hyperparameter."""
        asked = self.searcher.ask(min(self.searcher.batch or most, count, most))
        if self.listed is not None:
            return asked, self.listed[first : first + len(asked)]
        return asked, [resolve_for(self.data, config) for config in asked]


def resolve_for(data: Prepared, config: Mapping[str, Any]) -> Config:
    """Return a config with every hyperparameter, checked against the data; the smallest split bounds batches."""
    return resolve(config, data.task, min(len(part) for part in data.train), data.image_shape is not None)


def set_up(dataset: Dataset, request: Request) -> Setup:
    """Check a request against its data; nothing is compiled yet.

    Raises:
        RequestError: whatever is wrong with the request.
    """
    split = tuple(request.split)
    data = prepare(dataset, split=split, folds=request.folds, seed=request.seed)
    objective = request.objective or default_objective(data.task)
    check_objective(objective, data.task, data.n_outputs)
    defaults = resolve_for(data, {})
    listed = None
    if request.configs is not None:
        listed = [resolve_for(data, config) for config in request.configs]
        searcher = search.make("configs", None, seed=request.seed, configs=list(request.configs))
        what = scope.of_configs(listed)
    else:
        assert request.space is not None
        _check_space(request.space, data)
        what = scope.of_space(request.space, defaults)
        searcher = search.make(
            request.search, request.space, seed=request.seed, direction=direction(objective), **request.options
        )
    trials, notes = _count(request, searcher)
    columns = Columns.of(data.task, data.n_outputs, objective, data.x_test.shape[1] > 0)
    return Setup(request, data, objective, columns, defaults, what, searcher, trials, listed, notes)


def _check_space(space: Space, data: Prepared) -> None:
    """Raise RequestError if an end or a value of an entry is not legal for these data."""
    for name, entry in space.entries.items():
        for value in _ends(entry):
            resolve_for(data, {name: value})


def _ends(entry: Distribution) -> Sequence[Any]:
    """Return the values of an entry, or the two ends of its range, which stand for all between them."""
    values = scope.possible(entry)
    if values is not None:
        return values
    assert isinstance(entry, (Int, Uniform, LogUniform))
    return entry.low, entry.high


def _count(request: Request, searcher: search.Searcher) -> tuple[int, list[str]]:
    """Return how many trials to run, and what the user should know about that."""
    total = searcher.total
    if request.trials is None:
        return (DEFAULT_TRIALS if total is None else total), []
    if total is None or request.trials == total:
        return request.trials, []
    if request.trials > total:
        return total, [f"{request.trials} trials asked for, but the searcher has {total} configs: {total} are run"]
    return request.trials, [
        searcher.remainder(request.trials) or f"{total - request.trials} of {total} configs are not tried"
    ]


def plan(dataset: Dataset, request: Request) -> Plan:
    """Return the plan of the sweep's first batch; nothing is compiled but a probe, once on a machine."""
    setup = set_up(dataset, request)
    return _plan(setup, setup.ask(0, setup.trials, setup.trials)[1], device_costs(measure=True))


def _plan(setup: Setup, configs: Sequence[Config], costs: Costs) -> Plan:
    return make_plan(configs, sizes_of(setup.data), setup.lanes_each, costs)


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
    return {"run": run, "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}}}


class _Loop:
    """The state of a running sweep."""

    def __init__(self, setup: Setup, store: Store | None, progress: Progress) -> None:
        self.setup, self.store, self.progress = setup, store, progress
        request = setup.request
        self.engine = Engine(setup.data, setup.scope, setup.objective, request.seed, keep_best=request.keep_best)
        self.costs = device_costs()  # once: what is free later is less by what this sweep itself has taken
        self.keeper = Keeper(request.keep, setup.columns, request.keep_best, setup.lanes_each == 1)
        self.trials: list[Trial] = []
        self.curves: dict[int, Any] = {}
        self.plans: list[Plan] = []
        self.pending: dict[int, list[LaneRecord]] = {}
        self.unsaved: list[tuple[Trial, list[LaneRecord]]] = []
        self.began = time.perf_counter()
        self.flushed = self.began
        self.snapshot = Snapshot(requested=setup.trials, objective=setup.objective)

    def run(self) -> Result:
        status = "completed"
        self.progress.start(self.snapshot)
        for note in self.setup.notes:
            self.progress.message(note)
        try:
            while len(self.trials) < self.setup.trials and self._batch():
                pass
        except KeyboardInterrupt:
            status = "interrupted"
        finally:
            self._flush()
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
        plan = _plan(self.setup, resolved, self.costs)
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
        job = lane.job
        lanes = self.pending.setdefault(job.trial, [])
        lanes.append(LaneRecord(job.replicate, job.fold, lane.status, lane.curves, lane.test, lane.seconds))
        self.keeper.hold(lane)
        if len(lanes) < self.setup.lanes_each:
            return
        del self.pending[job.trial]
        lanes.sort(key=lambda record: (record.replicate, record.fold))
        own = {k: v for k, v in configs[job.position].items() if v != self.setup.defaults[k]}
        keep_best = self.setup.request.keep_best
        trial = make_trial(job.trial, own, self.setup.defaults, lanes, self.setup.columns, keep_best)
        self.trials.append(trial)
        self.curves[trial.id] = mean_curve(lanes)
        self._keep(trial)
        if self.store is not None:
            self.unsaved.append((trial, lanes))
        if time.perf_counter() - self.flushed > FLUSH_SECONDS:
            self._flush()
        self.progress.update(self._look())

    def _keep(self, trial: Trial) -> None:
        self.snapshot.diverged += trial.status == "diverged"
        best = self.snapshot.best_score
        sign = self.setup.columns.sign
        rank = None if trial.score is None else (sign * trial.score, -trial.id)
        if rank is not None and (best is None or rank > (sign * best, -(self.snapshot.best_trial or 0))):
            self.snapshot.best_score, self.snapshot.best_trial = trial.score, trial.id
            self.snapshot.best_config = trial.own
        added, dropped = self.keeper.settle(trial, lambda weights: Model.of(self.setup.data, trial.config, *weights))
        if self.store is not None:
            if added is not None:
                added.save(self.store.model_path(trial.id))
            for number in dropped:
                self.store.remove_model(number)

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
        steps = sum(plan.lane_steps for plan in self.plans)
        waste = sum(plan.padding_waste * plan.lane_steps for plan in self.plans) / max(steps, 1)
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

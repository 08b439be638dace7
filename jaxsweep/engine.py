"""The engine: thousands of lanes through compiled programs, a tile at a time on every core.

`Engine.run` takes a plan and trains its lanes. Worker threads share the queues of lanes; each advances its own tile,
collects the lanes that have ended, and puts new ones in their slots. A lane's numbers depend on its config and key
alone, so that which worker trains it, beside whom and when, changes nothing.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxsweep import optim, programs, randomness, train
from jaxsweep.data import Prepared
from jaxsweep.hyperparameters import Config, layer_widths
from jaxsweep.model import Architecture
from jaxsweep.plan import Bucket, Plan, Sizes, uniform_key
from jaxsweep.programs import Compiled, TestData
from jaxsweep.scope import Scope
from jaxsweep.train import COMPLETED, DIVERGED, RUNNING, STOPPED, Choices, Data, Lane, Program

CALL_SECONDS = 0.15  # how long one call of a program should last: long for the machine, short for a person's Ctrl-C

STATUS = {COMPLETED: "completed", STOPPED: "stopped", DIVERGED: "diverged"}

Weights = tuple[dict[str, dict[str, NDArray[Any]]], dict[str, dict[str, NDArray[Any]]]]


@dataclass(frozen=True)
class Job:
    """A lane before it has trained: which config, under which identity."""

    position: int  # of the config in the list given to `run`
    trial: int
    replicate: int
    fold: int


@dataclass
class LaneResult:
    """A lane that has ended. `curves` is float [epochs, 1 + metrics]; `test` float [metrics] or None."""

    job: Job
    status: str
    epochs: int
    steps: int
    curves: NDArray[np.float64]
    test: NDArray[np.float64] | None
    seconds: float
    weights: Weights | None = None


@dataclass
class Usage:
    """What the engine did.

    `compiling` and `training` are intervals (start, end) of time; `programs` holds the keys of the training programs
    that were used, whether they were compiled for this sweep or were there already.
    """

    compiling: list[tuple[float, float]] = field(default_factory=list)
    training: list[tuple[float, float]] = field(default_factory=list)
    programs: set[Any] = field(default_factory=set)
    lane_steps: int = 0
    useful_steps: int = 0

    @property
    def occupancy(self) -> float:
        """Return the share of the lane-steps run that were useful, 0 before the first."""
        return self.useful_steps / self.lane_steps if self.lane_steps else 0.0

    def seconds(self) -> tuple[float, float]:
        """Return seconds in which something trained, and further seconds in which something was only compiled."""
        trained = _union(self.training)
        return trained, _union(self.training + self.compiling) - trained


def _union(intervals: list[tuple[float, float]]) -> float:
    total, end = 0.0, -np.inf
    for start, stop in sorted(intervals):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def sizes_of(data: Prepared) -> Sizes:
    """Return the shapes of prepared data."""
    return Sizes(
        rows=max(len(part) for part in data.train),
        val_rows=max(len(part) for part in data.val),
        test_rows=data.x_test.shape[1],
        features=data.x.shape[2],
        outputs=data.n_outputs,
        splits=len(data.train),
    )


class Engine:
    """Trains lanes on prepared data.

    Args:
        data: the prepared data; put on the device once.
        scope: what the sweep can use; programs hold code for that and no more.
        objective: the metric that `monitor = objective`, the best epoch and `wanted` follow, such as val_accuracy.
        seed: the sweep's seed.
        keep_best: whether lanes end with the weights of their best epoch.
        workers: threads that train, by default one for each core on a CPU and one on other devices.
    """

    def __init__(
        self, data: Prepared, scope: Scope, objective: str, seed: int, keep_best: bool = False,
        workers: int | None = None,
    ) -> None:  # fmt: skip
        self.prepared, self.scope, self.seed, self.keep_best = data, scope, seed, keep_best
        self.objective = objective.removeprefix("val_")
        self.sizes = sizes_of(data)
        self.workers = workers or default_workers()
        self.data, self.test = _device_data(data)
        self.usage = Usage()
        self.stop = threading.Event()
        self._guard = threading.Lock()

    def program(self, bucket: Bucket, configs: Sequence[Config]) -> Program:
        """Return what the bucket's compiled program is specialized to."""
        values = self.scope.values
        padded = any(layer_widths(configs[i], self.sizes.outputs) != bucket.widths for i in bucket.members)
        net = Architecture(
            self.sizes.features, bucket.widths, self.sizes.outputs, padded,
            values("activation"), values("norm"), values("init"),
        )  # fmt: skip
        return Program(
            self.prepared.task, net, bucket.batch_size, values("optimizer"), values("schedule"), values("loss"),
            values("monitor"), self.objective, self.keep_best, self.prepared.image_shape,
        )  # fmt: skip

    def run(
        self,
        plan: Plan,
        configs: Sequence[Config],
        trials: Sequence[int],
        replicates: int = 1,
        wanted: Callable[[LaneResult], bool] = lambda _: False,
    ) -> Generator[LaneResult, None, None]:
        """Train every config on every split, `replicates` times, and yield lanes as they end.

        Args:
            plan: buckets over `configs`.
            configs: resolved configs.
            trials: the id of each config's trial.
            replicates: trainings of each config on each split under different seeds.
            wanted: tells, from a worker's thread, whether a lane's weights are worth fetching from the device.

        Setting `stop` makes the workers end after their current call; lanes under way are then not yielded.
        """
        groups = self._groups(plan, configs, trials, replicates)
        done: queue.Queue[LaneResult | BaseException | None] = queue.Queue()
        pool = _Pool(groups)
        threads = [
            threading.Thread(target=self._work, args=(pool, wanted, done), daemon=True, name=f"jaxsweep-{i}")
            for i in range(self.workers)
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in threads:
                while (item := done.get()) is not None:
                    if isinstance(item, BaseException):
                        raise item
                    yield item
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()
            self.stop.clear()

    def _groups(self, plan: Plan, configs: Sequence[Config], trials: Sequence[int], replicates: int) -> "list[_Group]":
        groups = []
        for bucket in plan.buckets:
            program = self.program(bucket, configs)
            by_key: dict[tuple[str, str, str], list[int]] = {}
            for i in bucket.members:
                by_key.setdefault(uniform_key(configs[i]), []).append(i)
            for key, members in by_key.items():
                # Lanes that take equally long stand together, the longest first.
                members.sort(key=lambda i: (-configs[i]["batch_size"], -configs[i]["epochs"], i))
                jobs = deque(
                    Job(i, trials[i], replicate, fold)
                    for i in members
                    for replicate in range(replicates)
                    for fold in range(self.sizes.splits)
                )
                groups.append(_Group(program, bucket, self._choices(key), jobs, configs))
        return groups

    def _choices(self, key: tuple[str, str, str]) -> Choices:
        names = ("optimizer", "activation", "norm")
        return Choices(
            *(np.int32(self.scope.values(name).index(value)) for name, value in zip(names, key, strict=True))  # type: ignore[arg-type]
        )

    def _work(self, pool: "_Pool", wanted: Callable[[LaneResult], bool], done: queue.Queue[Any]) -> None:
        """One worker: take a group, train tiles of it until its queue is empty, take the next."""
        try:
            while not self.stop.is_set() and (group := pool.take()) is not None:
                _Tile(self, pool, group, self._compiled(group)).run(wanted, done)
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
            done.put(error)
        finally:
            done.put(None)

    def _compiled(self, group: "_Group") -> Compiled:
        lanes = self.lanes([], group, group.bucket.tile)
        began = time.perf_counter()
        compiled, seconds = programs.compiled(group.program, self.data, self.test, group.choices, lanes)
        with self._guard:
            self.usage.programs.add(programs.key_of(group.program, self.data, self.test, group.choices, lanes))
            if seconds:
                self.usage.compiling.append((began, time.perf_counter()))
        return compiled

    def lanes(self, jobs: Sequence[Job], group: "_Group", tile: int) -> Lane:
        """Return the constants of `jobs` as arrays [tile, ...]; slots beyond them hold zeros that never train."""
        dtype = np.dtype(jnp.result_type(float))
        configs = [group.configs[job.position] for job in jobs]
        rows = np.array([len(self.prepared.train[job.fold]) for job in jobs], np.int32)
        batch = np.array([config["batch_size"] for config in configs], np.int32)
        batch = np.minimum(batch, rows)
        steps = -(-rows // np.maximum(batch, 1))
        epochs = np.array([config["epochs"] for config in configs], np.int32)
        keys = np.zeros((len(jobs), 2), np.uint32)
        if jobs:
            keys = self._keys(jobs, tile)
        indices = {
            name: np.array([self.scope.values(name).index(config[name]) for config in configs], np.int32)
            for name in ("init", "schedule", "loss", "monitor")
        }
        h = {name: np.array([config[name] for config in configs], dtype) for name in self.scope.traced}
        if "warmup" in h:
            h["warmup"] = np.array(
                [optim.warmup_steps(w, int(t)) for w, t in zip(h["warmup"].tolist(), epochs * steps, strict=True)],
                dtype,
            )
        widths = None
        if group.program.net.padded:
            true = [layer_widths(config, self.sizes.outputs) for config in configs]
            widths = np.array(true, np.int32).reshape(len(jobs), len(group.bucket.widths))
        fields: dict[str, Any] = {
            "key": keys,
            "fold": np.array([job.fold for job in jobs], np.int32),
            "rows": rows,
            "batch_size": batch,
            "epoch_steps": steps.astype(np.int32),
            "epochs": epochs,
            "init": indices["init"],
            "schedule": indices["schedule"],
            "loss": indices["loss"],
            "monitor": indices["monitor"],
            "widths": widths,
            "h": h,
        }
        lanes: Lane = jax.tree.map(lambda a: _padded(a, tile), Lane(**fields))
        return lanes

    def _keys(self, jobs: Sequence[Job], tile: int) -> NDArray[np.uint32]:
        ids = [_padded(np.array([getattr(job, name) for job in jobs], np.uint32), tile) for name in _IDENTITY]
        return np.asarray(randomness.lane_keys(self.seed, *ids))[: len(jobs)]


_IDENTITY = ("trial", "replicate", "fold")


def _padded(array: NDArray[Any], tile: int) -> NDArray[Any]:
    return np.concatenate([array, np.zeros((tile - len(array), *array.shape[1:]), array.dtype)])


def default_workers() -> int:
    """Return how many threads train: one for each core on a CPU, one on other devices."""
    import os

    if jax.default_backend() != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _device_data(data: Prepared) -> tuple[Data, TestData | None]:
    dtype = np.dtype(jnp.result_type(float))
    target = np.int32 if data.task == "classification" else dtype

    def block(source: NDArray[Any], parts: Sequence[NDArray[np.int32]], kind: Any) -> Any:
        longest = max(len(part) for part in parts)
        out = np.zeros((len(parts), longest, *source.shape[2:]), kind)
        for split, part in enumerate(parts):
            out[split, : len(part)] = source[split][part]
        return jnp.asarray(out)

    scale = jnp.asarray(data.target_scale, dtype)
    train_data = Data(
        x=block(data.x, data.train, dtype),
        y=block(data.y, data.train, target),
        x_val=block(data.x, data.val, dtype),
        y_val=block(data.y, data.val, target),
        val_rows=jnp.array([len(part) for part in data.val], jnp.int32),
        target_scale=scale,
    )
    if data.x_test.shape[1] == 0:
        return train_data, None
    return train_data, TestData(jnp.asarray(data.x_test, dtype), jnp.asarray(data.y_test, target), scale)


class _Group:
    """Lanes of one bucket that share the choices of a tile, waiting in a queue."""

    def __init__(
        self, program: Program, bucket: Bucket, choices: Choices, jobs: deque[Job], configs: Sequence[Config]
    ) -> None:
        self.program, self.bucket, self.choices, self.jobs, self.configs = program, bucket, choices, jobs, configs
        self.workers = 0


class _Pool:
    """The groups, in the order in which they should start; workers take them from here."""

    def __init__(self, groups: list[_Group]) -> None:
        self.groups, self.lock = groups, threading.Lock()

    def take(self) -> _Group | None:
        """Return a group with waiting lanes, rather one whose program no other worker is compiling."""
        with self.lock:
            self.groups = [group for group in self.groups if group.jobs]
            if not self.groups:
                return None
            busy = {id(group.bucket) for group in self.groups if group.workers}
            idle = [group for group in self.groups if id(group.bucket) not in busy]
            group = idle[0] if idle else min(self.groups, key=lambda group: group.workers)
            group.workers += 1
            return group

    def pop(self, group: _Group, count: int) -> list[Job]:
        """Take up to `count` lanes from a group's queue."""
        with self.lock:
            return [group.jobs.popleft() for _ in range(min(count, len(group.jobs)))]


class _Tile:
    """One worker's tile: its slots, their state on the device, and what its lanes have shown so far."""

    def __init__(self, engine: Engine, pool: _Pool, group: _Group, compiled: Compiled) -> None:
        self.engine, self.pool, self.group, self.compiled = engine, pool, group, compiled
        self.size = group.bucket.tile
        self.jobs: list[Job | None] = [None] * self.size
        self.curves: list[list[NDArray[Any]]] = [[] for _ in range(self.size)]
        self.seconds = np.zeros(self.size)
        self.lanes = engine.lanes([], group, self.size)
        self.state = jax.tree.map(jnp.copy, compiled.empty)  # a copy: `advance` takes its argument's memory
        self.epoch_seconds = 0.0

    def run(self, wanted: Callable[[LaneResult], bool], done: queue.Queue[Any]) -> None:
        """Train lanes of the group until none wait or run."""
        while not self.engine.stop.is_set():
            free = self.jobs.count(None)
            if self.group.jobs and (free == self.size or free >= max(1, self.size // 4)):
                self._fill(free)
            if all(job is None for job in self.jobs):
                return
            history = self._advance()
            self._collect(history, wanted, done)

    def _fill(self, free: int) -> None:
        jobs = self.pool.pop(self.group, free)
        if not jobs:
            return
        began = time.perf_counter()
        slots = [slot for slot, job in enumerate(self.jobs) if job is None][: len(jobs)]
        new = self.engine.lanes(jobs, self.group, self.size)
        fresh = np.zeros(self.size, bool)
        fresh[slots] = True

        def place(old: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
            old = np.array(old)
            old[slots] = values[: len(slots)]
            return old

        self.lanes = jax.tree.map(place, self.lanes, new)
        for slot, job in zip(slots, jobs, strict=True):
            self.jobs[slot], self.curves[slot], self.seconds[slot] = job, [], 0.0
        self.state = self.compiled.start(self.group.choices, self.lanes, fresh, self.state)
        jax.block_until_ready(self.state.status)
        with self.engine._guard:
            self.engine.usage.training.append((began, time.perf_counter()))

    def _advance(self) -> NDArray[Any]:
        running = [slot for slot, job in enumerate(self.jobs) if job is not None]
        steps = int(max(self.lanes.epoch_steps[slot] for slot in running))
        chunk = 1 if self.epoch_seconds == 0 else int(np.clip(CALL_SECONDS / self.epoch_seconds, 1, programs.LENGTH))
        began = time.perf_counter()
        state, history, epochs = self.compiled.advance(
            self.engine.data, self.group.choices, self.lanes, self.state, np.int32(chunk), np.int32(steps)
        )
        self.state = state
        count = int(epochs)
        ended = time.perf_counter()
        self.epoch_seconds = (ended - began) / max(count, 1)
        for slot in running:
            self.seconds[slot] += (ended - began) / len(running)
        with self.engine._guard:
            self.engine.usage.training.append((began, ended))
            self.engine.usage.lane_steps += count * steps * self.size
        return np.asarray(history)[:count]

    def _collect(self, history: NDArray[Any], wanted: Callable[[LaneResult], bool], done: queue.Queue[Any]) -> None:
        status, steps = np.asarray(self.state.status), np.asarray(self.state.step)
        epochs = np.asarray(self.state.epoch)
        ended = []
        for slot, job in enumerate(self.jobs):
            if job is not None:
                self.curves[slot].append(history[:, slot])
                if status[slot] != RUNNING:
                    ended.append(slot)
        if not ended:
            return
        test = None
        if self.compiled.score_test is not None:
            scores = self.compiled.score_test(self.engine.test, self.group.choices, self.lanes, self.state)
            test = np.asarray(scores, np.float64)
        for slot in ended:
            job = self.jobs[slot]
            assert job is not None
            curve = np.concatenate(self.curves[slot])[: epochs[slot]].astype(np.float64)
            result = LaneResult(
                job, STATUS[int(status[slot])], int(epochs[slot]), int(steps[slot]), curve,
                None if test is None else test[slot], float(self.seconds[slot]),
            )  # fmt: skip
            if wanted(result):
                result.weights = self._weights(slot, job)
            self.jobs[slot], self.curves[slot] = None, []
            with self.engine._guard:
                self.engine.usage.useful_steps += result.steps
            done.put(result)

    def _weights(self, slot: int, job: Job) -> Weights:
        """Return one lane's parameters and running statistics, cut to their true shapes."""
        config, net = self.group.configs[job.position], self.group.program.net
        sizes = (net.features, *layer_widths(config, net.outputs), net.outputs)
        params, stats = jax.tree.map(lambda a: np.array(a[slot]), train.final_weights(self.group.program, self.state))
        for layer, name in enumerate(net.layers):
            rows, columns = sizes[layer], sizes[layer + 1]
            params[name] = {"kernel": params[name]["kernel"][:rows, :columns], "bias": params[name]["bias"][:columns]}
            norm = f"norm_{layer}"
            if norm in params:
                if config["norm"] == "none":
                    del params[norm], stats[norm]
                    continue
                params[norm] = {key: value[:columns] for key, value in params[norm].items()}
                stats[norm] = {key: value[:columns] for key, value in stats[norm].items()}
                if config["norm"] == "layer":
                    del stats[norm]
        return params, stats

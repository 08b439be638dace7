"""A tile: the slots of one worker, the networks in them, and what those have shown so far."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from jaxsweep.engine import programs
from jaxsweep.engine.lanes import Group, Supply
from jaxsweep.engine.outcome import Job, LaneResult, Weights
from jaxsweep.engine.placement import Place
from jaxsweep.engine.programs import Advanced, Compiled
from jaxsweep.engine.usage import Usage
from jaxsweep.network import train
from jaxsweep.network.train import COMPLETED, DIVERGED, RUNNING, STOPPED, State
from jaxsweep.spec.hyperparameters import layer_widths

STATUS = {COMPLETED: "completed", STOPPED: "stopped", DIVERGED: "diverged"}
CALL_SECONDS = 0.15  # how long one call of a program should last: long for the machine, short for a person's Ctrl-C


def _empty(shapes: State) -> State:
    """Return a state of zeros in which no lane runs. It is NumPy's: a JAX array of zeros takes a program a shape."""
    zeros: State = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    return zeros._replace(status=np.full(shapes.status.shape, COMPLETED, np.int32))  # type: ignore[arg-type]


class Call(NamedTuple):
    """A call of the training program, which the device may still work on."""

    jobs: tuple[Job | None, ...]  # whom it trains, by slot
    began: float
    steps: int  # in an epoch of its loop
    result: Advanced


class Tile:
    """One worker's tile: its slots, their state on the device, and what its lanes have shown so far."""

    def __init__(
        self, supply: Supply, place: Place, usage: Usage, stop: threading.Event, group: Group, compiled: Compiled
    ) -> None:  # fmt: skip
        self.supply, self.place, self.group, self.compiled = supply, place, group, compiled
        self.usage, self.stop = usage, stop
        (self.size,) = compiled.state.status.shape
        self.jobs: list[Job | None] = [None] * self.size
        self.curves: list[list[NDArray[Any]]] = [[] for _ in range(self.size)]
        self.seconds = np.zeros(self.size)
        self.steps = np.zeros(self.size, np.int64)  # that each lane has taken
        self.lanes = supply.lanes([], group, self.size)
        self.state = _empty(compiled.state)
        self.asked = np.zeros(self.size, np.int64)  # epochs that calls so far were made for
        self.epoch_seconds = 0.0  # of the last call's
        self.looked = 0.0  # when the host last saw a call's end
        # An accelerator gets its next call before the host looks at the last one; a CPU's core would look itself.
        self.ahead = 0 if place.device is None else 1

    def run(self, wanted: Callable[[LaneResult], bool], done: queue.Queue[Any]) -> None:
        """Train lanes of the group until none wait or run."""
        calls: deque[Call] = deque()  # that the host has not looked at
        while not self.stop.is_set():
            if self._due(self.jobs.count(None)):
                self._fill()
            if all(job is None for job in self.jobs):
                return
            if calls and (len(calls) > self.ahead or self._needs_look()):
                self._collect(calls.popleft(), wanted, done)
            else:
                calls.append(self._advance())

    def _due(self, free: int) -> bool:
        """Return whether waiting lanes should take the free slots, if there are so many."""
        return bool(self.group.jobs) and (free == self.size or free >= max(1, self.size // 4))

    def _needs_look(self) -> bool:
        """Return whether the host should see the calls under way before it makes another one."""
        free = int(np.sum(~self._busy() | (self.asked >= self.lanes.epochs)))  # after these calls, or more
        return self.epoch_seconds == 0 or free == self.size or self._due(free)

    def _busy(self) -> NDArray[np.bool_]:
        return np.array([job is not None for job in self.jobs])

    def _fill(self) -> None:
        jobs = self.group.pop(self.jobs.count(None))
        if not jobs:
            return
        slots = [slot for slot, job in enumerate(self.jobs) if job is None][: len(jobs)]
        new = self.supply.lanes(jobs, self.group, self.size)
        fresh = np.zeros(self.size, bool)
        fresh[slots] = True

        def place(old: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
            old = np.array(old)
            old[slots] = values[: len(slots)]
            return old

        self.lanes = jax.tree.map(place, self.lanes, new)
        for slot, job in zip(slots, jobs, strict=True):
            self.jobs[slot], self.curves[slot], self.seconds[slot], self.asked[slot] = job, [], 0.0, 0
            self.steps[slot] = 0
        self.group.work.enter(len(slots))
        began = time.perf_counter()
        self.state = self.compiled.start(self.group.choices, self.lanes, fresh, self.state)
        if not self.ahead:
            jax.block_until_ready(self.state.status)
            self.usage.trained((began, time.perf_counter()))

    def _advance(self) -> Call:
        """Let the device train all lanes for some epochs, without waiting for it."""
        steps = int(self.lanes.epoch_steps[self._busy()].max())
        chunk = 1 if self.epoch_seconds == 0 else int(np.clip(CALL_SECONDS / self.epoch_seconds, 1, programs.LENGTH))
        began = time.perf_counter()
        result = self.compiled.advance(
            self.place.data, self.group.choices, self.lanes, self.state, np.int32(chunk), np.int32(steps)
        )
        self.state = result.state
        self.asked += chunk
        return Call(tuple(self.jobs), began, steps, result)

    def _collect(self, call: Call, wanted: Callable[[LaneResult], bool], done: queue.Queue[Any]) -> None:
        """Wait for a call, note what it did, and hand over the lanes that have ended."""
        count = int(call.result.epochs)
        began, self.looked = max(call.began, self.looked), time.perf_counter()
        seconds = self.looked - began
        if count:
            self.epoch_seconds = seconds / count
        history = np.asarray(call.result.history)[:count]
        status, steps, epochs = np.asarray(call.result.lanes)
        # A slot may have another lane by now, if the call was made before the host knew that the former had ended.
        trained = [slot for slot, job in enumerate(call.jobs) if job is not None and job is self.jobs[slot]]
        self.seconds[trained] += seconds / max(len(trained), 1)
        took = int((steps[trained] - self.steps[trained]).sum())
        self.steps[trained] = steps[trained]
        self.usage.trained((began, self.looked), count * call.steps * self.size, took)
        self.group.work.took(took, seconds)
        for slot in trained:
            self.curves[slot].append(history[:, slot])
        ended = [slot for slot in trained if status[slot] != RUNNING]
        if not ended:
            return
        test = None
        if self.compiled.score_test is not None:
            scores = self.compiled.score_test(self.place.test, self.group.choices, self.lanes, self.state)
            test = np.asarray(scores)
        # The first lane of a trial comes after the others, so that it is known by then whether the trial is wanted.
        for slot, job in sorted(((slot, self.jobs[slot]) for slot in ended), key=_last_lane_first):
            assert job is not None
            curve = self.supply.curves(np.concatenate(self.curves[slot])[: epochs[slot]], job.fold)
            result = LaneResult(
                job, STATUS[int(status[slot])], int(steps[slot]), curve,
                None if test is None else self.supply.test_metrics(test[slot], job.fold), float(self.seconds[slot]),
            )  # fmt: skip
            if wanted(result):
                result.weights = self._weights(slot, job)
            self.jobs[slot], self.curves[slot] = None, []
            self.group.work.leave(int(self.lanes.epochs[slot]) * int(self.lanes.epoch_steps[slot]) - result.steps)
            done.put(result)

    def _weights(self, slot: int, job: Job) -> Weights:
        """Return one lane's parameters and running statistics, cut to their true shapes."""
        config, net = self.group.configs[job.position], self.group.program.net
        sizes = (net.features, *layer_widths(config, net.outputs), net.outputs)
        # On a CPU an array is looked at in place; elsewhere no more than this lane's part is fetched.
        seen = np.asarray if jax.default_backend() == "cpu" else lambda a: a
        weights = train.final_weights(self.group.program, self.state)
        params, stats = jax.tree.map(lambda a: np.array(seen(a)[slot]), weights)
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


def _last_lane_first(ended: tuple[int, Job | None]) -> tuple[int, int, int]:
    slot, job = ended
    return (slot, 0, 0) if job is None else (job.trial, -job.replicate, -job.fold)

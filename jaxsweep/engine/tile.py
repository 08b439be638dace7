"""A tile: the slots of one worker, the networks in them, and what those have shown so far."""

import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from jaxsweep.engine import programs
from jaxsweep.engine.checkpoint import Checkpoint, Identity, Saver, Still, checkpoint
from jaxsweep.engine.director import Director, with_weights
from jaxsweep.engine.lanes import Group, Supply
from jaxsweep.engine.outcome import Done, Job, LaneResult, Parked, Wanted, Weights, last_lane_first
from jaxsweep.engine.placement import Place
from jaxsweep.engine.programs import Advanced, Compiled
from jaxsweep.engine.usage import Usage
from jaxsweep.engine.weights import cut, fetched
from jaxsweep.network import train
from jaxsweep.network.train import COMPLETED, DIVERGED, PAUSED, RUNNING, STOPPED, State

STATUS = {COMPLETED: "completed", STOPPED: "stopped", DIVERGED: "diverged", PAUSED: "paused"}
CALL_COST = 0.002  # seconds that a call costs beside its epochs, about
LAST_SECONDS = 1.0  # how long a worker that is to stop waits for its last call, to save what that comes to
CALL_SECONDS = 0.15  # how long one call of a program should last: long for the machine, short for a person's Ctrl-C


def _empty(shapes: State) -> State:
    """Return a state of zeros in which no lane runs. It is NumPy's: a JAX array of zeros takes a program a shape."""
    zeros: State = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    return zeros._replace(status=np.full(shapes.status.shape, COMPLETED, np.int32))  # type: ignore[arg-type]


def _awake(state: State) -> State:
    """Return a tile's state in which lanes that stand still go on."""
    return state._replace(status=np.full(state.status.shape, RUNNING, np.int32))  # type: ignore[arg-type]


class Call(NamedTuple):
    """A call of the training program, which the device may still work on."""

    number: int  # among the calls of the tile
    entries: NDArray[np.int64]  # [tile], whom it trains: see Tile.entries
    began: float
    epochs: int  # of its loop, at most
    steps: int  # in an epoch of its loop
    result: Advanced


class Tile:
    """One worker's tile: its slots, their state on the device, and what its lanes have shown so far.

    What is done once for a lane is done for all lanes that end or begin together: thousands may in a moment.
    """

    def __init__(
        self, supply: Supply, place: Place, usage: Usage, stop: threading.Event, group: Group, compiled: Compiled,
        director: Director | None = None, deadline: float = math.inf, saver: Saver | None = None,
    ) -> None:  # fmt: skip
        self.supply, self.place, self.group, self.compiled = supply, place, group, compiled
        self.usage, self.stop, self.director, self.deadline = usage, stop, director, deadline
        self.saver = saver
        (self.size,) = compiled.state.status.shape
        self.jobs: list[Job | None] = [None] * self.size
        self.entries = np.zeros(self.size, np.int64)  # a number for each lane that entered; 0 where none is
        self.entered = 0
        self.calls = 0  # made so far
        self.first = np.zeros(self.size, np.int64)  # number of the first call that trained each lane
        self.curves: deque[NDArray[Any]] = deque()  # [epochs, tile, columns] of each call since `oldest`
        self.oldest = 0
        self.seconds = np.zeros(self.size)
        self.steps = np.zeros(self.size, np.int64)  # that each lane has taken
        self.before: list[Parked | None] = [None] * self.size  # what each lane was when it entered, if not new
        self.lanes, self.choices = supply.lanes([], group, self.size), supply.choices([], group, self.size)
        self.state = _empty(compiled.state)
        self.asked = np.zeros(self.size, np.int64)  # epochs that calls so far were made for
        self.epoch_seconds = 0.0  # of the last call's
        self.looked = 0.0  # when the host last saw a call's end
        # An accelerator gets its next call before the host looks at the last one; a CPU's core would look itself.
        self.ahead = 0 if place.device is None else 1

    def run(self, wanted: Wanted, done: Done) -> None:
        """Train lanes of the group until none wait or run."""
        calls: deque[Call] = deque()  # that the host has not looked at
        while not self.stop.is_set():
            if time.perf_counter() > self.deadline:
                self._give_up(calls, wanted, done)
                return
            if self.saver is not None and self.saver.due():
                self._save(calls, wanted, done)
            if self._due(self.size - int(np.count_nonzero(self.entries))):
                self._fill()
            if not self.entries.any():
                return
            if calls and (len(calls) > self.ahead or self._needs_look()):
                self._collect(calls.popleft(), wanted, done)
            else:
                calls.append(self._advance())
        if self._end_soon(calls):
            self._save(calls, wanted, done)

    def _due(self, free: int) -> bool:
        """Return whether waiting lanes should take the free slots, if there are so many."""
        return bool(self.group.jobs) and (free == self.size or free >= max(1, self.size // 4))

    def _end_soon(self, calls: "deque[Call]") -> bool:
        """Return whether calls are expected to end in a moment: nobody who is to stop waits for others."""
        if not calls:
            return True
        left = sum(call.epochs for call in calls) * self.epoch_seconds if self.epoch_seconds else math.inf
        return calls[0].began + left - time.perf_counter() < LAST_SECONDS

    def _needs_look(self) -> bool:
        """Return whether the host should see the calls under way before it makes another one."""
        free = int(np.sum((self.entries == 0) | (self.asked >= self.lanes.until)))  # after these calls, or more
        return self.epoch_seconds == 0 or free == self.size or self._due(free)

    def _fill(self) -> None:
        free = np.flatnonzero(self.entries == 0)
        jobs = self.group.pop(len(free), [job for job in self.jobs if job is not None])
        if not jobs:
            return
        slots = free[: len(jobs)]
        new = self.supply.lanes(jobs, self.group, self.size), self.supply.choices(jobs, self.group, self.size)
        fresh = np.zeros(self.size, bool)
        fresh[[slot for slot, job in zip(slots, jobs, strict=True) if job.parked is None]] = True

        def place(old: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
            if not old.ndim:  # the tile shares it
                return old
            old = np.array(old)
            old[slots] = values[: len(slots)]
            return old

        self.lanes, self.choices = jax.tree.map(place, (self.lanes, self.choices), new)
        for slot, job in zip(slots.tolist(), jobs, strict=True):
            self.jobs[slot], self.before[slot] = job, job.parked
        self.entries[slots] = self.entered + 1 + np.arange(len(jobs))
        self.entered += len(jobs)
        self.first[slots], self.seconds[slots], self.asked[slots], self.steps[slots] = self.calls, 0.0, 0, 0
        self.group.work.enter(len(slots))
        began = time.perf_counter()
        if fresh.any():
            self.state = self.compiled.start(self.place.data.start, self.choices, self.lanes, fresh, self.state)
        self._resume(slots)
        if not self.ahead:
            jax.block_until_ready(self.state.status)
            self.usage.trained((began, time.perf_counter()))

    def _resume(self, slots: NDArray[np.int64]) -> None:
        """Put lanes that stood still into their slots."""
        parked = [(slot, before) for slot in slots.tolist() if (before := self.before[slot]) is not None]
        if not parked:
            return
        places = [slot for slot, _ in parked]
        self.asked[places] = [before.epochs for _, before in parked]
        self.steps[places] = [before.steps for _, before in parked]
        self.seconds[places] = [before.seconds for _, before in parked]
        rows = [before.state for _, before in parked if before.state is not None]  # of those that wait all have one
        self.state = self.group.bank.place(self.state, places, rows, in_place=not self.ahead)

    def _epochs(self) -> int:
        """Return for how many epochs the next call should be."""
        if self.epoch_seconds == 0:
            return 1
        most = int(np.clip(CALL_SECONDS / self.epoch_seconds, 1, programs.LENGTH))
        if self.director is None:
            return most
        # Lanes that pause soon would wait for the others until the call ends: as many as do most work in its time.
        left = (self.lanes.until - self.asked)[self.entries > 0]
        lengths = np.unique(np.clip(left, 1, most))
        work = np.minimum(left[:, None], lengths).sum(axis=0)
        return int(lengths[np.argmax(work / (CALL_COST + lengths * self.epoch_seconds))])

    def _advance(self) -> Call:
        """Let the device train all lanes for some epochs, without waiting for it."""
        steps = int(self.lanes.epoch_steps[self.entries > 0].max())
        chunk = self._epochs()
        began = time.perf_counter()
        result = self.compiled.advance(
            self.place.data, self.choices, self.lanes, self.state, np.int32(chunk), np.int32(steps)
        )
        self.state = result.state
        self.asked += chunk
        self.calls += 1
        return Call(self.calls - 1, self.entries.copy(), began, chunk, steps, result)

    def _collect(self, call: Call, wanted: Wanted, done: Done) -> None:
        """Wait for a call, note what it did, and hand over the lanes that have ended."""
        count = int(call.result.epochs)
        began, self.looked = max(call.began, self.looked), time.perf_counter()
        seconds = self.looked - began
        if count:
            self.epoch_seconds = seconds / count
        self.curves.append(np.asarray(call.result.history)[:count])
        status, steps, epochs = np.asarray(call.result.lanes)
        # A slot may have another lane by now, if the call was made before the host knew that the former had ended.
        trained = (call.entries > 0) & (call.entries == self.entries)
        self.seconds[trained] += seconds / max(int(trained.sum()), 1)
        took = int((steps[trained] - self.steps[trained]).sum())
        self.steps[trained] = steps[trained]
        self.usage.trained((began, self.looked), count * call.steps * self.size, took)
        self.group.work.took(took, seconds)
        ended = np.flatnonzero(trained & (status != RUNNING))
        if len(ended):
            self._hand_over(ended, status, epochs, wanted, done)
        keep = int(self.first[self.entries > 0].min(initial=self.calls))
        while self.curves and self.oldest < keep:
            self.curves.popleft()
            self.oldest += 1

    def _give_up(self, calls: "deque[Call]", wanted: Wanted, done: Done) -> None:
        """End all lanes where they are, as of the last epoch that each has done; one that has done none is nothing."""
        self._save(calls, wanted, done)
        while calls:
            self._collect(calls.popleft(), wanted, done)
        slots = np.flatnonzero(self.entries)
        self.usage.gives_up(len(slots))
        status, epochs = np.asarray(self.state.status), np.asarray(self.state.epoch)
        trained = slots[epochs[slots] > 0]
        if len(trained):
            halted = status == RUNNING
            self._hand_over(trained, np.where(halted, STOPPED, status), epochs, wanted, done, halted)

    def _save(self, calls: "deque[Call]", wanted: Wanted, done: Done) -> None:
        """Hand over what lanes under way have come to, if somebody keeps that for another process to go on with."""
        if self.saver is None:
            return
        while calls:
            self._collect(calls.popleft(), wanted, done)
        epochs = np.asarray(self.state.epoch)
        began = time.perf_counter()
        slots = np.flatnonzero((self.entries > 0) & (epochs > 0))
        curves = self._curves(slots, epochs)
        states = fetched(self.state, slots.tolist(), in_place=not self.ahead)
        lanes = [self._checkpoint(*each, curves) for each in zip(slots.tolist(), states, strict=True)]
        self.saver.save(lanes, began)

    def _checkpoint(self, slot: int, state: Any, curves: Mapping[int, NDArray[np.float64]]) -> Checkpoint:
        job, curve = self.jobs[slot], curves[slot]
        assert job is not None
        reached = Parked(None, len(curve), int(self.steps[slot]), curve, None, float(self.seconds[slot]))
        config = self.group.configs[job.position]
        return checkpoint(Identity.of(job), self.group.states, self.supply.seed, config, reached, state)

    def _hand_over(
        self, slots: NDArray[np.int64], status: NDArray[np.int32], epochs: NDArray[np.int32], wanted: Wanted,
        done: Done, halted: NDArray[np.bool_] | None = None,
    ) -> None:  # fmt: skip
        """Hand over the lanes of some slots, which have ended, were halted or stand still, and free these."""
        results = self._results(slots, status, epochs)
        if halted is not None:
            for slot, result in results.items():
                result.halted = bool(halted[slot])
        paused = slots[status[slots] == PAUSED].tolist()
        # The first lane of a trial comes after the others, so that it is known by then whether the trial is wanted.
        over = [(slot, result) for slot, result in results.items() if slot not in set(paused)]
        ordered = sorted(over, key=lambda ended: last_lane_first(ended[1].job))
        lanes = [result for _, result in ordered]
        asked = [pair for pair in ordered if not self._may_return(pair[1])]
        chosen = [slot for (slot, _), fetch in zip(asked, wanted([each for _, each in asked]), strict=True) if fetch]
        for slot, weights in zip(chosen, self._weights(chosen), strict=True):
            results[slot].weights = weights
        steps = self.steps[slots]
        if self.director is not None:
            rows = self.group.bank.put(_awake(self.state), paused, in_place=not self.ahead)
            stand = [(results[slot], row) for slot, row in zip(paused, rows, strict=True)]
            parked = [(r.job, Parked(row, r.epochs, r.steps, r.curves, r.test, r.seconds)) for r, row in stand]
            if self.saver is not None:
                self.saver.stand(self._still(parked))
            del rows, stand
            lanes = with_weights(self.director.take(lanes, parked), wanted, self.group.configs)
        for slot in results:
            self.jobs[slot] = self.before[slot] = None
        self.entries[slots] = 0
        unneeded = (self.lanes.epochs[slots].astype(np.int64) * self.lanes.epoch_steps[slots] - steps)[
            status[slots] != PAUSED
        ]
        self.group.work.leave(len(slots), int(unneeded.sum()))
        if lanes:
            done.put(lanes)

    def _still(self, parked: Sequence[tuple[Job, Parked]]) -> Iterator[Still]:
        """Yield lanes that stand still as somebody may keep them."""
        seed, configs = self.supply.seed, self.group.configs
        for job, lane in parked:
            if lane.state is not None:
                row, bare = weakref.ref(lane.state), replace(lane, state=None)
                yield Still(Identity.of(job), self.group.states, seed, configs[job.position], bare, row)

    def _may_return(self, result: LaneResult) -> bool:
        """Return whether a lane that has ended may go on as a copy of another one."""
        return self.director is not None and self.director.scheduler.changes and result.status == "diverged"

    def _results(
        self, slots: NDArray[np.int64], status: NDArray[np.int32], epochs: NDArray[np.int32]
    ) -> dict[int, LaneResult]:
        """Return what the lanes of some slots have come to."""
        test = None
        if self.compiled.score_test is not None:
            test = np.asarray(self.compiled.score_test(self.place.test, self.choices, self.lanes, self.state))
        curves = self._curves(slots, epochs)
        results: dict[int, LaneResult] = {}
        for fold in sorted({*self.lanes.fold[slots].tolist()}):
            alike = slots[self.lanes.fold[slots] == fold]
            tests = None if test is None else self.supply.test_metrics(test[alike], fold)
            for place, slot in enumerate(alike.tolist()):
                job = self.jobs[slot]
                assert job is not None
                if job.parked is not None:  # what it was is not kept with what it has come to
                    job = replace(job, parked=None)
                results[slot] = LaneResult(
                    job, STATUS[int(status[slot])], int(self.steps[slot]), curves[slot],
                    None if tests is None else tests[place], float(self.seconds[slot]),
                )  # fmt: skip
        return results

    def _curves(self, slots: NDArray[np.int64], epochs: NDArray[np.int32]) -> dict[int, NDArray[np.float64]]:
        """Return the learning curves of the lanes of some slots from their first epoch on, [epochs, curve metrics]."""
        folds, rows = self.lanes.fold[slots], self.lanes.rows[slots]
        found: dict[int, NDArray[np.float64]] = {}
        kinds = zip(self.first[slots].tolist(), folds.tolist(), rows.tolist(), strict=True)
        for first, fold, seen in sorted({*kinds}):
            alike = slots[(self.first[slots] == first) & (folds == fold) & (rows == seen)]
            # None of lanes that stood still before, and that the time limit ends before a call has trained them.
            blocks = [self.curves[number][:, alike] for number in range(first - self.oldest, len(self.curves))]
            history = np.concatenate(blocks) if blocks else np.empty((0, len(alike), self.group.program.columns))
            curves = np.ascontiguousarray(np.moveaxis(self.supply.curves(history, fold, seen), 1, 0))
            for place, slot in enumerate(alike.tolist()):
                before, length = self.before[slot], int(epochs[slot])
                if before is not None:
                    found[slot] = np.concatenate([before.curves, curves[place, : length - before.epochs]])
                else:  # a part of the whole unless that would keep much more of it in memory than it needs
                    found[slot] = curves[place] if length == curves.shape[1] else curves[place, :length].copy()
        return found

    def _weights(self, slots: Sequence[int]) -> list[Weights]:
        """Return the parameters and running statistics of some lanes, cut to their true shapes."""
        whole = train.final_weights(self.group.program, self.state)
        picked = fetched(whole, slots, in_place=not self.ahead)
        jobs = [self.jobs[slot] for slot in slots]
        net, configs = self.group.program.net, self.group.configs
        return [cut(w, configs[job.position], net) for w, job in zip(picked, jobs, strict=True) if job is not None]

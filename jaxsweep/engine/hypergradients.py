"""Hypergradients of a batch of configs: their lanes are trained again, with derivatives, a tile on every core.

A lane is the one that `Engine.run` trains: its key, its rows, its numbers, to rounding. In forward mode K derivatives
go along with it, which costs about K trainings more; in reverse mode it costs some five trainings, whatever K is, and
memory for a state of each epoch and of each step in one. Where a lane has no room for these, it is forward mode.
Programs are compiled once in a process for a `Program`, a tile, the names and the measure, and in reverse mode the
room; values compile nothing.

A call trains its tile from beginning to end, so that an interrupt waits for the calls under way.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsweep.engine import programs
from jaxsweep.engine.borrowed import borrowed
from jaxsweep.engine.engine import TICK_SECONDS, Engine
from jaxsweep.engine.lanes import Group
from jaxsweep.engine.outcome import Job
from jaxsweep.engine.placement import Place
from jaxsweep.engine.planner import LONE, Plan
from jaxsweep.network import ambient, train
from jaxsweep.network.hypergradient import Bounds, Room, differentiated, hypergradient
from jaxsweep.network.train import Choices, Data, Lane, Program
from jaxsweep.spec.hyperparameters import Config

# Derivatives that go along with a training; more of them come back from its end. On digits in networks of 32-32 one,
# two, four and eight that go along took 2.5, 4.8, 7.1 and 9.3 times a training, any number that comes back 5 to 6.
MOST_FORWARDS = 2
# What a plan says of that: times a training, by how many go along or for any number that comes back; and times the
# compilation of a training, which was 1.5 to 1.6 for one, for two, and for three that came back.
TIMES_FORWARDS, TIMES_BACKWARDS, TIMES_COMPILING = (0.0, 2.5, 4.8), 5.5, 1.6
KEPT = 16  # programs that a process keeps


class Hypergradient(NamedTuple):
    """What a config's networks are worth, and how that changes with its hyperparameters: the mean over its lanes."""

    value: float  # of the measure that was asked for; NaN if a lane diverged
    slopes: dict[str, float]  # the derivative by each name; NaN if a lane diverged


class _Tile(NamedTuple):
    """Some lanes of a group that train together."""

    group: Group
    jobs: list[Job]
    turn: int  # its number among those of the group
    lanes: Lane
    bounds: Bounds
    room: Room | None  # of reverse mode


def foreseen_seconds(plan: Plan, names: int, part: float) -> float:
    """Return the predicted seconds of training `part` of a plan's lanes again with so many derivatives."""
    times = TIMES_FORWARDS[names] if names <= MOST_FORWARDS else TIMES_BACKWARDS
    each = [(TIMES_COMPILING * b.compile_seconds, times * part * b.seconds) for b in plan.buckets]
    longest = max(LONE * compiling + running / plan.at_once for compiling, running in each)
    return max(sum(map(sum, each)) / plan.at_once, longest)


def hypergradients(
    engine: Engine,
    plan: Plan,
    configs: Sequence[Config],
    trials: Sequence[int],
    names: tuple[str, ...],
    measure: str,
    replicates: int = 1,
    tick: Callable[[], object] = lambda: None,
    reverse: bool | None = None,
    deadline: float = math.inf,
) -> list[Hypergradient]:
    """Return the hypergradient of each config; see `network.hypergradient` for what that is.

    Args:
        engine: that trained the configs, and trains nothing meanwhile.
        plan: buckets over `configs`; a config that is in none has NaN.
        configs: resolved configs.
        trials: the id of each config's trial.
        names: hyperparameters of the engine's scope that have a hypergradient.
        measure: of the validation rows, such as loss or mse.
        replicates: trainings of each config on each split.
        tick: called, from this thread, a few times a second.
        reverse: whether derivatives go back from the end; by default if there are more than MOST_FORWARDS names.
        deadline: the time, as `time.perf_counter` has it, after which no tile begins; what is left has NaN.
    """
    backwards = len(names) > MOST_FORWARDS if reverse is None else reverse
    works = engine.works
    plain = [replace(bucket, by_lane=(), batches=bucket.batches[-1:]) for bucket in plan.buckets]
    apart = replace(plan, buckets=plain)
    groups = engine._groups(apart, configs, trials, replicates)
    engine.works = works  # what the views show is the training
    found: dict[int, list[tuple[float, list[float]]]] = {}
    tiles = [tile for group in groups for tile in _tiles(engine, group, names, backwards, plan.room / plan.workers)]
    tiles.sort(key=lambda tile: tile.turn)  # first one of each group, and so on: others compile meanwhile
    places, workers = engine.supply.places, min(engine.workers, plan.workers)

    def work(number: int, tile: _Tile) -> list[tuple[Job, float, list[float]]]:
        place = places[number % len(places)]
        if time.perf_counter() > deadline:
            return []
        with ambient.own(engine.wide), jax.default_device(place.device):
            return _train(engine, place, tile, names, measure)

    with ThreadPoolExecutor(workers, "jaxsweep-hypergradients") as pool:
        futures = [pool.submit(work, *each) for each in enumerate(tiles)]
        try:
            _wait(futures, tick)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        for future in futures:
            for job, value, slopes in future.result():
                found.setdefault(job.position, []).append((value, slopes))
    return [_mean(found.get(position, []), names) for position in range(len(configs))]


def _wait(futures: Sequence[Future[Any]], tick: Callable[[], object]) -> None:
    pending = set(futures)
    while pending:
        done, pending = wait(pending, TICK_SECONDS, FIRST_EXCEPTION)
        for future in done:
            future.result()  # raises what the worker raised
        tick()


def _mean(lanes: Sequence[tuple[float, list[float]]], names: tuple[str, ...]) -> Hypergradient:
    if not lanes:
        return Hypergradient(np.nan, dict.fromkeys(names, np.nan))
    slopes = np.mean([slopes for _, slopes in lanes], axis=0)
    return Hypergradient(float(np.mean([value for value, _ in lanes])), dict(zip(names, slopes.tolist(), strict=True)))


def _tiles(engine: Engine, group: Group, names: tuple[str, ...], reverse: bool, most: float) -> list[_Tile]:
    """Return the lanes of a group in tiles, smaller by what goes along with them, so that each takes `most` bytes."""
    with ambient.own(engine.wide):
        lane = jax.tree.map(lambda leaf: leaf[0], engine.supply.lanes([], group, 1))
        choices = engine.supply.choices([], group, 1)
        state = jax.eval_shape(lambda lane: train.init(group.program, None, choices, lane), lane)
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
        whole = engine.supply.lanes(list(group.jobs), group, len(group.jobs))
        room: Room | None = Room(_power(int(np.max(whole.epochs))), _power(int(np.max(whole.epoch_steps))))
        states = sum(room or ())
        if not reverse or size * states > most:
            room, states = None, 1 + len(names)
        group.tile = max(1, int(min(group.tile // (2 if room else states), most / (size * states))))
        tiles: list[_Tile] = []
        while jobs := group.pop(group.tile):
            lanes = engine.supply.lanes(jobs, group, group.tile)
            bounds = Bounds(*np.array([np.max(lanes.epochs), np.max(lanes.epoch_steps)], np.int32))
            tiles.append(_Tile(group, jobs, len(tiles), lanes, bounds, room))
    return tiles


def _train(
    engine: Engine, place: Place, tile: _Tile, names: tuple[str, ...], measure: str
) -> list[tuple[Job, float, list[float]]]:
    """Train a tile; return the value and slopes of each lane."""
    group, lanes, bounds = tile.group, tile.lanes, tile.bounds
    arguments = (place.data, engine.supply.choices([], group, len(lanes.rows)), lanes, bounds)
    how = (differentiated(group.program), names, measure, tile.room)
    began = time.perf_counter()
    call, key, seconds = _compiled(how, place, arguments)
    ready = time.perf_counter()
    engine.usage.compiled(key, (began, ready) if seconds else None)
    values, slopes = jax.device_get(call(*arguments))
    engine.usage.trained((ready, time.perf_counter()))
    rows = np.stack([slopes[name] for name in names], axis=1).astype(np.float64)
    return [(job, float(values[slot]), rows[slot].tolist()) for slot, job in enumerate(tile.jobs)]


def _power(number: int) -> int:
    """Return the smallest power of two that is at least `number`: few rooms, whatever the lengths of trainings."""
    return 1 << max(number - 1, 0).bit_length()


_cache: dict[Any, Any] = {}  # the least recently used first
_locks: dict[Any, threading.Lock] = {}
_guard = threading.Lock()

_How = tuple[Program, tuple[str, ...], str, Room | None]


def clear() -> None:
    """Forget every compiled program."""
    with _guard:
        _cache.clear()
        _locks.clear()


def _compiled(how: _How, place: Place, arguments: tuple[Data, Choices, Lane, Bounds]) -> tuple[Any, Any, float]:
    """Return the executable, its key, and the seconds that compiling it took just now."""
    program, names, measure, room = how
    key = ("hypergradients", *how, programs.signature(arguments), place.device)
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        with _guard:
            if (known := _cache.pop(key, None)) is not None:
                _cache[key] = known
                return known, key, 0.0
        began = time.perf_counter()

        def tile(data: Data, choices: Choices, lanes: Lane, bounds: Bounds) -> Any:
            one = lambda lane: hypergradient(program, data, choices, lane, names, measure, bounds, room)  # noqa: E731
            return jax.vmap(one)(lanes)

        options = programs.known_options(program.net.platform).training
        with programs.tracing(program), borrowed():
            new = jax.jit(tile).lower(*arguments).compile(options)
        with _guard:
            _cache[key] = new
            while len(_cache) > KEPT:
                oldest = next(iter(_cache))
                del _cache[oldest]
                _locks.pop(oldest, None)
        return new, key, time.perf_counter() - began

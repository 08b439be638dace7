"""Hypergradients of a batch of configs: their lanes are trained again, with derivatives, a tile on every core.

A lane is the one that `Engine.run` trains: its key, its rows, its numbers, to rounding. In forward mode K derivatives go
along with it, which costs about K trainings more; in reverse mode it costs as much as a few trainings, whatever K is,
and memory for a state of each epoch and of each step in one. Programs are compiled once in a process for a `Program`, a
tile, the names and the measure, and in reverse mode the room; values compile nothing.

A call trains its tile from beginning to end, so that an interrupt waits for the calls under way.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsweep.engine import programs
from jaxsweep.engine.borrowed import borrowed
from jaxsweep.engine.engine import TICK_SECONDS, Engine
from jaxsweep.engine.lanes import Group
from jaxsweep.engine.outcome import Job
from jaxsweep.engine.placement import Place
from jaxsweep.engine.planner import Plan
from jaxsweep.network import ambient
from jaxsweep.network.hypergradient import Bounds, Room, differentiated, hypergradient
from jaxsweep.network.train import Choices, Data, Lane, Program
from jaxsweep.spec.hyperparameters import Config

MOST_FORWARDS = 12  # derivatives that go along with a training; more of them come back from its end
KEPT = 16  # programs that a process keeps


class Hypergradient(NamedTuple):
    """What a config's networks are worth, and how that changes with its hyperparameters: the mean over its lanes."""

    value: float  # of the measure that was asked for; NaN if a lane diverged
    slopes: dict[str, float]  # the derivative by each name; NaN if a lane diverged


class _Tile(NamedTuple):
    """Some lanes of a group that train together."""

    group: Group
    jobs: list[Job]


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
    """
    backwards = len(names) > MOST_FORWARDS if reverse is None else reverse
    works = engine.works
    groups = engine._groups(plan, configs, trials, replicates)
    engine.works = works  # what the views show is the training
    found: dict[int, list[tuple[float, list[float]]]] = {}
    tiles = _tiles(groups, 1 if backwards else len(names))
    places, workers = engine.supply.places, min(engine.workers, plan.workers)

    def work(number: int, tile: _Tile) -> list[tuple[Job, float, list[float]]]:
        place = places[number % len(places)]
        with ambient.own(engine.wide), jax.default_device(place.device):
            return _train(engine, place, tile, names, measure, backwards)

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


def _tiles(groups: Sequence[Group], derivatives: int) -> list[_Tile]:
    """Return the lanes of groups in tiles, smaller by what goes along with them; first one of each group, and so on."""
    numbered = []
    for number, group in enumerate(groups):
        group.tile = size = max(1, group.tile // (1 + derivatives))
        turn = 0
        while jobs := group.pop(size):
            numbered.append((turn, number, _Tile(group, jobs)))
            turn += 1
    return [tile for _, _, tile in sorted(numbered, key=lambda each: each[:2])]


def _train(
    engine: Engine, place: Place, tile: _Tile, names: tuple[str, ...], measure: str, backwards: bool
) -> list[tuple[Job, float, list[float]]]:
    """Train a tile; return the value and slopes of each lane."""
    group, jobs = tile
    lanes = engine.supply.lanes(jobs, group, group.tile)
    epochs, steps = int(np.max(lanes.epochs)), int(np.max(lanes.epoch_steps))
    bounds = Bounds(*np.array([epochs, steps], np.int32))
    room = Room(_power(epochs), _power(steps)) if backwards else None
    how = (differentiated(group.program), names, measure, room)
    began = time.perf_counter()
    call, key, seconds = _compiled(how, place, (place.data, group.choices, lanes, bounds))
    ready = time.perf_counter()
    engine.usage.compiled(key, (began, ready) if seconds else None)
    values, slopes = jax.device_get(call(place.data, group.choices, lanes, bounds))
    engine.usage.trained((ready, time.perf_counter()))
    rows = np.stack([slopes[name] for name in names], axis=1).astype(np.float64)
    return [(job, float(values[slot]), rows[slot].tolist()) for slot, job in enumerate(jobs)]


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
        with ambient.retraced(program.code) if program.own else nullcontext(), borrowed():
            new = jax.jit(tile).lower(*arguments).compile(options)
        with _guard:
            _cache[key] = new
            while len(_cache) > KEPT:
                oldest = next(iter(_cache))
                del _cache[oldest]
                _locks.pop(oldest, None)
        return new, key, time.perf_counter() - began

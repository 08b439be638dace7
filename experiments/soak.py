"""Does anything grow in a sweep that goes on and on?

Question: 200,000 tiny trainings in one recorded sweep: what do memory, open files and threads do, and is it as fast at
the end as at the start? And 200 sweeps one after another on tables of different shapes, in one process: does what a
sweep leaves behind grow? JAX remembers what it has traced, up to a few thousand functions and shapes: so also 200 plain
trainings, without anything of this project.
And what do checkpoints cost: what share of their time do workers spend in handing over and writing what they train?

Command: python experiments/soak.py [--trials 200000] [--sweeps 200]
Needs: Linux, and a quarter of an hour
Answer: stands in experiments/soak.md, as this printed it.
"""

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxsweep as js
from jaxsweep.engine import machine
from jaxsweep.engine.tile import Tile
from jaxsweep.loop import execute
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.spec.request import Request

EPOCHS = 2
PARTS = 4  # of the long sweep, each asked for, trained and recorded as the others are
CHECKPOINTED = 5_000  # trainings of the sweep whose checkpoints are timed
LOOK_SECONDS = 0.1


def open_files() -> int:
    """Return how many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@dataclass
class Meter(Progress):
    """Looks at the process ten times a second."""

    seen: list[tuple[int, float, int, int, int]] = field(default_factory=list)  # trials, time, bytes, files, threads

    def start(self, snapshot: Snapshot) -> None:
        """Look, before anything is asked for."""
        self.update(snapshot)

    def update(self, snapshot: Snapshot) -> None:
        """Look, if it is time."""
        now = time.perf_counter()
        if not self.seen or now - self.seen[-1][1] >= LOOK_SECONDS:
            self._look(snapshot, now)

    def close(self, snapshot: Snapshot) -> None:
        """Look once more."""
        self._look(snapshot, time.perf_counter())

    def _look(self, snapshot: Snapshot, now: float) -> None:
        state = machine.memory_used(), open_files(), threading.active_count()
        self.seen.append((snapshot.finished, now, *state))


def bytes_of(thing: object, known: set[int]) -> int:
    """Return the size of an object with all that it alone holds; `known` are those that were counted."""
    if id(thing) in known or isinstance(thing, type):
        return 0
    known.add(id(thing))
    inside: list[object] = []
    if isinstance(thing, dict):
        inside = [*thing.keys(), *thing.values()]
    elif isinstance(thing, (list, tuple)):
        inside = list(thing)
    elif isinstance(thing, np.ndarray):
        inside = [] if thing.base is None else [thing.base]
    elif hasattr(thing, "__dict__"):
        inside = [vars(thing)]
    elif hasattr(thing, "__slots__"):
        inside = [getattr(thing, name) for name in thing.__slots__]
    return sys.getsizeof(thing) + sum(bytes_of(each, known) for each in inside)


def long_sweep(trials: int, folder: Path) -> None:
    """Print what one sweep of so many trials does, once its program is in the cache."""
    space = js.Space(learning_rate=js.LogUniform(1e-4, 1e-1), epochs=EPOCHS, width=4, depth=1, batch_size="full")
    data, meter = js.load_dataset("iris"), Meter()
    execute(data, Request(space=space, trials=trials // PARTS, keep=3), folder / "first", Meter())
    result = execute(data, Request(space=space, trials=trials, keep=3), folder / "run", meter)
    assert len(result.trials) == trials
    finished, clock, memory, files, threads = (np.array(each, float) for each in zip(*meter.seen, strict=True))
    # A part is over when its last trial has finished; before the next one trains it is asked for, and planned.
    ends = [int(np.argmax(finished >= part * trials / PARTS)) for part in range(1, PARTS + 1)]
    print(f"One sweep of {trials:,} trials of {EPOCHS} epochs in {clock[-1] - clock[0]:.0f} s:\n")
    print("| trials | trials/s since the row before | most memory since, MiB | open files | threads |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    rates, begin, most = [], 0, []
    for end in ends:
        rates.append((finished[end] - finished[begin]) / (clock[end] - clock[begin]))
        part = slice(begin, end + 1)
        most.append(memory[part].max())
        print(
            f"| {finished[end]:,.0f} | {rates[-1]:,.0f} | {most[-1] / 2**20:.0f} | {files[part].max():.0f} | "
            f"{threads[part].max():.0f} |"
        )
        begin = end
    known: set[int] = set()
    own = (bytes_of(result.trials, known) + bytes_of(result.lanes, known)) / trials
    slope = (most[-1] - most[0]) / (trials * (PARTS - 1) / PARTS)
    size = (folder / "run" / "trials.sqlite").stat().st_size / trials
    print(
        f"\nMemory grows by {slope:.0f} bytes a trial, of which its row and its curves have {own:.0f}; the database by "
        f"{size:.0f}.\nThe last quarter ran at {rates[-1] / rates[0]:.2f} of the rate of the first.\n",
        flush=True,
    )


def checkpoints(trials: int, folder: Path) -> None:
    """Print what share of the workers' time goes into checkpoints, which are written far more often than usual."""
    space = js.Space(learning_rate=js.LogUniform(1e-4, 1e-1), epochs=30, depth=2, batch_size=64, width=64)
    data, save, spent = js.load_dataset("digits"), Tile._save, list[float]()

    def timed(tile: Tile, *how: Any) -> None:
        began = time.perf_counter()
        save(tile, *how)
        spent.append(time.perf_counter() - began)

    print("| seconds from one to the next | checkpoints | seconds in them | of all workers' |")
    print("| ---: | ---: | ---: | ---: |")
    with mock.patch.object(Tile, "_save", timed):
        for seconds in (60.0, 5.0, 1.0):
            spent.clear()
            request = Request(space=space, trials=trials, keep=3, checkpoint_seconds=seconds)
            result = execute(data, request, folder / f"every{seconds:g}", Progress())
            whole = machine.cores() * result.summary()["seconds"]["total"]
            print(f"| {seconds:g} | {len(spent)} | {sum(spent):.2f} | {sum(spent) / whole:.2%} |", flush=True)
    print()


def sweep_once(X: Any, y: Any) -> None:
    """Train four networks."""
    configs = [{"epochs": 1, "width": 4, "depth": 1, "learning_rate": 0.01}] * 4
    js.sweep((X, y), configs=configs, keep=1, progress=False)


def plain_once(X: Any, y: Any) -> None:
    """Train four networks by JAX and Optax alone, three programs that go when they have run."""
    transform = optax.adam(1e-2)

    def start(key: Any) -> Any:
        first, last = jax.random.split(key)
        params = {
            "a": jax.random.normal(first, (X.shape[1], 4)), "b": jnp.zeros(4),
            "c": jax.random.normal(last, (4, 2)), "d": jnp.zeros(2),
        }  # fmt: skip
        return params, transform.init(params)

    def loss(params: Any, X: Any, y: Any) -> Any:
        outputs = jax.nn.relu(X @ params["a"] + params["b"]) @ params["c"] + params["d"]
        return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()

    def step(state: Any, rows: Any) -> Any:
        params, slots = state
        updates, slots = transform.update(jax.grad(loss)(params, X[rows], y[rows]), slots, params)
        return (optax.apply_updates(params, updates), slots), None

    def train(state: Any, key: Any) -> Any:
        batches = len(X) // 32
        return jax.lax.scan(step, state, jax.random.permutation(key, len(X))[: 32 * batches].reshape(-1, 32))[0]

    X, y = jnp.asarray(X, jnp.float32), jnp.asarray(y)
    keys = jax.random.split(jax.random.key(0), 4)
    state = jax.jit(jax.vmap(train))(jax.jit(jax.vmap(start))(keys), keys)
    jax.jit(jax.vmap(lambda state: loss(state[0], X, y)))(state).block_until_ready()


def many(count: int, once: Callable[[Any, Any], None], forget: bool) -> None:
    """Print what so many sweeps on data of different shapes leave behind; `forget` lets JAX forget what it traced."""
    dice = np.random.default_rng(0)
    seen = []
    print("| sweeps | memory, MiB | open files | threads |")
    print("| ---: | ---: | ---: | ---: |")
    for number in range(count):
        rows, columns = int(dice.integers(60, 160)), int(dice.integers(2, 40))
        once(dice.normal(size=(rows, columns)), dice.integers(0, 2, rows))
        if once is plain_once:  # as a sweep does
            gc.collect()
            machine.give_back_memory()
        if forget:
            jax.clear_caches()  # type: ignore[no-untyped-call]
        seen.append((machine.memory_used(), open_files(), threading.active_count()))
        if number % 20 == 19:
            print(f"| {number + 1} | {seen[-1][0] / 2**20:.0f} | {seen[-1][1]} | {seen[-1][2]} |", flush=True)
    memory = np.array([each[0] for each in seen], float)
    half = np.arange(count // 2, count)
    print(f"\nIn the second half memory grows by {np.polyfit(half, memory[half], 1)[0] / 2**10:.0f} KiB a sweep.\n")


def apart(count: int, cache: Path, forget: bool = False, what: str = "sweep_once") -> None:
    """Let sweeps run in a process of their own, whose programs are in a cache or go there."""
    call = f"import soak; soak.many({count}, soak.{what}, {forget})"
    environment = {**os.environ, "JAXSWEEP_CACHE": str(cache)}
    subprocess.run([sys.executable, "-c", call], check=True, cwd=Path(__file__).parent, env=environment)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200_000)
    parser.add_argument("--sweeps", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        long_sweep(asked.trials, folder)
        print(f"Checkpoints of {CHECKPOINTED:,} trainings on digits, two layers of 64 units, 30 epochs:\n")
        checkpoints(CHECKPOINTED, folder)
        print(f"{asked.sweeps} sweeps of four trainings each, on tables of different shapes, in one process, every")
        print("program compiled:\n", flush=True)
        apart(asked.sweeps, folder / "cache")
        print("The same in another process, which finds the programs in the cache:\n", flush=True)
        apart(asked.sweeps, folder / "cache")
        print("Every program compiled, and `jax.clear_caches()` after each sweep:\n", flush=True)
        apart(asked.sweeps, folder / "another", forget=True)
        print("Nothing of this project, three plain programs of JAX each time:\n", flush=True)
        apart(asked.sweeps, folder / "none", what="plain_once")
        print("And these with `jax.clear_caches()`:\n", flush=True)
        apart(asked.sweeps, folder / "none", forget=True, what="plain_once")


if __name__ == "__main__":
    main()

"""Does anything grow in a sweep that goes on and on?

Question: 200,000 tiny trainings in one recorded sweep: what do memory, open files and threads do, and is it as fast at
the end as at the start? And 200 sweeps one after another on tables of different shapes, in one process: does what a
sweep leaves behind grow?

Command: python experiments/soak.py [--trials 200000] [--sweeps 200]
Needs: Linux, and a quarter of an hour
Answer: stands in experiments/soak.md, as this printed it.
"""

import argparse
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import jaxsweep as js
from jaxsweep.engine import machine
from jaxsweep.loop import execute
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.spec.request import Request

EPOCHS = 2
PARTS = 20  # of a sweep, at whose ends it is looked at


def open_files() -> int:
    """Return how many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@dataclass
class Meter(Progress):
    """Looks at the process each time that another part of the trials has finished."""

    trials: int
    seen: list[tuple[int, float, int, int, int]] = field(default_factory=list)  # trials, time, bytes, files, threads

    def update(self, snapshot: Snapshot) -> None:
        """Look, if it is time."""
        if snapshot.finished >= len(self.seen) * self.trials / PARTS:
            state = machine.memory_used(), open_files(), threading.active_count()
            self.seen.append((snapshot.finished, time.perf_counter(), *state))


def long_sweep(trials: int, folder: Path) -> None:
    """Print what one sweep of so many trials does."""
    space = js.Space(learning_rate=js.LogUniform(1e-4, 1e-1), epochs=EPOCHS, width=4, depth=1, batch_size="full")
    meter = Meter(trials)
    request = Request(space=space, trials=trials, keep=3)
    result = execute(js.load_dataset("iris"), request, folder / "run", meter)
    assert len(result.trials) == trials
    finished, clock, memory, files, threads = (np.array(each, float) for each in zip(*meter.seen, strict=True))
    half = len(finished) // 4  # from here on programs and caches are there
    slope = np.polyfit(finished[half:], memory[half:], 1)[0]
    rates = np.diff(finished) / np.diff(clock)
    curve = EPOCHS * len(result.columns.curves) * 8
    size = (folder / "run" / "trials.sqlite").stat().st_size / trials
    print(f"One sweep of {trials:,} trials of {EPOCHS} epochs in {clock[-1] - clock[0]:.0f} s:\n")
    print("| trials | trials/s since the row before | memory, MiB | open files | threads |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for place in range(1, len(finished), 2):
        row = f"{finished[place]:,.0f} | {rates[place - 1]:,.0f} | {memory[place] / 2**20:.0f}"
        print(f"| {row} | {files[place]:.0f} | {threads[place]:.0f} |")
    first, last = np.median(rates[1:5]), np.median(rates[-4:])
    print(
        f"\nMemory grows by {slope:.0f} bytes a trial, of which its curves have {curve}; the database by {size:.0f}. "
        f"The last fifth ran at {last / first:.2f} of the rate of the first.\n",
        flush=True,
    )


def many_sweeps(count: int) -> None:
    """Print what so many sweeps on data of different shapes leave behind."""
    dice = np.random.default_rng(0)
    seen = []
    for number in range(count):
        rows, columns = int(dice.integers(60, 160)), int(dice.integers(2, 40))
        X, y = dice.normal(size=(rows, columns)), dice.integers(0, 2, rows)
        configs = [{"epochs": 1, "width": 4, "depth": 1, "learning_rate": 0.01}] * 4
        js.sweep((X, y), configs=configs, keep=1, progress=False)
        seen.append((machine.memory_used(), open_files(), threading.active_count()))
        if number % 20 == 19:
            print(f"| {number + 1} | {seen[-1][0] / 2**20:.0f} | {seen[-1][1]} | {seen[-1][2]} |", flush=True)
    memory = np.array([each[0] for each in seen], float)
    half = np.arange(count // 2, count)
    print(f"\nIn the second half memory grows by {np.polyfit(half, memory[half], 1)[0] / 2**10:.0f} KiB a sweep.")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200_000)
    parser.add_argument("--sweeps", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        long_sweep(asked.trials, Path(name))
    print(f"{asked.sweeps} sweeps of four trainings each, on tables of different shapes, in one process:\n")
    print("| sweeps | memory, MiB | open files | threads |")
    print("| ---: | ---: | ---: | ---: |")
    many_sweeps(asked.sweeps)


if __name__ == "__main__":
    main()

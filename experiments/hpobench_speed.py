"""How much faster than scikit-learn does one sweep train random cells of HPOBench's grid?

Question: 300 random cells of the table for `vehicle` (batches of 4 to 256, widths of 16 to 1024, 1 to 3 hidden layers)
differ in everything that decides a shape. Trained by the table's protocol, each from process start to its end: how long
does one call of `js.sweep` take with an empty compile cache, how long with a filled one, and how long scikit-learn's
MLPClassifier with one process a core? At least 3 times faster is wanted, less than 0.2 of the time spent compiling, and
1.15 between the first and the second start.

scikit-learn would need hours for what minutes can estimate: each cell is trained for at least half a second and one
epoch, with another cell on each other core, and counts as many epochs as the sweep's own network of that cell trained
(early stopping included); the sum is divided by the cores, as if they all ended together. --full trains all of it.

Command: python experiments/hpobench_speed.py
Machine: AMD EPYC (AVX2), 2 cores, jaxlib 0.10.1, scikit-learn 1.9.1
Answer: 791.2 s with an empty cache, 3.49 times faster than scikit-learn (2762.0 s, estimated); in 0.104 of the time
    something compiled and nothing trained. 559.7 s with a filled cache, 4.93 times faster than scikit-learn, and 1.41
    times faster than the first start. 54 programs, lane occupancy 0.80, padding waste 0.11. By width, in seconds of one
    core: 8.7 times faster for 16, 9.6 for 25, 4.3 for 64, 2.5 for 256, 5.2 for 1024, which takes 64 % of the sweep.
    In another hour 3.88 and 5.77 times faster than scikit-learn, and 1.49 times than the first start.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hpobench_vehicle import EPOCHS, OBJECTIVE, SPLIT, cheapest_first, draw, fitted

import jaxsweep as js
from jaxsweep.bench.race import ONE_THREAD
from jaxsweep.data import prepare
from jaxsweep.engine import machine

TIMED_SECONDS = 0.5  # that scikit-learn trains a cell at least


class Sweep(NamedTuple):
    """What one sweep, in a process of its own, came to."""

    seconds: float  # from the start of its process
    summary: dict[str, Any]
    trials: list[dict[str, Any]]  # in the order of the cells: seconds of a worker, epochs


def sweep_here(folder: Path, cells: int, seed: int, out: Path) -> None:
    """Train the cells in this process, and write what that came to as JSON."""
    configs = draw(folder / "tables/hpobench_vehicle.npz", cells, seed, EPOCHS).configs
    data = js.read_table(folder / "data/vehicle.csv", target="Class")
    result = js.sweep(data, configs=configs, objective=OBJECTIVE, split=SPLIT, seed=seed, keep=0, progress=False)
    trials = [{"seconds": trial.seconds, "epochs": trial.epochs_done} for trial in result.trials]
    out.write_text(json.dumps({"summary": result.summary(), "trials": trials}))


def sweep_in_new_process(arguments: argparse.Namespace, cache: Path) -> Sweep:
    """Run `sweep_here` in a new process with this compile cache."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "sweep.json"
        command = [
            sys.executable, __file__, "--shared", str(arguments.shared), "--cells", str(arguments.cells), "--seed",
            str(arguments.seed), "--sweep-to", str(out),
        ]  # fmt: skip
        began = time.perf_counter()
        subprocess.run(command, check=True, env={**os.environ, "JAXSWEEP_CACHE": str(cache)})
        seconds = time.perf_counter() - began
        return Sweep(seconds, **json.loads(out.read_text()))


_rows: tuple[Any, Any] | None = None  # of the training part, in a process of scikit-learn's


def _begin(shared: str) -> None:
    global _rows
    rows = prepare(js.read_table(Path(shared) / "data/vehicle.csv", target="Class"), split=SPLIT, seed=0)
    _rows = rows.x[0][rows.train[0]].astype(np.float64), rows.y[0][rows.train[0]]


def scikit_learn_seconds(job: tuple[int, Mapping[str, Any], int, bool]) -> tuple[int, float]:
    """Return a cell's number, and the seconds that scikit-learn takes for so many epochs of it."""
    number, config, epochs, full = job
    assert _rows is not None
    x, y = _rows

    def fit(most: int) -> tuple[float, int]:
        began = time.perf_counter()
        network = fitted(config, most, number, x, y)
        return time.perf_counter() - began, network.n_iter_

    if full:
        return number, fit(EPOCHS)[0]
    seconds, done = fit(1)
    if seconds < TIMED_SECONDS:
        seconds, done = fit(min(epochs, int(TIMED_SECONDS / seconds) + 1))
    return number, seconds / done * epochs


def scikit_learn(arguments: argparse.Namespace, configs: Sequence[Mapping[str, Any]], epochs: Sequence[int]) -> Any:
    """Return the seconds of each cell on one of all cores, and those from start to end."""
    os.environ.update(ONE_THREAD)
    jobs = [(k, configs[k], epochs[k], arguments.full) for k in cheapest_first(configs)[::-1].tolist()]
    seconds = np.zeros(len(configs))
    context = multiprocessing.get_context("spawn")
    began = time.perf_counter()
    with context.Pool(machine.cores(), _begin, (str(arguments.shared),)) as pool:
        for number, own in pool.imap_unordered(scikit_learn_seconds, jobs):
            seconds[number] = own
    return seconds, time.perf_counter() - began


def main() -> None:
    """Run the sweep twice and scikit-learn once, and print how they compare."""
    parser = argparse.ArgumentParser(description="Races a sweep with scikit-learn on cells of HPOBench's grid.")
    shared = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=shared, help="folder of tables/ and data/")
    parser.add_argument("--cells", type=int, default=300, help="how many cells (default: 300)")
    parser.add_argument("--seed", type=int, default=1, help="of the cells and of the sweep (default: 1)")
    parser.add_argument("--full", action="store_true", help="train scikit-learn's networks to their end (hours)")
    parser.add_argument("--sweep-to", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.sweep_to:
        sweep_here(arguments.shared, arguments.cells, arguments.seed, arguments.sweep_to)
        return

    configs = draw(arguments.shared / "tables/hpobench_vehicle.npz", arguments.cells, arguments.seed, EPOCHS).configs
    with tempfile.TemporaryDirectory() as cache:
        first = sweep_in_new_process(arguments, Path(cache))
        second = sweep_in_new_process(arguments, Path(cache))
    for name, one in (("empty cache", first), ("filled cache", second)):
        inside, share = one.summary["seconds"], one.summary["seconds"]["compile"] / one.summary["seconds"]["total"]
        print(
            f"sweep, {name:12s} {one.seconds:7.1f} s from process start: {inside['train']:.1f} training, "
            f"{inside['compile']:.1f} compiling ({share:.3f}), {inside['host']:.1f} host alone; "
            f"{one.summary['programs']} programs, occupancy {one.summary['lane_occupancy']:.2f}, "
            f"padding {one.summary['padding_waste']:.2f}",
            flush=True,
        )
    print(f"second start                {first.seconds / second.seconds:7.2f} x faster than the first", flush=True)
    epochs = [trial["epochs"] for trial in first.trials]
    own, elapsed = scikit_learn(arguments, configs, epochs)
    total = elapsed if arguments.full else own.sum() / machine.cores()
    how = "measured" if arguments.full else f"estimated in {elapsed:.0f} s"
    print(f"scikit-learn                {total:7.1f} s, {how}: the sweep is {total / first.seconds:.2f} x faster with")
    print(f"                            an empty cache, {total / second.seconds:.2f} x with a filled one")
    mine = np.array([trial["seconds"] for trial in first.trials])
    widths = np.array([config["width"] for config in configs])
    print("width  cells  sweep s  scikit-learn s  ratio   (seconds of one core)")
    for width in np.unique(widths):
        at = widths == width
        here, there = mine[at].sum(), own[at].sum()
        print(f"{width:5d} {at.sum():6d} {here:8.1f} {there:15.1f} {there / here:6.1f}")


if __name__ == "__main__":
    main()

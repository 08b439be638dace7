"""What does the host do for a network, beside the device that trains it?

A whole sweep with programs that take no time: what is left is asking for configs, planning, filling tiles, collecting
curves, making trials, choosing whose weights to keep, and, if asked for, recording. The cost of a lane is the slope
between 10,000 and 50,000 of them, in tiles of an accelerator, by the clock and by the processor.

Command: python experiments/host_cost.py [--searcher evolution] [--profile]
Answer: stands in experiments/accelerators.md, with the machine that it was measured on.
"""

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["JAXSWEEP_CACHE"] = "off"

import jax.numpy as jnp
import numpy as np

import jaxsweep as js
from jaxsweep import loop, planning
from jaxsweep.engine import calibrate, programs
from jaxsweep.engine.costs import Costs
from jaxsweep.engine.programs import Advanced, Compiled
from jaxsweep.network.train import COMPLETED

SPACE = js.Space(learning_rate=js.LogUniform(1e-4, 1e-2), epochs=10, batch_size=64, width=64, depth=2, optimizer="adam")
MANY, FEW = 50_000, 10_000
ROUNDS = 3


def without_device(
    program: Any, data: Any, test: Any, choices: Any, lanes: Any, device: Any = None
) -> tuple[Compiled, float]:
    """Return programs that train nothing: all lanes of a tile have at once done all their epochs."""
    tile = lanes.rows.shape[0]
    shapes = programs.state_of(program, choices, lanes)
    rng = np.random.default_rng(0)
    history = jnp.asarray(rng.random((programs.LENGTH, tile, program.columns), np.float32))
    measures = jnp.asarray(rng.random((tile, len(program.measures)), np.float32))
    state = shapes._replace(status=jnp.full(tile, COMPLETED, jnp.int32))

    def advance(data: Any, choices: Any, lanes: Any, state: Any, epochs: Any, steps: Any) -> Advanced:
        asked = np.asarray(lanes.epochs)
        ended = np.stack([np.full(tile, COMPLETED), asked * np.asarray(lanes.epoch_steps), asked]).astype(np.int32)
        return Advanced(state, history, np.int32(min(asked.max(), programs.LENGTH)), ended)  # type: ignore[arg-type]

    def start(first: Any, choices: Any, lanes: Any, fresh: Any, old: Any) -> Any:
        return state

    return Compiled(start, advance, None if test is None else lambda *_: measures, shapes, 0), 0.0


def costs(measure: bool = False) -> Costs:
    """Return an accelerator's costs, whose tiles are large."""
    return replace(calibrate._ACCELERATOR, workers=calibrate.TURNS, memory=64e9)


def seconds(trials: int, searcher: str, recorded: bool, profile: cProfile.Profile | None = None) -> tuple[float, float]:
    """Return the seconds of a sweep by the clock and by the processor."""
    options: dict[str, Any] = {} if searcher == "random" else {"population": 10_000}
    data = js.load_dataset("digits")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run" if recorded else None
        began, worked = time.perf_counter(), time.process_time()
        if profile is not None:
            profile.enable()
        js.sweep(data, SPACE, trials=trials, search=searcher, out=out, keep=0, progress=False, **options)
        if profile is not None:
            profile.disable()
        return time.perf_counter() - began, time.process_time() - worked


def main() -> None:
    """Print the cost of a lane, recorded and not."""
    parser = argparse.ArgumentParser(description="Measures what the host does for a network.")
    parser.add_argument("--searcher", default="random")
    parser.add_argument("--profile", action="store_true", help="print where the time of a recorded sweep goes")
    asked = parser.parse_args()
    programs.compiled = without_device
    for module in (loop, planning):
        setattr(module, "device_costs", costs)  # noqa: B010 - which they import, and do not lend
    calibrate.default_workers = lambda: calibrate.TURNS
    seconds(2_000, asked.searcher, True)  # imports
    if asked.profile:
        profile = cProfile.Profile()
        seconds(FEW, asked.searcher, True, profile)
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        return
    for recorded in (False, True):
        slopes = []
        for _ in range(ROUNDS):
            many, few = seconds(MANY, asked.searcher, recorded), seconds(FEW, asked.searcher, recorded)
            slopes.append([1e6 * (m - f) / (MANY - FEW) for m, f in zip(many, few, strict=True)])
        clock, processor = np.median(np.array(slopes), axis=0)
        print(f"recorded: {recorded}; a lane {clock:.1f} us by the clock, {processor:.1f} us by the processor")


if __name__ == "__main__":
    main()

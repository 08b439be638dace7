"""The cost model of the device at hand.

What a plan decides follows from nominal costs, one set for CPUs and one for accelerators, and from nothing that is
measured: buckets and tiles decide the last bits of results, which must not depend on how busy a machine was when
somebody measured it. (Only tiles that would not fit into the memory that is free are smaller.) What a plan predicts is
scaled by two factors that are measured here, in about a second: how much longer than the nominal machine this one takes
to run and to compile. They are kept beside the compiled programs.

A measurement can go wrong: a program that comes out of a cache takes a tenth of the time, and a machine that is asleep
any time. So no two probes are the same program, whatever caches JAX has or will have, and factors that no machine has
are not believed, whether they were found on disk or just now.
"""

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from jaxsweep.engine import cache, machine
from jaxsweep.engine.borrowed import borrowed
from jaxsweep.engine.costs import Costs
from jaxsweep.network import ambient

PROBE = 2  # the number of what `_measure` does; factors that another one gave are measured again
NOMINAL_RUN, NOMINAL_COMPILE = 0.015, 0.107  # seconds that `_measure` finds on the nominal machine
ROUNDS, COMPILATIONS = 7, 3  # of which the fastest counts
# Of what machines can be. No core computes or compiles five times as fast as one of the nominal machine, while to load
# the probe takes .06 to .1 of compiling it; and one that takes a hundred times as long was stopped meanwhile.
LEAST, MOST = 0.2, 100.0
TRIES = 2  # measurements, before a machine counts as one that cannot be measured
TURNS = 2  # tiles on an accelerator: while the host looks at what one of them has done, the device trains the other

# Fitted to what an H200 did with digits, 64-64, batch 64, Adam: 50 us a step of 64 lanes, 258 of 1,024, 3,191 of
# 16,384; 0.46 us a lane for the rest of an epoch; 294 KB a lane. Bytes are those that `step_seconds` counts, 1.1 times
# those that operations read and write there. Arithmetic that several activations or optimizers of a tile add hides
# behind the traffic of memory: some 20 operations of 30e12 a second.
_ACCELERATOR = Costs(
    turns=TURNS, rate=60e12, cached=5.2e12, bandwidth=5.2e12, cache_from=1e12, cache_to=2e12, call=0.5e-6, switch=8e-6,
    draw=1e-11, shuffle=1e-11, lane=20e-6, apart=0.0, weights_held=4.0, weights_parked=0.0, layers_held=False,
    compilation=2.0, compilation_layer=0.5, nominal_workers=1, widest=16_384, slack=0.1, several_batches=False,
    passes_by=False, activation=1e-12, optimizer=1e-12,
)  # fmt: skip


def default_devices() -> list[jax.Device | None]:
    """Return the devices that train: all accelerators of this host, or the CPU, which is None: JAX's default."""
    return [None] if jax.default_backend() == "cpu" else list(jax.local_devices())


def default_workers() -> int:
    """Return how many threads train: one for each core on a CPU, TURNS for each accelerator."""
    return machine.cores() if jax.default_backend() == "cpu" else TURNS * len(default_devices())


def device_costs(measure: bool = False) -> Costs:
    """Return the costs of the device; with `measure`, measure it if nobody has yet."""
    cpu = jax.default_backend() == "cpu"
    held, reached = machine.memory_used(), machine.peak_memory()  # before the probe, which a sweep may not need
    nominal = Costs() if cpu else _ACCELERATOR
    (run, compiling), remark = _factors(measure) if cpu else ((1.0, 1.0), "")
    memory = machine.memory_available() + machine.memory_used() if cpu else _device_memory()
    return replace(
        nominal, workers=default_workers(), devices=len(default_devices()), memory=memory, slower=run,
        slower_compiling=compiling, remark=remark, held=float(held) if cpu else 0.0,
        reached=float(reached) if cpu else 0.0,
    )  # fmt: skip


def _device_memory() -> float:
    stats: dict[str, Any] = jax.local_devices()[0].memory_stats() or {}
    return float(stats.get("bytes_limit", float("inf"))) - float(stats.get("bytes_in_use", 0))


def _factors(measure: bool) -> tuple[tuple[float, float], str]:
    """Return how much longer this machine takes to run and to compile, and what is to be said of that, if anything."""
    if (known := _known()) is not None:
        return known, ""
    if not measure:
        return (1.0, 1.0), ""
    for _ in range(TRIES):
        run, compiling = _measure()
        factors = run / NOMINAL_RUN, compiling / NOMINAL_COMPILE
        if _possible(factors):
            cache.enable()
            kept = {"probe": PROBE, "run": factors[0], "compile": factors[1]}
            cache.write(_file(), json.dumps(kept))
            return factors, ""
    found = f"{factors[0]:.3g} times as long to run and {factors[1]:.3g} times to compile"
    return (1.0, 1.0), (
        f"seconds are those of the nominal machine: of this one {found} were measured, which cannot be (a factor lies "
        f"in [{LEAST:g}, {MOST:g}])"
    )


def _possible(factors: tuple[float, float]) -> bool:
    return all(LEAST <= factor <= MOST for factor in factors)  # NaN is not


def _file() -> str:
    """Return the name of the file that holds the factors; in float64 a machine has others."""
    return "calibration-x64.json" if ambient.x64() else "calibration.json"


def _known() -> tuple[float, float] | None:
    folder = cache.folder()
    path = folder and folder / _file()
    if path is None or not path.exists():
        return None
    try:
        kept = json.loads(path.read_text())
        factors = float(kept["run"]), float(kept["compile"])
        return factors if kept["probe"] == PROBE and _possible(factors) else None
    except (ValueError, KeyError, TypeError, OSError):
        return None  # as good as none: it is measured again


@ambient.own()
@borrowed(keep=False)  # what comes from a cache would not be measured, and nobody needs these programs again
def _measure() -> tuple[float, float]:
    """Return the seconds of a small training loop, run by all workers at a time, and those of compiling it."""
    compiling = float("inf")
    for _ in range(COMPILATIONS):
        lowered, state = _probe()
        began = time.perf_counter()
        program = lowered.compile()
        compiling = min(compiling, time.perf_counter() - began)

    wide = ambient.x64()

    def once() -> None:
        with ambient.own(wide):
            jax.block_until_ready(program(state))

    return min(_together(once) for _ in range(ROUNDS)), compiling


def _probe() -> tuple[jax.stages.Lowered, tuple[jax.Array, ...]]:
    """Return a small training loop, to be compiled, that no cache has met before, and what it begins with."""
    lanes, batch, width = 8, 64, 64
    rate = 1e-3 * (1 + int.from_bytes(os.urandom(2), "big") / 2**16)  # a program of its own, for its constants alone
    x = jnp.full((lanes, batch, width), 0.1)
    state = (jnp.full((lanes, width, width), 0.01),) * 3

    def step(_: int, state: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        weights, mean, square = state
        hidden = jnp.tanh(x @ weights)
        gradient = jnp.swapaxes(x, 1, 2) @ (hidden @ jnp.swapaxes(weights, 1, 2))
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        return weights - rate * mean / (jnp.sqrt(square) + 1e-8), mean, square

    return jax.jit(lambda state: jax.lax.fori_loop(0, 50, step, state)).lower(state), state


def _together(work: Callable[[], None]) -> float:
    """Return the seconds that all workers need to do `work` at the same time; raises what it raises."""
    with ThreadPoolExecutor(default_workers(), "jaxsweep-probe") as pool:
        began = time.perf_counter()
        futures = [pool.submit(work) for _ in range(default_workers())]
        for future in futures:
            future.result()
        return time.perf_counter() - began

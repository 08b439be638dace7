"""Whether this machine computes what it should: versions, devices, disks, known compiler bugs, and a small training."""

import os
import platform
import shutil
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsweep.engine import cache, machine

PACKAGES = ("jaxsweep", "jax", "jaxlib", "flax", "optax", "numpy", "pandas", "scikit-learn", "safetensors")
EXCLUDED = {"jaxlib": ("0.10.2",), "jax": ("0.10.2",)}
CANARY_ROWS = 32_769  # the fewest rows at which the miscompilation below was seen
LEAST_DISK = 200e6  # bytes that should be free where runs are recorded and programs kept
TRAINING_ACCURACY = 0.85  # far above chance (a third), well below what iris allows


class Finding(NamedTuple):
    """What one check found; `detail` says, if not `ok`, what to do."""

    name: str
    ok: bool
    detail: str


def examine() -> list[Finding]:
    """Run every check; one that raises is a finding too."""
    checks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("versions", versions),
        ("known bad versions", bad_versions),
        ("devices", devices),
        ("accelerators", accelerators),
        ("disks", disks),
        ("compiled programs", compiled_programs),
        ("row reduction under vmap", canary),
        ("training", training),
    )
    findings = []
    for name, check in checks:
        try:
            findings.append(check())
        except Exception as error:  # noqa: BLE001  whatever is broken is what the caller wants to hear about
            findings.append(Finding(name, False, f"{type(error).__name__}: {error}"))
    return findings


def versions() -> Finding:
    """Return the versions of Python and the packages."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            return Finding("versions", False, f"{name} is not installed: install jaxsweep with its dependencies")
    return Finding("versions", True, ", ".join(f"{name} {number}" for name, number in found.items()))


def bad_versions() -> Finding:
    """Return whether a release that is known to compute wrong numbers is installed."""
    for name, numbers in EXCLUDED.items():
        if version(name) in numbers:
            return Finding("known bad versions", False, f"{name} {version(name)} computes wrong sums: install another")
    return Finding("known bad versions", True, "none installed")


def devices() -> Finding:
    """Return the devices that JAX computes on."""
    import jax

    found = [
        device.platform if device.device_kind == device.platform else f"{device.platform} {device.device_kind}"
        for device in jax.devices()
    ]
    return Finding("devices", bool(found), ", ".join(found) or "none: check the installation of jaxlib")


def accelerators() -> Finding:
    """Return whether JAX computes on the accelerators that the system shows."""
    import jax

    there, used = machine.accelerators(), {device.platform for device in jax.devices()} - {"cpu"}
    if not there or used:
        return Finding("accelerators", True, ", ".join(there) or "none here")
    chosen = os.environ.get("JAX_PLATFORMS")
    what = (
        f"JAX_PLATFORMS={chosen} keeps JAX from it: unset it"
        if chosen
        else "install the JAX that can, such as pip install 'jax[cuda13]'"
    )
    return Finding("accelerators", False, f"{', '.join(there)} is there, and JAX computes on the CPU: {what}")


def disks() -> Finding:
    """Return how much room there is where runs are recorded and compiled programs are kept."""
    places = [Path.cwd(), *([] if (kept := cache.folder()) is None else [kept])]
    there = [next(parent for parent in (place, *place.parents) if parent.exists()) for place in places]
    free = {str(place): shutil.disk_usage(place).free for place in there}
    text = ", ".join(f"{number / 1e9:.1f} GB free in {place}" for place, number in free.items())
    closed = [str(place) for place in there if not os.access(place, os.W_OK)]
    if closed:
        text = f"{text}; {' and '.join(closed)} cannot be written: name other folders (--out, {cache.VARIABLE})"
    elif any(number < LEAST_DISK for number in free.values()):
        text = f"{text}: make room, or name other folders (--out, {cache.VARIABLE})"
    else:
        return Finding("disks", True, text)
    return Finding("disks", False, text)


def compiled_programs() -> Finding:
    """Return whether compiled programs can be kept for later processes."""
    if (problem := cache.problem()) or (kept := cache.folder()) is None:
        return Finding("compiled programs", not problem, problem or f"not kept ({cache.VARIABLE}=off)")
    return Finding("compiled programs", True, f"kept in {kept}")


def canary() -> Finding:
    """Return whether a row reduction under vmap is right, which jaxlib 0.10.2 silently miscompiles on CPU."""
    import jax
    import jax.numpy as jnp

    m, i = np.eye(3, dtype=np.float32), np.arange(CANARY_ROWS, dtype=np.float32)
    rows = np.stack([i, np.zeros_like(i), np.zeros_like(i)], axis=1)  # [rows, 3]
    got = np.asarray(jax.jit(jax.vmap(lambda row: jnp.sum((m @ row) ** 2)))(rows), np.float64)
    expected = ((rows.astype(np.float64) @ m.T) ** 2).sum(axis=1)
    error = float(np.max(np.abs(got - expected) / (expected + 1)))
    text = f"relative error {error:.1e} over {CANARY_ROWS} rows"
    return Finding(
        "row reduction under vmap", error < 1e-4, text if error < 1e-4 else f"{text}: install another jaxlib"
    )


def training() -> Finding:
    """Return whether a small sweep learns, and whether its network predicts as well without JAX."""
    from jaxsweep.api import sweep
    from jaxsweep.data import load_dataset

    began = time.perf_counter()
    data = load_dataset("iris")
    configs = [{"epochs": 60, "width": 16, "depth": 1, "learning_rate": rate} for rate in (0.003, 0.01, 0.03)]
    result = sweep(data, configs=configs, progress=False)
    X = np.stack([column.values for column in data.inputs], axis=1)
    labels = np.asarray(data.classes)[data.target]
    accuracy = float(np.mean(result.model().predict(X) == labels))
    seconds = time.perf_counter() - began
    score = result.best.score or 0.0
    good = score >= TRAINING_ACCURACY and accuracy >= TRAINING_ACCURACY
    text = f"iris: validation accuracy {score:.3f}, exported network {accuracy:.3f}, in {seconds:.1f} s"
    return Finding("training", good, text if good else f"{text}: at least {TRAINING_ACCURACY} was expected")

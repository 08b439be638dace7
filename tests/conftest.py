import functools
import gc
import os
from importlib.metadata import version

# Two workers train side by side; hypothesis and scikit-learn must not start threads of their own beside them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The suite compiles hundreds of small programs and runs each for a moment: XLA need not optimize them, nor cut them up
# for threads, which costs more than it saves where all cores are busy, and its older way to emit loops compiles in half
# the time. It is gone from jaxlib 0.11, which ends the process at a flag that it does not know. The second device is
# for engine/test_devices.py; a sweep on a CPU leaves it alone. `make test` runs engine/test_engine.py, where bits are
# compared, as users run it.
os.environ.setdefault("JAXSWEEP_CACHE", "off")  # tests count what is compiled
if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_force_host_platform_device_count=2"
    os.environ["XLA_FLAGS"] += " --xla_cpu_parallel_codegen_split_count=1"
    if version("jaxlib") < "0.11":
        os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"

# Nor need programs say which lines they come from: every operation would carry the whole stack.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")
os.environ.setdefault("JAX_INCLUDE_FULL_TRACEBACKS_IN_LOCATIONS", "0")

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from jax_settings import setting

import jaxsweep as js
from jaxsweep.engine import calibrate, programs, tiling

# Tracing makes many small objects, few of them garbage, in a process that holds millions: looking through them at
# Python's own rate takes a tenth of the suite's time.
gc.set_threshold(100_000, 20, 20)

settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")

if "--xla_backend_optimization_level=0" in os.environ["XLA_FLAGS"]:  # else programs would have levels of their own
    for options in programs.OPTIONS["cpu"]:
        options["xla_backend_optimization_level"] = 0

_measure = calibrate._measure


@functools.cache
def _measured() -> tuple[float, float]:
    """Measure the machine, which every plan that is shown does as long as nothing is kept on disk: here once.

    What is not optimized may compile faster than calibration believes of any machine.
    """
    run, compiling = _measure()
    return run, max(compiling, calibrate.LEAST * calibrate.NOMINAL_COMPILE)


calibrate._measure = _measured


@pytest.fixture(scope="module")
def float64() -> Iterator[None]:
    """Everything in the module runs in float64."""
    with setting("jax_enable_x64", True):
        yield


@pytest.fixture(scope="session")
def iris() -> js.Dataset:
    return js.load_dataset("iris")


@pytest.fixture(scope="module")
def one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The processes of the module share what they compile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXSWEEP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def one_tile() -> Iterator[None]:
    """Every plan of the module has tiles of eight: sweeps that differ in their trials alone share their programs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "TILES", (8,))
        yield


# The files that take longest, about longest first: a worker that got one of them last would train alone for minutes.
LONG = [
    "cli/test_killed.py", "test_resume.py", "test_notebook.py", "network/test_parity_numbers.py",
    "network/test_batches.py", "network/test_shallower.py", "network/test_hypergradient.py", "network/test_by_lane.py",
    "network/test_own.py", "estimators/test_fitting.py", "search/test_contract.py", "bench/test_bench.py",
    "cli/test_outputs.py", "test_setup.py", "network/test_parity_seen.py", "network/test_parity_choices.py",
    "engine/test_planned_tiles.py", "network/test_parametrization.py", "cli/test_cli.py", "records/test_ensemble.py",
    "estimators/test_classifier.py", "test_scheduled.py", "records/test_stored.py", "test_start_from.py",
    "network/test_parity_weights.py", "test_loop.py", "network/test_steps.py", "engine/test_hypergradients.py",
    "estimators/test_regressor.py", "records/test_networks.py", "cli/test_interrupt.py",
    "network/test_oracles_draws.py", "network/test_parity_targets.py", "network/test_randomness.py",
    "network/test_oracles_pieces.py", "engine/test_programs.py", "test_planning.py", "spec/test_swept.py",
    "engine/test_own.py", "engine/test_fingerprint.py", "schedulers/test_contract.py", "test_hostile.py",
    "test_confirm.py", "data/test_assign.py", "engine/test_borrowed.py", "engine/test_cache.py",
    "records/test_result.py", "records/test_model.py", "network/test_ambient.py", "records/test_own.py",
    "engine/test_devices.py", "records/test_studies.py", "test_full_disk.py", "test_understanding.py", "test_docs.py",
    "engine/test_director.py", "records/test_oracles_metrics.py", "records/test_store.py", "cli/test_columns.py",
    "test_known.py",
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put LONG first; `make test` keeps xdist from an order of its own, by the number of tests."""
    here = Path(__file__).parent
    place = {here / name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path, len(LONG)))

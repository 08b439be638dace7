import os
from importlib.metadata import version

# Two workers train side by side; hypothesis and scikit-learn must not start threads of their own beside them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The suite compiles hundreds of small programs and runs each for a moment: XLA need not optimize them, and its older
# way to emit loops compiles in half the time. It is gone from jaxlib 0.11, which ends the process at a flag that it
# does not know. The second device is for engine/test_devices.py; a sweep on a CPU leaves it alone. `make test` runs
# engine/test_engine.py, where bits are compared, as users run it.
os.environ.setdefault("JAXSWEEP_CACHE", "off")  # tests count what is compiled
if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_force_host_platform_device_count=2"
    if version("jaxlib") < "0.11":
        os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"

from collections.abc import Iterator

import pytest
from hypothesis import settings
from jax_settings import setting

settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")


@pytest.fixture(scope="module")
def float64() -> Iterator[None]:
    """Everything in the module runs in float64."""
    with setting("jax_enable_x64", True):
        yield

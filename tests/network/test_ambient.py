"""JAX's settings while a sweep runs: whatever the user has set, and in whichever process."""

import subprocess
import sys
from contextlib import ExitStack

import jax
import numpy as np
import pytest
from jax_settings import setting

import jaxsweep as js
from jaxsweep.engine import calibrate
from jaxsweep.network import ambient

# Each of them stopped a sweep, or changed its numbers.
HOSTILE = {
    "jax_check_tracer_leaks": True,
    "jax_debug_infs": True,
    "jax_debug_nans": True,
    "jax_default_matmul_precision": "bfloat16",
    "jax_default_prng_impl": "rbg",
    "jax_disable_jit": True,
    "jax_enable_checks": True,
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_threefry_partitionable": False,
    "jax_transfer_guard": "disallow",
}
CONFIGS = [
    {"learning_rate": rate, "optimizer": "sgd", "depth": 1, "width": 4, "epochs": 2, "init": "orthogonal"}
    for rate in (0.01, 1e30)
]

FORKS = """
import os, sys, warnings
warnings.simplefilter("ignore")  # of JAX, that forks go wrong
def child(work):
    if (pid := os.fork()) == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            os._exit(7 if type(error).__name__ == "RequestError" and "spawn" in str(error) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
def use():
    import jax.numpy as jnp
    assert float(jnp.ones(3).sum()) == 3
def early():
    use()
    from jaxsweep.network import ambient
    ambient.check_fork()
def sweep():
    import jaxsweep as js
    js.sweep("iris", configs=[{"epochs": 1}], progress=False)
def solo():
    import jaxsweep as js
    js.solo("iris", {"epochs": 1})
codes = [child(early)]
use()
codes += [child(sweep), child(solo)]  # who have not heard of jaxsweep before
from jaxsweep.network import ambient
codes += [child(sweep)]
ambient._lost_threads = lambda: False  # as where a system does not list threads
codes += [child(sweep)]
print(codes)
"""


def curves() -> list[np.ndarray]:
    result = js.sweep("iris", configs=CONFIGS, progress=False)
    assert [trial.status for trial in result.trials] == ["completed", "diverged"]
    return [result.curves("val_loss"), result.curves("train_loss")]


def test_no_setting_of_the_users_stops_a_sweep_or_changes_its_numbers() -> None:
    plain, alone = curves(), js.solo("iris", CONFIGS[0]).curves["val_loss"]
    values = dict(jax.config.values)
    with ExitStack() as stack:
        for name, value in HOSTILE.items():
            stack.enter_context(setting(name, value))
        hostile = dict(jax.config.values)
        np.testing.assert_array_equal(curves(), plain)
        np.testing.assert_array_equal(js.solo("iris", CONFIGS[0]).curves["val_loss"], alone)
        calibrate._measure.cache_clear()  # type: ignore[attr-defined]
        assert js.plan("iris", configs=CONFIGS).lanes == 2  # for which the machine is measured
        assert jax.config.values == hostile
    assert jax.config.values == values


def test_float64_of_the_calling_thread_alone_is_that_of_the_sweep() -> None:
    with jax.enable_x64(True):
        wide = curves()
        assert jax.config.values["jax_enable_x64"]
    assert not jax.config.values["jax_enable_x64"]
    assert wide[0][0, -1] != np.float32(wide[0][0, -1])


def test_settings_that_this_jax_does_not_have_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ambient.SETTINGS, "no_such_setting", True)
    with setting("jax_debug_nans", True), ambient.own():
        assert not jax.config.values["jax_debug_nans"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere processes are not forked by default")
def test_a_fork_of_a_process_with_jax_is_refused_and_an_earlier_one_is_not() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "[0, 7, 7, 7, 7]"

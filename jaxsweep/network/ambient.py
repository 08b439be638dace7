"""JAX as this package uses it: in its own threads under its own settings, whatever the user's JAX is set to.

JAX's settings belong to a process, but each can have another value in one thread for a while. What would stop a
training (a guard against transfers, strict promotion, a check for NaN that divergence is not supposed to raise) or
change its numbers (a precision, another generator) has here the value that programs are written for. Only whether
numbers have 64 bits is the user's to say, by `jax_enable_x64`: in float64 a sweep is as good as its reference.
"""

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
from jax._src import xla_bridge

from jaxsweep.errors import RequestError

# The names of JAX's context managers; one that a version of JAX does not have is left out.
SETTINGS: dict[str, object] = {
    "check_tracer_leaks": False,
    "debug_infs": False,
    "debug_key_reuse": False,
    "debug_nans": False,
    "default_device": None,
    "default_matmul_precision": "highest",  # or an accelerator would round what it multiplies: float32 means float32
    "default_prng_impl": "threefry2x32",
    "disable_jit": False,
    "enable_checks": False,
    "enable_custom_prng": False,
    "explain_cache_misses": False,
    "legacy_prng_key": "allow",
    "log_compiles": False,
    "no_execution": False,
    "no_tracing": False,
    "numpy_dtype_promotion": "standard",
    "numpy_rank_promotion": "allow",
    "softmax_custom_jvp": True,
    "thread_guard": False,
    "threefry_partitionable": True,
    "transfer_guard": "allow",
}

# What JAX remembers of tracing a function that the user has jitted holds under one value of this alone: a global that
# such a function reads may have changed since, which JAX does not see, and a program that is kept must.
_remembered_for = jax.make_user_context(default_value=None)

_forked = False


def x64() -> bool:
    """Return whether the calling thread computes in float64."""
    return bool(jax.config.values["jax_enable_x64"])


@contextmanager
def own(wide: bool | None = None) -> Generator[None, None, None]:
    """Inside, JAX has SETTINGS in this thread; afterwards the user's again.

    Args:
        wide: whether numbers have 64 bits; None leaves that as it is. A thread that was started for another one is
            told what that one has, since settings of a thread are not inherited.

    Raises:
        RequestError: JAX cannot run in this process, a fork of one in which it did.
    """
    check_fork()
    with ExitStack() as stack:
        for name, value in SETTINGS.items():
            if hasattr(jax, name):
                stack.enter_context(getattr(jax, name)(value))
        if wide is not None:
            stack.enter_context(jax.enable_x64(wide))
        yield


def retraced(code: object) -> AbstractContextManager[Any]:
    """Inside, functions of the user's own are traced as they stand: again, unless they were under an equal `code`."""
    found: AbstractContextManager[Any] = _remembered_for(code)
    return found


def check_fork() -> None:
    """Raise RequestError in a fork of a process in which JAX had been started: its threads are not here."""
    if _forked or (_started() and _lost_threads()):
        raise RequestError(
            "this process is a fork of one in which JAX had been started, whose threads a fork does not have, so that "
            "a sweep would wait for ever: start processes with multiprocessing.get_context('spawn'), or fork before "
            "anything of JAX runs"
        )


def _started() -> bool:
    return bool(xla_bridge.backends_are_initialized())


def _lost_threads() -> bool:
    """Return whether none of XLA's threads is here, in a process with the command line of its parent, as a fork has."""
    here, parent = Path("/proc/self"), Path(f"/proc/{os.getppid()}")
    try:
        if (here / "cmdline").read_bytes() != (parent / "cmdline").read_bytes():
            return False
        names = [(task / "comm").read_text() for task in (here / "task").iterdir()]
    except OSError:
        return False  # another system, or a thread that has just ended, as they do in a process that is alive
    return not any(name.startswith("tf_") for name in names)


def _note_fork() -> None:
    global _forked
    _forked = _forked or _started()


# Who forks before this module is imported is told by `_lost_threads`, where a system lists them.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)

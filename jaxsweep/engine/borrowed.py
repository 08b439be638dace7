"""JAX's compilation cache, borrowed while this package compiles, and given back as it was.

JAX keeps executables through one object for the whole process, which it makes at the first compilation from a folder
in its settings. Only this object sees an executable as bytes without pickle. So its place is taken while a program of
this package is compiled: for the threads that do so, entries come from `cache` and go there, private and sealed; any
other thread meets what was there before. Afterwards the place is as it was: neither JAX's settings nor what it
remembers of them have changed, and no program of the user's has been written anywhere.

A folder that the user has given to JAX is hers: then JAX keeps the executables there by itself.
"""

import os
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
from jax._src import compilation_cache, lib, logging_config
from jax._src import config as settings

from jaxsweep.engine import cache

# Both are JAX's own, and may look otherwise in another version of it.
_jax: Any = compilation_cache
_xla: Any = getattr(lib, "utils", None)

_lock = threading.Lock()
_here = threading.local()  # `uses`: this thread's compilations meet `cache`; `keeps`: and are kept there
_users = 0
_before: dict[str, Any] = {}
_STATE = ("_cache", "_cache_initialized", "_cache_checked", "_cache_used")
_LOADING = {  # in this thread: whatever the user's thresholds are
    "enable_compilation_cache": True,
    "persistent_cache_min_entry_size_bytes": 0,
    "raise_persistent_cache_errors": False,
}
FATAL = 3  # the level of XLA's logging above that of errors
_hushed = 0  # entries that are being loaded now


class Slot:
    """Stands where JAX has its cache; answers this package's threads from `cache`, others from what was before."""

    _path = None  # JAX logs it

    def get(self, key: str) -> bytes | None:
        """Return the entry of this name as it was put there, or None."""
        if not getattr(_here, "uses", False):
            before = _before.get("_cache")
            return None if before is None else before.get(key)
        content = cache.load(key) if _here.keeps else None
        if content is not None:
            _hush()
        return content

    def put(self, key: str, value: bytes) -> None:
        """Keep an entry."""
        if not getattr(_here, "uses", False):
            before = _before.get("_cache")
            if before is not None:
                before.put(key, value)
        elif _here.keeps:
            cache.store(key, value)


@contextmanager
def borrowed(keep: bool = True) -> Generator[None, None, None]:
    """Inside, what this thread compiles is kept by `cache`; without `keep`, by nobody, not even the user's cache."""
    users_own = keep and bool(jax.config.values.get("jax_compilation_cache_dir"))
    if users_own or not all(hasattr(_jax, name) for name in _STATE):
        yield  # of a JAX that has changed inside, programs are compiled anew in each process
        return
    _take()
    outer = getattr(_here, "uses", False), getattr(_here, "keeps", False)
    _here.uses, _here.keeps = True, keep
    try:
        with ExitStack() as stack:
            for name, value in _LOADING.items():
                stack.enter_context(getattr(settings, name)(value))
            stack.enter_context(settings.persistent_cache_min_compile_time_secs(cache.WORTH_KEEPING))
            yield
    finally:
        _here.uses, _here.keeps = outer
        _speak()
        _give_back()


def _take() -> None:
    global _users
    with _lock, _jax._cache_initialized_mutex:
        _users += 1
        if _users == 1:
            _before.update({name: getattr(_jax, name) for name in _STATE})
            _set({"_cache": Slot(), "_cache_initialized": True, "_cache_checked": True, "_cache_used": True})


def _give_back() -> None:
    global _users
    with _lock, _jax._cache_initialized_mutex:
        _users -= 1
        if _users == 0:
            if isinstance(_jax._cache, Slot):  # else the user has reset it meanwhile
                _set(_before)
            _before.clear()


def _set(state: dict[str, Any]) -> None:
    for name, value in state.items():
        setattr(_jax, name, value)


# --- what XLA says while it loads an executable -------------------------------------------------------------------
# Its loader for CPUs logs an error of several kilobytes for each executable if the processor has tuning features that
# it takes for instructions (JAX issue 38445), and loads it all the same. Entries of `cache` are of this very processor
# (its folder says so), and what cannot be loaded is an exception: so while one of them is being loaded, and no longer,
# XLA does not log errors.


def _hush() -> None:
    if jax.default_backend() != "cpu" or not hasattr(_xla, "absl_set_min_log_level"):
        return
    global _hushed
    with _lock:
        _here.hushes = getattr(_here, "hushes", 0) + 1
        _hushed += 1
        _xla.absl_set_min_log_level(FATAL)


def _speak() -> None:
    global _hushed
    with _lock:
        mine, _here.hushes = getattr(_here, "hushes", 0), 0
        _hushed -= mine
        if mine and not _hushed:
            _xla.absl_set_min_log_level(_level())


def _level() -> int:
    """Return the user's level of XLA's logging, which cannot be asked for: what JAX and XLA made of the settings."""
    named = logging_config._tf_cpp_map.get(jax.config.values["jax_logging_level"])
    if named is not None:
        return int(named)
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "")
    return int(level) if level.isdigit() else 0

"""JAX's compilation cache, borrowed and given back: the user's programs and settings are as they were."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from jax._src import compilation_cache
from jax_settings import setting

from jaxsweep.engine import borrowed, cache

JAXS: Any = compilation_cache

# A user who has compiled before, compiles beside two sweeps in threads, and gives JAX a folder of her own afterwards.
SCRIPT = """
import json, os, sys, threading
import jax, jax.numpy as jnp
jax.config.update("jax_enable_compilation_cache", False)
jnp.ones(3).sum()  # JAX remembers that its cache is not used
jax.config.update("jax_enable_compilation_cache", True)
import jaxsweep as js
from jaxsweep.engine import borrowed, cache, calibrate, exported
from jax._src import compilation_cache
cache.WORTH_KEEPING = 0.0
ours, mine = sys.argv[1:]
data = js.load_dataset("iris")
base = {"width": 8, "epochs": 2}
traced, trace = [], exported.trace
exported.trace = lambda *arguments: traced.append(1) or trace(*arguments)
values = lambda: {name: str(value) for name, value in jax.config.values.items() if "pallas" not in name}
state = lambda: [getattr(compilation_cache, name) for name in borrowed._STATE]
before = values(), state(), sys.getswitchinterval(), threading.active_count()
sweep = lambda rate: js.sweep(data, configs=[{**base, "learning_rate": rate}], progress=False)
stop, compiled = threading.Event(), []
def user():
    while not stop.is_set():
        compiled.append(float(jax.jit(lambda x: x * 3 + len(compiled))(1.0)))
threads = [threading.Thread(target=user), *(threading.Thread(target=sweep, args=(rate,)) for rate in (0.1, 0.2))]
for thread in threads: thread.start()
for thread in threads[1:]: thread.join()
stop.set()
threads[0].join()
score = sweep(0.1).best.score
calibrate.device_costs(measure=True)
assert (values(), state(), sys.getswitchinterval(), threading.active_count()) == before
compilation_cache.reset_cache()
print("hers", file=sys.stderr, flush=True)  # XLA may log what it likes when it loads a program of hers
jax.config.update("jax_compilation_cache_dir", mine)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: jnp.cos(x @ x))(jnp.ones((8, 8))).block_until_ready()
names = lambda path: sorted({name.split("-")[0] for name in next(os.walk(path))[2] if name.endswith("-cache")})
(folder,) = [entry.path for entry in os.scandir(ours)]
print(json.dumps([len(traced), len(compiled) > 0, names(folder), names(mine), score]))
"""


def test_the_users_cache_is_hers_and_ours_is_ours(tmp_path: Path) -> None:
    ours, mine = tmp_path / "ours", tmp_path / "mine"
    mine.mkdir()

    def run() -> list[object]:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(ours), str(mine)],
            env={**os.environ, cache.VARIABLE: str(ours)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        ours_said, _, hers_said = done.stderr.partition("hers\n")
        assert (done.returncode, ours_said) == (0, "")
        assert "Traceback" not in hers_said
        return list(json.loads(done.stdout))

    traced, compiled, kept, hers, score = run()
    assert compiled
    assert traced == 3
    assert kept == ["jit_call", "traced"]
    assert "jit__lambda" in hers  # type: ignore[operator]
    assert "jit_call" not in hers  # type: ignore[operator]
    assert run() == [0, True, kept, hers, score]  # although JAX had decided, before, that its cache is not used


def test_a_folder_that_the_user_has_given_to_jax_is_used_by_jax_alone(tmp_path: Path) -> None:
    before = JAXS._cache
    with setting("jax_compilation_cache_dir", str(tmp_path)):
        with borrowed.borrowed():
            assert JAXS._cache is before
        with borrowed.borrowed(keep=False):
            slot = JAXS._cache
            assert isinstance(slot, borrowed.Slot)
            assert slot.get("anything") is None
    assert JAXS._cache is before


def test_other_threads_meet_what_was_there_before(monkeypatch: pytest.MonkeyPatch) -> None:
    class Users:
        def __init__(self) -> None:
            self.entries: dict[str, bytes] = {}

        def get(self, key: str) -> bytes | None:
            return self.entries.get(key)

        def put(self, key: str, value: bytes) -> None:
            self.entries[key] = value

    hers, ours = Users(), Users()
    monkeypatch.setattr(JAXS, "_cache", hers)
    monkeypatch.setattr(cache, "load", ours.get)
    monkeypatch.setattr(cache, "store", ours.put)
    with borrowed.borrowed():
        slot = JAXS._cache
        slot.put("a", b"ours")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(slot.put, "b", b"hers").result()
            assert pool.submit(slot.get, "a").result() is None
            assert pool.submit(slot.get, "b").result() == b"hers"
        assert (slot.get("a"), slot.get("b")) == (b"ours", None)
    assert JAXS._cache is hers
    assert (hers.entries, ours.entries) == ({"b": b"hers"}, {"a": b"ours"})


def test_xla_logs_no_errors_while_it_loads_an_entry_and_then_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[int] = []
    monkeypatch.setattr(borrowed._xla, "absl_set_min_log_level", levels.append)
    monkeypatch.setattr(cache, "load", {"kept": b"a program"}.get)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "1")
    with borrowed.borrowed():
        slot = JAXS._cache
        assert slot.get("new") is None
        assert levels == []  # what is compiled may say what it likes
        assert slot.get("kept") == b"a program"
        assert levels == [borrowed.FATAL]
    assert levels == [borrowed.FATAL, 1]

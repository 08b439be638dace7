"""Compiled programs on disk: private, sealed, and never in the way."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax_settings import setting

from jaxsweep.engine import cache, exported

SCRIPT = """
import sys
import jaxsweep as js
from jaxsweep.engine import cache, exported
cache.WORTH_KEEPING = 0.0  # every program, however quickly this machine compiles it today
trace, count = exported.trace, []
exported.trace = lambda *arguments: count.append(1) or trace(*arguments)
result = js.sweep(js.load_dataset("iris"), configs=[{"width": 8, "epochs": 2, "learning_rate": 0.1}], progress=False)
print(len(count), len({"flax", "optax"} & set(sys.modules)), result.best.score)
"""


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in a new folder, as if this process had not asked for one yet."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    monkeypatch.setattr(cache, "_asked", False)
    monkeypatch.setattr(cache, "_folder", None)
    return tmp_path


def entry(folder: Path, name: str, content: bytes) -> Path:
    path = folder / f"{name}-cache"
    path.write_bytes(content)
    return path


def test_the_folder_is_private_and_named_after_the_machine(fresh: Path) -> None:
    cache.enable()
    folder = cache.folder()
    assert folder is not None
    assert folder.parent == fresh
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_only_sealed_and_unchanged_entries_stay(fresh: Path) -> None:
    cache.enable()
    folder = cache.folder()
    assert folder is not None
    cache.store("good", b"a program")
    cache.store("changed", b"a program too")
    good, changed = folder / "good-cache", folder / "changed-cache"
    changed.write_bytes(b"a program toO")
    foreign = entry(folder, "foreign", b"nobody knows from where")
    cache._clean(folder)
    assert [path.exists() for path in (good, changed, foreign)] == [True, False, False]


def test_the_oldest_go_beyond_the_limit(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.enable()
    folder = cache.folder()
    assert folder is not None
    cache.store("old", b"x" * 60)
    cache.store("new", b"x" * 60)
    old, new = folder / "old-cache", folder / "new-cache"
    os.utime(old, (1, 1))
    monkeypatch.setattr(cache, "LIMIT", 100)
    cache._clean(folder)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_folder_that_cannot_be_made_is_a_warning(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh / "file").touch()
    monkeypatch.setenv(cache.VARIABLE, str(fresh / "file"))
    with pytest.warns(RuntimeWarning, match="compiled programs are not kept"):
        cache.enable()


def test_off_is_off(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, "off")
    cache.enable()
    assert cache.folder() is None


def test_what_is_stored_is_loaded_only_as_it_was(fresh: Path) -> None:
    cache.store("early", b"nobody has asked for a cache yet")
    assert cache.load("early") is None
    cache.enable()
    folder = cache.folder()
    assert folder is not None
    assert cache.load("good") is None
    for name in ("good", "cut", "sealed wrongly", "not sealed"):
        cache.store(name, b"a program")
    (folder / "cut-cache").write_bytes(b"a prog")
    (folder / "sealed wrongly-cache.sha256").write_bytes(b"\xff" * 32)
    (folder / "not sealed-cache.sha256").unlink()
    wanted = {"good": b"a program", "cut": None, "sealed wrongly": None, "not sealed": None}
    assert {name: cache.load(name) for name in wanted} == wanted
    cache._clean(folder)
    assert [path.name for path in folder.glob("*-cache")] == ["good-cache"]


def test_a_program_that_cannot_be_written_is_a_warning(fresh: Path) -> None:
    cache.enable()
    folder = cache.folder()
    assert folder is not None
    folder.rmdir()
    with pytest.warns(RuntimeWarning, match="compiled programs are not kept"):
        cache.store("a", b"a program")


def test_a_kept_program_is_the_one_that_was_traced(fresh: Path) -> None:
    cache.enable()
    name = exported.name_of("double", (3,))
    assert exported.load(name) is None
    program = exported.trace(name, lambda x: x * 2, np.arange(3.0))
    kept = exported.load(name)
    assert kept is not None
    assert kept.mlir_module() == program.mlir_module()
    assert jax.jit(kept.call)(np.arange(3.0)).tolist() == [0, 2, 4]


def test_what_tracing_depends_on_is_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [exported.name_of("start", (1,)), exported.name_of("start", (2,)), exported.name_of("advance", (1,))]
    monkeypatch.setattr(exported, "_SOURCES", "other sources")
    names.append(exported.name_of("start", (1,)))
    with setting("jax_default_matmul_precision", "highest"):
        names.append(exported.name_of("start", (1,)))
    assert len(set(names)) == len(names)
    assert exported.name_of("start", (1,)) == names[3]


def test_a_second_process_neither_traces_nor_compiles_and_damage_does_not_matter(tmp_path: Path) -> None:
    environment = {**os.environ, cache.VARIABLE: str(tmp_path)}

    def run() -> tuple[int, int, str]:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        traces, imports, score = done.stdout.split()
        return int(traces), int(imports), score

    traces, imports, score = run()
    assert (traces, imports) == (3, 2)
    entries = sorted(tmp_path.rglob("*-cache"))
    made = {path: path.stat().st_mtime_ns for path in entries}
    assert len([path for path in entries if path.name.startswith("traced-")]) == 3
    assert len(entries) > 3
    assert run() == (0, 0, score)  # nor does it import what only tracing needs
    assert {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*-cache"))} == made
    for path in entries:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    entry(entries[0].parent, "jit_foreign", b"\x00" * 1000)
    assert run() == (3, 2, score)
    assert all(path.stat().st_mtime_ns != made[path] for path in entries)

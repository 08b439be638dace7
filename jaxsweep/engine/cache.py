"""Compiled programs on disk, so that a later process need not compile them again.

JAX's own compilation cache keeps executables, and `traced` what they were compiled from. This module gives both a
folder that belongs to the user alone, and sees to it that nothing is loaded but what a process of this user has
compiled for this machine: the folder is private and named after the versions and the processor, every entry is sealed
with its hash when it is new, and an entry whose seal is missing or does not fit is removed before JAX can see it.

The environment variable JAXSWEEP_CACHE names another folder, or is `off`. A cache that the user has given to JAX
(`jax_compilation_cache_dir`) is left as it is.
"""

import hashlib
import os
import platform
import stat
import threading
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from jaxsweep.engine import machine

VARIABLE = "JAXSWEEP_CACHE"
LIMIT = 256 * 2**20  # bytes of all entries; beyond them the oldest go
WORTH_KEEPING = 0.1  # seconds of compilation that an executable must have taken
_ENTRY, _SEAL = "-cache", ".sha256"

_lock = threading.Lock()
_folder: Path | None = None
_asked = False


def folder() -> Path | None:
    """Return where compiled programs are kept, or None if the cache is off."""
    named = os.environ.get(VARIABLE)
    if named == "off":
        return None
    base = Path(named or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxsweep")
    return base / f"programs-{_machine()}"


def _machine() -> str:
    """Return a hash of what compiled code depends on beside what JAX asks for: the processor and the versions."""
    facts = [platform.machine(), platform.system(), version("jax"), version("jaxlib"), os.environ.get("XLA_FLAGS", "")]
    facts += machine.instruction_set()
    return digest("\n".join(facts).encode())[:16]


def digest(content: bytes) -> str:
    """Return the SHA-256 of content, in hexadecimal: what seals say, and what names are made of."""
    return hashlib.sha256(content).hexdigest()


def enable() -> None:
    """Make the folder ready, once in a process; one that cannot be used is a warning, no error."""
    global _asked, _folder
    with _lock:
        if _asked:
            return
        _asked = True
        path = folder()
        if path is None:
            return
        try:
            _make_private(path)
            _clean(path)
        except OSError as error:
            _warn(path, error)
            return
        _folder = path


def problem() -> str:
    """Return why compiled programs cannot be kept, and what to do; "" if they can, or nobody wants that."""
    path = folder()
    if path is None:
        return ""
    probe = path / f".probe.{os.getpid()}"
    try:
        _make_private(path)
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
    except OSError as error:
        return _cannot(path, error)
    return ""


def _cannot(path: Path, error: OSError) -> str:
    return (
        f"compiled programs are not kept: {path} cannot be used ({error.strerror or error}); name another folder in "
        f"{VARIABLE}, or set it to off"
    )


def _warn(path: Path, error: OSError) -> None:
    warnings.warn(_cannot(path, error), RuntimeWarning, stacklevel=4)


def _make_private(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not hasattr(os, "getuid"):
        return
    found = path.stat()
    if found.st_uid != os.getuid():
        raise PermissionError(1, "it belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)


def _entries(path: Path) -> Iterator[Path]:
    return (entry for entry in path.iterdir() if entry.name.endswith(_ENTRY))


def _seal_of(entry: Path) -> Path:
    return entry.with_name(entry.name + _SEAL)


def _fits(entry: Path, content: bytes) -> bool:
    """Return whether an entry's seal is that of this content."""
    try:
        return _seal_of(entry).read_bytes() == digest(content).encode()
    except FileNotFoundError:
        return False


def _clean(path: Path) -> None:
    """Remove what is not sealed or not as it was sealed, and the oldest beyond LIMIT."""
    total = 0
    for entry in sorted(_entries(path), key=lambda entry: -entry.stat().st_mtime):
        content, seal = entry.read_bytes(), _seal_of(entry)
        total += len(content)
        if not _fits(entry, content) or total > LIMIT:
            entry.unlink(missing_ok=True)
            seal.unlink(missing_ok=True)


def load(name: str) -> bytes | None:
    """Return the content that `store` has kept under a name, or None; what does not fit its seal counts as absent."""
    if _folder is None:
        return None
    entry = _folder / (name + _ENTRY)
    try:
        content = entry.read_bytes()
    except FileNotFoundError:
        return None
    return content if _fits(entry, content) else None


def has(name: str) -> bool:
    """Return whether something is kept under a name, whatever it is worth."""
    return _folder is not None and (_folder / (name + _ENTRY)).exists()


def store(name: str, content: bytes) -> None:
    """Keep content under a name, if anything is kept."""
    if _folder is None:
        return
    entry = _folder / (name + _ENTRY)
    try:
        _seal_of(entry).write_text(digest(content))
        entry.write_bytes(content)
    except OSError as error:
        _warn(_folder, error)


def write(name: str, text: str) -> None:
    """Write a plain file beside the entries, if anything is kept: whole, or it stays as it was."""
    if _folder is None:
        return
    path, new = _folder / name, _folder / f"{name}.{os.getpid()}"
    try:
        new.write_text(text)
        new.replace(path)
    except OSError as error:
        _warn(_folder, error)

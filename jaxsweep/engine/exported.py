"""Traced programs on disk, so that a later process need not trace them again.

Tracing turns Python into StableHLO. It takes longer than loading the executable that JAX's compilation cache has for
it, and Python can trace but one program at a time. `jax.export` writes and reads the StableHLO, and `cache` keeps it
beside the executables, private and sealed; every program goes through it, whether or not there is a cache, so that what
is compiled does not depend on that. An entry is named after all that tracing depends on: the program, which holds a
`fingerprint` of the code that it is traced from, and the shapes of its arguments; versions, the device, and JAX's
settings; and, as a second net, this package's sources as they were imported.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax import export

import jaxsweep
from jaxsweep.engine import cache, known

Traced = export.Exported
# Settings that say where something is, what is kept and what is logged, and those of kernels, which come with an import
# of somebody else's; they change no program of this package.
_ELSEWHERE = re.compile(r"_(dir|file|path)$|_cache(_|$)|_log_|_logging_|_pallas_")


# Of what is imported right now: a file that is edited while this process runs must not lend its name to older code.
_PACKAGE = Path(str(jaxsweep.__file__)).parent
_SOURCES = cache.digest(b"\n".join(path.read_bytes() for path in sorted(_PACKAGE.rglob("*.py"))))
_VERSIONS = known.versions()


def name_of(role: str, key: Any) -> str:
    """Return the name under which the cache keeps a program, for what tells it from others in this process."""
    device = jax.devices()[0]
    facts = [_SOURCES, *_VERSIONS, device.platform, device.device_kind, role, repr(key), *settings()]
    hashed = cache.digest("\n".join(facts).encode())
    return f"traced-{role}-{hashed[:32]}"


def settings() -> list[str]:
    """Return JAX's settings that a program may depend on."""
    return sorted(f"{name}={value}" for name, value in jax.config.values.items() if not _ELSEWHERE.search(name))


def load(name: str) -> Traced | None:
    """Return the program that an earlier process has kept under this name, or None."""
    content = cache.load(name)
    return None if content is None else export.deserialize(bytearray(content))


def trace(name: str, function: Callable[..., Any], *arguments: Any) -> Traced:
    """Return `function` traced for arguments of these shapes, kept under this name."""
    content = bytes(export.export(jax.jit(function))(*arguments).serialize())
    cache.store(name, content)
    return export.deserialize(bytearray(content))  # holds nothing of the tracing, which JAX would keep as long as this


def register(kind: type[Any]) -> None:
    """Let a NamedTuple be an argument or a result of programs that are kept."""
    export.register_namedtuple_serialization(kind, serialized_name=f"jaxsweep.{kind.__name__}")

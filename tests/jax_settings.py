"""JAX's settings, changed for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax


@contextmanager
def setting(name: str, value: Any) -> Iterator[None]:
    """Inside, a setting has this value in all threads; afterwards it has the one of before."""
    before = jax.config.values[name]
    _set(name, value)
    try:
        yield
    finally:
        _set(name, before)


def _set(name: str, value: Any) -> None:
    jax.config.update(name, value)  # type: ignore[no-untyped-call]

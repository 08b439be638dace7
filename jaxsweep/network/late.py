"""Flax's `nn` and `optax`, imported when something of theirs is first used.

A process that finds its programs traced and compiled needs neither, and starts sooner without them.
"""

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["Late", "nn", "optax"]


class Late:
    """Stands for the module of this full name until it is needed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def module_name(self) -> str:
        """Return the module's full name."""
        return self._name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


if TYPE_CHECKING:
    import optax
    from flax import linen as nn
else:
    nn, optax = Late("flax.linen"), Late("optax")

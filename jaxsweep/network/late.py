"""JAX, Flax's `nn`, `optax` and scikit-learn's metrics, imported when something of theirs is first used.

A process that finds its programs traced and compiled needs neither Flax nor Optax, and starts sooner without them; one
that predicts needs no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["Late", "jax", "jnp", "nn", "optax", "sk"]


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
    import jax
    import optax
    from flax import linen as nn
    from jax import numpy as jnp
    from sklearn import metrics as sk
else:
    jax, jnp, nn = Late("jax"), Late("jax.numpy"), Late("flax.linen")
    optax, sk = Late("optax"), Late("sklearn.metrics")

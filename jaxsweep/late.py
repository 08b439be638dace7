"""Modules that are imported when something of theirs is first used.

A process that finds its programs traced and compiled needs neither Flax nor Optax, and starts sooner without them.
"""

import importlib
from typing import Any


class Late:
    """Stands for a module until it is needed.

    Args:
        name: the module's full name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)

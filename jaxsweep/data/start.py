"""The weights of a trained network with which others start, layer by layer where their shapes agree."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEMORY = "in memory"  # what a record calls the place of a network that was in no folder
Weights = Mapping[str, Mapping[str, NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class Start:
    """Parameters and running statistics of a trained network, by layer and name, in the layout of Flax.

    A layer starts with them where its kernel has the same shape: kernel and bias, and with a hidden layer the
    normalization behind it. Other layers start with weights of their own.
    """

    params: Weights
    stats: Weights

    @cached_property
    def fingerprint(self) -> str:
        """Return a hash of all of it, as hex digits."""
        digest = hashlib.sha256()
        for tree in (self.params, self.stats):
            for layer, arrays in sorted(tree.items()):
                for name, array in sorted(arrays.items()):
                    digest.update(f"{layer}/{name}{array.shape}{array.dtype}".encode())
                    digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Return the shape of each kernel, (inputs, outputs), by the names of layers."""
        kernels = {layer: arrays["kernel"].shape for layer, arrays in self.params.items() if "kernel" in arrays}
        return {layer: (int(rows), int(columns)) for layer, (rows, columns) in kernels.items()}

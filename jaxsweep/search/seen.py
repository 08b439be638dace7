"""Which configs a searcher knows already, by their snapped points of the unit cube: nothing is trained twice."""

import numpy as np
from numpy.typing import NDArray

from jaxsweep.spec.distributions import FloatArray
from jaxsweep.spec.space import Space
from jaxsweep.streams import uniforms

MORE = 4  # random points drawn for each that is wanted


class Seen:
    """A set of snapped points; two configs are the same if their points are, bit by bit."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()

    def add(self, genes: FloatArray) -> None:
        """Take in the snapped points `genes` [n, dimensions]."""
        self._keys.update(keys(genes))

    def new(self, genes: FloatArray) -> NDArray[np.intp]:
        """Return the positions of those of `genes` [n, dimensions] that are not in the set, each point once."""
        return np.array(list(self._fresh(genes).values()), dtype=np.intp)

    def take(self, genes: FloatArray) -> NDArray[np.intp]:
        """Return what `new` does, and take these points in."""
        fresh = self._fresh(genes)
        self._keys.update(fresh)
        return np.array(list(fresh.values()), dtype=np.intp)

    def _fresh(self, genes: FloatArray) -> dict[bytes, int]:
        fresh: dict[bytes, int] = {}
        for row, key in enumerate(keys(genes)):
            if key not in self._keys:
                fresh.setdefault(key, row)
        return fresh


def strangers(space: Space, seen: Seen, bits: np.random.Philox, n: int) -> FloatArray:
    """Return the snapped points of `n` random configs, [n, dimensions]: new ones as far as a few tries give them.

    A small space may have none that is new, and then anything goes.
    """
    genes = space.snap(uniforms(bits, MORE * n, space.dimensions))
    new = seen.new(genes)
    chosen: FloatArray = genes[np.concatenate([new, np.setdiff1d(np.arange(len(genes)), new)])[:n]]
    return chosen


def keys(genes: FloatArray) -> list[bytes]:
    """Return the bytes of each row of `genes` [n, dimensions]; cut from one string, since rows are slow to make."""
    width = genes.itemsize * genes.shape[1]
    data = np.ascontiguousarray(genes).tobytes()
    return [data[start : start + width] for start in range(0, len(data), width)] if width else [b""] * len(genes)

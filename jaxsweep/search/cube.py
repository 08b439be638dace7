"""What searchers do with points of the unit cube, where a config is one row and an inactive entry is NaN."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.spec.distributions import Choice, FloatArray
from jaxsweep.spec.space import Space


def choices(space: Space) -> NDArray[np.bool_]:
    """Return which columns of the cube are choices, bool [dimensions]: their coordinates have no order."""
    return np.array([isinstance(space.entries[name], Choice) for name in space.columns], dtype=np.bool_)


def values(space: Space) -> list[int]:
    """Return how many values each column has as a choice, and 0 for a number."""
    entries = [space.entries[name] for name in space.columns]
    return [len(entry.values) if isinstance(entry, Choice) else 0 for entry in entries]


def one_hot(column: FloatArray, count: int) -> NDArray[np.bool_]:
    """Return which of `count` values a column [n] of choices stands for, bool [n, count]; where inactive, for none."""
    codes = np.nan_to_num(np.minimum(column * count, count - 1), nan=-1.0).astype(np.int64)
    found: NDArray[np.bool_] = codes[:, None] == np.arange(count)
    return found


def best_first(genes: FloatArray, merits: FloatArray) -> NDArray[np.intp]:
    """Return the positions of points [n, dimensions] by merit, the best first, and equals by their coordinates.

    So the order in which configs were told has no effect.
    """
    return np.lexsort((*np.nan_to_num(genes, nan=-1.0).T, -merits))


class Told:
    """What a searcher was told since its last `ask`: in which order has no effect on it."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._parts: list[tuple[FloatArray, FloatArray]] = []

    def add(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray) -> FloatArray:
        """Keep configs and their merits [n]; return the points of the configs, [n, dimensions]."""
        points = self._space.to_unit(configs)
        self._parts.append((points, merits))
        return points

    def __len__(self) -> int:
        return sum(len(merits) for _, merits in self._parts)

    def take(self) -> tuple[FloatArray, FloatArray] | None:
        """Return all of it, the best first, and forget it; None if there is nothing."""
        if not self._parts:
            return None
        points, merits = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
        self._parts = []
        order = best_first(points, merits)
        return points[order], merits[order]


def reflected(genes: FloatArray) -> FloatArray:
    """Return coordinates that have left [0, 1] as the ends of it reflect them."""
    moved = np.abs(genes) % 2.0
    return np.where(moved > 1.0, 2.0 - moved, moved)

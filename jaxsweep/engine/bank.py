"""Where lanes stand still: what of them stands in a tile is kept on the host, a row for each lane.

Thousands of lanes come and go, a few dozen at a time, each with some dozens of arrays. So all lanes of a bucket share
one array for each array of a tile, and a call moves all that come or go at once.
"""

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

PICKED = 16  # lanes that are moved together from or to an accelerator
FIRST = 32  # rows that a bank begins with; it grows by half of what it has


class Row:
    """The place of one lane in a bank, whose row is free again once nobody holds this."""

    __slots__ = ("__weakref__", "bank", "number")

    def __init__(self, bank: "Bank", number: int) -> None:
        self.bank, self.number = bank, number

    def __del__(self) -> None:
        self.bank.free.append(self.number)

    def tree(self) -> Any:
        """Return what stands in the row, a tree of arrays of its own."""
        return self.bank.tree(self.number)


class _Kept(NamedTuple):
    leaves: list[NDArray[Any]]  # [rows, ...] each
    structure: Any


class Bank:
    """Rows of arrays for lanes of tiles of one shape. Workers may use it at the same time."""

    def __init__(self) -> None:
        self.free: list[int] = []
        self._kept: _Kept | None = None
        self._lock = threading.Lock()

    def put(self, tree: Any, slots: Sequence[int], in_place: bool) -> list[Row]:
        """Copy what stands in some slots of a tile's arrays [tile, ...], and return the rows where it is now."""
        if not slots:
            return []
        leaves, structure = jax.tree.flatten(tree)
        parts = taken(leaves, slots, in_place)
        with self._lock:
            if self._kept is None:
                self._kept = _Kept([np.empty((0, *part.shape[1:]), part.dtype) for part in parts], structure)
            if len(self.free) < len(slots):
                self._grow(len(slots) - len(self.free))
            rows = [self.free.pop() for _ in slots]
            for array, part in zip(self._kept.leaves, parts, strict=True):
                array[rows] = part
        return [Row(self, row) for row in rows]

    def _grow(self, missing: int) -> None:
        assert self._kept is not None
        before = len(self._kept.leaves[0])
        more = max(missing, FIRST, before // 2)
        for number, array in enumerate(self._kept.leaves):
            grown = np.empty((before + more, *array.shape[1:]), array.dtype)
            grown[:before] = array
            self._kept.leaves[number] = grown
        self.free.extend(range(before + more - 1, before - 1, -1))

    def place(self, tree: Any, slots: Sequence[int], rows: Sequence[Row], in_place: bool) -> Any:
        """Return a tile's arrays [tile, ...] with what stands in some rows, each in a slot of its own."""
        leaves, structure = jax.tree.flatten(tree)
        with self._lock:
            assert self._kept is not None
            numbers = [row.number for row in rows]
            parts = [array[numbers] for array in self._kept.leaves]
        if not in_place:
            return jax.tree.unflatten(structure, _sent(leaves, slots, parts))
        placed = [np.array(leaf) for leaf in leaves]
        for array, part in zip(placed, parts, strict=True):
            array[slots] = part
        return jax.tree.unflatten(structure, placed)

    def tree(self, number: int) -> Any:
        """Return what stands in a row, a tree of arrays of its own."""
        with self._lock:
            assert self._kept is not None
            return jax.tree.unflatten(self._kept.structure, [array[number].copy() for array in self._kept.leaves])


@jax.jit
def _pick(tree: Any, slots: NDArray[np.int32]) -> Any:
    """Return what a tile holds of some slots: one program for all of it, whichever slots these are."""
    return jax.tree.map(lambda a: a[slots], tree)


def _blocks(slots: Sequence[int], beyond: int | None = None) -> list[tuple[int, NDArray[np.int32]]]:
    """Return slots in blocks of PICKED, each with how many of them count; the others are the first one, or `beyond`."""
    blocks = []
    for start in range(0, len(slots), PICKED):
        few = list(slots[start : start + PICKED])
        filler = few[0] if beyond is None else beyond
        blocks.append((len(few), np.array(few + [filler] * (PICKED - len(few)), np.int32)))
    return blocks


def taken(leaves: Sequence[Any], slots: Sequence[int], in_place: bool) -> list[NDArray[Any]]:
    """Return what stands in some slots of arrays [tile, ...], as NumPy arrays [slots, ...] of their own.

    On a CPU an array can be looked at `in_place`; elsewhere these slots' parts alone are fetched, some at a time.
    """
    if in_place:
        return [np.asarray(leaf)[slots] for leaf in leaves]
    blocks = [[a[:count] for a in jax.device_get(_pick(leaves, few))] for count, few in _blocks(slots)]
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


@jax.jit
def _put(tree: Any, parts: Any, slots: NDArray[np.int32]) -> Any:
    """Return a tree of arrays [tile, ...] with `parts` [PICKED, ...] in some slots; slots beyond its end are none."""
    return jax.tree.map(lambda a, part: a.at[slots].set(part, mode="drop"), tree, parts)


def _sent(leaves: list[Any], slots: Sequence[int], parts: list[NDArray[Any]]) -> list[Any]:
    start = 0
    for count, few in _blocks(slots, np.iinfo(np.int32).max):
        filled = [np.zeros((PICKED, *part.shape[1:]), part.dtype) for part in parts]
        for array, part in zip(filled, parts, strict=True):
            array[:count] = part[start : start + count]
        leaves, start = _put(leaves, filled, few), start + count
    return leaves

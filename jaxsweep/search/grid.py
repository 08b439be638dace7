"""Every combination of the values of a space, with its conditions respected.

The grid is never written out. Entries that others depend on (the *parents*) are few and finite, so their
combinations are listed; for each, the other active entries are the digits of a mixed-radix number. A number below
`total` thus names one config, and configs that would differ in inactive entries only appear once.
"""

import numpy as np
from numpy.typing import NDArray

from jaxsweep.errors import RequestError
from jaxsweep.search.base import Directions, Searcher
from jaxsweep.search.permutation import LARGEST, permuted
from jaxsweep.spec import arguments
from jaxsweep.spec.conditions import evaluation_order, parents
from jaxsweep.spec.distributions import Codes, Int
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.space import Space

_LARGEST_LIST = 10**6  # combinations of parents
MOST_LEVELS = 10**6  # of one range


class Grid(Searcher):
    """Every combination once, in an order that spreads over the whole grid and depends on the seed.

    Choices are tried whole, and so are integers of up to `resolution` values; of others, and of continuous ranges,
    `resolution` values with both ends, evenly spaced on the range's own scale. Values that a condition names
    are always among them. Since the order is a pseudo-random permutation, the first part of a grid that is not
    tried to its end is an even sample of it.

    Args:
        space: what to propose from.
        resolution: values tried of a long or continuous range, at least 2.
        seed: decides the order.
        direction: has no effect.
    """

    description = "every combination, in an order that spreads over the grid"
    several = True

    def __init__(
        self, space: Space | None, *, resolution: int = 5, seed: int = 0, direction: Directions = "maximize"
    ) -> None:
        super().__init__(space, seed=seed, direction=direction)
        self.resolution = arguments.whole("resolution", resolution, 2, MOST_LEVELS)
        self._levels = {name: self._codes(name) for name in self.space.columns}
        self._parents = {parent for entry in self.space.entries.values() for parent in parents(entry)}
        self._rows = self._combinations()  # position of each parent's level, [rows]; -1 where inactive
        count = len(next(iter(self._rows.values()))) if self._rows else 1
        self._sizes = {
            name: np.where(self._is_active(name, self._rows, count), len(levels), 1)
            for name, levels in self._levels.items()
            if name not in self._parents
        }
        points = [1] * count
        for sizes in self._sizes.values():
            points = [point * size for point, size in zip(points, sizes.tolist(), strict=True)]
        self._total = sum(points)
        if self._total > LARGEST:
            raise RequestError(
                f"the grid has {self._total:.1e} points at resolution = {self.resolution}, more than can be numbered: "
                "take a smaller resolution, fewer entries, or the searcher sobol"
            )
        self._starts = np.cumsum([0, *points[:-1]], dtype=np.int64)

    @property
    def total(self) -> int:
        """The number of points of the grid."""
        return self._total

    def remainder(self, asked: int) -> str | None:
        """Return a sentence on the points that are not tried if `asked` are asked for, or None."""
        if arguments.whole("asked", asked) >= self._total:
            return None
        left = self._total - asked
        return f"the grid has {self._total} points, {asked} asked for: {left} {'is' if left == 1 else 'are'} not tried"

    def _propose(self, n: int) -> list[Config]:
        order = permuted(np.arange(self.asked, self.asked + n), self._total, self.seed)
        row = np.searchsorted(self._starts, order, side="right") - 1
        rest = order - self._starts[row]
        u = np.full((n, self.space.dimensions), np.nan)
        for column, (name, levels) in enumerate(self._levels.items()):
            if name in self._rows:
                digits = np.maximum(self._rows[name][row], 0)  # the -1 of an inactive entry is never read
            else:
                sizes = self._sizes[name][row]
                rest, digits = np.divmod(rest, sizes)
            u[:, column] = self.space.entries[name].unit_from_codes(levels)[digits]
        return self.space.from_unit(u)

    def _codes(self, name: str) -> Codes:
        """Return the codes of entry `name` that are tried, in ascending order."""
        entry = self.space.entries[name]
        levels = entry.levels(self.resolution)
        if not isinstance(entry, Int):
            return levels
        named = [value for child in self.space.entries.values() for value in parents(child).get(name, ())]
        return np.unique([*levels, *named]).astype(np.int64)

    def _combinations(self) -> dict[str, NDArray[np.int64]]:
        """Return every combination of the parents' levels: positions [rows] by name, -1 where inactive."""
        rows: dict[str, NDArray[np.int64]] = {}
        count = 1
        for name in evaluation_order(self.space.entries):
            if name not in self._parents or name not in self._levels:
                continue
            active = self._is_active(name, rows, count)
            sizes = np.where(active, len(self._levels[name]), 1)
            count = int(sizes.sum())
            if count > _LARGEST_LIST:
                raise RequestError(
                    f"the grid has {count} combinations of hyperparameters that conditions name: "
                    f"it must have at most {_LARGEST_LIST}, so take fewer values or the searcher sobol"
                )
            rows = {parent: np.repeat(positions, sizes) for parent, positions in rows.items()}
            position = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            rows[name] = np.where(np.repeat(active, sizes), position, -1)
        return rows

    def _is_active(self, name: str, rows: dict[str, NDArray[np.int64]], count: int) -> NDArray[np.bool_]:
        """Return where entry `name` is active, [rows]."""
        on = np.ones(count, dtype=np.bool_)
        for parent, values in parents(self.space.entries[name]).items():
            if parent in rows:
                wanted = self.space.entries[parent].codes_from_values(values)
                on &= (rows[parent] >= 0) & np.isin(self._levels[parent][rows[parent]], wanted)
            else:  # a constant: it has its value wherever it is active
                on &= self._is_active(parent, rows, count)
        return on

"""How many lanes a tile holds, and what these share, decided by what that is predicted to cost.

Larger tiles share the fixed cost of every operation; their weights fill the cache, and their slots stand empty, or are
shared by unlike lanes, where few lanes of a kind are left. Lanes that share optimizer and activation need not compute
what the others of a tile have; but the fewer share a tile, the more slots stand empty.
"""

import itertools
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxsweep.engine.costs import Costs, Sizes, epoch_seconds, parameters, tile_bytes
from jaxsweep.engine.merging import conditions, padded, padded_batch, step_of
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.own import Own
from jaxsweep.spec.scope import Scope

IDLE = 0.1  # loss to lanes that stop early and leave their slots empty, for each doubling of the tile
MARGIN = 0.03  # what it must save that lanes have a choice for themselves: of some the cost is more than is reckoned
TILES = tuple(2**power for power in range(15))
SHARED = ("optimizer", "activation", "norm")  # what lanes of a tile share, so that a branch stays a branch ...
BY_LANE = SHARED[:2]  # ... but for these, which they may have each for itself
_ASKED = itemgetter(*SHARED, "batch_size")


class Alike(NamedTuple):
    """What the lanes of a tile share beside its shape; None for what they have by themselves."""

    optimizer: str | None
    activation: str | None
    norm: str | None
    batch_size: int  # as batches are padded


class Asked(NamedTuple):
    """What a plan is asked for; see `planner.make_plan`."""

    configs: Sequence[Config]
    shapes: Sequence[tuple[tuple[int, ...], int]]  # of each config, widths and batch size
    steps: NDArray[np.float64]  # [configs], of the lanes of each
    lanes_each: int
    sizes: Sizes
    costs: Costs
    scope: Scope
    batches: tuple[int, ...] | None
    tile: int | None
    by_lane: tuple[str, ...] | None
    share: float
    part: float
    weight: float


class Form(NamedTuple):
    """What of a bucket decides how long a step takes."""

    widths: tuple[int, ...]
    batches: tuple[int, ...]
    shallower: bool


class Tiling(NamedTuple):
    """How the lanes of a bucket are put into tiles, and what that takes on the nominal machine."""

    tile: int
    by_lane: tuple[str, ...]
    seconds: float  # of one worker, for all lanes ...
    tile_seconds: float  # ... and for one tile


def alike(config: Config, batches: Sequence[int], by_lane: tuple[str, ...] = ()) -> Alike:
    """Return what a lane shares with the others of a tile, of a program that pads batches to one of some sizes.

    What a batch is padded to is a lane's own, and no neighbour's: it decides last bits.
    """
    shared = {name: None if name in by_lane else config[name] for name in SHARED}
    return Alike(**shared, batch_size=padded_batch(config["batch_size"], batches))


def tiled(asked: Asked, members: Sequence[int], form: Form) -> Tiling:
    """Return the best tiles for some configs, as far as they are not asked for, and what they take."""
    costs, kinds, sizes = asked.costs, _Kinds(asked, members, form), _sizes(asked, form)

    def elapsed(found: Tiling) -> float:  # until the nominal workers have done all tiles
        rounds = np.ceil(asked.part * found.seconds / found.tile_seconds / costs.nominal_workers) / asked.part
        return float(rounds) * found.tile_seconds

    found = {by_lane: {tile: kinds.tiling(tile, by_lane) for tile in sizes} for by_lane in _ways(asked, members)}
    took = {by_lane: {tile: elapsed(each) for tile, each in of.items()} for by_lane, of in found.items()}
    by_lane = min(took, key=lambda by_lane: min(took[by_lane].values()) * (1 + MARGIN * len(by_lane)))
    most = (1 + costs.slack) * min(took[by_lane].values())
    best = min(tile for tile in sizes if took[by_lane][tile] <= most)
    if asked.tile is None and asked.share < 1:  # slots are filled again and again, each time at a price for the host
        best = min(2 * best, max(sizes))
    return found[by_lane][best]


def _sizes(asked: Asked, form: Form) -> list[int]:
    """Return how many lanes tiles could hold."""
    if asked.tile is not None:
        return [asked.tile]
    costs = asked.costs
    room = costs.memory / (2 * costs.nominal_workers)
    takes = {tile: tile_bytes(form.widths, form.batches[-1], tile, asked.sizes, costs) for tile in TILES}
    return [tile for tile, size in takes.items() if tile <= costs.widest and size <= room] or [1]


def _ways(asked: Asked, members: Sequence[int]) -> list[tuple[str, ...]]:
    """Return what lanes of some configs could have each for itself: all sets of choices in which they differ."""
    if asked.by_lane is not None:
        return [asked.by_lane]
    differ = [
        name
        for name in BY_LANE
        if len({asked.configs[i][name] for i in members}) > 1
        and not any(isinstance(value, Own) for value in asked.scope.values(name))  # whose cost nobody knows
    ]
    return [some for count in range(len(differ) + 1) for some in itertools.combinations(differ, count)]


def each_alike(configs: Iterable[Config], batches: Sequence[int], by_lane: tuple[str, ...] = ()) -> list[Alike]:
    """Return `alike` of each config; of thousands few differ in what it asks."""
    known: dict[Any, Alike] = {}
    found = []
    for config in configs:
        key = _ASKED(config)
        if (same := known.get(key)) is None:
            same = known[key] = alike(config, batches, by_lane)
        found.append(same)
    return found


class _Kinds:
    """The lanes of a bucket by how much they do in a step: networks of one depth and about one batch size are alike."""

    def __init__(self, asked: Asked, members: Sequence[int], form: Form) -> None:
        self.asked, self.form = asked, form
        self.configs = [asked.configs[i] for i in members]
        self.wide = np.array([form.widths], np.int64).reshape(1, -1)
        own = np.array([(len(asked.shapes[i][0]), asked.shapes[i][1]) for i in members], np.int64)
        octaves = np.round(np.log2(own[:, 1])).astype(np.int64)
        keys = np.stack([own[:, 0], padded(own[:, 1], form.batches), octaves], axis=1)
        kinds, which = np.unique(keys, axis=0, return_inverse=True)
        self.which = which.ravel()
        each = np.bincount(self.which)
        self.depths, self.batches = kinds[:, 0], kinds[:, 1]  # [kinds], hidden layers, and rows of padded batches
        # Of a lane that trains to its end, steps and epochs.
        self.steps = np.bincount(self.which, asked.steps[list(members)]) / each / (asked.share * asked.weight)
        self.epochs = np.bincount(self.which, [config["epochs"] for config in self.configs]) / each
        self.stops = any(config["patience"] for config in self.configs)
        self.differ = {name: len({config[name] for config in self.configs}) > 1 for name in SHARED}
        self._counted: dict[tuple[str, ...], NDArray[np.float64]] = {}

    def tiling(self, tile: int, by_lane: tuple[str, ...]) -> Tiling:
        """Return what tiles of so many lanes take, if these have `by_lane` each for itself.

        Lanes of a kind fill tiles; what is left over of all kinds shares tiles that take as long as the longest kind.
        """
        asked = self.asked
        seconds = self._seconds(tile, by_lane)
        counts = self._counts(by_lane) * asked.lanes_each * asked.share * asked.weight * asked.part
        alone = np.floor(counts / tile)
        beside = np.ceil(np.round((counts - alone * tile).sum(axis=1) / tile, 9))
        longest = np.where(counts > 0, seconds, 0.0).max(axis=1)
        tiles = float(alone.sum() + beside.sum()) / asked.part
        total = float((alone @ seconds).sum() + beside @ longest) / asked.part
        return Tiling(tile, by_lane, total, total / tiles)

    def _counts(self, by_lane: tuple[str, ...]) -> NDArray[np.float64]:
        """Return how many configs of each kind may share a tile, [groups, kinds]."""
        if by_lane not in self._counted:
            keys = each_alike(self.configs, self.form.batches, by_lane)
            groups = {key: number for number, key in enumerate(dict.fromkeys(keys))}
            counts = np.zeros((len(groups), len(self.depths)))
            np.add.at(counts, (np.array([groups[key] for key in keys]), self.which), 1.0)
            self._counted[by_lane] = counts
        return self._counted[by_lane]

    def _seconds(self, tile: int, by_lane: tuple[str, ...]) -> NDArray[np.float64]:
        """Return the seconds of a tile of lanes of each kind, [kinds]."""
        asked, form, costs = self.asked, self.form, self.asked.costs
        beginning = costs.lane + costs.draw * float(parameters(self.wide, asked.sizes)[0])
        found = np.zeros(len(self.depths))
        for depth in np.unique(self.depths).tolist():
            some = self.depths == depth
            own, batches = self.wide[:, :depth], self.batches[some]
            step = step_of(depth, self.wide, batches, tile, asked.sizes, costs)[0]
            step = step + costs.switch * self._switches(depth, by_lane)
            step = step + costs.condition * conditions(len(form.widths)) * form.shallower
            step = step + tile * (self._further(own, batches, by_lane) + self._moved(own, by_lane))
            epoch = float(epoch_seconds(own, tile, asked.sizes, costs)[0])
            found[some] = self.steps[some] * step + self.epochs[some] * epoch
        idle = self.stops * IDLE * float(np.log2(tile))
        return np.asarray(found * (1 + idle) + tile * beginning, np.float64)

    def _switches(self, depth: int, by_lane: tuple[str, ...]) -> int:
        """Return how often a step chooses between pieces of code: forth and back in each layer, and in the update."""
        mixed = {name: differ and name not in by_lane for name, differ in self.differ.items()}
        return 2 * depth * (mixed["activation"] + mixed["norm"]) + mixed["optimizer"]

    def _moved(self, wide: NDArray[np.int64], by_lane: tuple[str, ...]) -> float:
        """Return the seconds of a lane's step for what a choice of optimizers moves: weights and two moments, twice.

        What a choice of code gives stands elsewhere than what it was given, and is copied into its place.
        """
        if not self.differ["optimizer"] or "optimizer" in by_lane:
            return 0.0
        sizes, costs = self.asked.sizes, self.asked.costs
        return 6 * costs.item_bytes * float(parameters(wide, sizes)[0]) / costs.cached

    def _further(
        self, wide: NDArray[np.int64], rows: NDArray[np.int64], by_lane: tuple[str, ...]
    ) -> NDArray[np.float64]:
        """Return the seconds of a lane's step for what others have by themselves, [kinds], with so many rows."""
        count = {name: len(self.asked.scope.values(name)) - 1 if name in by_lane else 0 for name in BY_LANE}
        costs = self.asked.costs
        of_units = count["activation"] * costs.activation * float(wide.sum())
        of_weights = count["optimizer"] * costs.optimizer * float(parameters(wide, self.asked.sizes)[0])
        return np.asarray(of_units * rows + of_weights, np.float64)

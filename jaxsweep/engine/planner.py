"""How configs are put into buckets and tiles, with predicted time, memory and padding waste.

A bucket is compiled once, for the largest widths and batch size among its members. Padding costs arithmetic and
saves compilations; which is dearer is computed here. No device array is touched.
"""

import html
import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxsweep.engine.costs import (
    Costs,
    Sizes,
    chunked_rows,
    data_bytes,
    epoch_seconds,
    kernel_flops,
    parameters,
    parked_bytes,
    step_seconds,
    tile_bytes,
)
from jaxsweep.errors import RequestError
from jaxsweep.spec.hyperparameters import Config, layer_widths
from jaxsweep.spec.own import Own
from jaxsweep.spec.scope import CATEGORICAL, Scope, of_configs

IDLE = 0.1  # loss to lanes that stop early and leave their slots empty, for each doubling of the tile
LONE = 0.85  # of the seconds of one core, those that a compilation takes when no other is under way
TILES = tuple(2**power for power in range(15))
MOST_SHAPES, MOST_CHUNKED = 300, 100  # shapes that are merged pair by pair, and where batches come in chunks
MOST_BATCHES = 8  # batch sizes that are told apart when shapes are merged
BY_LANE = ("optimizer", "activation")  # what lanes of a tile may have each for itself

Alike = tuple[str | None, str | None, str | None]  # optimizer, activation, norm; None for what lanes have by themselves


class Chunks(NamedTuple):
    """In chunks of how many rows batches may be trained on."""

    legal: Sequence[int]
    fixed: int | None  # what is to be taken, whatever it costs


class Shape(NamedTuple):
    """What a bucket's program is compiled for; a search that asks in batches has the same few for all of them."""

    widths: tuple[int, ...]
    batch_size: int
    tile: int
    padded: bool  # whether narrower networks than these train in it
    chunk: int  # rows of a batch that are trained on at a time
    by_lane: tuple[str, ...] = ()  # what the lanes of a tile have each for itself

    def holds(self, widths: tuple[int, ...], batch_size: int) -> bool:
        """Return whether lanes of a network can train in it."""
        if len(widths) != len(self.widths) or batch_size > self.batch_size:
            return False
        fits = all(own <= padded for own, padded in zip(widths, self.widths, strict=True))
        return fits and (self.padded or widths == self.widths)


@dataclass
class Bucket:
    """Lanes that share one compiled program.

    `members` are positions in the planned configs, each of which stands for `lanes_each` lanes; `widths` and
    `batch_size` are the padded shapes. A batch is trained on in chunks of `chunk` rows, as many as it needs.
    """

    widths: tuple[int, ...]
    batch_size: int
    members: list[int] = field(repr=False)
    lanes: int
    tile: int
    padding_waste: float
    bytes: int
    seconds: float  # of one worker, for all its lanes ...
    tile_seconds: float  # ... for one tile ...
    compile_seconds: float  # ... and for compiling
    chunk: int
    padded_flops: float  # of the training steps of one lane of each of its members
    padded: bool = True  # whether any of its networks is narrower
    by_lane: tuple[str, ...] = ()  # what the lanes of a tile have each for itself, of optimizer and activation

    @property
    def shape(self) -> Shape:
        """What its program is compiled for."""
        return Shape(self.widths, self.batch_size, self.tile, self.padded, self.chunk, self.by_lane)

    @property
    def batches(self) -> str:
        """The largest batch size, and in chunks of how many rows batches are trained on."""
        return f"{self.batch_size}" + f" by {self.chunk}" * (self.chunk < self.batch_size)

    @property
    def depth(self) -> int:
        """The number of hidden layers."""
        return len(self.widths)


@dataclass(repr=False)
class Plan:
    """What a sweep will compile and run, and what that is predicted to cost."""

    buckets: list[Bucket]
    predicted_seconds: float
    predicted_bytes: int
    compile_seconds: float
    padding_waste: float
    useful_flops: float  # of the training steps, without padding
    lane_steps: int
    lanes: int
    workers: int  # that may hold a tile at a time ...
    at_once: int  # ... and that compute at a time
    room: float  # bytes that the tiles of one device may take together
    notes: tuple[str, ...] = ()  # what the user should know before anything is trained
    parked_bytes: int = 0  # of `predicted_bytes`, what lanes that stand still take at most
    confirming: "Plan | None" = None  # of the trials that train again after the search

    @property
    def programs(self) -> int:
        """The number of compiled training programs."""
        return len(self.buckets)

    def __repr__(self) -> str:
        programs = f"{self.programs} program{'s' * (self.programs != 1)}"
        return (
            f"Plan({self.lanes} lanes, {programs}, {self.padding_waste:.0%} padding, "
            f"about {self.predicted_seconds:.2g} s, {self.predicted_bytes / 2**30:.2g} GiB)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `plan --format json` prints."""
        return {
            "programs": self.programs,
            "predicted_seconds": round(self.predicted_seconds, 3),
            "predicted_bytes": self.predicted_bytes,
            "buckets": [
                {
                    "depth": bucket.depth,
                    "width": list(bucket.widths),
                    "batch_size": bucket.batch_size,
                    "lanes": bucket.lanes,
                    "tile": bucket.tile,
                    "padding_waste": round(bucket.padding_waste, 4),
                    "bytes": bucket.bytes,
                }
                for bucket in self.buckets
            ],
            **({"notes": list(self.notes)} if self.notes else {}),
        }

    def _repr_html_(self) -> str:
        head = "<tr><th>depth</th><th>widths</th><th>batch</th><th>lanes</th><th>tile</th><th>padding</th></tr>"
        rows = "".join(
            f"<tr><td>{b.depth}</td><td>{list(b.widths)}</td><td>{b.batches}</td><td>{b.lanes}</td>"
            f"<td>{b.tile}</td><td>{b.padding_waste:.0%}</td></tr>"
            for b in self.buckets
        )
        return f"<p>{html.escape(repr(self))}</p><table>{head}{rows}</table>"


def make_plan(
    configs: Sequence[Config], sizes: Sizes, lanes_each: int = 1, costs: Costs | None = None, tile: int | None = None,
    share: float = 1.0, part: float = 1.0, frame: Sequence[Shape] = (),
    ready: Collection[Shape] = (), weight: float = 1.0, parked: float = 0.0, scope: Scope | None = None,
    chunk: int | None = None, by_lane: tuple[str, ...] | None = None,
) -> Plan:  # fmt: skip
    """Return the plan for resolved configs.

    Args:
        configs: resolved configs.
        sizes: the shapes of the data.
        lanes_each: lanes that each config stands for, replicates x folds.
        costs: the device; by default the nominal one.
        tile: lanes in a tile; by default the planner's choice.
        share: of their epochs those that lanes are expected to train, if a scheduler stops some of them. It is as
            if so many of them trained to their ends, which is what the last of them do.
        part: of the lanes those that are there at a time, if they come in batches: no tile is larger than they fill.
        frame: shapes that were chosen for a whole search. What fits into one of them trains in the smallest that it
            fits into; others have buckets of their own.
        ready: those of them whose programs are there already.
        weight: how many configs each of these stands for.
        parked: of the lanes that are there at a time those that may stand still together, each with its weights and
            the optimizer's, while a scheduler decides. That they fit into memory is not asked for.
        scope: what the programs hold; by default what these configs use.
        chunk: rows of a batch that are trained on at a time, where they are independent; by default the planner's
            choice.
        by_lane: which of optimizer and activation lanes of a tile have each for itself; by default the planner's
            choice.
    """
    costs = costs or Costs()
    scope = scope or of_configs(configs)
    chunks = Chunks(costs.chunks if scope.independent_rows else (), chunk if scope.independent_rows else None)
    shapes = [(layer_widths(config, sizes.outputs), config["batch_size"]) for config in configs]
    steps = np.array([config["epochs"] * -(-sizes.rows // config["batch_size"]) for config in configs], np.float64)
    steps *= share * weight
    asked = _Asked(configs, shapes, steps, lanes_each, sizes, costs, scope, chunks, tile, by_lane, share, part, weight)
    buckets: list[Bucket] = []
    rest = list(range(len(shapes)))
    if frame:
        framed, rest = _framed(shapes, frame, sizes)
        for shape, chosen in framed.items():
            bucket = _bucket(asked, chosen, shape)
            buckets.append(replace(bucket, compile_seconds=0.0) if shape in ready else bucket)
    for depth in sorted({len(shapes[i][0]) for i in rest}):
        members = [i for i in rest if len(shapes[i][0]) == depth]
        widths = np.array([shapes[i][0] for i in members], dtype=np.int64).reshape(len(members), depth)
        batch = np.array([shapes[i][1] for i in members], dtype=np.int64)
        for group in _merge(widths, batch, steps[members] * lanes_each, sizes, costs, chunks):
            buckets.append(_bucket(asked, [members[i] for i in group]))
    buckets.sort(key=lambda bucket: -bucket.seconds)
    lanes = round(len(configs) * lanes_each * weight)
    running = sum(bucket.seconds for bucket in buckets)
    compiling = sum(bucket.compile_seconds for bucket in buckets)
    workers, memory, room = _fitting(buckets, sizes, costs)
    still = int(parked * part * sum(bucket.lanes * parked_bytes(bucket.widths, sizes, costs) for bucket in buckets))
    # Workers share everything but the last tiles; a lone compilation has the help of all, for what XLA can share out.
    at_once = min(workers, max(1, costs.workers // costs.turns))
    longest = max(LONE * b.compile_seconds + max(b.tile_seconds, b.seconds / at_once) for b in buckets)
    padded = [bucket.padded_flops for bucket in buckets]
    useful = [flops / (1 + bucket.padding_waste) for flops, bucket in zip(padded, buckets, strict=True)]
    return Plan(
        buckets=buckets,
        predicted_seconds=max((running + compiling) / at_once, longest),
        predicted_bytes=max(memory + still, int(costs.reached)),
        compile_seconds=compiling,
        padding_waste=max(0.0, sum(padded) / max(sum(useful), 1) - 1),  # rounding makes less of none
        useful_flops=float(sum(useful)) * lanes_each,
        lane_steps=int(steps.sum()) * lanes_each,
        lanes=lanes,
        workers=workers,
        at_once=at_once,
        room=room,
        parked_bytes=still,
    )  # fmt: skip


def _fitting(buckets: Sequence[Bucket], sizes: Sizes, costs: Costs) -> tuple[int, int, float]:
    """Return how many workers may hold a tile at a time so that these fit into memory, the bytes that takes, and room.

    Bytes are those of one device; every device has as many workers.

    Raises:
        RequestError: not even one tile of the largest bucket fits.
    """
    largest = sorted((bucket.bytes for bucket in buckets), reverse=True)
    process = max(costs.process_bytes, costs.held + costs.coming)
    fixed = int(process + costs.program_bytes * len(buckets)) + data_bytes(sizes, costs)
    for workers in range(max(1, costs.workers // costs.devices), 0, -1):
        total = fixed + sum(largest[:1] * workers if len(largest) < workers else largest[:workers])
        if total <= costs.memory:
            return workers * costs.devices, total, costs.memory - fixed
    raise RequestError(
        f"a sweep of these shapes needs {(fixed + largest[0]) / 2**30:.1f} GiB of memory and {costs.memory / 2**30:.1f}"
        " are available: narrower or shallower networks, or smaller batches, would fit"
    )


class _Asked(NamedTuple):
    """What a plan is asked for; see `make_plan`."""

    configs: Sequence[Config]
    shapes: Sequence[tuple[tuple[int, ...], int]]  # of each config, widths and batch size
    steps: NDArray[np.float64]  # [configs], of the lanes of each
    lanes_each: int
    sizes: Sizes
    costs: Costs
    scope: Scope
    chunks: Chunks
    tile: int | None
    by_lane: tuple[str, ...] | None
    share: float
    part: float
    weight: float


def _bucket(asked: _Asked, members: list[int], shape: Shape | None = None) -> Bucket:
    """Return the bucket of some configs, of the shape that they need or of the one given."""
    configs, sizes, costs = asked.configs, asked.sizes, asked.costs
    shapes = [asked.shapes[i] for i in members]
    own = np.array([batch for _, batch in shapes], np.int64)
    batches, which = np.unique(own, return_inverse=True)
    # Steps of all members with each batch size.
    of_batches = np.bincount(which.ravel(), weights=asked.steps[members]).astype(np.float64)
    if shape is None:
        widths = tuple(np.max([widths for widths, _ in shapes], axis=0).astype(int).tolist())
        batch, padded_widths = int(own.max()), any(each != widths for each, _ in shapes)
        tile, ways = asked.tile, _ways(asked, members)
    else:
        widths, batch, tile, padded_widths, chunk, by_lane = shape
        ways = [by_lane]
    wide = np.array([widths], np.int64).reshape(1, -1)
    if shape is None:
        chunk = _chunk(wide, batches, of_batches, sizes, costs, asked.chunks)
    mean_steps = of_batches / (len(members) * asked.share * asked.weight)  # of a lane that trains to its end
    mean_epochs = float(np.mean([configs[i]["epochs"] for i in members]))
    stops = any(configs[i]["patience"] for i in members)
    beginning = costs.lane + costs.draw * float(parameters(wide, sizes)[0])
    room = costs.memory / (2 * costs.nominal_workers)
    fitting = [t for t in TILES if t <= costs.widest and tile_bytes(widths, chunk, t, sizes, costs) <= room] or [1]
    if tile is not None:
        fitting = [tile]

    def tile_seconds(tile: int, by_lane: tuple[str, ...]) -> float:
        step = _of_batches(wide, batches, batch, chunk, tile, sizes, costs)[0]
        step = step + costs.switch * _switches(asked, members, len(widths), by_lane)
        step = step + tile * _further(asked, wide, chunked_rows(batches, chunk), by_lane)
        training = float(mean_steps @ step) + mean_epochs * epoch_seconds(wide, tile, sizes, costs)[0]
        return float(training * (1 + stops * IDLE * np.log2(tile)) + tile * beginning)

    def tiles(tile: int, by_lane: tuple[str, ...]) -> float:
        groups = Counter(alike(configs[i], by_lane) for i in members)
        counts = np.array(list(groups.values())) * asked.lanes_each * asked.share * asked.weight
        return float(np.ceil(counts * asked.part / tile).sum() / asked.part)

    def elapsed(tile: int, by_lane: tuple[str, ...]) -> float:
        rounds = np.ceil(asked.part * tiles(tile, by_lane) / costs.nominal_workers) / asked.part
        return float(rounds) * tile_seconds(tile, by_lane)

    took = {by_lane: {tile: elapsed(tile, by_lane) for tile in fitting} for by_lane in ways}
    by_lane = min(took, key=lambda by_lane: min(took[by_lane].values()))
    most = (1 + costs.slack) * min(took[by_lane].values())
    best = min(tile for tile in fitting if took[by_lane][tile] <= most)
    if (
        tile is None and asked.share < 1
    ):  # slots are filled again and again, at the host's expense, once for all of a tile
        best = min(2 * best, max(fitting))
    true = np.array([widths for widths, _ in shapes], np.int64).reshape(len(members), -1)
    useful = float((kernel_flops(true, sizes) * own * asked.steps[members]).sum())
    padded = float(kernel_flops(wide, sizes)[0]) * float(chunked_rows(batches, chunk) @ of_batches)
    seconds = costs.slower * tile_seconds(best, by_lane)
    return Bucket(
        widths, batch, members, round(len(members) * asked.lanes_each * asked.weight), best, padded / useful - 1,
        tile_bytes(widths, chunk, best, sizes, costs), tiles(best, by_lane) * seconds, seconds,
        costs.slower_compiling * costs.compiling(len(widths), _choices(configs, members)), chunk,
        padded, padded_widths, by_lane,
    )  # fmt: skip


def _ways(asked: _Asked, members: Sequence[int]) -> list[tuple[str, ...]]:
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


def _framed(
    shapes: Sequence[tuple[tuple[int, ...], int]], frame: Sequence[Shape], sizes: Sizes
) -> tuple[dict[Shape, list[int]], list[int]]:
    """Return the members of each shape of a frame that has any, and those that fit into none."""
    dearest_last = sorted(frame, key=lambda shape: _flops(shape, sizes))
    homes = {each: next((s for s in dearest_last if s.holds(*each)), None) for each in set(shapes)}
    framed: dict[Shape, list[int]] = {}
    rest = []
    for i, each in enumerate(shapes):
        home = homes[each]
        if home is None:
            rest.append(i)
        else:
            framed.setdefault(home, []).append(i)
    return framed, rest


def _flops(shape: Shape, sizes: Sizes) -> float:
    return float(kernel_flops(np.array([shape.widths], np.int64).reshape(1, -1), sizes)[0]) * shape.chunk


def _choices(configs: Sequence[Config], members: Sequence[int]) -> int:
    """Return how many pieces of code a program holds beyond one of each kind."""
    return sum(len({configs[i][name] for i in members}) - 1 for name in CATEGORICAL)


def _switches(asked: _Asked, members: Sequence[int], depth: int, by_lane: tuple[str, ...]) -> int:
    """Return how often a step chooses between pieces of code: forth and back in each layer, and once to update."""
    mixed = {
        name: name not in by_lane and len({asked.configs[i][name] for i in members}) > 1
        for name in ("activation", "norm", "optimizer")
    }
    return 2 * depth * (mixed["activation"] + mixed["norm"]) + mixed["optimizer"]


def _further(
    asked: _Asked, wide: NDArray[np.int64], rows: NDArray[np.int64], by_lane: tuple[str, ...]
) -> NDArray[np.float64]:
    """Return the seconds of a lane's step for what others have by themselves, [batches], with so many rows."""
    count = {name: len(asked.scope.values(name)) - 1 if name in by_lane else 0 for name in BY_LANE}
    of_units = count["activation"] * asked.costs.activation * float(wide.sum())
    of_weights = count["optimizer"] * asked.costs.optimizer * float(parameters(wide, asked.sizes)[0])
    return np.asarray(of_units * rows + of_weights, np.float64)


def alike(config: Config, by_lane: tuple[str, ...] = ()) -> Alike:
    """Return what the lanes of one tile share beside its shape, so that a branch stays a branch."""
    optimizer, activation, norm = (
        None if name in by_lane else config[name] for name in ("optimizer", "activation", "norm")
    )
    return optimizer, activation, norm


def _of_batches(
    widths: NDArray[np.int64], batches: NDArray[np.int64], padded: ArrayLike, chunk: int | None, tile: int,
    sizes: Sizes, costs: Costs,
) -> NDArray[np.float64]:  # fmt: skip
    """Return the seconds of a tile's step for widths [shapes, depth] and batch sizes [batches], [shapes, batches].

    Each batch is trained on in chunks of `chunk` rows, or, where there is none or it holds it all, is `padded` rows.
    """
    wide = widths[:, None, :]
    whole = np.broadcast_to(np.asarray(padded, np.int64).reshape(-1, 1), (len(widths), len(batches)))
    if chunk is None or np.all(whole <= chunk):
        return step_seconds(wide, whole, tile, sizes, costs)
    return step_seconds(wide, np.broadcast_to(batches, whole.shape), tile, sizes, costs, chunk)


def _chunk(
    widths: NDArray[np.int64], batches: NDArray[np.int64], steps: NDArray[np.float64], sizes: Sizes, costs: Costs,
    chunks: Chunks,
) -> int:  # fmt: skip
    """Return in chunks of how many rows batches of these sizes, [batches], with so many steps, are best trained on."""
    largest = int(batches.max())
    if chunks.fixed is not None:
        return min(chunks.fixed, largest)
    cost = {
        chunk: float((_fastest(widths, batches, largest, chunk, sizes, costs) @ steps)[0])
        for chunk in (largest, *(chunk for chunk in chunks.legal if chunk < largest))
    }
    return min(cost, key=cost.__getitem__)


def _merge(
    widths: NDArray[np.int64], batch: NDArray[np.int64], steps: NDArray[np.float64], sizes: Sizes, costs: Costs,
    chunks: Chunks,
) -> list[list[int]]:  # fmt: skip
    """Return groups of members, merged pair by pair as long as that saves more compilation than it costs to pad.

    Both are counted in seconds of one worker, since workers share both.
    """
    keys = np.concatenate([widths, batch[:, None]], axis=1)
    most = MOST_CHUNKED if chunks.legal else MOST_SHAPES
    if chunks.legal and len(np.unique(keys, axis=0)) > most:
        keys = np.pad(widths, ((0, 0), (0, 1)), constant_values=1)
    if len(np.unique(keys, axis=0)) > most:  # the pairs of very many shapes: begin with a fine geometric grid
        keys = np.ceil(2 ** (np.ceil(np.log2(keys) * 8) / 8) - 1e-9).astype(np.int64)
    unique, inverse = np.unique(keys, axis=0, return_inverse=True)
    inverse = inverse.ravel()
    groups = [np.flatnonzero(inverse == k).tolist() for k in range(len(unique))]
    tops = np.array([np.concatenate([widths[g].max(axis=0), [batch[g].max()]]) for g in groups])
    batches, kinds = _kinds(batch)
    load = np.array([np.bincount(kinds[g], weights=steps[g], minlength=len(batches)) for g in groups])

    def cost(tops: NDArray[np.int64], load: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the seconds of groups with these largest shapes, and steps [groups, batches]."""
        wide, largest = tops[:, :-1], tops[:, -1]
        one = np.array([1], np.int64)  # of batches that are all padded to the largest, it does not matter how many
        whole = _fastest(wide, one, largest, None, sizes, costs)[:, 0] * load.sum(axis=1)
        in_chunks = [
            (_fastest(wide, batches, largest, chunk, sizes, costs) * load).sum(axis=1) for chunk in chunks.legal
        ]
        found: NDArray[np.float64] = np.min([whole, *in_chunks], axis=0)
        return found

    compilation = costs.compiling(widths.shape[1], 0)
    own = cost(tops, load)
    alive = list(range(len(groups)))
    saving = np.full((len(groups), len(groups)), -np.inf)

    def refresh(i: int) -> None:
        others = np.array([j for j in alive if j != i], dtype=np.int64)
        if len(others):
            merged = cost(np.maximum(tops[others], tops[i]), load[others] + load[i])
            gain = compilation - (merged - own[others] - own[i])
            saving[i, others] = gain
            saving[others, i] = gain

    for i in alive:
        refresh(i)
    while len(alive) > 1:
        i, j = divmod(int(np.argmax(saving)), len(groups))
        if saving[i, j] <= 0:
            break
        groups[i] = sorted(groups[i] + groups[j])
        tops[i] = np.maximum(tops[i], tops[j])
        load[i] += load[j]
        own[i] = cost(tops[i : i + 1], load[i : i + 1])[0]
        alive.remove(j)
        saving[j, :] = saving[:, j] = -np.inf
        refresh(i)
    return [groups[i] for i in alive]


def _kinds(batch: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return a few batch sizes that stand for all, smallest first, and for each the one that does: none is smaller."""
    sizes = np.unique(batch)
    if len(sizes) > MOST_BATCHES:
        sizes = np.unique(np.quantile(sizes, np.linspace(0, 1, MOST_BATCHES), method="higher"))
    return sizes, np.searchsorted(sizes, batch)


def _fastest(
    widths: NDArray[np.int64], batches: NDArray[np.int64], padded: ArrayLike, chunk: int | None, sizes: Sizes,
    costs: Costs,
) -> NDArray[np.float64]:  # fmt: skip
    """Return the seconds of one lane's step, [shapes, batches], in the best of a few tile sizes; see `_of_batches`."""
    best: NDArray[np.float64] = np.min(
        [_of_batches(widths, batches, padded, chunk, tile, sizes, costs) / tile for tile in (1, 4, 16, 64)], axis=0
    )
    return best

"""How configs are put into buckets and tiles, with predicted time, memory and padding waste.

A bucket is compiled once, for the largest widths and batch size among its members. Padding costs arithmetic and
saves compilations; which is dearer is computed here. No device array is touched.
"""

import html
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxsweep.engine.costs import (
    Costs,
    Sizes,
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
from jaxsweep.spec.scope import CATEGORICAL

IDLE = 0.1  # loss to lanes that stop early and leave their slots empty, for each doubling of the tile
LONE = 0.85  # of the seconds of one core, those that a compilation takes when no other is under way
TILES = tuple(2**power for power in range(15))


class Shape(NamedTuple):
    """What a bucket's program is compiled for; a search that asks in batches has the same few for all of them."""

    widths: tuple[int, ...]
    batch_size: int
    tile: int
    padded: bool  # whether narrower networks than these train in it

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
    `batch_size` are the padded shapes.
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
    padded: bool = True  # whether any of its networks is narrower

    @property
    def shape(self) -> Shape:
        """What its program is compiled for."""
        return Shape(self.widths, self.batch_size, self.tile, self.padded)

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
            f"<tr><td>{b.depth}</td><td>{list(b.widths)}</td><td>{b.batch_size}</td><td>{b.lanes}</td>"
            f"<td>{b.tile}</td><td>{b.padding_waste:.0%}</td></tr>"
            for b in self.buckets
        )
        return f"<p>{html.escape(repr(self))}</p><table>{head}{rows}</table>"


def make_plan(
    configs: Sequence[Config], sizes: Sizes, lanes_each: int = 1, costs: Costs | None = None, tile: int | None = None,
    share: float = 1.0, part: float = 1.0, frame: Sequence[Shape] = (),
    ready: Collection[Shape] = (), weight: float = 1.0, parked: float = 0.0,
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
    """
    costs = costs or Costs()
    shapes = [(layer_widths(config, sizes.outputs), config["batch_size"]) for config in configs]
    steps = np.array([config["epochs"] * -(-sizes.rows // config["batch_size"]) for config in configs], np.float64)
    steps *= share * weight
    buckets: list[Bucket] = []
    rest = list(range(len(shapes)))
    if frame:
        framed, rest = _framed(shapes, frame, sizes)
        for shape, chosen in framed.items():
            bucket = _bucket(configs, shapes, steps, chosen, lanes_each, sizes, costs, tile, share, part, shape, weight)
            buckets.append(replace(bucket, compile_seconds=0.0) if shape in ready else bucket)
    for depth in sorted({len(shapes[i][0]) for i in rest}):
        members = [i for i in rest if len(shapes[i][0]) == depth]
        widths = np.array([shapes[i][0] for i in members], dtype=np.int64).reshape(len(members), depth)
        batch = np.array([shapes[i][1] for i in members], dtype=np.int64)
        for group in _merge(widths, batch, steps[members] * lanes_each, sizes, costs):
            chosen = [members[i] for i in group]
            buckets.append(
                _bucket(configs, shapes, steps, chosen, lanes_each, sizes, costs, tile, share, part, None, weight)
            )
    buckets.sort(key=lambda bucket: -bucket.seconds)
    lanes = round(len(configs) * lanes_each * weight)
    running = sum(bucket.seconds for bucket in buckets)
    compiling = sum(bucket.compile_seconds for bucket in buckets)
    workers, memory, room = _fitting(buckets, sizes, costs)
    still = int(parked * part * sum(bucket.lanes * parked_bytes(bucket.widths, sizes, costs) for bucket in buckets))
    # Workers share everything but the last tiles; a lone compilation has the help of all, for what XLA can share out.
    at_once = min(workers, max(1, costs.workers // costs.turns))
    longest = max(LONE * b.compile_seconds + max(b.tile_seconds, b.seconds / at_once) for b in buckets)
    padded = [
        steps[b.members].sum() * b.batch_size * float(kernel_flops(np.array(b.widths, np.int64), sizes))
        for b in buckets
    ]
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


def _bucket(
    configs: Sequence[Config],
    shapes: Sequence[tuple[tuple[int, ...], int]],
    steps: NDArray[np.float64],
    members: list[int],
    lanes_each: int,
    sizes: Sizes,
    costs: Costs,
    tile: int | None,
    share: float,
    part: float = 1.0,
    shape: Shape | None = None,
    weight: float = 1.0,
) -> Bucket:
    if shape is None:
        widths = tuple(int(w) for w in np.max([shapes[i][0] for i in members], axis=0)) if shapes[members[0]][0] else ()
        batch, padded_widths = max(shapes[i][1] for i in members), any(shapes[i][0] != widths for i in members)
    else:
        widths, batch, tile, padded_widths = shape
    groups = Counter(uniform_key(configs[i]) for i in members)
    counts = np.array(list(groups.values())) * lanes_each * share * weight
    wide, batches = np.array([widths], np.int64).reshape(1, -1), np.array([batch], np.int64)
    mean_steps = float(np.mean(steps[members])) / (share * weight)  # of a lane that trains to its end
    mean_epochs = float(np.mean([configs[i]["epochs"] for i in members]))
    stops = any(configs[i]["patience"] for i in members)
    switches = costs.switch * _switches(configs, members, len(widths))
    beginning = costs.lane + costs.draw * float(parameters(wide, sizes)[0])

    def tile_seconds(tile: int) -> float:
        step = step_seconds(wide, batches, tile, sizes, costs)[0] + switches
        training = mean_steps * step + mean_epochs * epoch_seconds(wide, tile, sizes, costs)[0]
        return float(training * (1 + stops * IDLE * np.log2(tile)) + tile * beginning)

    def tiles(tile: int) -> float:
        return float(np.ceil(counts * part / tile).sum() / part)

    def elapsed(tile: int) -> float:
        return float(np.ceil(part * tiles(tile) / costs.nominal_workers)) / part * tile_seconds(tile)

    room = costs.memory / (2 * costs.nominal_workers)
    fitting = [t for t in TILES if t <= costs.widest and tile_bytes(widths, batch, t, sizes, costs) <= room] or [1]
    took = {t: elapsed(t) for t in fitting}
    best = tile or min(t for t in fitting if took[t] <= (1 + costs.slack) * min(took.values()))
    if tile is None and share < 1:  # slots are filled again and again, at the host's expense, once for all of a tile
        best = min(2 * best, max(fitting))
    true = np.array([shapes[i][0] for i in members], np.int64).reshape(len(members), -1)
    useful = kernel_flops(true, sizes) * np.array([shapes[i][1] for i in members])
    padded = float(kernel_flops(wide, sizes)[0]) * batch
    waste = padded * steps[members].sum() / float((useful * steps[members]).sum()) - 1
    return Bucket(
        widths, batch, members, round(len(members) * lanes_each * weight), best, waste,
        tile_bytes(widths, batch, best, sizes, costs),
        costs.slower * tiles(best) * tile_seconds(best), costs.slower * tile_seconds(best),
        costs.slower_compiling * costs.compiling(len(widths), _choices(configs, members)), padded_widths,
    )  # fmt: skip


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
    return float(kernel_flops(np.array([shape.widths], np.int64).reshape(1, -1), sizes)[0]) * shape.batch_size


def _choices(configs: Sequence[Config], members: Sequence[int]) -> int:
    """Return how many pieces of code a program holds beyond one of each kind."""
    return sum(len({configs[i][name] for i in members}) - 1 for name in CATEGORICAL)


def _switches(configs: Sequence[Config], members: Sequence[int], depth: int) -> int:
    """Return how often a step chooses between pieces of code: forth and back in each layer, and once to update."""
    mixed = {name: len({configs[i][name] for i in members}) > 1 for name in ("activation", "norm", "optimizer")}
    return 2 * depth * (mixed["activation"] + mixed["norm"]) + mixed["optimizer"]


def uniform_key(config: Config) -> tuple[str, str, str]:
    """Return what the lanes of one tile share beside its shape, so that a branch stays a branch."""
    return config["optimizer"], config["activation"], config["norm"]


def _merge(
    widths: NDArray[np.int64], batch: NDArray[np.int64], steps: NDArray[np.float64], sizes: Sizes, costs: Costs
) -> list[list[int]]:
    """Return groups of members, merged pair by pair as long as that saves more compilation than it costs to pad.

    Both are counted in seconds of one worker, since workers share both.
    """
    keys = np.concatenate([widths, batch[:, None]], axis=1)
    if len(np.unique(keys, axis=0)) > 300:  # the pairs of very many shapes: begin with a fine geometric grid
        keys = np.ceil(2 ** (np.ceil(np.log2(keys) * 8) / 8) - 1e-9).astype(np.int64)
    unique, inverse = np.unique(keys, axis=0, return_inverse=True)
    inverse = inverse.ravel()
    groups = [np.flatnonzero(inverse == k).tolist() for k in range(len(unique))]
    tops = np.array([np.concatenate([widths[g].max(axis=0), [batch[g].max()]]) for g in groups])
    load = np.array([steps[g].sum() for g in groups])

    def cost(tops: NDArray[np.int64], load: NDArray[np.float64]) -> NDArray[np.float64]:
        return load * _lane_step(tops[:, :-1], tops[:, -1], sizes, costs)

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


def _lane_step(widths: NDArray[np.int64], batch: NDArray[np.int64], sizes: Sizes, costs: Costs) -> NDArray[np.float64]:
    """Return the seconds of one lane's step in the best of a few tile sizes."""
    best: NDArray[np.float64] = np.min(
        [step_seconds(widths, batch, tile, sizes, costs) / tile for tile in (1, 4, 16, 64)], axis=0
    )
    return best

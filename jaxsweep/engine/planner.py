"""How configs are put into buckets and tiles, with predicted time, memory and padding waste.

A bucket is compiled once, for the largest widths and batch size among its members. Padding costs arithmetic and
saves compilations; which is dearer is computed here. No device array is touched.
"""

import html
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from jaxsweep.engine.costs import (
    Costs,
    Sizes,
    data_bytes,
    kernel_flops,
    parked_bytes,
    tile_bytes,
)
from jaxsweep.engine.merging import best_batches, continued, merged, padded, padded_batch
from jaxsweep.engine.tiling import Asked, Form, tiled
from jaxsweep.errors import RequestError
from jaxsweep.spec.hyperparameters import Config, epoch_steps, layer_widths
from jaxsweep.spec.scope import CATEGORICAL, Scope, of_configs

LONE = 0.85  # of the seconds of one core, those that a compilation takes when no other is under way


class Shape(NamedTuple):
    """What a bucket's program is compiled for; a search that asks in batches has the same few for all of them."""

    widths: tuple[int, ...]
    batches: tuple[int, ...]  # sizes that batches are padded to, smallest first
    tile: int
    padded: bool  # whether narrower networks than these train in it
    by_lane: tuple[str, ...] = ()  # what the lanes of a tile have each for itself
    shallower: bool = False  # whether networks with fewer hidden layers train in it

    def holds(self, widths: tuple[int, ...], batch_size: int) -> bool:
        """Return whether lanes of a network can train in it."""
        alike = len(widths) == len(self.widths) or (self.shallower and 0 < len(widths) < len(self.widths))
        if not alike or batch_size > self.batches[-1]:
            return False
        full = continued(widths, len(self.widths))
        fits = all(own <= padded for own, padded in zip(full, self.widths, strict=True))
        return fits and (self.padded or full == self.widths)


@dataclass
class Bucket:
    """Lanes that share one compiled program.

    `members` are positions in the planned configs, each of which stands for `lanes_each` lanes; `widths` and `batches`
    are the padded shapes: a batch is padded to the smallest of these sizes that holds it.
    """

    widths: tuple[int, ...]
    batches: tuple[int, ...]
    members: list[int] = field(repr=False)
    lanes: int
    tile: int
    padding_waste: float
    bytes: int
    seconds: float  # of one worker, for all its lanes ...
    tile_seconds: float  # ... for one tile ...
    compile_seconds: float  # ... and for compiling
    padded_flops: float  # of the training steps of one lane of each of its members
    padded: bool = True  # whether any of its networks is narrower
    by_lane: tuple[str, ...] = ()  # what the lanes of a tile have each for itself, of optimizer and activation
    shallower: bool = False  # whether any of its networks has fewer hidden layers

    @property
    def shape(self) -> Shape:
        """What its program is compiled for."""
        return Shape(
            self.widths, self.batches, self.tile, self.padded, self.by_lane, self.shallower
        )  # fmt: skip

    @property
    def batch_size(self) -> int:
        """The largest size that batches are padded to."""
        return self.batches[-1]

    @property
    def depth(self) -> int:
        """The number of hidden layers."""
        return len(self.widths)

    @property
    def depths(self) -> str:
        """The number of hidden layers, in words where some networks have fewer."""
        return f"up to {self.depth}" if self.shallower else str(self.depth)


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
            f"about {rounded(self.predicted_seconds)} s, {rounded(self.predicted_bytes / 2**30)} GiB)"
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
            f"<tr><td>{b.depths}</td><td>{list(b.widths)}</td><td>{list(b.batches)}</td><td>{b.lanes}</td>"
            f"<td>{b.tile}</td><td>{b.padding_waste:.0%}</td></tr>"
            for b in self.buckets
        )
        return f"<p>{html.escape(repr(self))}</p><table>{head}{rows}</table>"


def rounded(number: float) -> str:
    """Return what is only predicted, in as many digits as mean something: 0.64, 7.5, 120."""
    return f"{float(f'{number:.2g}'):g}"


def make_plan(
    configs: Sequence[Config], sizes: Sizes, lanes_each: int = 1, costs: Costs | None = None, tile: int | None = None,
    share: float = 1.0, part: float = 1.0, frame: Sequence[Shape] = (),
    ready: Collection[Shape] = (), weight: float = 1.0, parked: float = 0.0, scope: Scope | None = None,
    batches: tuple[int, ...] | None = None, by_lane: tuple[str, ...] | None = None,
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
        batches: sizes that batches are padded to, smallest first, beside that of the largest batch; by default the
            planner's choice.
        by_lane: which of optimizer and activation lanes of a tile have each for itself; by default the planner's
            choice.
    """
    costs = costs or Costs()
    scope = scope or of_configs(configs)
    shapes = [(layer_widths(config, sizes.outputs), config["batch_size"]) for config in configs]
    steps = np.array([config["epochs"] * epoch_steps(config, sizes.rows) for config in configs], np.float64)
    steps *= share * weight
    asked = Asked(configs, shapes, steps, lanes_each, sizes, costs, scope, batches, tile, by_lane, share, part, weight)
    buckets: list[Bucket] = []
    rest = list(range(len(shapes)))
    if frame:
        framed, rest = _framed(shapes, frame, sizes)
        for shape, chosen in framed.items():
            bucket = _bucket(asked, chosen, shape)
            buckets.append(replace(bucket, compile_seconds=0.0) if shape in ready else bucket)
    for group in merged([shapes[i] for i in rest], steps[rest] * lanes_each, sizes, costs):
        buckets.append(_bucket(asked, [rest[i] for i in group]))
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


def _bucket(asked: Asked, members: list[int], shape: Shape | None = None) -> Bucket:
    """Return the bucket of some configs, of the shape that they need or of the one given."""
    sizes, costs = asked.sizes, asked.costs
    shapes = [asked.shapes[i] for i in members]
    depths, of_depths = np.unique([len(widths) for widths, _ in shapes], return_inverse=True)
    own, of_batches = np.unique(np.array([batch for _, batch in shapes], np.int64), return_inverse=True)
    # Steps of all members with each depth and batch size, [depths, batches].
    load = np.zeros((len(depths), len(own)))
    np.add.at(load, (of_depths.ravel(), of_batches.ravel()), asked.steps[members])
    if shape is None:
        deepest = int(depths.max())
        full = [continued(widths, deepest) for widths, _ in shapes]
        widths = tuple(np.max(full, axis=0).astype(int).tolist())
        if asked.batches is None:
            batches = best_batches(widths, depths, own, load * asked.lanes_each, sizes, costs)
        else:
            batches = (*(size for size in asked.batches if size < own[-1]), int(own[-1]))
        form, narrower = Form(widths, batches, len(depths) > 1), any(each != widths for each in full)
    else:
        form, narrower = Form(shape.widths, shape.batches, shape.shallower), shape.padded
        asked = asked._replace(tile=shape.tile, by_lane=shape.by_lane)
    tiling = tiled(asked, members, form)
    compiling = costs.compiling(len(form.widths), _choices(asked.configs, members), len(form.batches))
    wide = np.array([form.widths], np.int64).reshape(1, -1)
    of_widths: dict[tuple[int, ...], float] = {}  # examples that are trained on
    for i, (each, batch) in zip(members, shapes, strict=True):
        of_widths[each] = of_widths.get(each, 0.0) + batch * float(asked.steps[i])
    useful = sum(
        float(kernel_flops(np.array([each], np.int64).reshape(1, -1), sizes)[0]) * examples
        for each, examples in of_widths.items()
    )
    rows = padded(own, form.batches)
    computed = sum(
        float(kernel_flops(wide[:, :depth], sizes)[0]) * float(rows @ steps)
        for depth, steps in zip(depths, load, strict=True)
    )
    return Bucket(
        widths=form.widths,
        batches=form.batches,
        members=members,
        lanes=round(len(members) * asked.lanes_each * asked.weight),
        tile=tiling.tile,
        padding_waste=float(computed / useful - 1),
        bytes=tile_bytes(form.widths, form.batches[-1], tiling.tile, sizes, costs),
        seconds=costs.slower * tiling.seconds,
        tile_seconds=costs.slower * tiling.tile_seconds,
        compile_seconds=costs.slower_compiling * compiling,
        padded_flops=computed,
        padded=narrower,
        by_lane=tiling.by_lane,
        shallower=form.shallower,
    )


def _framed(
    shapes: Sequence[tuple[tuple[int, ...], int]], frame: Sequence[Shape], sizes: Sizes
) -> tuple[dict[Shape, list[int]], list[int]]:
    """Return the members of each shape of a frame that has any, and those that fit into none."""
    homes = {each: _home(*each, frame, sizes) for each in set(shapes)}
    framed: dict[Shape, list[int]] = {}
    rest = []
    for i, each in enumerate(shapes):
        home = homes[each]
        if home is None:
            rest.append(i)
        else:
            framed.setdefault(home, []).append(i)
    return framed, rest


def _home(widths: tuple[int, ...], batch_size: int, frame: Sequence[Shape], sizes: Sizes) -> Shape | None:
    """Return the shape of a frame in which a network costs least arithmetic, if it fits into any."""
    fitting = [shape for shape in frame if shape.holds(widths, batch_size)]
    if not fitting:
        return None

    def flops(shape: Shape) -> float:
        own = np.array([shape.widths[: len(widths)]], np.int64).reshape(1, -1)
        return float(kernel_flops(own, sizes)[0]) * padded_batch(batch_size, shape.batches)

    return min(fitting, key=flops)


def _choices(configs: Sequence[Config], members: Sequence[int]) -> int:
    """Return how many pieces of code a program holds beyond one of each kind."""
    return sum(len({configs[i][name] for i in members}) - 1 for name in CATEGORICAL)

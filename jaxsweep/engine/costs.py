"""What training costs on a device: seconds of a step, an epoch and a compilation, and bytes of a tile.

A model of a few numbers, from which plans choose buckets and tiles. Everything is counted from shapes alone.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxsweep.data import Prepared


@dataclass(frozen=True)
class Sizes:
    """The shapes of the data."""

    rows: int  # training rows of the largest split
    val_rows: int
    test_rows: int
    features: int
    outputs: int
    splits: int
    train_metrics: bool = False  # whether training rows are evaluated as validation rows are

    @property
    def evaluated(self) -> int:
        """Return the rows that a network is evaluated on after each epoch."""
        return self.val_rows + (self.rows if self.train_metrics else 0)


def sizes_of(data: Prepared, train_metrics: bool = False) -> Sizes:
    """Return the shapes of prepared data, and whether its training rows are evaluated."""
    return Sizes(
        rows=max(len(part) for part in data.train),
        val_rows=max(len(part) for part in data.val),
        test_rows=data.x_test.shape[1],
        features=data.x.shape[2],
        outputs=data.n_outputs,
        splits=len(data.train),
        train_metrics=train_metrics,
    )


@dataclass(frozen=True)
class Costs:
    """The cost model of a device; the defaults were fitted on a server CPU of 2 cores, in float32.

    They are nominal: every machine plans with the same numbers, `nominal_workers` among them, since the shapes of a
    plan decide the last bits of results. How much slower or faster a machine is scales what is predicted alone.
    """

    workers: int = 2  # threads that train, each a tile
    turns: int = 1  # workers that share a core or an accelerator by turns
    devices: int = 1  # over which the workers are spread, each with a memory of its own
    nominal_workers: int = 4  # that tiles are chosen for
    widest: int = 256  # most lanes of a tile
    slack: float = 0.0  # share of the nominal workers' time that is given up for smaller tiles, which more can share
    rate: float = 75e9  # FLOP/s of one worker in small matrix products
    cached: float = 35e9  # bytes/s of one worker from its caches ...
    bandwidth: float = 8e9  # ... and from memory
    cache_from: float = 5e6  # a tile's state begins to leave the cache at this many bytes ...
    cache_to: float = 14e6  # ... and has left it at this many
    call: float = 0.6e-6  # one operation, however small
    switch: float = 12e-6  # one choice of code that a step makes
    condition: float = 5e-6  # one question whether any network of a tile has a layer
    idle: float = 3.0  # times that a step goes over weights that no network of a tile has
    passes_by: bool = True  # whether networks may train in programs with more layers than they have
    activation: float = 0.4e-9  # one unit's activation and its derivative, beside another one ...
    optimizer: float = 0.4e-9  # ... and one weight's update, where lanes of a tile differ in these
    draw: float = 50e-9  # one initial weight
    shuffle: float = 20e-9  # one row in one epoch
    lane: float = 150e-6  # what the host does for one lane
    apart: float = 10.0  # operations of an epoch that the lanes of a tile do one after another
    weights_held: float = 13.0  # copies of the weights that a tile holds at its most
    weights_parked: float = 3.0  # and that a lane holds in this memory while it stands still: its own, and Adam's two
    several_batches: bool = True  # whether a program pads batches to one of several sizes, by tile, or to the largest
    layers_held: bool = True  # whether it holds what all layers of a batch gave, or of two at a time
    compilation: float = 2.6  # a program without layers, in seconds of one worker ...
    compilation_layer: float = 1.0  # ... for each layer
    compilation_choice: float = 0.3  # ... for each further optimizer, activation, schedule, ...
    compilation_batch: float = 0.7  # ... and for each layer in each further size to which it pads batches
    item_bytes: int = 4
    process_bytes: float = 600e6  # Python, JAX, Flax, Optax, scikit-learn, before the first program: at least that
    held: float = 0.0  # bytes that the process has when it plans, with the table and its features
    coming: float = 330e6  # bytes of what it imports and starts until the first program
    reached: float = 0.0  # bytes that it has had at most
    program_bytes: float = 25e6
    memory: float = math.inf  # bytes that the process may reach
    slower: float = 1.0  # this machine's time for what takes 1 s on the nominal one ...
    slower_compiling: float = 1.0  # ... and for compiling
    remark: str = ""  # what is to be said of these two, if anything

    def compiling(self, depth: int, choices: int, batches: int = 1) -> float:
        """Return the seconds of one worker that compiling a bucket's programs takes on the nominal machine."""
        further = self.compilation_choice * choices + self.compilation_batch * (depth + 1) * (batches - 1)
        return self.compilation + self.compilation_layer * (depth + 1) + further


def kernel_flops(widths: NDArray[np.int64], sizes: Sizes) -> NDArray[np.float64]:
    """Return multiply-adds x 2 of one example's forward and backward pass, for widths [..., depth].

    The backward pass costs twice the forward pass, but for the first layer, whose inputs need no gradient.
    """
    first, rest = _kernel_sizes(widths, sizes)
    flops: NDArray[np.float64] = 4.0 * first + 6.0 * rest
    return flops


def forward_flops(widths: NDArray[np.int64], sizes: Sizes) -> NDArray[np.float64]:
    """Return multiply-adds x 2 of one example's forward pass, for widths [..., depth]."""
    first, rest = _kernel_sizes(widths, sizes)
    flops: NDArray[np.float64] = 2.0 * (first + rest)
    return flops


def parameters(widths: NDArray[np.int64], sizes: Sizes) -> NDArray[np.float64]:
    """Return the number of kernel and bias entries, for widths [..., depth]."""
    first, rest = _kernel_sizes(widths, sizes)
    total: NDArray[np.float64] = first + rest + widths.sum(axis=-1) + sizes.outputs
    return total


def _kernel_sizes(widths: NDArray[np.int64], sizes: Sizes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shape = (*widths.shape[:-1], 1)
    ends = [np.full(shape, sizes.features), widths, np.full(shape, sizes.outputs)]
    full = np.concatenate(ends, axis=-1).astype(np.float64)
    products = full[..., :-1] * full[..., 1:]
    return products[..., 0], products[..., 1:].sum(axis=-1)


def step_seconds(
    widths: NDArray[np.int64], batch: NDArray[np.int64], tile: ArrayLike, sizes: Sizes, costs: Costs,
    held: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:  # fmt: skip
    """Return the predicted seconds of one training step of a full tile on one worker.

    Four parts: the fixed cost of every operation, arithmetic, the traffic of weights, gradients and optimizer state,
    which is cheap as long as a tile's state stays in cache, and that of activations. `batch` is as batches are padded;
    `held` is how many weights each lane has, where the program has more layers.
    """
    depth = widths.shape[-1]
    calls, passes = costs.call * (30 + 14 * (depth + 1)), 7.0
    flops = kernel_flops(widths, sizes) * batch
    size = parameters(widths, sizes) * costs.item_bytes
    whole = size if held is None else held * costs.item_bytes
    tile = np.asarray(tile, np.float64)
    state = tile * 4 * whole
    doublings = np.log2(costs.cache_to / state) / math.log2(costs.cache_to / costs.cache_from)
    share = np.clip(doublings, 0, 1)  # that the cache serves
    traffic = (passes * size + costs.idle * (whole - size)) * (share / costs.cached + (1 - share) / costs.bandwidth)
    elements = batch * (widths.sum(axis=-1) + 2 * sizes.features) * costs.item_bytes * 8
    total: NDArray[np.float64] = calls + tile * (flops / costs.rate + traffic + elements / costs.cached)
    return total


def epoch_seconds(widths: NDArray[np.int64], tile: int, sizes: Sizes, costs: Costs) -> NDArray[np.float64]:
    """Return the predicted seconds of what a full tile does once an epoch: it shuffles and evaluates."""
    arithmetic = forward_flops(widths, sizes) * sizes.evaluated / costs.rate
    elements = sizes.evaluated * (widths.sum(axis=-1) + 8 * sizes.outputs) * costs.item_bytes * 4 / costs.cached
    total: NDArray[np.float64] = 120 * costs.call + tile * (
        arithmetic + elements + costs.shuffle * sizes.rows + costs.apart * costs.call
    )
    return total


def tile_bytes(widths: tuple[int, ...], batch: int, tile: int, sizes: Sizes, costs: Costs) -> int:
    """Return the predicted bytes of one tile: what drawing its weights takes, activations, batches, orders."""
    wide = np.array([widths], dtype=np.int64)
    weights = float(parameters(wide, sizes)[0])
    rows = max(batch, min(sizes.val_rows, 512))
    activations = rows * (sum(widths) * 4 + 2 * sizes.features + 3 * sizes.outputs)
    if not costs.layers_held:
        activations = rows * max(map(sum, pairwise((sizes.features, *widths, sizes.outputs))))
    return int(tile * (costs.weights_held * weights + activations + sizes.rows + batch) * costs.item_bytes)


def parked_bytes(widths: tuple[int, ...], sizes: Sizes, costs: Costs) -> float:
    """Return the predicted bytes of one lane that stands still, in the memory that a plan counts."""
    weights = float(parameters(np.array([widths], dtype=np.int64), sizes)[0])
    return costs.weights_parked * weights * costs.item_bytes


def data_bytes(sizes: Sizes, costs: Costs) -> int:
    """Return the bytes of the data on the device."""
    rows = sizes.rows + sizes.val_rows + sizes.test_rows
    return sizes.splits * rows * (sizes.features + 1) * costs.item_bytes

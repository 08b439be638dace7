"""Which networks share a program: shapes are merged pair by pair, as long as that saves time.

A program has the largest widths, the largest batch and the most hidden layers of its networks. To compile one more
costs seconds, and so does the arithmetic on what a network does not have; which is dearer is computed here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxsweep.engine.costs import Costs, Sizes, parameters, step_seconds

MOST_SHAPES, MOST_CHUNKED = 300, 100  # shapes that are merged pair by pair, and where batches come in chunks
MOST_BATCHES = 8  # batch sizes that are told apart
SHARE = 8  # lanes that share what a tile does once, about
BESIDE = 0.25  # of networks that train in deeper programs, how many do so in tiles with deeper networks, about


class Chunks(NamedTuple):
    """In chunks of how many rows batches may be trained on."""

    legal: Sequence[int]
    fixed: int | None  # what is to be taken, whatever it costs


def continued(widths: tuple[int, ...], depth: int) -> tuple[int, ...]:
    """Return the widths of `depth` hidden layers: of those that a network does not have, that of its last one."""
    return widths + widths[-1:] * (depth - len(widths))


def conditions(depth: ArrayLike) -> NDArray[np.int64]:
    """Return how often a step asks whether any network has a layer: forth, back and in the update, of all but one."""
    return 3 * np.maximum(np.asarray(depth, np.int64) - 1, 0)


def merged(
    shapes: Sequence[tuple[tuple[int, ...], int]], steps: NDArray[np.float64], sizes: Sizes, costs: Costs,
    chunks: Chunks,
) -> list[list[int]]:  # fmt: skip
    """Return groups of shapes, by their positions, each of which is best served by a program of its own.

    Args:
        shapes: widths and batch size of each.
        steps: how many steps lanes of each take, [shapes].
        sizes: the shapes of the data.
        costs: the device.
        chunks: in chunks of how many rows batches may be trained on.
    """
    depths = [len(widths) for widths, _ in shapes]
    # A network without hidden layers has an output layer of another shape.
    families = [depth if depth == 0 or not costs.passes_by else -1 for depth in depths]
    found = []
    for family in sorted(set(families)):
        members = [i for i, own in enumerate(families) if own == family]
        groups = _merged([shapes[i] for i in members], steps[members], sizes, costs, chunks)
        found += [[members[i] for i in group] for group in groups]
    return found


def _merged(
    shapes: Sequence[tuple[tuple[int, ...], int]], steps: NDArray[np.float64], sizes: Sizes, costs: Costs,
    chunks: Chunks,
) -> list[list[int]]:  # fmt: skip
    """Return groups of shapes that all could share a program."""
    depth = np.array([len(widths) for widths, _ in shapes], np.int64)
    full = [continued(widths, int(depth.max())) for widths, _ in shapes]
    widths = np.array(full, np.int64).reshape(len(shapes), -1)
    batch = np.array([size for _, size in shapes], np.int64)
    keys = _keys(np.concatenate([widths, batch[:, None]], axis=1), depth, bool(chunks.legal))
    unique, inverse = np.unique(keys, axis=0, return_inverse=True)
    inverse = inverse.ravel()
    groups = [np.flatnonzero(inverse == k).tolist() for k in range(len(unique))]
    tops = np.array([[*widths[g].max(axis=0), batch[g].max(), depth[g].max()] for g in groups], np.int64)
    depths, batches = np.unique(depth), _kinds(batch)
    load = np.zeros((len(groups), len(depths), len(batches)))
    np.add.at(load, (inverse, np.searchsorted(depths, depth), np.searchsorted(batches, batch)), steps)

    compiling = np.array([costs.compiling(layers, 0) for layers in range(int(depth.max()) + 1)])
    # A chunk that holds the largest batch is the whole of it, and of equal batches chunks are only dearer.
    possible = (None, *(chunk for chunk in chunks.legal if chunk < batch.max() and len(batches) > 1))

    def cost(tops: NDArray[np.int64], load: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the seconds of groups with these largest shapes, and steps [groups, depths, batches]."""
        wide, largest, deepest = tops[:, :-2], tops[:, -2], tops[:, -1]
        shallower = (load.sum(axis=2) > 0).sum(axis=1) > 1
        asking = shallower * conditions(deepest) * load.sum(axis=(1, 2)) * costs.condition / SHARE
        of_chunks = [_seconds(wide, largest, deepest, depths, batches, load, chunk, sizes, costs) for chunk in possible]
        return np.asarray(np.min(of_chunks, axis=0) + asking + compiling[deepest], np.float64)

    own = cost(tops, load)
    alive = list(range(len(groups)))
    saving = np.full((len(groups), len(groups)), -np.inf)

    def refresh(i: int) -> None:
        others = np.array([j for j in alive if j != i], dtype=np.int64)
        if len(others):
            together = cost(np.maximum(tops[others], tops[i]), load[others] + load[i])
            gain = own[others] + own[i] - together
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


def _keys(shapes: NDArray[np.int64], depth: NDArray[np.int64], chunked: bool) -> NDArray[np.int64]:
    """Return what shapes [shapes, widths and batch] begin as groups by: themselves, or less if they are very many."""
    keys = np.concatenate([shapes, depth[:, None]], axis=1)
    most = MOST_CHUNKED if chunked else MOST_SHAPES
    if chunked and len(np.unique(keys, axis=0)) > most:
        keys[:, -2] = 1  # of any batch
    if len(np.unique(keys, axis=0)) > most:  # begin with a fine geometric grid
        keys[:, :-1] = np.ceil(2 ** (np.ceil(np.log2(keys[:, :-1]) * 8) / 8) - 1e-9)
    return keys


def _kinds(batch: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a few batch sizes that stand for all, smallest first: for each the first one that is not smaller."""
    sizes = np.unique(batch)
    if len(sizes) > MOST_BATCHES:
        sizes = np.unique(np.quantile(sizes, np.linspace(0, 1, MOST_BATCHES), method="higher"))
    return sizes


def _seconds(
    wide: NDArray[np.int64], largest: NDArray[np.int64], deepest: NDArray[np.int64], depths: NDArray[np.int64],
    batches: NDArray[np.int64], load: NDArray[np.float64], chunk: int | None, sizes: Sizes, costs: Costs,
) -> NDArray[np.float64]:  # fmt: skip
    """Return the seconds of training lanes, [groups], with steps [groups, depths, batches], of so many rows each.

    Programs have the largest batch, the layers and the first so many of the widths that stand in a row.
    """
    if chunk is None:  # batches are all padded to the largest, and it does not matter how many rows they have
        batches, load = np.array([1], np.int64), load.sum(axis=2, keepdims=True)
    tiles = np.array([1, 4, 16, 64])[:, None, None]
    seconds = np.zeros(len(wide))
    for layers in np.unique(deepest).tolist():
        some = deepest == layers
        program = (wide[some, :layers], batches, largest[some], chunk, tiles, sizes, costs)
        steps = {depth: step_of(depth, *program) for depth in {layers, *depths[depths <= layers].tolist()}}
        for number, depth in enumerate(depths.tolist()):
            if depth <= layers:
                beside = BESIDE if depth < layers else 0.0
                tile = (1 - beside) * steps[depth] + beside * steps[layers]  # [tiles, groups, batches]
                seconds[some] += ((tile / tiles).min(axis=0) * load[some, number]).sum(axis=1)
    return seconds


def best_chunk(
    widths: NDArray[np.int64], depths: NDArray[np.int64], batches: NDArray[np.int64], load: NDArray[np.float64],
    sizes: Sizes, costs: Costs, chunks: Chunks,
) -> int:  # fmt: skip
    """Return in chunks of how many rows lanes with so many steps, [depths, batches], are best trained on.

    They share a program with these widths, [1, hidden layers].
    """
    largest, deepest = int(batches.max()), np.array([widths.shape[1]])
    if chunks.fixed is not None:
        return min(chunks.fixed, largest)
    cost = {
        chunk: float(_seconds(widths, batches[-1:], deepest, depths, batches, load[None], chunk, sizes, costs)[0])
        for chunk in (largest, *(chunk for chunk in chunks.legal if chunk < largest))
    }
    return min(cost, key=cost.__getitem__)


def step_of(
    depth: int, widths: NDArray[np.int64], batches: NDArray[np.int64], padded: ArrayLike, chunk: int | None,
    tile: ArrayLike, sizes: Sizes, costs: Costs,
) -> NDArray[np.float64]:  # fmt: skip
    """Return the seconds of a tile's step for networks with `depth` hidden layers, [shapes, batches].

    Their programs have widths [shapes, layers], perhaps of more layers, which are skipped. Each batch of `batches` is
    trained on in chunks of `chunk` rows, or, where there is none or it holds it all, is `padded` rows. With several
    tiles, [tiles, 1, 1], it is [tiles, shapes, batches].
    """
    whole = np.broadcast_to(np.asarray(padded, np.int64).reshape(-1, 1), (len(widths), len(batches)))
    chunked = chunk is not None and not np.all(whole <= chunk)
    rows = np.broadcast_to(batches, whole.shape) if chunked else whole
    held = parameters(widths, sizes)[:, None]
    return step_seconds(widths[:, None, :depth], rows, tile, sizes, costs, chunk if chunked else None, held)

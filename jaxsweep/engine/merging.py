"""Which networks share a program: shapes are merged pair by pair, as long as that saves time.

A program has the largest widths and the most hidden layers of its networks. To compile one more costs seconds, and so
does the arithmetic on what a network does not have; which is dearer is computed here. So it is with batches: a program
has code for each of a few sizes, and a batch is padded to the smallest that holds it.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxsweep.engine.costs import Costs, Sizes, parameters, step_seconds

MOST_SHAPES = 300  # that are merged pair by pair
MOST_BATCHES = 8  # batch sizes that are told apart
SHARE = 8  # lanes that share what a tile does once, about
BESIDE = 0.25  # of networks that train in deeper programs, how many do so in tiles with deeper networks, about


def continued(widths: tuple[int, ...], depth: int) -> tuple[int, ...]:
    """Return the widths of `depth` hidden layers: of those that a network does not have, that of its last one."""
    return widths + widths[-1:] * (depth - len(widths))


def conditions(depth: ArrayLike) -> NDArray[np.int64]:
    """Return how often a step asks whether any network has a layer: forth, back and in the update, of all but one."""
    return 3 * np.maximum(np.asarray(depth, np.int64) - 1, 0)


def merged(
    shapes: Sequence[tuple[tuple[int, ...], int]], steps: NDArray[np.float64], sizes: Sizes, costs: Costs
) -> list[list[int]]:
    """Return groups of shapes, by their positions, each of which is best served by a program of its own.

    Args:
        shapes: widths and batch size of each.
        steps: how many steps lanes of each take, [shapes].
        sizes: the shapes of the data.
        costs: the device.
    """
    depths = [len(widths) for widths, _ in shapes]
    # A network without hidden layers has an output layer of another shape.
    families = [depth if depth == 0 or not costs.passes_by else -1 for depth in depths]
    found = []
    for family in sorted(set(families)):
        members = [i for i, own in enumerate(families) if own == family]
        groups = _merged([shapes[i] for i in members], steps[members], sizes, costs)
        found += [[members[i] for i in group] for group in groups]
    return found


def _merged(
    shapes: Sequence[tuple[tuple[int, ...], int]], steps: NDArray[np.float64], sizes: Sizes, costs: Costs
) -> list[list[int]]:
    """Return groups of shapes that all could share a program."""
    depth = np.array([len(widths) for widths, _ in shapes], np.int64)
    deepest = int(depth.max())
    full = [continued(widths, deepest) for widths, _ in shapes]
    widths = np.array(full, np.int64).reshape(len(shapes), -1)
    batch = np.array([size for _, size in shapes], np.int64)
    # Where a program may have code for each size, batches make none.
    of_batch = np.zeros_like(batch) if costs.several_batches else batch
    keys = _keys(np.concatenate([widths, of_batch[:, None], depth[:, None]], axis=1))
    unique, inverse = np.unique(keys, axis=0, return_inverse=True)
    inverse = inverse.ravel()
    groups = [np.flatnonzero(inverse == k).tolist() for k in range(len(unique))]
    tops = np.array([[*widths[g].max(axis=0), depth[g].max()] for g in groups], np.int64)
    depths, batches = np.unique(depth), _kinds(batch)
    load = np.zeros((len(groups), len(depths), len(batches)))
    np.add.at(load, (inverse, np.searchsorted(depths, depth), np.searchsorted(batches, batch)), steps)

    # Without code for batches, which is counted for each size that there is.
    compiling = np.array([costs.compiling(layers, 0, 0) for layers in range(int(depth.max()) + 1)])

    def cost(tops: NDArray[np.int64], load: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the seconds of groups with these largest shapes, and steps [groups, depths, batches]."""
        wide, deepest = tops[:, :-1], tops[:, -1]
        shallower = (load.sum(axis=2) > 0).sum(axis=1) > 1
        asking = shallower * conditions(deepest) * load.sum(axis=(1, 2)) * costs.condition / SHARE
        training = _least(*_runs(wide, deepest, depths, batches, load, sizes, costs), costs)[0]
        return np.asarray(training + asking + compiling[deepest], np.float64)

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


def _keys(shapes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what shapes [shapes, widths, batch and depth] begin as groups by: themselves, or less if very many."""
    if len(np.unique(shapes, axis=0)) <= MOST_SHAPES:
        return shapes
    keys, some = shapes.copy(), shapes[:, :-1] > 0  # begin with a fine geometric grid
    keys[:, :-1][some] = np.ceil(2 ** (np.ceil(np.log2(keys[:, :-1][some]) * 8) / 8) - 1e-9)
    return keys


def _kinds(batch: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a few batch sizes that stand for all, smallest first: for each the first one that is not smaller."""
    sizes = np.unique(batch)
    if len(sizes) > MOST_BATCHES:
        sizes = np.unique(np.quantile(sizes, np.linspace(0, 1, MOST_BATCHES), method="higher"))
    return sizes


def _runs(
    wide: NDArray[np.int64], deepest: NDArray[np.int64], depths: NDArray[np.int64], batches: NDArray[np.int64],
    load: NDArray[np.float64], sizes: Sizes, costs: Costs,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:  # fmt: skip
    """Return what it costs to pad batches from one size on to another one, and the largest that there is, [groups].

    The former, [groups, from, to], are seconds of training lanes with steps [groups, depths, batches], and of compiling
    the code for that size. Programs have the layers and the first so many of the widths that stand in a row.
    """
    tiles = np.array([1, 4, 16, 64])[:, None, None]
    each = np.zeros(load.shape)  # seconds of a lane's step if its batch is padded to that size
    for layers in np.unique(deepest).tolist():
        some = deepest == layers
        program = (wide[some, :layers], batches, tiles, sizes, costs)
        steps = {depth: step_of(depth, *program) for depth in {layers, *depths[depths <= layers].tolist()}}
        for number, depth in enumerate(depths.tolist()):
            if depth <= layers:
                beside = BESIDE if depth < layers else 0.0
                tile = (1 - beside) * steps[depth] + beside * steps[layers]  # [tiles, groups, batches]
                each[some, number] = (tile / tiles).min(axis=0)
    upto = np.cumsum(load, axis=2)
    before = upto - load
    inside = upto[:, :, None, :] - before[:, :, :, None]  # [groups, depths, from, to]
    code = costs.compilation_batch * (deepest + 1)[:, None, None] * (inside.sum(axis=1) > 0)
    seconds = (inside * each[:, :, None, :]).sum(axis=1) + code
    last = np.arange(len(batches)) * (load.sum(axis=1) > 0)
    return seconds, last.max(axis=1)


def _least(
    runs: NDArray[np.float64], last: NDArray[np.int64], costs: Costs
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the least cost of padding all batches of groups, see `_runs`; and from where on each size has them.

    The latter, [groups, to], is of the cheapest way to pad those up to that size.
    """
    groups, count, _ = runs.shape
    begins = np.zeros((groups, count), np.int64)
    if not costs.several_batches:
        return runs[np.arange(groups), 0, last], begins
    least = np.zeros((groups, count + 1))
    for to in range(count):
        ways = least[:, : to + 1] + runs[:, : to + 1, to]
        begins[:, to] = ways.argmin(axis=1)
        least[:, to + 1] = ways.min(axis=1)
    return least[np.arange(groups), last + 1], begins


def best_batches(
    widths: tuple[int, ...], depths: NDArray[np.int64], batches: NDArray[np.int64], load: NDArray[np.float64],
    sizes: Sizes, costs: Costs,
) -> tuple[int, ...]:  # fmt: skip
    """Return to which sizes batches of lanes with so many steps, [depths, batches], are best padded, smallest first.

    They share a program with these widths.
    """
    kinds, wide = _kinds(batches), np.array([widths], np.int64).reshape(1, -1)
    of_kinds = np.zeros((1, len(depths), len(kinds)))
    np.add.at(of_kinds[0].T, np.searchsorted(kinds, batches), load.T)
    runs, last = _runs(wide, np.array([len(widths)]), depths, kinds, of_kinds, sizes, costs)
    begins, to, found = _least(runs, last, costs)[1][0], int(last[0]), list[int]()
    while to >= 0:
        found.append(int(kinds[to]))
        to = int(begins[to]) - 1
    return tuple(reversed(found))


def padded(batches: NDArray[np.int64], to: Sequence[int]) -> NDArray[np.int64]:
    """Return to which of some sizes, smallest first, each batch is padded: the smallest that holds it."""
    return np.asarray(to, np.int64)[np.searchsorted(to, batches)]


def padded_batch(batch: int, to: Sequence[int]) -> int:
    """Return the same of one batch, of which there may be a hundred thousand, one at a time."""
    return to[bisect_left(to, batch)]


def step_of(
    depth: int, widths: NDArray[np.int64], batches: NDArray[np.int64], tile: ArrayLike, sizes: Sizes, costs: Costs
) -> NDArray[np.float64]:
    """Return the seconds of a tile's step for networks with `depth` hidden layers, [shapes, batches].

    Their programs have widths [shapes, layers], perhaps of more layers, which are skipped; `batches` are as they are
    padded. With several tiles, [tiles, 1, 1], it is [tiles, shapes, batches].
    """
    held = parameters(widths, sizes)[:, None]
    return step_seconds(widths[:, None, :depth], batches, tile, sizes, costs, held)

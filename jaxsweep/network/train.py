"""The training of one network, as pure functions.

Nothing here knows of other networks: the engine vmaps these functions over lanes and loops over steps and epochs.
A `Program` is what a compiled program is specialized to, a `Lane` holds what differs between lanes but does not
change in training, a `State` what changes. A lane that is no longer active goes through the motions and keeps its
state: failure and completion are data.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxsweep.network import augment, optimizers, randomness, schedules, sums
from jaxsweep.network.initial import initial_stats, initialize, started
from jaxsweep.network.mlp import Architecture, Mode, Params, forward, select, true_kernels
from jaxsweep.network.objective import LossParameters
from jaxsweep.network.objective import loss as loss_row
from jaxsweep.network.randomness import Stream
from jaxsweep.network.scores import SCORES, Block, Measure, Whole
from jaxsweep.spec.metrics import METRICS, measure_names, measure_values, sign
from jaxsweep.spec.own import Own, OwnMetric
from jaxsweep.spec.parametrization import Factors

RUNNING, COMPLETED, STOPPED, DIVERGED, PAUSED = range(5)
BLOCK = 512  # rows of an evaluation block: small enough to stay in cache


class Program(NamedTuple):
    """What is static: a compiled program exists for each value of it (and each tile size)."""

    task: str
    net: Architecture
    batches: tuple[int, ...]  # sizes that batches are padded to, smallest first: it has code for each
    optimizers: tuple[str, ...]
    schedules: tuple[str, ...]
    losses: tuple[str, ...]
    monitors: tuple[str, ...]
    objective: str  # the metric that `monitor = objective` and keep_best follow, without its val_
    keep_best: bool  # whether a lane ends with the weights of its best epoch
    train_metrics: bool  # whether the training rows are evaluated too at the end of each epoch
    few_rows: bool  # whether a split has so few training rows that they are shuffled in another way
    image_shape: tuple[int, int] | None
    code: str  # a hash of the code that it is traced from, so that no program outlives a change of that
    by_lane: tuple[str, ...] = ()  # which of `Choices` each lane of a tile has for itself
    metrics: tuple[OwnMetric, ...] = ()  # of the user's own, which see exactly the rows that there are ...
    train_sizes: tuple[int, ...] = ()  # ... of each split, so that a program knows the sizes, each once, smallest first
    val_sizes: tuple[int, ...] = ()
    precision: str = "highest"  # of matrix products, a word of JAX; initial weights have the highest in any case

    @property
    def measures(self) -> tuple[str, ...]:
        """Return what an evaluation gives, in order."""
        return measure_names(self.task, self.net.outputs, self.metrics)

    @property
    def own(self) -> tuple[Own, ...]:
        """Return the functions of the user's own that it is traced from."""
        return tuple(n for n in (*self.net.activations, *self.losses, *self.metrics) if isinstance(n, Own))

    @property
    def columns(self) -> int:
        """Return the width of a row of the learning curves, see `finish_epoch`."""
        return 1 + measure_values(self.task, self.net.outputs, self.metrics) * (2 if self.train_metrics else 1)


class Choices(NamedTuple):
    """Which optimizer, activation and normalization.

    They are shared by a tile, so that a branch stays a branch, but for those that are `Program.by_lane`.
    So are what the batches of all of them are padded to, and, where networks may be shallower than the program, the
    depth of those that train.
    """

    optimizer: Array  # int32 [], index into Program.optimizers
    activation: Array  # int32 [], index into Architecture.activations
    norm: Array  # int32 [], index into Architecture.norms
    batch: Array | None = None  # int32 [], index into Program.batches; None: there is but one
    deepest: Array | None = None  # int32 [], hidden layers of the deepest one; None: as many as the program has


class Lane(NamedTuple):
    """One network's constants. Indices of choices point into the Program's tuples."""

    key: Array  # uint32 [2]
    fold: Array  # int32 [], which split of the data
    rows: Array  # int32 [], training rows
    batch_size: Array  # int32 []
    epoch_steps: Array  # int32 [], steps in an epoch
    epochs: Array  # int32 []
    until: Array  # int32 [], epochs after which it pauses, if any are left then
    init: Array  # int32 []
    schedule: Array  # int32 []
    loss: Array  # int32 []
    monitor: Array  # int32 []
    widths: Array | None  # int32 [depth], where the program pads
    h: dict[str, Array]  # traced hyperparameters in use, each []; class_weight is the weight of each class, [classes]
    weight: Array | None = None  # float [], what its training rows weigh in all, where rows weigh differently
    shares: Array | None = None  # float [targets], how much several targets count in the objective
    depth: Array | None = None  # int32 [], hidden layers, where they may be fewer than the program's
    init_key: Array | None = None  # uint32 [2], of the initial weights, where configs may have seeds of their own ...
    order_key: Array | None = None  # ... and of the order of the examples
    layers: Array | None = None  # float [layers, 3], what `spec.parametrization` multiplies by, where it does


class Few(NamedTuple):
    """Which training rows a lane sees that does not see all: the first ones of one order."""

    order: Array  # int32 [splits, rows]
    place: Array  # int32 [splits, rows], where each row stands in it
    rows: Array  # int32 [splits], how many there are


class Data(NamedTuple):
    """The device's copy of the data: one block of rows for each split."""

    x: Array  # float [splits, rows, features]
    y: Array  # int32 (classes) or float (standardized targets) [splits, rows]; of several [splits, rows, targets]
    x_val: Array  # float [splits, val_rows, features]
    y_val: Array  # [splits, val_rows]
    val_rows: Array  # int32 [splits], how many of val_rows are examples
    w: Array | None = None  # float [splits, rows], weights of the rows, where they have any ...
    w_val: Array | None = None  # ... and [splits, val_rows]
    few: Few | None = None  # where lanes may see some of the training rows alone
    start: tuple[Params, Params] | None = None  # parameters and statistics of a trained network, see `initial.started`


class State(NamedTuple):
    """What training changes in one lane."""

    params: Params
    stats: Params  # running statistics of batch norm
    slots: optimizers.Slots  # state of the optimizer
    best_params: Params | None  # weights of the best epoch, where the program keeps them ...
    best_stats: Params | None
    best_score: Array  # float [], ... and its objective, larger is better
    step: Array  # int32 [], steps done
    epoch: Array  # int32 [], epochs done
    status: Array  # int32 [], RUNNING and so on
    loss_sum: Array  # float [], this epoch's training loss times examples, or what these weigh ...
    loss_rest: Array  # float [], ... and what rounding has left out of it
    best: Array  # float [], best monitored value, smaller is better
    wait: Array  # int32 [], evaluations without an improvement


def init(program: Program, start: tuple[Params, Params] | None, choices: Choices, lane: Lane) -> State:
    """Return the state before the first step."""
    scale = lane.h.get("init_scale", jnp.ones(()))
    key = lane.key if lane.init_key is None else lane.init_key
    factors = None if lane.layers is None else lane.layers[:, Factors._fields.index("init")]
    params = initialize(program.net, key, lane.init, scale, lane.widths, lane.depth, factors)
    stats = initial_stats(program.net)
    if start is not None:
        layers = lane.h.get("transfer", -jnp.ones(()))
        params, stats = started(program.net, choices.norm, lane.widths, lane.depth, layers, (params, stats), start)
    dtype = jnp.result_type(float)
    infinity = jnp.full((), jnp.inf, dtype)
    zero = jnp.zeros((), jnp.int32)
    return State(
        params=params,
        stats=stats,
        slots=optimizers.initial_slots(program.optimizers, choices.optimizer, lane.h, params),
        best_params=params if program.keep_best else None,
        best_stats=stats if program.keep_best else None,
        best_score=-infinity,
        step=zero,
        epoch=zero,
        status=jnp.full((), RUNNING, jnp.int32),
        loss_sum=jnp.zeros((), dtype),
        loss_rest=jnp.zeros((), dtype),
        best=infinity,
        wait=zero,
    )


def shuffle(program: Program, data: Data, lane: Lane, state: State) -> Array:
    """Return this epoch's order of the training rows, int32 [rows + batch], padded for the last slice."""
    key = randomness.stream(lane.key if lane.order_key is None else lane.order_key, Stream.SHUFFLE, state.epoch)
    order = randomness.permutation(key, lane.rows, data.x.shape[1], program.few_rows)
    if data.few is not None:
        split = _split(data, lane)
        chosen = data.few.order[split].at[order].get(mode="promise_in_bounds")
        order = jnp.where(lane.rows < data.few.rows[split], chosen, order)
    return jnp.concatenate([order, jnp.zeros(program.batches[-1], jnp.int32)])


def train_step(
    program: Program, data: Data, choices: Choices, lane: Lane, order: Array, number: ArrayLike, state: State
) -> State:
    """Return the state after step `number` of an epoch; a lane whose epoch has fewer steps waits."""
    active = (state.status == RUNNING) & (number < lane.epoch_steps)
    found = _gradient(program, data, choices, lane, order, number, state)
    finite = jnp.isfinite(found.loss)
    moves = active & finite
    rate = schedules.learning_rate(
        program.schedules, lane.schedule, lane.h, state.step, lane.epoch_steps, lane.epoch_steps * lane.epochs
    )
    now = optimizers.Update(rate, state.step, moves, _by_layer(program, lane))
    params, slots = optimizers.apply(
        program.optimizers, choices.optimizer, lane.h, now,
        found.gradients, state.slots, state.params, program.net.platform, _least(program),
        "optimizer" in program.by_lane, choices.deepest if program.net.shallower else None,
    )  # fmt: skip
    loss_sum, loss_rest = _added(state.loss_sum, state.loss_rest, found.loss * found.weight)
    return state._replace(
        params=params,
        slots=slots,
        stats=jax.tree.map(lambda new, old: jnp.where(moves, new, old), found.stats, state.stats),
        step=state.step + moves,
        status=jnp.where(active & ~finite, DIVERGED, state.status),
        loss_sum=jnp.where(active, loss_sum, state.loss_sum),
        loss_rest=jnp.where(active, loss_rest, state.loss_rest),
    )


def _split(data: Data, lane: Lane) -> Any:
    """Return the split that a lane trains on; a constant keeps what there is one of shared by all lanes."""
    return 0 if data.x.shape[0] == 1 else lane.fold


def _by_layer(program: Program, lane: Lane) -> dict[str, optimizers.Layer] | None:
    """Return what is special about the updates of each layer, by its name; None where nothing ever is."""
    if lane.layers is None and "frozen" not in lane.h:
        return None
    found = {}
    for number, name in enumerate(program.net.layers):
        trains = kernel = vector = None
        if "frozen" in lane.h and name != "output":
            trains = number >= lane.h["frozen"]
        if lane.layers is not None:
            kernel, vector = (lane.layers[number, Factors._fields.index(of)] for of in ("kernel", "vector"))
        found[name] = optimizers.Layer(trains, kernel, vector)
    return found


class _Found(NamedTuple):
    """What a step finds out about its batch."""

    loss: Array  # float []
    gradients: Params
    stats: Params  # running statistics
    weight: Array  # float [], examples of the batch, or what they weigh


def _gradient(
    program: Program, data: Data, choices: Choices, lane: Lane, order: Array, number: ArrayLike, state: State
) -> _Found:
    """Return the loss of a batch and its gradients; there is code for each size that a batch may be padded to."""

    def of_size(size: int) -> Callable[[Lane, Array, State], _Found]:
        return lambda lane, order, state: _batch_gradient(program, data, choices, lane, order, number, state, size)

    # Here, not in each piece of code.
    penalized = jax.value_and_grad(lambda params: jnp.asarray(_penalty(program, lane, params), data.x.dtype))
    penalty, gradients = penalized(state.params)
    chosen = jnp.zeros((), jnp.int32) if choices.batch is None else choices.batch
    found: _Found = select(chosen, [of_size(size) for size in program.batches], lane, order, state)
    return found._replace(loss=found.loss + penalty, gradients=jax.tree.map(jnp.add, found.gradients, gradients))


def _batch_gradient(
    program: Program, data: Data, choices: Choices, lane: Lane, order: Array, number: ArrayLike, state: State,
    size: int,
) -> _Found:  # fmt: skip
    """Return the loss of a batch without penalties, and its gradients, of rows padded to `size`."""
    x, targets, rows, weights = _batch(program, data, lane, order, number, size)
    x, targets, weights = _disturb(program, lane, state.step, rows, x, targets, weights)
    count, divisor = _weighed(rows, weights, x.dtype)
    dropout = randomness.stream(lane.key, Stream.DROPOUT, state.step)

    def loss_of(params: Params) -> tuple[Array, Params]:
        outputs, stats = forward(program.net, _mode(choices, lane), params, state.stats, x, rows, dropout)
        losses = _losses(program, lane, outputs, targets, rows)
        losses = losses if weights is None else weights * losses
        return jnp.sum(jnp.where(rows, losses, 0)) / divisor, stats

    (loss, stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    return _Found(loss, gradients, stats, count)


def _weighed(rows: Array, weights: Array | None, dtype: Any) -> tuple[Array, Array]:
    """Return what the rows of a batch weigh in all, or their number, and by what the sum of their losses is divided."""
    if weights is None:
        count = rows.sum().astype(dtype)
        return count, count
    count = jnp.sum(jnp.where(rows, weights, 0))
    return count, jnp.where(count > 0, count, 1)  # a batch that weighs nothing has no loss


def _added(total: Array, rest: Array, term: Array) -> tuple[Array, Array]:
    """Return a sum after one more term, and what rounding left out (Kahan, CACM 8, 1965): epochs may be long."""
    corrected = term - rest
    new = total + corrected
    return new, (new - total) - corrected


def _batch(
    program: Program, data: Data, lane: Lane, order: Array, number: ArrayLike, size: int
) -> tuple[Array, Array, Array, Array | None]:
    """Return inputs [size, features], targets [size, outputs], which rows are examples, bool [size], and weights.

    These are [size], the row's own times that of its class; None where all rows of all lanes weigh the same.
    """
    start = number * lane.batch_size
    inside = jnp.arange(size)
    rows = jnp.less(inside, jnp.minimum(lane.batch_size, lane.rows - start))
    # Places beyond the batch hold its first row: what that gives is finite if the batch's loss is, and 0 times it is 0.
    # Not a slice: of lanes that begin at places of their own a TPU takes slices one lane after another.
    places = jnp.minimum(start + jnp.where(rows, inside, 0), order.shape[0] - 1)
    picked = order.at[places].get(mode="promise_in_bounds")
    split = _split(data, lane)
    x, y = (array[split].at[picked].get(mode="promise_in_bounds") for array in (data.x, data.y))
    weights = None if data.w is None else data.w[split].at[picked].get(mode="promise_in_bounds")
    if program.task != "classification":
        return x, _by_output(y), rows, weights
    if "class_weight" in lane.h:
        of_rows = lane.h["class_weight"].at[y].get(mode="promise_in_bounds")
        weights = of_rows if weights is None else of_rows * weights
    return x, jax.nn.one_hot(y, program.net.outputs, dtype=x.dtype), rows, weights


def _by_output(y: Array) -> Array:
    """Return targets [rows] or [rows, targets] as [rows, outputs]."""
    return y[:, None] if y.ndim == 1 else y


def _disturb(
    program: Program, lane: Lane, step: Array, rows: Array, x: Array, targets: Array, weights: Array | None
) -> tuple[Array, Array, Array | None]:
    """Return inputs, targets and weights after augmentation, mixup, noise and input dropout, in this order.

    A mixture weighs what its parts do, in their shares. A lane that has none of one selects what it had: 0 times a
    neighbour's disturbance need not be 0.
    """
    h = lane.h
    if program.image_shape is not None and (used := [h[name] for name in augment.NAMES if name in h]):
        changed = augment.augment(program.image_shape, h, randomness.stream(lane.key, Stream.AUGMENT, step), x)
        x = jnp.where(jnp.any(jnp.stack(used) > 0), changed, x)
    if "mixup_alpha" in h:
        share = mixup_share(randomness.stream(lane.key, Stream.MIXUP, step), h["mixup_alpha"])
        # The batch is in random order already, so that the next row is a random partner.
        following = jnp.arange(len(x)) + 1
        partner, mixes = jnp.where(following < rows.sum(), following, 0), h["mixup_alpha"] > 0
        x = jnp.where(mixes, share * x + (1 - share) * x[partner], x)
        targets = jnp.where(mixes, share * targets + (1 - share) * targets[partner], targets)
        if weights is not None:
            weights = jnp.where(mixes, share * weights + (1 - share) * weights[partner], weights)
    if "input_noise" in h:
        noise = randomness.normal(randomness.stream(lane.key, Stream.NOISE, step), x.shape)
        x = jnp.where(h["input_noise"] > 0, x + h["input_noise"] * noise, x)
    if "input_dropout" in h:
        rate = h["input_dropout"]
        mask = randomness.keep(randomness.stream(lane.key, Stream.DROPOUT, step, 0), x.shape, rate)
        x = jnp.where(rate > 0, jnp.where(mask, x * (1 / (1 - rate)), 0), x)
    return x, targets, weights


def mixup_share(key: Array, alpha: Array) -> Array:
    """Return a number from Beta(alpha, alpha), or 1 (no mixing) for alpha = 0."""
    safe = jnp.where(alpha > 0, alpha, 1)
    drawn = jax.random.beta(randomness.wrap(key), safe, safe)
    return jnp.where(alpha > 0, drawn, 1.0)


def _mode(choices: Choices, lane: Lane) -> Mode:
    numbers = (lane.widths, lane.h["negative_slope"], lane.h.get("dropout"), lane.depth)
    return Mode(choices.activation, choices.norm, *numbers, choices.deepest)


def _least(program: Program) -> float | None:
    """Return what roots and powers are kept above where whole trainings are differentiated, or None.

    It changes no number that could be told apart, and what is infinite times 0 becomes 0.
    """
    return float(jnp.finfo(jnp.result_type(float)).tiny) if program.net.differentiated else None


def _losses(program: Program, lane: Lane, outputs: Array, targets: Array, rows: Array | None = None) -> Array:
    """Return the loss of each row, [batch], to be differentiated for `rows`, bool [batch], if these are given."""
    parameters = LossParameters(
        lane.h.get("label_smoothing"), lane.h["focal_gamma"], lane.h["huber_delta"], _least(program)
    )
    found = [loss_row(name, program.task, rows) for name in program.losses]
    losses: Array = select(
        lane.loss,
        [lambda o, t, f=row.traced: f(o, t, parameters) for row in found],
        outputs,
        targets,
    )
    return losses


def _penalty(program: Program, lane: Lane, params: Params) -> ArrayLike:
    total: ArrayLike = 0.0
    add = sums.plain if program.net.differentiated or program.net.platform != "cpu" else sums.total
    if (l1 := lane.h.get("l1")) is not None:
        # Padding must not enter: the derivative that JAX gives to |w| at 0 is 1.
        size = sum(add(jnp.abs, w) for w in true_kernels(program.net, lane.widths, params, lane.depth))
        total = total + jnp.where(l1 > 0, l1 * size, 0)  # select: a sum that overflows, times 0, is NaN
    if (l2 := lane.h.get("l2")) is not None:
        kernels = [params[name]["kernel"] for name in program.net.layers]
        total = total + jnp.where(l2 > 0, l2 / 2 * sum(add(sums.squared, kernel) for kernel in kernels), 0)
    return total


# --- evaluation --------------------------------------------------------------------------------------------------


def evaluate(
    program: Program, choices: Choices, lane: Lane, params: Params, stats: Params, x: Array, y: Array, count: Array,
    weights: Array | None = None, sizes: tuple[int, ...] = (), seen: Array | None = None,
) -> dict[str, Array]:  # fmt: skip
    """Return the program's measures, each [], of the first `count` rows of x [rows, features] and y [rows].

    Or of those, as many, that `seen`, bool [rows], names; the user's own metrics are of the first ones in any case.

    Of several targets, y [rows, targets], all but the loss are [targets]; the user's own metrics are [].
    Rows count by `weights` [rows], if there are any. `sizes` are those that `count` can be, for the user's own metrics.

    The loss is the training loss without penalties and label smoothing, as the network is used: without dropout.
    """
    length = x.shape[0]
    blocks = -(-length // BLOCK)
    block = -(-length // blocks)
    padding = blocks * block - length
    x = jnp.pad(x, ((0, padding), (0, 0))).reshape(blocks, block, -1)
    y = jnp.pad(y, ((0, padding), *[(0, 0)] * (y.ndim - 1))).reshape(blocks, block, *y.shape[1:])
    w = None if weights is None else jnp.pad(weights, (0, padding)).reshape(blocks, block)
    members = jnp.arange(length + padding) < count if seen is None else jnp.pad(seen, (0, padding))
    rows = members.reshape(blocks, block)
    plain = lane._replace(h={name: value for name, value in lane.h.items() if name != "label_smoothing"})
    classes = program.task == "classification"
    scores = {name: _measure(program, name) for name in measure_names(program.task, program.net.outputs)}
    parts = list(dict.fromkeys((score.part, score.each) for score in scores.values()))  # several may have one in common
    if program.metrics:
        parts.append((_outputs, True))

    def found_in(some: tuple[Array, Array, Array, Array | None]) -> list[Array]:
        x, y, rows, w = some
        outputs, _ = forward(program.net, _mode(choices, lane), params, stats, x)
        targets = jax.nn.one_hot(y, program.net.outputs, dtype=x.dtype) if classes else _by_output(y)
        block = Block(outputs, y, targets, _losses(program, plain, outputs, targets), rows, w)
        return [part(block) for part, _ in parts]

    if blocks == 1:
        found = found_in((x[0], y[0], rows[0], None if w is None else w[0]))
    else:
        several = jax.lax.map(found_in, (x, y, rows, w))
        found = [
            a.reshape(-1, *a.shape[2:]) if each else a.sum(axis=0) for a, (_, each) in zip(several, parts, strict=True)
        ]
    y = y.reshape(-1, *y.shape[2:])
    whole, made = Whole.of(y, rows.ravel(), count, w), dict(zip(parts, found, strict=True))
    measures = {name: score.value(made[score.part, score.each], whole) for name, score in scores.items()}
    if program.metrics:
        measures |= _own_metrics(program, made[_outputs, True], y, w, count, sizes)
    return measures


def _outputs(block: Block) -> Array:
    return block.outputs


def _own_metrics(
    program: Program, outputs: Array, y: Array, weights: Array | None, count: Array, sizes: tuple[int, ...]
) -> dict[str, Array]:
    """Return the metrics of the user's own, each [], of the first `count` rows, one of `sizes`, by their exact shape.

    What a function makes of rows that are none, nobody knows: it cannot be given padding and a mask.
    """
    seen = outputs[:, 0] if program.task == "regression" and y.ndim == 1 else outputs
    weights = jnp.ones(len(y), outputs.dtype) if weights is None else weights.ravel()

    def of_first(size: int, metric: OwnMetric) -> Callable[..., Array]:
        return lambda outputs, y, weights: metric.of_rows(outputs[:size], y[:size], weights[:size])

    which = jnp.sum(jnp.asarray(sizes, jnp.int32) < count)
    return {
        metric: select(which, [of_first(size, metric) for size in sizes], seen, y, weights)
        for metric in program.metrics
    }


def _measure(program: Program, name: str) -> Measure:
    """Return how a measure is made; where nothing but cross entropy is minimized, the log loss is the loss."""
    measure = SCORES["loss" if name == "log_loss" and program.losses == ("cross_entropy",) else name].measure
    assert measure is not None, name  # since the program has it
    return measure


def finish_epoch(program: Program, data: Data, choices: Choices, lane: Lane, state: State) -> tuple[State, Array]:
    """Return the state after the evaluation that ends an epoch, and its row of the learning curves.

    The row is float [program.columns]: the training loss, averaged over the epoch's examples as it was minimized, then
    the measures of the validation rows and, where the program has them, of the training rows. A lane that was not
    training gives NaN.
    """
    active = state.status == RUNNING
    split = _split(data, lane)
    network = (program, choices, lane, state.params, state.stats)
    w, w_val = (None if array is None else array[split] for array in (data.w, data.w_val))
    measures = evaluate(*network, data.x_val[split], data.y_val[split], data.val_rows[split], w_val, program.val_sizes)
    train_loss = state.loss_sum / (lane.rows if lane.weight is None else lane.weight)
    row = [train_loss, *(measures[name] for name in program.measures)]
    if program.train_metrics:
        seen = None
        if data.few is not None:
            places = jnp.arange(data.x.shape[1])
            seen = jnp.where(lane.rows < data.few.rows[split], data.few.place[split], places) < lane.rows
        fit = evaluate(*network, data.x[split], data.y[split], lane.rows, w, program.train_sizes, seen)
        row += [fit[name] for name in program.measures]
    finite = jnp.isfinite(measures["loss"]) & jnp.isfinite(train_loss)
    score = _merit(program, measures, lane.shares)
    rooted = program.objective == "rmse" and lane.shares is None
    watched = jnp.sqrt(measures["mse"]) if rooted else -score
    state, stop = _watch(program, lane, state, active, {"train_loss": train_loss, "val_loss": measures["loss"],
                                                        "objective": watched})  # fmt: skip
    better = active & finite & (score > state.best_score)
    epoch = state.epoch + active
    ended = jnp.where(epoch >= lane.until, PAUSED, RUNNING)
    ended = jnp.where(stop, STOPPED, ended)
    ended = jnp.where(epoch >= lane.epochs, COMPLETED, ended)
    ended = jnp.where(finite, ended, DIVERGED)
    state = state._replace(
        epoch=epoch,
        status=jnp.where(active, ended, state.status),
        loss_sum=jnp.zeros_like(state.loss_sum),
        loss_rest=jnp.zeros_like(state.loss_rest),
        best_score=jnp.where(better, score, state.best_score),
    )
    if program.keep_best:
        pick = lambda new, old: jax.tree.map(lambda a, b: jnp.where(better, a, b), new, old)  # noqa: E731
        state = state._replace(
            best_params=pick(state.params, state.best_params), best_stats=pick(state.stats, state.best_stats)
        )
    return state, jnp.where(active, in_a_row(row), jnp.nan)


def in_a_row(measures: Sequence[Array]) -> Array:
    """Return measures, [] or [targets] each, one after another."""
    if any(measure.ndim for measure in measures):
        return jnp.concatenate([jnp.atleast_1d(measure) for measure in measures])
    return jnp.stack(measures)


def _merit(program: Program, measures: dict[str, Array], shares: Array | None) -> Array:
    """Return what orders networks as the objective does, larger is better; of regression in standard deviations.

    On the same rows, r2 falls and rmse rises with mse, which tells apart more of them in float32 than its root does.
    `Supply.lanes` has turned min_delta into the unit of what is watched. Several targets count by their `shares`,
    as the mean over them in their units would have it, which for rmse is one of roots.
    """
    metric = next((own for own in program.metrics if own == program.objective), program.objective)
    measure = metric if isinstance(metric, OwnMetric) else METRICS[metric].measure or metric
    if shares is not None and measure != "loss" and not isinstance(metric, OwnMetric):
        values = jnp.sqrt(measures[measure]) if metric == "rmse" else measures[measure]
        return sign(measure) * jnp.sum(shares * values)
    return measures[measure] * sign(measure)


def _watch(program: Program, lane: Lane, state: State, active: Array, values: dict[str, Array]) -> tuple[State, Array]:
    """Return the state after early stopping has seen this evaluation, and whether the lane is to stop.

    As in scikit-learn, an evaluation improves if it is more than `min_delta` below the smallest value so far, and
    the smallest value follows every evaluation.
    """
    if "patience" not in lane.h:
        return state, jnp.zeros((), bool)
    value = select(lane.monitor, [lambda _, name=name: values[name] for name in program.monitors], 0)
    improved = value < state.best - lane.h["min_delta"]
    wait = jnp.where(improved, 0, state.wait + 1)
    best = jnp.minimum(state.best, value)
    stop = (lane.h["patience"] > 0) & (wait >= lane.h["patience"])
    return state._replace(best=jnp.where(active, best, state.best), wait=jnp.where(active, wait, state.wait)), stop


def final_weights(program: Program, state: State) -> tuple[Params, Params]:
    """Return the parameters and running statistics that a trained lane is judged and exported by."""
    if program.keep_best:
        return state.best_params or {}, state.best_stats or {}
    return state.params, state.stats

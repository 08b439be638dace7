"""The hypergradient of one network: the derivative of its validation loss after training by hyperparameters.

The training is that of `train`, step by step, with everything drawn held as it is (Maclaurin, Duvenaud and Adams,
Gradient-based hyperparameter optimization through reversible learning, ICML 2015). In *forward mode* one derivative of
the whole state for each hyperparameter goes along with training (Franceschi et al., Forward and reverse gradient-based
hyperparameter optimization, ICML 2017), and needs no memory of what was. In *reverse mode* the derivative of the loss
by the state goes back from the last step to the first, for any number of hyperparameters at once; the states that it
needs are computed a second time, from one kept for each epoch (checkpoints: Griewank and Walther, ACM Transactions on
Mathematical Software 26, 2000).

Loops run to bounds that a tile shares, so that values never recompile, except for what a reverse pass has room for.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxsweep.network import train
from jaxsweep.network.mlp import Params
from jaxsweep.network.optimizers import Slots
from jaxsweep.network.train import COMPLETED, RUNNING, Choices, Data, Lane, Program, State

Hypers = dict[str, Array]


class Room(NamedTuple):
    """How many states a reverse pass can keep: static, so that a program exists for each value of it."""

    epochs: int  # at least as many as the longest training has
    steps: int  # at least as many as the longest epoch has


class Bounds(NamedTuple):
    """How far loops run: the most that a lane of the tile needs."""

    epochs: Array  # int32 []
    steps: Array  # int32 [], in an epoch


class _Moving(NamedTuple):
    """What of a state has a derivative that can reach the validation loss."""

    params: Params
    slots: Slots
    stats: Params
    best_params: Params | None
    best_stats: Params | None


def hypergradient(
    program: Program, data: Data, choices: Choices, lane: Lane, names: tuple[str, ...], measure: str, bounds: Bounds,
    room: Room | None = None,
) -> tuple[Array, Hypers]:  # fmt: skip
    """Train a network; return a measure of its validation rows, [], and its derivative by each of `names`, [].

    Both are of the weights that the lane is judged by: of its last epoch, or where the program keeps the best ones, of
    that. Which epoch is the best, and when a lane stops early, is held as it is. A lane that diverges gives NaN.

    Args:
        program: its `net.differentiated` must be true, see `differentiated`.
        data: the data.
        choices: which optimizer, activation and normalization.
        lane: the network.
        names: hyperparameters among `lane.h`, of those that `spec.hypergradients` says have one.
        measure: a measure of validation, such as loss or mse; of several targets it is their mean, or by the lane's
            shares their sum.
        bounds: of the loops.
        room: for reverse mode; None is forward mode.
    """
    run = _Run(program, data, choices, lane, measure, bounds)
    point = {name: lane.h[name] for name in names}
    value, slopes = _forwards(run, point) if room is None else _backwards(run, point, room)
    bad = jnp.isnan(value)
    return value, {name: jnp.where(bad, jnp.nan, slope) for name, slope in slopes.items()}


def differentiated(program: Program) -> Program:
    """Return a program whose whole trainings can be differentiated: the same numbers, to rounding."""
    net = program.net._replace(differentiated=True)
    return program._replace(net=net, train_metrics=False)


class _Run:
    """A training as functions of the hyperparameters that it is differentiated by."""

    def __init__(
        self, program: Program, data: Data, choices: Choices, lane: Lane, measure: str, bounds: Bounds
    ) -> None:  # fmt: skip
        self.program, self.data, self.choices, self.lane = program, data, choices, lane
        self.measure, self.bounds = measure, bounds

    def at(self, point: Hypers) -> Lane:
        """Return the lane with other hyperparameters."""
        return self.lane._replace(h={**self.lane.h, **point})

    def start(self, point: Hypers) -> State:
        """Return the state before the first step."""
        return train.init(self.program, self.data.start, self.choices, self.at(point))

    def order(self, state: State) -> Array:
        """Return the order of the rows in the epoch that begins."""
        return train.shuffle(self.program, self.data, self.lane, state)

    def step(self, point: Hypers, order: Array, number: Array, state: State) -> State:
        """Return the state after a step."""
        state = train.train_step(self.program, self.data, self.choices, self.at(point), order, number, state)
        fixed = jax.lax.stop_gradient
        return state._replace(loss_sum=fixed(state.loss_sum), loss_rest=fixed(state.loss_rest))

    def end(self, state: State) -> State:
        """Return the state after the end of an epoch: what it decides has no derivative."""
        if "patience" not in self.lane.h and not self.program.keep_best:
            active = state.status == RUNNING
            epoch = state.epoch + active
            status = jnp.where(active & (epoch >= self.lane.epochs), COMPLETED, state.status)
            zero = jnp.zeros_like(state.loss_sum)
            return state._replace(epoch=epoch, status=status, loss_sum=zero, loss_rest=zero)
        lane, fixed = jax.lax.stop_gradient((self.lane, state))
        new, _ = train.finish_epoch(self.program, self.data, self.choices, lane, fixed)
        if self.program.keep_best:
            better = new.best_score > fixed.best_score
            pick = lambda new, old: jax.tree.map(lambda a, b: jnp.where(better, a, b), new, old)  # noqa: E731
            new = new._replace(
                best_params=pick(state.params, state.best_params), best_stats=pick(state.stats, state.best_stats)
            )
        return new._replace(params=state.params, slots=state.slots, stats=state.stats)

    def epoch(self, point: Hypers, state: State) -> State:
        """Return the state after an epoch."""
        order = self.order(state)
        step = lambda number, state: self.step(point, order, number, state)  # noqa: E731
        return self.end(jax.lax.fori_loop(0, self.bounds.steps, step, state))

    def value(self, point: Hypers, state: State) -> Array:
        """Return the measure of the validation rows by the network of a state."""
        program, data = self.program._replace(metrics=()), self.data
        split: Any = 0 if data.x.shape[0] == 1 else self.lane.fold
        w_val = None if data.w_val is None else data.w_val[split]
        weights = train.final_weights(program, state)
        measures = train.evaluate(
            program, self.choices, self.at(point), *weights, data.x_val[split], data.y_val[split], data.val_rows[split],
            w_val,
        )  # fmt: skip
        value = measures[self.measure]
        if value.ndim:
            value = value.mean() if self.lane.shares is None else jnp.sum(self.lane.shares * value)
        fine = jnp.isfinite(value) & (state.status != train.DIVERGED)
        return jnp.where(fine, value, jnp.nan)


def _forwards(run: _Run, point: Hypers) -> tuple[Array, Hypers]:
    def value_at(point: Hypers) -> Array:
        state = run.start(point)
        state = jax.lax.fori_loop(0, run.bounds.epochs, lambda _, state: run.epoch(point, state), state)
        return run.value(point, state)

    def along(direction: Hypers) -> tuple[Array, Array]:
        value, slope = jax.jvp(value_at, (point,), (direction,))
        return value, slope

    rows = jnp.eye(len(point), dtype=jnp.result_type(float))
    value, slopes = jax.vmap(along, out_axes=(None, 0))(dict(zip(point, rows.T, strict=True)))
    return value, dict(zip(point, slopes, strict=True))


def _backwards(run: _Run, point: Hypers, room: Room) -> tuple[Array, Hypers]:
    epochs, steps = run.bounds

    def forth(number: Array, carry: tuple[State, State]) -> tuple[State, State]:
        state, kept = carry
        return run.epoch(point, state), _put(kept, number, state)

    first = run.start(point)
    last, kept = jax.lax.fori_loop(0, epochs, forth, (first, _shelves(first, room.epochs)))
    value, pull = jax.vjp(lambda point, moving: run.value(point, _with(last, moving)), point, _moving(last))
    slopes, back = pull(jnp.ones_like(value))

    def epoch(number: Array, carry: tuple[Hypers, _Moving]) -> tuple[Hypers, _Moving]:
        slopes, back = carry
        began = _get(kept, epochs - 1 - number)
        order = run.order(began)

        def again(number: Array, carry: tuple[State, State]) -> tuple[State, State]:
            state, kept = carry
            return run.step(point, order, number, state), _put(kept, number, state)

        ended, states = jax.lax.fori_loop(0, steps, again, (began, _shelves(began, room.steps)))
        (back,) = jax.vjp(lambda moving: _moving(run.end(_with(ended, moving))), _moving(ended))[1](back)

        def step(passed: Array, carry: tuple[Hypers, _Moving]) -> tuple[Hypers, _Moving]:
            slopes, back = carry
            number = steps - 1 - passed
            state = _get(states, number)
            moves = (state.status == RUNNING) & (number < run.lane.epoch_steps)

            def after(point: Hypers, moving: _Moving) -> _Moving:
                return _moving(run.step(point, order, number, _with(state, moving)))

            more, new = jax.vjp(after, point, _moving(state))[1](back)
            # A lane that waits has no batch, and so no derivatives: they are selected away, not multiplied by 0.
            chosen: _Moving = jax.tree.map(lambda a, b: jnp.where(moves, a, b), new, back)
            return {name: slope + jnp.where(moves, more[name], 0) for name, slope in slopes.items()}, chosen

        return jax.lax.fori_loop(0, steps, step, (slopes, back))

    slopes, back = jax.lax.fori_loop(0, epochs, epoch, (slopes, back))
    (more,) = jax.vjp(lambda point: _moving(run.start(point)), point)[1](back)
    return value, {name: slope + more[name] for name, slope in slopes.items()}


def _moving(state: State) -> _Moving:
    return _Moving(*(getattr(state, name) for name in _Moving._fields))


def _with(state: State, moving: _Moving) -> State:
    return state._replace(**moving._asdict())


def _shelves(state: State, count: int) -> State:
    """Return room for so many states."""
    shelves: State = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape), leaf.dtype), state)
    return shelves


def _put(shelves: State, number: Array, state: State) -> State:
    kept: State = jax.tree.map(lambda shelf, leaf: shelf.at[number].set(leaf), shelves, state)
    return kept


def _get(shelves: State, number: Array) -> State:
    state: State = jax.tree.map(lambda shelf: shelf[number], shelves)
    return state

"""Details of a step that whole trainings hide: sums, what a lane does not have, short batches, decays."""

import functools
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity import BASE, ONE_PROGRAM, check, images, run_lanes, same, three_classes

import jaxsweep as js
from jaxsweep.network import optimizers, randomness, schedules, train

OFF_AND_ON: dict[str, tuple[Any, Any]] = {
    "input_noise": (0.0, 0.3), "input_dropout": (0.0, 0.3), "dropout": (0.0, 0.3), "mixup_alpha": (0.0, 0.4),
    "l1": (0.0, 1e-3), "l2": (0.0, 1e-2), "clip_norm": (0.0, 0.5), "weight_decay": (0.0, 0.1), "warmup": (0.0, 0.5),
    "label_smoothing": (0.0, 0.2), "class_weight": ("none", "balanced"),
    "rotation": (0.0, 30.0), "shift": (0.0, 0.2), "patience": (0, 3),
}  # fmt: skip


def test_a_sum_of_many_terms_loses_nothing() -> None:
    terms = np.random.default_rng(0).uniform(0, 3, 200_000).astype(np.float32)

    def add(carry: tuple[jax.Array, jax.Array], term: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        return train._added(*carry, term), None

    (total, _), _ = jax.jit(lambda t: jax.lax.scan(add, (jnp.float32(0), jnp.float32(0)), t))(terms)
    exact = terms.astype(np.float64).sum()
    assert abs(float(total) - exact) / exact < 1e-7
    plain = np.float32(0)
    for term in terms:
        plain += term
    assert abs(float(plain) - exact) / exact > 1e-6  # so that the test would see it


@pytest.mark.parametrize("image", [False, True])
def test_a_lane_without_something_is_untouched_by_neighbours_that_have_it(image: bool) -> None:
    """What a lane does not use is selected away: its curves are those of a program that does not hold it at all."""
    names = [name for name in OFF_AND_ON if (name in ("rotation", "shift")) == image]
    data, objective = (images(), "val_auc") if image else (three_classes(), "val_accuracy")
    (alone,) = run_lanes(data, [BASE], objective, tile=4)
    neighbours = [{**BASE, name: OFF_AND_ON[name][1]} for name in names]
    lane, *_ = run_lanes(data, [BASE, *neighbours], objective, tile=4)
    np.testing.assert_allclose(lane.curves, alone.curves, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("size", [5, 7, 12])
def test_places_beyond_a_batch_hold_its_first_row(size: int) -> None:
    """Were it another row, one that overflows would make a lane diverge that has not come to it."""
    x = jnp.arange(11.0)[None, :, None]
    data: Any = SimpleNamespace(x=x, y=x[..., 0], w=None)
    program: Any = SimpleNamespace(task="regression")
    order = jnp.concatenate([jnp.arange(10, -1, -1), jnp.zeros(12, jnp.int32)])
    for number, batch in ((0, [10, 9, 8, 7, 6]), (1, [5, 4, 3, 2, 1]), (2, [0])):
        lane: Any = SimpleNamespace(batch_size=jnp.int32(5), rows=jnp.int32(11), h={}, fold=0)
        got, targets, rows, weights = train._batch(program, data, lane, order, number, size)
        whole = batch + [batch[0]] * (size - len(batch))
        np.testing.assert_array_equal(got[:, 0], whole)
        np.testing.assert_array_equal(targets[:, 0], whole)
        np.testing.assert_array_equal(rows, np.arange(size) < len(batch))
        assert weights is None


def test_extreme_draws_of_a_neighbour_reach_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a draw infinite, 0 times it would be NaN in the lanes that have no noise."""
    monkeypatch.setattr(randomness, "normal", lambda state, shape: jnp.full(shape, jnp.inf, jnp.float32))
    lanes = run_lanes(three_classes(), [{**BASE, "input_noise": noise} for noise in (0.0, 0.1, 0.0)], tile=4)
    assert [lane.status for lane in lanes] == ["completed", "diverged", "completed"]


def test_overflowing_norms_and_penalties_reach_nobody() -> None:
    """Squares of large weights overflow in float32: a lane without l2 and clipping does not care."""
    params = {"output": {"kernel": jnp.full((2, 2), 1e25, jnp.float32), "bias": jnp.ones(2)}}
    program: Any = SimpleNamespace(net=SimpleNamespace(layers=("output",), differentiated=False, platform="cpu"))
    for rate, finite in ((0.0, True), (0.1, False)):
        lane: Any = SimpleNamespace(h={"l1": jnp.float32(rate), "l2": jnp.float32(rate)}, widths=None, depth=None)
        penalty, gradient = jax.value_and_grad(lambda p, lane=lane: train._penalty(program, lane, p))(params)
        assert bool(jnp.isfinite(penalty)) == finite
        if finite:
            assert not jnp.any(gradient["output"]["kernel"])
    h = {"clip_norm": jnp.float32(0.0)}
    start = jax.tree.map(jnp.zeros_like, params)
    step = optimizers.Update(jnp.float32(1.0), jnp.int32(0), jnp.asarray(True))
    moved, _ = optimizers.apply(("sgd",), jnp.int32(0), h, step, params, (), start)
    assert jnp.array_equal(moved["output"]["kernel"], -params["output"]["kernel"])


def test_a_last_batch_of_one_row_spoils_no_running_statistics() -> None:
    """Of iris' 90 training rows the last batch is of 1 or 2; were 1 counted, the loss would be a 100 times larger."""
    config = {"norm": "batch", "depth": 1, "width": 16, "epochs": 30, "learning_rate": 0.01}
    iris = js.load_dataset("iris")
    sizes = (89, 90, 22, 23)
    configs = [{**config, "batch_size": size} for size in sizes for _ in range(4)]
    result = js.sweep(iris, configs=configs, progress=False, keep=0)
    losses = np.array([trial.metrics["val_loss"] for trial in result.trials]).reshape(len(sizes), 4).mean(axis=1)
    assert losses[0] < 2 * losses[1] + 0.1
    assert losses[2] < 2 * losses[3] + 0.1


@pytest.mark.usefixtures("float64")
def test_batches_of_one_row_with_batch_norm_as_alone() -> None:
    configs: list[dict[str, Any]] = [{**BASE, "norm": "batch", "batch_size": 37, "width": width} for width in (7, 5)]
    check(three_classes(), [*configs, {**BASE, "norm": "batch", "batch_size": 74}], costs=ONE_PROGRAM)


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, None, None, None))
def _dropped(step: Any, h: Any, epoch: Any, whole: Any) -> Any:
    return schedules.learning_rate(("step",), jnp.int32(0), h, step, epoch, whole)


@pytest.mark.parametrize("every", [0.1, 0.2, 0.3, 0.7, 1 / 3, 0.45, 1.1, 2.3, 10.0, 33.3])
@pytest.mark.parametrize("steps", [3, 7, 10, 17, 50])
def test_the_learning_rate_drops_at_the_step_it_should(every: float, steps: int) -> None:
    """By exact arithmetic: after so many epochs as `decay_every` says, in its decimals."""
    h = {"learning_rate": jnp.float32(1.0), "decay_rate": jnp.float32(0.5), "decay_every": jnp.float32(every)}
    h["final_learning_rate"] = jnp.float32(0.0)
    total = 40 * steps
    rate = _dropped(jnp.arange(40 * 50, dtype=jnp.int32), h, jnp.int32(steps), jnp.int32(total))  # one shape for all
    got = np.rint(-np.log2(np.asarray(rate, np.float64)[:total] + 1e-300))
    exact = Fraction(repr(every)) * steps
    drops = [step * exact.denominator // exact.numerator for step in range(total)]
    shown = [number for number in drops if number < 100]
    np.testing.assert_array_equal(got[: len(shown)], shown)


def test_schedules_of_the_longest_legal_training_do_not_overflow() -> None:
    values = {"learning_rate": 1.0, "decay_rate": 0.5, "decay_every": 10.0, "final_learning_rate": 0.0}
    h = {name: jnp.float32(value) for name, value in values.items()}
    steps, total = jnp.int32(2**31 // 1000), jnp.int32(2**31 // 1000 * 1000)
    zero, ends = jnp.int32(0), (0, 2**30, 2**31 - 1)
    for name in ("linear", "cosine", "polynomial", "onecycle"):
        rates = [schedules.learning_rate((name,), zero, h, jnp.int32(at), steps, total) for at in ends]
        assert float(rates[1]) > 0.2, name
        assert float(rates[2]) < 1e-3, name


def test_lanes_do_not_share_what_they_draw() -> None:
    """Two lanes of one config under two ids differ; under the same id in another tile they do not."""
    config = {**BASE, "dropout": 0.3, "input_noise": 0.2}
    one, two = run_lanes(three_classes(), [config, config], tile=2, trials=[4, 5])
    (again,) = run_lanes(three_classes(), [config], tile=2, trials=[5])
    assert not same(one, two)
    assert same(two, again)


def test_the_training_loss_of_a_long_epoch_does_not_drift() -> None:
    """100,000 batches of one row by a network that stands still: their mean loss is that of an evaluation."""
    rng = np.random.default_rng(0)
    data = js.Dataset.from_arrays(
        rng.normal(size=(100_000, 2)), rng.integers(0, 3, 100_000), X_val=[[0.0, 0.0]], y_val=[0]
    )
    config = {"depth": 0, "batch_size": 1, "epochs": 1, "optimizer": "sgd", "learning_rate": 1e-30}
    result = js.sweep(data, configs=[config], split=(1, 0, 0), train_metrics=True, progress=False, keep=0)
    (trial,) = result.trials
    assert trial.metrics["train_loss"] == pytest.approx(trial.metrics["train_log_loss"], rel=1e-6)

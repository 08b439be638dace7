"""Networks that see few of the training rows, and seeds that configs hold: beside the plain reference, and alone.

What the reference shares with the engine (which rows come first, keys of held seeds) is looked at from outside.
"""

from typing import Any

import numpy as np
import pytest
from parity import BASE, SEED, check, check_lanes, regression, run_lanes, same, three_classes

import jaxsweep as js
from jaxsweep.data import Dataset, prepare
from jaxsweep.data.subset import order_of_rows
from jaxsweep.network import randomness
from jaxsweep.network.randomness import FEW, Held
from jaxsweep.network.reference import train
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, epoch_steps, resolve
from jaxsweep.spec.metrics import TAKEN

pytestmark = pytest.mark.usefixtures("float64")

SEEN: list[dict[str, Any]] = [
    {"train_rows": 7, "batch_size": 3},
    {"train_rows": FEW, "batch_size": "full"},
    {"train_rows": FEW + 1, "class_weight": "balanced", "mixup_alpha": 0.3},
    {"train_rows": 1, "batch_size": 4},
    {"train_rows": 10**6, "schedule": "cosine", "warmup": 0.3},
    {"train_rows": 20, "order_seed": 4, "init_seed": 5, "dropout": 0.2},
    {},
]


def test_few_rows_train_as_they_do_alone() -> None:
    check(three_classes(), [{**BASE, **change} for change in SEEN])


def test_of_folds_whose_sizes_differ() -> None:
    data = three_classes(split=(0.7, 0, 0.3), folds=2)
    smaller, larger = sorted(len(part) for part in data.train)
    assert smaller < larger
    configs = [{**BASE, "epochs": 3, **change} for change in ({"train_rows": smaller}, {"train_rows": 9}, {})]
    lanes = run_lanes(data, configs)
    check_lanes(data, configs, lanes)


def test_of_rows_that_weigh_differently_there_is_one_that_counts() -> None:
    """Of a batch too, where all its rows weigh nothing, nothing is learned; but the first row that is seen counts."""
    weights = np.where(np.arange(150) % 3 == 0, np.arange(150) + 1.0, 0)
    configs = [{**BASE, "train_rows": rows, "epochs": 2, "batch_size": 5} for rows in (1, 30)]
    lanes = check(three_classes(weights), [*configs, {**BASE, "class_weight": "balanced", "train_rows": 40}])
    assert all(np.isfinite(lane.curves).all() for lane in lanes)


def test_metrics_of_training_rows_are_of_those_seen() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(150, 6))
    data = Dataset.from_arrays(x, 5 + 3 * x @ rng.normal(size=6) + rng.normal(size=150))
    configs = [{**BASE, "train_rows": rows, "epochs": 3} for rows in (8, 40, 0)]
    result = js.sweep(data, configs=configs, split=(0.5, 0.3, 0.2), train_metrics=True, progress=False, seed=SEED)
    prepared = prepare(data, split=(0.5, 0.3, 0.2), seed=SEED)
    for name in ("train_r2", "train_mse", "train_loss"):
        curves = result.curves(name)
        for trial in result.trials:
            alone = train(prepared, trial.config, SEED, trial=trial.id, train_metrics=True)
            np.testing.assert_allclose(curves[trial.id], alone.curves[name], rtol=1e-9)


def test_the_rows_seen_are_nested_and_have_the_shares_of_classes() -> None:
    data = three_classes()
    order = order_of_rows(data, 0, SEED)
    rows = data.train[0]
    assert sorted(order.tolist()) == list(range(len(rows)))
    codes = data.y[0][rows]
    for count in (10, 25, 50):
        found = np.bincount(codes[order[:count]], minlength=3)
        wanted = np.bincount(codes, minlength=3) * count / len(rows)
        assert np.abs(found - wanted).max() <= 1
    assert order.tolist() != order_of_rows(data, 0, SEED + 1).tolist()


def test_a_network_sees_nothing_of_the_other_rows() -> None:
    """Their features and targets are spoilt, behind the standardization: its training does not change."""
    data, config = regression(), {**BASE, "train_rows": 12}
    seen = data.train[0][order_of_rows(data, 0, SEED)[:12]]
    others = np.setdiff1d(data.train[0], seen)
    spoilt = regression()
    spoilt.x[0][others] = 1e6
    spoilt.y[0][others] = -1e6
    lane, other = run_lanes(data, [config], "val_mse")[0], run_lanes(spoilt, [config], "val_mse")[0]
    assert same(lane, other)
    spoilt.y[0][seen[3]] += 1
    assert not same(lane, run_lanes(spoilt, [config], "val_mse")[0])


def test_a_held_seed_holds_what_it_names_and_nothing_else() -> None:
    data = three_classes()
    held = [{"init_seed": 1}, {"init_seed": 1}, {"init_seed": 2}, {"order_seed": 1}, {"init_seed": 1, "order_seed": 1}]
    configs = [{**BASE, "epochs": 1, "learning_rate": 1e-30, **each} for each in [*held, held[-1]]]
    lanes = run_lanes(data, configs)
    kernels = [lane.weights[0]["hidden_0"]["kernel"].tobytes() for lane in lanes if lane.weights is not None]
    assert kernels[0] == kernels[1] == kernels[4] == kernels[5]
    assert len({kernels[0], kernels[2], kernels[3]}) == 3
    trained = run_lanes(data, [{**config, "learning_rate": 0.1} for config in configs], replicates=2)
    assert not same(trained[0], trained[2])  # of one initialization, in other orders
    assert all(same(trained[8], lane) for lane in trained[9:])  # everything held: trials and replicates are alike
    assert not same(trained[6], trained[7])


def test_keys_of_held_seeds_are_alike_on_host_and_device_and_are_no_lanes_keys() -> None:
    seeds = np.array([0, 1, 2**31 - 1])
    for held in Held:
        keys = randomness.held_keys(held, seeds)
        assert keys.tolist() == [np.asarray(randomness.held_key(held, seed)).tolist() for seed in seeds.tolist()]
    firsts = {tuple(randomness.held_keys(held, seeds)[0].tolist()) for held in Held}
    zeros = np.zeros(1, np.int64)
    assert len(firsts | {tuple(randomness.lane_keys(0, zeros, zeros, zeros)[0].tolist())}) == 3


def test_steps_follow_the_rows_seen() -> None:
    full = resolve({"batch_size": 32, "train_rows": 70}, "classification", 500)
    assert (full["batch_size"], epoch_steps(full, 500), epoch_steps(full, 40)) == (32, 3, 2)
    assert epoch_steps(resolve({"batch_size": "full", "train_rows": 70}, "classification", 500), 500) == 1
    assert epoch_steps(resolve({"batch_size": 32}, "classification", 500), 500) == 16


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"train_rows": -1}, "train_rows = -1 is not legal: it must be a"),
        ({"train_rows": 2.5}, "train_rows = 2.5 is not legal"),
        ({"init_seed": -2}, "init_seed = -2 is not legal"),
        ({"norm": "batch", "train_rows": 1}, "norm = 'batch' does not go with train_rows = 1"),
    ],
)
def test_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(js.RequestError, match=words):
        js.plan(_few_rows(), configs=[config])


def _few_rows() -> Dataset:
    rng = np.random.default_rng(0)
    return Dataset.from_arrays(rng.normal(size=(60, 2)), rng.integers(0, 2, 60))


def test_no_metric_of_the_users_own_has_a_column_that_a_hyperparameter_has() -> None:
    prefixed = {f"{part}_{name}" for part in ("train", "val", "test") for name in TAKEN}
    columns = [name for name in HYPERPARAMETERS if name.startswith(("train_", "val_", "test_"))]
    assert columns
    assert prefixed.issuperset(columns)
    with pytest.raises(js.RequestError, match="metrics has the name 'rows', which there is already"):
        js.plan(_few_rows(), configs=[{}], metrics={"rows": len})


def test_own_metrics_of_training_rows_are_refused() -> None:
    def right(outputs: Any, y: Any, weights: Any) -> Any:
        return (outputs.argmax(axis=-1) == y).mean(dtype=outputs.dtype)

    with pytest.raises(js.RequestError, match="train_rows does not go with train_metrics and metrics of your own"):
        js.plan(_few_rows(), configs=[{"train_rows": 20}], metrics={"right": right}, train_metrics=True)

"""What a sweep varied, and where it has an effect: told by the table, and by trainings that differ in nothing else."""

from typing import Any

import numpy as np
import pytest

import jaxsweep as js
from jaxsweep.network import randomness
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, REGRESSION_LOSSES, resolve
from jaxsweep.spec.request import Request
from jaxsweep.spec.swept import NEEDS, Need, Swept, acts

BASE: dict[str, Any] = {
    "depth": 1, "width": 6, "epochs": 4, "batch_size": 10, "learning_rate": 0.1, "momentum": 0.5, "decay_every": 2.0,
}  # fmt: skip
OTHER: dict[str, Any] = {
    "width": 7, "width_shape": "funnel", "activation": "tanh", "negative_slope": 0.5, "norm": "layer",
    "dropout": 0.5, "label_smoothing": 0.5, "focal_gamma": 0.5, "huber_delta": 0.1, "momentum": 0.1, "nesterov": True,
    "rms_decay": 0.5, "b1": 0.1, "b2": 0.5, "eps": 0.1, "decay_rate": 0.1, "decay_every": 1.0,
    "final_learning_rate": 0.5, "min_delta": 10.0, "monitor": "train_loss",
    "parametrization": "mup", "base_width": 2, "frozen": 1,
}  # fmt: skip
UNDER: dict[str, list[dict[str, Any]]] = {
    "optimizer": [{"optimizer": name} for name in HYPERPARAMETERS["optimizer"].choices] + [
        {"optimizer": "sgd", "momentum": 0.0}],
    "schedule": [{"schedule": name} for name in HYPERPARAMETERS["schedule"].choices],
    "depth": [{"depth": depth} for depth in (0, 1, 2)] + [{"depth": 1, "activation": "leaky_relu"}],
    "loss": [{"loss": "cross_entropy"}, {"loss": "focal"}],
    "parametrization": [{"parametrization": kind} for kind in ("standard", "mup")],
    "patience": [{"epochs": 9, "patience": patience} for patience in (0, 1)],
}  # fmt: skip
READ = {  # which of them may be read under what
    "optimizer": ("momentum", "nesterov", "rms_decay", "b1", "b2", "eps"),
    "schedule": ("decay_rate", "decay_every", "final_learning_rate"),
    "depth": ("width", "width_shape", "activation", "negative_slope", "norm", "dropout", "parametrization", "frozen"),
    "parametrization": ("base_width",),
    "loss": ("label_smoothing", "focal_gamma"),
    "patience": ("min_delta", "monitor"),
}


def _pairs(data: js.Dataset, configs: list[dict[str, Any]], names: list[str]) -> list[tuple[str, dict[str, Any], bool]]:
    """Return each name and config, and whether another value of it changed the learning curves by a bit."""
    both = [
        each for config, name in zip(configs, names, strict=True) for each in (config, {**config, name: OTHER[name]})
    ]
    result = js.sweep(
        data, configs=both, objective="val_log_loss" if data.classes else "val_mse", progress=False, keep=0
    )
    curves = np.nan_to_num(result.curves("train_loss"), nan=-1)
    changed = [not np.array_equal(*curves[2 * pair : 2 * pair + 2]) for pair in range(len(names))]
    return [(name, result.trials[2 * pair].config, changed[pair]) for pair, name in enumerate(names)]


@pytest.fixture
def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """All trials of a sweep have the same random numbers."""
    keys = randomness.lane_keys
    monkeypatch.setattr(randomness, "lane_keys", lambda seed, trials, *rest: keys(seed, 0 * np.asarray(trials), *rest))


@pytest.mark.usefixtures("same_draws")
@pytest.mark.parametrize("parent", UNDER)
def test_what_has_no_effect_changes_no_bit_and_the_rest_does(parent: str) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    pairs = [({**BASE, **config}, name) for config in UNDER[parent] for name in READ[parent]]
    data = js.Dataset.from_arrays(x, np.digitize(x[:, 0] * x[:, 1], [-0.3, 0.3]))
    found = _pairs(data, [config for config, _ in pairs], [name for _, name in pairs])
    assert [(name, changed) for name, _, changed in found] == [(name, acts(name, config)) for name, config, _ in found]
    assert len({changed for *_, changed in found}) == 2


@pytest.mark.usefixtures("same_draws")
def test_parameters_of_a_loss_have_an_effect_under_it_alone() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    pairs = [
        ({**BASE, "loss": loss}, name) for loss in REGRESSION_LOSSES for name in ("huber_delta", "label_smoothing")
    ]
    found = _pairs(js.Dataset.from_arrays(x, x[:, 0]), [config for config, _ in pairs], [name for _, name in pairs])
    assert [(config["loss"], name) for name, config, changed in found if changed] == [("huber", "huber_delta")]
    assert all(acts(name, config) == changed for name, config, changed in found)


def test_all_that_may_have_no_effect_is_tried() -> None:
    assert set(NEEDS) == {name for names in READ.values() for name in names} | {"huber_delta"}


def test_what_a_hyperparameter_needs_can_be_said() -> None:
    assert str(Need("depth", above=1)) == "depth is above 1"
    assert str(Need("optimizer", ("sgd",))) == "optimizer is sgd"
    (loss,) = NEEDS["label_smoothing"]
    assert str(loss) == "loss is cross_entropy, focal or a function of your own"


# --- what a sweep varied -----------------------------------------------------------------------------------------


def _params(space: dict[str, Any], **config: Any) -> dict[str, Any]:
    request = Request(space=js.Space(**space))
    return Swept.of(request).params(resolve(config, "classification", 100))


SPACE: dict[str, Any] = {
    "depth": js.Int(0, 3), "width": 32, "dropout": js.Uniform(0, 0.5, when={"depth": [2, 3]}),
    "optimizer": js.Choice(["adam", "sgd"], when={"depth": 2}), "l2": js.LogUniform(1e-6, 1e-2),
    "momentum": js.Uniform(0, 0.9, when={"optimizer": "sgd"}), "b1": js.Uniform(0.8, 0.99),
}  # fmt: skip


def test_constants_inactive_entries_and_what_has_no_effect_are_left_out() -> None:
    assert _params(SPACE, depth=2, width=32, dropout=0.0, optimizer="sgd", momentum=0.0, l2=1e-3, b1=0.9) == {
        "depth": 2, "optimizer": "sgd", "momentum": 0.0, "dropout": 0.0, "l2": 1e-3
    }  # fmt: skip
    adam = _params(SPACE, depth=2, width=32, dropout=0.1, optimizer="adam", l2=1e-3, b1=0.9)
    assert list(adam) == ["depth", "optimizer", "b1", "dropout", "l2"]  # in the order of the table
    # `optimizer` is inactive, so that adam is no choice of this config.
    assert _params(SPACE, depth=3, width=32, dropout=0.1, l2=1e-3, b1=0.9) == {
        "depth": 3, "b1": 0.9, "dropout": 0.1, "l2": 1e-3
    }  # fmt: skip


def test_a_full_batch_is_known_again_when_it_is_a_number() -> None:
    space: dict[str, Any] = {
        "batch_size": js.Choice([10, "full"]), "l1": js.LogUniform(1e-6, 1e-2, when={"batch_size": "full"}),
    }  # fmt: skip
    assert _params(space, batch_size="full", l1=1e-3) == {"batch_size": 100, "l1": 1e-3}
    assert _params(space, batch_size=10) == {"batch_size": 10}


def test_of_listed_configs_it_is_what_any_of_them_names() -> None:
    swept = Swept.of(Request(configs=({"l2": 0.1, "optimizer": "sgd"}, {"momentum": 0.5, "optimizer": "sgd"}, {})))
    assert swept.params(resolve({"l2": 0.1, "optimizer": "sgd"}, "regression", 9)) == {
        "optimizer": "sgd", "momentum": 0.0, "l2": 0.1
    }  # fmt: skip
    assert swept.params(resolve({}, "regression", 9)) == {"optimizer": "adam", "l2": 0.0}

"""The maximal update parametrization and frozen layers: beside the plain reference, and beside the paper."""

from typing import Any

import jax
import numpy as np
import pytest
from parity import BASE, DEEP, ONE_PROGRAM, check, run_lanes, three_classes

import jaxsweep as js
from jaxsweep.data import prepare
from jaxsweep.network.initial import INITIALIZERS
from jaxsweep.network.reference import MLP, train
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, resolve
from jaxsweep.spec.parametrization import ONES, factors

MUP = {"parametrization": "mup", "base_width": 4}
MIXED: list[dict[str, Any]] = [
    {**DEEP, **MUP, "width": 9, "optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.1},
    {**DEEP, **MUP, "width": [6, 9], "norm": "batch", "init": "he_normal"},
    {**DEEP, **MUP, "width": 3, "optimizer": "lion", "init": "orthogonal", "weight_decay": 0.2, "norm": "layer"},
    {**DEEP, **MUP, "width": 8, "frozen": 1, "clip_norm": 0.1, "init": "random_normal"},
    {**DEEP, "frozen": 2, "optimizer": "lamb", "weight_decay": 0.2, "norm": "batch"},
    {**DEEP, "frozen": 1, "optimizer": "sgd", "momentum": 0.5, "l2": 0.1},
    {**BASE, **MUP, "width": 9, "init": "lecun_normal"},
    {**DEEP},
]


@pytest.mark.usefixtures("float64")
def test_as_they_do_alone() -> None:
    """Of two depths in one program, padded."""
    check(three_classes(), MIXED, costs=ONE_PROGRAM)


@pytest.mark.usefixtures("float64")
def test_frozen_layers_stay_as_they_start_and_no_others() -> None:
    config = {**DEEP, "norm": "batch", "weight_decay": 0.5, "optimizer": "sgd", "learning_rate": 0.1}
    start, *lanes = run_lanes(
        three_classes(),
        [
            {**config, "learning_rate": 1e-30, "init_seed": 1},
            *({**config, "frozen": n, "init_seed": 1} for n in (0, 1, 9)),
        ],
    )
    assert start.weights is not None
    for lane, still in zip(
        lanes, ([], ["hidden_0", "norm_0"], ["hidden_0", "norm_0", "hidden_1", "norm_1"]), strict=True
    ):
        assert lane.weights is not None
        moved = {
            name
            for name, arrays in lane.weights[0].items()
            if any(np.abs(array - start.weights[0][name][key]).max() > 1e-9 for key, array in arrays.items())
        }
        assert moved == set(start.weights[0]).difference(still)


def _full(**config: Any) -> dict[str, Any]:
    return resolve({"depth": 3, "parametrization": "mup", **config}, "classification", None)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_exponents_are_those_of_the_paper(optimizer: str) -> None:
    """Table 3 of Yang et al.: how variances and learning rates of input, hidden and output layers go with the width n.

    By the initializer alone a lecun kernel has variance 1/inputs, which is what is multiplied.
    """
    narrow, wide = (
        factors(_full(width=width, optimizer=optimizer, init="lecun_normal"), 10, 3) for width in (128, 1024)
    )
    grows = [[np.log2(b / a) / 3 for a, b in zip(x, y, strict=True)] for x, y in zip(narrow, wide, strict=True)]
    first, hidden, _, output = np.round(grows, 9).tolist()
    assert output[0] == -0.5  # variance 1/n^2 in place of 1/n
    assert (first[0], hidden[0]) == (0, 0)
    rates = {"sgd": [(1, 1), (0, 1), (-1, 0)], "adam": [(0, 0), (-1, 0), (-1, 0)]}[optimizer]
    assert [tuple(each[1:]) for each in (first, hidden, output)] == rates


def test_at_the_base_width_and_without_hidden_layers_it_is_the_standard_one() -> None:
    for init in HYPERPARAMETERS["init"].choices:
        assert factors(_full(width=48, base_width=48, init=init), 10, 3) == [ONES] * 4
        assert factors(_full(depth=0, base_width=48, init=init), 10, 3) == [ONES]
        assert factors({**_full(width=48, init=init), "parametrization": "standard"}, 10, 3) == [ONES] * 4


@pytest.mark.parametrize("init", HYPERPARAMETERS["init"].choices)
def test_initial_spreads_are_those_that_the_paper_wants(init: str) -> None:
    """Measured on Flax's draws: first layers as at the base width, variances of others with 1/n, of outputs 1/n^2."""
    draw, base, width = INITIALIZERS[init].reference(), 64, 256
    found = factors(_full(width=width, base_width=base, init=init), 100, 10)
    keys = jax.random.split(jax.random.key(0), 6)
    sizes = [((100, base), (100, width), 1.0), ((base, base), (width, width), 0.5), ((base, 10), (width, 10), 0.25)]
    for number, ((narrow, wide, ratio), factor) in enumerate(zip(sizes, (found[0], found[1], found[3]), strict=True)):
        one = np.std(draw(keys[2 * number], narrow))
        other = factor.init * np.std(draw(keys[2 * number + 1], wide))
        assert other / one == pytest.approx(ratio, rel=0.06)


@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 0.002), ("sgd", 0.05)])
def test_what_a_few_steps_change_does_not_depend_on_the_width(optimizer: str, rate: float) -> None:
    """The authors' check of coordinates: some steps move the outputs of wide networks as far as those of narrow ones.

    Under the standard parametrization they move them much further.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 8))
    data = prepare(js.Dataset.from_arrays(x, rng.normal(size=200)), split=(0.5, 0.5, 0))

    def moved(parametrization: str, width: int) -> float:
        config = {
            "depth": 2, "width": width, "epochs": 2, "batch_size": 50, "optimizer": optimizer, "learning_rate": rate,
            "init": "he_normal", "parametrization": parametrization, "base_width": 16,
        }  # fmt: skip
        alone, inputs = train(data, config), np.asarray(data.x[0], np.float32)
        before, after = (MLP(alone.config, 1).apply({"params": each}, inputs) for each in (alone.initial, alone.params))
        return float(np.std(np.asarray(after) - np.asarray(before)))

    standard, mup = (moved(kind, 512) / moved(kind, 64) for kind in ("standard", "mup"))
    assert 0.25 < mup < 1.5 < 2 < standard


def test_lamb_is_refused() -> None:
    data = js.Dataset.from_arrays(np.zeros((20, 2)) + np.arange(20)[:, None], np.arange(20) % 2)
    with pytest.raises(js.RequestError, match="parametrization = 'mup' does not go with optimizer = 'lamb'"):
        js.plan(data, configs=[{"parametrization": "mup", "optimizer": "lamb"}])

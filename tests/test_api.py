"""What people give to the functions of notebooks: taken as they mean it, or refused with what would be right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import jaxsweep as js

pytestmark = pytest.mark.usefixtures("one_tile")

CONFIG: dict[str, Any] = {"depth": 1, "width": 8, "epochs": 1}
X = np.random.default_rng(0).normal(size=(60, 3))
IS_HYPERPARAMETER = "it belongs in the space, or in each config"


@pytest.mark.parametrize("function", [js.sweep, js.plan], ids=["sweep", "plan"])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"serach": "random"}, "'serach'; did you mean 'search'?"),
        ({"trails": 2}, "'trails'; did you mean 'trials'?"),
        ({"n_trials": 2}, "'n_trials'; here it is called 'trials'"),
        ({"timeout": 60}, "'timeout'; here it is called 'minutes'"),
        ({"population": 9}, "it is an option of evolution, de, bayes, cmaes, policy, optuna"),
        ({"cv": 5}, "'cv'; here it is called 'folds'"),
        ({"random_state": 5}, "'random_state'; here it is called 'seed'"),
        ({"direction": "minimize"}, "'direction', and needs none: the direction follows from the metric"),
        ({"epochs": 3}, f"'epochs'; epochs is a hyperparameter: {IS_HYPERPARAMETER}"),
        ({"epoch": 3}, f"'epoch'; epochs is a hyperparameter: {IS_HYPERPARAMETER}"),
        ({"lr": 0.1}, f"'lr'; learning_rate is a hyperparameter: {IS_HYPERPARAMETER}"),
        ({"resolution": 3}, "'resolution' for search = 'random'; it is an option of grid"),
        ({"search": "evolution", "populaton": 5}, "'populaton'; did you mean 'population'?"),
        (
            {"callbacks": []},
            "'callbacks'; it has data, space, configs, trials, initial, warm_start, start_from, search, ",
        ),
        ({"search": "nonsense"}, "unknown searcher 'nonsense'"),
        ({"search": 3}, "search = 3 is not legal: it must be a name, such as 'random'"),
        ({"objective": [3]}, "objective = [3] is not legal: it must be a name, or a list of names"),
        ({"trials": 2.0}, "trials = 2.0 is not legal: it must be an integer of at least 1"),
        ({"split": 0.2}, "split = 0.2 is not legal: it must be three fractions: train, validation, test"),
        ({"split": (0.8, 0.2)}, "it must be three numbers: train, validation, test"),
    ],
)
def test_keywords_that_are_refused(function: Callable[..., Any], given: dict[str, Any], words: str) -> None:
    with pytest.raises(js.RequestError) as caught:
        function("iris", CONFIG, **given)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"keep_weight": "best"}, "'keep_weight'; did you mean 'keep_weights'?"),
        ({"replicate": 5}, "'replicate'; did you mean 'replicates'?"),
        ({"bogus": 3}, "sweep has no keyword 'bogus'; it has data, space"),
        ({"search": "nonsense"}, "search = 'nonsense' does not go with configs"),
    ],
)
def test_keywords_beside_configs_are_refused_too(given: dict[str, Any], words: str) -> None:
    with pytest.raises(js.RequestError) as caught:
        js.sweep("iris", configs=[CONFIG], **given)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("iris", [CONFIG]), "space is a list: a list of configs is given as configs=[...]"),
        (("iris", 3), "space is a int: it must be a js.Space, or a dict of what it would have"),
        (("iri", CONFIG), "there is no built-in data set 'iri'; did you mean 'iris'?"),
        (("cars.csv", CONFIG), "give js.read_table('cars.csv', target=...)"),
        ((pd.DataFrame({"a": [1]}), CONFIG), "js.Dataset.from_arrays(frame.drop(columns=TARGET), frame[TARGET])"),
        ((X, CONFIG), "data is a ndarray: it must be a dataset, as js.load_dataset"),
        ((None, CONFIG), "data is a NoneType: it must be a dataset"),
    ],
)
def test_data_and_spaces_that_are_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(js.RequestError) as caught:
        js.sweep(*arguments, progress=False)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("configs", "words"),
    [
        (CONFIG, "configs is a single config: it must be a list, such as configs=[config]"),
        (pd.DataFrame([CONFIG]), "configs is a frame: give configs=frame.to_dict('records')"),
        (3, "configs = 3 is not a list of configs"),
        ([{"lr": 1}], "configs[0]: unknown hyperparameter 'lr'; did you mean 'learning_rate'?"),
    ],
)
def test_configs_that_are_refused(configs: Any, words: str) -> None:
    with pytest.raises(js.RequestError) as caught:
        js.sweep("iris", configs=configs, progress=False)
    assert words in str(caught.value)


def test_what_sweep_takes_plan_takes_too() -> None:
    given: dict[str, Any] = {
        "trials": np.int64(2), "objective": "val_loss", "keep": 3, "keep_weights": "best", "train_metrics": True,
        "precision": "default",
        "out": "nowhere", "progress": False, "seed": None, "split": np.array([0.5, 0.3, 0.2]),
    }  # fmt: skip
    assert js.plan("iris", CONFIG, **given).lanes == 2


def test_a_name_a_pair_and_a_dataset_are_data() -> None:
    """And the seed may be drawn: it is recorded, and gives the same again."""
    first = js.sweep("iris", configs=[CONFIG], seed=None, progress=False, keep=0)
    again = js.sweep(js.load_dataset("iris"), configs=[CONFIG], seed=first.request.seed, progress=False, keep=0)
    assert again.best.metrics == first.best.metrics
    other = js.sweep("iris", configs=[CONFIG], seed=None, progress=False, keep=0)
    assert other.request.seed != first.request.seed
    pair = js.sweep((X, X[:, 0] > 0), configs=[CONFIG], progress=False, keep=0)
    assert pair.best.metrics == js.sweep(
        js.Dataset.from_arrays(X, X[:, 0] > 0), configs=[CONFIG], progress=False, keep=0
    ).best.metrics  # fmt: skip
    alone = js.solo("iris", CONFIG, first.request.seed).curves["val_loss"]
    assert alone[-1] == pytest.approx(first.best.metrics["val_loss"], rel=1e-5)


def test_a_solo_says_of_itself_what_it_came_to() -> None:
    alone = js.solo("iris", {**CONFIG, "epochs": 3})
    assert repr(alone).startswith(
        f"Solo(completed after 3 epochs, {{'train_loss': {alone.curves['train_loss'][-1]:.4g}"
    )
    assert len(repr(alone)) < 300


def test_weights_beside_data(tmp_path: Path) -> None:
    """They change what is trained, by a sweep as alone; the run directory cannot read them again, and says so."""
    weights = np.arange(150) % 3
    swept = js.sweep("iris", configs=[CONFIG], weights=weights, out=tmp_path / "run", progress=False)
    alone = js.solo("iris", CONFIG, weights=weights)
    np.testing.assert_allclose(swept.curves("val_loss")[0], alone.curves["val_loss"], rtol=1e-5)
    assert abs(js.solo("iris", CONFIG).curves["val_loss"][0] - alone.curves["val_loss"][0]) > 1e-4
    assert js.plan("iris", configs=[CONFIG], weights=weights).lanes == 1
    with pytest.raises(js.RequestError, match="was trained on data in memory, which cannot be read again"):
        _ = js.load(tmp_path / "run").data

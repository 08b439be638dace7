"""What Optuna's samplers do as a searcher: TPE under some of the contract, all by name, and what is refused."""

import math
from typing import Any

import numpy as np
import optuna
import pytest

from jaxsweep.errors import RequestError
from jaxsweep.search import make
from jaxsweep.search import optuna as searcher_module
from jaxsweep.search.contract import LISTS, MIXED, NESTED, POINT, SearcherContract, rounds
from jaxsweep.search.optuna import NEEDED, SAMPLERS, Optuna
from jaxsweep.spec import studies
from jaxsweep.spec.extras import extra
from jaxsweep.spec.metrics import Direction
from jaxsweep.spec.space import Int, Space, Uniform
from jaxsweep.streams import bit_generator, generator

FLAT = Space(dropout=Uniform(0, 0.9), depth=Int(1, 6))


def study(searcher: Any) -> optuna.Study:
    assert isinstance(searcher, Optuna)
    return searcher._study  # type: ignore[no-any-return]


class TPE(SearcherContract):
    def make(self, space: Space, seed: int = 0, direction: Direction = "maximize") -> Optuna:
        searcher = make("optuna", space, seed, direction)
        assert isinstance(searcher, Optuna)
        return searcher


@pytest.mark.parametrize(
    "test", ["test_told_in_any_order_where_scores_are_equal", "test_asking_in_pieces_gives_the_same"]
)
def test_tpe_as_the_contract_has_it(test: str) -> None:
    getattr(TPE(), test)()


def test_tpe_is_optunas() -> None:
    """The same values as a study of Optuna's own has, in the same batches, but for ten digits."""
    seed = int(bit_generator(0, "optuna").random_raw()) >> 32
    with studies.quiet():
        own = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    mine = rounds(make("optuna", FLAT), lambda config: -config["dropout"], 3, 15)
    for batch in mine:
        trials = []
        for config in batch:
            trials.append(trial := own.ask())
            assert config["depth"] == trial.suggest_int("depth", 1, 6)
            assert config["dropout"] == pytest.approx(trial.suggest_float("dropout", 0, 0.9), abs=1e-9)
        for trial, config in zip(trials, batch, strict=True):
            own.tell(trial, -config["dropout"])
    assert len(own.trials) == 45
    assert np.mean([config["dropout"] for config in mine[2]]) < np.mean([config["dropout"] for config in mine[0]])


@pytest.mark.parametrize("sampler", [name for name, kind in SAMPLERS.items() if NEEDED.get(kind) != "torch"])
def test_every_sampler_by_its_name_and_by_its_class(sampler: str) -> None:
    """Same seed, same proposals, in a space with conditions."""
    results = []
    for name in (sampler, SAMPLERS[sampler]):
        searcher = make("optuna", NESTED, 3, sampler=name, population=8)
        assert type(study(searcher).sampler).__name__ == SAMPLERS[sampler]
        results.append(rounds(searcher, lambda config: float(config["depth"]), 3, 8))
        for config in results[-1][-1]:
            NESTED.check(config)
    assert results[0] == results[1]


def test_what_a_sampler_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str, what: str, name: str | None = None) -> Any:
        return extra(package if package == "optuna" else "no_such_package", what, name)

    monkeypatch.setattr(searcher_module, "extra", missing)
    with pytest.raises(RequestError, match="Optuna's GPSampler needs the package"):
        make("optuna", MIXED, sampler="gp")


def test_trials_are_told_as_they_went() -> None:
    """Failed ones have failed, strangers are added, lists are categories by their text, and constants no parameters."""
    searcher = make("optuna", LISTS, 1, sampler="random", direction="minimize")
    configs = searcher.ask(4)
    (other,) = LISTS.sample(generator(1, "test"), 1)
    searcher.tell([*configs[:3], other], [0.5, math.nan, math.inf, 2.0])
    searcher.ask(1)
    trials = study(searcher).trials
    state = optuna.trial.TrialState
    assert [trial.state for trial in trials] == [
        *(state.COMPLETE, state.FAIL, state.FAIL, state.RUNNING, state.COMPLETE, state.RUNNING)
    ]
    assert [trials[0].value, trials[4].value] == [-0.5, -2.0]  # as merits
    assert [set(trial.params) for trial in trials[:5]] == [{"width", "batch_size"}] * 5
    assert {trial.params["width"] for trial in trials} <= {"[64, 32]", "[8]"}
    assert trials[4].params == {"width": str(other["width"]), "batch_size": other["batch_size"]}


def test_a_config_that_comes_twice_is_told_twice() -> None:
    searcher = make("optuna", POINT, sampler="random")
    configs = searcher.ask(3)
    searcher.tell(configs, [1.0, 2.0, 3.0])
    searcher.ask(1)
    assert sorted(trial.value for trial in study(searcher).trials[:3] if trial.value is not None) == [1, 2, 3]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sampler": "tpee"}, "sampler = 'tpee' is not one that a sweep can have; did you mean 'tpe'?"),
        ({"sampler": "GridSampler"}, "sampler = 'GridSampler' is not one that a sweep can have"),
        ({"sampler": 3}, "sampler = 3 is not one"),
        ({"sampler_options": 3}, "sampler_options = 3 is not legal"),
        ({"sampler_options": {"seed": 3}}, "sampler_options: seed is not to be given: it is the sweep's seed"),
        (
            {"sampler_options": {"n_startup_trails": 3}},
            "TPESampler has no argument 'n_startup_trails'; did you mean 'n_startup_trials'?",
        ),
        (
            {"sampler": "nsgaii", "sampler_options": {"population_size": 0}},
            "NSGAIISampler refuses {'population_size': 0}: `population_size` must be greater than or equal to 2.",
        ),
        ({"population": 0}, "population = 0 is not legal"),
    ],
)
def test_refuses_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError) as caught:
        make("optuna", MIXED, **options)
    assert words in str(caught.value)

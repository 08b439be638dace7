"""The plan of a sweep: of a search that asks in batches all programs are foreseen, whatever it comes to ask for."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from random_spaces import spaces

import jaxsweep as js
from jaxsweep.engine.costs import Costs
from jaxsweep.engine.engine import Engine
from jaxsweep.engine.hypergradients import Hypergradient, foreseen_seconds
from jaxsweep.engine.planner import Plan
from jaxsweep.errors import RequestError
from jaxsweep.planning import foreseen
from jaxsweep.setup import resolve_for, set_up
from jaxsweep.spec.hyperparameters import layer_widths
from jaxsweep.spec.request import Request


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(space=spaces())
def test_every_config_of_a_space_fits_into_a_shape_of_its_frame(iris: js.Dataset, space: js.Space) -> None:
    request = Request(space=space, search="evolution", options={"population": 10}, trials=100)
    try:
        setup = set_up(iris, request)
    except RequestError:  # norms that cannot train with batches of one, and the like
        assume(False)
    whole = foreseen(setup, Costs(memory=float("inf")))
    assert whole is not None
    frame = [bucket.shape for bucket in whole.buckets]
    for config in space.sample(np.random.default_rng(1), 300):
        full = resolve_for(setup.data, config)
        widths = layer_widths(full, setup.data.n_outputs)
        assert any(shape.holds(widths, full["batch_size"]) for shape in frame), full


def test_a_search_compiles_what_its_plan_says_and_no_later_batch_anything(iris: js.Dataset) -> None:
    space = js.Space(
        width=js.Int(3, 12), depth=js.Int(1, 2), batch_size=js.Choice([16, 30]), learning_rate=js.LogUniform(1e-3, 0.1),
        epochs=2,
    )  # fmt: skip
    asked: dict[str, Any] = {"trials": 32, "search": "evolution", "population": 8, "progress": False, "keep": 0}
    planned = js.plan(iris, space, **asked)
    assert planned.lanes == 32
    batches = []
    original = Engine.run

    def run(self: object, *args: object, **more: object) -> object:
        yield from original(self, *args, **more)  # type: ignore[arg-type]
        batches.append(len(self.usage.programs))  # type: ignore[attr-defined]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxsweep.loop.Engine.run", run)
        result = js.sweep(iris, space, **asked)
    assert len(batches) == 4
    assert result.summary()["programs"] <= planned.programs
    assert {trial.config["width"] for trial in result.trials} - {3, 12}


def test_one_batch_is_planned_as_it_is(iris: js.Dataset) -> None:
    space = js.Space(width=js.Int(3, 12), epochs=2)
    for search, trials in (("random", 40), ("evolution", 5)):
        setup = set_up(iris, Request(space=space, search=search, trials=trials))
        assert foreseen(setup, Costs()) is None


@pytest.mark.parametrize("search", ["random", "evolution"])
def test_a_plan_says_what_makes_further_programs(
    iris: js.Dataset, monkeypatch: pytest.MonkeyPatch, search: str
) -> None:
    monkeypatch.setattr("jaxsweep.planning.device_costs", lambda measure: Costs())
    asked: dict[str, Any] = {"trials": 300, "search": search}
    space = js.Space(width=js.Int(8, 512), learning_rate=js.LogUniform(1e-3, 0.1), depth=2, epochs=300)
    planned = js.plan(iris, space, **asked)
    (note,) = planned.notes
    found = re.fullmatch(
        r"width has (\d+) values; ([\d, ]+) alone would take (\d+) programs? and about ([\d.]+) s instead of (\d+) and "
        r"([\d.]+) s",
        note,
    )
    assert found is not None, note
    few = [int(value) for value in found[2].split(", ")]
    assert len(few) == 3
    assert int(found[3]) < int(found[5]) == planned.programs
    assert float(found[4]) < float(found[6]) == pytest.approx(planned.predicted_seconds, rel=0.05)
    narrowed = js.plan(iris, js.Space(**{**space.entries, "width": js.Choice(few)}), **asked)
    assert narrowed.programs < planned.programs
    assert narrowed.predicted_seconds < planned.predicted_seconds


def test_what_makes_further_programs_is_said_of_lists_of_widths_too(
    iris: js.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jaxsweep.planning.device_costs", lambda measure: Costs(several_batches=False))
    configs = [
        {"depth": len(width), "width": width, "batch_size": batch, "epochs": 300}
        for width in ([512, 8], [64, 64], [256], [8, 512, 8])
        for batch in (2, 16, 90)
    ] * 20
    planned = js.plan(iris, configs=configs)
    assert planned.programs > 1
    (note,) = planned.notes
    assert note.startswith("batch_size has 3 values; ")


def test_a_plan_says_if_its_seconds_are_not_of_this_machine(iris: js.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for remark, notes in (("", ()), ("seconds are another machine's", ("seconds are another machine's",))):
        costs = Costs(remark=remark)
        monkeypatch.setattr("jaxsweep.planning.device_costs", lambda measure, costs=costs: costs)
        assert js.plan(iris, configs=[{"width": 3, "epochs": 1}]).notes == notes


@pytest.mark.parametrize("names", [("learning_rate",), ("learning_rate", "l2"), ("learning_rate", "l2", "l1")])
def test_a_plan_has_the_second_trainings_that_a_search_then_asks_for(
    iris: js.Dataset, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    space = js.Space(**{name: js.LogUniform(1e-3, 0.1) for name in names}, width=3, depth=1, batch_size=30, epochs=2)
    asked: dict[str, Any] = {"trials": 10, "folds": 2, "keep": 0}
    again, wanted = 0, set()

    def none(engine: Engine, plan: Plan, configs: Sequence[Any], trials: Any, names: Any, *_: Any, **__: Any) -> Any:
        nonlocal again
        again += plan.lanes
        wanted.add(names)
        return [Hypergradient(np.nan, dict.fromkeys(names, np.nan)) for _ in configs]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxsweep.loop.hypergradients", none)
        js.sweep(iris, space, search="gradient", starts=4, progress=False, **asked)
    monkeypatch.setattr("jaxsweep.planning.device_costs", lambda measure: Costs(memory=float("inf")))
    assert (again, len(wanted)) == (16, 1)  # of three batches of 4, 4 and 2 trials on two folds, the last one's not
    planned = js.plan(iris, space, search="gradient", starts=4, **asked)
    note = planned.notes[-1]
    assert note.startswith(f"{again} lanes train a second time, by programs of their own (1 or more): about ")
    further = foreseen_seconds(planned, len(names), 8 / 10)
    assert float(note.split()[-5]) == pytest.approx(further, rel=0.05)
    alone = js.plan(iris, space, search="evolution", population=4, **asked)
    assert planned.predicted_seconds == pytest.approx(alone.predicted_seconds + further)
    one = js.plan(iris, space, search="gradient", starts=10, **asked).notes  # one batch, of which nothing is learnt
    assert one[:-1] == planned.notes[:-1]
    assert one[-1].startswith("the searcher gradient learns of no score before its first 10 configs")


def test_a_config_that_is_tried_first_has_the_programs_of_the_search(iris: js.Dataset) -> None:
    """Though the rest is one batch."""
    space = js.Space(learning_rate=js.LogUniform(1e-3, 0.1), width=js.Choice([3, 5]), depth=1, batch_size=30, epochs=1)
    asked: dict[str, Any] = {"trials": 6, "search": "evolution", "initial": [{"learning_rate": 0.01, "width": 3}]}
    planned = js.plan(iris, space, **asked)
    result = js.sweep(iris, space, keep=0, progress=False, **asked)
    assert result.summary()["programs"] == len(planned.buckets) == 1


def test_a_plan_says_that_a_time_limit_may_end_it_before(iris: js.Dataset) -> None:
    space = js.Space(learning_rate=js.LogUniform(1e-3, 0.1), width=3, depth=1, epochs=1)
    (note,) = js.plan(iris, space, trials=5, minutes=1e-6).notes
    assert note == "the time limit of 1e-06 minutes may end it before: what is said here is the whole search"
    assert js.plan(iris, space, trials=5, minutes=1000).notes == ()


def test_under_a_time_limit_programs_are_as_many_as_pay_in_it(
    iris: js.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many trials were asked for: nobody has the time to train them."""
    monkeypatch.setattr("jaxsweep.planning.device_costs", lambda measure: Costs(memory=float("inf")))
    space = js.Space(learning_rate=js.LogUniform(1e-3, 0.1), width=js.Choice([8, 64, 256]), depth=1, epochs=20)
    asked: dict[str, Any] = {"trials": 10**6, "search": "evolution", "population": 50}
    without = js.plan(iris, space, **asked)
    limited = js.plan(iris, space, minutes=0.1, **asked)
    assert len(without.buckets) == 3
    assert len(limited.buckets) == 1
    assert limited.lanes == without.lanes  # what is said is the whole search
    assert js.plan(iris, space, minutes=10**6, **asked).buckets == without.buckets

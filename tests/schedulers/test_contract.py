"""Every scheduler of the registry passes the contract, and the contract tells those that are wrong."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsweep.errors import RequestError
from jaxsweep.schedulers import SCHEDULERS, Copy, Entrant, Go, Order, Report, Scheduler, Stop, make, options
from jaxsweep.schedulers.contract import SPACE, SchedulerContract, entrants, learners
from jaxsweep.schedulers.machine import Machine
from jaxsweep.search import SEARCHERS
from jaxsweep.search import options as searcher_options
from jaxsweep.spec.space import Space


class Of(SchedulerContract):
    """The contract of the scheduler that the registry has under a name."""

    name: str

    def make(self, space: Space, seed: int = 0, **options: Any) -> Scheduler:
        return make(self.name, space=space, seed=seed, **options)


class TestSchedulers(Of):
    @pytest.fixture(autouse=True, params=SCHEDULERS)
    def one_after_another(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param


# Settings that are far from the defaults, each of which the contract holds for, too.
OTHERS: dict[str, list[dict[str, Any]]] = {
    "halving": [{"eta": 2, "first": 4}, {"first": 7, "unit": "iterations"}, {"first": 1000}],
    "hyperband": [{"eta": 4}, {"first": 30, "unit": "iterations"}, {"first": 100}],
    "asha": [{"slots": 1}, {"eta": 2, "slots": 7}, {"first": 5, "unit": "iterations"}, {"slots": 10_000}],
    "median": [{"grace": 1, "least": 1}, {"every": 7, "slots": 3}, {"grace": 200}],
    "pbt": [{"every": 1, "cut": 0.5}, {"every": 200}, {"resample": 1.0}, {"resample": 0.0, "factor": 1.0}],
}


@pytest.mark.parametrize("name", SCHEDULERS)
@given(data=st.data(), seed=st.integers(0, 2**32), orders=st.tuples(st.integers(0, 99), st.integers(100, 199)))
@settings(max_examples=25, deadline=None)
def test_random_batches_under_other_options(name: str, data: st.DataObject, seed: int, orders: tuple[int, int]) -> None:
    chosen = data.draw(st.sampled_from(OTHERS[name]))
    found = entrants(data.draw(st.lists(st.integers(1, 60), min_size=1, max_size=60)))
    known = learners(found, seed, eventful=data.draw(st.booleans()))
    ran = [Machine(make(name, space=SPACE, seed=seed, **chosen), known, found, order).run() for order in orders]
    assert ran[0].orders() == ran[1].orders()
    assert 0 < make(name, space=SPACE, **chosen).expected(found) <= 1


def test_options_of_schedulers_are_none_of_searchers() -> None:
    """Both are keywords of `sweep`, so that one name can have one meaning alone."""
    for scheduler in SCHEDULERS:
        for searcher in SEARCHERS:
            both = set(options(scheduler)) & set(searcher_options(searcher))
            assert not both, f"{both} are options of {scheduler} and of {searcher}"


def test_the_registry_refuses_what_it_does_not_have() -> None:
    with pytest.raises(RequestError, match="unknown scheduler 'asah'; did you mean 'asha'"):
        make("asah")
    with pytest.raises(RequestError, match="unknown option 'eat' of scheduler 'asha'; did you mean 'eta'"):
        make("asha", eat=3)
    with pytest.raises(RequestError, match="unit = 'hours' is not legal: it must be one of epochs, iterations"):
        make("halving", unit="hours")


# --- the contract tells those that are wrong -----------------------------------------------------------------------


class Plain(Scheduler):
    """Trains all to their ends (nobody, 2020), with the flaws of its subclasses."""

    description = "all trials train to their ends, or should"

    def begin(self, entrants: Sequence[Entrant]) -> list[Order]:
        self.epochs = {each.trial: each.epochs for each in entrants}
        return [Go(each.trial, each.epochs) for each in sorted(entrants, key=lambda each: each.trial)]

    def report(self, reports: Sequence[Report]) -> list[Order]:
        return []

    def expected(self, entrants: Sequence[Entrant]) -> float:
        return 1.0

    def first_look(self, entrant: Entrant) -> int:
        return entrant.epochs


class Forgetful(Plain):
    def begin(self, entrants: Sequence[Entrant]) -> list[Order]:
        return [Go(each.trial, max(1, each.epochs // 2)) for each in entrants]


class Impatient(Plain):
    """Stops whoever it hears of once it has heard of twenty: an order of arrival."""

    heard = 0

    def begin(self, entrants: Sequence[Entrant]) -> list[Order]:
        super().begin(entrants)
        return [Go(each.trial, 1) for each in entrants]

    def report(self, reports: Sequence[Report]) -> list[Order]:
        orders: list[Order] = []
        for report in reports:
            self.heard += 1
            if not report.ended:
                go = Go(report.trial, self.epochs[report.trial])
                orders.append(Stop(report.trial) if 20 < self.heard < 40 else go)
        return orders


class Standing(Plain):
    def report(self, reports: Sequence[Report]) -> list[Order]:
        return [Go(report.trial, len(report.merits)) for report in reports]


class Early(Plain):
    def begin(self, entrants: Sequence[Entrant]) -> list[Order]:
        return [*super().begin(entrants), *super().begin(entrants)]


class Sly(Plain):
    def report(self, reports: Sequence[Report]) -> list[Order]:
        return [Copy(report.trial, min(self.epochs), {}, 99) for report in reports]


@pytest.mark.parametrize(
    ("flawed", "said"),
    [
        (Forgetful, "nobody stopped trials"),
        (Standing, "is for a trial that is over"),
        (Early, "is for a trial that trains"),
        (Sly, "is for a trial that is over"),
    ],
)
def test_orders_that_no_machine_can_carry_out_are_told(flawed: Callable[[], Scheduler], said: str) -> None:
    found = entrants([9] * 30)
    with pytest.raises(AssertionError, match=said):
        Machine(flawed(), learners(found), found).run()


def test_a_scheduler_that_depends_on_the_machine_is_told() -> None:
    class Contract(SchedulerContract):
        def make(self, space: Space, seed: int = 0, **options: Any) -> Scheduler:
            return Impatient(space=space, seed=seed)

    with pytest.raises(AssertionError):
        Contract().test_reports_in_any_order_give_the_same_orders()


def test_a_plain_scheduler_of_ones_own_passes() -> None:
    class Contract(SchedulerContract):
        def make(self, space: Space, seed: int = 0, **options: Any) -> Scheduler:
            return Plain(space=space, seed=seed)

    contract = Contract()
    for name in dir(contract):
        if name.startswith("test_"):
            getattr(contract, name)()

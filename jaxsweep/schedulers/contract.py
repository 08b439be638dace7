"""What every scheduler owes its callers, as one class of tests: also for a scheduler of one's own.

A subclass says how the scheduler is made, and pytest does the rest:

    from jaxsweep.schedulers.contract import SchedulerContract

    class TestMine(SchedulerContract):
        def make(self, space, seed=0, **options):
            return Mine(space=space, seed=seed, **options)

The tests are plain methods with plain asserts: nothing here needs pytest, and a method can be called by hand. Trials
are numbers on a machine (`jaxsweep.schedulers.machine`), which refuses orders that no real one could carry out.
"""

import copy
import inspect
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from jaxsweep.errors import RequestError
from jaxsweep.schedulers.base import Copy, Entrant, Scheduler
from jaxsweep.schedulers.machine import Learner, Machine
from jaxsweep.spec.hyperparameters import resolve
from jaxsweep.spec.space import Choice, Int, LogUniform, Space, Uniform
from jaxsweep.streams import generator

SPACE = Space(
    learning_rate=LogUniform(1e-4, 1),
    optimizer=Choice(["sgd", "adam"]),
    momentum=Uniform(0, 0.99, when={"optimizer": "sgd"}),
    activation=Choice(["relu", "tanh", "gelu"]),
    epochs=Int(1, 81),
)
"""What configs come from; a scheduler that changes them stays within it."""

LONG = 81


def entrants(epochs: Sequence[int], first: int = 0, steps: int = 10) -> list[Entrant]:
    """Return a trial for each number of epochs, with the numbers from `first` on and configs of SPACE."""
    configs = SPACE.sample(generator(3, "contract"), len(epochs))
    full = [
        {**resolve(config, "classification", 100, False), "epochs": n}
        for config, n in zip(configs, epochs, strict=True)
    ]
    return [Entrant(first + i, config, config["epochs"], steps) for i, config in enumerate(full)]


def curves(count: int, epochs: int = LONG, seed: int = 5) -> NDArray[np.float64]:
    """Return learning curves [count, epochs] that rise, at different paces, and are noisy: some cross."""
    rng = generator(seed, "contract")
    height, pace = rng.random((count, 1)), 2 + 20 * rng.random((count, 1))
    rise = 1 - np.exp(-np.arange(1, epochs + 1) / pace)
    return np.asarray(height * rise + 0.02 * rng.random((count, epochs)))


def learners(found: Sequence[Entrant], seed: int = 5, eventful: bool = False) -> dict[int, Learner]:
    """Return what each trial is worth; `eventful`: some end early, some diverge, of some a part has ended."""
    made = {each.trial: Learner(curve) for each, curve in zip(found, curves(len(found), seed=seed), strict=True)}
    rng = generator(seed, "events")
    for each in found if eventful else ():
        learner, draws = made[each.trial], rng.random(3)
        when = 1 + int(draws[1] * each.epochs)
        if draws[0] < 0.2:
            learner.ends = when
        elif draws[0] < 0.4:
            learner.diverges = when
        learner.intact = bool(draws[2] < 0.8)
    return made


class SchedulerContract:
    """The tests that every scheduler passes. A subclass has `make`, and may say less of its scheduler by the flags.

    Which trials go on, and how far, is a scheduler's own affair; that all of them end, that the same ones go on
    whichever machine trains them, and that nothing useless is trained, is demanded here.
    """

    tolerance: ClassVar[float] = 1.5
    """By which factor, at most, `expected` and what is trained differ where 300 learning curves rise."""

    def make(self, space: Space, seed: int = 0, **options: Any) -> Scheduler:
        """Return a new scheduler."""
        raise NotImplementedError("a subclass of SchedulerContract must have make(space, seed, **options)")

    def run(
        self, found: Sequence[Entrant], known: Mapping[int, Learner] | None = None, seed: int = 0, order: int = 0,
        **options: Any,
    ) -> Machine:  # fmt: skip
        """Return a machine on which the trials of one batch have trained under a new scheduler."""
        return Machine(self.make(SPACE, seed, **options), known or learners(found), found, order).run()

    # --- the same again ------------------------------------------------------------------------------------------

    def test_reports_in_any_order_give_the_same_orders(self) -> None:
        """Also if trials end early, diverge, or differ in their epochs."""
        rng = generator(1, "contract")
        for eventful in (False, True):
            for count in (7, 60, 200):
                found = entrants((1 + rng.random(count) * LONG).astype(int).tolist() if eventful else [LONG] * count)
                known = learners(found, eventful=eventful)
                first = self.run(found, known)
                for order in (1, 2, 3):
                    assert self.run(found, known, order=order).orders() == first.orders()

    def test_entrants_in_any_order_give_the_same(self) -> None:
        """Trials have numbers, and their place in a list means nothing."""
        found = entrants([LONG] * 50)
        known = learners(found, eventful=True)
        assert self.run(found[::-1], known).orders() == self.run(found, known).orders()

    def test_what_it_gets_stays_as_it_is(self) -> None:
        """Configs and merits belong to the caller."""
        found = entrants([LONG] * 40)
        before = copy.deepcopy(found)
        self.run(found)
        assert found == before

    def test_global_random_numbers_have_no_part(self) -> None:
        """NumPy's global generator neither decides anything nor is moved."""
        found, results = entrants([LONG] * 40), []
        for seed in (1, 2):
            np.random.seed(seed)  # noqa: NPY002  what somebody else might do
            before = str(np.random.get_state(legacy=True))  # noqa: NPY002
            results.append(self.run(found).orders())
            assert before == str(np.random.get_state(legacy=True))  # noqa: NPY002
        assert results[0] == results[1]

    # --- every trial ends ----------------------------------------------------------------------------------------

    def test_every_trial_ends_or_is_stopped(self) -> None:
        """Whatever befalls it on its way; `Machine.run` demands it."""
        for seed in range(4):
            for count in (2, 3, 10, 100):
                found = entrants([LONG] * count)
                self.run(found, learners(found, seed, eventful=True), order=seed)

    def test_one_trial_only(self) -> None:
        """There is nobody to compare it with, so it trains to its end."""
        for epochs in (1, 2, LONG):
            found = entrants([epochs])
            assert self.run(found).courses[0].over == "ended"
            assert self.run(found).courses[0].done == epochs

    def test_no_trials(self) -> None:
        """A batch may be empty."""
        scheduler = self.make(SPACE)
        assert scheduler.begin([]) == []
        assert scheduler.report([]) == []
        assert 0 < scheduler.expected([]) <= 1

    def test_trials_with_one_epoch(self) -> None:
        """Nothing can be stopped: each of them ends."""
        found = entrants([1] * 50)
        machine = self.run(found)
        assert {course.over for course in machine.courses.values()} == {"ended"}
        assert machine.trained == 50

    def test_epochs_that_differ(self) -> None:
        """No trial is told to train longer than it can."""
        for seed in range(3):
            rng = generator(seed, "contract")
            found = entrants((1 + rng.random(90) * LONG).astype(int).tolist())
            machine = self.run(found, learners(found, seed), order=seed)
            assert any(course.over == "ended" for course in machine.courses.values())

    def test_all_diverged(self) -> None:
        """At their first epoch, or later: there is nothing to train on."""
        for when in (1, 2, 5):
            found = entrants([LONG] * 30)
            known = {each.trial: Learner(curve, diverges=when) for each, curve in zip(found, curves(30), strict=True)}
            machine = self.run(found, known)
            assert machine.trained <= 30 * when

    def test_all_equal(self) -> None:
        """Ties are broken somehow, and some trial trains to its end."""
        found = entrants([LONG] * 64)
        machine = self.run(found, {each.trial: Learner(np.full(LONG, 0.5)) for each in found})
        assert any(course.over == "ended" and course.done == LONG for course in machine.courses.values())

    def test_all_end_early(self) -> None:
        """Those that patience has ended need nobody to stop them."""
        found = entrants([LONG] * 30)
        known = {
            each.trial: Learner(curve, ends=1 + each.trial % 9) for each, curve in zip(found, curves(30), strict=True)
        }
        machine = self.run(found, known)
        assert all(course.done <= 9 for course in machine.courses.values())

    def test_several_batches(self) -> None:
        """One after another, under the same scheduler; the numbers of trials go on."""
        runs = []
        for order in (0, 1):
            scheduler, machines = self.make(SPACE), []
            for first in (0, 100, 130):
                found = entrants([27] * (100 if first == 0 else 30), first)
                machines.append(Machine(scheduler, learners(found, first), found, order).run())
            runs.append([machine.orders() for machine in machines])
        assert runs[0] == runs[1]

    # --- what is worth training ----------------------------------------------------------------------------------

    def test_merits_that_are_not_finite_are_none(self) -> None:
        """NaN and infinity of either sign count less than any number, and like each other."""
        results = []
        for bad in (math.nan, math.inf, -math.inf):
            found = entrants([LONG] * 120)
            known = learners(found)
            for each in found[1::2]:
                known[each.trial].merits[:] = bad
            machine = self.run(found, known)
            results.append(machine.orders())
            done = np.array([machine.courses[each.trial].done for each in found])
            assert done[0::2].mean() >= done[1::2].mean()
            copied = [
                order.source
                for course in machine.courses.values()
                for order in course.orders
                if isinstance(order, Copy)
            ]
            assert all(np.isfinite(machine.courses[source].seen[-1]) or source % 2 == 0 for source in copied)
        assert results[0] == results[1] == results[2]

    def test_the_best_is_not_stopped(self) -> None:
        """One that is better than all others at every epoch trains to its end."""
        for best in (0, 17, 149):
            found = entrants([LONG] * 150)
            known = learners(found)
            known[best].merits += 5
            course = self.run(found, known).courses[best]
            assert (course.over, course.done) == ("ended", LONG)

    def test_expected_is_near_what_is_trained(self) -> None:
        """In (0, 1], since plans are made of it."""
        rng = generator(2, "contract")
        for epochs in ([LONG] * 300, (1 + rng.random(300) * LONG).astype(int).tolist(), [1] * 300, [2]):
            found = entrants(epochs)
            scheduler = self.make(SPACE)
            expected = scheduler.expected(found)
            assert 0 < expected <= 1
            share = min(Machine(scheduler, learners(found), found).run().share, 1.0)
            assert 1 / self.tolerance <= expected / share <= self.tolerance, (expected, share)

    def test_expected_changes_nothing(self) -> None:
        """A plan may be made, or not, before each batch."""
        found, results = entrants([27] * 60), []
        for asked in (0, 3):
            scheduler = self.make(SPACE)
            for _ in range(asked):
                scheduler.expected(found)
            results.append(Machine(scheduler, learners(found), found).run().orders())
        assert results[0] == results[1]

    def test_nothing_is_decided_before_the_first_look(self) -> None:
        """A trial is told to train until then, or longer; where none is longer, all train to their ends."""
        found = entrants([LONG] * 40)
        scheduler = self.make(SPACE)
        for each in found:
            look = scheduler.first_look(each)
            assert look >= 1
            short = entrants([min(look, LONG)] * 40)
            if scheduler.first_look(short[0]) >= short[0].epochs:
                courses = self.run(short, learners(short)).courses.values()
                assert {course.over for course in courses} == {"ended"}
        assert min(course.done for course in self.run(found).courses.values()) >= min(map(scheduler.first_look, found))

    # --- settings ------------------------------------------------------------------------------------------------

    def test_refuses_options_that_are_none(self) -> None:
        """In a sentence with the option's name and the value."""
        for name in self._options():
            wrong: tuple[Any, ...] = ("many", -1, math.nan, True, [3], 1e300)
            for value in wrong:
                said = _refused(self.make, SPACE, 0, **{name: value})
                assert name in said, f"{name} = {value!r}: {said or 'accepted'}"
                assert "is not legal" in said

    def test_refuses_a_seed_that_is_none(self) -> None:
        """In a sentence, when it is made."""
        seeds: tuple[Any, ...] = (-1, "a", 1.5, None, True, 2**63)
        for seed in seeds:
            assert f"seed = {seed!r} is not legal" in _refused(self.make, SPACE, seed)

    def test_describes_itself_its_options_and_its_source(self) -> None:
        """In one line for the table of schedulers; its docstring has each option, its module the year of a paper."""
        kind = type(self.make(SPACE))
        assert 10 < len(kind.description) < 80
        assert "\n" not in kind.description
        for name in self._options():
            assert f"{name}: " in (kind.__doc__ or ""), f"{kind.__name__} does not say what its option {name} is"
        said = f"{sys.modules[kind.__module__].__doc__}{kind.__doc__}"
        assert re.search(r"\b(19|20)\d\d\b", said), f"{kind.__name__} cites no source"

    def _options(self) -> list[str]:
        known = inspect.signature(type(self.make(SPACE))).parameters
        return [name for name in known if name not in ("seed", "space")]


def _refused(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """Return what RequestError says of a call, or an empty string if there is none."""
    try:
        call(*arguments, **options)
    except RequestError as error:
        return str(error)
    return ""

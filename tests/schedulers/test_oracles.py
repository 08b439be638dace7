"""Each scheduler beside what its source says: survivors, brackets, algorithm 2, the median rule, the ranges of pbt."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from jaxsweep.schedulers import ASHA, PBT, Copy, Go, Halving, Hyperband, Median, Order, Report, Scheduler
from jaxsweep.schedulers.base import Entrant, joins, rungs
from jaxsweep.schedulers.clock import Clock
from jaxsweep.schedulers.contract import LONG, entrants, learners
from jaxsweep.schedulers.machine import Learner, Machine
from jaxsweep.spec.hyperparameters import Config, resolve
from jaxsweep.spec.space import Choice, Int, LogUniform, Space, Uniform
from jaxsweep.streams import generator


def rising(count: int, first: int = 0, epochs: int = LONG, seed: int = 3) -> dict[int, Learner]:
    """Return learners whose curves never cross: their order is that of random heights at every epoch."""
    heights = generator(seed, "heights").random(count)
    return {first + i: Learner(height * np.arange(1, epochs + 1)) for i, height in enumerate(heights.tolist())}


def by_merit(known: Mapping[int, Learner]) -> list[int]:
    return sorted(known, key=lambda trial: -known[trial].merits[0])


# --- rungs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "first", "eta", "unit", "expected"),
    [
        (81, 1, 3, "epochs", [1, 3, 9, 27, 81]),
        (80, 1, 3, "epochs", [1, 3, 9, 27, 80]),
        (50, 4, 2, "epochs", [4, 8, 16, 32, 50]),
        (1, 1, 3, "epochs", [1]),
        (5, 5, 3, "epochs", [5]),
        (5, 99, 3, "epochs", [5]),
        (81, 10, 3, "iterations", [1, 3, 9, 27, 81]),  # 10 iterations are an epoch
        (20, 25, 2, "iterations", [3, 5, 10, 20]),  # 25, 50, 100 and 200
        (20, 1, 3, "iterations", [1, 1, 1, 3, 9, 20]),  # 1, 3 and 9 iterations are less than an epoch
        (1, 1, 3, "iterations", [1, 1, 1, 1]),  # of 10 in all
    ],
)
def test_rungs(epochs: int, first: int, eta: int, unit: str, expected: list[int]) -> None:
    assert rungs(entrants([epochs])[0], first, eta, unit) == expected


def both_paces() -> tuple[list[Entrant], dict[int, Learner]]:
    """Return 54 trials with 6 iterations in an epoch, 54 with 180, and what they are worth by the iterations done."""
    quick, slow = entrants([LONG] * 54, steps=6), entrants([LONG] * 54, 54, steps=180)
    heights = generator(4, "heights").random(108).tolist()
    worth = [
        Learner(height * np.log(each.epoch_steps * np.arange(1, LONG + 1)))
        for height, each in zip(heights, [*quick, *slow], strict=True)
    ]
    return [*quick, *slow], dict(enumerate(worth))


def test_trials_of_a_rung_have_had_the_same_iterations() -> None:
    """First looked at after 10: those with 180 in an epoch join at the rung of 90, the last one that these cover."""
    found, _ = both_paces()
    levels = [10 * 3**number for number in range(8)]
    for each in found:
        budgets = rungs(each, 10, 3, "iterations")
        assert joins(budgets) == (0 if each.epoch_steps == 6 else 2)
        for level, epochs in list(zip(levels, budgets, strict=False))[joins(budgets) : -1]:
            assert level <= epochs * each.epoch_steps < max(3 * level, level + each.epoch_steps)


@pytest.mark.parametrize("make", [lambda: Halving(first=10, unit="iterations"),
                                  lambda: ASHA(first=10, unit="iterations", slots=1)])  # fmt: skip
def test_who_has_had_more_iterations_takes_no_place_of_others(make: Callable[[], Scheduler]) -> None:
    """At the first rungs trials with few iterations in an epoch are compared among themselves, as without the others.

    After one epoch most of the others are worth more than the best of these after two.
    """
    found, known = both_paces()
    alone = Machine(make(), {i: known[i] for i in range(54)}, found[:54]).run().courses
    both = Machine(make(), known, found).run().courses
    for rung in (2, 5):  # epochs
        beyond = [trial for trial in range(54) if alone[trial].done > rung]
        assert 5 <= len(beyond) <= 27
        assert [trial for trial in range(54) if both[trial].done > rung] == beyond
    assert any(course.done == LONG for course in both.values())


def test_brackets_of_hyperband_begin_at_the_first_look() -> None:
    """Rungs that nobody is compared at are none: as many brackets as with rungs of whole epochs."""
    found = entrants([LONG] * 143)  # 10 iterations in an epoch
    early, plain = Hyperband(eta=10, unit="iterations"), Hyperband(eta=10)
    assert list(early._dealt(found)) == [1, 2, 3]  # 10, 100 and 810 iterations, of which 1 and 10 are one epoch
    assert list(early._dealt(found).values()) == list(plain._dealt(found).values())
    assert early.expected(found) == plain.expected(found) != 1


@pytest.mark.parametrize("kind", [Halving, ASHA])
def test_what_is_worth_nothing_takes_nobodys_place(kind: type[Halving | ASHA]) -> None:
    """Two of three are barred: none of them goes on, and the best of the others trains to its end."""
    known = rising(90)
    for trial in known:
        if trial % 3:
            known[trial] = Learner(np.full(LONG, -np.inf))
    machine = Machine(kind(), known, entrants([LONG] * 90)).run()
    for trial, course in machine.courses.items():
        first = course.orders[0]
        assert isinstance(first, Go)
        assert trial % 3 == 0 or course.done == first.until
    best = next(trial for trial in by_merit(known) if trial % 3 == 0)
    assert machine.courses[best].done == LONG


# --- halving: Jamieson and Talwalkar, AISTATS 2016 ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "eta", "sizes"), [(81, 3, [81, 27, 9, 3, 1]), (64, 4, [64, 16, 4, 1, 1]), (10, 3, [10, 3, 1, 1, 1])]
)
def test_halving_keeps_the_best_of_each_rung(count: int, eta: int, sizes: list[int]) -> None:
    known = rising(count)
    machine = Machine(Halving(eta=eta), known, entrants([LONG] * count)).run()
    ranked, levels = by_merit(known), rungs(entrants([LONG])[0], 1, eta, "epochs")
    for place, trial in enumerate(ranked):
        reached = [level for level, size in zip(levels, sizes, strict=False) if place < size]
        assert machine.courses[trial].done == reached[-1]
    assert machine.trained == sum(size * (b - a) for size, a, b in zip(sizes, [0, *levels], levels, strict=False))


def test_halving_keeps_the_place_of_one_that_ended_by_itself() -> None:
    """It was worth 1 in the end, and is the best of each rung that follows: nobody else takes its place."""
    known = rising(9)
    for learner in known.values():
        learner.merits[:] *= 0.01
    known[4] = Learner(np.ones(LONG), ends=2)
    machine = Machine(Halving(), known, entrants([LONG] * 9)).run()
    done = {trial: course.done for trial, course in machine.courses.items()}
    others = [trial for trial in by_merit(known) if trial != 4]
    assert done[4] == 2
    assert [done[trial] for trial in others] == [3, 3, 1, 1, 1, 1, 1, 1]  # three reach 3 epochs, and the one is it


# --- hyperband: Li et al., JMLR 18, 2018, table 1: R = 81, eta = 3 --------------------------------------------------

TABLE = {  # s: (n_i, r_i) of each round
    4: [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    3: [(34, 3), (11, 9), (3, 27), (1, 81)],  # the table says 27, its algorithm 1 ceil(5 / 4 * 27) = 34
    2: [(15, 9), (5, 27), (1, 81)],
    1: [(8, 27), (2, 81)],
    0: [(5, 81)],
}


def test_hyperband_has_the_brackets_of_the_paper() -> None:
    count = sum(rounds[0][0] for rounds in TABLE.values())
    known = rising(count)
    scheduler = Hyperband()
    found = entrants([LONG] * count)
    parts = list(scheduler._dealt(found).values())
    assert [len(part) for part in parts] == [rounds[0][0] for rounds in TABLE.values()]
    machine = Machine(scheduler, known, found).run()
    for part, rounds in zip(parts, TABLE.values(), strict=True):
        ranked = by_merit({each.trial: known[each.trial] for each in part})
        for place, trial in enumerate(ranked):
            assert machine.courses[trial].done == [level for size, level in rounds if place < size][-1]
            assert machine.courses[trial].orders[0] == Go(trial, rounds[0][1])


@pytest.mark.parametrize("count", [1, 2, 5, 50, 143, 500, 2000])
def test_hyperband_deals_in_proportion_and_in_turn(count: int) -> None:
    parts = list(Hyperband()._dealt(entrants([LONG] * count)).values())
    sizes = [rounds[0][0] for rounds in TABLE.values()]
    for part, size in zip(parts, sizes, strict=True):
        assert abs(len(part) - count * size / 143) <= 1
        for half in (0, 1):  # as many of the first half of a batch as of the second
            inside = sum((each.trial >= count / 2) == half for each in part)
            assert abs(inside - len(part) / 2) <= 1
    assert sorted(each.trial for part in parts for each in part) == list(range(count))


# --- asha: Li et al., MLSys 2020, algorithm 2, told plainly ---------------------------------------------------------


def algorithm_2(known: Mapping[int, Learner], levels: list[int], eta: int, slots: int) -> dict[int, int]:
    """Return the epochs of each trial: workers in turn on one clock, nobody is ever stopped, as in the paper."""
    results: list[dict[int, float]] = [{} for _ in levels]
    promoted: list[set[int]] = [set() for _ in levels]
    new, done, running, now = sorted(known), dict.fromkeys(known, 0), list[tuple[int, int, int]](), 0

    def get_job() -> tuple[int, int] | None:
        for k in reversed(range(len(levels) - 1)):
            ranked = sorted(results[k], key=lambda trial: (-results[k][trial], trial))
            candidates = [trial for trial in ranked[: len(ranked) // eta] if trial not in promoted[k]]
            if candidates:
                promoted[k].add(candidates[0])
                return candidates[0], k + 1
        return (new.pop(0), 0) if new else None

    while True:
        while len(running) < slots and (job := get_job()) is not None:
            trial, k = job
            running.append((now + levels[k] - done[trial], trial, k))
            done[trial] = levels[k]
        if not running:
            return done
        now, trial, k = min(running)
        running.remove((now, trial, k))
        results[k][trial] = float(known[trial].merits[levels[k] - 1])


@pytest.mark.parametrize(
    ("count", "eta", "slots"), [(200, 3, 64), (300, 3, 5), (90, 2, 10), (120, 4, 1), (150, 2, 150)]
)
def test_asha_promotes_as_algorithm_2_does(count: int, eta: int, slots: int) -> None:
    found = entrants([LONG] * count)
    for seed in range(3):
        known = learners(found, seed)
        machine = Machine(ASHA(eta=eta, slots=slots), known, found, seed).run()
        plain = algorithm_2(known, rungs(found[0], 1, eta, "epochs"), eta, slots)
        highest = max(plain.values())  # beyond the paper: at least one trial trains to its end, the best of these
        best = max((t for t in plain if plain[t] == highest), key=lambda trial: known[trial].merits[highest - 1])
        plain |= {best: LONG} if highest < LONG else {}
        assert {trial: course.done for trial, course in machine.courses.items()} == plain


def test_asha_stops_those_without_hope_before_the_end() -> None:
    """Their weights need not wait: when the last trial begins, most that are bad are gone."""
    scheduler, known = ASHA(slots=10), rising(300)
    found = entrants([LONG] * 300)
    waiting: list[int] = []
    report = scheduler.report

    def watched(reports: Any) -> Any:
        orders = report(reports)
        if any(isinstance(order, Go) and order.trial == 299 and order.until == 1 for order in orders):
            waiting.append(sum(len(rung.waiting) for rung in scheduler._rungs))
        return orders

    scheduler.report = watched  # type: ignore[method-assign]
    Machine(scheduler, known, found).run()
    assert len(waiting) == 1
    assert waiting[0] <= 110


def test_asha_with_few_trials_trains_its_best_to_the_end() -> None:
    for count in (1, 2, 5, 20):
        known = rising(count)
        machine = Machine(ASHA(), known, entrants([LONG] * count)).run()
        best = by_merit(known)[0]
        assert [trial for trial, course in machine.courses.items() if course.done == LONG] == [best]


@pytest.mark.parametrize("eta", [2, 3, 4])
def test_asha_trains_the_best_of_few_to_the_end_also_by_iterations(eta: int) -> None:
    """One that first stands at a high rung, since its epochs are long, is no better for that."""
    for seed in range(20):
        draws = generator(seed, "few").random(8)
        count = 2 + int(4 * draws[0])
        found = [entrants([LONG], trial, 1 + int(90 * draws[trial + 1]))[0] for trial in range(count)]
        found.append(entrants([1], count, 200)[0])  # which ends with its first epoch
        known = learners(found, seed)
        known[1].merits += 5
        known[count].merits[:] = -np.inf
        courses = Machine(ASHA(eta=eta, unit="iterations"), known, found, seed).run().courses
        assert [trial for trial, course in courses.items() if course.done == LONG] == [1]


def test_the_clock_gives_each_slot_to_the_next_in_time() -> None:
    """Two slots, trials of 3, 1, 1 and 2 epochs: the second slot is free after 1 and 2."""
    lengths, heard, told = [3, 1, 1, 2], list[tuple[int, int]](), iter(range(4))

    def hear(report: Report) -> list[Order]:
        heard.append((clock.now, report.trial))
        return []

    clock = Clock(hear, lambda: next((Go(trial, lengths[trial]) for trial in told), None))
    clock.slots = 2
    queue = clock.fill()
    while queue:
        order = queue.pop()  # the machine's own order is the opposite
        assert isinstance(order, Go)
        queue += clock.report([Report(order.trial, np.ones(order.until), True)])
    assert heard == [(1, 1), (2, 2), (3, 0), (4, 3)]
    assert clock.idle


# --- median: Golovin et al., KDD 2017, section 3.2.2, told plainly --------------------------------------------------


def median_rule(known: Mapping[int, Learner], epochs: int, grace: int, every: int, least: int) -> dict[int, int]:
    """Return the epochs of each trial if they train one after another."""
    done: dict[int, int] = {}
    for trial in sorted(known):
        merits, at = known[trial].merits, grace
        while at < epochs:
            others = [known[t].merits[:at].mean() for t in done if done[t] >= at]
            if len(others) >= least and merits[:at].max() < np.median(others):
                break
            at = min(at + every, epochs)
        done[trial] = at
    return done


@pytest.mark.parametrize(("grace", "every", "least"), [(3, 1, 10), (1, 1, 1), (5, 9, 4), (27, 27, 30)])
def test_the_median_rule_one_after_another(grace: int, every: int, least: int) -> None:
    found = entrants([LONG] * 80)
    for seed in range(3):
        known = learners(found, seed)
        machine = Machine(Median(grace=grace, every=every, least=least, slots=1), known, found, seed).run()
        assert {t: course.done for t, course in machine.courses.items()} == median_rule(
            known, LONG, grace, every, least
        )
    assert any(course.over == "stopped" for course in machine.courses.values())


# --- pbt: Jaderberg et al., 2017 -----------------------------------------------------------------------------------

VARIED = Space(
    learning_rate=LogUniform(1e-4, 1e-1),
    optimizer=Choice(["sgd", "adam"]),
    momentum=Uniform(0.1, 0.9, when={"optimizer": "sgd"}),
    dropout=Choice([0.0, 0.1, 0.2, 0.4]),
    activation=Choice(["relu", "tanh"]),
    depth=Int(1, 3),
    batch_size=Choice([16, 32]),
    epochs=40,
)


def population(count: int, **options: Any) -> tuple[Machine, list[tuple[Config, Copy]]]:
    """Return a machine on which a population has trained, and its copies, each with its source's config then."""
    found = entrants([40] * count)
    configs = [resolve(config, "classification", 100, False) for config in VARIED.sample(generator(1, "pbt"), count)]
    found = [type(each)(each.trial, config, 40, 10) for each, config in zip(found, configs, strict=True)]
    machine = Machine(PBT(space=VARIED, seed=3, **options), learners(found), found)
    copies: list[tuple[Config, Copy]] = []
    obey = machine._obey

    def watched(orders: Any) -> None:
        before = dict(machine.configs)
        copies.extend((before[order.source], order) for order in orders if isinstance(order, Copy))
        obey(orders)

    machine._obey = watched  # type: ignore[method-assign]
    return machine.run(), copies


def test_pbt_replaces_the_worst_by_the_best() -> None:
    known = rising(50, epochs=40)
    found = entrants([40] * 50)
    machine = Machine(PBT(space=VARIED, every=10, cut=0.2), known, found)
    orders = machine.scheduler.begin(found)
    assert orders == [Go(trial, 10) for trial in range(50)]
    machine.scheduler.begin(found)
    machine.run()
    ranked = by_merit(known)
    first = {t: next(o for o in c.orders if isinstance(o, Copy)) for t, c in machine.courses.items() if c.copied}
    first = {trial: order for trial, order in first.items() if order.until == 20}
    assert set(first) == set(ranked[-10:])
    assert {order.source for order in first.values()} <= set(ranked[:10])
    assert len({order.source for order in first.values()}) > 3


def test_pbt_makes_as_many_copies_as_its_options_say() -> None:
    for every, cut, each in ((4, 0.2, 12), (10, 0.5, 30), (20, 0.01, 0), (13, 0.29, 17)):
        _, copies = population(60, every=every, cut=cut)
        generations = math.ceil(40 / every) - 1
        assert Counter(copy.until for _, copy in copies) == (
            {min(40, (g + 2) * every): each for g in range(generations)} if each else {}
        )


def test_pbt_changes_what_a_trained_network_can_change() -> None:
    """Numbers by the factor, within their ranges; choices of numbers by a step; others when they are drawn anew."""
    _, copies = population(200, every=2, resample=0.0, factor=1.5)
    assert len(copies) > 500
    seen: dict[str, set[float]] = {"learning_rate": set(), "momentum": set()}
    dropouts = [0.0, 0.1, 0.2, 0.4]
    for before, copy in copies:
        after = copy.config
        same = [name for name in before if name not in ("learning_rate", "momentum", "dropout")]
        assert all(after[name] == before[name] for name in same)
        for name, low, high in (("learning_rate", 1e-4, 1e-1), ("momentum", 0.1, 0.9)):
            if name == "momentum" and before["optimizer"] != "sgd":
                assert after[name] == before[name]
                continue
            ratio = after[name] / before[name]
            assert low * (1 - 1e-9) <= after[name] <= high * (1 + 1e-9)
            if low * 1.01 < after[name] < high * 0.99:
                seen[name].add(round(ratio, 3))
        assert abs(dropouts.index(after["dropout"]) - dropouts.index(before["dropout"])) <= 1
    assert seen == {"learning_rate": {0.667, 1.5}, "momentum": {0.667, 1.5}}


def test_pbt_draws_anew_as_often_as_it_says() -> None:
    """Of what is drawn anew from two activations half has the other one."""
    _, copies = population(200, every=1, resample=0.3)
    assert len(copies) == 39 * 40
    moved = np.mean([copy.config["activation"] != before["activation"] for before, copy in copies])
    assert moved == pytest.approx(0.15, abs=0.03)
    ratios = [copy.config["learning_rate"] / before["learning_rate"] for before, copy in copies]
    inside = [abs(math.log(r)) for r, (b, _) in zip(ratios, copies, strict=True) if 2e-4 < b["learning_rate"] < 5e-2]
    anew = np.mean([abs(r - math.log(1.25)) > 1e-6 for r in inside])
    assert anew == pytest.approx(0.3, abs=0.04)


def test_pbt_replaces_those_that_diverged_first() -> None:
    known = rising(20, epochs=40)
    known[3].diverges, known[5].diverges = 2, 4
    machine = Machine(PBT(space=VARIED, every=10, cut=0.1), known, entrants([40] * 20)).run()
    assert all(course.over == "ended" and course.done == 40 for course in machine.courses.values())
    assert machine.courses[3].copied
    assert machine.courses[5].copied


def test_pbt_leaves_alone_what_has_ended_in_part() -> None:
    """Of the best a fold has ended: it goes on, and nobody is its copy."""
    known = rising(20, epochs=40)
    best, worst = by_merit(known)[0], by_merit(known)[-1]
    known[best].intact = known[worst].intact = False
    machine = Machine(PBT(space=VARIED, every=10), known, entrants([40] * 20)).run()
    orders = [order for course in machine.courses.values() for order in course.orders if isinstance(order, Copy)]
    assert orders
    assert best not in {order.source for order in orders}
    assert not machine.courses[worst].copied


def test_pbt_stops_those_that_diverged_when_nobody_is_left() -> None:
    known = {trial: Learner(np.ones(40), diverges=3) for trial in range(6)}
    machine = Machine(PBT(space=VARIED, every=10), known, entrants([40] * 6)).run()
    assert {course.over for course in machine.courses.values()} == {"stopped"}

"""Fronts and crowding against their definitions, spelled out by brute force."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxsweep.spec.distributions import FloatArray
from jaxsweep.spec.pareto import constrained, crowded_order, crowding, first_front, fronts

NUMBERS = st.one_of(st.integers(-3, 3).map(float), st.floats(allow_nan=True, allow_infinity=True))
MERITS = hnp.arrays(np.float64, st.tuples(st.integers(0, 12), st.integers(1, 3)), elements=NUMBERS)


def dominates(a: FloatArray, b: FloatArray) -> bool:
    return bool((a >= b).all() and (a > b).any())


def by_peeling(merits: FloatArray, violations: FloatArray) -> list[int]:
    """Return the fronts as section VI of the paper defines them: constrained domination, front by front."""

    def better(i: int, j: int) -> bool:
        finite = [bool(np.isfinite(merits[k]).all()) for k in (i, j)]
        if not all(finite):
            return finite[0] > finite[1]
        if violations[i] or violations[j]:
            return bool(violations[i] < violations[j])
        return dominates(merits[i], merits[j])

    found, left, number = [0] * len(merits), set(range(len(merits))), 0
    while left:
        best = {i for i in left if not any(better(j, i) for j in left)}
        for i in best:
            found[i] = number
        left, number = left - best, number + 1
    return found


@given(MERITS)
def test_the_first_front_is_what_nobody_dominates(merits: FloatArray) -> None:
    finite = [bool(np.isfinite(row).all()) for row in merits]
    known = [row for row, ok in zip(merits, finite, strict=True) if ok]
    alone = [ok and not any(dominates(other, row) for other in known) for row, ok in zip(merits, finite, strict=True)]
    assert first_front(merits).tolist() == alone


@given(MERITS, st.data())
def test_fronts_are_those_of_the_definition(merits: FloatArray, data: st.DataObject) -> None:
    values = st.sampled_from([0.0, 0.0, 0.5, 2.0, np.inf])
    violations = np.array(data.draw(st.lists(values, min_size=len(merits), max_size=len(merits))), np.float64)
    assert fronts(merits, violations).tolist() == by_peeling(merits, violations)


def test_a_front_that_is_known() -> None:
    merits = np.array([[3, 1], [1, 3], [2, 2], [1, 1], [2, 2], [0, 0], [np.nan, 9], [1, 2]], float)
    assert fronts(merits).tolist() == [0, 0, 0, 2, 0, 3, 4, 1]
    assert fronts(merits, np.array([1, 0, 0, 0, 0, 0, 0, 0.5])).tolist() == [4, 0, 0, 1, 0, 2, 5, 3]


def test_crowding_is_that_of_the_paper() -> None:
    merits = np.array([[0, 10], [1, 7], [4, 4], [10, 0]], float)
    inside = [(4 - 0) / 10 + (10 - 4) / 10, (10 - 1) / 10 + (7 - 0) / 10]
    np.testing.assert_allclose(crowding(merits), [np.inf, *inside, np.inf])
    assert crowding(np.array([[1.0, 2.0]] * 4)).tolist() == [np.inf, 0, 0, np.inf]
    assert crowding(np.array([[1e308], [0.0], [-1e308]])).tolist() == [np.inf, 1, np.inf]


def test_the_crowded_order_takes_fronts_first_and_then_the_lonely() -> None:
    merits = np.array([[5, 5], [0, 10], [1, 7], [4, 4], [10, 0], [9, 1]], float)
    order = crowded_order(merits).tolist()
    assert order[:2] == [1, 4]
    assert set(order[2:5]) == {0, 2, 5}
    assert order[5] == 3


@given(st.lists(st.tuples(NUMBERS, st.sampled_from([0.0, 0.1, 7.0])), min_size=1, max_size=8))
def test_one_merit_under_constraints_orders_as_fronts_do(rows: list[tuple[float, float]]) -> None:
    merits, violations = np.array(rows).T
    numbers = constrained(merits, violations)
    assert np.isfinite(numbers).tolist() == np.isfinite(merits).tolist()
    before = fronts(merits[:, None], violations)
    for i in range(len(rows)):
        for j in range(len(rows)):
            assert numbers[i] <= numbers[j] or before[i] < before[j]

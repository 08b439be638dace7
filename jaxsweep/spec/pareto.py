"""Which points are better than others where several objectives count: fronts and crowding. NumPy only.

After Deb, Pratap, Agarwal and Meyarivan, A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE
Transactions on Evolutionary Computation 6, 2002. One point dominates another if it is no worse in any objective and
better in one; of equal points neither does, so that all of them are on a front or none.
"""

import numpy as np
from numpy.typing import NDArray

from jaxsweep.spec.distributions import FloatArray


def first_front(merits: FloatArray) -> NDArray[np.bool_]:
    """Return which of the points `merits` [n, objectives] no other one dominates, bool [n]; larger is better.

    A point that is not finite is on no front, and dominates nobody.
    """
    on_front = np.zeros(len(merits), dtype=np.bool_)
    rows = np.flatnonzero(np.isfinite(merits).all(axis=1))
    left = rows[np.lexsort(-merits[rows].T[::-1])]  # so that nobody is dominated by one who stands behind
    while len(left):
        first, others = merits[left[0]], merits[left[1:]]
        on_front[left[0]] = True
        left = left[1:][(others > first).any(axis=1) | (others == first).all(axis=1)]
    return on_front


def fronts(merits: FloatArray, violations: FloatArray | None = None) -> NDArray[np.intp]:
    """Return the number of each point's front, int [n]: 0 for those that nobody dominates, 1 for the next, and so on.

    With constraints, as in section VI of the paper: whoever meets them stands before all who do not, and of these the
    one with the smaller violation, whatever its merits. A point that is not finite stands behind all others.

    Args:
        merits: [n, objectives], larger is better.
        violations: [n], by how much each point breaks the constraints; 0 if it meets them.
    """
    broken = np.zeros(len(merits)) if violations is None else violations
    alive = np.isfinite(merits).all(axis=1)
    found, number = np.zeros(len(merits), dtype=np.intp), 0
    left = np.flatnonzero(alive & (broken == 0))
    while len(left):
        best = first_front(merits[left])
        found[left[best]] = number
        left, number = left[~best], number + 1
    for amount in np.unique(broken[alive & (broken > 0)]):
        found[alive & (broken == amount)] = number
        number += 1
    found[~alive] = number
    return found


def crowding(merits: FloatArray) -> FloatArray:
    """Return the crowding distance of the points of one front, [n]: the larger, the lonelier; inf at the ends."""
    distance = np.zeros(len(merits))
    for column in merits.T:
        order = np.argsort(-column, kind="stable")
        largest = np.abs(column).max(initial=0.0)
        values = column[order] / (largest or 1.0)  # differences of the largest numbers would be infinite
        distance[order[[0, -1]]] = np.inf
        if values[0] > values[-1]:
            distance[order[1:-1]] += (values[:-2] - values[2:]) / (values[0] - values[-1])
    return distance


def crowded_order(merits: FloatArray, violations: FloatArray | None = None) -> NDArray[np.intp]:
    """Return the positions of points by the crowded comparison: by front, and within one the lonelier first.

    Of equals the one that stands first comes first. Arguments are those of `fronts`.
    """
    number = fronts(merits, violations)
    lonely = np.zeros(len(merits))
    finite = np.isfinite(merits).all(axis=1)
    for front in np.unique(number[finite]):
        members = np.flatnonzero((number == front) & finite)
        lonely[members] = crowding(merits[members])
    return np.lexsort((-lonely, number))


def constrained(merits: FloatArray, violations: FloatArray) -> FloatArray:
    """Return numbers that order configs by one merit under constraints, [n]; -inf stays -inf.

    Whoever meets the constraints stands in the order of the merits, before all who do not, in that of the violations.
    """
    failed = ~np.isfinite(merits)
    known = np.where(failed, 0.0, merits)
    ordered = np.where(violations > 0, -1000.0 - np.log1p(violations), np.copysign(np.log1p(np.abs(known)), known))
    return np.where(failed, -np.inf, ordered)  # log1p of the largest number is 710

"""Optimizer updates in an order that lets XLA write every array in place.

An update maps gradients and old slots to a direction and new slots. If the direction needs an old slot only through the
new one (Adam's moments, for example), the new slot can be written first, and parameters then read it back: each array
is read and written once, and nothing is computed twice. XLA would rather fuse the arithmetic of the slots into that of
the parameters; it then has to read the old slots again after the parameters have changed, and copies what it must.
For networks that do not fit into a cache, such passes over memory are most of a step.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax import Array
from jax.extend.core import Jaxpr, Literal, Var

Keep = Callable[[Array, Array], Array]
Pick = Callable[[Sequence[Array]], Array]
Slotwise = Callable[[list[Array]], tuple[list[Array], list[Array]]]


class Staged(NamedTuple):
    """What updates give, slot by slot."""

    directions: list[list[Array]]  # of each update
    slots: list[Array]  # what is to be written, where it can be before the directions are applied, else the new slot
    early: list[bool]  # for each slot, which of the two it is, True for the first


def staged(
    updates: Sequence[Slotwise], old: Sequence[Array], keep: Keep, pick: Pick = operator.itemgetter(0)
) -> Staged:
    """Evaluate updates slot by slot, of which one is picked, perhaps another one in each lane.

    Args:
        updates: each gives directions and new slots from old slots, as many as it needs of the first ones.
        old: the old slots, of the update that needs most.
        keep: gives, from a new slot and the old one, what is to be written.
        pick: gives, from what each update would have, what the one has that counts; by default that of the first.

    A slot that an update does not need it leaves as it is.
    """
    traced = [_Traced(update, old) for update in updates]
    early = [all(each.early(slot) for each in traced) for slot in range(len(old))]
    slots: list[Array] = list(old)
    for slot in (slot for slot, first in enumerate(early) if first):
        picked = pick([each.new(slot, old[slot]) for each in traced])
        slots[slot] = jax.lax.optimization_barrier(keep(picked, old[slot]))
        for each in traced:
            each.written(slot, slots[slot])
    directions = [[each.read(var) for var in each.directions] for each in traced]
    for slot in (slot for slot, first in enumerate(early) if not first):
        slots[slot] = pick([each.new(slot, old[slot]) for each in traced])
    return Staged(directions, slots, early)


class _Traced:
    """An update as equations, each of which is evaluated once it is needed."""

    def __init__(self, update: Slotwise, old: Sequence[Array]) -> None:
        closed, (directions, _) = jax.make_jaxpr(update, return_shape=True)(list(old))
        jaxpr, count = closed.jaxpr, len(directions)
        self.jaxpr = jaxpr
        self.directions, self.slots = jaxpr.outvars[:count], jaxpr.outvars[count:]
        self.makers = {var: equation for equation in jaxpr.eqns for var in equation.outvars}
        self.values: dict[Var, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
        self.values.update(zip(jaxpr.invars, old, strict=True))

    def early(self, slot: int) -> bool:
        """Tell whether a slot can be written before the directions are applied."""
        if slot >= len(self.slots):
            return True
        return _early(self.jaxpr, self.jaxpr.invars[slot], self.slots[slot], self.directions)

    def new(self, slot: int, old: Array) -> Array:
        """Return a new slot; one that is not needed is as it was."""
        value: Array = self.read(self.slots[slot]) if slot < len(self.slots) else old
        return value

    def written(self, slot: int, value: Array) -> None:
        """Let what is not evaluated yet read a slot as it has been written."""
        if slot < len(self.slots):
            self.values[self.slots[slot]] = value

    def read(self, atom: Any) -> Any:
        """Return the value of a variable, and evaluate what it takes."""
        if isinstance(atom, Literal):
            return atom.val
        if atom not in self.values:
            equation = self.makers[atom]
            parameters = equation.primitive.get_bind_params(equation.params)
            results = equation.primitive.bind(*map(self.read, equation.invars), **parameters)
            several = results if equation.primitive.multiple_results else [results]
            self.values.update(zip(equation.outvars, several, strict=True))
        return self.values[atom]


def _early(jaxpr: Jaxpr, before: Var, after: Any, directions: Sequence[Any]) -> bool:
    """Tell whether no direction needs the slot `before` but through its successor `after`."""
    if isinstance(after, Literal) or not any(after in equation.outvars for equation in jaxpr.eqns):
        return False
    needing = {before}
    for equation in jaxpr.eqns:
        if any(not isinstance(atom, Literal) and atom in needing for atom in equation.invars):
            needing.update(var for var in equation.outvars if var is not after)
    return not any(var in needing for var in directions if not isinstance(var, Literal))

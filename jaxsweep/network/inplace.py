"""Optimizer updates in an order that lets XLA write every array in place.

An update maps gradients and old slots to a direction and new slots. If the direction needs an old slot only through the
new one (Adam's moments, for example), the new slot can be written first, and parameters then read it back: each array
is read and written once, and nothing is computed twice. XLA would rather fuse the arithmetic of the slots into that of
the parameters; it then has to read the old slots again after the parameters have changed, and copies what it must.
For networks that do not fit into a cache, such passes over memory are most of a step.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import Array
from jax.extend.core import Jaxpr, Literal, Var

Keep = Callable[[Array, Array], Array]


def staged(
    update: Callable[[list[Array]], tuple[list[Array], list[Array]]], old: Sequence[Array], keep: Keep
) -> tuple[list[Array], list[Array], list[bool]]:
    """Evaluate an update slot by slot.

    Args:
        update: gives directions and new slots (as many as old ones) from old slots.
        old: the old slots.
        keep: gives, from a new slot and the old one, what is to be written.

    Returns:
        the directions; for each slot what is to be written, if it can be written before the directions are applied,
        else the new slot as `update` gives it; and which of the two it is, True for the first.
    """
    closed = jax.make_jaxpr(update)(list(old))
    jaxpr = closed.jaxpr
    new = jaxpr.outvars[len(jaxpr.outvars) - len(old) :]
    directions = jaxpr.outvars[: len(jaxpr.outvars) - len(old)]
    early = [_early(jaxpr, before, after, directions) for before, after in zip(jaxpr.invars, new, strict=True)]
    cuts = {after: before for before, after, first in zip(jaxpr.invars, new, early, strict=True) if first}
    values: dict[Var, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    values.update(zip(jaxpr.invars, old, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        parameters = equation.primitive.get_bind_params(equation.params)
        results = equation.primitive.bind(*map(read, equation.invars), **parameters)
        for var, result in zip(
            equation.outvars, results if equation.primitive.multiple_results else [results], strict=True
        ):
            if var in cuts:
                result = jax.lax.optimization_barrier(keep(result, values[cuts[var]]))
            values[var] = result
    return [read(var) for var in directions], [read(var) for var in new], early


def _early(jaxpr: Jaxpr, before: Var, after: Any, directions: Sequence[Any]) -> bool:
    """Tell whether no direction needs the slot `before` but through its successor `after`."""
    if isinstance(after, Literal) or not any(after in equation.outvars for equation in jaxpr.eqns):
        return False
    needing = {before}
    for equation in jaxpr.eqns:
        if any(not isinstance(atom, Literal) and atom in needing for atom in equation.invars):
            needing.update(var for var in equation.outvars if var is not after)
    return not any(var in needing for var in directions if not isinstance(var, Literal))

"""What a function of the user's own must be, checked on small shapes before anything of a sweep is compiled.

It is traced alone first: that tells wrong shapes, code of NumPy, and tracers that it keeps. Then it is run on a few
numbers: that tells what is not the same twice, what mixes rows that have nothing to do with each other, and derivatives
that could train nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxsweep.errors import RequestError
from jaxsweep.network import ambient
from jaxsweep.spec.own import Own, OwnMetric
from jaxsweep.spec.scope import Scope

ROWS, WIDTH = 12, 5  # of what functions are tried on
_CLOSE = 1e-3  # of values that differ by the order of operations alone
_NUMPY = (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError)

Array = NDArray[Any]


def check_own(scope: Scope, metrics: Sequence[OwnMetric], task: str, outputs: int) -> None:
    """Raise RequestError if a function of the user's own that a sweep can use, or its metric, is not fit for it."""
    if not scope.own and not metrics:
        return
    with ambient.own():
        for value in scope.own:
            if value.function is None:
                raise value.missing()
            with ambient.retraced(object()):  # whatever JAX remembers of it
                if value in scope.values("activation"):
                    _check_activation(value)
                if value in scope.values("loss"):
                    _check_loss(value, task, outputs)
        for metric in metrics:
            if metric.function is None:
                raise metric.missing()
            with ambient.retraced(object()):
                _check_metric(metric, task, outputs)


def _numbers(*shape: int, start: int = 1) -> Array:
    """Return numbers of this shape between -3 and 3, none of them 0 or like another."""
    count = int(np.prod(shape))
    return np.asarray(3 * np.sin(1.7 * np.arange(start, start + count)), jnp.result_type(float)).reshape(shape)


def _check_activation(own: Own) -> None:
    what = f"activation = {str(own)!r}"
    z = _numbers(ROWS, WIDTH)
    y = _tried(what, own, (z,), z.shape, "[rows, units], elementwise")
    if not np.isfinite(y).all() or not np.isfinite(_run(own, (np.zeros_like(z),))).all():
        at = z[~np.isfinite(y)].tolist() or [0.0]
        raise RequestError(f"{what} is not finite at {at[0]:.3g}: it must be finite wherever its argument is")
    part = (slice(ROWS // 2), slice(WIDTH - 2))
    if not np.allclose(_run(own, (z[part],)), y[part], _CLOSE, _CLOSE):
        raise RequestError(f"{what} is not elementwise: each unit must depend on its own sum alone, as in jnp.sin")
    if not np.isfinite(_slopes(what, lambda z: jnp.sum(own(z)), z)).all():
        raise RequestError(f"{what} has a derivative that is not finite between -3 and 3: nothing could be trained")


def _standardized(outputs: int) -> tuple[Array, Array, str]:
    """Return outputs and targets of a regression as functions are given them, and what a sentence says of them."""
    shape, said = ((ROWS,), "[rows]") if outputs == 1 else ((ROWS, outputs), f"[rows, {outputs}]")
    return _numbers(*shape), _numbers(*shape, start=1000), f"outputs and targets {said}, both standardized"


def _check_loss(own: Own, task: str, outputs: int) -> None:
    what = f"loss = {str(own)!r}"
    seen = _numbers(ROWS, outputs)
    if task == "classification":
        targets = np.eye(outputs, dtype=seen.dtype)[np.arange(ROWS) % outputs]
        form = f"outputs and targets [rows, {outputs}], logits and the share of each class"
    else:
        seen, targets, form = _standardized(outputs)
    losses = _tried(what, own, (seen, targets), (ROWS,), f"[rows], the loss of each, from {form}")
    if not np.isfinite(losses).any():
        raise RequestError(f"{what} is {losses[0]} for outputs between -3 and 3: it must be a number, of {form}")
    half = _run(own, (seen[: ROWS // 2], targets[: ROWS // 2]))
    if not np.allclose(half, losses[: ROWS // 2], _CLOSE, _CLOSE, equal_nan=True):
        raise RequestError(
            f"{what} mixes rows: the loss of a row must depend on its own output and target alone; means over the batch"
            " and weights are taken by the sweep"
        )
    slopes = _slopes(what, lambda outputs: jnp.sum(own(outputs, targets)), seen)
    if np.isnan(slopes).all() or not slopes.any():
        found = "0" if not slopes.any() else "NaN"
        raise RequestError(f"{what} has the derivative {found} everywhere, so that nothing could be trained by it")


def _check_metric(own: OwnMetric, task: str, outputs: int) -> None:
    seen = _numbers(ROWS, outputs)
    if task == "classification":
        targets = np.arange(ROWS, dtype=np.int32) % outputs
        form = f"outputs [rows, {outputs}], logits, and targets [rows], codes of classes"
    else:
        seen, targets, form = _standardized(outputs)
    arguments = [seen, targets, np.ones(ROWS, seen.dtype)][: 3 if own.weighted else 2]
    _tried(f"metrics[{str(own)!r}]", own, arguments, (), f"one number, from {form}")


def _tried(what: str, own: Own, arguments: Sequence[Array], shape: tuple[int, ...], right: str) -> Array:
    """Return what a function makes of its arguments, having checked that it is one of JAX, of this shape, and pure."""
    dtype = jnp.result_type(float)
    try:
        with jax.checking_leaks():
            traced = _shape(own, arguments)
    except _NUMPY as error:
        raise RequestError(
            f"{what} cannot be traced by JAX, since it asks for numbers where there are none yet "
            f"({type(error).__name__}): it must use jax.numpy in place of NumPy, and jnp.where in place of if"
        ) from error
    except Exception as error:
        # What fails only where JAX looks for tracers that are kept, keeps one. JAX's own words do not always say so: on
        # its way to who keeps a tracer it can fail itself, by an IndexError.
        try:
            with ambient.retraced(object()):
                _shape(own, arguments)
        except Exception as alone:
            failed = f"{type(alone).__name__}: {_first(alone)}"
            raise RequestError(f"{what} fails ({failed}): it must give {right}") from alone
        raise RequestError(
            f"{what} keeps what it was traced with, outside itself: it must be a pure function of its arguments"
        ) from error
    found = getattr(traced, "shape", None), getattr(traced, "dtype", None)
    if found[0] is None or found[1] is None:
        raise RequestError(f"{what} gives a {type(traced).__name__}: it must give one array of floats, {right}")
    if found[0] != shape or found[1] != dtype:
        given = " and ".join(str(list(np.shape(each))) for each in arguments)
        raise RequestError(
            f"{what} gives {found[1]} {list(found[0])} for {given}: it must be {dtype} {list(shape)}, {right}"
        )
    values = _run(own, arguments)
    if not np.array_equal(values, _run(own, arguments), equal_nan=True):
        raise RequestError(f"{what} does not give the same twice: it must be a pure function of its arguments")
    return values


def _first(error: Exception) -> str:
    """Return the first line of what an error says."""
    return str(error).strip().partition("\n")[0][:200]


def _shape(own: Own, arguments: Sequence[Array]) -> Any:
    """Return what JAX says a function gives; it is traced, by a name of which JAX remembers nothing."""
    return jax.eval_shape(lambda *given: own(*given), *arguments)


def _run(own: Own, arguments: Sequence[Array]) -> Array:
    return np.asarray(jax.jit(lambda *given: own(*given))(*arguments))


def _slopes(what: str, total: Callable[[Any], Any], at: Array) -> Array:
    """Return the derivative of a sum at each number."""
    try:
        return np.asarray(jax.jit(jax.grad(total))(at))
    except Exception as error:
        raise RequestError(
            f"{what} cannot be differentiated ({type(error).__name__}: {_first(error)}): jax.grad must take it"
        ) from error

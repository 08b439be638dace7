"""No program outlives a function of the user's own, whatever of it has changed, and no other program knows of any."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxsweep as js
from jaxsweep.engine import cache, exported, fingerprint, programs
from jaxsweep.network import ambient
from jaxsweep.spec.own import Own

RNG = np.random.default_rng(2)
X = RNG.normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)
FACTOR = 1.0
TABLE = {"factor": 1.0}
ARRAY = np.ones(1)


@jax.jit
def helper(z: Any) -> Any:
    return FACTOR * z


def plain(z: Any) -> Any:
    return jnp.tanh(helper(z))


def of_table(z: Any) -> Any:
    return TABLE["factor"] * z


def of_array(z: Any) -> Any:
    return ARRAY * z


class Scale:
    def __init__(self) -> None:
        self.factor = 1.0

    def __call__(self, z: Any) -> Any:
        return self.factor * z


SCALE = Scale()


def _nested(factor: float) -> Callable[[Any], Any]:
    def outer(z: Any) -> Any:
        def inner(z: Any) -> Any:
            return factor * z

        return inner(z)

    return outer


def _default(factor: float) -> Callable[[Any], Any]:
    def f(z: Any, k: float = factor) -> Any:
        return k * z

    return f


def _set(monkeypatch: pytest.MonkeyPatch, what: str) -> Callable[[Any], Any]:
    """Change one thing of what it is made of, and return the function."""
    if what == "a global, behind jax.jit":
        monkeypatch.setitem(globals(), "FACTOR", 2.0)
        return plain
    if what == "a table":
        monkeypatch.setitem(TABLE, "factor", 2.0)
        return of_table
    if what == "an array, in place":
        monkeypatch.setitem(globals(), "ARRAY", ARRAY + 1)
        return of_array
    if what == "an attribute":
        monkeypatch.setattr(SCALE, "factor", 2.0)
        return SCALE
    return {"a closure, nested": _nested, "a default": _default}[what](2.0)


BEFORE: dict[str, Callable[[Any], Any]] = {
    "a global, behind jax.jit": plain, "a table": of_table, "an array, in place": of_array, "an attribute": SCALE,
    "a closure, nested": _nested(1.0), "a default": _default(1.0),
}  # fmt: skip


@pytest.mark.parametrize("what", BEFORE)
def test_a_change_names_other_programs(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = programs.code([Own("f", BEFORE[what])])
    assert programs.code([Own("f", BEFORE[what])]) == before
    assert programs.code([Own("f", _set(monkeypatch, what))]) != before
    assert programs.code() != before


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache in a new folder, as if this process had not asked for one yet."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    monkeypatch.setattr(cache, "_asked", False)
    monkeypatch.setattr(cache, "_folder", None)
    programs.clear()


def swept(activation: Any) -> float:
    config = {"activation": activation, "depth": 1, "width": 4, "epochs": 2, "learning_rate": 0.1}
    return js.sweep((X, Y), configs=[config], progress=False).trials[0].metrics["val_loss"]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the programs that are traced from now on."""
    names: list[str] = []
    trace = exported.trace

    def noting(name: str, *rest: Any) -> Any:
        names.append(name)
        return trace(name, *rest)

    monkeypatch.setattr(exported, "trace", noting)
    return names


@pytest.mark.usefixtures("fresh")
def test_a_changed_function_is_never_served_from_an_old_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what JAX itself remembers of the helper that is jitted: what is kept now a later process would be served."""
    traced = counted(monkeypatch)
    first = swept(plain)
    with monkeypatch.context() as changed:
        changed.setitem(globals(), "FACTOR", 3.0)
        second = swept(plain)
        expected = js.solo((X, Y), {"activation": lambda z: jnp.tanh(3.0 * z), "depth": 1, "width": 4, "epochs": 2,
                                    "learning_rate": 0.1}).curves["val_loss"][-1]  # fmt: skip
        assert second == pytest.approx(expected, rel=1e-4)
    assert abs(first - second) > 1e-3
    count = len(traced)
    assert len(set(traced)) == count
    programs.clear()  # as another process would begin
    assert swept(plain) == first
    assert len(traced) == count  # from disk


def test_the_same_function_made_again_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> Callable[[Any], Any]:
        return lambda z: jnp.sin(2 * z)

    programs.clear()
    traced = counted(monkeypatch)
    assert swept(made()) == swept(made())
    assert len(traced) == len(set(traced))


def test_programs_without_functions_know_of_none() -> None:
    config = {"depth": 1, "width": 4, "epochs": 1}
    with ambient.own():
        before = programs.code()
    result = js.sweep((X, Y), configs=[config], progress=False)
    assert not result.request.metrics
    keys = list(programs._cache)
    assert keys
    assert (keys[-1][0].own, keys[-1][0].metrics, keys[-1][0].val_sizes) == ((), (), ())
    assert keys[-1][0].code == before


def test_a_global_that_is_called_like_an_attribute_is_none_of_a_functions() -> None:
    """`softmax` beside `jax.nn.softmax`; else the walk went into whatever package has one."""
    scope: dict[str, Any] = {"jax": jax, "tanh": object()}
    exec("f = lambda z: (lambda y: jax.numpy.tanh(y))(z)", scope)
    assert fingerprint.of(scope["f"]) == fingerprint.of(scope["f"])
    exec("g = lambda z: (lambda y: tanh)(z)", scope)
    assert fingerprint.of(scope["g"]) != fingerprint.of(scope["g"])


@pytest.mark.parametrize("make", [jax.jit, jax.vmap, jax.checkpoint, jax.custom_jvp, jax.grad])
def test_what_jax_makes_of_a_function_is_known_by_that(make: Callable[..., Any]) -> None:
    one, two = make(lambda z: 2.0 * z), make(lambda z: 3.0 * z)
    assert fingerprint.of(one) == fingerprint.of(one) != fingerprint.of(two)

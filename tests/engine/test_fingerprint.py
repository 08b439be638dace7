"""The hash of what tracing can reach: the same in every process, another one after any change."""

import functools
import inspect
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax_settings import setting

from jaxsweep.engine import cache, exported, fingerprint, programs
from jaxsweep.network import mlp, objective, optimizers, train
from jaxsweep.network.activations import ACTIVATIONS
from jaxsweep.spec import hyperparameters, metrics

OFFSET = 1
TABLE: dict[str, Callable[[Any], Any]] = {"f": lambda x: x + 1}


def _root(x: Any) -> Any:
    return jnp.sin(TABLE["f"](x)) + OFFSET


def test_processes_agree() -> None:
    code = "from jaxsweep.engine import programs; print(programs.code())"
    late = code + "; import sys; assert 'flax' not in sys.modules"  # a warm start
    early = "import flax.linen, optax; " + code
    settings = {name: value for name, value in os.environ.items() if name.startswith("JAX_")}
    found = set()
    for text, seed in ((late, "1"), (early, "2")):
        env = {**settings, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, check=True, text=True, env=env)
        found.add(done.stdout)
    assert len(found) == 1
    assert programs.code() + "\n" in found


CHANGES: dict[str, tuple[Any, str, Any]] = {
    "a global": (sys.modules[__name__], "OFFSET", 2),
    "an entry of a registry": (TABLE, "f", lambda x: x + 2),
    "another package's function": (jnp, "sin", lambda x: x),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint.of(_root)
    where, name, value = CHANGES[what]
    if isinstance(where, types.ModuleType):
        monkeypatch.setattr(where, name, value)
    else:
        monkeypatch.setitem(where, name, value)
    assert fingerprint.of(_root) != before
    monkeypatch.undo()
    assert fingerprint.of(_root) == before


PACKAGE: dict[str, tuple[Any, str, Any]] = {
    "an activation": (ACTIVATIONS, "relu", ACTIVATIONS["tanh"]),
    "a derivative": (mlp, "_matmul_back", lambda kept, gradient: None),
    "a loss": (objective.LOSSES, "mse", objective.LOSSES["mae"]),
    "a constant": (mlp, "NORM_EPSILON", 1e-3),
    "an optimizer": (optimizers.OPTIMIZERS, "adam", optimizers.OPTIMIZERS["sgd"]),
    "a function of JAX": (jax.lax, "switch", lambda index, branches, *operands: branches[0](*operands)),
    "a function of JAX by another name": (jax.nn, "one_hot", lambda *_, **__: 0),
}


@pytest.mark.parametrize("what", PACKAGE)
def test_a_change_of_what_programs_are_made_of_names_other_programs(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = programs.code()
    where, name, value = PACKAGE[what]
    if what == "a derivative":
        monkeypatch.setattr(mlp._matmul, "bwd", value)
    elif isinstance(where, types.ModuleType):
        monkeypatch.setattr(where, name, value)
    else:
        monkeypatch.setitem(where, name, value)
    assert programs.code() != before


def _wrapped(function: Any) -> Any:
    """Return another function under the name and module of one, as decorators make them."""
    return functools.wraps(function)(lambda *arguments, **named: 2 * function(*arguments, **named))


def _foreign() -> dict[str, tuple[Any, str, Any]]:
    import optax
    from flax import linen

    return {
        "a lambda": (linen, "relu", lambda z: 0 * z),
        "under its name": (optax, "softmax_cross_entropy", _wrapped(optax.softmax_cross_entropy)),
        "another of the same package": (optax, "scale_by_adam", optax.scale_by_amsgrad),
        "another of JAX": (jnp, "tanh", jnp.sin),
        "another of flax": (linen, "softplus", linen.relu),
        "a partial": (linen, "gelu", functools.partial(linen.gelu, approximate=False)),
        "a jitted one": (jax.nn, "log_softmax", jax.jit(_wrapped(jax.nn.log_softmax))),
        "a number": (jnp, "pi", 3.0),
        "a method": (linen.Dense, "__call__", lambda self, x: x),
        "where it is defined": (sys.modules[optax.squared_error.__module__], "squared_error", optax.l2_loss),
    }


FOREIGN = [
    "a lambda", "under its name", "another of the same package", "another of JAX", "another of flax", "a partial",
    "a jitted one", "a number", "a method",
]  # fmt: skip


@pytest.mark.parametrize("what", FOREIGN)
def test_functions_of_other_packages_that_somebody_replaced_are_seen(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = programs.code()
    where, name, value = _foreign()[what]
    monkeypatch.setattr(where, name, value)
    assert programs.code() != before
    monkeypatch.undo()
    assert programs.code() == before


@pytest.mark.parametrize("signed", [False, True])
def test_what_is_imported_beside_it_is_none_of_it(signed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapper has what jax.jit notes of a function, and perhaps a signature, whose class names all modules."""
    wrapped = _wrapped(jax.jit(_root))
    if signed:
        wrapped.__signature__ = inspect.signature(_root)
    before = fingerprint.of(wrapped)
    monkeypatch.setitem(sys.modules, "unheard_of", types.ModuleType("unheard_of", "with words"))
    assert fingerprint.of(wrapped) == before


def _searched(x: Any) -> Any:
    return x * len(sys.modules)


def test_code_that_searches_all_modules_is_never_taken_for_another() -> None:
    assert fingerprint.of(_searched) != fingerprint.of(_searched)


class _Row(NamedTuple):
    reference: Any  # a name that rows of the package have beside their code


def test_a_field_of_that_name_elsewhere_is_seen() -> None:
    assert fingerprint.of(_Row(1)) != fingerprint.of(_Row(2))


def test_what_stands_beside_the_code_of_a_row_names_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    before = programs.code()
    rows: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
        (ACTIVATIONS, "tanh", {"reference": None, "numpy": None}),
        (optimizers.OPTIMIZERS, "adam", {"reference": None}),
        (objective.LOSSES, "mse", {"reference": None}),
        (metrics.METRICS, "mse", {"restore": None, "unit": None}),
    ]
    for table, name, change in rows:
        monkeypatch.setitem(table, name, table[name]._replace(**change))
    assert programs.code() == before
    monkeypatch.setitem(optimizers.OPTIMIZERS, "adam", optimizers.OPTIMIZERS["adam"]._replace(decays=True))
    assert programs.code() != before


def test_what_types_and_settings_decide_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = programs.code()
    for kind, name in ((train.Program, "measures"), (mlp.Architecture, "shapes"), (mlp.Architecture, "normalized")):
        with monkeypatch.context() as patch:
            patch.setattr(kind, name, property(lambda self: ()))
            assert programs.code() != before, name
    with monkeypatch.context() as patch:
        patch.setitem(metrics.METRICS, "mae", metrics.METRICS["mae"]._replace(measure="mse"))
        assert programs.code() != before
    with setting("jax_threefry_partitionable", not jax.config.values["jax_threefry_partitionable"]):
        assert programs.code() != before
    assert programs.code() == before


@pytest.mark.parametrize("name", ["_make", "_replace", "__new__", "_asdict", "added"])
def test_a_method_of_a_namedtuple_that_somebody_replaced_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that every NamedTuple has are not walked in each."""
    before = fingerprint.of(_Row)
    with monkeypatch.context() as patch:
        patch.setattr(_Row, name, lambda *_, **__: None, raising=False)
        assert fingerprint.of(_Row) != before
    with monkeypatch.context() as patch:
        patch.setattr(_Row, name, classmethod(lambda *_, **__: None), raising=False)
        assert fingerprint.of(_Row) != before
    assert fingerprint.of(_Row) == before


def test_what_functions_carry_and_objects_are_is_seen() -> None:
    def scaled(z: Any) -> Any:
        return scaled.k * z  # type: ignore[attr-defined]

    class Matrix(dict):  # type: ignore[type-arg]
        def __matmul__(self, other: Any) -> int:
            return 1

        def method(self) -> int:
            return 1

    class Callable1:
        def __call__(self, z: Any) -> Any:
            return z

    scaled.k = 1.0  # type: ignore[attr-defined]
    before = fingerprint.of(scaled)
    scaled.k = 2.0  # type: ignore[attr-defined]
    assert fingerprint.of(scaled) != before
    for value in (Matrix(), Callable1()):
        before = fingerprint.of(value)
        assert fingerprint.of(value) == before  # without state, its class tells it
        for name in ("__matmul__", "method", "__call__"):
            if name in vars(type(value)):
                old = vars(type(value))[name]
                setattr(type(value), name, lambda self, *_: 2)
                assert fingerprint.of(value) != before, name
                setattr(type(value), name, old)


def test_arguments_are_part_of_the_code() -> None:
    assert fingerprint.of(eval("lambda z: g(z)")) != fingerprint.of(eval("lambda *z: g(z)"))


def test_modules_of_others_are_walked_wherever_they_come_from() -> None:
    module = types.ModuleType("somebodys")
    module.f = lambda z: z  # type: ignore[attr-defined]
    holder = types.SimpleNamespace(m=module)
    before = [fingerprint.of(lambda z: module.f(z)), fingerprint.of(holder)]
    module.f = lambda z: 2 * z  # type: ignore[attr-defined]
    assert fingerprint.of(lambda z: module.f(z)) != before[0]
    assert fingerprint.of(holder) != before[1]


def test_code_that_searches_as_it_runs_is_never_the_same() -> None:
    def imports(z: Any) -> Any:
        from somebodys import f  # type: ignore[import-not-found]

        return f(z)

    def gets(z: Any) -> Any:
        return getattr(z, "f")()  # noqa: B009

    for function in (imports, gets):
        assert fingerprint.of(function) != fingerprint.of(function)


def test_closures_defaults_partials_and_arrays_count() -> None:
    def make(number: float) -> Callable[[float], float]:
        return lambda x: x + number

    def default(x: float, step: float = 1.0) -> float:
        return x + step

    def other(x: float, step: float = 2.0) -> float:
        return x + step

    other.__qualname__ = default.__qualname__
    pairs = [
        (make(1.0), make(2.0)),
        (default, other),
        (functools.partial(default, step=1), functools.partial(default, step=2)),
        (np.arange(3), np.arange(1, 4)),
        (jnp.arange(3), jnp.arange(1, 4)),
        ({"a": 1}, {"b": 1}),
        ((1, 2), (1, (2,))),
        (1, 1.0),
    ]
    for one, two in pairs:
        assert fingerprint.of(one) != fingerprint.of(two), one
        assert fingerprint.of(one) == fingerprint.of(one), one


def test_what_cannot_be_told_apart_is_never_the_same() -> None:
    assert fingerprint.of(object()) != fingerprint.of(object())
    thing = object()
    assert fingerprint.of(thing) != fingerprint.of(thing)


def test_circles_end() -> None:
    def even(n: int) -> bool:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    assert fingerprint.of(even) == fingerprint.of(even) != fingerprint.of(odd)


def test_sources_in_folders_name_programs_too() -> None:
    """Programs are named after all sources of the package, in whatever folder."""
    folder = Path(hyperparameters.__file__).parents[1]
    sources = sorted(folder.rglob("*.py"))
    assert len(sources) > len(list(folder.glob("*.py")))
    assert cache.digest(b"\n".join(path.read_bytes() for path in sources)) == exported._SOURCES


SCRIPT = """
import dataclasses, sys
import jax.numpy as jnp, numpy as np, jaxsweep as js
from jaxsweep.network.activations import ACTIVATIONS, Activation
from jaxsweep.spec import hyperparameters
row = hyperparameters.HYPERPARAMETERS["activation"]
new = dataclasses.replace(row, choices=(*row.choices, "mine"))
hyperparameters.HYPERPARAMETERS["activation"] = new
def score(value, derivative):
    ACTIVATIONS["mine"] = Activation(lambda z, s: value(z), lambda z, y, s: derivative(z), None, lambda z, slope: z)
    config = dict(activation="mine", depth=1, width=16, epochs=3, learning_rate=0.02)
    return js.sweep(js.load_dataset("iris"), configs=[config], progress=False).best.metrics["val_loss"]
for name in sys.argv[1:]:
    print(score(*{"sin": (jnp.sin, jnp.cos), "zero": (lambda z: 0 * z, lambda z: 0 * z)}[name]))
"""


def test_a_changed_activation_is_never_served_from_an_old_program(tmp_path: Path) -> None:
    """Neither one that an earlier process has kept nor one that this process has compiled."""

    def losses(*names: str) -> list[float]:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *names], capture_output=True, text=True, check=True,
            env={"JAXSWEEP_CACHE": str(tmp_path / "cache"), "XLA_FLAGS": os.environ["XLA_FLAGS"]},
        )  # fmt: skip
        return [float(line) for line in done.stdout.split()]

    sine, zero = losses("sin", "zero")
    assert zero > sine + 0.1
    assert losses("zero", "sin") == [zero, sine]


class _Lazy:
    __slots__ = ("held",)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(f"{name} needs a package that is not installed")


def test_what_an_object_makes_when_asked_may_fail() -> None:
    lazy = _Lazy()
    assert fingerprint.of(lambda: lazy) != fingerprint.of(lambda: None)


def test_an_object_without_attributes_of_its_own_is_not_asked_for_them() -> None:
    class Registry:
        """Like sqlalchemy's: whatever it is asked for, it looks up, and complains in its own words."""

        __slots__ = ("names",)

        def __init__(self, *names: str) -> None:
            self.names = names

        def __getattr__(self, name: str) -> Any:
            raise NameError(f"nothing is registered as {name}")

    one, same, other = Registry("a"), Registry("a"), Registry("b")

    def reads(registry: Registry) -> Any:
        return lambda: registry

    assert fingerprint.of(reads(one)) == fingerprint.of(reads(same))
    assert fingerprint.of(reads(one)) != fingerprint.of(reads(other))

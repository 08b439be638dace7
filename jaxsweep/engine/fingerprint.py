"""A hash of the code that a program is traced from: all that tracing can reach, as it stands in this process.

A program that an earlier process has kept may be used again only if tracing would give it again. Sources on disk do
not tell: a registry may have got another entry since, or a function have been replaced. So the walk begins at what is
traced and follows what its code names: globals, attributes of modules, closures, defaults, and into classes and
containers. What stands in a versioned package under its own name is known by that name and the package's version
(`known`). What cannot be told from its like (an object without code or value, code that looks names up as it runs)
makes the hash one of its own, so that nothing is served in its stead.

Every sweep walks, so that a walk must be cheap: what is looked up in it is looked up once. From one walk to the next
only what code says is remembered (`written`), since everything else may be replaced.
"""

import inspect
import os
import sys
import types
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import jax
import numpy as np

from jaxsweep.engine.known import (
    PLAIN,
    SPELLED,
    VERSIONED,
    Names,
    called,
    is_made_there,
    is_of_every_namedtuple,
    name_of,
)
from jaxsweep.engine.written import hashed, written
from jaxsweep.network.activations import Activation
from jaxsweep.network.initial import Initializer
from jaxsweep.network.late import Late
from jaxsweep.network.objective import Loss
from jaxsweep.network.optimizers import Optimizer
from jaxsweep.network.schedules import Schedule
from jaxsweep.network.scores import Score
from jaxsweep.spec.metrics import Metric

PjitFunction: Any = type(jax.jit(abs))  # what jax.jit makes
# What that notes beside a function, and functools.wraps copies: nothing of it changes what is computed.
_JITS_NOTES = getattr(jax.jit(abs), "__dict__", {}).keys() - {"__wrapped__"}
PACKAGE = __name__.partition(".")[0]
# Of a row, what stands beside the code that is traced.
BESIDE: dict[type, tuple[str, ...]] = {
    Activation: ("reference", "numpy"),
    Metric: ("restore", "unit"),
    **dict.fromkeys((Initializer, Loss, Optimizer, Schedule, Score), ("reference",)),
}
_BY_VALUE = (tuple, frozenset, types.CodeType, np.generic)
_C_PARTS = (
    types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType,
    types.MemberDescriptorType, types.GetSetDescriptorType, types.MethodWrapperType, types.BuiltinFunctionType,
)  # fmt: skip
_WRAPPERS = ("__wrapped__", "__func__", "__self__", "func", "args", "keywords", "fget")


def of(*roots: Any) -> str:
    """Return a hash of all that the roots can reach, in hexadecimal; the same in every process if nothing differs."""
    walk = _Walk()
    for root in roots:
        walk.take(root)
    return walk.digest()


class _Walk:
    """One walk: the words it has noted, and which objects it has seen under which number."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # an object that is gone could lend its identity to another one
        self._names = Names()
        self._held: dict[type, list[str]] = {}
        self._titles: dict[type, tuple[str, str]] = {}

    def take(self, value: Any) -> None:
        """Add a value and what it can reach."""
        words, numbers, titles = self._words, self._numbers, self._titles
        todo: list[Any] = [value]  # a stack, not recursion: code reaches deep
        while todo:
            found = todo.pop()
            kind = type(found)
            if kind in PLAIN:
                words += ("value", PLAIN[kind], repr(found))
                continue
            if not isinstance(found, _BY_VALUE):  # whether two equal ones are one object, an accident decides
                if (number := numbers.get(id(found))) is not None:
                    words += ("seen", str(number))
                    continue
                numbers[id(found)] = len(numbers)
                self._alive.append(found)
            if (title := titles.get(kind)) is None:
                title = titles[kind] = (str(kind.__module__), kind.__qualname__)
            words += title
            if kind is types.CodeType:
                words.append(written(found).digest)
            elif parts := self._parts(found, kind):
                parts.reverse()
                todo += parts

    def digest(self) -> str:
        """Return the hash of what has been noted."""
        return hashed(self._words)

    def _note(self, *words: object) -> None:
        self._words.extend(map(str, words))

    def _parts(self, value: Any, kind: type) -> list[Any]:
        """Note what a value is beside its type, and return what it consists of."""
        if (usual := _USUAL.get(kind)) is not None:
            return usual(self, value)
        if isinstance(value, Late):
            self._note(value.module_name())
        elif isinstance(value, types.ModuleType):
            return self._module(value)
        elif isinstance(value, SPELLED) or kind.__module__ == "typing":
            self._note(repr(value))
        elif isinstance(value, inspect.Signature):  # its class reaches everything
            self._note(*value.parameters)
        elif self._names.know(value):
            self._note(value.__module__, name_of(value))
        elif isinstance(value, PjitFunction) and hasattr(value, "__wrapped__"):
            return [value.__wrapped__]
        elif isinstance(value, type):
            return self._class(value)
        elif isinstance(value, (np.ndarray, np.generic)) or kind.__name__ == "ArrayImpl":
            array = np.asarray(value)
            self._note(array.dtype, array.shape, array.tobytes().hex())
        elif isinstance(value, _C_PARTS):
            self._note(value.__qualname__)
            return [getattr(value, "__self__", None) if isinstance(value, types.BuiltinFunctionType) else None]
        else:
            parts = self._content(value)
            return parts if self._names.know(kind) else [*parts, kind]  # its methods
        return []

    def _content(self, value: Any) -> list[Any]:
        """Note and return what a container or an object of any other type holds."""
        if isinstance(value, Enum):
            return [value.name, value.value]
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, (tuple, list)):
            if (beside := BESIDE.get(type(value))) is None:
                return self._sequence(value)
            self._note(len(value))
            fields: tuple[str, ...] = getattr(type(value), "_fields", ())
            return [item for name, item in zip(fields, value, strict=True) if name not in beside]
        if isinstance(value, (set, frozenset)):
            self._note(*sorted(map(repr, value)))
            return []
        return self._object(value)

    def _sequence(self, value: Any) -> list[Any]:
        self._words.append(str(len(value)))
        return list(value)

    def _mapping(self, value: Mapping[Any, Any]) -> list[Any]:
        if value is sys.modules:
            self._note(os.urandom(16).hex())  # code that searches there finds anything, whatever somebody imports
            return []
        self._words.append(str(len(value)))
        return [each for pair in value.items() for each in pair]

    def _module(self, module: types.ModuleType) -> list[Any]:
        """Note a module. What code takes from one of ours by name is walked beside it; of others it may be anything."""
        self._note(module.__name__)
        root = module.__name__.partition(".")[0]
        if root in VERSIONED or root == PACKAGE or root in sys.stdlib_module_names:
            return []
        held = [(name, item) for name, item in sorted(vars(module).items()) if not name.startswith("__")]
        return self._named(held)

    def _named(self, held: list[tuple[Any, Any]]) -> list[Any]:
        """Note the names of what something holds, and return what they stand for."""
        self._words.extend([str(name) for name, _ in held])
        return [item for _, item in held]

    def _function(self, function: types.FunctionType) -> list[Any]:
        if self._names.know(function):
            self._note(function.__module__, name_of(function))
            return []
        self._words.append(function.__qualname__)
        says = written(function.__code__)
        parts: list[Any] = [function.__code__, function.__defaults__, function.__kwdefaults__]
        for cell in function.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:
                self._words.append("an empty cell")
            else:
                parts.append(called(function, value) if type(value) is object else value)
        if beside := function.__dict__:
            parts += self._named([(name, item) for name, item in beside.items() if name not in _JITS_NOTES])
        if is_made_there(function):
            return parts  # made by a versioned package, as by jax.vmap: what it finds there its version tells
        if says.searches and str(function.__module__).partition(".")[0] != PACKAGE:
            self._note(os.urandom(16).hex())  # what it finds as it runs is anybody's guess
        around = function.__globals__
        parts += [around[name] for name in says.globals if name in around]
        for module, name, part in self._names.taken(function, says.names):
            self._words += (module, name)
            parts.append(part)
        return parts

    def _class(self, kind: type) -> list[Any]:
        self._note(kind.__module__, kind.__qualname__)
        parts: list[Any] = list(kind.__bases__)
        if not self._names.know(type(kind)):
            parts.append(type(kind))
        for name, item in vars(kind).items():
            code = isinstance(item, (types.FunctionType, classmethod, staticmethod, property))
            if name.startswith("_abc_") or (name.startswith("__") and not code):
                continue  # what every class has
            self._note(name)
            # Of a NamedTuple, name and place of a field are noted, and its methods are those of any other.
            if type(item).__name__ != "_tuplegetter" and not is_of_every_namedtuple(name, item):
                parts.append(item)
        return parts

    def _object(self, value: Any) -> list[Any]:
        """Note an object of any other type: what it wraps and holds."""
        kind = type(value)
        if (names := self._held.get(kind)) is None:
            wrappers = [name for name in _WRAPPERS if hasattr(kind, name)]
            names = self._held[kind] = [*wrappers, "", *(name for each in kind.__mro__ for name in _slots_of(each))]
        held: list[tuple[Any, Any]] = []
        for name in names:
            if name:
                held.append((name, _read(value, name)))
            else:
                held += _dict_of(value).items()
        if not held and self._names.know(kind):
            self._note(os.urandom(16).hex())  # nothing tells it from others of its type
        return self._named(held)


# Of these types most values are; what else they could be, `_parts` need not ask.
_USUAL: dict[type, Callable[[_Walk, Any], list[Any]]] = {
    types.FunctionType: _Walk._function,
    tuple: _Walk._sequence,
    list: _Walk._sequence,
    dict: _Walk._mapping,
}


def _read(value: Any, name: str) -> Any:
    """Return what an object has under a name, None for nothing; whoever makes it only when asked may fail to."""
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - such as an import of what is not installed; what lies there says as much
        return inspect.getattr_static(value, name, None)


def _dict_of(value: Any) -> dict[str, Any]:
    """Return the attributes that an object itself has; its `__getattr__` is not asked, and may say anything."""
    try:
        found: dict[str, Any] = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found


def _slots_of(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    return [name for name in ([slots] if isinstance(slots, str) else slots) if not name.startswith("__")]

"""What is known by its name: code that stands where its package put it, and whose package's version is known.

Of a versioned package a hash needs only the names that stand for what they always do there, and whatever somebody has
put in another's place.
"""

import functools
import platform
import sys
import types
from collections import namedtuple
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from jaxsweep.network.late import Late

# Their versions name the cache's folder or the program; of others, what is reached is walked.
_STANDARD = ("builtins", "functools", "math", "typing", "enum")
VERSIONED = frozenset(["jax", "jaxlib", "flax", "optax", "chex", "numpy", "ml_dtypes", *_STANDARD])
_BUILTIN = frozenset({"builtins", "abc", "enum", "typing", "types", "collections", "functools"})
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
PLAIN: dict[type, str] = {kind: kind.__name__ for kind in _PLAIN}  # of which a value says all
SPELLED = (types.GenericAlias, types.UnionType, range, slice, np.dtype)  # and here what `repr` gives
_NAMEDTUPLE = {  # the code of its methods, which is the same in all of them; `__new__` has code of its own in each
    name: getattr(namedtuple("_Any", "field"), name).__code__
    for name in ("_make", "_replace", "_asdict", "__repr__", "__getnewargs__")
}
_MODULES = (types.ModuleType, Late)

Part = tuple[str, str, Any]  # the name of a module, a name in it, and what that stands for
_Parts = types.ModuleType | tuple[Part, ...]  # what a name stands for is a module, or what of it is to be walked


class Names:
    """What names stand for, looked up once while one hash is made; what they stand for may change until the next."""

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}
        self._parts: dict[tuple[int, bool, bool], dict[str, _Parts]] = {}
        self._alive: list[Any] = []  # an object that is gone could lend its identity to another one

    def know(self, value: Any) -> bool:
        """Return whether a function or class stands under its own name in a versioned package, and is code of one."""
        if (known := self._known.get(id(value))) is None:
            self._alive.append(value)
            known = self._known[id(value)] = _is_known(value)
        return known

    def taken(self, function: types.FunctionType, names: Sequence[str]) -> list[Part]:
        """Return what a function's code may take from the modules that it names.

        Of a versioned package that is only what does not stand there under its own name: somebody has put it there. A
        package that is imported late is as it was until then.
        """
        found = map(function.__globals__.get, names)
        modules: list[tuple[Any, bool]] = [(item, False) for item in found if isinstance(item, _MODULES)]
        taken: list[Part] = []
        for module, nested in modules:  # grows: a module may be taken from a module
            late = nested
            if isinstance(module, Late):
                late, module = True, sys.modules.get(module.module_name())
                if not isinstance(module, types.ModuleType):
                    continue
            seen, held = self._seen_of(module, nested, late), vars(module)
            for name in names:
                if name not in held:
                    continue
                if (parts := seen.get(name)) is None:
                    parts = seen[name] = self._part(module, name, nested, late)
                if isinstance(parts, tuple):
                    taken += parts
                elif all(parts is not known for known, _ in modules):
                    modules.append((parts, late))
        return taken

    def _seen_of(self, module: types.ModuleType, nested: bool, late: bool) -> dict[str, _Parts]:
        key = (id(module), nested, late)
        if (seen := self._parts.get(key)) is None:
            self._alive.append(module)
            seen = self._parts[key] = {}
        return seen

    def _part(self, module: types.ModuleType, name: str, nested: bool, late: bool) -> _Parts:
        """Return what code may take from a module by a name: another module, or what there is to be walked."""
        part = vars(module)[name]
        if isinstance(part, types.ModuleType):
            return part
        if late and (type(part) in PLAIN or isinstance(part, SPELLED) or type(part).__module__ == "typing"):
            return ()
        if module.__name__.partition(".")[0] in VERSIONED and self.know(part):
            if isinstance(part, type):
                return tuple((module.__name__, f"{name}.{member}", item) for member, item in _replaced(part))
            if nested or name_of(part).rpartition(".")[2] == name:
                return ()
        return ((module.__name__, name, part),)


def _is_known(value: Any) -> bool:
    module = getattr(value, "__module__", None)
    if not isinstance(module, str) or not _is_rooted(module) or not (name := name_of(value)):
        return False
    found: Any = sys.modules.get(module)
    for part in name.split(".") if hasattr(found, name.partition(".")[0]) else name.split(".")[-1:]:
        found = getattr(found, part, None)
    inner = getattr(value, "__wrapped__", value)
    same = (
        found is value or getattr(found, "__wrapped__", None) is value
    )  # the function itself, or what is jitted there
    return same and (not isinstance(inner, types.FunctionType) or is_made_there(inner))


def _replaced(kind: type) -> Iterator[tuple[str, Any]]:
    """Return the methods of a versioned package's class that are none of that package's."""
    for name, item in vars(kind).items():
        if isinstance(item, types.FunctionType) and not is_made_there(item):
            yield name, item


def called(function: types.FunctionType, value: object) -> object:
    """Return a bare object that a function holds to mark what was not given, or its name in a versioned package."""
    if is_made_there(function):
        modules = [item for item in function.__globals__.values() if isinstance(item, types.ModuleType)]
        for module in modules:
            for name, item in vars(module).items():
                if item is value and _is_versioned(module.__name__):
                    return f"{module.__name__}.{name}"
    return value


def is_made_there(function: types.FunctionType) -> bool:
    """Return whether a function stands in a versioned package's source; `functools.wraps` does not change that."""
    return _is_versioned(str(function.__globals__.get("__name__", "")))


def is_of_every_namedtuple(name: str, item: Any) -> bool:
    """Return whether a member of a class is the method that `collections.namedtuple` gives under this name to all."""
    function = item.__func__ if type(item) is classmethod else item
    return type(function) is types.FunctionType and function.__code__ is _NAMEDTUPLE.get(name)


@functools.lru_cache(4096)
def _is_rooted(module: str) -> bool:
    return module.partition(".")[0] in VERSIONED | _BUILTIN


@functools.lru_cache(4096)
def _is_versioned(module: str) -> bool:
    return _is_rooted(module) or module.partition(".")[0].startswith("namedtuple_")


def name_of(value: Any) -> str:
    """Return the qualified name of a function or class, empty for other objects and for functions inside others."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    return name if isinstance(name, str) and "<" not in name else ""


def versions() -> list[str]:
    """Return the versions of Python, whose bytecode is hashed, and of the packages that are known by name alone."""
    found = [f"python {platform.python_version()}"]
    for name in sorted(VERSIONED - sys.stdlib_module_names):
        found.append(f"{name} {version(name)}")
    return found

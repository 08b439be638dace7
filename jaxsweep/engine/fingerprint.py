"""A hash of the code that a program is traced from: all that tracing can reach, as it stands in this process.

A program that an earlier process has kept may be used again only if tracing would give it again. Sources on disk do
not tell: a registry may have got another entry since, or a function have been replaced. So the walk begins at what is
traced and follows what its code names: globals, attributes of modules, closures, defaults, and into classes and
containers. What stands in a versioned package under its own name is known by that name and the package's version. What
cannot be told from its like (an object without code or value, code that looks names up as it runs) makes the hash one
of its own, so that nothing is served in its stead.
"""

import dis
import hashlib
import os
import platform
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsweep.network.activations import Activation
from jaxsweep.network.initial import Initializer
from jaxsweep.network.late import Late
from jaxsweep.network.objective import Loss
from jaxsweep.network.optimizers import Optimizer
from jaxsweep.network.schedules import Schedule
from jaxsweep.network.scores import Score
from jaxsweep.spec.metrics import Metric

PjitFunction: Any = type(jax.jit(abs))  # what jax.jit makes
PACKAGE = __name__.partition(".")[0]
# Their versions name the cache's folder or the program; of others, what is reached is walked.
_STANDARD = ("builtins", "functools", "math", "typing", "enum")
VERSIONED = frozenset(["jax", "jaxlib", "flax", "optax", "chex", "numpy", "ml_dtypes", *_STANDARD])
# Of a row, what stands beside the code that is traced.
BESIDE: dict[type, tuple[str, ...]] = {
    Activation: ("reference", "numpy"),
    Metric: ("restore", "unit"),
    **dict.fromkeys((Initializer, Loss, Optimizer, Schedule, Score), ("reference",)),
}
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
_BY_VALUE = (tuple, frozenset, types.CodeType, np.generic)
_SPELLED = (types.GenericAlias, types.UnionType, range, slice, np.dtype)
_C_PARTS = (
    types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType,
    types.MemberDescriptorType, types.GetSetDescriptorType, types.MethodWrapperType, types.BuiltinFunctionType,
)  # fmt: skip
_WRAPPERS = ("__wrapped__", "__func__", "__self__", "func", "args", "keywords", "fget")
_SEARCHING = frozenset({"getattr", "globals", "locals", "vars", "eval", "exec", "__import__", "import_module"})
_BUILTIN = frozenset({"builtins", "abc", "enum", "typing", "types", "collections", "functools"})


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

    def take(self, value: Any) -> None:
        """Add a value and what it can reach."""
        todo: list[Any] = [value]  # a stack, not recursion: code reaches deep
        while todo:
            found = todo.pop()
            if type(found) in _PLAIN:
                self._note("value", type(found).__name__, repr(found))
            elif isinstance(found, _BY_VALUE):  # whether two equal ones are one object, an accident decides
                todo.extend(reversed(list(self._parts(found))))
            elif (number := self._numbers.get(id(found))) is not None:
                self._note("seen", str(number))
            else:
                self._numbers[id(found)] = len(self._numbers)
                self._alive.append(found)
                todo.extend(reversed(list(self._parts(found))))

    def digest(self) -> str:
        """Return the hash of what has been noted."""
        return _hashed(self._words)

    def _note(self, *words: object) -> None:
        self._words.extend(map(str, words))

    def _parts(self, value: Any) -> Iterator[Any]:
        """Note what a value is, and yield what it consists of."""
        kind = type(value)
        self._note(kind.__module__, kind.__qualname__)
        if isinstance(value, Late):
            self._note(value.module_name())
        elif isinstance(value, types.ModuleType):
            yield from self._module(value)
        elif isinstance(value, _SPELLED) or kind.__module__ == "typing":
            self._note(repr(value))
        elif isinstance(value, types.CodeType):
            self._note(_written(value).digest)
        elif _is_known(value):
            self._note(str(value.__module__), _name(value))
        elif isinstance(value, types.FunctionType):
            yield from self._function(value)
        elif isinstance(value, PjitFunction) and hasattr(value, "__wrapped__"):
            yield value.__wrapped__  # of what jax.jit notes beside it nothing changes what it computes
        elif isinstance(value, type):
            yield from self._class(value)
        elif isinstance(value, (np.ndarray, np.generic)) or kind.__name__ == "ArrayImpl":
            array = np.asarray(value)
            self._note(str(array.dtype), str(array.shape), array.tobytes().hex())
        elif isinstance(value, _C_PARTS):
            self._note(value.__qualname__)
            yield getattr(value, "__self__", None) if isinstance(value, types.BuiltinFunctionType) else None
        else:
            yield from self._content(value)
            if not _is_known(kind):
                yield kind  # its methods

    def _content(self, value: Any) -> Iterator[Any]:
        """Note and yield what a container or an object of any other type holds."""
        if isinstance(value, Enum):
            yield from (value.name, value.value)
        elif isinstance(value, Mapping):
            self._note(str(len(value)))
            for key, item in value.items():
                yield from (key, item)
        elif isinstance(value, (tuple, list)):
            self._note(str(len(value)))
            if (beside := BESIDE.get(type(value))) is None:
                yield from value
            else:
                fields: tuple[str, ...] = getattr(type(value), "_fields", ())
                yield from (item for name, item in zip(fields, value, strict=True) if name not in beside)
        elif isinstance(value, (set, frozenset)):
            self._note(*sorted(map(repr, value)))
        else:
            yield from self._object(value)

    def _module(self, module: types.ModuleType) -> Iterator[Any]:
        """Note a module. What code takes from one of ours by name is walked beside it; of others it may be anything."""
        self._note(module.__name__)
        root = module.__name__.partition(".")[0]
        if root not in VERSIONED and root != PACKAGE and root not in sys.stdlib_module_names:
            for name, item in sorted(vars(module).items()):
                if not name.startswith("__"):
                    self._note(name)
                    yield item

    def _function(self, function: types.FunctionType) -> Iterator[Any]:
        self._note(function.__qualname__)
        written = _written(function.__code__)
        yield from (function.__code__, function.__defaults__, function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                yield _called(function, cell.cell_contents)
            except ValueError:
                self._note("an empty cell")
        for name, item in function.__dict__.items():
            self._note(name)
            yield item
        if _is_versioned(_root(function)):
            return  # made by a versioned package, as by jax.vmap: what it finds there its version tells
        if written.searches and str(function.__module__).partition(".")[0] != PACKAGE:
            self._note(os.urandom(16).hex())  # what it finds as it runs is anybody's guess
        for name in written.globals:
            if name in function.__globals__:
                yield function.__globals__[name]
        for module, name, part in _attributes(function, written.names):
            self._note(module, name)
            yield part

    def _class(self, kind: type) -> Iterator[Any]:
        self._note(kind.__module__, kind.__qualname__)
        yield from kind.__bases__
        if not _is_known(type(kind)):
            yield type(kind)
        for name, item in vars(kind).items():
            code = isinstance(item, (types.FunctionType, classmethod, staticmethod, property))
            if name.startswith("_abc_") or (name.startswith("__") and not code):
                continue  # what every class has
            self._note(name)
            if type(item).__name__ != "_tuplegetter":  # of a NamedTuple's field, whose name and place are noted
                yield item

    def _object(self, value: Any) -> Iterator[Any]:
        """Note an object of any other type: what it wraps and holds."""
        held = [(name, getattr(value, name, None)) for name in _WRAPPERS if hasattr(type(value), name)]
        held += list(getattr(value, "__dict__", {}).items())
        slots = [name for kind in type(value).__mro__ for name in _slots_of(kind)]
        held += [(name, getattr(value, name, None)) for name in slots]
        if not held and _is_known(type(value)):
            self._note(os.urandom(16).hex())  # nothing tells it from others of its type
        for name, item in held:
            self._note(str(name))
            yield item


class _Written(NamedTuple):
    """What code says, which never changes."""

    code: types.CodeType
    digest: str
    names: list[str]  # that it and the functions inside it use ...
    globals: list[str]  # ... and those among them that are no attributes alone
    searches: bool  # whether it imports, or looks names up as it runs


_known: dict[int, _Written] = {}


def _written(code: types.CodeType) -> _Written:
    if id(code) not in _known:
        counts = (code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        words = [code.co_code.hex(), *map(str, counts), *code.co_names, *code.co_varnames, *code.co_freevars]
        words += [*code.co_cellvars, code.co_exceptiontable.hex()]
        names: set[str] = set(code.co_names)
        found = set(_globals_of(code))
        searches = dis.opmap["IMPORT_NAME"] in code.co_code[::2] or not _SEARCHING.isdisjoint(names)
        constants: list[Any] = [code.co_consts]
        for constant in constants:  # grows: tuples of constants, and the code of functions inside
            if isinstance(constant, types.CodeType):
                inner = _written(constant)
                words.append(inner.digest)
                names.update(inner.names)
                found.update(inner.globals)
                searches |= inner.searches
            elif isinstance(constant, tuple):
                words.append(f"tuple of {len(constant)}")
                constants.extend(constant)
            else:  # a number, a word, or a set of them
                plain = sorted(map(repr, constant)) if isinstance(constant, frozenset) else [repr(constant)]
                words += [type(constant).__name__, *plain]
        _known[id(code)] = _Written(code, _hashed(words), sorted(names), sorted(found), searches)
    return _known[id(code)]


def _globals_of(code: types.CodeType) -> Iterator[str]:
    """Return the names that code looks up among globals: `softmax` in `jax.nn.softmax` is none of them."""
    high = 0
    for operation, low in zip(code.co_code[::2], code.co_code[1::2], strict=True):
        argument = high << 8 | low
        high = argument if operation == _EXTENDED else 0
        if operation == _GLOBAL:
            yield code.co_names[argument >> 1]
        elif operation == _NAME:
            yield code.co_names[argument]


_EXTENDED, _GLOBAL, _NAME = (dis.opmap[name] for name in ("EXTENDED_ARG", "LOAD_GLOBAL", "LOAD_NAME"))


def _hashed(words: Sequence[str]) -> str:
    """Return the hash of a list of words, in hexadecimal; no two lists read alike."""
    text = "".join([f"{len(word)}:{word}" for word in words])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _attributes(function: types.FunctionType, names: Sequence[str]) -> Iterator[tuple[str, str, Any]]:
    """Return what a function's code may take from the modules that it names: module, name and value.

    Of a versioned package that is only what does not stand there under its own name: somebody has put it there. A
    package that is imported late is as it was until then.
    """
    modules: list[tuple[Any, bool]] = [(function.__globals__.get(name), False) for name in names]
    for module, nested in modules:  # grows: a module may be taken from a module
        late = nested or isinstance(module, Late)
        if isinstance(module, Late):
            module = sys.modules.get(module.module_name())
        if not isinstance(module, types.ModuleType):
            continue
        foreign = module.__name__.partition(".")[0] in VERSIONED
        for name in names:
            part = vars(module).get(name, _ABSENT)
            plain = type(part) in _PLAIN or isinstance(part, _SPELLED) or type(part).__module__ == "typing"
            if part is _ABSENT or (late and plain):
                continue
            if isinstance(part, types.ModuleType):
                if all(part is not known for known, _ in modules):
                    modules.append((part, late))
            elif not foreign:
                yield module.__name__, name, part
            elif isinstance(part, type) and _is_known(part):
                for member, item in _replaced(part):
                    yield module.__name__, f"{name}.{member}", item
            elif not _is_known(part) or not (nested or _name(part).rpartition(".")[2] == name):
                yield module.__name__, name, part


_ABSENT = object()


def _replaced(kind: type) -> Iterator[tuple[str, Any]]:
    """Return the methods of a versioned package's class that are none of that package's."""
    for name, item in vars(kind).items():
        if isinstance(item, types.FunctionType) and not _is_versioned(_root(item)):
            yield name, item


def _is_known(value: Any) -> bool:
    """Return whether a function or class stands under its own name in a versioned package, and is code of one."""
    name, module = _name(value), getattr(value, "__module__", None)
    if not name or not isinstance(module, str) or module.partition(".")[0] not in VERSIONED | _BUILTIN:
        return False
    found: Any = sys.modules.get(module)
    for part in name.split(".") if hasattr(found, name.partition(".")[0]) else name.split(".")[-1:]:
        found = getattr(found, part, None)
    inner = getattr(value, "__wrapped__", value)
    same = (
        found is value or getattr(found, "__wrapped__", None) is value
    )  # the function itself, or what is jitted there
    return same and (not isinstance(inner, types.FunctionType) or _is_versioned(_root(inner)))


def _called(function: types.FunctionType, value: Any) -> Any:
    """Return a value that a function holds; of a bare object, which marks what was not given, its name in a package."""
    if type(value) is object and _is_versioned(_root(function)):
        modules = [item for item in function.__globals__.values() if isinstance(item, types.ModuleType)]
        for module in modules:
            for name, item in vars(module).items():
                if item is value and _is_versioned(module.__name__.partition(".")[0]):
                    return f"{module.__name__}.{name}"
    return value


def _root(function: types.FunctionType) -> str:
    """Return the package in whose source a function stands; `functools.wraps` does not change that."""
    return str(function.__globals__.get("__name__", "")).partition(".")[0]


def _is_versioned(root: str) -> bool:
    return root in VERSIONED or root in _BUILTIN or root.startswith("namedtuple_")


def _slots_of(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    return [name for name in ([slots] if isinstance(slots, str) else slots) if not name.startswith("__")]


def _name(value: Any) -> str:
    """Return the qualified name of a function or class, empty for other objects and for functions inside others."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    return name if isinstance(name, str) and "<" not in name else ""


def versions() -> list[str]:
    """Return the versions of Python, whose bytecode is hashed, and of the packages that are known by name alone."""
    found = [f"python {platform.python_version()}"]
    for name in sorted(VERSIONED - sys.stdlib_module_names):
        found.append(f"{name} {version(name)}")
    return found

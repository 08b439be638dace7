"""What the code of a function says: a hash of it, the names that it uses, and whether it looks names up as it runs.

None of it ever changes, so that it is worked out once for each code object.
"""

import dis
import hashlib
import types
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

_SEARCHING = frozenset({"getattr", "globals", "locals", "vars", "eval", "exec", "__import__", "import_module"})
_EXTENDED, _GLOBAL, _NAME = (dis.opmap[name] for name in ("EXTENDED_ARG", "LOAD_GLOBAL", "LOAD_NAME"))


class Written(NamedTuple):
    """What code says, which never changes."""

    code: types.CodeType
    digest: str
    names: list[str]  # that it and the functions inside it use ...
    globals: list[str]  # ... and those among them that are no attributes alone
    searches: bool  # whether it imports, or looks names up as it runs


_known: dict[int, Written] = {}


def written(code: types.CodeType) -> Written:
    """Return what code says, with that of the functions inside it."""
    if (known := _known.get(id(code))) is not None:
        return known
    counts = (code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    words = [code.co_code.hex(), *map(str, counts), *code.co_names, *code.co_varnames, *code.co_freevars]
    words += [*code.co_cellvars, code.co_exceptiontable.hex()]
    names: set[str] = set(code.co_names)
    found = set(_globals_of(code))
    searches = dis.opmap["IMPORT_NAME"] in code.co_code[::2] or not _SEARCHING.isdisjoint(names)
    constants: list[Any] = [code.co_consts]
    for constant in constants:  # grows: tuples of constants, and the code of functions inside
        if isinstance(constant, types.CodeType):
            inner = written(constant)
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
    _known[id(code)] = Written(code, hashed(words), sorted(names), sorted(found), searches)
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


def hashed(words: Sequence[str]) -> str:
    """Return the hash of a list of words, in hexadecimal; no two lists read alike."""
    framed = {word: f"{len(word)}:{word}" for word in set(words)}  # most occur often
    text = "".join([framed[word] for word in words])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

"""TOML and JSON that anybody may have written: whatever is wrong with them is a ValueError that says it.

The parsers of Python raise errors of other kinds for nesting beyond what they can follow, and that of TOML takes time
and memory with the square of a dotted key's parts, and a hundred times a header's length.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from jaxsweep.data.textfile import opened

LONGEST = 16 * 2**20  # bytes of a document; one of a sweep of 100,000 listed configs has 10 MB
DEEPEST = 64  # tables and lists within each other; a space that lists lists of widths has 5
MOST_HEADERS = (
    200_000  # headers, and dots in keys, each of which takes tomllib up to 1 KB: [[configs]] has one a config
)
MOST_BITS = 14_000  # of an integer: what Python writes in decimals at all, as it does in a sentence about it
TOO_DEEP = f"it is nested too deep, in more than {DEEPEST} tables and lists"
_ASIDE = re.compile(
    r"""
    \#[^\n]*+                                                       # a comment
    | \"\"\"(?:[^"\\]|\\.?|"(?!""))*+"{0,5} | '''(?:[^']|'(?!''))*+'{0,5}  # strings of several lines, ended or not
    | "(?:[^"\\\n]|\\[^\n])*+"? | '[^'\n]*+'?
    """,
    re.VERBOSE | re.DOTALL,
)
_DOTTED = re.compile(r"(?<![\w-])([\w-]++(?:[ \t]*+\.[ \t]*+[\w-]++)++)[ \t]*+(=?)")
_HEADER = re.compile(r"^[ \t]*+\[\[?[ \t]*+([\w-][\w. \t-]*+)\]", re.MULTILINE)


def toml(text: str) -> dict[str, Any]:
    """Return the tables of a text in TOML; ValueError if it is none, or one that no request needs."""
    _check_keys(text)
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    _check_values(table)
    return table


def json_value(text: str | bytes) -> Any:
    """Return the value of a text in JSON; ValueError if it is none, or nested deeper than anything written here."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    opened = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    if opened > DEEPEST:
        _check_values(value)
    return value


def _check_keys(text: str) -> None:
    """Raise ValueError for keys and headers of TOML that would cost far more than they are long.

    What is between quotes or in a comment is none, whatever it looks like. A string that does not end takes in all that
    follows, of which the parser sees nothing either.
    """
    bare = _ASIDE.sub(lambda found: "" if found[0][0] == "#" else "s", text)  # a quoted part of a key is a part
    count = 0
    for key, assigned in _DOTTED.findall(bare):
        dots = key.count(".")
        if dots >= DEEPEST:
            raise ValueError(f"it has a key of {dots + 1:,} parts: one may have {DEEPEST}")
        count += dots if assigned else 0  # 0.5 is a number
    count += sum(1 + header.count(".") for header in _HEADER.findall(bare))
    if count > MOST_HEADERS:
        raise ValueError(f"it has {count:,} headers and parts of dotted keys: it may have {MOST_HEADERS:,}")


def _check_values(value: Any) -> None:
    """Raise ValueError for values that are nested too deep to be copied and shown, and numbers too large for it."""
    depth, level = 0, [value]
    while level:
        if depth > DEEPEST:
            raise ValueError(TOO_DEEP)
        depth += 1
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
            elif isinstance(each, int) and each.bit_length() > MOST_BITS:
                raise ValueError(f"it has an integer of {each.bit_length():,} bits: it may have {MOST_BITS:,}")
        level = inner


def text_of(path: Path) -> str:
    """Return the text of a file or a pipe.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too long, or no UTF-8; RequestError if it is a pipe into which nobody writes.
    """
    with opened(path) as file:
        content = file.read(LONGEST + 1)  # of a device too, which has no end
    if len(content) > LONGEST:
        raise ValueError(f"it has more than {LONGEST / 2**20:g} MiB")
    return content.decode("utf-8")

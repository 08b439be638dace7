"""TOML and JSON that anybody may have written: whatever is wrong with them is a ValueError that says it.

The parsers of Python raise errors of other kinds for nesting beyond what they can follow.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

LONGEST = 16 * 2**20  # bytes of a document; one of a sweep of 100,000 listed configs has 10 MB


def toml(text: str) -> dict[str, Any]:
    """Return the tables of a text in TOML; ValueError if it is none."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def json_value(text: str | bytes) -> Any:
    """Return the value of a text in JSON; ValueError if it is none."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def text_of(path: Path) -> str:
    """Return the text of a file; OSError if it cannot be read, ValueError if it is too long or no UTF-8."""
    with path.open("rb") as file:
        content = file.read(LONGEST + 1)  # of a device too, which has no end
    if len(content) > LONGEST:
        raise ValueError(f"it has more than {LONGEST / 2**20:g} MiB")
    return content.decode("utf-8")

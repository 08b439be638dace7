"""Tables that tests write, and what is read of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from jaxsweep.data import Dataset

Write: TypeAlias = Callable[..., Path]  # of a table's text or bytes, and a file name; the fixture `write` is one


def column(data: Dataset, name: str) -> list[Any]:
    """Return the cells of an input, None for missing."""
    values = next(column.values for column in data.inputs if column.name == name).tolist()
    return [None if value != value else value for value in values]

"""Where data come from, as a request and a run directory name them, and how they are read from there."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxsweep.data.builtin import datasets, load_dataset
from jaxsweep.data.dataset import Dataset
from jaxsweep.data.options import OPTIONS, TableOptions
from jaxsweep.data.tables import read_raw, read_table
from jaxsweep.errors import RequestError, printable


@dataclass(frozen=True)
class Source(TableOptions):
    """Where data come from: a built-in set by `name`, or a table by `path`; neither for data in memory.

    `validation` and `test` are further tables, `group` and `weight` columns, as `read_table` takes them.
    """

    name: str | None = None
    path: str | None = None
    target: str | int | list[str | int] | None = None
    task: str | None = None
    validation: str | None = None
    test: str | None = None
    group: str | int | None = None
    weight: str | int | None = None


_OWN = ("path", "target", "task", "validation", "test", "group", "weight")
LONGEST_NAME = 255  # bytes of a file's name
TABLE_KEYS = (*_OWN, *OPTIONS)  # what goes with a table on disk


def open_source(source: Source) -> Dataset:
    """Return the dataset that a source names: a built-in one, or a table on disk."""
    if source.name is not None:
        return load_dataset(source.name)
    if source.path is not None and source.path.encode("utf-8", "ignore").decode() != source.path:
        raise RequestError(
            f"{printable(source.path)} has a name that is not UTF-8, which no record can hold: rename it"
        )
    if source.path is None:
        raise RequestError("no data: name a built-in set or the path of a table")
    if source.target is None:
        if not Path(source.path).is_file():
            read_raw(source.path)  # refuses: what is wrong with the file comes before what is missing beside it
        names = read_raw(source.path, options=source).names
        raise RequestError(
            f"the target column of {source.path} is not named: give its name, or its number from 0; it has "
            f"{', '.join(names[:30])}{', ...' * (len(names) > 30)}"
        )
    given = {key: value for key in TABLE_KEYS if (value := getattr(source, key)) is not None}
    return read_table(given.pop("path"), **given)


def looks_like_a_file(text: str) -> bool:
    """Return whether a word means a file: it is written as a path, or there is one of that name."""
    if "/" in text or "\\" in text:
        return True
    could_be = "\0" not in text and len(os.fsencode(text)) <= LONGEST_NAME
    return could_be and (bool(Path(text).suffix) or Path(text).exists())


def dataset_of(data: Any) -> Dataset:
    """Return what a function was given as its data: a dataset, the name of a built-in one, or a pair (X, y).

    Raises:
        RequestError: anything else, with what would make a dataset of it.
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, (str, Path)):
        if str(data) not in [row.name for row in datasets()] and looks_like_a_file(str(data)):
            raise RequestError(
                f"data = {str(data)!r} is a file, whose target must be named: "
                f"give js.read_table({str(data)!r}, target=...)"
            )
        return load_dataset(str(data))  # which names the nearest one
    if isinstance(data, tuple) and len(data) == 2:
        return Dataset.from_arrays(*data)
    if hasattr(data, "iloc") and getattr(data, "ndim", 0) == 2:
        raise RequestError(
            "data is a frame, whose target must be named: give "
            "js.Dataset.from_arrays(frame.drop(columns=TARGET), frame[TARGET])"
        )
    raise RequestError(
        f"data is a {type(data).__name__}: it must be a dataset, as js.load_dataset, js.read_table and "
        "js.Dataset.from_arrays give it, the name of a built-in one, or a pair (X, y)"
    )

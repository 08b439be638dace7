"""Where data come from, as a request and a run directory name them, and how they are read from there."""

from dataclasses import dataclass

from jaxsweep.data.builtin import load_dataset
from jaxsweep.data.dataset import Dataset
from jaxsweep.data.tables import read_table
from jaxsweep.errors import RequestError


@dataclass(frozen=True)
class Source:
    """Where data come from: a built-in set by `name`, or a table by `path`; neither for data in memory."""

    name: str | None = None
    path: str | None = None
    target: str | int | None = None
    task: str | None = None
    header: bool | None = None
    drop: tuple[str | int, ...] = ()


def open_source(source: Source) -> Dataset:
    """Return the dataset that a source names: a built-in one, or a table on disk."""
    if source.name is not None:
        return load_dataset(source.name)
    if source.path is None:
        raise RequestError("no data: name a built-in set or the path of a table")
    if source.target is None:
        raise RequestError(f"the target column of {source.path} is not named: give its name, or its number from 0")
    return read_table(source.path, target=source.target, task=source.task, header=source.header, drop=source.drop)

"""What the owner of a table may say about it; all of it may be left out, and is found out then."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from jaxsweep.errors import RequestError, shown, suggestion

MOST_CATEGORIES = 100  # words of a column that get a feature each; the rarer ones share one
_BARE = re.compile(r"[\w.%+-]+( [\w.%+-]+)*")  # a word that needs no quotes in TOML's place
_NUMBER = re.compile(r"[+-]?[\d._]+(e[+-]?\d+)?|true|false|nan|inf")  # which TOML would read as something else
DELIMITERS = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}


@dataclass(frozen=True)
class TableOptions:
    r"""How to read a table: keyword arguments of `read_table`, keys of a sweep file's [data].

    Attributes:
        header: whether the first row holds the names of the columns.
        delimiter: between cells: a character, or a word of `DELIMITERS`; a blank stands for any white space.
        decimal: `.` or `,`, the mark before the decimals; the other one then groups thousands.
        encoding: of the text, by Python's name.
        skip: lines at the top that are no part of the table, such as a title.
        missing: words and numbers that count as missing, beside the usual ones.
        drop: columns to leave out, by name or number from 0, as everywhere here.
        keep: columns to take in that would be left out: ids, texts, row numbers.
        categories: columns of categories, whatever their cells look like.
        numbers: columns of numbers; cells that are none count as missing.
        day_first: whether 3/4/2005 is the third of April.
        missing_target: "drop" leaves out rows without a target.
        min_class_rows: rows of classes that have fewer rows than this are left out.
        most_categories: words of a column that get a feature each, the most frequent ones; all others share one.
    """

    header: bool | None = None
    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    skip: int = 0
    missing: tuple[str, ...] = ()
    drop: tuple[str | int, ...] = ()
    keep: tuple[str | int, ...] = ()
    categories: tuple[str | int, ...] = ()
    numbers: tuple[str | int, ...] = ()
    day_first: bool | None = None
    missing_target: str | None = None
    min_class_rows: int = 0
    most_categories: int = MOST_CATEGORIES

    def __post_init__(self) -> None:
        for name in ("header", "day_first"):
            _check(name, getattr(self, name), (bool, type(None)), "true or false")
        for name in ("delimiter", "decimal", "encoding", "missing_target"):
            _check(name, getattr(self, name), (str, type(None)), "text")
        for name, low in (("skip", 0), ("min_class_rows", 0), ("most_categories", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not hasattr(value, "__index__") or value < low:
                raise RequestError(f"{name} = {shown(value)} is not legal: it must be an integer of at least {low}")
            object.__setattr__(self, name, int(value))
        for name in LISTS:
            items = () if getattr(self, name) is None else _listed(name, getattr(self, name))
            object.__setattr__(self, name, tuple(map(str, items)) if name == "missing" else items)
        if self.delimiter is not None:
            found = DELIMITERS.get(self.delimiter, self.delimiter)
            if len(found) != 1 or found in '"\n\r':
                words = ", ".join(word for word in DELIMITERS if word.isalpha())
                raise RequestError(
                    f"delimiter = {shown(self.delimiter)} is not legal: it must be a single character, or one of "
                    f"{words}"
                )
            object.__setattr__(self, "delimiter", found)
        if self.decimal not in (None, ".", ","):
            raise RequestError(f"decimal = {shown(self.decimal)} is not legal: it must be '.' or ','")
        if self.missing_target not in (None, "drop"):
            raise RequestError(
                f"missing_target = {shown(self.missing_target)} is not legal: it must be 'drop', or left out"
            )

    @property
    def said(self) -> dict[str, Any]:
        """Return what is not at its default."""
        own = {field.name: (getattr(self, field.name), field.default) for field in fields(TableOptions)}
        return {name: value for name, (value, default) in own.items() if value != default}


LISTS = ("missing", "drop", "keep", "categories", "numbers")
NEW_FILES = ("delimiter", "encoding", "skip")  # what holds for new files to predict as well
OPTIONS = tuple(field.name for field in fields(TableOptions))


def table_options(given: Mapping[str, Any]) -> TableOptions:
    """Return the options given as keywords; RequestError for unknown ones."""
    for name in given:
        if name not in OPTIONS:
            raise RequestError(f"unknown option {shown(name)} of read_table{suggestion(name, OPTIONS)}")
    return TableOptions(**given)


def setting(key: str, names: Iterable[str]) -> str:
    """Return what sets a list of columns on the command line, to be pasted into a shell."""
    names = list(names)
    if len(names) == 1 and _BARE.fullmatch(names[0]) and not _NUMBER.fullmatch(names[0]):
        return "--set " + shlex.quote(f"{key}={names[0]}")
    return "--set " + shlex.quote(f"{key}={json.dumps(names, ensure_ascii=False)}")


def _check(name: str, value: Any, types: tuple[type, ...], words: str) -> None:
    if not isinstance(value, types):
        raise RequestError(f"{name} = {shown(value)} is not legal: it must be {words}")


def _listed(name: str, value: Any) -> tuple[Any, ...]:
    """Return one name or number, or several, as a tuple."""
    if getattr(value, "ndim", 1) == 0:
        value = value.item()  # of NumPy
    several: Any = (value,) if isinstance(value, (str, int, float)) else value
    if not isinstance(several, Iterable) or isinstance(several, Mapping):
        raise RequestError(f"{name} = {shown(value)} is not legal: it must be a list")
    found = tuple(item.item() if getattr(item, "ndim", 1) == 0 else item for item in several)
    legal = (str, int, float) if name == "missing" else (str, int)
    for item in found:
        if isinstance(item, bool) or not isinstance(item, legal):
            what = "words and numbers" if name == "missing" else "names of columns, or their numbers from 0"
            raise RequestError(f"{name} = {shown(value)} is not legal: it must be a list of {what}")
    return found

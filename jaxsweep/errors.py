"""What can be wrong with a request, as one exception type.

Everything that a user can get wrong raises `RequestError` before anything is compiled. Its text is one
sentence that names the thing, the offending value and what would be right. The command line prints that
sentence and exits with 2; in Python it is a `ValueError`.
"""

import difflib
import itertools
import reprlib
from collections.abc import Iterable

LONGEST = 2400  # characters of a message, of whatever a stranger's file has names and cells
SHOWN = 300  # characters of a value
PATH = 400  # characters of a path or a URL
NAME = 100  # characters of a name that is looked for among others, and of one that is listed
LOOKED_AT = 10_000  # known names among which one is looked for, which takes 10 us each
LISTED = 1200  # characters of a list of known names


def cut(text: str, most: int = PATH) -> str:
    """Return a text without its middle if it is longer than `most` characters."""
    half = (most - 5) // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


class RequestError(ValueError):
    """The request cannot be carried out as it stands; the message says what to change."""

    def __init__(self, text: str = "") -> None:
        super().__init__(
            cut(text, LONGEST)
        )  # the parts that may be long are cut by `shown`: this is for those that nobody saw


class SweepFailed(RuntimeError):
    """No trial of the sweep has a score, so that there is no result to report; the message says what became of them."""


class _Short(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        if x.bit_length() > 10_000:  # of which Python itself writes no decimals
            return f"an integer of {x.bit_length():,} bits"
        return super().repr_int(x, level)


_short = _Short()
_short.maxstring = _short.maxother = _short.maxlong = 60
_short.maxlist = _short.maxtuple = 20  # a width for each of the layers that a network may have, and some too many
_short.maxlevel = 4


def shown(value: object) -> str:
    """Return a value as a sentence shows it: its repr, cut where it is long."""
    return cut(" ".join(_short.repr(value).split()), SHOWN)


def printable(text: str) -> str:
    """Return a text with its control characters written out, which a terminal would obey: a table may have any name."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def spreadsheet_text(text: str) -> str:
    """Return a text as a cell of a CSV file that a spreadsheet takes for text: it would carry out a formula."""
    if len(text) < 2 or text[0] not in "=+-@\t\r":
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like this one, or None if none is like it; names that are long have none."""
    if len(name) > NAME:
        return None  # the time that it takes grows with the square
    others = [other for other in itertools.islice(known, LOOKED_AT) if len(other) <= NAME]
    return next(iter(difflib.get_close_matches(name, others, n=1, cutoff=0.6)), None)


def meant(name: str | None) -> str:
    """Return ``"; did you mean 'x'?"``, or nothing for None."""
    return "" if name is None else f"; did you mean {name!r}?"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or a list of them."""
    known = list(known)
    near = nearest(name, known)
    if near is not None:
        return meant(near)
    listed: list[str] = []
    room = LISTED
    for other in known:
        if (room := room - len(cut(other, NAME)) - 2) < 0:
            listed.append("...")
            break
        listed.append(cut(other, NAME))
    return f"; known: {', '.join(listed)}"

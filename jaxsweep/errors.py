"""What can be wrong with a request, as one exception type.

Everything that a user can get wrong raises `RequestError` before anything is compiled. Its text is one
sentence that names the thing, the offending value and what would be right. The command line prints that
sentence and exits with 2; in Python it is a `ValueError`.
"""

import difflib
import reprlib
from collections.abc import Iterable


class RequestError(ValueError):
    """The request cannot be carried out as it stands; the message says what to change."""


class SweepFailed(RuntimeError):
    """No trial of the sweep has a score, so that there is no result to report; the message says what became of them."""


_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 60


def shown(value: object) -> str:
    """Return a value as a sentence shows it: its repr, cut where it is long."""
    return " ".join(_short.repr(value).split())


def cut(text: str, longest: int = 400) -> str:
    """Return a path or a URL as a sentence shows it: as it is, but for the middle of one that is long."""
    return text if len(text) <= longest else f"{text[: longest // 2]}...{text[-longest // 4 :]}"


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
    """Return the known name that is most like this one, or None if none is like it."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), None)


def meant(name: str | None) -> str:
    """Return ``"; did you mean 'x'?"``, or nothing for None."""
    return "" if name is None else f"; did you mean {name!r}?"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or a list of all of them."""
    known = list(known)
    return meant(nearest(name, known)) or f"; known: {', '.join(known)}"

"""What can be wrong with a request, as one exception type.

Everything that a user can get wrong raises `RequestError` before anything is compiled. Its text is one
sentence that names the thing, the offending value and what would be right. The command line prints that
sentence and exits with 2; in Python it is a `ValueError`.
"""

import difflib
from collections.abc import Iterable


class RequestError(ValueError):
    """The request cannot be carried out as it stands; the message says what to change."""


class SweepFailed(RuntimeError):
    """Every trial of the sweep diverged or failed, so that there is no result to report."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or a list of all of them."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(known)}"

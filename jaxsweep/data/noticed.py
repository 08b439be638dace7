"""What is noticed about columns that their owner may have meant otherwise, each as a sentence or none."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.cells import parse_number
from jaxsweep.data.columns import Column, Raw, Words
from jaxsweep.data.dates import usual_format
from jaxsweep.data.forms import Ambiguous, find_form
from jaxsweep.data.options import TableOptions, setting
from jaxsweep.data.rawtable import Table
from jaxsweep.errors import shown

ALMOST = 0.5  # a column with this share of numbers looks like one of numbers
CODES = (-99, -200, -999, -9999, -99999, 999, 9999, 99999)  # that stand for missing in many tables
FAR = 5.0  # times the largest other number: a code for missing, rather than a number
TOTALS = frozenset(["total", "totals", "sum", "grand total", "average", "mean", "gesamt", "summe"])
MANY = 10_000  # words that are looked at for other spellings
SHOWN = 5  # columns that a note names


def almost(name: str, words: Words, options: TableOptions, delimiter: str | None) -> tuple[str, str]:
    """Return what there is to say of a column of numbers, or dates, and a few other words, and what to do about it."""
    counts, total = words.counts, int(words.counts.sum())
    if not total:
        return "", ""
    values = [parse_number(word) for word in words.words]
    fits = np.array([value is not None and not np.isnan(value) for value in values], dtype=bool)
    kind, advice = "numbers", f"{setting('numbers', [name])} makes such cells missing"
    form = most_fitting(words, options.decimal, delimiter) if counts[fits].sum() < ALMOST * total else None
    if form is not None:
        kind = f"numbers with {form.describe()}"
        fits = np.array([form.parse(word) is not None for word in words.words], dtype=bool)
    if counts[fits].sum() < ALMOST * total and (dates := usual_format(words.words, counts)) is not None:
        kind, fits = f"dates in the format {dates[0]}", dates[1]
        odd = [word for word, fit in zip(words.words, fits, strict=True) if not fit]
        advice = f"{setting('missing', odd[:3])} makes such cells missing" if len(odd) <= 3 else ""
    if fits.all() or counts[fits].sum() < ALMOST * total:
        return "", ""
    odd_one = int(np.argmin(fits))
    where = f"{shown(words.words[odd_one])} in row {words.first_row(odd_one)} (from 0)"
    return f"{shown(name)} is {int(100 * counts[fits].sum() / total)}% {kind} but holds {where}", advice


def most_fitting(words: Words, decimal: str | None, delimiter: str | None) -> Any:
    """Return the form of most of the words that are no plain numbers, or None if plain numbers are as frequent."""
    frequency = dict(zip(words.words, words.counts.tolist(), strict=True))
    plain = sum(count for word, count in frequency.items() if parse_number(word) is not None)
    best, most = None, plain if decimal is None else -1
    for word in [word for word in frequency if parse_number(word) is None or decimal == ","][:50]:
        form = find_form([word], decimal, delimiter)
        if form is None or isinstance(form, Ambiguous):
            continue
        fits = sum(count for other, count in frequency.items() if form.parse(other) is not None)
        if fits > most:
            best, most = form, fits
    return best


def spellings(name: str, words: Words) -> list[str]:
    """Return a note on words that differ in nothing but capitals."""
    first: dict[str, str] = {}
    for word in words.words[:MANY]:
        other = first.setdefault(word.casefold(), word)
        if other != word:
            return [f"{shown(name)} holds {shown(other)} and {shown(word)}, which are two categories"]
    return []


def codes(name: str, values: NDArray[np.float64], missing: tuple[str, ...]) -> list[str]:
    """Return a note on a number far from all others, which may stand for missing."""
    present = values[~np.isnan(values)]
    for code in CODES:
        rest = present[present != code]
        count = len(present) - len(rest)
        if count < 2 or not len(rest):
            continue
        if (code < 0 <= rest.min()) or abs(code) > FAR * np.abs(rest).max():
            advice = setting("missing", [*missing, f"{code:g}"])
            return [f"{shown(name)} holds {code:g} in {count:,} rows: {advice} makes them missing, if that is meant"]
    return []


def is_constant(values: NDArray[np.float64]) -> bool:
    """Return whether all rows have one and the same number."""
    return bool(len(values) and (values == values[0]).all())


def has_fractions(cells: Raw) -> bool:
    """Return whether cells are numbers, and some of them not whole."""
    if not isinstance(cells, np.ndarray) or cells.dtype.kind != "f":
        return False
    return bool((np.isfinite(cells) & (cells != np.floor(cells))).any())


def decimals(columns: Sequence[Column]) -> list[str]:
    """Return a note on columns with decimal points beside others with decimal commas."""
    commas = [col.name for col in columns if col.reading and col.reading.number and col.reading.number.decimal == ","]
    points = [col.name for col in columns if col.kind == "number" and not col.reading and has_fractions(col.values)]
    if not commas or not points:
        return []
    have = "has" if len(commas) == 1 else "have"
    return [
        f"{listed(points)} {are(points)} read with decimal points, though {listed(commas)} {have} decimal commas: "
        "--set decimal=, reads all with commas"
    ]


def total(table: Table) -> list[str]:
    """Return a note on a last row that may be a sum of those above it."""
    for cells in table.cells:
        last: Any = cells.iloc[-1] if hasattr(cells, "iloc") else cells[-1]
        if isinstance(last, str) and last.strip().casefold() in TOTALS:
            return [f"the last row says {shown(last.strip())}: if it is one of all others, take it out of the file"]
    return []


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence shows them, the first few."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(shown(name) for name in names[:SHOWN]) + more


def are(names: Sequence[str]) -> str:
    """Return the verb for so many names."""
    return "is" if len(names) == 1 else "are"


def it(names: Sequence[str]) -> str:
    """Return the pronoun for so many names."""
    return "it" if len(names) == 1 else "them"

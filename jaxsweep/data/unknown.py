"""Words of new data that training did not know: counted, and said in one sentence."""

import math
import sys
from collections import Counter
from collections.abc import Sequence
from types import FrameType

from jaxsweep.data.cells import parse_number
from jaxsweep.data.columns import Column
from jaxsweep.errors import shown

EXAMPLES = 3  # words that a column is allowed in the sentence
FEW = 10  # categories of training that the sentence lists


class UnknownWords(UserWarning):
    """New data have words that training did not know; they count as none of the categories."""


def describe_unknown(what: str, columns: Sequence[tuple[Column, Sequence[str]]]) -> str | None:
    """Return one sentence about the words that are not among those of training; None if all are.

    Args:
        what: what the sentence calls the data.
        columns: columns of categories, each with the words that training knew.
    """
    found = [text for column, words in columns if (text := _describe_column(column, words)) is not None]
    if not found:
        return None
    return f"{what} has words that training did not know, which count as none of its categories: {'; '.join(found)}"


def frames_to_user() -> int:
    """Return the `stacklevel` by which a caller of this function warns the first caller outside this package."""
    package = __name__.partition(".")[0]
    frame: FrameType | None = sys._getframe(1)
    level = 1
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level


def _describe_column(column: Column, words: Sequence[str]) -> str | None:
    known = set(words)
    counts = Counter(word for word in column.values if word is not None and word not in known)
    if not counts:
        return None
    rows, total = sum(counts.values()), len(column.values)
    numbers = {value: word for word in words if (value := _number(word)) is not None}
    same = {word: numbers[value] for word in counts if (value := _number(word)) in numbers}
    # Words that are known ones in another spelling come first: they say what to mend.
    examples = sorted(counts, key=lambda word: (word not in same, -counts[word]))[:EXAMPLES]
    listed = ", ".join(map(shown, examples)) + ", ..." * (len(counts) > len(examples))
    text = f"column {shown(column.name)} in {rows} of {total} rows ({listed}"
    if same:
        pairs = " and ".join(f"{shown(word)} is {shown(same[word])}" for word in examples if word in same)
        text += f"; {pairs}, spelled differently as a number"
    if len(words) <= FEW:
        text += f"; known: {', '.join(map(shown, words)) or 'none'}"
    return text + ")"


def _number(word: str) -> float | None:
    value = parse_number(word)
    return None if value is None or math.isnan(value) else value

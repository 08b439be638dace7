"""Numbers as people write them: decimal commas, thousands, percent signs, currencies and units.

A column is read by a form only if that form fits every one of its cells, and no other form would give other numbers.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jaxsweep.data.cells import parse_number

_SPACES = " \u00a0\u202f\u2009"
_CURRENCIES = r"(?:US\$|R\$|[$€£¥₹₩₽₺₫฿¢]|CHF|EUR|USD|GBP|INR|JPY|CNY|Rs\.?)"
_PARTS = re.compile(
    rf"(?P<sign>[+\-\u2212]?)\s*(?P<prefix>{_CURRENCIES}?)\s*(?P<sign2>[+\-\u2212]?)"
    rf"(?P<core>[\d.,'{_SPACES}]*\d[.,]?)(?P<exponent>[eE][+-]?\d+)?\s*"
    rf"(?P<suffix>{_CURRENCIES}|%|‰|[^\W\d_]{{1,12}}[²³]?(?:/[^\W\d_]{{1,8}}[²³]?)?|°[CF]?)?"
)


INTEGER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True)
class NumberForm:
    """How text stands for a number: `prefix`, digits in groups apart by `thousands`, `decimal`, digits, `suffix`.

    A percentage is read as it stands: 47% is 47. `thousands` is empty where digits are not grouped; a blank stands for
    any kind of blank.
    """

    decimal: str = "."
    thousands: str = ""
    prefix: str = ""
    suffix: str = ""

    def parse(self, word: str) -> float | None:
        """Return the number that a word stands for, None if it is not of this form."""
        parts = _PARTS.fullmatch(word.strip())
        if parts is None or (parts["prefix"], parts["suffix"] or "") != (self.prefix, self.suffix):
            return None
        return self._number(parts)

    def _number(self, parts: "re.Match[str]") -> float | None:
        core = _blank(parts["core"])
        if not _core_pattern(self.decimal, self.thousands).fullmatch(core) or (parts["sign"] and parts["sign2"]):
            return None
        if self.thousands:
            core = core.replace(self.thousands, "")
        minus = (parts["sign"] + parts["sign2"]) in ("-", "\u2212")
        return float("-" * minus + core.replace(self.decimal, ".") + (parts["exponent"] or ""))

    def describe(self) -> str:
        """Return what the form has that plain numbers have not: `decimal ','`, `thousands '.'`, `'%'`."""
        said = [f"decimal {self.decimal!r}"] if self.decimal != "." else []
        said += [f"thousands {self.thousands!r}"] if self.thousands else []
        return ", ".join([*said, *(repr(affix) for affix in (self.prefix, self.suffix) if affix)])

    def to_json(self) -> dict[str, str]:
        """Return what is not as in plain numbers."""
        return {key: value for key, value in asdict(self).items() if value != getattr(PLAIN, key)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "NumberForm":
        """Return the form that `to_json` described; ValueError if it describes none."""
        fields = {key: str(value) for key, value in document.items()}
        if not fields.keys() <= asdict(PLAIN).keys() or len(fields.get("decimal", ".")) != 1:
            raise ValueError(f"{document} is no form of numbers")
        return cls(**fields)


PLAIN = NumberForm()


@dataclass(frozen=True)
class Ambiguous:
    """Two forms fit every word, and give other numbers for `word`."""

    word: str


def other_marks(words: Sequence[str], decimal: str | None) -> bool:
    """Return whether numbers as Python writes them may mean others, since the decimal mark is said to be a comma."""
    return decimal == "," and not all(INTEGER.fullmatch(word) for word in words)


def find_form(
    words: Sequence[str], decimal: str | None = None, delimiter: str | None = None
) -> NumberForm | Ambiguous | None:
    """Return the form that fits all words; None if none does.

    Args:
        words: the distinct cells of a column that are not missing.
        decimal: the mark before the decimals, if the owner of the table has said it.
        delimiter: of the file: beside a semicolon a comma is a decimal one, beside a comma it groups thousands.
    """
    matches = [_PARTS.fullmatch(word.strip()) for word in words[:1]] if words else []
    if not matches or matches[0] is None:
        return None  # the usual case, soon
    matches = [_PARTS.fullmatch(word.strip()) for word in words]
    affixes = {(parts["prefix"], parts["suffix"] or "") for parts in matches if parts is not None}
    if None in matches or len(affixes) != 1:
        return None
    cores = [_blank(parts["core"]) for parts in matches if parts is not None]
    fits = [
        form for form in _forms(cores, decimal, *affixes.pop()) if all(form.parse(word) is not None for word in words)
    ]
    if not fits:
        return None
    other = next((word for word in words if len({form.parse(word) for form in fits}) > 1), None)
    if other is None:
        return fits[0]
    if delimiter == ";" or delimiter == ",":
        return next(form for form in fits if (form.decimal == ",") == (delimiter == ";"))
    return Ambiguous(other)


def _forms(cores: Sequence[str], decimal: str | None, prefix: str, suffix: str) -> list[NumberForm]:
    """Return the forms that may be meant: one, or two if there are points or commas and nobody said which is which."""
    has = {mark for mark in ".,' " if any(mark in core for core in cores)}
    forms = []
    for mark, group in ((".", ","), (",", ".")):
        groups = has & {group, "'", " "}
        if decimal in (None, mark) and len(groups) < 2:
            forms.append(NumberForm(mark, groups.pop() if groups else "", prefix, suffix))
    return forms if has & {".", ","} else forms[:1]


def _core_pattern(decimal: str, thousands: str) -> "re.Pattern[str]":
    key = (decimal, thousands)
    if key not in _patterns:
        mark, group = re.escape(decimal), re.escape(thousands)
        grouped = rf"[1-9]\d{{0,2}}(?:{group}\d{{3}})+(?:{mark}\d*)?|" if thousands else ""
        _patterns[key] = re.compile(rf"{grouped}\d+(?:{mark}\d*)?|{mark}\d+")
    return _patterns[key]


_patterns: dict[tuple[str, str], "re.Pattern[str]"] = {}


def _blank(core: str) -> str:
    return re.sub(f"[{_SPACES}]", " ", core).strip()


def looks_grouped(word: str) -> bool:
    """Return whether a word is digits with separators among them, which no plain number has."""
    parts = _PARTS.fullmatch(word.strip())
    return parts is not None and parse_number(word) is None

"""Dates and times of day as text, and the numbers that stand for them: year, month, day, weekday, hour, days."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What stands for a date, in the order of the columns. Weekdays count from Monday = 0, hours have their minutes as
# decimals, days count from 1970-01-01 and have the time of day as decimals.
PARTS = ("days", "year", "month", "day", "weekday", "hour")
_DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%m.%d.%Y",
    "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y", "%d.%m.%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y",
    "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%Y-%b-%d", "%Y-%m", "%b %Y", "%B %Y", "%b-%Y", "%b-%y",
)  # fmt: skip
_CLOCKS = (" %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", " %H.%M.%S")
_FORMATS = (
    *_DAYS,
    *(day + clock for day in _DAYS for clock in _CLOCKS),
    *("%Y-%m-%dT%H:%M" + rest + zone for rest in ("", ":%S", ":%S.%f") for zone in ("", "%z")),
    *("%Y-%m-%d %H:%M" + rest + "%z" for rest in ("", ":%S", ":%S.%f")),
    *(clock.strip() for clock in _CLOCKS),
)
_DATE_LIKE = re.compile(
    r"(?=.*\d)(\d{1,4}[-/. :]\d{1,2}|\d{1,2}[-/. ][A-Za-z]{3,9}\.?[-/. ]|[A-Za-z]{3,9}[-/. ]\d|\d{4}[-/ ][A-Za-z]{3})"
)
_ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")
_STRICT = {  # 1.5.2 is rather a version than a time or a date, 2:1 a score
    "%H.%M.%S": re.compile(r"(?:.* )?\d\d\.\d\d\.\d\d"),
    "%d.%m.%y": re.compile(r"\d\d\.\d\d\.\d\d(?: .*)?"),
    "%m.%d.%y": re.compile(r"\d\d\.\d\d\.\d\d(?: .*)?"),
    "%H:%M": re.compile(r".*\d:\d\d(?!\d).*"),
}


@dataclass(frozen=True)
class DatePart:
    """One number of a date: `part` of a text in `format`, as strptime has it (empty: cells that are dates already)."""

    format: str
    part: str


def find_formats(words: Sequence[str]) -> list[str]:
    """Return the formats that fit all words, as strptime has them; several give different dates for some word.

    Args:
        words: the distinct cells of a column that are not missing.
    """
    if not words or any(not _DATE_LIKE.match(word) for word in words[:20]):
        return []
    fits = [form for form in _FORMATS if _fits(words[0], form)]
    found: dict[bytes, str] = {}
    for form in fits:
        days = _parse(words, form)
        if not np.isnat(days).any():
            found.setdefault(days.tobytes(), form)
    return list(found.values())


def usual_format(words: Sequence[str], counts: NDArray[np.int64]) -> tuple[str, NDArray[np.bool_]] | None:
    """Return the format of most cells, and which words fit it, bool [words]; None if most cells are no dates.

    Args:
        words: the distinct cells of a column that are not missing.
        counts: how often each occurs, [words].
    """
    for word in words[:3]:
        if not _DATE_LIKE.match(word):
            continue
        for form in (form for form in _FORMATS if _fits(word, form)):
            fits = ~np.isnat(_parse(words, form))
            if 2 * counts[fits].sum() > counts.sum():
                return form, fits
    return None


def parse_dates(words: Sequence[str | None], form: str) -> NDArray[np.datetime64]:
    """Return text as dates, datetime64 [words], NaT for what is none in this format."""
    return _parse(words, form)


def as_dates(values: Any) -> NDArray[np.datetime64]:
    """Return cells of a type for dates, of NumPy or pandas, as datetime64 [rows]; the time is the local one."""
    import pandas as pd

    series = pd.to_datetime(pd.Series(values))  # also of Python's dates
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_localize(None)
    return series.to_numpy(dtype="datetime64[us]")


def part_of(dates: NDArray[np.datetime64], part: str) -> NDArray[np.float64]:
    """Return one number of each date, float64 [rows], NaN for a date that is missing."""
    import pandas as pd

    index = pd.DatetimeIndex(dates)
    if part == "days":
        since = dates.astype("datetime64[us]") - np.datetime64("1970-01-01", "us")
        return np.where(np.isnat(dates), np.nan, since.astype(np.int64) / 86_400e6)
    if part == "hour":
        return np.asarray(index.hour + index.minute / 60 + index.second / 3600, dtype=np.float64)
    return np.asarray(getattr(index, "day_of_week" if part == "weekday" else part), dtype=np.float64)


def varying_parts(dates: NDArray[np.datetime64]) -> list[str]:
    """Return which numbers of these dates differ among them; those of a time of day are its hour alone."""
    parts = PARTS if len(np.unique(dates[~np.isnat(dates)].astype("datetime64[D]"))) > 1 else ("hour",)
    found = []
    for part in parts:
        values = part_of(dates, part)
        if len(np.unique(values[~np.isnan(values)])) > 1:
            found.append(part)
    return found


def _fits(word: str, form: str) -> bool:
    try:
        datetime.strptime(word.strip(), form)
    except ValueError:
        return False
    return all(pattern.fullmatch(word.strip()) for part, pattern in _STRICT.items() if part in form)


def _parse(words: Sequence[str | None], form: str) -> NDArray[np.datetime64]:
    import pandas as pd

    text = pd.Series([None if word is None else word.strip() for word in words], dtype=object)
    if form.endswith("%z"):  # the time is the local one, as of cells that are dates already
        text, form = text.str.replace(_ZONE, "", regex=True), form.removesuffix("%z")
    dates = pd.to_datetime(text, format=form, errors="coerce")
    return dates.to_numpy(dtype="datetime64[us]")

"""What becomes of one raw column: a standardized number or a one-hot category, and how `model.json` says so."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.columns import Column, Reading
from jaxsweep.data.moments import moments
from jaxsweep.errors import shown

Rows: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class NumberInput:
    """A number: missing values become `fill`, then (x - mean) / scale. One feature, or two with the indicator."""

    name: str
    mean: float
    scale: float
    fill: float
    indicator: bool
    reading: Reading | None = None


@dataclass(frozen=True)
class CategoryInput:
    """A one-hot encoded category: one feature for each entry of `categories`.

    With `other` there is one more for all words that are not among them, and with `indicator` one for missing values.
    """

    name: str
    categories: tuple[str, ...]
    indicator: bool
    reading: Reading | None = None
    other: bool = False


Input: TypeAlias = NumberInput | CategoryInput


def input_entries(inputs: Sequence[Input]) -> list[dict[str, Any]]:
    """Return the `inputs` of `model.json`."""
    entries: list[dict[str, Any]] = []
    for entry in inputs:
        how = entry.reading.to_json(entry.name) if entry.reading is not None else {}
        if isinstance(entry, NumberInput):
            number = {"mean": entry.mean, "scale": entry.scale, "fill": entry.fill}
            entries.append({"name": entry.name, "kind": "number", **number, **how})
        else:
            other = {"other": True} if entry.other else {}
            words = list(entry.categories)
            entries.append({"name": entry.name, "kind": "category", "categories": words, **other, **how})
        if entry.indicator:
            entries.append({"name": entry.name, "kind": "missing"})
    return entries


def parse_inputs(entries: Sequence[Mapping[str, Any]]) -> tuple[Input, ...]:
    """Return the inputs that `input_entries` described; KeyError, TypeError or ValueError if it is none of them."""
    inputs: list[Input] = []
    for number, entry in enumerate(entries):
        after = entries[number + 1] if number + 1 < len(entries) else {}
        indicator = after.get("kind") == "missing" and after["name"] == entry["name"]
        if entry["kind"] == "number":
            values = [float(entry[key]) for key in ("mean", "scale", "fill")]
            if not all(map(math.isfinite, values)) or values[1] <= 0:
                raise ValueError(f"input {shown(entry['name'])} has mean, scale and fill {values}, not finite numbers")
            inputs.append(NumberInput(str(entry["name"]), values[0], values[1], values[2], indicator, _reading(entry)))
        elif entry["kind"] == "category":
            words = tuple(map(str, entry["categories"]))
            inputs.append(
                CategoryInput(str(entry["name"]), words, indicator, _reading(entry), bool(entry.get("other", False)))
            )
        elif entry["kind"] != "missing":
            raise ValueError(
                f"input {shown(entry['name'])} is of kind {shown(entry['kind'])}, not number, category or missing"
            )
        elif number == 0 or entries[number - 1]["name"] != entry["name"]:
            raise ValueError(f"the missing-value indicator of {shown(entry['name'])} does not follow its column")
    return tuple(inputs)


def _reading(entry: Mapping[str, Any]) -> Reading | None:
    found = Reading.from_json(entry)
    return None if found == Reading(str(entry["name"])) else found


def raw_name(name: str, reading: Reading | None) -> str:
    """Return the name of the raw column that an input of this name is read from."""
    return name if reading is None else reading.column


def fit_column(
    column: Column, train: Rows, category_rows: Rows, pixel: bool, indicator: bool, most: int
) -> tuple[Input, list[bool]]:
    """Return a raw column's entry, and for each of its features whether the training rows say anything by it."""
    own = column.take(train)
    seen_missing = [bool(own.missing.any())] if indicator else []
    if column.kind == "category":
        counts = Counter(word for word in column.values[category_rows] if word is not None)
        frequent = sorted(counts, key=lambda word: (-counts[word], word))[:most]
        words, other = tuple(sorted(frequent)), len(counts) > most
        known = set(own.values)
        seen = [word in known for word in words]
        if other:
            seen.append(bool(known - set(words) - {None}))
        return CategoryInput(column.name, words, indicator, column.reading, other), seen + seen_missing
    present = own.values[~own.missing]
    fill = float(np.median(present)) if len(present) else 0.0
    mean, scale = moments(np.where(own.missing, fill, own.values))
    # A constant pixel is not 0 once it is standardized with the others, and augmentation moves others to its place.
    seen = [pixel or scale > 0, *seen_missing]
    return NumberInput(column.name, mean, scale or 1.0, fill, indicator, column.reading), seen


def shared_statistics(columns: Sequence[Column], train: Rows, inputs: Sequence[Input]) -> list[Input]:
    """Return the inputs of pixels with one mean and scale for all of them, those of the training rows."""
    numbers = [entry for entry in inputs if isinstance(entry, NumberInput)]
    pixels = np.stack([column.values[train] for column in columns], axis=1)
    pixels = np.where(np.isnan(pixels), np.array([entry.fill for entry in numbers]), pixels)
    mean, scale = moments(pixels)
    return [replace(entry, mean=mean, scale=scale or 1.0) for entry in numbers]

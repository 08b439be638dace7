"""From raw columns to standardized features and back: fitted on the training part, carried by an exported network.

What `to_json` gives is the `inputs`, and the `classes` or `target`, of an exported network's `model.json`.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.columns import Column, make_column
from jaxsweep.data.labels import Label
from jaxsweep.data.moments import moments
from jaxsweep.data.rawtable import Table, check_names, table_of
from jaxsweep.data.unknown import UnknownWords, describe_unknown, frames_to_user
from jaxsweep.errors import RequestError, suggestion

Floats: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class NumberInput:
    """A number: missing values become `fill`, then (x - mean) / scale. One feature, or two with the indicator."""

    name: str
    mean: float
    scale: float
    fill: float
    indicator: bool


@dataclass(frozen=True)
class CategoryInput:
    """A one-hot encoded category: one feature for each entry of `categories`, and one with the indicator."""

    name: str
    categories: tuple[str, ...]
    indicator: bool


Input: TypeAlias = NumberInput | CategoryInput


@dataclass(frozen=True)
class Preprocessor:
    """Turns raw columns into features, float64 [rows, features], and predictions back into labels or numbers.

    Attributes:
        inputs: one entry for each raw column, in order.
        classes: labels by class code; None for regression.
        target_mean, target_scale: a regression target y is trained on as (y - target_mean) / target_scale.
        unseen: numbers of the features that say nothing in the training rows: a word or a missing value that only
            other rows have, a constant. Nothing trains their weights, so that they are 0 in all rows. `model.json`
            does not hold them: an exported network has zeros for these weights.
    """

    inputs: tuple[Input, ...]
    classes: tuple[Label, ...] | None = None
    target_mean: float = 0.0
    target_scale: float = 1.0
    unseen: tuple[int, ...] = ()

    @classmethod
    def fit(
        cls,
        columns: Sequence[Column],
        train: Rows,
        *,
        pool: Rows | None = None,
        category_rows: Rows | None = None,
        target: Floats | None = None,
        classes: tuple[Label, ...] | None = None,
        image: bool = False,
    ) -> "Preprocessor":
        """Return the preprocessor for a training part.

        Args:
            columns: the raw columns.
            train: indices of the training rows; all statistics come from these.
            pool: indices of the rows whose missing values decide which columns get an indicator (training and
                validation rows); default: the training rows.
            category_rows: indices of the rows whose categories get a feature; default: the training rows.
            target: the regression target, float64 [rows]; None for classification.
            classes: the labels, for classification.
            image: whether the columns are pixels. They then share one mean and scale, since augmentation moves them.
        """
        pool = train if pool is None else pool
        category_rows = train if category_rows is None else category_rows
        fitted = [_fit_column(column, train, pool, category_rows, image) for column in columns]
        inputs, seen = [entry for entry, _ in fitted], [flag for _, flags in fitted for flag in flags]
        if image:
            inputs = _shared_statistics(columns, train, inputs)
        mean, scale = (0.0, 1.0) if target is None else moments(target[train])
        unseen = tuple(number for number, flag in enumerate(seen) if not flag)
        return cls(tuple(inputs), classes, mean, scale or 1.0, unseen)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return a name for each feature: `size`, `colour=red`, `size missing`."""
        names: list[str] = []
        for entry in self.inputs:
            if isinstance(entry, NumberInput):
                names.append(entry.name)
            else:
                names.extend(f"{entry.name}={word}" for word in entry.categories)
            if entry.indicator:
                names.append(f"{entry.name} missing")
        return tuple(names)

    def transform(self, columns: Sequence[Column]) -> Floats:
        """Return the features, float64 [rows, features], of columns in the order and of the kinds of `inputs`."""
        rows = len(columns[0].values)
        x = np.zeros((rows, len(self.feature_names)))
        at = 0
        for entry, column in zip(self.inputs, columns, strict=True):
            missing = column.missing
            if isinstance(entry, NumberInput):
                x[:, at] = (np.where(missing, entry.fill, column.values) - entry.mean) / entry.scale
                at += 1
            else:
                code = {word: number for number, word in enumerate(entry.categories)}
                codes = np.fromiter((code.get(word, -1) for word in column.values), dtype=np.int64, count=rows)
                seen = np.flatnonzero(codes >= 0)
                x[seen, at + codes[seen]] = 1.0
                at += len(entry.categories)
            if entry.indicator:
                x[:, at] = missing
                at += 1
        x[:, list(self.unseen)] = 0.0
        return x

    def transform_table(self, X: Any) -> Floats:
        """Return the features, float64 [rows, features], of raw new data.

        Words that training did not know count as none of the categories, and give a warning `UnknownWords`.

        Args:
            X: a pandas frame (or a table read from a file), whose columns are found by name and may be more than
                needed; or an array [rows, raw columns] in the order of `inputs`.

        Raises:
            RequestError: a column is missing, occurs twice or holds text instead of numbers, or an array has other
                columns.
        """
        columns = self._find_columns(X)
        unknown = self._describe_unknown(columns, "X")
        if unknown is not None:
            warnings.warn(unknown, UnknownWords, stacklevel=frames_to_user())
        return self.transform(columns)

    def unknown_words(self, X: Any, what: str = "X") -> str | None:
        """Return a sentence about the words of `X` that training did not know; None if there are none.

        Args:
            X: raw new data, as `transform_table` takes it.
            what: what the sentence calls the data.

        Raises:
            RequestError: as `transform_table`.
        """
        return self._describe_unknown(self._find_columns(X), what)

    def _describe_unknown(self, columns: Sequence[Column], what: str) -> str | None:
        pairs = zip(self.inputs, columns, strict=True)
        return describe_unknown(
            what, [(column, entry.categories) for entry, column in pairs if isinstance(entry, CategoryInput)]
        )

    def _find_columns(self, X: Any) -> list[Column]:
        """Return the columns of raw new data that are `inputs`, in their order and of their kinds."""
        table = X if isinstance(X, Table) else table_of(X, "X")
        if not table.names:
            raise RequestError(f"X has no columns: it must have the {len(self.inputs)} of the training data")
        names = [entry.name for entry in self.inputs]
        by_position = not table.named and (len(table.names) == len(names) or not isinstance(X, Table))
        if by_position and len(table.names) != len(names):
            raise RequestError(f"X has {len(table.names)} columns: it must have the {len(names)} of the training data")
        if not by_position:
            check_names(table.names, "X", among=names)
        place = {name: number for number, name in enumerate(names if by_position else table.names)}
        columns = []
        for entry in self.inputs:
            if entry.name not in place:
                raise RequestError(f"input column {entry.name!r} is not in the data{suggestion(entry.name, place)}")
            kind = "number" if isinstance(entry, NumberInput) else "category"
            columns.append(make_column(entry.name, table.cells[place[entry.name]], kind))  # type: ignore[arg-type]
        return columns

    def standardize_target(self, y: Floats) -> Floats:
        """Return a regression target [rows] as it is trained on."""
        return (y - self.target_mean) / self.target_scale

    def restore_target(self, y: Any) -> Floats:
        """Return predictions [...] of the standardized target in the target's own units."""
        return np.asarray(np.asarray(y, dtype=np.float64) * self.target_scale + self.target_mean)

    def labels(self, codes: Any) -> NDArray[Any]:
        """Return the labels [...] for class codes [...]."""
        if self.classes is None:
            raise RequestError("a regression network has no classes: use its predicted numbers")
        return np.asarray(np.asarray(self.classes)[np.asarray(codes)])

    def to_json(self) -> dict[str, Any]:
        """Return `inputs`, and `classes` or `target`, as they stand in an exported network's `model.json`."""
        entries: list[dict[str, Any]] = []
        for entry in self.inputs:
            if isinstance(entry, NumberInput):
                number = {"mean": entry.mean, "scale": entry.scale, "fill": entry.fill}
                entries.append({"name": entry.name, "kind": "number", **number})
            else:
                entries.append({"name": entry.name, "kind": "category", "categories": list(entry.categories)})
            if entry.indicator:
                entries.append({"name": entry.name, "kind": "missing"})
        if self.classes is not None:
            return {"inputs": entries, "classes": list(self.classes)}
        return {"inputs": entries, "target": {"mean": self.target_mean, "scale": self.target_scale}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Preprocessor":
        """Return the preprocessor that `to_json` described; other keys of the document are ignored.

        Raises:
            RequestError: the document is not what `to_json` gives.
        """
        try:
            return cls(_parse_inputs(document["inputs"]), *_parse_target(document))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise RequestError(f"the preprocessing of the network cannot be read: {error}") from error


def _parse_inputs(entries: Sequence[Mapping[str, Any]]) -> tuple[Input, ...]:
    inputs: list[Input] = []
    for number, entry in enumerate(entries):
        after = entries[number + 1] if number + 1 < len(entries) else {}
        indicator = after.get("kind") == "missing" and after["name"] == entry["name"]
        if entry["kind"] == "number":
            values = [float(entry[key]) for key in ("mean", "scale", "fill")]
            if not all(map(math.isfinite, values)) or values[1] <= 0:
                raise ValueError(f"input {entry['name']!r} has mean, scale and fill {values}, not finite numbers")
            inputs.append(NumberInput(str(entry["name"]), values[0], values[1], values[2], indicator))
        elif entry["kind"] == "category":
            inputs.append(CategoryInput(str(entry["name"]), tuple(map(str, entry["categories"])), indicator))
        elif entry["kind"] != "missing":
            raise ValueError(f"input {entry['name']!r} is of kind {entry['kind']!r}, not number, category or missing")
        elif number == 0 or entries[number - 1]["name"] != entry["name"]:
            raise ValueError(f"the missing-value indicator of {entry['name']!r} does not follow its column")
    return tuple(inputs)


def _parse_target(document: Mapping[str, Any]) -> tuple[tuple[Label, ...] | None, float, float]:
    if document.get("classes") is not None:
        return tuple(document["classes"]), 0.0, 1.0
    return None, float(document["target"]["mean"]), float(document["target"]["scale"])


def _fit_column(column: Column, train: Rows, pool: Rows, category_rows: Rows, pixel: bool) -> tuple[Input, list[bool]]:
    """Return a raw column's entry, and for each of its features whether the training rows say anything by it."""
    indicator = not pixel and bool(column.take(pool).missing.any())  # which would stand inside the image
    own = column.take(train)
    seen_missing = [bool(own.missing.any())] if indicator else []
    if column.kind == "category":
        words = tuple(sorted({word for word in column.values[category_rows] if word is not None}))
        known = set(own.values)
        return CategoryInput(column.name, words, indicator), [word in known for word in words] + seen_missing
    present = own.values[~own.missing]
    fill = float(np.median(present)) if len(present) else 0.0
    mean, scale = moments(np.where(own.missing, fill, own.values))
    # A constant pixel is not 0 once it is standardized with the others, and augmentation moves others to its place.
    return NumberInput(column.name, mean, scale or 1.0, fill, indicator), [pixel or scale > 0, *seen_missing]


def _shared_statistics(columns: Sequence[Column], train: Rows, inputs: Sequence[Input]) -> list[Input]:
    numbers = [entry for entry in inputs if isinstance(entry, NumberInput)]
    pixels = np.stack([column.values[train] for column in columns], axis=1)
    pixels = np.where(np.isnan(pixels), np.array([entry.fill for entry in numbers]), pixels)
    mean, scale = moments(pixels)
    return [NumberInput(entry.name, mean, scale or 1.0, entry.fill, entry.indicator) for entry in numbers]

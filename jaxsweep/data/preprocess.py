"""From raw columns to standardized features and back: fitted on the training part, carried by an exported network.

What `to_json` gives is the `inputs`, and the `classes` or `target`, of an exported network's `model.json`.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.columns import Column, Kind, make_column
from jaxsweep.data.inputs import (
    CategoryInput,
    Input,
    NumberInput,
    Rows,
    fit_column,
    input_entries,
    parse_inputs,
    raw_name,
    shared_statistics,
)
from jaxsweep.data.labels import Label
from jaxsweep.data.moments import moments
from jaxsweep.data.options import MOST_CATEGORIES
from jaxsweep.data.rawtable import Table, check_names, table_of
from jaxsweep.data.unknown import UnknownWords, describe_unknown, frames_to_user
from jaxsweep.errors import RequestError, shown, suggestion

Floats: TypeAlias = NDArray[np.float64]


class TargetScale(NamedTuple):
    """One of several targets: it is trained on as (y - mean) / scale."""

    name: str
    mean: float
    scale: float


@dataclass(frozen=True)
class Preprocessor:
    """Turns raw columns into features, float64 [rows, features], and predictions back into labels or numbers.

    Attributes:
        inputs: one entry for each raw column, in order.
        classes: labels by class code; None for regression.
        target_mean, target_scale: a regression target y is trained on as (y - target_mean) / target_scale ...
        unseen: numbers of the features that say nothing in the training rows: a word or a missing value that only
            other rows have, a constant. Nothing trains their weights, so that they are 0 in all rows. `model.json`
            does not hold them: an exported network has zeros for these weights.
        targets: ... or, where there are several, each by its own; () for one.
    """

    inputs: tuple[Input, ...]
    classes: tuple[Label, ...] | None = None
    target_mean: float = 0.0
    target_scale: float = 1.0
    unseen: tuple[int, ...] = ()
    targets: tuple[TargetScale, ...] = ()

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
        most_categories: int = MOST_CATEGORIES,
        target_names: Sequence[str] = (),
    ) -> "Preprocessor":
        """Return the preprocessor for a training part.

        Args:
            columns: the raw columns.
            train: indices of the training rows; all statistics come from these.
            pool: indices of the rows whose missing values decide which columns get an indicator (training and
                validation rows); default: the training rows.
            category_rows: indices of the rows whose categories get a feature; default: the training rows.
            target: the regression target, float64 [rows], or several, [rows, targets]; None for classification.
            classes: the labels, for classification.
            image: whether the columns are pixels. They then share one mean and scale, since augmentation moves them.
            most_categories: words of a column that get a feature each, the most frequent ones; the others share one.
            target_names: those of several targets.
        """
        pool = train if pool is None else pool
        category_rows = train if category_rows is None else category_rows
        seen_columns: set[str] = set()  # several columns may come from one raw one: they are missing together
        fitted = []
        for column in columns:
            raw = raw_name(column.name, column.reading)
            indicator = not image and raw not in seen_columns and bool(column.take(pool).missing.any())
            seen_columns.add(raw)
            fitted.append(fit_column(column, train, category_rows, image, indicator, most_categories))
        inputs, seen = [entry for entry, _ in fitted], [flag for _, flags in fitted for flag in flags]
        _check_words(inputs, (*(classes or ()), *target_names))
        if image:
            inputs = shared_statistics(columns, train, inputs)
        unseen = tuple(number for number, flag in enumerate(seen) if not flag)
        if target is not None and target.ndim == 2:
            both = [moments(column) for column in target[train].T]
            scales = [TargetScale(name, m, s or 1.0) for name, (m, s) in zip(target_names, both, strict=True)]
            return cls(tuple(inputs), classes, unseen=unseen, targets=tuple(scales))
        mean, scale = (0.0, 1.0) if target is None else moments(target[train])
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
                if entry.other:
                    names.append(f"{entry.name}: other")
            if entry.indicator:
                names.append(f"{entry.name} missing")
        return tuple(names)

    def transform(self, columns: Sequence[Column], out: Floats | None = None) -> Floats:
        """Return the features, float64 [rows, features], of columns in the order and of the kinds of `inputs`.

        `out` is where they are written to, if given: zeros of that shape.
        """
        rows = len(columns[0].values)
        x = np.zeros((rows, len(self.feature_names))) if out is None else out
        at = 0
        for entry, column in zip(self.inputs, columns, strict=True):
            missing = column.missing
            if isinstance(entry, NumberInput):
                x[:, at] = (np.where(missing, entry.fill, column.values) - entry.mean) / entry.scale
                at += 1
            else:
                code = {word: number for number, word in enumerate(entry.categories)}
                rest = len(entry.categories) if entry.other else -1
                codes = np.fromiter((code.get(word, rest) for word in column.values), dtype=np.int64, count=rows)
                seen = np.flatnonzero((codes >= 0) & ~missing)
                x[seen, at + codes[seen]] = 1.0
                at += len(entry.categories) + entry.other
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
        unknown = self.describe_unknown_words(columns, "X")
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
        return self.describe_unknown_words(self._find_columns(X), what)

    def describe_unknown_words(self, columns: Sequence[Column], what: str) -> str | None:
        """Return what `unknown_words` does, of columns in the order and of the kinds of `inputs`."""
        pairs = zip(self.inputs, columns, strict=True)
        return describe_unknown(
            what,
            [(col, entry.categories) for entry, col in pairs if isinstance(entry, CategoryInput) and not entry.other],
        )

    def _find_columns(self, X: Any) -> list[Column]:
        """Return the columns of raw new data that are `inputs`, in their order and of their kinds."""
        table = X if isinstance(X, Table) else table_of(X, "X")
        if not table.names:
            raise RequestError(f"X has no columns: it must have the {len(self.inputs)} of the training data")
        names = list(dict.fromkeys(raw_name(entry.name, entry.reading) for entry in self.inputs))
        by_position = not table.named and (len(table.names) == len(names) or not isinstance(X, Table))
        if by_position and len(table.names) != len(names):
            raise RequestError(
                f"{table.what} has {len(table.names)} columns: it must have the {len(names)} of the training data"
            )
        if not by_position:
            found = [name if name in names else table.again.get(name, name) for name in table.names]
            check_names(found, table.what, among=names)
        place = {name: number for number, name in enumerate(names if by_position else table.names)}
        columns = []
        what = table.what if table.what != "X" else "the data"
        for entry in self.inputs:
            raw = raw_name(entry.name, entry.reading)
            if raw not in place:
                raise RequestError(f"input column {shown(raw)} is not in {what}{suggestion(raw, place)}")
            kind: Kind = "number" if isinstance(entry, NumberInput) else "category"
            columns.append(make_column(entry.name, table.cells[place[raw]], kind, entry.reading))
        return columns

    @property
    def raw_names(self) -> frozenset[str]:
        """The names of the raw columns that are needed."""
        return frozenset(raw_name(entry.name, entry.reading) for entry in self.inputs)

    @property
    def text_columns(self) -> frozenset[str]:
        """The names of the raw columns whose cells must be read as they are written."""
        return frozenset(
            raw_name(entry.name, entry.reading)
            for entry in self.inputs
            if isinstance(entry, CategoryInput) or (entry.reading is not None and not entry.reading.plain)
        )

    @property
    def target_units(self) -> tuple[Any, Any]:
        """The target's mean and scale, two numbers; of several targets two arrays [targets]."""
        if not self.targets:
            return self.target_mean, self.target_scale
        return np.array([each.mean for each in self.targets]), np.array([each.scale for each in self.targets])

    def standardize_target(self, y: Floats) -> Floats:
        """Return a regression target [rows], or several [rows, targets], as they are trained on."""
        mean, scale = self.target_units
        return np.asarray((y - mean) / scale)

    def restore_target(self, y: Any) -> Floats:
        """Return predictions [...] of the standardized target, or of several [..., targets], in their own units."""
        mean, scale = self.target_units
        return np.asarray(np.asarray(y, dtype=np.float64) * scale + mean)

    def labels(self, codes: Any) -> NDArray[Any]:
        """Return the labels [...] for class codes [...]."""
        if self.classes is None:
            raise RequestError("a regression network has no classes: use its predicted numbers")
        return np.asarray(np.asarray(self.classes)[np.asarray(codes)])

    def to_json(self) -> dict[str, Any]:
        """Return `inputs`, and `classes` or `target`, as they stand in an exported network's `model.json`."""
        entries = input_entries(self.inputs)
        if self.classes is not None:
            return {"inputs": entries, "classes": list(self.classes)}
        several = [{"name": each.name, "mean": each.mean, "scale": each.scale} for each in self.targets]
        return {"inputs": entries, "target": several or {"mean": self.target_mean, "scale": self.target_scale}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Preprocessor":
        """Return the preprocessor that `to_json` described; other keys of the document are ignored.

        Raises:
            RequestError: the document is not what `to_json` gives.
        """
        try:
            inputs = parse_inputs(document["inputs"])
            if isinstance(document.get("target"), list):
                return cls(inputs, targets=_parse_targets(document["target"]))
            return cls(inputs, *_parse_target(document))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise RequestError(f"the preprocessing of the network cannot be read: {error}") from error


def _check_words(inputs: Sequence[Input], others: Sequence[Label]) -> None:
    """Raise RequestError for words that no file of an exported network could hold: halves of surrogate pairs."""
    words = [entry.name for entry in inputs]
    words += [word for entry in inputs if isinstance(entry, CategoryInput) for word in entry.categories]
    words += [label for label in others if isinstance(label, str)]
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        odd = next(word for word in words if any("\ud800" <= letter <= "\udfff" for letter in word))
        raise RequestError(
            f"the data have the word {shown(odd)}, which is no text that UTF-8 could hold: write it otherwise"
        ) from None


def _parse_target(document: Mapping[str, Any]) -> tuple[tuple[Label, ...] | None, float, float]:
    if document.get("classes") is not None:
        classes = document["classes"]
        if not isinstance(classes, list) or not all(isinstance(label, (str, int, float)) for label in classes):
            raise ValueError(f"classes = {shown(classes)}: they must be words or numbers")
        return tuple(classes), 0.0, 1.0
    return None, float(document["target"]["mean"]), float(document["target"]["scale"])


def _parse_targets(entries: Sequence[Mapping[str, Any]]) -> tuple[TargetScale, ...]:
    found = tuple(TargetScale(str(each["name"]), float(each["mean"]), float(each["scale"])) for each in entries)
    if len(found) < 2:
        raise ValueError(f"target is a list of {len(found)}: it must have several, or be no list")
    for each in found:
        if not (math.isfinite(each.mean) and math.isfinite(each.scale) and each.scale > 0):
            raise ValueError(f"target {shown(each.name)} has the mean {each.mean} and the scale {each.scale}")
    return found

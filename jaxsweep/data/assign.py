"""Which rows of a dataset train, validate and test: by class, by group, in folds, or as the user says."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.dataset import Dataset
from jaxsweep.data.splits import PARTS, allocate, check_split, shuffled
from jaxsweep.errors import RequestError, shown
from jaxsweep.streams import bit_generator, check_seed

Pairs: TypeAlias = tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]  # rows that train and rows that validate
Folds: TypeAlias = int | Pairs
Rows: TypeAlias = NDArray[np.int64]

FEW_ROWS = "classes with fewer rows are left out by --set min_class_rows={} (in Python min_class_rows={})"


@dataclass(frozen=True)
class Assignment:
    """Row numbers, all ascending: of the training and the validation part of each split, and of the test part."""

    train: tuple[Rows, ...]
    val: tuple[Rows, ...]
    test: Rows


def assign(data: Dataset, split: Sequence[float], folds: Folds, seed: int) -> Assignment:
    """Return which rows of a dataset go into which part; a part that the dataset brings takes none.

    Classes are stratified, and groups stay together, with the classes as even as they allow.

    Args:
        data: the raw data.
        split: fractions of training, validation and test rows; the last may be 0.
        folds: 0; k > 1 for k-fold cross-validation in place of the validation part; or pairs of training and
            validation rows, whose other rows are the test part.
        seed: decides which rows go where.

    Raises:
        RequestError: illegal arguments, or fewer rows (of a class), or groups, than the split needs.
    """
    seed = check_seed(seed)
    own = data.validation is not None
    if own and folds:
        said = f"folds = {folds}" if isinstance(folds, int) else "a list of folds"
        raise RequestError(f"{said} does not go with a validation part of your own: leave out one of the two")
    fractions = check_split(split, needs_validation=not folds and not own)
    if isinstance(folds, tuple):
        return _as_told(data, folds)
    shares = [fractions[0], fractions[1], fractions[2]]
    if folds or own:
        shares[1] *= 0
    if data.test is not None:
        shares[2] *= 0
    shares[0] = 1 - shares[1] - shares[2]
    return (_by_class if data.groups is None else _by_group)(data, shares, folds, seed)


def check_folds(folds: Any) -> Folds:
    """Return `folds` as `assign` takes it; RequestError if it is neither a number nor pairs of rows."""
    if isinstance(folds, (int, np.integer)) and not isinstance(folds, bool):
        if folds < 0 or folds == 1:
            raise RequestError(f"folds = {shown(folds)} is not legal: it must be 0, or an integer of at least 2")
        return int(folds)
    scalar = isinstance(folds, (str, bytes, dict, bool)) or getattr(folds, "ndim", 1) == 0
    if scalar or not isinstance(folds, Iterable):
        raise RequestError(
            f"folds = {shown(folds)} is not legal: it must be 0, an integer of at least 2, a list of pairs (training "
            "rows, validation rows), or a splitter of scikit-learn"
        )
    pairs = [pair if isinstance(pair, (list, tuple)) else () for pair in folds]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise RequestError("folds is not legal: as a list it must hold pairs (training rows, validation rows)")
    return tuple((_row_numbers(train), _row_numbers(val)) for train, val in pairs)


def split_by(splitter: Any, data: Dataset, split: Sequence[float], seed: int) -> Pairs:
    """Return the folds that a splitter of scikit-learn makes of the rows that are not test rows.

    Raises:
        RequestError: the splitter refuses the data.
    """
    found = assign(data, split, 0, seed) if data.validation is None else None
    if found is None:
        raise RequestError("a splitter does not go with a validation part of your own: leave out one of the two")
    pool = np.sort(np.concatenate([found.train[0], found.val[0]]))
    groups = None if data.groups is None else data.groups[pool]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The groups parameter is ignored")  # looked at below
            pairs = list(splitter.split(np.zeros((len(pool), 1)), data.target[pool], groups))
    except (ValueError, TypeError) as error:
        raise RequestError(f"folds = {splitter!r} cannot split these data: {error}") from error
    for fold, (train, val) in enumerate(pairs):
        if groups is not None and set(groups[train]) & set(groups[val]):
            raise RequestError(
                f"{splitter!r} parts the rows of a group in fold {fold}: use a splitter for groups, such as "
                "GroupKFold, or folds = k, which keeps them together"
            )
    return check_folds([(pool[train].tolist(), pool[val].tolist()) for train, val in pairs])  # type: ignore[return-value]


def _row_numbers(rows: Any) -> tuple[int, ...]:
    values = rows.tolist() if hasattr(rows, "tolist") else rows
    if not isinstance(values, (list, tuple)) or any(
        isinstance(row, bool) or not isinstance(row, (int, np.integer)) or row < 0 for row in values
    ):
        raise RequestError("folds is not legal: rows must be given by their numbers from 0")
    return tuple(int(row) for row in values)


def _as_told(data: Dataset, folds: Pairs) -> Assignment:
    train, val = [], []
    for number, (first, second) in enumerate(folds):
        for rows, part in ((first, "training"), (second, "validation")):
            if not rows:
                raise RequestError(f"fold {number} has no {part} rows: it needs some")
            if max(rows) >= data.rows:
                raise RequestError(
                    f"fold {number} has row {max(rows)}, but {data.name} has the rows 0 to {data.rows - 1}"
                )
            if len(set(rows)) < len(rows):
                raise RequestError(f"fold {number} has a {part} row twice: every row may be in it once")
        if both := set(first) & set(second):
            raise RequestError(f"fold {number} trains and validates on row {min(both)}: it must do one of the two")
        train.append(np.sort(np.array(first, dtype=np.int64)))
        val.append(np.sort(np.array(second, dtype=np.int64)))
    _check_classes(data, train)
    used = np.unique(np.concatenate([*train, *val]))
    test = np.zeros(0, np.int64) if data.test is not None else np.setdiff1d(np.arange(data.rows), used)
    return Assignment(tuple(train), tuple(val), test)


def _by_class(data: Dataset, shares: Sequence[Fraction], folds: int, seed: int) -> Assignment:
    strata = [np.arange(data.rows)]
    if data.classes is not None:
        strata = [np.flatnonzero(data.target == code) for code in range(len(data.classes))]
    least = [max(folds, 1), int(shares[1] > 0), int(shares[2] > 0)]
    _check_rows(data, [len(rows) for rows in strata], least, folds)
    counts = allocate([len(rows) for rows in strata], shares, least)
    dealt = 0
    fold_parts: list[list[Rows]] = [[] for _ in range(folds)]
    parts: list[list[Rows]] = [[], [], []]
    for code, (members, count) in enumerate(zip(strata, counts, strict=True)):
        rows = shuffled(members, seed, code)
        for part, piece in enumerate(np.split(rows, np.cumsum(count)[:-1])):
            parts[part].append(piece)
        for fold in range(folds):
            # Each class goes on dealing where the one before stopped, so that the folds stay equally large.
            fold_parts[(dealt + fold) % folds].append(parts[0][-1][fold::folds])
        dealt += count[0]
    train, val, test = (np.sort(np.concatenate(part)) for part in parts)
    if not folds:
        return Assignment((train,), (val,), test)
    held_out = [np.sort(np.concatenate(part)) for part in fold_parts]
    return Assignment(tuple(np.setdiff1d(train, rows) for rows in held_out), tuple(held_out), test)


def _by_group(data: Dataset, shares: Sequence[Fraction], folds: int, seed: int) -> Assignment:
    everything = np.arange(data.rows)
    parts = _deal(data, everything, [float(share) for share in shares], seed)
    train, val, test = (everything[parts == part] for part in range(3))
    if not folds:
        splits = [train], [val]
    else:
        fold = _deal(data, train, [1 / folds] * folds, seed)
        splits = [train[fold != number] for number in range(folds)], [train[fold == number] for number in range(folds)]
    _check_classes(data, splits[0])
    return Assignment(tuple(splits[0]), tuple(splits[1]), test)


def _deal(data: Dataset, rows: Rows, shares: Sequence[float], seed: int) -> Rows:
    """Return the part of each row, [rows]: whole groups, the largest first, go to the part that lacks most of them.

    A part's lack is counted by class, as the share of its own rows of that class that it has not got yet.
    """
    assert data.groups is not None
    names, group = np.unique(data.groups[rows], return_inverse=True)
    wanted = [part for part, share in enumerate(shares) if share > 0]
    if len(names) < len(wanted):
        raise RequestError(
            f"{data.name} has {len(names)} groups for {len(wanted)} parts or folds, and groups stay together: it needs "
            "at least as many groups"
        )
    codes = data.target[rows] if data.classes is not None else np.zeros(len(rows), np.int64)
    held = np.zeros((len(names), int(codes.max()) + 1))
    np.add.at(held, (group, codes), 1)
    total = held.sum(axis=0)
    due = np.array([[share * count for count in total] for share in shares])
    got = np.zeros_like(due)
    place = np.zeros(len(names), np.int64)
    shuffle = np.argsort(bit_generator(seed, "split", len(total)).random_raw(len(names)), kind="stable")
    order = shuffle[np.argsort(-held[shuffle].sum(axis=1), kind="stable")]
    for at, number in enumerate(order):
        empty = [part for part in wanted if not got[part].any()]
        choice = empty if len(empty) >= len(order) - at else wanted  # every part gets a group
        lack = [(held[number] * (due[part] - got[part]) / np.maximum(due[part], 1e-9)).sum() for part in choice]
        place[number] = choice[int(np.argmax(lack))]
        got[place[number]] += held[number]
    return np.asarray(place[group])


def _check_classes(data: Dataset, train: Sequence[Rows]) -> None:
    """Raise RequestError if a training part lacks a class."""
    for number, rows in enumerate(train):
        missing = sorted(set(range(len(data.classes or ()))) - set(data.target[rows].tolist()))
        if missing and data.classes is not None:
            where = f"of fold {number} " if len(train) > 1 else ""
            raise RequestError(
                f"the training rows {where}of {data.name} have none of class {shown(data.classes[missing[0]])}: every "
                "class needs rows to train on; use another seed, fewer folds, or other groups"
            )


def _check_rows(data: Dataset, sizes: Sequence[int], least: Sequence[int], folds: int) -> None:
    names = [name for name, low in zip(PARTS, least, strict=True) if low]
    what = " and ".join(names) if len(names) < 3 else "train, validation and test"
    if folds:
        what = f"{folds} folds" + (" and a test part" if least[2] else "")
    rare = [code for code, size in enumerate(sizes) if size < sum(least)]
    if not rare:
        return
    size = sizes[rare[0]]
    needs = f"{size} row{'s' * (size != 1)}: splitting into {what} needs at least {sum(least)}"
    if data.classes is None:
        raise RequestError(f"{data.name} has {needs}")
    others = f", and {len(rare) - 1} more classes have too few" if len(rare) > 1 else ""
    text = f"class {shown(data.classes[rare[0]])} of {data.name} has {needs} of each class{others}"
    if 2 * len(rare) > len(sizes) and len(sizes) > 2:
        raise RequestError(
            f"{text}; with {len(sizes)} classes in {data.rows} rows, {shown(data.target_name)} may be no class: "
            "name another target, or --task regression if it is a number"
        )
    ways = FEW_ROWS.format(sum(least), sum(least))
    if least[2]:
        ways += ', and --set split="[0.8, 0.2, 0]" needs no test part'
    raise RequestError(f"{text}; {ways}")

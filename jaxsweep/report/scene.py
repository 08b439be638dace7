"""What a view shows of the trials so far: scores against the hyperparameter that matters most, and the best curve.

It is made rarely, of few trials and by a cheap measure, so that looking at a sweep costs less than a hundredth of it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.report.progress import Snapshot
from jaxsweep.report.words import short
from jaxsweep.spec.metrics import sign

Floats = NDArray[np.float64]

LEAST = 10  # scores without which nothing is shown
MOST = 1000  # trials that are looked at: of more a part, evenly taken
SECONDS = 4.0  # between two scenes ...
RARELY = 200  # ... and at least as many times what making the last one took
BINS = 8  # of a number's values, equally many trials in each
WORDS = 6  # of a hyperparameter beside which others find no room
LOG = 50.0  # a positive number that varies by this factor is shown by its logarithm
LITTLE = 0.01  # a share that is as good as none
WORST = 0.1  # the share of scores at the bad end that are drawn at the edge
GOLDEN = 0.618034  # whose multiples lie evenly in the unit interval


@dataclass(frozen=True, eq=False)
class Scene:
    """Scores against a hyperparameter, and the best curve.

    Attributes:
        name: the hyperparameter whose bins tell most of the ranks of scores.
        share: how much of their variance that is, for as many bins; not above 0: nothing is seen of it.
        x: where each trial is across the picture, in [0, 1].
        y: where its score is, in [0, 1], 1 at the larger end.
        best: the place of the best trial among them.
        low, high: the scores at both ends.
        ticks: words across the picture, and where.
        objective: the metric.
        trial: whose curve it is.
        curve: the objective after each epoch; empty where nobody knows.
    """

    name: str
    share: float
    x: Floats
    y: Floats
    best: int
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    objective: str
    trial: int
    curve: Floats

    @property
    def title(self) -> str:
        """What is written above the scores."""
        if self.share < LITTLE:
            return f"{self.objective} by {self.name}: no effect seen"
        return f"{self.name} explains {self.share:.0%} of {self.objective}"


class Scenes:
    """The scene of a running sweep, made anew from time to time."""

    def __init__(self) -> None:
        self.scene: Scene | None = None
        self._next = 0.0

    def look(self, now: Snapshot, last: bool = False) -> Scene | None:
        """Return the scene; None while too little is known. `last`: it is to have all that there is."""
        clock = time.monotonic()
        if clock >= self._next or last:
            self.scene = scene_of(now)
            self._next = clock + max(SECONDS, RARELY * (time.monotonic() - clock))
        return self.scene


def scene_of(now: Snapshot) -> Scene | None:
    """Return what there is to see; None of few scores, or where nothing varies."""
    trials = now.scored[:]  # the sweep goes on beside this
    if len(trials) < LEAST or now.best_score is None:
        return None
    known = trials[:: -(-len(trials) // MOST)]
    ids = {trial.id for trial in known}
    known += [trial for trial in trials if trial.id == now.best_trial and trial.id not in ids]
    scores = np.array([trial.score for trial in known], np.float64)
    ranks = np.argsort(np.argsort(sign(now.objective) * scores)).astype(np.float64)
    params = [trial.params for trial in known]
    names = dict.fromkeys(name for each in params for name in each)
    columns = {name: _Column.of([each.get(name) for each in params]) for name in names}
    shares = {name: explained(column.codes, ranks) for name, column in columns.items() if column.varies}
    if not shares or scores.min() == scores.max():
        return None
    name = max(shares, key=lambda each: shares[each])
    there = columns[name].present
    low, high = _ends(scores, sign(now.objective))
    best = int(np.argmax(np.where(there, ranks, -1.0)))
    with np.errstate(over="ignore", invalid="ignore"):
        y = np.nan_to_num(np.clip((scores[there] - low) / (high - low), 0, 1))
    return Scene(
        name, shares[name], columns[name].x[there], y, int(there[:best].sum()), low, high, columns[name].ticks,
        str(now.objective), now.best_curve_of, _whole(now.best_curve),
    )  # fmt: skip


def _whole(curve: Floats) -> Floats:
    """Return a curve with what is between finite values in place of those that are not; none of one that has none."""
    finite = np.isfinite(curve)
    at = np.arange(len(curve))
    return np.interp(at, at[finite], curve[finite]) if finite.any() else curve[:0]


def explained(codes: NDArray[np.int64], values: Floats) -> float:
    """Return the share of the variance of values that lies between groups, adjusted for how many groups there are."""
    counts = np.bincount(codes)
    used = counts > 0
    means = np.bincount(codes, values)[used] / counts[used]
    whole = float(((values - values.mean()) ** 2).sum())
    between = float((counts[used] * (means - values.mean()) ** 2).sum())
    free = len(values) - int(used.sum())
    return 1 - (1 - between / whole) * (len(values) - 1) / free if whole > 0 and free > 0 else 0.0


@dataclass(frozen=True)
class _Column:
    """The values of a hyperparameter: in which group each is, and where it stands in a picture."""

    codes: NDArray[np.int64]
    x: Floats
    present: NDArray[np.bool_]
    ticks: tuple[tuple[float, str], ...]

    @property
    def varies(self) -> bool:
        return len(np.unique(self.codes)) > 1

    @classmethod
    def of(cls, values: Sequence[Any]) -> "_Column":
        present = np.array([value is not None for value in values])
        given = [value for value in values if value is not None]
        numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in given)
        if numeric and len(set(given)) > WORDS:
            return cls._of_numbers(np.array([np.nan if value is None else value for value in values], np.float64))
        order = sorted(set(given)) if numeric else sorted(set(map(short, given)))
        place: Mapping[Any, int] = {word: number for number, word in enumerate(order)}
        keys = [None if value is None else value if numeric else short(value) for value in values]
        codes = np.array([len(place) if key is None else place[key] for key in keys], np.int64)
        spread = (np.arange(len(values)) * GOLDEN) % 1.0 - 0.5  # beside each other, what has one value
        x = np.clip((codes + 0.5 + 0.6 * spread) / max(len(place), 1), 0, 1)
        ticks = tuple(((number + 0.5) / len(place), short(word)) for word, number in place.items())
        return cls(codes, x, present, ticks)

    @classmethod
    def _of_numbers(cls, values: Floats) -> "_Column":
        present = np.isfinite(values)
        given = values[present]
        log = bool(given.min() > 0 and given.max() > LOG * given.min())
        edges = np.quantile(given, np.linspace(0, 1, BINS + 1)[1:-1])
        codes = np.where(present, np.searchsorted(edges, values, side="right"), BINS)
        at = np.log(np.where(present, values, 1.0)) if log else values
        low, high = at[present].min(), at[present].max()
        x = np.where(present, (at - low) / (high - low), 0.0)
        ticks = ((0.0, short(float(given.min()))), (1.0, short(float(given.max()))))
        return cls(codes.astype(np.int64), x, present, ticks)


def _ends(scores: Floats, better: int) -> tuple[float, float]:
    """Return the scores at both ends of a picture: all of the good ones, and no outliers among the bad ones."""
    low, high = float(scores.min()), float(scores.max())
    if better > 0:
        low = float(np.quantile(scores, WORST))
    else:
        high = float(np.quantile(scores, 1 - WORST))
    return (low, high) if high > low else (float(scores.min()), float(scores.max()))

"""Is one choice better than another, and by more than luck? Groups of trials at equal other hyperparameters."""

import html
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from jaxsweep.errors import RequestError
from jaxsweep.insight.sheet import Factor, FloatArray, Sheet
from jaxsweep.insight.variance import LEAST, T, fit, jackknife_error

if TYPE_CHECKING:
    import pandas as pd

MATCHED = 5  # configs that differ in nothing else, from which pairs of them decide
MOST = 12  # values that are compared


@dataclass(frozen=True)
class Group:
    """The trials with one value of a hyperparameter.

    Attributes:
        value: as it is shown.
        trials: how many have it, and a score.
        mean: of their scores.
        adjusted: their mean at equal other hyperparameters.
        behind: by how much that is worse than the best group's, in units of the score; `low` and `high` are a 95 %
            interval. 0 of the best group itself.
        effect: `behind` in standard deviations of what the other hyperparameters do not explain.
    """

    value: str
    trials: int
    mean: float
    adjusted: float
    behind: float
    low: float
    high: float
    effect: float


@dataclass(frozen=True, repr=False)
class Comparison:
    """Groups of trials that differ in one hyperparameter, the best first.

    `matched` is how many configs there are of which trials differ in nothing else; the groups are compared within these
    if there are enough, and else by a model of all hyperparameters and their interactions (`how` says which).
    """

    name: str
    objective: str
    groups: tuple[Group, ...]
    matched: int
    how: str

    def to_pandas(self) -> "pd.DataFrame":
        """Return a frame with a row for each group, the best first."""
        import pandas as pd

        return pd.DataFrame([vars(group) for group in self.groups]).rename(columns={"value": self.name})

    def told(self) -> str:
        """Return the answer in a sentence."""
        best, second = self.groups[0], self.groups[1]
        lead = f"{best.value} is ahead of {second.value} by {second.behind:.3g} ({second.low:.3g} to {second.high:.3g})"
        if second.low <= 0:
            lead = (
                f"between {best.value} and {second.value} nothing can be told: the difference is {second.behind:.3g} "
                f"({second.low:.3g} to {second.high:.3g})"
            )
        last = self.groups[-1]
        words = f"{self.name}: {lead} in {self.objective}, {self.how}"
        if len(self.groups) > 2:
            words += (
                f"; {last.value} is last, {last.behind:.3g} ({last.low:.3g} to {last.high:.3g}) behind {best.value}"
            )
        return words

    def __repr__(self) -> str:
        return f"Comparison({self.told()})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.told())}</p>{self.to_pandas().to_html(index=False, float_format='{:.4g}'.format)}"


def compare(sheet: Sheet, name: Any) -> Comparison:
    """Return how the values of a hyperparameter compare.

    Raises:
        RequestError: it was not varied, or has more values than can be compared, or there are too few trials.
    """
    factor = sheet.factor(name)
    rows = np.flatnonzero(np.isfinite(sheet.scores) & factor.present)
    values = np.unique(factor.x[rows])
    if len(values) < 2:
        raise RequestError(f"{name} has one value in all trials with a score: there is nothing to compare")
    if len(values) > MOST:
        raise RequestError(
            f"{name} has {len(values):,} values, and up to {MOST} can be compared: plot.slice({name!r}) shows how the "
            "score follows it"
        )
    if len(rows) < LEAST:
        raise RequestError(f"{len(rows)} trials have a score and a {name}: to compare takes {LEAST} at least")
    scores, near = sheet.scores[rows], sheet.tamed()[0][rows]
    level = np.searchsorted(values, factor.x[rows])
    counts = np.bincount(level, minlength=len(values))
    means = np.bincount(level, scores, minlength=len(values)) / counts
    others = [other for other in sheet.factors.values() if other.name != name]
    table, deviation = _matched(
        np.column_stack([rows * 0.0, *(other.x[rows] for other in others)]), level, near, len(values)
    )
    several = len(table)
    if several >= MATCHED and np.isfinite(table).all(axis=1).sum() >= MATCHED:
        whole = table[np.isfinite(table).all(axis=1)]
        adjusted = whole.mean(axis=0)
        how = f"in {len(whole):,} configs that differ in nothing else"
        best = int(np.argmax(sheet.sign * adjusted))
        gaps = sheet.sign * (whole[:, [best]] - whole)
        errors = gaps.std(axis=0, ddof=1) / len(whole) ** 0.5
        width = float(stats.t.ppf(0.975, len(whole) - 1)) * errors
    else:
        own = Factor(factor.name, level.astype(np.float64), tuple(map(factor.shown, values)))  # each value by itself
        found = fit([own, *(other.of(rows) for other in others)], near)
        place = next(i for i, term in enumerate(found.terms) if term.names == (name,))
        adjusted = found.mean + found.effects[place]
        how = f"at equal other hyperparameters, by a model of all {len(sheet.factors)}"
        best = int(np.argmax(sheet.sign * adjusted))
        around = found.jackknifed[place]
        width = T * jackknife_error(around[:, [best]] - around)
        deviation = found.deviation
    behind = sheet.sign * (adjusted[best] - adjusted) + 0.0
    order = sorted(range(len(values)), key=lambda i: (behind[i], i != best))
    groups = tuple(
        Group(
            factor.shown(values[i]), int(counts[i]), float(means[i]), float(adjusted[i]), float(behind[i]),
            float(behind[i] - width[i]), float(behind[i] + width[i]),
            float(behind[i] / deviation) if deviation else 0.0,
        )
        for i in order
    )  # fmt: skip
    return Comparison(name, sheet.objective, groups, several, how)


def _matched(others: FloatArray, level: Any, scores: FloatArray, levels: int) -> tuple[FloatArray, float]:
    """Return the mean score of each level, NaN where it has none, for configs of which several levels were trained.

    [configs, levels]; and the standard deviation of scores within a config, of what is left of levels' means.
    """
    cells: dict[bytes, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    keys = np.nan_to_num(others, nan=np.inf) + 0.0
    for key, place, score in zip(keys, level.tolist(), scores.tolist(), strict=True):
        cells[key.tobytes()][place].append(score)
    several = [each for each in cells.values() if len(each) > 1]
    table = np.full((len(several), levels), np.nan)
    for row, each in enumerate(several):
        for place, found in each.items():
            table[row, place] = np.mean(found)
    if not several:
        return table, 0.0
    left = table - np.nanmean(table, axis=1, keepdims=True)
    left = left - np.nanmean(left, axis=0, keepdims=True)
    return table, float(np.nanstd(left))


@dataclass(frozen=True, repr=False)
class Luck:
    """How much of the spread of scores is luck, and how much the configs.

    Attributes:
        of: seed, the luck of another seed, or fold, that of other rows.
        share: of the variance of single trainings, what configs do not account for; `low` and `high` are a 95 %
            interval.
        luck: the standard deviation of scores of one config.
        configs: the standard deviation of configs, without their luck.
        trials: configs that were trained several times.
        trainings: of each.
    """

    of: str
    objective: str
    share: float
    low: float
    high: float
    luck: float
    configs: float
    trials: int
    trainings: int

    def told(self) -> str:
        """Return the answer in a sentence, with what it takes to tell two configs apart."""
        needed = 2 * 2**0.5 * self.luck
        return (
            f"{self.share:.0%} ({self.low:.0%} to {self.high:.0%}) of the variance of {self.objective} is luck with "
            f"the {self.of}: its standard deviation is {self.luck:.3g}, that of configs {self.configs:.3g} "
            f"({self.trials:,} configs, {self.trainings} trainings of each); of two single trainings a difference "
            f"below {needed:.3g} says nothing"
        )

    def __repr__(self) -> str:
        return f"Luck({self.told()})"


def luck(table: FloatArray, of: str, objective: str) -> Luck:
    """Return how much of the variance of scores [trials, trainings] is within trials.

    A one-way analysis of variance with random effects; the interval is the exact one of the ratio of mean squares for
    normal scores (Searle, Casella and McCulloch, Variance Components, 1992, section 3.8).

    Raises:
        RequestError: too few trials have all of their trainings, or more than one.
    """
    whole = table[np.isfinite(table).all(axis=1)]
    trials, each = whole.shape
    if each < 2:
        word = "replicates" if of == "seed" else "folds"
        raise RequestError(
            f"each config was trained once: with {word} the sweep can tell luck with the {of} from configs"
        )
    if trials < MATCHED:
        raise RequestError(
            f"{trials} trials have all of their scores: to tell luck from configs takes {MATCHED} at least"
        )
    within = float(whole.var(axis=1, ddof=1).mean())
    between = each * float(whole.mean(axis=1).var(ddof=1))
    spread = max((between - within) / each, 0.0)
    share = within / (within + spread) if within + spread else 0.0
    ends = []
    for quantile in (0.975, 0.025):
        ratio = (between / within if within else np.inf) / stats.f.ppf(quantile, trials - 1, trials * (each - 1))
        ends.append(1.0 - max(ratio - 1, 0.0) / (max(ratio - 1, 0.0) + each) if np.isfinite(ratio) else 0.0)
    high, low = ends
    return Luck(of, objective, share, low, high, within**0.5, spread**0.5, trials, each)

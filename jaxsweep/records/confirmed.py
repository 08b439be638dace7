"""The best trials of a search trained again under fresh seeds: what of their scores was luck, and which is the best.

The best of many scores is the largest of many errors, too: of 2,000 trials the first has been lucky with its seed and
with the rows that it was chosen by. Trainings that nothing was chosen by take the first part of that away, and the test
rows, which are looked at for the winner alone, the second.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jaxsweep.records.lanes import Lane
from jaxsweep.records.trials import Columns, Trial, best_first, final_epoch, lane_score, mean_of
from jaxsweep.spec.aims import Constraint

DIGITS = 7  # of a score that float32 knows


@dataclass(frozen=True, repr=False)
class Confirmed:
    """A trial that was trained again under fresh seeds, on the rows and folds of the search.

    Attributes:
        trial: its id.
        search_score: its score in the search, by which it was chosen.
        scores: the objective of each fresh training, in the order of replicates and, within each, of folds; None of one
            that diverged, or whose objective is no finite number.
        test_score: of the winner alone, if there are test rows: the mean of the objective on them over its fresh
            trainings.
        broken: the constraints on metrics that the means over its fresh trainings break; it is then ranked behind the
            others. Bounds on sizes are those of the search, where a scheduler may have stopped it earlier.
    """

    trial: int
    search_score: float
    scores: tuple[float | None, ...]
    test_score: float | None = None
    broken: tuple[str, ...] = ()

    @property
    def trainings(self) -> int:
        """The number of fresh trainings."""
        return len(self.scores)

    @property
    def without_score(self) -> int:
        """How many of them have no score, since they diverged; the trial is then ranked behind the others."""
        return self.scores.count(None)

    @property
    def confirmed_score(self) -> float | None:
        """The mean score of the fresh trainings; None unless all of them have one."""
        known = [score for score in self.scores if score is not None]
        return statistics.fmean(known) if known and not self.without_score else None

    @property
    def spread(self) -> float | None:
        """The standard deviation of the score over the fresh trainings; None as `confirmed_score`."""
        known = [score for score in self.scores if score is not None]
        return statistics.pstdev(known) if known and not self.without_score else None

    def row(self) -> dict[str, Any]:
        """Return it as `run --format json` prints it."""
        names = ("trial", "search_score", "confirmed_score", "spread", "trainings", "without_score", "test_score")
        return {**{name: getattr(self, name) for name in names}, "broken": list(self.broken)}

    def told(self, objective: str) -> str:
        """Return a sentence, such as "trial 17: val_accuracy 0.981 in the search, 0.962 ± 0.008 in 8 fresh ..."."""
        words = f"trial {self.trial}: {objective} {_number(self.search_score)} in the search, "
        if self.confirmed_score is None or self.spread is None:
            return f"{words}unconfirmed: {self.without_score} of {self.trainings} fresh trainings have no score"
        words += f"{_number(self.confirmed_score)} ± {_number(self.spread)} in {self.trainings} fresh trainings"
        words += "" if self.test_score is None else f", {_number(self.test_score)} on the test rows"
        return f"{words}; in these it breaks {' and '.join(self.broken)}" if self.broken else words

    def __repr__(self) -> str:
        row = {name: _number(value) if isinstance(value, float) else value for name, value in self.row().items()}
        return f"Confirmed({', '.join(f'{name}={value}' for name, value in row.items())})"


def _number(value: float) -> str:
    """Return a score in few digits, as tables have it."""
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.4g}"


def confirmation(
    trials: Sequence[Trial], fresh: Mapping[int, Sequence[Lane]], columns: Columns, keep_best: bool,
    constraints: Sequence[Constraint] = (),
) -> tuple[Confirmed, ...]:  # fmt: skip
    """Return what the fresh lanes of some trials came to, the best first.

    That is the one with the best mean, in as many digits as float32 has; of equal ones that with the better score in
    the search, then the earlier.
    Trials whose means break a constraint come behind those, and trials of which a lane has no score last.
    """
    again = [trial for trial in best_first(trials, columns.objective) if trial.id in fresh]
    scored: list[Confirmed] = []
    for trial in again:
        lanes = sorted(fresh[trial.id], key=lambda lane: (lane.replicate, lane.fold))
        scores = tuple(lane_score(lane.status, lane.curves, columns, keep_best) for lane in lanes)
        broken = () if None in scores else _broken(lanes, columns, keep_best, constraints)
        scored.append(Confirmed(trial.id, trial.score or 0.0, scores, broken=broken))
    scored.sort(key=lambda each: _rank(each, columns.sign))  # `again` stands in the order that decides between equals
    if scored and scored[0].confirmed_score is not None:
        scored[0] = replace(scored[0], test_score=_test(fresh[scored[0].trial], columns))
    return tuple(scored)


def _rank(each: Confirmed, sign: int) -> tuple[bool, bool, float]:
    """Return what confirmed trials are sorted by: have they a score, what do they break, how good is it."""
    score = each.confirmed_score
    return score is None, bool(each.broken), 0.0 if score is None else -sign * float(f"{score:.{DIGITS}g}")


def _broken(
    lanes: Sequence[Lane], columns: Columns, keep_best: bool, constraints: Sequence[Constraint]
) -> tuple[str, ...]:
    """Return the constraints on metrics that the means over lanes, all of which have a score, break."""
    measured = [each for each in constraints if each.metric in columns.curves]
    if not measured:
        return ()
    ends = [lane.curves[final_epoch(lane.curves, columns, keep_best)] for lane in lanes]
    mean = dict(zip(columns.curves, mean_of([end[None] for end in ends])[0].tolist(), strict=True))
    return tuple(str(each) for each in measured if each.violation(mean[each.metric]) > 0)


def test_of(objective: str) -> str:
    """Return the metric that the objective is on the test rows."""
    return "test_" + objective.removeprefix("val_")


def _test(lanes: Sequence[Lane], columns: Columns) -> float | None:
    """Return the mean of the objective on the test rows over lanes, None if there are no such rows."""
    name = test_of(columns.objective)
    if name not in columns.test:
        return None
    place = columns.test.index(name)
    return statistics.fmean(float(lane.test[place]) for lane in lanes if lane.test is not None)


def ranked(trials: Sequence[Trial], objective: str, confirmed: Sequence[Confirmed]) -> list[Trial]:
    """Return the trials that have a score, the best first: those confirmed in their order, then by their scores."""
    places = {each.trial: place for place, each in enumerate(confirmed)}
    return sorted(best_first(trials, objective), key=lambda trial: places.get(trial.id, len(places)))


def told(
    status: str, objective: str, confirm: int, trials: Sequence[Trial], confirmed: Sequence[Confirmed], best: Trial
) -> str:
    """Return in a sentence what the best trial came to: in the search, when it was confirmed, and on the test rows.

    Args:
        status: of the sweep.
        objective: what trials are scored by.
        confirm: how many were to be confirmed.
        trials: all that finished.
        confirmed: those that are confirmed.
        best: the best of them.
    """
    if confirmed:
        return confirmed[0].told(objective)
    score, test = best.score or 0.0, best.metrics.get(test_of(objective), math.nan)
    words = f"trial {best.id}: {objective} {_number(score)} in the search"
    words += "" if math.isnan(test) else f", {_number(test)} on the test rows"
    if not confirm:
        return words
    several = min(confirm, sum(trial.counts for trial in trials))
    why = "the sweep was interrupted first" if status == "interrupted" else "the run goes on, or was cut off"
    return f"{words}; the best {several} are not confirmed: {why}"

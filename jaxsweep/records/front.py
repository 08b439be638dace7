"""What trials come to under several objectives and constraints: sizes, who breaks what, the Pareto front."""

import statistics
from collections.abc import Sequence
from typing import Any

from jaxsweep.data import Prepared
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.records.trials import Trial
from jaxsweep.spec import lineage
from jaxsweep.spec.aims import Aims, count_parameters
from jaxsweep.spec.pareto import first_front


def judge(trial: Trial, lanes: Sequence[LaneResult], aims: Aims, data: Prepared) -> None:
    """Give a trial that has just ended the sizes that the aims ask for, among its metrics, and what it breaks.

    What a trial that did not finish trained is what it cost, too; it has no score, and so no place on a front.
    """
    for name in aims.sizes:
        if name == "parameters":
            trial.metrics[name] = float(count_parameters(trial.config, len(data.feature_names), data.n_outputs))
        else:
            each = [lane.steps if name == "iterations" else lane.seconds for lane in lanes]
            trial.metrics[name] = statistics.fmean(each)
    trial.broken = aims.broken(trial.score, trial.metrics)


def pareto_front(trials: Sequence[Trial], aims: Aims) -> list[Trial]:
    """Return the trials that no other one is better than in one objective and no worse in all others.

    The best by the first objective stands first, of equals the earlier one. Trials without a score, of which an
    objective is no finite number, or that break a constraint, are not among them, and keep nobody out. Of trials with
    the same values all are.
    """
    able = [trial for trial in trials if trial.counts]
    merits = aims.merits([trial.score for trial in able], [trial.metrics for trial in able])
    chosen = [row for row, is_best in enumerate(first_front(merits)) if is_best]
    chosen.sort(key=lambda row: (-merits[row, 0], able[row].id))
    return [able[row] for row in chosen]


def front_rows(trials: Sequence[Trial], aims: Aims) -> list[dict[str, Any]]:
    """Return the front as `run --format json` prints it: ids and objectives; empty of a single objective."""
    if not aims.several:
        return []
    return [
        {"trial": trial.id, **dict(zip(aims.objectives, aims.values(trial.score, trial.metrics), strict=True))}
        for trial in pareto_front(trials, aims)
    ]


def rows_of(trials: Sequence[Trial], aims: Aims) -> list[dict[str, Any]]:
    """Return a row for each trial, as `Trial.row` gives it, with more behind the score where that says something.

    With several objectives that is `front`, with constraints `feasible`, and where trials went on from others' weights
    `lineage`: after so many epochs it went on as that trial, such as "0: 12, 4: 7", or "" for itself all along.
    """
    marks: list[dict[str, Any]] = [{} for _ in trials]
    if aims.several:
        best = {trial.id for trial in pareto_front(trials, aims)}
        marks = [{"front": trial.id in best} for trial in trials]
    if aims.constraints:
        marks = [{**mark, "feasible": trial.feasible} for mark, trial in zip(marks, trials, strict=True)]
    if any(trial.lineage for trial in trials):
        parts = [lineage.told(trial.lineage) for trial in trials]
        marks = [{**mark, "lineage": text} for mark, text in zip(marks, parts, strict=True)]
    rows = []
    for trial, mark in zip(trials, marks, strict=True):
        row = trial.row()
        head = {name: row.pop(name) for name in ("trial", "status", "score")}
        rows.append({**head, **mark, **row})
    return rows


def front_told(trials: Sequence[Trial], aims: Aims) -> str:
    """Return in a sentence how many trials are on the front, break a constraint, or are in part copies of others.

    It is "" if none of that matters.
    """
    words = []
    if aims.several:
        count = len(pareto_front(trials, aims))
        names = f"{', '.join(aims.objectives[:-1])} and {aims.objectives[-1]}"
        words.append(f"{count} trial{'s' * (count != 1)} on the Pareto front of {names}")
    if aims.constraints:
        count = sum(not trial.feasible for trial in trials)
        limits = " and ".join(map(str, aims.constraints))
        words.append(f"{count} of {len(trials)} trials break{'s' * (count == 1)} a constraint ({limits})")
    if count := sum(bool(trial.lineage) for trial in trials):
        words.append(
            f"{count} trial{'s' * (count != 1)} went on from others' weights: the hyperparameters that are "
            "shown are those they ended with, and those alone would not give their scores (column lineage)"
        )
    return "; ".join(words)

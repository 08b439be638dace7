"""What a tracker is told of a sweep: which trials, their hyperparameters, what they came to, and their curves.

Trackers are slow, or large on disk, for thousands of trials with every epoch: so they get the best few, and of a long
curve evenly chosen points.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxsweep.errors import RequestError, SweepFailed
from jaxsweep.records.trials import Trial, mean_of
from jaxsweep.spec import arguments

if TYPE_CHECKING:
    from jaxsweep.records.exports import Exports

POINTS = 1000  # of a learning curve
Points = list[tuple[int, float]]  # epochs from 1, and values


def chosen(result: "Exports", trials: Any) -> list[Trial]:
    """Return the best trials, the best first, as many as `trials` says; for None all, those without a score last.

    Raises:
        RequestError: `trials` is no number; no trial has finished.
        SweepFailed: the best are asked for, and no trial has a score.
    """
    if trials is not None:
        arguments.whole("trials", trials, 1)
    if not result.trials:
        raise RequestError(f"{result.run or 'this sweep'} has no finished trials yet: there is nothing to write")
    ranked = result.top(len(result.trials))
    if trials is not None:
        if not ranked:
            raise SweepFailed(result.why_none())
        return ranked[: int(trials)]
    known = {trial.id for trial in ranked}
    return [*ranked, *(trial for trial in result.trials if trial.id not in known)]


def hyperparameters(trials: Sequence[Trial]) -> dict[str, dict[int, bool | float | str]]:
    """Return what was varied: by its name the value of each trial in which it is active, by the trial's id.

    The values of one hyperparameter are of one kind: truth values, numbers, or texts, which those of several kinds, and
    lists of widths, become.
    """
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    found: dict[str, dict[int, Any]] = {name: {} for name in names}
    for trial in trials:
        for name, value in trial.params.items():
            found[name][trial.id] = value
    return {name: _of_one_kind(values) for name, values in found.items()}


def _of_one_kind(values: Mapping[int, Any]) -> dict[int, bool | float | str]:
    if all(isinstance(value, bool) for value in values.values()):
        return dict(values)
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values.values()):
        return {number: float(value) for number, value in values.items()}
    return {number: str(value) for number, value in values.items()}


def sentence(result: "Exports") -> str:
    """Return what the sweep came to in a sentence, also if no trial has a score."""
    try:
        return result.told()
    except SweepFailed as error:
        return str(error)


def tested(result: "Exports", show_test: bool) -> Collection[int]:
    """Return the ids of the trials whose metrics of test rows are told: of all if asked, else of the best one alone."""
    return {trial.id for trial in (result.trials if show_test else result.top(1))}


def final(result: "Exports", trial: Trial, of_tests: Collection[int]) -> dict[str, float]:
    """Return the metrics that a trial came to, the objective first; `of_tests` has the ids that `tested` gives."""
    names = [str(result.objective), *(name for name in trial.metrics if name != result.objective)]
    pairs = ((name, trial.metrics.get(name, math.nan)) for name in names)
    shown = trial.id in of_tests
    return {name: v for name, v in pairs if math.isfinite(v) and (shown or not name.startswith("test_"))}


def curves(result: "Exports", trial: Trial) -> dict[str, Points]:
    """Return the learning curves of a trial, each with POINTS points at most, the first and the last among them.

    Of several replicates or folds they are the means, as far as all of them go.
    """
    table = mean_of([lane.curves for lane in result.lanes[trial.id]])
    epochs = np.unique(np.linspace(0, len(table) - 1, min(len(table), POINTS)).round().astype(np.int64))
    return {
        name: [(int(epoch) + 1, float(table[epoch, column])) for epoch in epochs if math.isfinite(table[epoch, column])]
        for column, name in enumerate(result.columns.curves)
    }


def legal(names: Iterable[str], longest: int) -> dict[str, str]:
    """Return for each name one of letters, digits and the marks _ . - / that no other one has, of a length at most.

    All trackers take such names.
    """
    found: dict[str, str] = {}
    for name in names:
        base = re.sub(r"[^A-Za-z0-9_./-]", "_", name).strip("/.")[:longest] or "_"
        new, number = base, 1
        while new in found.values():
            number += 1
            new = f"{base[: longest - len(str(number)) - 1]}_{number}"
        found[name] = new
    return found

"""The trials of a sweep as scikit-learn's searches give them: `cv_results_`, larger scores being better."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxsweep.records.result import Result
from jaxsweep.records.trials import Trial, lane_score
from jaxsweep.spec.metrics import sign


def signed(objective: str, score: float | None) -> float:
    """Return a score such that larger is better, as scikit-learn's are: an error is negative; NaN for none."""
    return float("nan") if score is None else sign(objective) * score


def table_of(result: Result, ranking: Sequence[Trial], judged: Mapping[int, float] | None) -> dict[str, Any]:
    """Return `cv_results_`: arrays [trials], in the order of `Result.trials`.

    Args:
        result: the sweep.
        ranking: its trials, the best first; those that are not among them have the rank after the last.
        judged: what the scorer gave of the candidates, by their ids, if there was one.
    """
    trials = result.trials
    places = {trial.id: place for place, trial in enumerate(ranking, start=1)}
    params = [trial.params for trial in trials]
    scores = [
        [signed(result.objective, lane_score(lane.status, lane.curves, result.columns, result.request.keep_best))
         for lane in result.lanes[trial.id]]
        for trial in trials
    ]  # fmt: skip
    table: dict[str, Any] = {
        "trial": np.array([trial.id for trial in trials]),
        "status": np.array([trial.status for trial in trials], dtype=object),
        "params": params,
        **{f"param_{name}": _column(params, name) for name in dict.fromkeys(n for each in params for n in each)},
        "mean_fit_time": np.array([trial.seconds / len(of) for trial, of in zip(trials, scores, strict=True)]),
        **{f"split{number}_test_score": np.array(column) for number, column in enumerate(zip(*scores, strict=True))},
        "mean_test_score": np.array([signed(result.objective, trial.score) for trial in trials]),
        "std_test_score": np.array([np.nan if trial.score is None else trial.spread for trial in trials]),
    }
    if result.confirmed:
        again = {each.trial: each.confirmed_score for each in result.confirmed}
        table["confirmed_score"] = np.array([signed(result.objective, again.get(trial.id)) for trial in trials])
    if judged is not None:
        table["candidate_score"] = np.array([judged.get(trial.id, np.nan) for trial in trials])
    table["rank_test_score"] = np.array([places.get(trial.id, len(places) + 1) for trial in trials], dtype=np.int32)
    return table


def _column(params: Sequence[Mapping[str, Any]], name: str) -> Any:
    """Return the values of a hyperparameter, [trials], masked where it has no effect."""
    values = np.empty(len(params), dtype=object)
    for row, each in enumerate(params):
        values[row] = each.get(name)
    return np.ma.MaskedArray(values, mask=[name not in each for each in params])

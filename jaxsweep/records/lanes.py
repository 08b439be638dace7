"""The networks of a trial as they are remembered: who each was, how it ended, its learning curves and test metrics."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.engine.outcome import LaneResult
from jaxsweep.records.trials import FINISHED, Columns, Trial, final_epoch, lane_score


@dataclass(frozen=True, slots=True)
class Lane:
    """One network of a trial: one replicate on one fold.

    `status` is completed, stopped, diverged, or "" where a run of an earlier format does not say; `curves` are
    float64 [epochs, curve metrics]; `test` float64 [test metrics], None without test rows or where a run does not say.
    `halted` is whether a scheduler or a time limit ended it.
    """

    replicate: int
    fold: int
    status: str
    curves: NDArray[np.float64]
    test: NDArray[np.float64] | None
    halted: bool = False

    @classmethod
    def of(cls, ended: LaneResult) -> "Lane":
        """Return what is remembered of a lane that has ended."""
        return cls(ended.job.replicate, ended.job.fold, ended.status, ended.curves, ended.test, ended.halted)


def lane_rows(trial: Trial, lanes: Sequence[Lane], columns: Columns, keep_best: bool) -> list[dict[str, Any]]:
    """Return a row for each lane of a trial, as `Trial.row` gives one for all of them.

    Metrics are those of the epoch whose weights count; of a lane that did not finish they are NaN.
    """
    config = trial.config
    rows = []
    for lane in lanes:
        metrics = dict.fromkeys(columns.metrics, math.nan)
        if lane.status in FINISHED:
            end = lane.curves[final_epoch(lane.curves, columns, keep_best)]
            metrics.update(zip(columns.curves, end.tolist(), strict=True))
            if lane.test is not None:
                metrics.update(zip(columns.test, lane.test.tolist(), strict=True))
        score = lane_score(lane.status, lane.curves, columns, keep_best)
        head = {"trial": trial.id, "replicate": lane.replicate, "fold": lane.fold, "status": lane.status}
        head |= {"score": math.nan if score is None else score, "epochs_done": len(lane.curves)}
        rows.append({**head, **metrics, **config})
    return rows


def stacked(curves: Iterable[Sequence[NDArray[np.float64]]]) -> NDArray[np.float64]:
    """Return the curves of lanes of trials as [trials, lanes, epochs], NaN beyond the end of each."""
    every = list(curves)
    lanes = max((len(several) for several in every), default=1)
    epochs = max((len(curve) for several in every for curve in several), default=0)
    table = np.full((len(every), lanes, epochs), np.nan)
    for trial, several in enumerate(every):
        for lane, curve in enumerate(several):
            table[trial, lane, : len(curve)] = curve
    return table


def as_recorded_before(trial: Trial, lanes: Sequence[Lane], test: Sequence[str]) -> tuple[Lane, ...]:
    """Return lanes of a run up to format 1, which says of them no more than their curves, with what the trial tells.

    A lone lane is the trial. Of several the trial says how all of them ended, or their curves how each did, unless one
    that is short may have been stopped as well as have diverged.
    """
    if len(lanes) == 1:
        metrics = np.array([trial.metrics[name] for name in test]) if test else None
        return (Lane(lanes[0].replicate, lanes[0].fold, trial.status, lanes[0].curves, metrics),)
    config = trial.config

    def status(curves: NDArray[np.float64]) -> str:
        whole = len(curves) == config["epochs"] and bool(np.isfinite(curves[-1, :2]).all())  # train_loss, val_loss
        if trial.status == "completed" or whole:
            return "completed"
        return trial.status if trial.status == "stopped" or not config["patience"] else ""

    return tuple(Lane(lane.replicate, lane.fold, status(lane.curves), lane.curves, None) for lane in lanes)

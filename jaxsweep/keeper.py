"""Which weights are worth keeping: those of the best K trials."""

import heapq
import threading
from collections.abc import Callable

from jaxsweep.export import Model
from jaxsweep.lanes import LaneResult, Weights
from jaxsweep.trials import Columns, Trial, lane_score


class Keeper:
    """Keeps the networks of the best K trials.

    Of a trial with several lanes it keeps the first replicate on the first fold. `wanted` is called from the
    engine's threads, everything else from the sweep's.
    """

    def __init__(self, keep: int, columns: Columns, keep_best: bool, single: bool) -> None:
        self.keep, self.columns, self.keep_best, self.single = keep, columns, keep_best, single
        self.models: dict[int, Model] = {}
        self._held: dict[int, Weights] = {}
        self._ranking: list[tuple[float, int]] = []  # a heap, the worst kept trial first
        self._lock = threading.Lock()

    def wanted(self, lane: LaneResult) -> bool:
        """Return whether a lane's weights may be needed, so that they should be fetched from the device."""
        score = lane_score(lane.status, lane.curves, self.columns, self.keep_best)
        if self.keep == 0 or score is None or lane.job.replicate or lane.job.fold:
            return False
        return not self.single or self._enters(score, lane.job.trial)

    def _enters(self, score: float, number: int) -> bool:
        with self._lock:
            entry = (self.columns.sign * score, -number)
            return len(self._ranking) < self.keep or entry > self._ranking[0]

    def hold(self, lane: LaneResult) -> None:
        """Hold a lane's weights until its trial is complete."""
        if lane.weights is not None:
            self._held[lane.job.trial] = lane.weights

    def settle(self, trial: Trial, make: Callable[[Weights], Model]) -> tuple[Model | None, list[int]]:
        """Decide on a complete trial; return its model if it is kept, and the trials that it displaces."""
        weights = self._held.pop(trial.id, None)
        if weights is None or trial.score is None or not self._enters(trial.score, trial.id):
            return None, []
        with self._lock:
            heapq.heappush(self._ranking, (self.columns.sign * trial.score, -trial.id))
            dropped = [-heapq.heappop(self._ranking)[1]] if len(self._ranking) > self.keep else []
        self.models[trial.id] = make(weights)
        for number in dropped:
            self.models.pop(number, None)
        return self.models.get(trial.id), dropped

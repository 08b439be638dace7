"""The networks of the best K trials: which weights are worth fetching, and which networks stay."""

import heapq
import statistics
import threading
from collections.abc import Iterable, Sequence

from jaxsweep.data import Prepared
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.errors import RequestError
from jaxsweep.records.model import Model
from jaxsweep.records.rundir import MODELS
from jaxsweep.records.store import NotRecorded, Store
from jaxsweep.records.trials import Columns, Trial, lane_score


class Keeper:
    """Keeps the networks of the best K trials, in memory and, if the sweep is recorded, in its run directory.

    Of a trial with several lanes it keeps the first replicate on the first fold, and the others if it is told to, in
    memory alone. `wanted` is called from the engine's threads, `settle` from the sweep's.

    Args:
        keep: how many trials.
        data: the data that they are trained on.
        columns: their metrics, by which they are ranked.
        keep_best: whether a trial counts by its best epoch.
        lanes_each: the lanes of a trial, whose scores together tell whether it is among the best.
        store: the run directory, if there is one.
        constrained: whether a trial may break a constraint, which is known when it is settled; it is then not kept.
        every: whether the networks of all lanes are kept, in `others` by trial, replicate and fold.
    """

    def __init__(
        self, keep: int, data: Prepared, columns: Columns, keep_best: bool, lanes_each: int, store: Store | None,
        constrained: bool = False, every: bool = False,
    ) -> None:  # fmt: skip
        self.keep, self.data, self.columns, self.keep_best = keep, data, columns, keep_best
        self.lanes_each, self.store = lanes_each, store
        self.constrained, self.every = constrained, every
        self.models: dict[int, Model] = {}
        self.others: dict[int, dict[tuple[int, int], Model]] = {}
        self._unsaved: set[int] = set()  # trials whose networks are yet to be written
        self._dropped: set[int] = set()  # those whose networks are yet to be removed
        self._ranking: list[tuple[float, int]] = []  # a heap, the worst kept trial first
        self._seen: dict[int, list[float | None]] = {}  # scores of the lanes that have ended, by trial
        self._lock = threading.Lock()

    def wanted(self, lanes: Sequence[LaneResult]) -> list[bool]:
        """Return of lanes that have ended together whose weights may be needed, and should be fetched from the device.

        They are of the first lane of a trial (or of every one), if all its lanes have ended before that one and the
        trial is among the best, also of those that end together with it, or if others are yet to end, so that nobody
        knows.
        """
        if self.keep == 0:
            return [False] * len(lanes)
        entries: list[tuple[float, int] | bool] = []
        with self._lock:
            for lane in lanes:
                scores = self._seen.setdefault(lane.job.trial, [])
                scores.append(lane_score(lane.status, lane.curves, self.columns, self.keep_best))
                if (not self.every and _later(lane)) or None in scores:
                    entries.append(False)
                elif len(scores) < self.lanes_each:
                    entries.append(True)
                else:
                    known = [score for score in scores if score is not None]
                    entries.append((self.columns.sign * statistics.fmean(known), -lane.job.trial))
            told = [entry for entry in entries if not isinstance(entry, bool)]
            most = len(told) if self.constrained else self.keep
            best = set(heapq.nlargest(most, [entry for entry in told if self._enters(entry)]))
        return [entry if isinstance(entry, bool) else entry in best for entry in entries]

    def _enters(self, entry: tuple[float, int]) -> bool:
        return len(self._ranking) < self.keep or entry > self._ranking[0]

    def settle(self, trial: Trial, lanes: Sequence[LaneResult]) -> None:
        """Decide on a trial whose lanes have all ended, and take their weights from them."""
        self._seen.pop(trial.id, None)
        weights = next((lane.weights for lane in lanes if not _later(lane)), None)
        others = {(lane.job.replicate, lane.job.fold): lane.weights for lane in lanes if _later(lane) and lane.weights}
        for lane in lanes:
            lane.weights = None
        if weights is None or trial.score is None or not trial.counts:
            return
        with self._lock:
            if not self._enters(self._entry(trial)):
                return
        self._unsaved.add(trial.id)
        self.take(trial, Model.of(self.data, trial.config, *weights))
        if others and trial.id in self.models:
            self.others[trial.id] = {
                lane: Model.of(self.data, trial.config, *each, split=lane[1]) for lane, each in others.items()
            }

    @property
    def waits(self) -> bool:
        """Whether the run directory does not have the networks that it should."""
        return bool(self._unsaved or self._dropped)

    def save(self) -> None:
        """Write the networks that are not in the run directory, if there is one: before their trials are recorded.

        Those that are among the best no more make room for them.

        Raises:
            NotRecorded: the run directory cannot be written. What could not be done is tried again the next time.
        """
        if self.store is None:
            return
        for number in sorted(self._dropped):
            self.store.remove_model(number)
            self._dropped.discard(number)
        for number in sorted(self._unsaved):
            self._write(number, self.store)
            self._unsaved.discard(number)

    def restore(self) -> None:
        """Write once more what somebody has removed from the run directory; `NotRecorded` if that cannot be."""
        if self.store is not None:
            self._unsaved |= {number for number in self.models if not self.store.model_path(number).exists()}
            self.save()

    def _write(self, number: int, store: Store) -> None:
        store.check()
        try:
            self.models[number].save(store.model_path(number))
        except RequestError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            raise NotRecorded(f"{MODELS}: {error.__cause__.strerror or error.__cause__}") from error

    def _entry(self, trial: Trial) -> tuple[float, int]:
        return self.columns.sign * (trial.score or 0.0), -trial.id

    def take(self, trial: Trial, model: Model) -> None:
        """Keep a network that the run directory, if there is one, has already; drop the worst if there are too many."""
        self.models[trial.id] = model
        with self._lock:
            heapq.heappush(self._ranking, self._entry(trial))
            dropped = -heapq.heappop(self._ranking)[1] if len(self._ranking) > self.keep else None
        if dropped is not None:
            del self.models[dropped]
            self.others.pop(dropped, None)
            if dropped in self._unsaved:
                self._unsaved.discard(dropped)
            elif self.store is not None:
                self._dropped.add(dropped)

    def drop(self, numbers: Iterable[int]) -> None:
        """Let networks that the run directory has be removed, but for those that are among the best."""
        self._dropped |= set(numbers) - self.models.keys()


def _later(lane: LaneResult) -> bool:
    """Return whether a lane is not the first replicate on the first fold."""
    return bool(lane.job.replicate or lane.job.fold)

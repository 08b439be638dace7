"""What a result says of the hyperparameters: importance, interactions, comparisons, luck."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jaxsweep.errors import RequestError
from jaxsweep.records.lanes import Lane
from jaxsweep.records.trials import Columns, Trial, lane_score
from jaxsweep.spec.distributions import Distribution, Int, LogUniform, Uniform
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS
from jaxsweep.spec.request import Request

if TYPE_CHECKING:
    from jaxsweep.insight.compare import Comparison, Luck
    from jaxsweep.insight.importance import Importance
    from jaxsweep.insight.plots import Plots
    from jaxsweep.insight.rungs import Stops
    from jaxsweep.insight.sheet import Sheet
    from jaxsweep.insight.surface import Interaction


class Understanding:
    """Questions to the trials of a sweep as a whole."""

    objective: str
    trials: list[Trial]
    columns: Columns
    request: Request

    @property
    def lanes(self) -> Mapping[int, Sequence[Lane]]:
        """The networks of each trial by its id."""
        raise NotImplementedError

    def curves(self, metric: str, lanes: bool = False) -> NDArray[np.float64]:
        """Return a metric after each epoch."""
        raise NotImplementedError

    @property
    def plot(self) -> "Plots":
        """Pictures by matplotlib, such as `plot.slices()` and `plot.importance(ax=...)`; each returns a figure."""
        from jaxsweep.insight.plots import Plots

        return Plots(self.sheet, self.curves, self.seconds, lambda: self.stops)

    @cached_property
    def stops(self) -> "Stops | None":
        """How far each trial came under a scheduler, and where that, or the time limit, stopped it; None without one.

        `stops.rungs(result.curves(result.objective), sign)` has how many came to each rung and went on.
        """
        if self.request.scheduler is None:
            return None
        from jaxsweep.insight.rungs import Stops

        known = self.lanes
        parts = ((trial.id, part) for trial in self.trials for part in trial.lineage)
        return Stops(
            np.array([trial.epochs_done for trial in self.trials], np.int64),
            np.array([any(lane.halted for lane in known[trial.id]) for trial in self.trials], np.bool_),
            Counter(part.epoch for number, part in parts if part.epoch and part.trial == number),
        )

    @property
    def seconds(self) -> NDArray[np.float64]:
        """What each trial took, float [trials]: of a network its share of the tile that it trained in."""
        return np.array([trial.seconds for trial in self.trials], np.float64)

    @cached_property
    def sheet(self) -> "Sheet":
        """The trials as columns, on which what follows works."""
        return sheet_of(self.trials, self.columns, self.request)

    def importance(self, of: str = "score", names: Sequence[str] | None = None) -> "Importance":
        """Return how much of the variance of scores each hyperparameter, and each pair, accounts for.

        By a functional analysis of variance with 95 % intervals (`insight/variance.py`). A hyperparameter that is
        absent in a config, by a condition of the space or since it has no effect there, accounts for nothing there.

        Args:
            of: score, a metric such as train_loss, or diverged: what decides where trainings diverge.
            names: the hyperparameters to look at; by default all that the sweep varied.

        Raises:
            RequestError: there is no such response, all trials have the same, or fewer than 20 have one.
        """
        from jaxsweep.insight.importance import importance

        return importance(self.sheet, of, names)

    def interaction(self, a: str, b: str, of: str = "score") -> "Interaction":
        """Return how scores follow two hyperparameters together, and how much of that neither does by itself.

        Raises:
            RequestError: one of them was not varied; or as `importance`.
        """
        from jaxsweep.insight.surface import interaction

        return interaction(self.sheet, a, b, of)

    def compare(self, name: str) -> "Comparison":
        """Return how the values of a hyperparameter compare, at equal other ones, with intervals and a sentence.

        Configs that differ in nothing else decide, where a sweep has at least five of them, as a grid does; else a
        model of all hyperparameters and their interactions.

        Raises:
            RequestError: it was not varied, has more than 12 values, or fewer than 20 trials have a score.
        """
        from jaxsweep.insight.compare import compare

        return compare(self.sheet, name)

    def variance(self, of: str = "seed") -> "Luck":
        """Return how much of the spread of scores is luck with the seed (replicates), or with the fold.

        Raises:
            RequestError: each config was trained once.
        """
        from jaxsweep.insight.compare import luck

        if of not in ("seed", "fold"):
            raise RequestError(f"variance({of!r}) is not legal: it must be 'seed' or 'fold'")
        known = self.lanes
        folds = 1 + max((lane.fold for several in known.values() for lane in several), default=0)
        table = np.full((len(self.trials), self.request.replicates, folds), np.nan)
        for row, trial in enumerate(self.trials):
            for lane in known[trial.id]:
                score = lane_score(lane.status, lane.curves, self.columns, self.request.keep_best)
                if score is not None:
                    table[row, lane.replicate, lane.fold] = score
        return luck(table.mean(axis=2 if of == "seed" else 1), of, self.objective)


def sheet_of(trials: Sequence[Trial], columns: Columns, request: Request) -> "Sheet":
    """Return trials as columns: what was varied of their configs, and what came of them."""
    from jaxsweep.insight.sheet import Sheet, factor

    params = [trial.params for trial in trials]
    entries: Mapping[str, Distribution] = request.space.entries if request.space is not None else {}
    factors = {}
    for name in HYPERPARAMETERS:
        if any(name in each for each in params):
            found = factor(name, [each.get(name) for each in params], _log(entries.get(name)))
            if len(np.unique(found.x[found.present])) > 1 or not found.present.all():
                factors[name] = found
    metrics = {name for trial in trials for name in trial.metrics}
    return Sheet(
        np.array([trial.id for trial in trials], np.int64),
        factors,
        np.array([np.nan if trial.score is None else trial.score for trial in trials], np.float64),
        np.array([trial.status == "diverged" for trial in trials], np.bool_),
        columns.objective,
        columns.sign,
        {
            name: np.array([trial.metrics.get(name, np.nan) for trial in trials], np.float64)
            for name in (*columns.metrics, *sorted(metrics - set(columns.metrics)))
        },
    )


def _log(entry: Distribution | None) -> bool | None:
    """Return whether a space draws a hyperparameter by ratios; None if it does not say."""
    if isinstance(entry, (Uniform, LogUniform)):
        return isinstance(entry, LogUniform)
    return entry.log if isinstance(entry, Int) else None

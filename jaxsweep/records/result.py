"""What a sweep gives back."""

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data import Dataset, Prepared
from jaxsweep.errors import RequestError, SweepFailed, suggestion
from jaxsweep.records.confirmed import Confirmed, ranked, told
from jaxsweep.records.ensemble import MOST, Ensemble
from jaxsweep.records.exports import Exports
from jaxsweep.records.front import front_rows, front_told, pareto_front
from jaxsweep.records.lanes import Lane, stacked
from jaxsweep.records.model import Model
from jaxsweep.records.networks import predictions, trained_again, trained_on_all
from jaxsweep.records.selection import SIZE, ensemble_of
from jaxsweep.records.stored import StoredRun
from jaxsweep.records.stored import load as read_run
from jaxsweep.records.trials import FINISHED, STATUSES, Columns, Trial, mean_of
from jaxsweep.spec import arguments
from jaxsweep.spec.aims import Aims
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS
from jaxsweep.spec.request import Request

if TYPE_CHECKING:
    import pandas as pd


@dataclass(repr=False)
class Result(Exports):
    """The trials of a sweep, in the order of asking, and what can be done with them.

    `js.load` gives the same of a run directory, where curves, data and networks are read when they are asked for.

    Attributes:
        status: completed, interrupted, failed (no trial finished), or, of a run directory, running (or cut off).
        objective: the metric that trials are scored by; of several objectives the first.
        trials: the finished trials.
        run: the run directory, if there is one.
        request: what was asked for.
        models: the kept networks by trial.
        confirmed: the trials that were trained again after the search, if it was asked for, the best first.
        others: of the kept trials the other networks by (replicate, fold), if these were to be kept.
    """

    status: str
    objective: str
    trials: list[Trial]
    _lanes: Mapping[int, Sequence[Lane]] | StoredRun
    columns: Columns
    _data: tuple[Dataset, Prepared] | StoredRun
    request: Request
    run: Path | None
    numbers: Mapping[str, Any]
    models: Mapping[int, Model]
    confirmed: tuple[Confirmed, ...] = ()
    others: Mapping[int, Mapping[tuple[int, int], Model]] = field(default_factory=dict)

    @cached_property
    def dataset(self) -> Dataset:
        """The data as they were given; RequestError if they cannot be read again as they were."""
        return self._data.dataset() if isinstance(self._data, StoredRun) else self._data[0]

    @cached_property
    def data(self) -> Prepared:
        """The data, split and standardized; RequestError if they cannot be read again, or split, as they were."""
        return self._data.prepared() if isinstance(self._data, StoredRun) else self._data[1]

    @property
    def lanes(self) -> Mapping[int, Sequence[Lane]]:
        """The networks of each trial by its id: status, curves and test metrics of each replicate on each fold."""
        return self._lanes.lanes if isinstance(self._lanes, StoredRun) else self._lanes

    @property
    def notes(self) -> tuple[str, ...]:
        """What the sweep remarked: how a table was read, what has no effect and so on; a run has it once it ended."""
        return tuple(self.numbers.get("notes", ()))

    def __repr__(self) -> str:
        ranked = self._ranked
        best = f", best {ranked[0]!r}" if ranked else ""
        if self.confirmed and (score := self.confirmed[0].confirmed_score) is not None:
            best += f", confirmed {score:.6g}"
        return f"Result({self.status}, {len(self.trials)} trials, {self.objective}{best})"

    def top(self, k: int) -> list[Trial]:
        """Return the `k` best trials, the best first; fewer, if fewer have a score and break no constraint.

        Those that were confirmed come first, by their scores there, then the others by theirs in the search.
        """
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise RequestError(f"top({k!r}) is not legal: it must be an integer of at least 1")
        return self._ranked[:k]

    @property
    def _ranked(self) -> list[Trial]:
        return ranked(self.trials, self.objective, self.confirmed)

    @cached_property
    def aims(self) -> Aims:
        """The objectives of the sweep and its constraints."""
        return Aims.of(self.request, self.objective)

    def front(self) -> list[Trial]:
        """Return the Pareto front: the trials that no other one is better than in one objective without being worse in
        another. The best by the first objective stands first.

        Only trials that finished with finite objectives, and break no constraint, are considered. Of a single objective
        these are the best trials, more than one if they are equal.
        """
        return pareto_front(self.trials, self.aims)

    @property
    def best(self) -> Trial:
        """The trial with the best score of those that break no constraint, or the best of those that were confirmed.

        Its `score` and metrics are those of the search in any case; `confirmed[0]` has what they were worth.

        Raises:
            SweepFailed: no trial has a score; it says what became of them.
        """
        if not (ranked := self._ranked):
            raise SweepFailed(self.why_none())
        return ranked[0]

    def why_none(self) -> str:
        """Return in a sentence why there is no best trial, if there is none."""
        statuses = [trial.status for trial in self.trials]
        if broken := sum(trial.score is not None and not trial.feasible for trial in self.trials):
            limits = " and ".join(self.request.constraints)
            return f"no trial meets the constraints: {broken} finished, and each breaks one of {limits}"
        words = [f"{statuses.count(name)} {name}" for name in ("diverged", "failed") if name in statuses]
        undefined = sum(status in FINISHED for status in statuses)
        words += [f"of {undefined} the objective {self.objective} is no finite number"] if undefined else []
        so_far = f"; of those that ended, {', '.join(words)}" if words else ""
        requested = self.numbers.get("requested") or self.request.trials
        if self.status == "interrupted":
            return f"the sweep was interrupted before any of its {requested} trials finished with a score{so_far}"
        if self.numbers.get("time_limit_reached"):
            return (
                f"the time limit of {self.request.minutes:g} minutes ended the search before any of its {requested} "
                f"trials finished with a score{so_far}; compiling takes a part of it, so give it more minutes"
            )
        if self.status == "running":
            return f"no trial of {self.run} has finished with a score yet, or before the run was cut off{so_far}"
        hint = "; try smaller learning rates, or clip_norm" if "diverged" in statuses else ""
        return f"no trial {'has a score' if undefined else 'finished'}: {', '.join(words)}{hint}"

    def to_pandas(self, lanes: bool = False) -> "pd.DataFrame":
        """Return a frame with a row a trial: `trial`, its id, status, score, epochs, spread, metrics, hyperparameters.

        With several objectives there is a column `front`, and with constraints `feasible`, true or false; what counts
        among them of parameters, iterations and seconds stands beside the metrics.

        With `lanes` it has a row for each of their networks instead, with `replicate` and `fold` in place of `spread`.
        What a run of an earlier format does not say of them, the status of some and the test metrics, is "" and NaN.
        """
        import pandas as pd

        return pd.DataFrame(self.rows(lanes))

    def curves(self, metric: str, lanes: bool = False) -> NDArray[np.float64]:
        """Return a metric after each epoch, float [trials, epochs], NaN beyond a trial's end.

        Of several replicates or folds it is the mean, as far as all of them go. With `lanes` it is that of each,
        [trials, lanes, epochs], in the order of replicates and, within each, of folds; NaN beyond a lane's end.

        Raises:
            RequestError: a metric that has no learning curve.
        """
        arguments.flag("lanes", lanes)
        if arguments.word("metric", metric, "val_loss") not in self.columns.curves:
            hint = suggestion(metric, self.columns.curves)
            if metric.startswith("train_") and metric.replace("train_", "val_", 1) in self.columns.curves:
                hint = ": sweep with train_metrics=True"
            raise RequestError(f"{metric!r} has no learning curve{hint}")
        column, known = self.columns.curves.index(metric), self.lanes
        each = [[lane.curves[:, column] for lane in known[trial.id]] for trial in self.trials]
        return stacked(each) if lanes else stacked([mean_of(several)] for several in each)[:, 0]

    def model(self, trial: int | None = None, replicate: int = 0, fold: int = 0) -> Model:
        """Return a trial's network (by default the best one's): its kept weights, or trained again by `solo`.

        It is the one of the search, also of a trial that was confirmed.

        Args:
            trial: the trial's id.
            replicate: the number of the replicate, if there are several.
            fold: the number of the fold, whose rows have fitted the preprocessing, too.

        Raises:
            RequestError: there is no such trial, or no such network of it, or it did not finish.
            SweepFailed: as `best`.
        """
        chosen = self._chosen(trial)
        replicate = arguments.whole("replicate", replicate, most=self.request.replicates - 1)
        fold = arguments.whole("fold", fold, most=len(self.data.train) - 1) if fold != 0 else 0
        first = not (replicate or fold)
        kept = self.models.get(chosen.id) if first else self.others.get(chosen.id, {}).get((replicate, fold))
        if kept is None:
            lane = next(each for each in self.lanes[chosen.id] if (each.replicate, each.fold) == (replicate, fold))
            kept = trained_again(
                self.data, chosen, self.request, self.objective, len(lane.curves), replicate, fold
            )  # fmt: skip
        return replace(kept, _retrain=partial(self.retrain, chosen.id))

    def ensemble(self, size: int = SIZE) -> Ensemble:
        """Return kept networks that predict together, no worse on the validation rows than the best: a model, too.

        They are chosen greedily by the objective on the validation rows, the same network perhaps several times
        (`records/selection.py`), and their probabilities, or values, are averaged. Sweep with `keep=50` or so, that
        there is something to choose from. With replicates and folds the kept networks are those of the first replicate
        on the first fold, and the rows that they are chosen by are the validation rows of that fold, which none of them
        was trained on. Of several objectives the first is followed; constraints are met by each network alone.
        What is gained there is more than what is gained on the test rows, where nothing may be left of it if validation
        rows are few (`experiments/ensembles.py`): `metrics` has both.

        Args:
            size: the most choices; fewer are made where more predict no better.

        Raises:
            RequestError: fewer than two networks were kept, the data cannot be read again, or the objective is a
                function of your own that has to be given again.
        """
        size = arguments.whole("size", size, least=1, most=MOST)
        order = [trial.id for trial in self._ranked if trial.id in self.models]
        models = {number: replace(self.models[number], _retrain=partial(self.retrain, number)) for number in order}
        return ensemble_of(models, order, self.data, self.objective, self.request.metrics, size)

    def retrain(self, trial: int | None = None) -> Model:
        """Return the network of a trial's config (by default the best one's) trained on all rows, to be used.

        All are training, validation and test rows, on which the preprocessing is fitted too. It trains without early
        stopping, by plain Flax and Optax, for as many epochs as counted in the sweep. No score is left to report for
        it: it has seen every row. What the sweep reports of the trial is what to expect of it, if not a little less.

        Raises:
            RequestError: there is no such trial, it did not finish, the data cannot be read again, or this training
                diverges.
            SweepFailed: as `best`.
        """
        chosen = self._chosen(trial)
        lanes = self.lanes[chosen.id]
        return trained_on_all(self.dataset, self.data, chosen, lanes, self.columns, self.request)

    def predictions(self, part: str = "test", trial: int | None = None) -> "pd.DataFrame":
        """Return what a trial's network (by default the best one's) says of the rows of a part, beside their truth.

        A frame with the columns `row`, the number from 0 of the row in the data, or in the validation or test part
        that was given apart; `truth`; `prediction`; and for classification `proba_LABEL` for each class. With folds,
        validation rows are those of the first, whose network it is.

        Args:
            part: train, val or test.
            trial: the id of a trial.

        Raises:
            RequestError: another part, or one without rows; or as `model`.
            SweepFailed: as `best`.
        """
        return predictions(self.dataset, self.data, self.model(trial), part)

    def report(self, path: "Path | str | None" = None) -> Path:
        """Write what the sweep came to as one page of HTML, which loads nothing from anywhere, and return where it is.

        It has the best configs, all learning curves, what matters and what interacts, where trainings diverge, what the
        winner predicts, how much is luck, and the sweep file. It takes the extra `report`.

        Args:
            path: the file to write; by default report.html in the run directory.

        Raises:
            RequestError: no path, and no run directory; no trial has finished; plotly is not installed; or the file
                cannot be written.
        """
        from jaxsweep.records import reporting

        if path is None and self.run is None:
            raise RequestError("this sweep has no run directory for its report: name a file, report('report.html')")
        where = (self.run or Path()) / reporting.PAGE if path is None else arguments.path("path", path)
        reporting.write(self, where, self._data.record if isinstance(self._data, StoredRun) else {})
        return where

    def _chosen(self, trial: int | None) -> Trial:
        return self.best if trial is None else self._trial(arguments.whole("trial", trial))

    def _trial(self, number: int) -> Trial:
        for trial in self.trials:
            if trial.id == number:
                return trial
        raise RequestError(f"trial {number} is not in this sweep: it has {len(self.trials)} finished trials from 0 on")

    def summary(self) -> dict[str, Any]:
        """Return the run in numbers, as `run --format json` prints it."""
        best = next(iter(self._ranked), None)
        statuses = [trial.status for trial in self.trials]
        return {
            "run": str(self.run) if self.run else None,
            "status": self.status,
            "objective": self.objective,
            "trials": {
                "requested": self.numbers.get("requested"),
                "finished": len(self.trials),
                "recorded": self.numbers.get("recorded"),
                **{name: statuses.count(name) for name in STATUSES},
            },
            "best": best
            and {
                "trial": best.id,
                "score": best.score,
                "config": best.config,
                "metrics": {k: v if np.isfinite(v) else None for k, v in best.metrics.items()},
            },
            "front": front_rows(self.trials, self.aims),
            "confirmed": [each.row() for each in self.confirmed],
            "time_limit_reached": bool(self.numbers.get("time_limit_reached")),
            "seconds": {name: round(value, 4) for name, value in self.numbers.get("seconds", {}).items()},
            **{name: self.numbers.get(name) for name in ("programs", "lane_occupancy", "padding_waste", "iterations")},
        }

    def _repr_html_(self) -> str:
        """Return the ten best trials as a table, for notebooks; of the test rows only what the best one has on them."""
        ranked = self._ranked[:10]
        if not ranked:
            met = " and meets the constraints" if self.aims.constraints else ""
            return f"<p>jaxsweep: none of {len(self.trials)} trials finished{met}.</p>"
        import pandas as pd

        again = {each.trial: "-" if (s := each.confirmed_score) is None else s for each in self.confirmed}
        head = ["status", "score", "epochs_done"]
        rows = [{**{name: getattr(trial, name) for name in head}, **trial.params} for trial in ranked]
        if again:
            head.insert(2, "confirmed")
            rows = [{**row, "confirmed": again.get(trial.id, "")} for row, trial in zip(rows, ranked, strict=True)]
        names = [*head, *(name for name in HYPERPARAMETERS if any(name in row for row in rows))]
        cells = [[_cell(row.get(name, "")) for name in names] for row in rows]
        table = pd.DataFrame(cells, pd.Index([trial.id for trial in ranked], name="trial"), names).to_html()
        head_line = f"jaxsweep: {self.status}, {len(self.trials)} trials, best {self.objective} first"
        if front := front_told(self.trials, self.aims):
            head_line += f"; {front}"
        return f"<p>{html.escape(head_line)}</p>{table}<p>{html.escape(self.told())}</p>"

    def told(self) -> str:
        """Return in a sentence what the best trial scored in the search, when it was confirmed and on the test rows.

        Raises:
            SweepFailed: as `best`.
        """
        return told(self.status, self.objective, self.request.confirm, self.trials, self.confirmed, self.best)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Networks(Mapping[int, Model]):
    """The kept networks of a run directory, each read when it is asked for."""

    def __init__(self, run: StoredRun) -> None:
        self._run = run
        self._numbers = [trial.id for trial in run.trials if run.has_model(trial.id)]

    def __getitem__(self, number: int) -> Model:
        if number not in self._numbers:
            raise KeyError(number)
        return self._run.model(number)

    def __contains__(self, number: object) -> bool:
        return number in self._numbers  # whatever is in its folder

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def load(path: str | Path, functions: Mapping[str, Callable[..., Any]] | None = None) -> Result:
    """Return the result in a run directory, as `js.sweep` gave it, also of a run that is under way or was cut off.

    Args:
        path: of the run directory.
        functions: your own functions that the sweep was given, by name. The record has their names alone, and training
            or predicting needs them.

    Raises:
        RequestError: there is no run in `path`, it cannot be read, or a function is not the one that it was.
    """
    run = read_run(arguments.path("path", path), arguments.functions(functions))
    requested = run.summary.get("trials", {}).get("requested", run.request.trials)
    notes = [*run.summary.get("notes", []), *run.remarks()]
    numbers = {**run.summary, "requested": requested, "recorded": len(run.trials), "notes": notes}
    return Result(
        run.summary.get("status", "running"), run.objective, run.trials, run,
        Columns(run.curve_names, run.test_names, run.objective), run, run.request, run.path, numbers, Networks(run),
        run.confirmed,
    )  # fmt: skip

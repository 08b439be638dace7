"""The functions that notebooks call: `sweep`, `resume`, `plan` and `solo`."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxsweep.data import Dataset
from jaxsweep.data.assign import split_by
from jaxsweep.data.parts import group_codes
from jaxsweep.data.source import dataset_of
from jaxsweep.data.splits import DEFAULT_SPLIT
from jaxsweep.data.start import MEMORY
from jaxsweep.data.weights import row_weights
from jaxsweep.engine.planner import Plan
from jaxsweep.errors import RequestError, shown
from jaxsweep.loop import execute
from jaxsweep.network import ambient
from jaxsweep.network.own import check_own
from jaxsweep.planning import plan as plan_request
from jaxsweep.records.model import Model
from jaxsweep.records.networks import stopped_after
from jaxsweep.records.result import Result
from jaxsweep.records.start import start_of
from jaxsweep.records.trials import Trial
from jaxsweep.report.progress import Progress
from jaxsweep.schedulers import SCHEDULERS
from jaxsweep.schedulers import options as scheduler_options
from jaxsweep.search import SEARCHERS
from jaxsweep.search import options as searcher_options
from jaxsweep.setup import resolve_for, with_start
from jaxsweep.spec import arguments
from jaxsweep.spec.hyperparameters import Config, check_together
from jaxsweep.spec.keywords import refused
from jaxsweep.spec.lineage import Lineage
from jaxsweep.spec.metrics import TAKEN, check_objective
from jaxsweep.spec.own import OwnMetric, metrics_of
from jaxsweep.spec.request import DEFAULT_SEARCH, Request
from jaxsweep.spec.scope import of_configs
from jaxsweep.spec.space import Space
from jaxsweep.streams import drawn_seed

if TYPE_CHECKING:
    from optuna.study import Study

    from jaxsweep.network.reference import Solo


def sweep(
    data: Dataset | str | tuple[Any, Any],
    space: Space | Mapping[str, Any] | None = None,
    *,
    configs: Sequence[Config] | None = None,
    trials: int | None = None,
    initial: Sequence[Config] | None = None,
    warm_start: "str | Path | Study | Sequence[str | Path | Study] | None" = None,
    start_from: "str | Path | Model | None" = None,
    search: str = DEFAULT_SEARCH,
    scheduler: str | None = None,
    minutes: float | None = None,
    objective: str | Sequence[str] | None = None,
    objective_weights: Sequence[float] = (),
    constraints: str | Sequence[str] = (),
    seed: int | None = 0,
    replicates: int = 1,
    folds: Any = 0,
    groups: Any = None,
    weights: Any = None,
    split: Sequence[float] = DEFAULT_SPLIT,
    keep: int = 10,
    keep_lanes: bool = False,
    confirm: int = 0,
    keep_weights: str = "last",
    train_metrics: bool = False,
    precision: str = "highest",
    checkpoint_seconds: float = 60.0,
    metrics: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    **options: Any,
) -> Result:
    """Train many configs together and return them as trials.

    Args:
        data: the dataset, the name of a built-in one, or a pair (X, y) as `Dataset.from_arrays` takes them;
            preprocessing and splits happen here.
        space: what to search; give either this or `configs`.
        configs: exactly these configs, in this order.
        trials: how many configs to train; by default all that the searcher has, or 256.
        initial: configs of the space that are trained first, as the first of `trials`, and that the searcher learns of
            before it is asked. An entry that one leaves out has its default, if the space has that; a value outside the
            space is refused.
        warm_start: directories of earlier runs with the same objective, of whose trials the searcher is told before it
            is asked, as far as they are points of this space; they are not among the trials of this one. Also studies
            of Optuna, or where one lies: "sqlite:///studies.db#name".
        start_from: a trained network, or the folder of an exported one, with whose weights all networks start, layer by
            layer where shapes agree; the hyperparameters `transfer` and `frozen` say how many layers take them, and how
            many do not train. Fine-tuning wants smaller learning rates than training anew.
        search: the searcher's name, see `python -m jaxsweep searchers`.
        scheduler: who decides, while trials train, which of them go on, see `python -m jaxsweep schedulers`; by default
            all of them train to their ends.
        minutes: the time after which no training begins; those that run are stopped after their current epochs, and
            all that has finished is kept. The clock then decides how many trials there are.
        objective: the validation metric to search on; by default val_accuracy, or val_mse for regression. Or a list, of
            further metrics and of `parameters`, `iterations` and `seconds`, of which less is better: `Result.front` is
            then what no trial betters in all of them. Scores, the best trial, schedulers and kept weights follow the
            first.
        objective_weights: how much each of several objectives counts, for a searcher that follows one.
        constraints: what a trial must meet, such as "parameters <= 10000" or "val_loss <= 0.5". All are trained; one
            that breaks any is never the best, nor on the front.
        seed: decides every random number, the split included; None draws one, which `Result.request` and a run
            directory record.
        replicates: trainings of each config under different seeds; a trial's score is their mean.
        folds: k > 1 for k-fold cross-validation in place of the validation split; or pairs (training rows, validation
            rows), whose other rows are the test part; or a splitter of scikit-learn, for the rows that do not test.
        groups: [rows] labels; rows with the same one stay together when rows are split.
        weights: [rows] numbers >= 0, by which rows count in losses and metrics, as scikit-learn's `sample_weight`.
        split: fractions of training, validation and test rows.
        keep: how many of the best trials keep their weights; with `confirm` at least those that are confirmed.
        keep_lanes: whether these trials keep the networks of all their replicates and folds, in memory alone, for
            `Result.model`; without, it trains again all but those of the first replicate on the first fold.
        confirm: how many of the best trials are trained again after the search, `replicates` times under fresh seeds
            and at least 5 times, on each fold. `Result.best` is then the one with the best mean of these, and
            `Result.confirmed` tells how far the scores of the search were luck.
        keep_weights: whether a trial's score and weights are those of its `last` or its `best` epoch.
        train_metrics: whether every network is also evaluated on its training rows at the end of each epoch, as it is
            on the validation rows: `train_accuracy` and so on beside `train_loss`.
        precision: of matrix products: `highest`, that of their numbers, on every device; `default` lets an accelerator
            round what it multiplies (an NVIDIA GPU to TF32, a TPU to bfloat16), which is faster, and `solo` then agrees
            less. A CPU has no other than the highest.
        checkpoint_seconds: how often what is under way is saved in `out`, for `resume` after a kill. It takes at most a
            fiftieth of the time.
        metrics: your own metrics by name: functions of JAX of outputs, targets and perhaps weights, or `js.Metric` of
            one for which smaller is better. They are `val_NAME`, `test_NAME` and so on, also as an objective.
        out: a new run directory in which everything is recorded as it finishes.
        progress: whether to show how far the sweep is.
        **options: options of the searcher, such as `resolution` of grid, and of the scheduler, such as `eta` of asha.

    Returns:
        The finished trials. An interrupt (Ctrl-C, or the notebook's stop button) ends the sweep early and keeps them.

    Raises:
        RequestError: the request cannot be carried out; it names the value and what would be right.
        SweepFailed: from `Result.best`, if no trial finished.
    """
    from jaxsweep.report.views import make_progress

    dataset, request = _asked("sweep", data, groups, weights, space, configs, seed, options, {
        "trials": trials, "initial": initial, "warm_start": warm_start, "search": search, "objective": objective,
        "scheduler": scheduler, "minutes": minutes, **_started(start_from),
        "objective_weights": objective_weights, "constraints": constraints,
        "replicates": replicates, "folds": folds, "split": split, "keep": keep, "confirm": confirm,
        "keep_lanes": keep_lanes, "keep_weights": keep_weights, "train_metrics": train_metrics, "precision": precision,
        "checkpoint_seconds": checkpoint_seconds, "metrics": _metrics(metrics),
    })  # fmt: skip
    folder = None if out is None else arguments.path("out", out)
    view = make_progress(None) if arguments.flag("progress", progress) else Progress()
    return execute(dataset, request, folder, view)


def resume(
    path: str | Path,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    data: Dataset | str | tuple[Any, Any] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    progress: bool = True,
) -> Result:
    """Go on with the sweep of a run directory that was interrupted, killed or cut off; return all of its trials.

    What is recorded is not trained again; what was under way goes on from its last checkpoint. In the same versions the
    table is bit by bit that of a sweep that ran through. One that has ended can be given more trials.

    Args:
        path: of the run directory.
        trials: how many trials there are to be in all; by default as many as were asked for.
        minutes: a time limit for what is left, infinity for none; by default that of the sweep, from now on.
        data: what the sweep was trained on, if it was in memory; else it is read again from where it came.
        functions: your own functions that the sweep was given, by name, as `js.load` takes them.
        progress: whether to show how far the sweep is.

    Raises:
        RequestError: there is no run in `path`, another process writes into it, or its data have changed.
    """
    from jaxsweep.report.views import make_progress
    from jaxsweep.resuming import go_on, stored_run

    run = stored_run(arguments.path("path", path), arguments.functions(functions))
    view = make_progress(None) if arguments.flag("progress", progress) else Progress()
    return go_on(run, trials, minutes, None if data is None else dataset_of(data), view)


def plan(
    data: Dataset | str | tuple[Any, Any],
    space: Space | Mapping[str, Any] | None = None,
    *,
    configs: Sequence[Config] | None = None,
    trials: int | None = None,
    initial: Sequence[Config] | None = None,
    warm_start: "str | Path | Study | Sequence[str | Path | Study] | None" = None,
    start_from: "str | Path | Model | None" = None,
    search: str = DEFAULT_SEARCH,
    scheduler: str | None = None,
    minutes: float | None = None,
    objective: str | Sequence[str] | None = None,
    objective_weights: Sequence[float] = (),
    constraints: str | Sequence[str] = (),
    seed: int | None = 0,
    replicates: int = 1,
    folds: Any = 0,
    groups: Any = None,
    weights: Any = None,
    split: Sequence[float] = DEFAULT_SPLIT,
    keep: int = 10,
    keep_lanes: bool = False,
    confirm: int = 0,
    keep_weights: str = "last",
    train_metrics: bool = False,
    precision: str = "highest",
    metrics: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    **options: Any,
) -> Plan:
    """Return how `sweep` would bucket these configs, with predicted memory and time; nothing of them is compiled.

    The first call on a machine measures it, in about a second.

    Of a searcher that proposes in batches nobody knows the later ones: it is the plan of as many random configs, in
    shapes that hold all that the space has, and these are what the sweep uses. Seconds and bytes are the whole sweep's:
    a confirmation, second trainings for hypergradients and lanes that stand still under a scheduler are among them.
    Lanes, programs and buckets are the search's. Arguments and errors are those of `sweep`, so that a call can be
    planned as it stands; nothing is shown, and nothing recorded in `out`.
    """
    return plan_request(*_asked("plan", data, groups, weights, space, configs, seed, options, {
        "trials": trials, "initial": initial, "warm_start": warm_start, "search": search, "objective": objective,
        "scheduler": scheduler, "minutes": minutes, **_started(start_from),
        "objective_weights": objective_weights, "constraints": constraints,
        "replicates": replicates, "folds": folds, "split": split, "keep": keep, "confirm": confirm,
        "keep_lanes": keep_lanes, "keep_weights": keep_weights, "train_metrics": train_metrics, "precision": precision,
        "metrics": _metrics(metrics),
    }))  # fmt: skip


def solo(
    data: Dataset | str | tuple[Any, Any],
    config: "Mapping[str, Any] | Trial",
    seed: int = 0,
    *,
    trial: int | None = None,
    replicate: int = 0,
    fold: int = 0,
    folds: Any = 0,
    groups: Any = None,
    weights: Any = None,
    split: Sequence[float] = DEFAULT_SPLIT,
    objective: str | None = None,
    keep_weights: str = "last",
    train_metrics: bool = False,
    metrics: Mapping[str, Any] | None = None,
    start_from: "str | Path | Model | None" = None,
) -> "Solo":
    """Train one config with plain Flax and Optax, exactly as trial `trial` of a sweep with this seed trains it.

    Args:
        data: the dataset.
        config: hyperparameters by name, of which those left out have their defaults; or a trial of the sweep, which is
            trained as it was: under its id, for as long as it was, and, if it went on from others' weights, like them.
        seed: the sweep's seed.
        trial: the trial's id, which its random numbers depend on; by default that of a given trial, or 0.
        replicate: the number of the replicate.
        fold: the number of the fold, if `folds` is not 0.
        folds: the folds of the sweep, as it takes them.
        groups: the groups of the sweep.
        weights: the weights of its rows.
        split: fractions of training, validation and test rows.
        objective: what `monitor = "objective"` and the best epoch follow.
        keep_weights: `last` or `best`.
        train_metrics: whether the curves hold metrics of the training rows too.
        metrics: your own metrics, as `sweep` takes them.
        start_from: the network with whose weights it starts, as `sweep` takes it.

    Raises:
        RequestError: an illegal config, split or objective.
    """
    ambient.check_fork()
    from jaxsweep.network.reference import train  # with Flax and Optax, which a sweep may not need

    dataset = _told(data, groups, weights)
    stop_after: int | None = None
    parts: Lineage = ()
    if isinstance(config, Trial):
        if trial not in (None, config.id):
            raise RequestError(f"trial = {shown(trial)} is not the id of the given trial, {config.id}: leave it out")
        trial, stop_after, parts = config.id, stopped_after(config, config.epochs_done), config.lineage
        config = config.config
    trial = 0 if trial is None else trial
    request = Request(
        configs=(dict(arguments.config("config", config)),), objective=objective, seed=seed, split=_fractions(split),
        folds=_pairs(folds, dataset, split, seed), keep_weights=keep_weights, train_metrics=train_metrics,
        metrics=_metrics(metrics), **_started(start_from),
    )  # fmt: skip
    request = with_start(request)
    trial, replicate = (arguments.whole(n, v, most=2**32 - 1) for n, v in (("trial", trial), ("replicate", replicate)))
    prepared = request.prepared(dataset)
    fold = arguments.whole("fold", fold, most=len(prepared.train) - 1)
    full = check_together(resolve_for(prepared, (request.configs or ())[0]))
    check_own(of_configs([full]), request.metrics, prepared.task, prepared.n_outputs)
    if objective is not None:
        objective = check_objective(objective, prepared.task, prepared.n_outputs, request.metrics)
    return train(
        prepared, full, request.seed, trial=trial, replicate=replicate, fold=fold, objective_metric=objective,
        keep_best=request.keep_best, train_metrics=request.train_metrics, metrics=request.metrics,
        stop_after=stop_after, lineage=parts,
    )  # fmt: skip


def _asked(
    function: str,
    data: Any,
    groups: Any,
    weights: Any,
    space: Any,
    configs: Any,
    seed: int | None,
    options: Any,
    more: Any,
) -> tuple[Dataset, Request]:
    """Return the dataset and the checked request of a call; a splitter becomes the folds that it makes."""
    seed = drawn_seed() if seed is None else seed
    dataset = None
    if _is_splitter(more["folds"]):
        dataset = _told(data, groups, weights)
        more["folds"] = _pairs(more["folds"], dataset, more["split"], seed)
    request = _request(function, space, configs, seed, options, more)
    return dataset or _told(data, groups, weights), request


def _started(given: Any) -> dict[str, Any]:
    """Return the fields of a request for the network with whose weights others start."""
    if isinstance(given, Model):
        return {"start_from": MEMORY, "start": start_of(given)}
    return {"start_from": None if given is None else str(arguments.path("start_from", given))}


def _metrics(given: Any) -> tuple[OwnMetric, ...]:
    """Return the metrics of the user's own that a function was given, checked."""
    return metrics_of({} if given is None else given, TAKEN)


def _is_splitter(folds: Any) -> bool:
    return hasattr(folds, "split") and not isinstance(folds, (str, bytes))


def _pairs(folds: Any, dataset: Dataset, split: Any, seed: int) -> Any:
    return split_by(folds, dataset, split, seed) if _is_splitter(folds) else folds


def _told(data: Any, groups: Any, weights: Any) -> Dataset:
    """Return what a function was given as its data, with the groups and weights that it was given beside them.

    Where the data came from is then forgotten: there these are not, so that a run could not read them again.
    """
    dataset = dataset_of(data)
    if groups is not None:
        dataset = replace(dataset, groups=group_codes(groups, dataset.rows, dataset.name), origin=None)
    if weights is not None:
        weights = row_weights(weights, dataset.rows, "weights", dataset.name)
        dataset = replace(dataset, weights=weights, origin=None)
    return dataset


def _fractions(split: Any) -> tuple[float, ...]:
    if isinstance(split, str) or not isinstance(split, Iterable) or getattr(split, "ndim", 1) != 1:
        raise RequestError(f"split = {shown(split)} is not legal: it must be three fractions: train, validation, test")
    return tuple(split)


def _request(function: str, space: Any, configs: Any, seed: int, options: Any, more: Any) -> Request:
    """Return the checked request of a call; `more` are the fields that need no looking after."""
    if isinstance(space, Mapping):
        space = Space.from_mapping(space)
    if isinstance(space, (list, tuple)):
        raise RequestError("space is a list: a list of configs is given as configs=[...]")
    if space is not None and not isinstance(space, Space):
        raise RequestError(f"space is a {type(space).__name__}: it must be a js.Space, or a dict of what it would have")
    if isinstance(configs, Mapping):
        raise RequestError("configs is a single config: it must be a list, such as configs=[config]")
    if hasattr(configs, "iloc"):
        raise RequestError("configs is a frame: give configs=frame.to_dict('records')")
    if configs is not None and (not isinstance(configs, Iterable) or getattr(configs, "ndim", 1) != 1):
        raise RequestError(f"configs = {shown(configs)} is not a list of configs: it must be like [{{'depth': 2}}]")
    search = more["search"] if configs is None and isinstance(more["search"], str) else ""
    known = searcher_options(search) if search else {}
    scheduler = more.get("scheduler")
    of_scheduler = scheduler_options(scheduler) if isinstance(scheduler, str) else {}
    for name in options:
        if name not in known and name not in of_scheduler:
            if owners := [each for each in SCHEDULERS if name in scheduler_options(each)]:
                raise RequestError(
                    f"{function} has no keyword {name!r} for scheduler = {scheduler!r}; it is an option of "
                    f"{', '.join(owners)}"
                )
            every = {each: list(searcher_options(each)) for each in SEARCHERS}
            raise refused(name, function, KEYWORDS, every, search)
    return Request(
        space=space, configs=None if configs is None else tuple(configs), seed=seed,
        options={name: value for name, value in options.items() if name not in of_scheduler},
        scheduler_options={name: value for name, value in options.items() if name in of_scheduler},
        **{**more, "split": _fractions(more["split"])},
    )  # fmt: skip


KEYWORDS = tuple(name for name in inspect.signature(sweep).parameters if name != "options")

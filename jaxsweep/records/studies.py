"""Studies of Optuna: a sweep written as one, and the trials of one as points of a space.

Optuna's dashboard, its plots and its importances work on what is written: each trial has its parameters with their
distributions, its score, its learning curve as intermediate values, and its metrics as user attributes.
"""

import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.errors import RequestError, shown
from jaxsweep.records.trials import Trial
from jaxsweep.spec import arguments, lineage, studies
from jaxsweep.spec.aims import Aims
from jaxsweep.spec.asked import as_asked
from jaxsweep.spec.conditions import evaluation_order, parents
from jaxsweep.spec.distributions import Choice, Constant, Distribution, Int, Uniform, has, hashable
from jaxsweep.spec.extras import extra
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, Config
from jaxsweep.spec.metrics import direction
from jaxsweep.spec.points import Resolve, active_part, point_or_reason
from jaxsweep.spec.request import Request
from jaxsweep.spec.space import Space
from jaxsweep.spec.swept import acts

if TYPE_CHECKING:
    from optuna.study import Study

Scored = list[tuple[Config | str | None, float]]
# User attributes: of a study its metric; of a trial all hyperparameters, and whose weights it went on from.
OBJECTIVE, CONFIG, LINEAGE = "objective", "config", "lineage"


def written(
    trials: Sequence[Trial], curves: NDArray[np.float64], request: Request, aims: Aims, storage: Any, name: Any
) -> "Study":
    """Return a new study that holds the trials of a sweep, with all its objectives and constraints.

    Args:
        trials: in the order of their ids.
        curves: the first objective after each epoch, [trials, epochs], NaN beyond a trial's end.
        request: of the sweep.
        aims: what the sweep was after.
        storage: a storage of Optuna or its URL; None for memory.
        name: of the study; None for one that Optuna makes up.

    Raises:
        RequestError: Optuna is not installed, the storage cannot be used, or has a study of that name.
    """
    optuna = extra("optuna", "an Optuna study")
    if name is not None:
        arguments.word("study_name", name, "cars")
    if isinstance(storage, str) and storage.startswith(studies.SQLITE) and "#" in storage:
        raise RequestError(
            f"the storage {shown(storage)} has a '#', after which a study is named only to read it: give the new one "
            "its name by itself (--study NAME)"
        )
    entries, space = _entries(trials, request), None if request.configs is not None else request.space
    with studies.quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of names of metrics
        try:
            study = optuna.create_study(storage=storage, study_name=name, directions=list(aims.directions))
        except optuna.exceptions.DuplicatedStudyError:
            raise RequestError(
                f"the storage has a study {name!r} already: give the new one another name (--study NAME)"
            ) from None
        except Exception as error:  # of whatever database
            raise studies.unreadable(shown(storage), error) from error
        study.set_user_attr(OBJECTIVE, str(aims.objectives[0]))
        study.set_metric_names(list(map(str, aims.objectives)))
        study.add_trials(
            _frozen(optuna, trial, curve, aims, entries, space, request.scheduler is not None)
            for trial, curve in zip(trials, curves, strict=True)
        )
    return study  # type: ignore[no-any-return]


def _entries(trials: Sequence[Trial], request: Request) -> Mapping[str, Distribution]:
    """Return what a sweep varied, as distributions: of its space, or those that its listed configs span."""
    if request.space is not None:
        return {name: request.space.entries[name] for name in request.space.columns}
    params = [trial.params for trial in trials]
    values = {name: [each[name] for each in params if name in each] for name in HYPERPARAMETERS}
    return {name: _spanned(found) for name, found in values.items() if found}


def _spanned(values: Sequence[Any]) -> Distribution:
    """Return the narrowest distribution that has some values."""
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return Int(min(values), max(values))
    if all(isinstance(value, float) for value in values):
        return Uniform(min(values), max(values))
    return Choice(list(dict.fromkeys(map(hashable, values))))


def _frozen(
    optuna: Any, trial: Trial, curve: NDArray[np.float64], aims: Aims, entries: Mapping[str, Distribution],
    space: Space | None, stoppable: bool,
) -> Any:  # fmt: skip
    """Return a trial as Optuna has it; one that lacks an objective has failed, one that a scheduler stopped is pruned.

    Optuna takes a constraint for broken where its number is above 0. A trial that stops by itself is complete; under a
    scheduler nobody knows of one that has outlasted its patience which of them stopped it.
    """
    values = trial.params if space is None else active_part(space, as_asked(space.entries, trial.config))
    known = {name: value for name, value in values.items() if name in entries and has(entries[name], value)}
    states = optuna.trial.TrialState
    objectives = aims.values(trial.score, trial.metrics)
    whole = all(map(math.isfinite, objectives))
    most = sys.float_info.max  # databases have no infinity
    broken = {
        str(each): min(each.violation(trial.metrics.get(each.metric, math.nan)), most) for each in aims.constraints
    }
    patience = trial.config["patience"]  # stops no trial before it has waited so many epochs after the first
    pruned = stoppable and trial.status == "stopped" and (not patience or trial.epochs_done <= patience)
    return optuna.trial.create_trial(
        state=(states.PRUNED if pruned else states.COMPLETE) if whole else states.FAIL,
        values=objectives if whole else None,
        constraints=broken or None,
        params={name: studies.parameter(entries[name], value) for name, value in known.items()},
        distributions={name: studies.distribution(entries[name]) for name in known},
        intermediate_values={epoch: float(value) for epoch, value in enumerate(curve, 1) if math.isfinite(value)},
        user_attrs={
            "trial": trial.id,
            "status": trial.status,
            "epochs_done": trial.epochs_done,
            "seconds": trial.seconds,
            "spread": trial.spread,
            **{metric: value if math.isfinite(value) else None for metric, value in trial.metrics.items()},
            **({LINEAGE: lineage.to_json(trial.lineage)} if trial.lineage else {}),
            CONFIG: {hyperparameter: _text(value) for hyperparameter, value in trial.config.items()},
        },
    )


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value


def points(source: str, space: Space, objective: str, resolve: Resolve) -> tuple[Scored, str]:
    """Return the finished trials of a study as points of a space, with their scores.

    For one that is none there is the parameter by which it is none, and None for one that went on from others' weights.
    A failed trial, and one that was pruned, has the score NaN. What the study's parameters leave out is what the space
    and the defaults say, unless the study was written by a sweep, which says it.

    Args:
        source: where the study is, as `studies.opened` takes it.
        space: of the sweep.
        objective: the metric by which it scores.
        resolve: makes a config whole, with the defaults that follow from the data.

    Returns:
        The points with their scores, and a note on what may not compare, or "".

    Raises:
        RequestError: as `studies.opened`; the study has several objectives, its direction is another one, or what it
            holds is damaged.
    """
    study = studies.opened(source)
    try:
        with studies.quiet():
            theirs = [way.name.lower() for way in study.directions]
            metric = study.user_attrs.get(OBJECTIVE)
            trials = study.get_trials(deepcopy=False)
    except Exception as error:  # of whatever is in it
        raise studies.damaged(source, error) from error
    if len(theirs) != 1:
        raise RequestError(f"warm_start: the study {source} has {len(theirs)} objectives: it must have one")
    ours = direction(objective)
    if theirs[0] != ours or metric not in (None, str(objective)):
        scored = "" if metric is None else f", by {shown(metric)}"
        raise RequestError(
            f"warm_start: the study {source} is to {theirs[0]}{scored}, and this sweep to {ours}, by "
            f"{str(objective)!r}: take the same objective, or leave that study out"
        )
    found = []
    for trial in trials:
        if trial.state.is_finished():
            try:
                found.append(_scored(trial, space, resolve))
            except Exception as error:  # by values of any kind, nested as deep as JSON may be
                raise studies.damaged(source, error, trial.number) from error
    return found, "" if metric is not None else "it does not say by which metric"


def _scored(trial: Any, space: Space, resolve: Resolve) -> tuple[Config | str | None, float]:
    """Return a finished trial as a point of the space, or why it is none, with its score."""
    config = trial.user_attrs.get(CONFIG)
    whole = isinstance(config, Mapping) and set(config) >= set(HYPERPARAMETERS)
    known: Config | str | None
    if trial.user_attrs.get(LINEAGE):
        known = None
    elif whole:
        known = point_or_reason(space, dict(config), resolve)
    else:
        known = _of_params(space, trial.params, resolve)
    # What a sweep of this project pruned has the score that it would have in its record.
    states = ("COMPLETE", "PRUNED") if whole else ("COMPLETE",)
    score = trial.value if trial.state.name in states else None
    return known, math.nan if score is None else float(score)


def _of_params(space: Space, params: Mapping[str, Any], resolve: Resolve) -> Config | str:
    """Return the point of the space that parameters of Optuna stand for, or the first one that makes them none."""
    part: Config = {}
    for name in evaluation_order(space.entries):
        entry = space.entries[name]
        if not all(above in part and hashable(part[above]) in legal for above, legal in parents(entry).items()):
            continue
        if name not in params and not isinstance(entry, Constant):
            return name
        given = params.get(name, entry.value if isinstance(entry, Constant) else None)
        try:
            part[name] = studies.value_of(entry, given if name in params else studies.category(given))
        except LookupError:
            return name
    part = {name: part[name] for name in space.entries if name in part}
    full = resolve(part)

    def fits(name: str) -> bool:
        return name in full and (studies.category(full[name]) == params[name] or not acts(name, full))

    return next((name for name in params if name not in part and not fits(name)), part)

"""Trials of earlier sweeps, as a searcher is told of them before it is asked for anything: a warm start."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from jaxsweep.errors import RequestError, cut
from jaxsweep.records import stored, studies
from jaxsweep.records.stored import StoredRun
from jaxsweep.spec import scope
from jaxsweep.spec.aims import Aims
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.metrics import direction
from jaxsweep.spec.own import ROLES, Own
from jaxsweep.spec.points import Resolve, point_or_reason
from jaxsweep.spec.request import Request
from jaxsweep.spec.space import Space
from jaxsweep.spec.studies import is_study

NAMED = 60  # hyperparameters, and letters of one: a study may have any parameters


@dataclass
class Earlier:
    """What earlier runs have to say of a space: configs of it, their scores (NaN for none) and metrics, and a note."""

    configs: list[Config] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    metrics: list[Mapping[str, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """What the searcher is told, as a checksum; "" if that is nothing."""
        if not self.configs:
            return ""
        text = json.dumps([self.configs, self.scores, self.metrics], default=str, sort_keys=True)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def earlier(request: Request, objective: str, fingerprint: str, resolve: Resolve) -> Earlier:
    """Return the trials of what a request names in `warm_start`, as far as they are points of its space.

    A trial is one if this sweep would train it, too: its hyperparameters that are in the space have values that the
    space has, and the others, as far as they have an effect, the defaults that they would have here.

    Args:
        request: with a space.
        objective: the metric by which this sweep scores.
        fingerprint: of the data of this sweep.
        resolve: makes a config whole, with the defaults that follow from the data.

    Raises:
        RequestError: something is no run directory and no study, its objective is another one, or a function of the
            user's own has changed since.
    """
    assert request.space is not None
    found, aims = Earlier(), Aims.of(request, objective)
    for source in request.warm_start:
        if is_study(source):
            if aims.names:
                raise RequestError(
                    f"warm_start: {source} is a study, of which one score a trial is taken, and this sweep must know "
                    f"{', '.join(aims.names)} of them, too: give a run directory, or leave it out"
                )
            rows, differs = studies.points(source, request.space, objective, resolve)
            metrics: list[Mapping[str, float]] = [{}] * len(rows)
        else:
            run = _read(source, request, request.space)
            _check_objective(run, objective)
            _check_known(run, aims)
            scores = (np.nan if trial.score is None else trial.score for trial in run.trials)
            metrics = [trial.metrics for trial in run.trials]
            own = [None if trial.lineage else trial.config for trial in run.trials]
            points = [None if config is None else point_or_reason(request.space, config, resolve) for config in own]
            rows, differs = list(zip(points, scores, strict=True)), _differs(run, request, fingerprint)
        # Trials that went on from others' weights have scores that are not those of their configs.
        copies = sum(point is None for point, _ in rows)
        reasons = Counter(
            point for point, _ in rows if isinstance(point, str)
        )  # by which hyperparameters they are none
        pairs = zip(rows, metrics, strict=True)
        told = [(point, score, known) for (point, score), known in pairs if isinstance(point, dict)]
        found.configs += [config for config, _, _ in told]
        found.scores += [score for _, score, _ in told]
        found.metrics += [known for _, _, known in told]
        left = len(rows) - len(told) - copies
        note = f"warm start: the searcher knows {len(told)} of {len(rows)} trials of {source}"
        if left:
            note += f"; {left} {'is no point' if left == 1 else 'are no points'} of this space"
            note += _by(reasons)
        if copies:
            note += f"; {copies} {'is a copy of another one' if copies == 1 else 'are copies of others'}, by pbt"
        found.notes.append(note + (f"; {differs}, so that its scores may not compare" if differs else ""))
    return found


def _by(reasons: Counter[str]) -> str:
    """Return why trials are no points of a space, in words; "" if nobody knows."""
    if len(reasons) < 2:
        return f" (by {cut(next(iter(reasons)), NAMED)})" if reasons else ""
    most = [f"{count} by {cut(name, NAMED)}" for name, count in reasons.most_common(NAMED)]
    return f" ({', '.join(most)}{', and others' if len(reasons) > NAMED else ''})"


def _read(path: str, request: Request, space: Space) -> StoredRun:
    """Return the run in `path`; its functions that this sweep has, too, must be the same."""
    run = stored.load(Path(path))
    mine = {
        f"metric:{metric}": metric.function for metric in request.metrics if metric in run.functions.get("metric", {})
    }
    for role in ROLES:
        values = scope.possible(space.entries[role]) if role in space.entries else None
        known = run.functions.get(role, {})
        mine |= {
            f"{role}:{value}": value.function for value in values or () if isinstance(value, Own) and value in known
        }
    functions = {name: function for name, function in mine.items() if function is not None}
    return stored.load(Path(path), functions) if functions else run


def _check_objective(run: StoredRun, objective: str) -> None:
    theirs, mine = direction(run.objective), direction(objective)
    if str(run.objective) == str(objective) and theirs == mine:
        return
    ways = [f" ({way})" if theirs != mine else "" for way in (theirs, mine)]
    raise RequestError(
        f"warm_start: the trials of {run.path} are scored by {str(run.objective)!r}{ways[0]}, those of this sweep "
        f"by {str(objective)!r}{ways[1]}: take the same objective, or leave that run out"
    )


def _check_known(run: StoredRun, aims: Aims) -> None:
    """Raise RequestError if a run does not say of its trials what the aims need to know."""
    missing = [name for name in aims.names if any(name not in trial.metrics for trial in run.trials)]
    if missing:
        raise RequestError(
            f"warm_start: {run.path} does not say {', '.join(missing)} of its trials, which this sweep must know: "
            "leave that run out"
        )


def _differs(run: StoredRun, request: Request, fingerprint: str) -> str:
    """Return what of an earlier run may make its scores other than those of this sweep, in words; "" for nothing."""
    if run.fingerprint != fingerprint:
        return f"its data are others (fingerprint {run.fingerprint[:12]}, here {fingerprint[:12]})"
    names: Sequence[str] = ("seed", "split", "folds")
    if any(getattr(run.request, name) != getattr(request, name) for name in names):
        return "its validation rows are others (by seed, split or folds)"
    if run.request.keep_weights != request.keep_weights:
        return f"it had keep_weights = {run.request.keep_weights!r}"
    return ""

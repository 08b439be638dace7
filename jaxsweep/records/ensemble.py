"""Several networks of a sweep that predict together as one model: chosen on the validation rows, exported as a folder.

`ensemble.json` says how often each network counts; the networks lie beside it, each in a folder of its own as
`Model.save` writes it. Prediction is NumPy alone, as that of a network.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data import Preprocessor
from jaxsweep.data.labels import Task
from jaxsweep.errors import RequestError, shown
from jaxsweep.records.files import replace_folder
from jaxsweep.records.forward import Floats, Layers
from jaxsweep.records.model import DESCRIPTION, WEIGHTS, Model, warn_of
from jaxsweep.spec import arguments

if TYPE_CHECKING:
    from jax import Array
    from jax.typing import ArrayLike

ENSEMBLE = "ensemble.json"
MOST = 1000  # choices: networks of a folder, and how often each counts


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks whose predictions are averaged: probabilities of classes, or values in units of the target.

    Attributes:
        members: the networks, each once, the one that counts most first.
        weights: how often each was chosen.
        trials: the trial of each; empty of one that was read from a folder.
        objective: the metric that it was chosen by; empty of one that was read from a folder.
        metrics: what it scores on the validation rows that it was chosen by (of folds the first, whose networks are the
            kept ones) and on the test rows, as `Trial.metrics` but for the loss; empty of one that was read.
    """

    members: tuple[Model, ...]
    weights: tuple[int, ...]
    trials: tuple[int, ...] = ()
    objective: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def score(self) -> float | None:
        """The objective on the validation rows, which it was chosen by: a little too good. None if it was read."""
        return self.metrics.get(self.objective)

    @property
    def task(self) -> Task:
        """Classification or regression."""
        return self.members[0].task

    @property
    def preprocessor(self) -> Preprocessor:
        """What turns raw columns into features: the same for all members."""
        return self.members[0].preprocessor

    @property
    def classes(self) -> tuple[Any, ...] | None:
        """The labels in the order of `predict_proba`; None for regression."""
        return self.members[0].classes

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of several targets in the order of `predict`; () for one."""
        return self.members[0].targets

    @property
    def header(self) -> bool | None:
        """Whether the table that they were trained on names its columns."""
        return self.members[0].header

    @property
    def table(self) -> Mapping[str, Any]:
        """What was said about the file that they were trained on."""
        return self.members[0].table

    @property
    def params(self) -> tuple[Layers, ...]:
        """The parameters of each member, as `Model.params`."""
        return tuple(model.params for model in self.members)

    def __repr__(self) -> str:
        score = "" if self.score is None else f", {self.objective} {self.score:.6g}"
        return f"Ensemble({self.task}, {len(self.members)} networks, weights {list(self.weights)}{score})"

    def features(self, X: Any) -> Floats:
        """Return what the first layers see of raw rows, [rows, features]; as `Model.features`."""
        return self.members[0].features(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return a label, or a number in units of the target, for each row; as `Model.predict`.

        The label is the one with the largest mean probability.
        """
        return self.predicted(self.features(X))[0]

    def predict_proba(self, X: Any) -> Floats:
        """Return the mean probability of each class, [rows, classes]; as `Model.predict_proba`."""
        if self.task == "regression":
            raise RequestError("an ensemble for regression has no class probabilities: use predict")
        return self.predicted(self.features(X))[1]

    def predicted(self, features: Floats) -> tuple[NDArray[Any], Floats]:
        """Return labels or values, and probabilities, for features [rows, features]; as `Model.predicted`."""
        mean = self.votes(features)
        warn_of(mean, "the ensemble's")
        if self.task == "regression":
            return mean, np.empty((len(features), 0))
        return self.preprocessor.labels(mean.argmax(axis=1)), mean

    def votes(self, features: Floats) -> Floats:
        """Return the mean of what its members say, in the form of `Model.votes`."""
        whole = sum(self.weights)
        with np.errstate(over="ignore", invalid="ignore"):
            pairs = list(zip(self.members, self.weights, strict=True))
            total = pairs[0][1] * pairs[0][0].votes(features)
            for model, weight in pairs[1:]:
                total += weight * model.votes(features)
            return np.asarray(total / whole)

    def apply(self, params: Any, x: "ArrayLike") -> "Array":
        """Return what it says of features [..., features], as a pure function of JAX; as `Model.apply`.

        Args:
            params: of each member, in the form of `params`.
            x: standardized features, as `features` gives them.
        """
        if not isinstance(params, Sequence) or len(params) != len(self.members):
            raise RequestError(
                f"params = {shown(params)} is not legal: it must have the form of the ensemble's `params`"
            )
        members = zip(self.members, self.weights, params, strict=True)
        total: Any = sum(weight * model.apply(own, x) for model, weight, own in members)
        found: Array = total / sum(self.weights)
        return found

    def retrain(self) -> "Ensemble":
        """Return the ensemble of the same configs, each trained on all rows as `Model.retrain` does it.

        Raises:
            RequestError: as `Model.retrain`.
        """
        return Ensemble(tuple(model.retrain() for model in self.members), self.weights, self.trials)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the ensemble as a folder; an earlier one there is replaced, anything else is left alone.

        Raises:
            RequestError: the folder cannot be written, or holds something else.
        """
        replace_folder(arguments.path("directory", directory), _check_target, self._write)

    def _write(self, folder: Path) -> None:
        for number, model in enumerate(self.members):
            model.save(folder / str(number))
        with (folder / ENSEMBLE).open("w", encoding="utf-8") as file:
            file.write(json.dumps({"weights": list(self.weights)}) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _check_target(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise RequestError(f"{target} is a file: choose a new folder for the ensemble")
    for entry in sorted(target.iterdir()):
        own = entry.name == ENSEMBLE or (
            entry.name.isdecimal()
            and entry.is_dir()
            and {each.name for each in entry.iterdir()} <= {DESCRIPTION, WEIGHTS}
        )
        if not own:
            raise RequestError(f"{target} holds other things ({entry.name}): choose a new folder for the ensemble")

"""What a sweep is after: one objective or several, and bounds on what a trial may come to. No JAX here."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from jaxsweep.errors import RequestError, shown, suggestion
from jaxsweep.spec.distributions import FloatArray
from jaxsweep.spec.hyperparameters import layer_widths
from jaxsweep.spec.metrics import Direction, check_objective, direction, metric_names
from jaxsweep.spec.own import OwnMetric, directed

SIZES: dict[str, str] = {
    "parameters": "weights and biases of the network, with those of its norms",
    "iterations": "steps that it trained, a mean over replicates and folds",
    "seconds": "time that it trained, a mean over replicates and folds: the clock decides it",
}
"""What a trial costs, beside its metrics: smaller is better."""

ROUNDING = float(np.finfo(np.float32).eps)
_CONSTRAINT = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(<=|>=)\s*([-+.0-9eE_]+)\s*")


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric or a size: `metric <= bound` if `upper`, else `metric >= bound`."""

    metric: str
    upper: bool
    bound: float

    @classmethod
    def parse(cls, text: Any) -> "Constraint":
        """Return the constraint in a text such as "parameters <= 10000"; RequestError for anything else."""
        found = _CONSTRAINT.fullmatch(text) if isinstance(text, str) else None
        try:
            bound = float(found[3]) if found is not None else math.nan
        except ValueError:
            bound = math.nan
        if found is None or not math.isfinite(bound):
            raise RequestError(
                f"constraint {shown(text)} is not legal: it must be a metric, <= or >=, and a number, such as "
                "'parameters <= 10000'"
            )
        return cls(found[1], found[2] == "<=", bound)

    def __str__(self) -> str:
        whole = self.bound.is_integer() and abs(self.bound) < 1e15
        return f"{self.metric} {'<=' if self.upper else '>='} {int(self.bound) if whole else self.bound!r}"

    def violation(self, value: float) -> float:
        """Return by how much a value breaks the bound, as a share of it; 0 if it does not, inf if it is NaN.

        Of a metric, which float32 has rounded, a rounding breaks no bound: 27 right of 30 meet `val_accuracy >= 0.9`.
        """
        excess = value - self.bound if self.upper else self.bound - value
        if math.isnan(excess):
            return math.inf
        share = max(excess, 0.0) / (abs(self.bound) or 1.0)
        rounds = self.bound and self.metric not in SIZES
        return 0.0 if rounds and share <= ROUNDING else share


@dataclass(frozen=True)
class Aims:
    """The objectives of a sweep, the first of which is its score, and its constraints."""

    objectives: tuple[str, ...]
    constraints: tuple[Constraint, ...] = field(default=())

    @classmethod
    def of(cls, request: Any, objective: str) -> "Aims":
        """Return the aims of a request whose first objective is `objective`, which knows its direction."""
        further = tuple(directed(name, request.metrics) for name in request.further)
        return cls((objective, *further), tuple(map(Constraint.parse, request.constraints)))

    @property
    def several(self) -> bool:
        """Whether there is more than one objective."""
        return len(self.objectives) > 1

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The direction of each objective."""
        return tuple(map(direction, self.objectives))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What must be known of a trial beside its score: further objectives and constrained metrics, each once."""
        return tuple(dict.fromkeys([*self.objectives[1:], *(each.metric for each in self.constraints)]))

    @cached_property
    def sizes(self) -> tuple[str, ...]:
        """Those of `names` that are sizes."""
        return tuple(name for name in self.names if name in SIZES)

    def values(self, score: float | None, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """Return the objectives of a trial with this score and these metrics; all NaN without a score."""
        if score is None:
            return (math.nan,) * len(self.objectives)
        return (score, *(metrics.get(name, math.nan) for name in self.objectives[1:]))

    def broken(self, score: float | None, metrics: Mapping[str, float]) -> tuple[str, ...]:
        """Return the constraints that a trial breaks; of one without a score, only where its size is known."""
        found = []
        for each in self.constraints:
            value = metrics.get(each.metric, math.nan)
            if (score is not None or math.isfinite(value)) and each.violation(value) > 0:
                found.append(str(each))
        return tuple(found)

    def too_large(self, config: Mapping[str, Any], features: int, outputs: int) -> bool:
        """Return whether a resolved config breaks a constraint whatever it learns: by how many parameters it has."""
        limits = [each for each in self.constraints if each.metric == "parameters"]
        count = count_parameters(config, features, outputs) if limits else 0
        return any(each.violation(count) > 0 for each in limits)

    def merits(self, scores: Sequence[float | None], metrics: Sequence[Mapping[str, float]]) -> FloatArray:
        """Return the objectives of trials, [trials, objectives], larger being better."""
        signs = [1.0 if way == "maximize" else -1.0 for way in self.directions]
        rows = [self.values(*each) for each in zip(scores, metrics, strict=True)]
        return np.array(rows, np.float64).reshape(-1, len(signs)) * signs

    def told(
        self, scores: Sequence[float | None], metrics: Sequence[Mapping[str, float]]
    ) -> tuple[FloatArray, FloatArray | None]:
        """Return what a searcher is told of trials: scores, [trials] or [trials, objectives], and violations [trials].

        A trial without a score has NaN; without constraints there are no violations.
        """
        rows = [self.values(*each) for each in zip(scores, metrics, strict=True)]
        values = np.array(rows, np.float64).reshape(-1, len(self.objectives))
        violations = [
            sum(each.violation(known.get(each.metric, math.nan)) for each in self.constraints) for known in metrics
        ]
        return values if self.several else values[:, 0], np.array(violations) if self.constraints else None


def check_aims(aims: Aims, task: str, outputs: int, curves: Iterable[str], own: Sequence[OwnMetric] = ()) -> None:
    """Raise RequestError unless all further objectives, and what is constrained, are known of a trial of this task.

    Args:
        aims: with a first objective that is checked already.
        task: of the data.
        outputs: classes, or targets.
        curves: the metrics that have a learning curve.
        own: metrics of the user's own.
    """
    for number, name in enumerate(aims.objectives[1:], 1):
        if name in aims.objectives[:number]:
            raise RequestError(f"objective: {shown(name)} is there twice: each must be named once")
        if name not in SIZES:
            check_objective(name, task, outputs, own, SIZES)
    legal = [*curves, *SIZES]
    for each in aims.constraints:
        if each.metric.startswith("test_"):
            raise RequestError(f"constraint '{each}': the test split is never searched on; use one of val_... instead")
        if each.metric not in legal:
            known = [*(f"val_{name}" for name in metric_names(task, outputs, own)), *SIZES]
            raise RequestError(
                f"constraint '{each}': unknown metric {shown(each.metric)}{suggestion(each.metric, known)}"
            )


def count_parameters(config: Mapping[str, Any], features: int, outputs: int) -> int:
    """Return the numbers that training changes in the network of a resolved config: kernels, biases, and of norms.

    Before batch norm a layer has no biases, since the norm has its own.

    Args:
        config: with every hyperparameter.
        features: inputs of the network.
        outputs: classes, or targets.
    """
    widths = layer_widths(config, outputs)
    of_unit = {"none": 1, "batch": 2, "layer": 3}[config["norm"]]  # bias; scale and shift; all three
    kernels = sum(a * b for a, b in zip((features, *widths), (*widths, outputs), strict=True))
    return kernels + of_unit * sum(widths) + outputs

"""The Pareto front of trials, what breaks a constraint, and what tables say of both."""

import math
from dataclasses import replace

import pytest

from jaxsweep.records.front import front_rows, front_told, pareto_front, rows_of
from jaxsweep.records.trials import Trial, best_first
from jaxsweep.report.tables import sort_rows
from jaxsweep.spec.aims import Aims, Constraint
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS

VALUES = tuple(row.default for row in HYPERPARAMETERS.values())
BOTH = Aims(("val_accuracy", "parameters"))
BOUND = replace(BOTH, constraints=(Constraint.parse("parameters <= 500"),))
COUNTS = (
    (0.90, 100), (0.95, 300), (0.90, 100), (0.80, 200), (0.99, 900), (None, 1), (0.95, math.nan), (0.95, 301),
    (0.70, 10),
)  # fmt: skip


def trials(aims: Aims) -> list[Trial]:
    """Return trials of an accuracy and a number of parameters each; the sixth one diverged."""
    made = []
    for number, (score, size) in enumerate(COUNTS):
        status = "diverged" if score is None else "completed"
        metrics = {"val_accuracy": math.nan if score is None else score, "parameters": size}
        trial = Trial(number, status, score, 0.0, 2, 0.1, metrics, VALUES, broken=aims.broken(score, metrics))
        made.append(trial)
    return made


def test_a_front_that_is_known() -> None:
    assert [trial.id for trial in pareto_front(trials(BOTH), BOTH)] == [4, 1, 0, 2, 8]
    assert [trial.id for trial in pareto_front(trials(BOTH)[::-1], BOTH)] == [4, 1, 0, 2, 8]
    assert [trial.id for trial in pareto_front(trials(BOUND), BOUND)] == [1, 0, 2, 8]
    assert front_rows(trials(BOTH), BOTH)[0] == {"trial": 4, "val_accuracy": 0.99, "parameters": 900}
    assert pareto_front([], BOTH) == []
    assert front_rows([], BOTH) == []


def test_of_one_objective_the_front_are_the_best_ones() -> None:
    alone = Aims(("val_accuracy",))
    assert [trial.id for trial in pareto_front(trials(alone)[:4], alone)] == [1]
    assert [trial.id for trial in pareto_front(trials(BOUND), replace(BOUND, objectives=("val_accuracy",)))] == [1, 7]
    assert front_rows(trials(alone), alone) == []
    assert front_told(trials(alone), alone) == ""


def test_what_breaks_a_constraint_is_never_the_best_and_last_in_rankings() -> None:
    some = trials(BOUND)
    assert [trial.broken for trial in some if trial.broken] == [("parameters <= 500",)] * 2
    assert [trial.id for trial in best_first(some, "val_accuracy")] == [1, 7, 0, 2, 3, 8]
    assert repr(some[4]).startswith("Trial(4, completed, score=0.99, breaks parameters <= 500, {")
    rows = rows_of(some, BOUND)
    assert list(rows[0])[:5] == ["trial", "status", "score", "front", "feasible"]
    order = [row["trial"] for row in sort_rows(rows, "score", "val_accuracy")]
    assert order == [1, 7, 0, 2, 3, 8, 4, 6, 5]
    assert [row["trial"] for row in sort_rows(rows, "parameters", "val_accuracy")][-2:] == [4, 6]
    assert [row["trial"] for row in sort_rows(rows, "trial", "val_accuracy")] == list(range(9))


@pytest.mark.parametrize(
    ("aims", "said"),
    [
        (BOTH, "5 trials on the Pareto front of val_accuracy and parameters"),
        (
            BOUND,
            "4 trials on the Pareto front of val_accuracy and parameters; 2 of 9 trials break a constraint "
            "(parameters <= 500)",
        ),
        (
            Aims(("val_accuracy",), (Constraint.parse("val_accuracy <= 0.98"),)),
            "1 of 9 trials breaks a constraint (val_accuracy <= 0.98)",
        ),
    ],
)
def test_the_sentence(aims: Aims, said: str) -> None:
    assert front_told(trials(aims), aims) == said

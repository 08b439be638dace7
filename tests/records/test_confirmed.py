"""What fresh trainings of the best trials came to: who wins, and what is said of it."""

import math

import numpy as np
import pytest

from jaxsweep.records.confirmed import Confirmed, confirmation, ranked, told
from jaxsweep.records.lanes import Lane
from jaxsweep.records.trials import Columns, Trial
from jaxsweep.spec.aims import Constraint
from jaxsweep.spec.hyperparameters import resolve

VALUES = tuple(resolve({}, "classification", 100).values())
ACCURACY = Columns(("train_loss", "val_accuracy"), ("test_loss", "test_accuracy"), "val_accuracy")


def trial(number: int, score: float | None, test: float = 0.5) -> Trial:
    return Trial(number, "completed", score, 0.0, 2, 1.0, {"test_accuracy": test}, VALUES)


def lanes(*scores: float | None, test: float | None = 0.25) -> list[Lane]:
    """Return fresh lanes from replicate 1 on with so many scores; None diverged."""
    return [
        Lane(
            number, 0, "diverged" if score is None else "completed",
            np.array([[0.5, 0.5], [0.5, 0.0 if score is None else score]]),
            None if test is None else np.array([0.1, test]),
        )
        for number, score in enumerate(scores, 1)
    ]  # fmt: skip


def test_the_best_mean_wins_whatever_the_search_said() -> None:
    trials = [trial(0, 0.9), trial(1, 0.99), trial(2, 0.8), trial(3, None), trial(4, 0.85)]
    fresh = {0: lanes(0.75, 1.0), 1: lanes(0.7, 0.8), 4: lanes(0.5, 0.5)}
    confirmed = confirmation(trials, fresh, ACCURACY, False)
    assert [each.trial for each in confirmed] == [0, 1, 4]
    winner = confirmed[0]
    assert (winner.search_score, winner.confirmed_score, winner.spread) == (0.9, 0.875, 0.125)
    assert (winner.trainings, winner.without_score, winner.test_score) == (2, 0, 0.25)
    assert [each.test_score for each in confirmed[1:]] == [None, None]  # the winner's alone
    assert [each.id for each in ranked(trials, "val_accuracy", confirmed)] == [0, 1, 4, 2]
    assert [each.id for each in ranked(trials, "val_accuracy", ())] == [1, 0, 4, 2]


def test_the_least_error_wins() -> None:
    columns = Columns(("train_loss", "val_mse"), (), "val_mse")
    confirmed = confirmation([trial(0, 0.1), trial(1, 0.2)], {0: lanes(4.0), 1: lanes(3.0)}, columns, False)
    assert [each.trial for each in confirmed] == [1, 0]
    assert confirmed[0].test_score is None  # there are no test rows


def test_of_equals_the_search_decides_and_then_the_number() -> None:
    trials = [trial(0, 0.8), trial(1, 0.9), trial(2, 0.9)]
    confirmed = confirmation(trials, dict.fromkeys((0, 1, 2), lanes(0.7)), ACCURACY, False)
    assert [each.trial for each in confirmed] == [1, 2, 0]


def test_means_that_differ_by_a_rounding_are_equal() -> None:
    """Three sets of 30 rows right: 28, 28, 28 and 27, 28, 29, as float32 has them; also where numbers are huge."""
    parts = [[np.float32(right / 30) for right in rights] for rights in ((28, 28, 28), (27, 28, 29))]
    fresh = {number: lanes(*map(float, scores)) for number, scores in enumerate(parts)}
    for scores in ((0.9, 0.8), (0.8, 0.9)):
        confirmed = confirmation([trial(n, s) for n, s in enumerate(scores)], fresh, ACCURACY, False)
        assert confirmed[0].trial == scores.index(0.9)
    fresh = {0: lanes(1e50), 1: lanes(2e50)}
    assert confirmation([trial(0, 0.9), trial(1, 0.8)], fresh, ACCURACY, False)[0].trial == 1


def test_a_trial_that_diverges_when_trained_again_is_last() -> None:
    trials = [trial(0, 0.8), trial(1, 0.9), trial(2, 0.7)]
    confirmed = confirmation(trials, {0: lanes(0.1), 1: lanes(0.9, None, 0.9), 2: lanes(math.nan)}, ACCURACY, False)
    assert [each.trial for each in confirmed] == [0, 1, 2]
    lost = confirmed[1]
    assert (lost.confirmed_score, lost.spread, lost.without_score, lost.scores) == (None, None, 1, (0.9, None, 0.9))
    assert "unconfirmed: 1 of 3 fresh trainings have no score" in lost.told("val_accuracy")
    nobody = confirmation(trials, {1: lanes(None)}, ACCURACY, False)
    assert (nobody[0].trial, nobody[0].test_score) == (1, None)


def test_what_breaks_a_constraint_when_trained_again_is_behind() -> None:
    """By the mean over its fresh trainings, at the epochs that count; sizes are as in the search."""
    trials, limits = [trial(0, 0.8), trial(1, 0.9), trial(2, 0.7)], ["val_accuracy <= 0.8", "parameters <= 1"]
    fresh = {0: lanes(0.7, 0.8), 1: lanes(0.75, 0.9), 2: lanes(0.1, None)}
    confirmed = confirmation(trials, fresh, ACCURACY, False, [Constraint.parse(each) for each in limits])
    assert [each.trial for each in confirmed] == [0, 1, 2]
    assert [each.broken for each in confirmed] == [(), ("val_accuracy <= 0.8",), ()]
    assert confirmed[1].told("val_accuracy").endswith("in 2 fresh trainings; in these it breaks val_accuracy <= 0.8")
    assert confirmed[1].row()["broken"] == ["val_accuracy <= 0.8"]
    last, best = (
        confirmation(trials[:1], {0: lanes(0.25)}, ACCURACY, keep_best, [Constraint.parse("val_accuracy <= 0.3")])
        for keep_best in (False, True)
    )
    assert (last[0].broken, best[0].broken) == ((), ("val_accuracy <= 0.3",))


def test_the_best_epoch_counts_where_the_sweep_says_so() -> None:
    (last,) = confirmation([trial(0, 0.8)], {0: lanes(0.25)}, ACCURACY, False)
    (best,) = confirmation([trial(0, 0.8)], {0: lanes(0.25)}, ACCURACY, True)
    assert (last.confirmed_score, best.confirmed_score) == (0.25, 0.5)


def test_the_gap_is_told_in_a_sentence() -> None:
    best, won = trial(17, 0.981, test=0.96), Confirmed(17, 0.981, (0.97, 0.954), 0.957)
    in_search = "trial 17: val_accuracy 0.9810 in the search"
    whole = f"{in_search}, 0.9620 ± 0.0080 in 2 fresh trainings, 0.9570 on the test rows"
    assert told("completed", "val_accuracy", 5, [best], (won,), best) == whole
    assert repr(won).startswith("Confirmed(trial=17, search_score=0.9810, confirmed_score=0.9620, spread=0.0080, ")
    alone = f"{in_search}, 0.9600 on the test rows"
    assert told("completed", "val_accuracy", 0, [best], (), best) == alone
    for status, why in (("interrupted", "interrupted first"), ("running", "goes on, or was cut off")):
        words = told(status, "val_accuracy", 5, [best, trial(18, 0.9), trial(19, None)], (), best)
        assert words.startswith(f"{alone}; the best 2 are not confirmed: ")
        assert words.endswith(why)
    assert told("completed", "val_accuracy", 0, [best], (), trial(1, 0.5, test=math.nan)) == (
        "trial 1: val_accuracy 0.5000 in the search"
    )


@pytest.mark.parametrize("score", [0.0, -123456.0, 1e-5])
def test_scores_of_any_size_are_short(score: float) -> None:
    assert len(repr(Confirmed(0, score, (score,), score))) < 170

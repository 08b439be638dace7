"""The experiments on common claims: their sweep files, the statistics, and that the page is what was measured."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from questions.answering import answer
from questions.measures import converged, difference, halfwidth, told, verdict
from questions.page import anchor, page
from questions.registry import QUESTIONS, Question, word
from questions.sweeping import FOLDER, Settings, constant_score, request_of
from questions.ways import WAYS
from scipy import stats

import jaxsweep as js
from jaxsweep.search.grid import Grid
from jaxsweep.spec.request import Request

EXPERIMENTS = FOLDER.parent
SETTINGS = Settings(Path("nowhere"))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_a_sweep_file_asks_for_twenty_trainings_of_what_its_claims_compare(question: Question) -> None:
    request = request_of(question.name, SETTINGS)
    assert question.way in WAYS
    assert len(question.data) == 3 or question.part
    if question.way in ("confirmation", "ways"):
        assert SETTINGS.seeds == 20
        return
    assert max(request.folds, 1) * request.replicates == 20
    if request.space is None:
        configs = [dict(config) for config in request.configs or ()]
        kinds = {" and ".join(name for name in question.by if name in config) or "none" for config in configs}
        assert {claim.better for claim in question.claims} <= kinds
        assert {claim.worse for claim in question.claims} <= kinds
    elif question.way == "sweep":
        configs = Grid(request.space).ask(10_000)
        whole = [{**{"momentum": 0.0}, **config} for config in configs]
        groups = {word(config, question.by) for config in whole}
        for claim in question.claims:
            assert claim.better in groups
            assert claim.worse in groups


def test_every_sweep_file_has_its_question() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == {question.name for question in QUESTIONS}


def test_an_interval_is_students_with_the_correction_of_nadeau_and_bengio() -> None:
    values = np.random.default_rng(0).normal(size=20)
    plain = stats.t.interval(0.95, 19, values.mean(), stats.sem(values))
    assert halfwidth(values, 0.0) == pytest.approx((plain[1] - plain[0]) / 2)
    assert halfwidth(values, 0.25) / halfwidth(values, 0.0) == pytest.approx((1 + 20 * 0.25) ** 0.5)
    assert np.isnan(halfwidth(values[:1], 0.25))


@pytest.mark.parametrize(("seeds", "plain", "corrected"), [(0.0, 0.61, 0.92), (0.1, 0.66, 0.96), (0.5, 0.88, 1.0)])
def test_intervals_cover_the_truth_where_trainings_share_rows(seeds: float, plain: float, corrected: float) -> None:
    """Four trainings on each of five folds: the rows' luck is common to four, the luck of `seeds` is each one's own.

    Where seeds add next to nothing there are five numbers and not twenty, and even the corrected interval is somewhat
    short; where they add as much as rows do it is wider than it need be.
    """
    rng = np.random.default_rng(1)
    hits = {0.0: 0, 0.25: 0}
    for _ in range(2000):
        scores = np.repeat(rng.normal(size=(5, 20)).mean(axis=1), 4) + seeds * rng.normal(size=20)
        for ratio in hits:
            mean, half, _ = told(scores, ratio)
            hits[ratio] += abs(mean) < half
    assert hits[0.0] / 2000 == pytest.approx(plain, abs=0.03)
    assert hits[0.25] / 2000 == pytest.approx(corrected, abs=0.03)


def test_a_difference_is_taken_training_by_training_in_the_direction_that_is_better() -> None:
    better, worse = np.array([0.9, 0.8, np.nan]), np.array([0.7, 0.7, 0.1])
    mean, half, pairs = difference(better, worse, True, 0.0)
    assert mean == pytest.approx(0.15)
    assert pairs == 2
    assert half == pytest.approx(12.706204736 * 0.05)
    assert difference(better, worse, False, 0.0)[0] == pytest.approx(-0.15)
    assert [verdict([1.0, 0.5, 9]), verdict([-1.0, 0.5, 9]), verdict([1.0, 1.5, 9]), verdict([None, None, 0])] == [
        "yes", "no", "open", "open",
    ]  # fmt: skip


def test_a_curve_has_converged_nine_tenths_of_its_way_down() -> None:
    curves = np.array([[1.0, 0.5, 0.1, 0.0], [1.0, 0.09, 0.0, np.nan], [np.nan] * 4, [1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_array_equal(converged(curves), [3, 2, np.nan, 1])


def tiny(request: Request) -> Request:
    space = js.Space(epochs=js.Choice([10, 100, 1000]), width=4, depth=1, batch_size="full")
    return replace(request, folds=2, replicates=2, space=space)


def test_an_answer_has_what_was_trained() -> None:
    question = next(question for question in QUESTIONS if question.name == "epochs")
    found = answer(replace(question, data=("iris",)), Settings(Path("nowhere"), 2, tiny))
    assert found["trainings"] == 12
    groups = found["data"]["iris"]["groups"]
    assert list(groups) == ["10 epochs", "100 epochs", "1000 epochs"]
    losses = [group["train_loss"][0] for group in groups.values()]
    assert losses == sorted(losses, reverse=True)
    better = groups["100 epochs"]["val_score"][0] - groups["10 epochs"]["val_score"][0]
    assert found["data"]["iris"]["claims"][1][0] == pytest.approx(better, abs=1e-5)
    text = page({"questions": {"epochs": found}, "machine": "none", "versions": "none"})
    assert "12 networks were trained" in text
    assert f"](#{anchor(question.title)})" in text


def test_who_diverged_counts_as_one_that_always_predicts_the_same() -> None:
    assert constant_score(js.load_dataset("iris")) == pytest.approx(1 / 3)
    assert constant_score(js.load_dataset("diabetes")) == 0


def test_the_page_in_the_repository_is_what_was_measured() -> None:
    answers = json.loads((EXPERIMENTS / "answers.json").read_text())
    assert (EXPERIMENTS / "README.md").read_text() == page(answers)
    assert set(answers["questions"]) == {question.name for question in QUESTIONS}
    assert all((EXPERIMENTS / "pictures" / f"{question.name}.png").stat().st_size > 0 for question in QUESTIONS)

"""From trainings to answers: means with intervals, and whether a claim held. What is here is plain data, for JSON."""

import time
from collections.abc import Mapping
from typing import Any

from questions.measures import MEASURES, difference, told
from questions.registry import Claim, Question
from questions.sweeping import Found, Settings
from questions.ways import WAYS

DIGITS = 6  # that are kept of a number


def answer(question: Question, settings: Settings) -> dict[str, Any]:
    """Train what a question asks for, and return its answer."""
    began = time.perf_counter()
    found: dict[str, Found] = {}
    for name in question.data:
        found |= WAYS[question.way](question, name, settings)
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "trainings": sum(each.trainings for each in found.values()),
        "data": {name: summary(question, each) for name, each in found.items()},
    }


def summary(question: Question, found: Found) -> dict[str, Any]:
    """Return one data set's groups and claims, with means and half intervals."""
    groups = {
        title: {
            "chosen": found.chosen.get(title, ""),
            "diverged": found.diverged.get(title, 0),
            **{
                measure: _rounded(told(group[measure], found.ratio))
                for measure in question.measures
                if measure in group
            },
        }
        for title, group in found.groups.items()
    }
    claims = [_rounded(_judged(claim, found)) for claim in question.claims]
    return {"groups": groups, "claims": claims, **({} if found.map is None else {"map": _short(found.map)})}


def _judged(claim: Claim, found: Found) -> tuple[float, float, int]:
    worse = claim.worse if isinstance(claim.worse, float) else found.groups[claim.worse][claim.measure]
    better = found.groups[claim.better][claim.measure]
    return difference(better, worse, MEASURES[claim.measure].larger, found.ratio)


def _rounded(given: tuple[float, float, int]) -> list[Any]:
    return [_number(given[0]), _number(given[1]), given[2]]


def _number(value: float) -> float | None:
    """Return a number as JSON has it, None for NaN."""
    return float(f"{value:.{DIGITS}g}") if value == value else None


def _short(given: Mapping[str, Any]) -> dict[str, Any]:
    return {**given, "values": [[_number(value) for value in row] for row in given["values"]]}

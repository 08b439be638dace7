"""What a sweep is after: constraints are read strictly, and sizes count what training changes."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsweep.errors import RequestError
from jaxsweep.spec.aims import Aims, Constraint
from jaxsweep.spec.request import Request

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
SPACES = st.text(" \t", max_size=3)
FORM = re.compile(
    r"\s*[A-Za-z_]\w*\s*(<=|>=)\s*[-+]?(\d+(_\d+)*\.?|(\d+(_\d+)*)?\.\d+(_\d+)*)(e[-+]?\d+)?\s*", re.A | re.I
)
LIMITS = ("parameters <= 10000", "val_accuracy >= 0.9")


@given(NAMES, st.booleans(), st.floats(allow_nan=False, allow_infinity=False), SPACES, SPACES)
def test_a_constraint_is_read_as_it_is_written(name: str, upper: bool, bound: float, left: str, right: str) -> None:
    made = Constraint(name, upper, bound)
    assert Constraint.parse(str(made)) == made
    assert Constraint.parse(f"{left}{name}{right}{'<=' if upper else '>='}{left}{bound!r}{right}") == made


@given(st.text(max_size=30) | st.from_regex(r"\s*[a-z]*\s*[<>=]{1,2}\s*[-+.0-9eE_a-z]*\s*", fullmatch=True))
def test_any_other_text_is_refused_in_one_sentence(text: str) -> None:
    if FORM.fullmatch(text):
        assert Constraint.parse(str(Constraint.parse(text))) == Constraint.parse(text)
    else:
        with pytest.raises(RequestError, match="must be a metric, <= or >=, and a number, such as 'parameters"):
            Constraint.parse(text)


@pytest.mark.parametrize(
    "wrong",
    ["parameters < 5", "parameters == 5", "parameters <= ", "<= 5", "5 <= parameters", "a <= b", "a <= 1 <= 2",
     "a <= nan", "a <= inf", "a <= 1e999", "a b <= 1", "", 5, None, "a<=1;b<=2", "parameters <= 5k"],
)  # fmt: skip
def test_what_is_no_constraint(wrong: Any) -> None:
    with pytest.raises(RequestError, match="is not legal: it must be a metric"):
        Constraint.parse(wrong)


def test_a_violation_is_a_share_of_the_bound() -> None:
    assert Constraint.parse("parameters<=10_000").violation(15_000) == 0.5
    assert Constraint.parse("parameters <= 1e4").violation(10_000) == 0
    assert Constraint.parse("val_r2 >= 0.5").violation(0.25) == 0.5
    assert Constraint.parse("val_r2 >= 0").violation(-0.25) == 0.25
    assert Constraint.parse("val_r2 >= 0").violation(math.nan) == math.inf


def test_what_is_told_of_trials() -> None:
    aims = Aims(("val_accuracy", "parameters"), tuple(map(Constraint.parse, LIMITS)))
    assert aims.directions == ("maximize", "minimize")
    assert aims.names == ("parameters", "val_accuracy")
    known = [{"val_accuracy": 0.8, "parameters": 20_000}, {"val_accuracy": math.nan, "parameters": 5}]
    scores, violations = aims.told([0.8, None], known)
    assert scores[0].tolist() == [0.8, 20_000]
    assert [math.isnan(value) for value in scores[1]] == [True, True]
    assert violations is not None
    assert violations[0] == pytest.approx(1 + 1 / 9)
    assert [aims.broken(*each) for each in zip([0.8, None], known, strict=True)] == [LIMITS, ()]
    alone = Aims(("val_accuracy",))
    assert [None if each is None else each.tolist() for each in alone.told([0.5, 1.0], [{}, {}])] == [[0.5, 1.0], None]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"objective": []}, "objective = [] is not legal: it must be a name, or a list"),
        ({"objective": ["val_accuracy", 3]}, "is not legal: it must be a name, or a list of names"),
        ({"objective": "parameters"}, "write ['val_accuracy', 'parameters'], or constrain it"),
        ({"objective": ["seconds", "val_loss"]}, "the first objective must be a validation metric"),
        ({"constraints": 5}, "constraints = 5 is not legal: it must be like ['parameters <= 10000']"),
        ({"constraints": ["parameters"]}, "constraint 'parameters' is not legal"),
        ({"objective_weights": [1]}, "goes with several objectives, and there is one"),
        ({"objective": ["val_loss", "seconds"], "objective_weights": [1]}, "it must be 2 numbers >= 0"),
        ({"objective": ["val_loss", "seconds"], "objective_weights": [1, -1]}, "it must be 2 numbers >= 0"),
        ({"objective": ["val_loss", "seconds"], "objective_weights": [0, 0]}, "and not all 0"),
        ({"objective": ["val_loss", "seconds"], "objective_weights": 3}, "it must be 2 numbers >= 0"),
    ],
)
def test_requests_that_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError) as error:
        Request(configs=({},), **fields)
    assert said in str(error.value)


def test_a_rounding_breaks_no_bound() -> None:
    """Metrics are measured in float32, where 27 of 30 is a little less than 0.9; sizes are whole numbers."""
    assert Constraint.parse("val_accuracy >= 0.9").violation(float(np.float32(27 / 30))) == 0
    assert Constraint.parse("val_accuracy <= 0.8").violation(float(np.float32(24 / 30))) == 0
    assert Constraint.parse("val_accuracy >= 0.9").violation(0.8999) > 0
    assert Constraint.parse("val_loss <= 0").violation(1e-9) > 0
    assert Constraint.parse("parameters <= 16777216").violation(16777217) > 0

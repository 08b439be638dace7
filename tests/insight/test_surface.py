"""How scores follow a hyperparameter: means of bins, each of trials enough to say something."""

import numpy as np
import pytest
from many_trials import many

from jaxsweep.insight.surface import EACH, SLICE, slice_of
from jaxsweep.insight.variance import FEWEST


@pytest.mark.parametrize("trials", [40, 100, 1000])
def test_bins_of_many_values_hold_trials_enough(trials: int) -> None:
    sheet = many(trials)
    found = slice_of(sheet.factors["rate"], sheet.scores)
    known = int(np.isfinite(sheet.scores).sum())
    assert found.trials.sum() == known
    assert found.trials.min() >= EACH
    assert FEWEST <= len(found.at) <= SLICE
    assert len(found.at) == min(SLICE, known // EACH)
    assert (found.low < found.mean).all()


@pytest.mark.parametrize("name", ["size", "word"])
def test_few_values_are_bins_of_their_own_however_few_trials_they_have(name: str) -> None:
    sheet = many(20)
    factor = sheet.factors[name]
    assert len(slice_of(factor, sheet.scores).at) == len(np.unique(factor.x[np.isfinite(sheet.scores)]))

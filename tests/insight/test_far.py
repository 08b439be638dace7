"""What lies far from all other values: only at the bad end, nowhere where a metric has bounds, and never the best."""

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from many_trials import every, many

from jaxsweep.insight import charts
from jaxsweep.insight.far import Side, fences, tame, worse_end
from jaxsweep.insight.importance import importance
from jaxsweep.insight.plots import Plots
from jaxsweep.insight.sheet import FloatArray, Sheet

mpl.use("Agg")

from matplotlib import pyplot

VALUES = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 1e30, -1e30])  # quartiles at .5 and 3.5


@pytest.mark.parametrize(
    ("side", "last"),
    [("low", [1e30, -8.5]), ("high", [12.5, -1e30]), ("both", [12.5, -8.5]), ("none", [1e30, -1e30])],
)
def test_far_values_of_an_end_lie_at_its_fence(side: Side, last: list[float]) -> None:
    values, count = tame(VALUES, side)
    assert values[:5].tolist() == VALUES[:5].tolist()
    assert values[5:].tolist() == last
    assert count == (VALUES[5:] != last).sum()


def test_where_most_are_equal_nothing_says_what_is_far() -> None:
    assert tame(np.array([1.0] * 9 + [5.0]), "both")[1] == 0
    assert fences(np.zeros(0), "both") == (-np.inf, np.inf)


@settings(deadline=None)
@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=50), st.sampled_from([1, -1]))
def test_the_best_is_never_far(values: list[float], sign: int) -> None:
    x = np.array([*values, np.nan, np.inf])
    near, _ = tame(x, worse_end(sign))
    assert np.isnan(near[-2:]).all()
    best = sign * max(sign * value for value in values)
    assert sign * np.nanmax(sign * near) == best
    low, high = charts.bounds(x[:-2], worse_end(sign))
    assert low <= best <= high


def early(objective: str, sign: int, seed: int = 0) -> Sheet:
    """Trials of which a scheduler let one in ten train on, and of which three came to something without sense.

    Where `child` is present all scores are alike but for every fifth, which is far among these, and not among all.
    """
    sheet, dice = many(300), np.random.default_rng(seed)
    child, places = sheet.factors["child"].present, np.arange(300)
    luck = np.where(child, np.where(places % 5 == 1, -3.0, 0.001), 1.0) * dice.uniform(-1, 1, 300) ** 2
    bad = (0.1 if sign > 0 else 2.3) + sign * 0.01 * luck
    good = dice.uniform(0.6, 0.99, 300) if sign > 0 else dice.uniform(0.01, 0.5, 300)
    scores: FloatArray = np.where((places % 10 == 0) & ~child, good, bad)
    scores[[5, 6, 7]] = np.nan if objective == "val_accuracy" else -sign * 1e30
    return Sheet(sheet.ids, sheet.factors, scores, np.isnan(scores), objective, sign, {})


@pytest.mark.parametrize(("objective", "sign"), [("val_accuracy", 1), ("val_loss", -1), ("val_r2", 1), ("val_mine", 1)])
def test_every_picture_has_the_best_trial_and_all_means(objective: str, sign: int) -> None:
    sheet = early(objective, sign)
    best = sheet.scores[sheet.best_first[0]]
    several, slices, fronts = every(sheet), 0, 0
    for chart in several:
        kind, up = chart["data"][0]["type"], chart["layout"].get("yaxis", {})
        if kind == "parcoords":
            score = np.array(chart["data"][0]["dimensions"][0]["values"])
            assert sign * (sign * score).max() == pytest.approx(best, rel=1e-4)
            assert np.abs(score).max() < 3.0
        elif kind == "scatter" and up["title"]["text"] == objective:
            low, high = up["range"]
            assert low <= best <= high or chart["layout"]["xaxis"]["title"]["text"] == "child"  # it has none
            assert -3.0 < low < high < 3.0
            means = [each for each in chart["data"] if "error_y" in each]
            slices, fronts = slices + len(means), fronts + (not means)
            for line in means:
                assert all(low <= value <= high for value in line["y"])
    assert (slices, fronts) == (len(sheet.factors), 1)

    plots = Plots(sheet, lambda metric: sheet.scores[:, None], np.linspace(0.1, 3, 300))
    for figure in (plots.slice("rate"), plots.cost(), plots.curves()):
        low, high = figure.axes[0].get_ylim()
        assert low <= best <= high
        assert -3.0 < low < high < 3.0
        pyplot.close(figure)


@pytest.mark.parametrize(("objective", "sign", "far"), [("val_accuracy", 1, 0), ("val_loss", -1, 3), ("val_r2", 1, 3)])
def test_shares_are_of_the_good_as_well_as_of_the_others(objective: str, sign: int, far: int) -> None:
    """One in ten is good, and a hyperparameter decides which: it has the variance, though all others are alike."""
    sheet = early(objective, sign)
    rate = sheet.factors["rate"]
    order = np.argsort(rate.x)
    scores = np.empty(300)
    scores[order[:30]] = np.linspace(0.98, 0.99, 30) if sign > 0 else np.linspace(0.02, 0.01, 30)
    scores[order[30:]] = (0.1 if sign > 0 else 2.3) + 0.01 * np.random.default_rng(0).random(270)
    scores[order[[50, 150, 250]]] = np.nan if objective == "val_accuracy" else -sign * 1e30
    found = importance(Sheet(sheet.ids, sheet.factors, scores, np.isnan(scores), objective, sign, {}))
    assert found.main["rate"] > 0.8
    assert found.drawn_in == far

"""Pictures by matplotlib: what they draw, where, and what is refused."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from many_trials import many

from jaxsweep.errors import RequestError
from jaxsweep.insight.plots import ABSENT, Plots

mpl.use("Agg")

from matplotlib import pyplot
from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def plots() -> Plots:
    sheet = many(300)
    curves = np.random.default_rng(0).random((300, 9))
    curves[::4, 5:] = np.nan

    def table(metric: str) -> Any:
        if metric != "val_loss":
            raise RequestError(f"{metric!r} has no learning curve")
        return curves

    return Plots(sheet, table, np.linspace(0.1, 3, 300))


PICTURES = {
    "curves": (), "importance": (), "slice": ("rate",), "interaction": ("rate", "word"), "cost": (), "parallel": (),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_each_draws_where_it_is_told_and_is_labelled(plots: Plots, name: str) -> None:
    figure, (left, right) = pyplot.subplots(1, 2)
    assert getattr(plots, name)(*PICTURES[name], ax=right) is figure
    assert not left.has_data()
    assert right.has_data()
    assert right.get_xlabel() or [label.get_text() for label in right.get_xticklabels()]
    own = getattr(plots, name)(*PICTURES[name])
    assert isinstance(own, Figure)
    assert own is not figure
    own.canvas.draw()  # nothing warns


def test_slices_are_all_of_them(plots: Plots) -> None:
    figure = plots.slices()
    figure.canvas.draw()
    labels = [axes.get_xlabel() for axes in figure.axes if axes.has_data()]
    assert labels == [*plots.sheet.factors]
    assert [axes.get_xlabel() for axes in plots.slices(["rate"]).axes] == ["rate"]


def test_a_logarithm_is_one_and_words_are_words(plots: Plots) -> None:
    (rate,) = plots.slice("rate").axes
    assert rate.get_xscale() == "log"
    (word,) = plots.slice("word").axes
    assert [label.get_text() for label in word.get_xticklabels()] == [*plots.sheet.factors["word"].labels]


@pytest.mark.parametrize("most", [0.06, 0.5, 3.0, 3e4])
def test_words_of_a_logarithm_do_not_touch(most: float) -> None:
    plots = Plots(many(300), lambda metric: np.zeros((300, 1)), np.geomspace(0.02, most, 300))
    figure = plots.cost()
    figure.canvas.draw()
    (axes,) = figure.axes
    labels = [*axes.get_xticklabels(), *axes.get_xticklabels(minor=True)]
    low, high = sorted(axes.get_xlim())
    boxes = sorted(
        (label.get_window_extent().x0, label.get_window_extent().x1)
        for label in labels
        if label.get_text() and low <= label.get_position()[0] <= high
    )
    assert len(boxes) >= 2
    assert all(right < left for (_, right), (left, _) in pairwise(boxes))


def test_the_best_config_lies_on_top_and_what_is_absent_below(plots: Plots) -> None:
    (axes,) = plots.parallel(["child", "x0"]).axes
    sheet, line = plots.sheet, np.asarray(axes.lines[-1].get_ydata(), np.float64)
    best = sheet.best_first[0]
    child = sheet.factors["child"].x[best]
    assert (line[0] == ABSENT) == np.isnan(child)
    assert line[-1] == 1  # the best score


@pytest.mark.parametrize(
    ("draw", "match"),
    [
        (lambda p: p.slice("width"), "'width' was not varied"),
        (lambda p: p.slices(["rate", "x"]), "'x' was not varied"),
        (lambda p: p.interaction("rate", "width"), "'width' was not varied"),
        (lambda p: p.curves("val_los"), "'val_los' has no learning curve"),
        (lambda p: p.importance("val_los"), "'val_los' is nothing that trials have"),
    ],
)
def test_what_cannot_be_drawn_is_said(plots: Plots, draw: Any, match: str) -> None:
    with pytest.raises(RequestError, match=match):
        draw(plots)

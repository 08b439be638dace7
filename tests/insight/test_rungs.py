"""Where a scheduler stopped trials: counts and scores at each rung, and the pictures that show them."""

import json

import matplotlib as mpl
import numpy as np
import pytest

import jaxsweep as js
from jaxsweep.insight import charts
from jaxsweep.insight.rungs import Rung, Stops

pytestmark = pytest.mark.usefixtures("one_tile")
mpl.use("agg")

NAN = np.nan
TABLE = np.array([
    [0.1, NAN, NAN, NAN],
    [0.2, 0.3, NAN, NAN],
    [0.3, 0.5, 0.6, 0.9],
    [0.4, 0.6, 0.2, NAN],  # ended by itself
    [NAN, NAN, NAN, NAN],  # diverged in its first epoch
])  # fmt: skip
STOPS = Stops(np.array([1, 2, 4, 3, 0]), np.array([True, True, False, False, False]), {3: 2})


def test_each_rung_says_who_came_and_who_went_on() -> None:
    assert STOPS.rungs(TABLE, 1)[:2] == [
        Rung(1, 4, 3, 1, 0, 0.4, 0.3, 0.1), Rung(2, 3, 2, 1, 0, 0.6, (0.5 + 0.6) / 2, 0.3),
    ]  # fmt: skip
    last = STOPS.rungs(TABLE, -1)[2]
    assert (last.epoch, last.came, last.went_on, last.stopped, last.copied) == (3, 2, 1, 0, 2)
    assert (last.best, last.of_kept) == (0.2, 0.6)
    assert np.isnan(last.of_stopped)
    epochs, values = STOPS.ends(TABLE)
    assert (epochs.tolist(), values.tolist()) == ([1, 2], [0.1, 0.3])


def test_curves_have_a_line_for_each_rung_and_a_cross_for_each_trial() -> None:
    chart = charts.curves(TABLE, "val_accuracy", 1, [], STOPS)
    json.dumps(chart, allow_nan=False)
    assert [line["x0"] for line in chart["layout"]["shapes"]] == [1, 2, 3]
    assert [note["text"] for note in chart["layout"]["annotations"]] == ["4→3", "3→2", "2 copied"]
    near = [Rung(epoch, 81, 27, 54, 0, NAN, NAN, NAN) for epoch in (1, 3, 9, 27)]
    assert charts.steps(near, 27) == [1.0, 1.0 - 0.055, 1.0, 1.0]  # words at 1 go as far as 4
    crosses = chart["data"][-1]
    assert (crosses["name"], crosses["x"], crosses["y"]) == ("stopped", [1, 2], [0.1, 0.3])
    plain = charts.curves(TABLE, "val_accuracy", 1, [])
    assert plain["layout"]["shapes"] == []
    assert [line["name"] for line in plain["data"][1:]] == ["10 %", "median", "90 %"]


def test_of_many_rungs_those_are_shown_at_which_most_was_decided() -> None:
    several = [Rung(n, 40, 20, n % 7, 0, NAN, NAN, NAN) for n in range(1, 60)]
    shown = charts.most_stopped(several)
    assert len(shown) == charts.SHOWN
    assert {rung.stopped for rung in shown} == {6, 5}
    assert [rung.epoch for rung in shown] == sorted(rung.epoch for rung in shown)


def test_a_halving_is_seen_in_pictures_and_on_the_page(iris: js.Dataset, tmp_path: object) -> None:
    space = js.Space(learning_rate=js.LogUniform(1e-3, 1e-1), depth=1, width=4, batch_size=64, epochs=9)
    result = js.sweep(iris, space, trials=9, scheduler="halving", out=f"{tmp_path}/run", progress=False)
    loaded = js.load(f"{tmp_path}/run")
    assert loaded.stops is not None
    rungs = loaded.stops.rungs(loaded.curves("val_accuracy"), 1)
    assert [(rung.epoch, rung.came, rung.went_on, rung.stopped) for rung in rungs] == [(1, 9, 3, 6), (3, 3, 1, 2)]
    assert all(rung.of_kept >= rung.of_stopped for rung in rungs)
    assert loaded.report().read_text(encoding="utf-8").count("<td>9</td><td>3</td><td>6</td>") == 1
    (axes,) = result.plot.curves("val_loss").axes
    assert [note.get_text() for note in axes.texts] == ["9→3", "3→1"]
    crosses = next(line for line in axes.lines if line.get_label() == "stopped")
    assert sorted(np.asarray(crosses.get_xdata()).tolist()) == [1] * 6 + [3] * 2
    assert js.sweep(iris, space, trials=1, progress=False).stops is None

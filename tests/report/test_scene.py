"""Pictures of a running sweep: which hyperparameter they show, what is drawn, where, and how often."""

import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

import jaxsweep as js
from jaxsweep.report import drawing, scene, views
from jaxsweep.report.progress import Progress, Snapshot

DICE = np.random.default_rng(0)


def trial(number: int, score: float | None, **params: Any) -> Any:
    return SimpleNamespace(id=number, score=score, params=params)


def snapshot(trials: list[Any], objective: str = "val_accuracy") -> Snapshot:
    pick = max if objective == "val_accuracy" else min
    best = pick(trials, key=lambda each: each.score) if trials else trial(0, 0.0)
    return Snapshot(
        requested=500, finished=len(trials), objective=objective, best_trial=best.id, best_score=best.score,
        best_params=best.params, scored=trials, best_curve=1 - 0.7 * np.exp(-np.arange(12) / 3), best_curve_of=best.id,
    )  # fmt: skip


def many(count: int = 300) -> list[Any]:
    """Scores follow the logarithm of the learning rate, a little the optimizer, and not the depth."""
    found = []
    for number in range(count):
        rate, optimizer, depth = 10 ** DICE.uniform(-4, -1), DICE.choice(["adam", "sgd"]), int(DICE.integers(1, 4))
        score = 0.95 - 0.1 * (np.log10(rate) + 2) ** 2 - 0.02 * (optimizer == "sgd") + 0.02 * DICE.normal()
        found.append(trial(number, float(score), learning_rate=rate, optimizer=optimizer, depth=depth))
    return found


NOW = snapshot(many())


def seen(now: Snapshot = NOW) -> scene.Scene:
    found = scene.scene_of(now)
    assert found is not None
    return found


def test_it_shows_what_matters_most_so_far() -> None:
    found = seen()
    assert found.name == "learning_rate"
    assert 0.5 < found.share < 1
    rates = np.log(np.array([each.params["learning_rate"] for each in NOW.scored]))
    np.testing.assert_allclose(found.x, (rates - rates.min()) / np.ptp(rates), atol=1e-9)
    scores = np.array([each.score for each in NOW.scored])
    assert (found.high, found.low) == (scores.max(), np.quantile(scores, 0.1))
    assert found.y[found.best] == 1.0
    assert scores[found.best] == scores.max()
    assert found.title == f"learning_rate explains {found.share:.0%} of val_accuracy"
    only = snapshot([trial(each.id, each.score, depth=each.params["depth"]) for each in NOW.scored])
    assert seen(only).title == "val_accuracy by depth: no effect seen"
    assert [word for _, word in seen(only).ticks] == ["1", "2", "3"]


def test_smaller_may_be_better_and_some_may_lack_it() -> None:
    trials = [
        trial(n, 1e6 if n == 5 else (n % 7) / 7, **({"momentum": (n % 7) / 10} if n % 2 else {})) for n in range(60)
    ]
    found = seen(snapshot(trials, "val_loss"))
    assert found.name == "momentum"
    assert len(found.x) == 30
    assert found.low == 0.0
    assert found.high < 1  # the outlier is drawn at the edge
    assert found.y[found.best] == 0.0


def test_the_share_is_that_of_an_analysis_of_variance() -> None:
    codes = np.repeat(np.arange(4), 25)
    values = codes + DICE.normal(size=100)
    means = np.array([values[codes == code].mean() for code in range(4)])
    within = ((values - means[codes]) ** 2).sum() / (100 - 4)
    assert scene.explained(codes, values) == pytest.approx(1 - within / values.var(ddof=1))
    noise = [scene.explained(codes, DICE.normal(size=100)) for _ in range(300)]
    assert abs(np.mean(noise)) < 0.01  # what is nothing is as often below 0 as above
    assert scene.explained(codes, np.ones(100)) == 0.0


def test_little_is_nothing_to_see() -> None:
    assert scene.scene_of(snapshot(many(9))) is None
    assert scene.scene_of(Snapshot()) is None
    assert scene.scene_of(snapshot([trial(n, 0.5, depth=n % 3) for n in range(50)])) is None  # all alike
    assert scene.scene_of(snapshot([trial(n, n / 50, depth=1) for n in range(50)])) is None  # nothing varies
    assert scene.scene_of(snapshot([trial(n, n / 50) for n in range(50)])) is None


def test_of_many_trials_a_part_is_looked_at_and_the_best() -> None:
    trials = many(5001)
    trials[4321].score = 2.0
    found = seen(snapshot(trials))
    assert 800 < len(found.x) <= scene.MOST + 1
    assert found.high == 2.0
    assert found.y[found.best] == 1.0


def test_it_is_made_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("jaxsweep.report.scene.time.monotonic", lambda: clock[0])
    made = []

    def slow(now: Snapshot) -> None:
        made.append(clock[0])
        clock[0] += 0.05

    monkeypatch.setattr(scene, "scene_of", slow)
    scenes = scene.Scenes()
    while clock[0] < 200:
        scenes.look(NOW)
        clock[0] += 0.2
    assert len(made) * 0.05 < 0.01 * 100
    assert len(made) > 5
    scenes.look(NOW, last=True)
    assert made[-1] >= 200


def test_a_picture_has_its_dots_where_the_scores_are() -> None:
    """The best is at the top, and a curve goes up without gaps."""
    for ascii_only in (False, True):
        lines = [line.plain for line in drawing.lines(seen(), 100, ascii_only)]
        assert len(lines) == drawing.HEIGHT + 2
        assert max(map(len, lines)) <= 100
        assert lines[0].startswith("learning_rate explains")
        assert "of trial" in lines[0]
        assert ascii_only == all(line.isascii() for line in lines)
        assert lines[1].split()[0] == f"{seen().high:.4g}"
        assert lines[drawing.HEIGHT].split()[0] == f"{seen().low:.4g}"
        left = [line[drawing.LABEL : drawing.LABEL + 41] for line in lines[1:-1]]
        centre = [np.mean([n for n, dot in enumerate(line) if dot != " "]) for line in left]
        assert 20 < centre[0] < 35  # at 0.01, two thirds of the way from 0.0001 to 0.1
        marks = [[n for n, dot in enumerate(line[58:]) if dot != " "] for line in lines[1:-1]]
        assert {n for several in marks for n in several} == set(range(41))
    assert "@" in "".join(line.plain for line in drawing.lines(seen(), 100, True)[1:3])
    narrow = drawing.lines(seen(), 40, False)
    assert max(len(line.plain) for line in narrow) <= 40
    assert drawing.lines(seen(), 20, False) == []
    (line, *_) = drawing.lines(seen(replace(NOW, best_curve=np.full(5, np.nan))), 100, False)
    assert "of trial" not in line.plain
    drawing.lines(seen(replace(NOW, best_curve=np.array([np.nan, 0.3, np.nan, 0.5]))), 100, False)


def shown(width: int, height: int, encoding: str = "utf-8", done: bool = False) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    console = Console(file=file, width=width, height=height, force_terminal=True, color_system=None)
    view = views.LiveView(console)
    view.update(NOW)
    if done:
        view.close(NOW)
    console.print(view)
    file.flush()
    return bytes(file.buffer.getvalue()).decode(encoding)


def test_a_terminal_shows_it_while_the_sweep_runs_if_it_has_room(capsys: pytest.CaptureFixture[str]) -> None:
    assert "learning_rate explains" in shown(100, 24)
    assert any("\u2800" < character < "\u28ff" for character in shown(100, 24))
    assert not any("\u2800" < character < "\u28ff" for character in shown(100, 24, "ascii"))
    assert "@" in shown(100, 24, "ascii")
    assert "explains" not in shown(100, 24, done=True)
    assert "explains" not in shown(100, 12)
    line = views.LineView()
    line.start(NOW)
    line.close(NOW)
    assert "explains" not in capsys.readouterr().err


def test_a_notebook_shows_it_as_text_and_shapes_alone() -> None:
    view = views.NotebookView()
    page = view._html(NOW)
    assert page.count("<svg") == 2
    assert page.count("<circle") == 300
    assert "learning_rate explains" in page
    assert view._html(NOW).endswith(page[page.index("<svg") :])  # the same, not made again
    odd = snapshot([trial(each.id, each.score, activation=f"<b>{each.id % 2}") for each in NOW.scored], "val_<script>")
    drawn = drawing.svg(seen(odd))
    ElementTree.fromstring(drawn)
    assert "<b>" not in drawn
    assert "<script>" not in drawn


def test_a_sweep_tells_of_its_scores_and_of_the_best_curve(monkeypatch: pytest.MonkeyPatch, iris: js.Dataset) -> None:
    states: list[Snapshot] = []

    class Listener(Progress):
        def close(self, snapshot: Snapshot) -> None:
            states.append(snapshot)

    monkeypatch.setattr(views, "make_progress", lambda enabled: Listener())
    configs = [{"learning_rate": rate, "epochs": 3, "width": 4, "batch_size": 64} for rate in (0.1, 0.01, 1e30)]
    result = js.sweep(iris, configs=configs, replicates=2)
    (end,) = states
    assert {each.id for each in end.scored} == {0, 1}
    assert end.best_curve_of == result.best.id
    np.testing.assert_array_equal(end.best_curve, result.curves("val_accuracy")[result.best.id])

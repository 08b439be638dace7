"""Progress on a terminal, in a log file and in a notebook."""

import io
from typing import Any

import pytest
from rich.console import Console

from jaxsweep.report import views
from jaxsweep.report.progress import Progress, Snapshot

STATE = Snapshot(
    requested=50, finished=20, diverged=2, seconds=10.0, rate=2.0, left=15.0, busy=0.9, objective="val_accuracy",
    best_trial=7, best_score=0.98765, best_params={"learning_rate": 0.0123456, "depth": 3, "optimizer": "adam"},
    programs=2,
)  # fmt: skip


def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    view = views.make_progress(None)
    assert isinstance(view, views.LineView)
    view.start(STATE)
    for _ in range(100):
        view.update(STATE)  # within the first seconds: no line
    view.message("a remainder")
    view.close(STATE)
    assert capsys.readouterr().err.splitlines() == [
        "50 trials, objective val_accuracy",
        "note: a remainder",
        "20/50 trials, 2 configs/s, lanes busy 90%, 2 diverged, best val_accuracy 0.9877 (trial 7), 0:10 taken",
        "best config: learning_rate=0.0123 depth=3 optimizer=adam",
    ]
    assert type(views.make_progress(False)) is Progress


def test_the_live_view_shows_the_state() -> None:
    file = io.StringIO()
    view = views.LiveView(Console(file=file, force_terminal=True, width=90, height=20))
    view.start(Snapshot(requested=50, objective="val_accuracy"))
    view.update(STATE)
    view.message("a remainder")
    view.close(STATE)
    text = file.getvalue()
    for words in ("20/50 trials", "lanes busy 90%", "2 programs", "2 diverged", "0.9877 (trial 7)", "0:10 taken"):
        assert words in text
    assert "compiling the first programs" in text
    assert "note: a remainder" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0  # the cursor is back


def test_a_notebooks_display_is_replaced_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[str] = []

    class Handle:
        def update(self, content: Any) -> None:
            shown.append(content.data)

    def put(content: Any, display_id: bool = False) -> Handle:
        shown.append(content.data)
        return Handle()

    monkeypatch.setattr(display, "display", put)
    view = views.NotebookView()
    view.start(STATE)
    view.update(STATE)
    view.message("a <remainder>")
    view.close(STATE)
    assert len(shown) == 3
    assert "20/50 trials" in shown[0]
    assert "a &lt;remainder&gt;" in shown[1]
    assert "0:10 taken" in shown[2]


def test_times_and_rates_are_readable() -> None:
    assert [views.duration(seconds) for seconds in (None, 0.4, 67, 3765)] == ["-:--", "0:00", "1:07", "1:02:45"]
    assert [views.rate_text(rate) for rate in (0.123, 9.87, 170.4)] == [
        "0.12 configs/s",
        "9.9 configs/s",
        "170 configs/s",
    ]

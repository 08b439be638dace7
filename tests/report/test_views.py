"""Progress on a terminal, in a log file and in a notebook."""

import io
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from jaxsweep.report import views, words
from jaxsweep.report.progress import Preparing, Progress, Snapshot

STATE = Snapshot(
    requested=50, finished=20, diverged=2, seconds=10.0, rate=2.0, left=15.0, busy=0.9, objective="val_accuracy",
    best_trial=7, best_score=0.98765, best_params={"learning_rate": 0.0123456, "depth": 3, "optimizer": "adam"},
    programs=2,
)  # fmt: skip
COMPILING = Snapshot(
    requested=50, seconds=2.0, left=30.0, objective="val_accuracy", preparing=(Preparing(1, 2, 5.2, 0.0, False),)
)


def test_what_goes_on_is_told() -> None:
    first, second, kept = Preparing(1, 3, 5.2, 0, False), Preparing(3, 3, 0.4, 1, False), Preparing(2, 3, 5.2, 0, True)
    told = {
        "planning": {},
        "compiling program 1 of 3, about 5 s": {"preparing": (first,)},
        "compiling program 1 of 3, 9 s so far where about 5 s was expected": {"preparing": (first._replace(taken=9),)},
        "compiling programs 1 and 3 of 3, about 5 s · loading program 2 of 3": {"preparing": (first, kept, second)},
        "compiling program 3 of 3, about 1 s · training 16 networks of depth 2": {
            "preparing": (second,), "training": 16, "depths": (2,)
        },
        "training 40 networks of depth 0, 1 and 3": {"training": 40, "depths": (0, 1, 3)},
        "training 1 network of depth 1": {"training": 1, "depths": (1,)},
        "recording": {"finished": 50},
        "confirming 5 trials": {"finished": 50, "confirming": 5},
        "confirming 1 trial · training 8 networks of depth 2": {
            "finished": 50, "confirming": 1, "training": 8, "depths": (2,)
        },
        "interrupted: keeping what has finished": {"interrupted": True},
        "interrupted: keeping what has finished, waiting for the program being compiled": {
            "interrupted": True, "preparing": (first,), "training": 16
        },
        "interrupted: keeping what has finished, waiting for the calls under way": {
            "interrupted": True, "training": 16
        },
    }  # fmt: skip
    for text, state in told.items():
        assert words.activity(Snapshot(requested=50, **state)) == text  # type: ignore[arg-type]
    assert words.clock_text(COMPILING) == "0:02 taken, 0:30 left"
    assert words.clock_text(replace(COMPILING, interrupted=True)) == "interrupted, 0:02 taken"
    assert words.taken(replace(COMPILING, interrupted=True)) == "interrupted after 0:02"


def test_a_notebook_is_known_by_what_its_shell_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    class ZMQInteractiveShell: ...

    class Shell(ZMQInteractiveShell): ...  # as google.colab._shell has it

    class TerminalInteractiveShell: ...

    for shell, view in ((ZMQInteractiveShell, views.NotebookView), (Shell, views.NotebookView),
                        (TerminalInteractiveShell, views.LineView), (object, views.LineView)):  # fmt: skip
        made = shell()
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda made=made: made))
        assert type(views.make_progress()) is view
    monkeypatch.delitem(sys.modules, "IPython")
    assert type(views.make_progress()) is views.LineView
    assert "IPython" not in sys.modules


def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    view = views.make_progress(None)
    assert isinstance(view, views.LineView)
    view.start(STATE)
    for state in (COMPILING, STATE, replace(COMPILING, interrupted=True)):
        for _ in range(100):
            view.update(state)  # within the first seconds: no line but for news
    view.message("a remainder")
    view.close(STATE)
    assert capsys.readouterr().err.splitlines() == [
        "50 trials, objective val_accuracy",
        "compiling program 1 of 2, about 5 s; 0:02 taken, 0:30 left",
        "interrupted: keeping what has finished, waiting for the program being compiled",
        "note: a remainder",
        "20/50 trials, 2 configs/s, lanes busy 90%, 2 diverged, best val_accuracy 0.9877 (trial 7), 0:10 taken",
        "best config: learning_rate=0.0123 depth=3 optimizer=adam",
    ]
    assert type(views.make_progress(False)) is Progress


def test_the_live_view_shows_the_state() -> None:
    file = io.StringIO()
    view = views.LiveView(Console(file=file, force_terminal=True, width=90, height=20))
    view.start(replace(COMPILING))
    view.update(STATE)
    view.message("a remainder")
    view.close(STATE)
    text = file.getvalue()
    for part in ("20/50 trials", "lanes busy 90%", "2 programs", "2 diverged", "0.9877 (trial 7)", "0:10 taken"):
        assert part in text
    assert "0/50 trials" in text
    assert "compiling program 1 of 2, about 5 s" in text
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
    for _ in range(100):
        view.update(COMPILING)  # news, once
    view.message("a <remainder>")
    view.close(STATE)
    assert len(shown) == 4
    assert "20/50 trials" in shown[0]
    assert "compiling program 1 of 2, about 5 s" in shown[1]
    assert "<progress max=" in shown[1]  # without a value it moves by itself
    assert "a &lt;remainder&gt;" in shown[2]
    assert "0:10 taken" in shown[3]


def test_times_and_rates_are_readable() -> None:
    assert [words.duration(seconds) for seconds in (None, 0.4, 67, 3765)] == ["-:--", "0:00", "1:07", "1:02:45"]
    assert [words.rate_text(rate) for rate in (0.123, 9.87, 170.4)] == [
        "0.12 configs/s",
        "9.9 configs/s",
        "170 configs/s",
    ]

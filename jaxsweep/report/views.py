"""Progress for people: a live view on a terminal, plain lines elsewhere, a display in a notebook.

All of them limit their own rate, so that a sweep may report as often as it likes.
"""

import copy
import html
import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jaxsweep.report.progress import Progress, Snapshot

LINE_SECONDS = 5.0  # between plain lines
DISPLAY_SECONDS = 0.5  # between two states of a notebook's display
FRAMES = 5  # a second, of the live view


def make_progress(enabled: bool | None = None) -> Progress:
    """Return the view that fits where stderr goes; if `enabled` is False a silent one."""
    if enabled is False:
        return Progress()
    if _in_notebook():
        return NotebookView()
    console = Console(stderr=True, highlight=False)
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else LineView()


def _in_notebook() -> bool:
    """Whether this runs in a notebook's kernel; IPython is asked only if it is there already."""
    ipython = sys.modules.get("IPython")
    shell = getattr(ipython, "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


# --- words shared by all views -----------------------------------------------------------------------------------


def duration(seconds: float | None) -> str:
    """Return a time such as 0:07 or 1:02:45; -:-- while it is unknown."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rate_text(rate: float) -> str:
    """Return configs a second with as many digits as mean something."""
    return f"{rate:.0f} configs/s" if rate >= 100 else f"{rate:.2g} configs/s"


def short(value: Any) -> str:
    """Return a hyperparameter's value in few characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.3g}"
    return "-".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def telling(params: Mapping[str, Any]) -> dict[str, str]:
    """Return what tells a config from others, in few characters each."""
    return {name: short(value) for name, value in params.items()}


def best_text(now: Snapshot) -> str:
    """Return the best score and whose it is."""
    if now.best_score is None:
        return "none yet"
    return f"{now.objective} {now.best_score:.4g} (trial {now.best_trial})"


# --- a terminal --------------------------------------------------------------------------------------------------


class LiveView(Progress):
    """A few lines that redraw themselves; its clock goes on while the sweep compiles and reports nothing."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._done = False
        self._now, self._seen = Snapshot(), time.monotonic()

    def start(self, snapshot: Snapshot) -> None:
        """Begin to show."""
        self.update(snapshot)
        self._live = Live(self, console=self.console, refresh_per_second=FRAMES)
        self._live.start(refresh=True)

    def update(self, snapshot: Snapshot) -> None:
        """Take note; the view's own thread draws."""
        self._now, self._seen = copy.copy(snapshot), time.monotonic()

    def message(self, text: str) -> None:
        """Show a sentence above the view."""
        self.console.print(f"note: {text}", markup=False, style="yellow")

    def close(self, snapshot: Snapshot) -> None:
        """Draw the last state and leave it there."""
        self._done = True
        self.update(snapshot)
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now, late = self._now, 0.0 if self._done else time.monotonic() - self._seen
        left = None if now.left is None else max(now.left - late, 0.0)
        seconds = now.seconds + late
        yield Group(self._bar(now, left, seconds), self._state(now, seconds), self._best(now))

    def _bar(self, now: Snapshot, left: float | None, seconds: float) -> Table:
        done = self._done or now.finished >= now.requested
        line = Table.grid(padding=(0, 2), expand=True)
        line.add_column(ratio=1)
        for _ in range(3):
            line.add_column(justify="right", no_wrap=True)
        rate = rate_text(now.rate) if now.finished else ""
        bar = ProgressBar(total=max(now.requested, 1), completed=now.finished, pulse=now.finished == 0 and not done)
        clock = Text(f"{duration(seconds)} taken" if done else f"{duration(left)} left", style="cyan")
        line.add_row(bar, f"{now.finished}/{now.requested} trials", Text(rate, style="green"), clock)
        return line

    def _state(self, now: Snapshot, seconds: float) -> Text:
        if now.finished == 0 and not self._done:
            return Text(f"compiling the first programs, {duration(seconds)} so far", style="dim")
        text = Text()
        text.append(f"lanes busy {now.busy:.0%}")
        text.append(f"  ·  {now.programs} program{'s' * (now.programs != 1)}")
        text.append("  ·  ")
        return text.append(f"{now.diverged} diverged", style="red" if now.diverged else "")

    def _best(self, now: Snapshot) -> Text:
        text = Text("best so far  " if not self._done else "best  ", overflow="fold")
        text.append(best_text(now), style="bold" if now.best_score is not None else "dim")
        if now.best_score is None:
            return text
        for name, value in telling(now.best_params).items():
            text.append(f"  {name}=", style="dim")  # one word, so that a line never breaks inside it
            text.append(value)
        return text


# --- lines -------------------------------------------------------------------------------------------------------


class LineView(Progress):
    """A line on stderr every few seconds, for log files."""

    def __init__(self) -> None:
        self._last = 0.0

    def start(self, snapshot: Snapshot) -> None:
        """Say what is to be done."""
        self._last = time.monotonic()
        self._print(f"{snapshot.requested} trials, objective {snapshot.objective}")

    def update(self, snapshot: Snapshot) -> None:
        """Print a line if the last one is some seconds old."""
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            self._print(f"{self._line(snapshot)}, {duration(snapshot.left)} left")

    def message(self, text: str) -> None:
        """Print a sentence."""
        self._print(f"note: {text}")

    def close(self, snapshot: Snapshot) -> None:
        """Print the last state."""
        self._print(f"{self._line(snapshot)}, {duration(snapshot.seconds)} taken")
        config = telling(snapshot.best_params)
        if config and snapshot.best_score is not None:
            self._print("best config: " + " ".join(f"{name}={value}" for name, value in config.items()))

    def _line(self, now: Snapshot) -> str:
        return (
            f"{now.finished}/{now.requested} trials, {rate_text(now.rate)}, lanes busy {now.busy:.0%}, "
            f"{now.diverged} diverged, best {best_text(now)}"
        )

    def _print(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


# --- a notebook --------------------------------------------------------------------------------------------------


class NotebookView(Progress):
    """A progress bar and a few numbers in the cell's output, replaced in place."""

    def __init__(self) -> None:
        self._last = 0.0
        self._handle: Any = None

    def start(self, snapshot: Snapshot) -> None:
        """Show the first state."""
        from IPython.display import HTML, display

        self._last = time.monotonic()
        self._handle = display(HTML(self._html(snapshot)), display_id=True)  # type: ignore[no-untyped-call]

    def update(self, snapshot: Snapshot) -> None:
        """Replace what is shown, if that is not too fresh."""
        if time.monotonic() - self._last >= DISPLAY_SECONDS:
            self._show(snapshot, done=False)

    def message(self, text: str) -> None:
        """Show a sentence of its own."""
        from IPython.display import HTML, display

        display(HTML(f"<p>note: {html.escape(text)}</p>"))  # type: ignore[no-untyped-call]

    def close(self, snapshot: Snapshot) -> None:
        """Show the last state."""
        self._show(snapshot, done=True)

    def _show(self, snapshot: Snapshot, done: bool) -> None:
        from IPython.display import HTML

        self._last = time.monotonic()
        if self._handle is not None:
            self._handle.update(HTML(self._html(snapshot, done)))  # type: ignore[no-untyped-call]

    def _html(self, now: Snapshot, done: bool = False) -> str:
        clock = f"{duration(now.seconds)} taken" if done else f"{duration(now.left)} left"
        numbers = [f"{now.finished}/{now.requested} trials", rate_text(now.rate), clock, f"lanes busy {now.busy:.0%}"]
        numbers.append(f"{now.diverged} diverged")
        known = telling(now.best_params) if now.best_score is not None else {}
        config = " ".join(f"{name}={value}" for name, value in known.items())
        best = f"best so far: <b>{html.escape(best_text(now))}</b> {html.escape(config)}"
        bar = f'<progress value="{now.finished}" max="{max(now.requested, 1)}" style="width: 20em"></progress>'
        return f"<div>{bar} {' · '.join(numbers)}<br>{best}</div>"

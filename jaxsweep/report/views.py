"""Progress for people: a live view on a terminal, plain lines elsewhere, a display in a notebook.

All of them limit their own rate, so that a sweep may report as often as it likes.
"""

import copy
import html
import sys
import time
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jaxsweep.errors import printable
from jaxsweep.report import drawing
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.report.scene import Scene, Scenes
from jaxsweep.report.words import activity, best_text, clock_text, rate_text, taken, telling

LINE_SECONDS = 5.0  # between plain lines
DISPLAY_SECONDS = 0.5  # between two states of a notebook's display
FRAMES = 5  # a second, of the live view
ROOMY = 18  # lines of a terminal that has room for pictures


def make_progress(enabled: bool | None = None) -> Progress:
    """Return the view that fits where stderr goes; if `enabled` is False a silent one."""
    if enabled is False:
        return Progress()
    if _in_notebook():
        return NotebookView()
    console = Console(stderr=True, highlight=False)
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else LineView()


def _in_notebook() -> bool:
    """Whether this runs in a notebook's kernel; IPython is asked only if it is there already.

    Jupyter's own shell, which VS Code runs too, is a ZMQInteractiveShell; Colab's and others' are subclasses of it.
    """
    ipython = sys.modules.get("IPython")
    shell = getattr(ipython, "get_ipython", lambda: None)()
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


# --- a terminal --------------------------------------------------------------------------------------------------


class LiveView(Progress):
    """A few lines that redraw themselves; its clock goes on while the sweep compiles and reports nothing."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._done = False
        self._now, self._seen = Snapshot(), time.monotonic()
        self._scenes = Scenes()
        self._drawn: tuple[tuple[Scene, int, bool], list[Text]] | None = None

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
        self.console.print(f"note: {printable(text)}", markup=False, emoji=False, style="yellow")

    def close(self, snapshot: Snapshot) -> None:
        """Draw the last state and leave it there."""
        self._done = True
        self.update(snapshot)
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now, late = copy.copy(self._now), 0.0 if self._done else time.monotonic() - self._seen
        now.left = None if now.left is None else max(now.left - late, 0.0)
        now.seconds += late
        lines: list[Table | Text] = [self._bar(now), self._state(now), self._best(now)]
        if not self._done and console.height >= ROOMY:
            lines += self._picture(now, options)
        if not self._done:
            style = "yellow" if now.interrupted else "dim"
            lines.insert(1, Text(activity(now), style=style, no_wrap=True, overflow="ellipsis"))
        yield Group(*lines)

    def _picture(self, now: Snapshot, options: ConsoleOptions) -> list[Text]:
        """Return what is seen of the trials so far; drawn again only if it, or the room for it, is another."""
        scene = self._scenes.look(now)
        if scene is None:
            return []
        key = scene, options.max_width, options.ascii_only
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = key, drawing.lines(*key)
        return self._drawn[1]

    def _bar(self, now: Snapshot) -> Table:
        done = self._done or now.finished >= now.requested
        line = Table.grid(padding=(0, 2), expand=True)
        line.add_column(ratio=1)
        for _ in range(3):
            line.add_column(justify="right", no_wrap=True)
        rate = rate_text(now.rate) if now.finished else ""
        waits = now.finished == 0 and not done
        bar = ProgressBar(total=max(now.requested, 1), completed=now.finished, pulse=waits)
        clock = Text(taken(now) if self._done else clock_text(now), style="yellow" if now.interrupted else "cyan")
        line.add_row(bar, f"{now.finished}/{now.requested} trials", Text(rate, style="green"), clock)
        return line

    def _state(self, now: Snapshot) -> Text:
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
    """A line on stderr every few seconds, for log files; at once what the first program takes, and an interrupt."""

    def __init__(self) -> None:
        self._last = 0.0
        self._told: set[str] = set()

    def start(self, snapshot: Snapshot) -> None:
        """Say what is to be done."""
        self._last = time.monotonic()
        self._print(f"{snapshot.requested} trials, objective {snapshot.objective}")

    def update(self, snapshot: Snapshot) -> None:
        """Print a line if the last one is some seconds old, or if there is news that cannot wait."""
        words = {
            "interrupted": snapshot.interrupted,
            "confirming": snapshot.confirming,
            "compiling": snapshot.preparing,
        }
        news = next((word for word, now in words.items() if now), None)
        if news is not None and news not in self._told:
            self._told.add(news)
            self._last = time.monotonic()
            self._print(activity(snapshot) + ("" if snapshot.interrupted else f"; {clock_text(snapshot)}"))
        elif time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            said = self._line(snapshot) if snapshot.finished else f"0/{snapshot.requested} trials"
            self._print(f"{said}, {activity(snapshot)}; {clock_text(snapshot)}")

    def message(self, text: str) -> None:
        """Print a sentence."""
        self._print(f"note: {text}")

    def close(self, snapshot: Snapshot) -> None:
        """Print the last state."""
        self._print(f"{self._line(snapshot)}, {taken(snapshot)}")
        config = telling(snapshot.best_params)
        if config and snapshot.best_score is not None:
            self._print("best config: " + " ".join(f"{name}={value}" for name, value in config.items()))

    def _line(self, now: Snapshot) -> str:
        return (
            f"{now.finished}/{now.requested} trials, {rate_text(now.rate)}, lanes busy {now.busy:.0%}, "
            f"{now.diverged} diverged, best {best_text(now)}"
        )

    def _print(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)


# --- a notebook --------------------------------------------------------------------------------------------------


class NotebookView(Progress):
    """A progress bar and a few numbers in the cell's output, replaced in place."""

    def __init__(self) -> None:
        self._last = 0.0
        self._handle: Any = None
        self._seen = (False, False, False)  # an interrupt, a program, a confirmation: what is shown at once
        self._scenes = Scenes()
        self._drawn: tuple[Scene | None, str] = None, ""

    def start(self, snapshot: Snapshot) -> None:
        """Show the first state."""
        from IPython.display import HTML, display

        self._last = time.monotonic()
        self._handle = display(HTML(self._html(snapshot)), display_id=True)  # type: ignore[no-untyped-call]

    def update(self, snapshot: Snapshot) -> None:
        """Replace what is shown, if that is not too fresh or there is news that cannot wait."""
        news = snapshot.interrupted, bool(snapshot.preparing), snapshot.confirming > 0
        if news != self._seen or time.monotonic() - self._last >= DISPLAY_SECONDS:
            self._seen = news
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
        clock = taken(now) if done else clock_text(now)
        rate = [rate_text(now.rate)] if now.finished else []
        numbers = [f"{now.finished}/{now.requested} trials", *rate, clock, f"lanes busy {now.busy:.0%}"]
        numbers.append(f"{now.diverged} diverged")
        known = telling(now.best_params) if now.best_score is not None else {}
        config = " ".join(f"{name}={value}" for name, value in known.items())
        best = f"best so far: <b>{html.escape(best_text(now))}</b> {html.escape(config)}"
        # Without a value the bar moves by itself, while nothing has finished.
        value = f'value="{now.finished}" ' if now.finished or done else ""
        bar = f'<progress {value}max="{max(now.requested, 1)}" style="width: 20em"></progress>'
        doing = "" if done else f"<br>{html.escape(activity(now))}"
        scene = self._scenes.look(now, last=done)
        if scene is not None and scene is not self._drawn[0]:
            self._drawn = scene, drawing.svg(scene)
        return f"<div>{bar} {' · '.join(numbers)}{doing}<br>{best}{self._drawn[1]}</div>"

"""A page in a browser: nothing fails, every chart is drawn, nothing is cut off, and an axis can be brushed.

Needs Chromium and its driver (Debian: `apt-get install chromium chromium-driver`), which are spoken to by WebDriver.
"""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from many_trials import every, many

from jaxsweep.insight import page
from jaxsweep.insight.page import Section, Table

DRIVER = shutil.which("chromedriver") if shutil.which("chromium") else None
pytestmark = pytest.mark.skipif(DRIVER is None, reason="chromium or its chromedriver is not installed")
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]  # fmt: skip
DRAWN = "return document.querySelectorAll('.js-plotly-plot .main-svg').length > 0 && waiting.length === 0"
# What reaches beyond the window, unless something around it can be scrolled.
BEYOND = """
const free = e => !e || e === document.body || (!['auto', 'scroll', 'hidden'].includes(getComputedStyle(e).overflowX)
  && free(e.parentElement));
return [...document.querySelectorAll('body *')].filter(e => !e.closest('svg') && free(e.parentElement)
  && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + ': ' + e.textContent.slice(0, 40));
"""
CHOSEN = "return window.brushed.data[0].dimensions.map(dimension => dimension.constraintrange || null)"
PARALLEL = """
window.brushed = [...document.querySelectorAll('.js-plotly-plot')].find(e => e.data[0].type === 'parcoords');
window.brushed.scrollIntoView({block: 'center'});
const box = window.brushed.querySelector('.axis-brush').getBoundingClientRect();
return [box.x + box.width / 2, box.y, box.height];
"""

LEGENDS = """
const box = (e, name) => e.querySelector(name).getBoundingClientRect();
return [...document.querySelectorAll('.js-plotly-plot')].filter(e => e.querySelector('.legend'))
  .map(e => [box(e, '.legend').top, box(e, '.xtitle').bottom]);
"""


class Browser:
    """A session of Chromium."""

    def __init__(self, port: int) -> None:
        self.at = f"http://127.0.0.1:{port}/session"
        options = {"goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": {"args": FLAGS}}
        self.at += "/" + self.ask("", {"capabilities": {"alwaysMatch": options}})["sessionId"]

    def close(self) -> None:
        """End Chromium, which would outlive its driver."""
        self.ask("", {}, "DELETE")

    def ask(self, path: str, body: dict[str, Any], method: str = "POST") -> Any:
        """Return what the driver answers."""
        request = urllib.request.Request(
            self.at + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def run(self, script: str) -> Any:
        """Return what a script returns in the page."""
        return self.ask("/execute/sync", {"script": script, "args": []})

    def open(self, path: Path, width: int) -> None:
        """Open a page in a window of this width and wait until all is drawn."""
        self.ask("/window/rect", {"width": width, "height": 900})
        self.ask("/url", {"url": path.as_uri()})
        wait(lambda: self.run(DRAWN))

    def drag(self, x: float, top: float, bottom: float) -> None:
        """Press the mouse, draw it downwards, and let go."""
        moves = [{"type": "pointerMove", "duration": 200, "x": int(x), "y": int(y)} for y in (top, bottom)]
        steps = [moves[0], {"type": "pointerDown", "button": 0}, moves[1], {"type": "pointerUp", "button": 0}]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": steps}
        self.ask("/actions", {"actions": [mouse]})

    def errors(self) -> list[str]:
        """Return what the console has said of errors since it was asked last."""
        return [entry["message"] for entry in self.ask("/se/log", {"type": "browser"}) if entry["level"] == "SEVERE"]


def wait(met: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert DRIVER is not None
    with subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "successfully on port" in line)
        try:
            session = Browser(int(line.rstrip(".\n").rpartition(" ")[2]))
            yield session
            session.close()
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sheet = many(2_000)
    titles = ["Score against each hyperparameter", "Where it diverges", "Plan and what happened"]
    sections = [
        Section(title, ["a_column_of_a_table" * 12], tables=[Table(["head"] * 30, [["a cell"] * 30])])
        for title in titles * 3
    ]
    text = page.page("trials", [Section("All", [], every(sheet)), *sections])
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [500, 1000, 1600])  # a window is never narrower than 500
def test_every_chart_is_drawn_and_nothing_is_cut_off(browser: Browser, path: Path, width: int) -> None:
    browser.open(path, width)
    assert browser.errors() == []
    assert browser.run(BEYOND) == []
    assert browser.run("return document.scrollingElement.scrollWidth <= innerWidth")
    drawn = browser.run("return [...document.querySelectorAll('.chart')].map(e => e.querySelectorAll('svg').length)")
    assert len(drawn) == len(every(many(50)))
    assert min(drawn) > 0


def test_an_axis_can_be_brushed(browser: Browser, path: Path) -> None:
    browser.open(path, 1000)
    x, top, height = browser.run(PARALLEL)
    assert not any(browser.run(CHOSEN))
    browser.drag(x, top + 0.1 * height, top + 0.5 * height)
    wait(lambda: browser.run(CHOSEN)[0])
    low, high = browser.run(CHOSEN)[0]
    span = browser.run("return window.brushed._fullData[0].dimensions[0].values")
    assert np.quantile(span, 0.3) < low < high < np.quantile(span, 0.99)
    assert browser.errors() == []


@pytest.mark.parametrize("width", [500, 1000])
def test_no_legend_hides_a_curve(browser: Browser, path: Path, width: int) -> None:
    browser.open(path, width)
    legends = browser.run(LEGENDS)
    assert legends
    assert all(top >= bottom for top, bottom in legends)

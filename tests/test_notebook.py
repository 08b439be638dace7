"""The notebooks run from top to bottom, in a smaller form where they are large; what is stored of them is small."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
SECONDS = 300  # for one cell, on a machine that does much else


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def outputs(notebook: Any, kind: str) -> list[Any]:
    """Return what the cells gave as `kind`, such as image/png, in order."""
    given = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"][kind] for output in given if kind in output.get("data", {})]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_what_is_stored_is_small_and_whole(path: Path) -> None:
    """Either no cell has outputs, or all were run once, in their order, without a warning or an error."""
    notebook = read(path)
    nbformat.validate(notebook)
    assert path.stat().st_size < 400_000
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code]
    assert counts in ([None] * len(code), [*range(1, len(code) + 1)])
    given = [output for cell in code for output in cell.outputs]
    assert all(output.output_type != "error" and output.get("name") != "stderr" for output in given)
    assert bool(given) == (counts[0] is not None)


def executed(name: str, folder: Path, smaller: Mapping[str, str] = MappingProxyType({})) -> Any:
    """Return a notebook after all of its cells have run, some words of them in a smaller form."""
    (path,) = (path for path in NOTEBOOKS if path.name.startswith(name))
    notebook = read(path)
    for large, small in smaller.items():
        assert sum(large in cell.source for cell in notebook.cells) == 1, large
        for cell in notebook.cells:
            cell.source = cell.source.replace(large, small)
    # Its programs run for longer than those of other tests, so that a little optimization saves more than it takes.
    flags = os.environ["XLA_FLAGS"].replace("optimization_level=0", "optimization_level=1")
    NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute(env={**os.environ, "XLA_FLAGS": flags})
    return notebook


def printed(notebook: Any) -> str:
    """Return all that its cells have printed."""
    given = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in given if output.output_type == "stream")


def said(name: str, folder: Path, pictures: int, smaller: Mapping[str, str]) -> str:
    """Return what a notebook prints in a smaller form, having drawn so many pictures."""
    notebook = executed(name, folder, smaller)
    assert len(outputs(notebook, "image/png")) == pictures
    return printed(notebook)


def test_the_first_sweep(tmp_path: Path) -> None:
    notebook = executed("01", tmp_path)
    assert len(outputs(notebook, "image/png")) == 3
    tables = [html for html in outputs(notebook, "text/html") if "<table" in html]
    assert len(tables) == 1
    assert "completed, 180 trials, best val_accuracy first" in tables[0]
    assert "predictions for the first five images: [0 1 2 3 4]" in printed(notebook)


def test_seeds_or_hyperparameters(tmp_path: Path) -> None:
    text = said("02", tmp_path, 2, {"CONFIGS, INITS, ORDERS = 40, 8, 5": "CONFIGS, INITS, ORDERS = 6, 3, 2"})
    assert text.startswith("36 networks in")
    shares = [float(share) for share in re.findall(r"([\d.]+)% of the variance", text)]
    assert sum(shares) == pytest.approx(100, abs=0.3)


def test_the_edge_of_trainability(tmp_path: Path) -> None:
    text = said("03", tmp_path, 2, {"SIDE = 100": "SIDE = 12"})
    found = re.match(r"144 networks in \d+ s, (\d+) of them diverged\n", text)
    assert found is not None
    assert 40 < int(found[1]) < 104  # both sides of the edge are in the picture
    assert "on a quadratic, 1.98 times as large with momentum as without" in text


def test_double_descent(tmp_path: Path) -> None:
    smaller = {
        "WIDTHS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256]": "WIDTHS = [2, 8]",
        "ROWS, SEEDS, EPOCHS, NOISE = [300, 600, 900], 4, 400, 0.15": "ROWS, SEEDS, EPOCHS, NOISE = [150], 2, 10, 0.15",
    }
    text = said("04", tmp_path, 2, smaller)
    assert text.startswith("4 networks of 10 epochs in")
    assert re.search(r"^150 rows: no width learn.* error 0\.\d+ at best, 0\.\d+ at 8$", text, re.MULTILINE)


def test_the_learning_rate_and_everything_else(tmp_path: Path) -> None:
    smaller = {
        "RATES = np.geomspace(0.003, 3, 13)": "RATES = np.geomspace(0.01, 1, 4)",
        "SEEDS, EPOCHS = 4, 15": "SEEDS, EPOCHS = 1, 2",
        "[8, 16, 32, 64, 128, 256]": "[8, 16]",
        "[1, 2, 3, 4, 6, 8]": "[1, 2]",
    }
    text = said("05", tmp_path, 1, smaller)
    assert text.startswith("48 networks by 1 programs in")
    assert len(re.findall(r"slope [+-]\d\.\d\d \(.*\), on average \d\.\d of 4 rates reach 0.9", text)) == 6


def test_what_matters_and_how_to_search(tmp_path: Path) -> None:
    smaller = {
        "TRIALS, SEARCHED, SEEDS = 1500, 300, 5": "TRIALS, SEARCHED, SEEDS = 60, 12, 1",
        "epochs=18": "epochs=2",
        '["random", "sobol", "zoom", "evolution", "bayes"]': '["random", "bayes"]',
        '[None, "halving", "hyperband", "asha", "median"]': '[None, "asha"]',
    }
    text = said("06", tmp_path, 3, smaller)
    assert "of the variance of score over 60 trials: " in text
    spent = [int(epochs) for epochs in re.findall(r"^(?:none|asha) +(\d+) epochs, best 0\.\d+ \(", text, re.MULTILINE)]
    assert spent[0] > spent[1]


def test_your_own_data(tmp_path: Path) -> None:
    text = said("07", tmp_path, 1, {"TRIALS = 400": "TRIALS = 24", "epochs=40": "epochs=4"})
    assert "- 'age', 'bmi', 'bp', 's1', 's2' and 4 more are read as numbers with decimal ','" in text
    assert re.search(r"^search \d+\.\d, confirmed \d+\.\d, on the test rows \d+\.\d$", text, re.MULTILINE)
    assert re.search(r"^the ensemble has \d+ networks$", text, re.MULTILINE)
    assert len(re.findall(r"is off by \d+\.\d on 42 new rows", text)) == 3
    assert (tmp_path / "model" / "model.json").is_file()


class Kernel:
    """A notebook's kernel, and what arrives at the front end while it carries out a cell."""

    def __init__(self, folder: Path) -> None:
        self.manager, self.client = start_new_kernel(kernel_name="python3", cwd=str(folder))

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def states(self, code: str, stop_at: str | None = None) -> list[str]:
        """Return the states of the display, as text, and what was printed; press stop when one of them has a word."""
        asked, seen = self.client.execute(code), []
        while True:
            message = self.client.get_iopub_msg(timeout=SECONDS)
            content, kind = message["content"], message["msg_type"]
            assert kind != "error", content
            if kind in ("display_data", "update_display_data"):
                seen.append(re.sub("<[^>]*>", " ", content["data"]["text/html"]))
            elif kind == "stream":
                seen.append(content["text"])
            if stop_at is not None and seen and stop_at in seen[-1]:
                stop_at = self.manager.interrupt_kernel()  # once
            ours = message["parent_header"].get("msg_id") == asked
            if ours and kind == "status" and content["execution_state"] == "idle":
                return seen


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    made = Kernel(tmp_path)
    yield made
    made.close()


SWEEP = (
    "import jaxsweep as js; r = js.sweep('iris', configs=[dict(depth={}, width=8, batch_size=30, epochs={})] * 4); "
    "print(r.status, len(r.trials))"
)


def test_the_display_says_what_goes_on_and_that_stop_was_seen(kernel: Kernel) -> None:
    """It does while nothing finishes: no lane of the first sweep ends, and the second is stopped before one begins."""
    *states, last, printed = kernel.states(SWEEP.format(1, 1_000_000), stop_at="training")
    assert "planning" in states[0]
    assert "0/4 trials" in states[0]
    assert any(re.search(r"compiling program 1 of 1, about \d+ s", state) for state in states)
    assert any(re.search(r"taken, \d+:\d\d.* left .* training \d networks? of depth 1", state) for state in states)
    assert any("interrupted: keeping what has finished" in state for state in states)
    assert re.search(r"0/4 trials · interrupted after \d:\d\d", last)
    assert printed == "interrupted 0\n"

    *states, last, printed = kernel.states(SWEEP.format(3, 2), stop_at="compiling")
    awaited = "interrupted: keeping what has finished, waiting for the program being compiled"
    assert any(awaited in state and "interrupted, 0:0" in state for state in states)
    assert not any("training" in state for state in states)
    assert "interrupted after" in last
    assert printed == "interrupted 0\n"

    *states, last, printed = kernel.states(SWEEP.format(1, 2))  # and the next sweep goes on as ever
    assert re.search(r"4/4 trials .* \d:\d\d taken", last)
    assert printed == "completed 4\n"

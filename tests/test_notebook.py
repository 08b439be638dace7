"""The notebooks run from top to bottom, and are stored without outputs."""

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
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
def test_stored_without_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_the_first_sweep(tmp_path: Path) -> None:
    (path,) = (path for path in NOTEBOOKS if path.name == "01_first_sweep.ipynb")
    notebook = read(path)
    # Its programs run for longer than those of other tests, so that a little optimization saves more than it takes.
    flags = os.environ["XLA_FLAGS"].replace("optimization_level=0", "optimization_level=1")
    NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute(env={**os.environ, "XLA_FLAGS": flags})
    assert len(outputs(notebook, "image/png")) == 3
    tables = [html for html in outputs(notebook, "text/html") if "<table" in html]
    assert len(tables) == 1
    assert "completed, 180 trials, best val_accuracy first" in tables[0]
    printed = "".join(o.text for cell in notebook.cells for o in cell.get("outputs", []) if o.output_type == "stream")
    assert "predictions for the first five images: [0 1 2 3 4]" in printed

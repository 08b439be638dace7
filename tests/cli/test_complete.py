"""What a shell offers after Tab."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxsweep.cli import complete
from jaxsweep.cli.parser import make_parser
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS


def offered(line: str, folder: Path) -> list[str]:
    """Return what is offered at the end of a line, by the protocol of argcomplete."""
    answer = folder / "answer"
    answer.touch()
    asked = {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line,
        "COMP_POINT": str(len(line)), "COMP_TYPE": "9",
    }  # fmt: skip
    code = "import sys; sys.modules['jax'] = None; from jaxsweep.cli import entry; entry()"  # Tab waits for no JAX
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **asked}, cwd=folder, check=True)
    return answer.read_text().replace(" \n", "\n").split()


def test_commands_options_and_values_are_offered(tmp_path: Path) -> None:
    pytest.importorskip("argcomplete")
    (tmp_path / "iron.csv").touch()
    assert offered("jaxsweep sea", tmp_path) == ["searchers"]
    assert offered("jaxsweep run --se", tmp_path) == ["--search", "--seed", "--set"]
    assert offered("jaxsweep run --search ev", tmp_path) == ["evolution"]
    assert sorted(offered("jaxsweep run --data i", tmp_path)) == ["iris", "iron.csv"]
    assert offered("jaxsweep plan --set mom", tmp_path) == ["momentum="]
    assert {f"{name}=" for name in HYPERPARAMETERS} < set(offered("jaxsweep run --set ", tmp_path))


def test_without_argcomplete_nothing_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    complete.answer(make_parser())  # and the process goes on

"""What the tests of the command line share."""

import io
from contextlib import redirect_stdout
from typing import Any

import pytest

from jaxsweep.cli import main

# One shape and one of each choice, so that what compiles compiles quickly.
SMALL = ["depth=1", "width=8", "epochs=3", "optimizer=adam", "activation=relu", "init=he_normal", "schedule=constant"]
SETS = [word for setting in SMALL for word in ("--set", setting)]

Out = pytest.CaptureFixture[str]


def ok(*argv: Any) -> str:
    """Run a command that must succeed, and return what it printed on stdout."""
    with redirect_stdout(io.StringIO()) as printed:
        assert main([str(word) for word in argv]) == 0
    return printed.getvalue()


def refused(capsys: Out, *argv: Any) -> str:
    """Run a command that must be refused, and return its one line."""
    assert main([str(word) for word in argv]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("jaxsweep: ")
    assert printed.err.count("\n") == 1
    return printed.err

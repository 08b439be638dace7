"""Packages of extras: returned, or refused with what installs them; a fault inside of one is not hidden."""

from pathlib import Path

import pytest

from jaxsweep.errors import RequestError
from jaxsweep.spec.extras import extra


def test_what_is_installed_is_returned() -> None:
    assert extra("json", "this test").dumps([1]) == "[1]"


def test_what_is_missing_is_named_with_its_extra() -> None:
    words = r"the searcher x needs the package no_such, which is not installed: pip install 'jaxsweep\[{}\]'"
    with pytest.raises(RequestError, match=words.format("no_such")):
        extra("no_such", "the searcher x")
    with pytest.raises(RequestError, match=words.format("y")):
        extra("no_such", "the searcher x", "y")


def test_what_a_package_lacks_itself_is_an_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_installed.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        extra("half_installed", "this test")

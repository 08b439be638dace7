"""What tests of tables share."""

from pathlib import Path

import pytest
from written import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a table's text, or bytes, to a file and returns its path."""

    def write(text: str | bytes, name: str = "cars.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write

"""Where the data that lie beside the repository are; tests that need them skip where they are absent, but not in CI."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(*parts: str) -> Path:
    """Return a path below ../shared, or skip the calling test if it does not exist (in CI: fail)."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        reason = f"{path} is not there"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path

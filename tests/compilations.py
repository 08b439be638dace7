"""What is compiled while a test watches."""

from typing import Any

import pytest

from jaxsweep.engine import programs


def watched(patch: pytest.MonkeyPatch) -> list[float]:
    """Return a list to which every call for programs adds the seconds that compiling took: 0 if they were there."""
    seconds: list[float] = []
    original = programs.compiled

    def compiled(*arguments: Any) -> Any:
        made = original(*arguments)
        seconds.append(made[1])
        return made

    patch.setattr(programs, "compiled", compiled)
    return seconds

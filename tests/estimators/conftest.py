from collections.abc import Iterator

import pytest

from jaxsweep.engine import programs


@pytest.fixture(autouse=True, scope="package")
def _programs_stay() -> Iterator[None]:
    """scikit-learn's checks come back to a few dozen shapes of data: each is compiled once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "KEPT", 1000)
        yield

"""What is read of the processor."""

import pytest

from jaxsweep.engine import machine


@pytest.mark.parametrize(
    ("lines", "wide"),
    [
        (["vendor_id\t: AuthenticAMD", "flags\t\t: sse avx2 avx512f avx512dq"], True),
        (["vendor_id\t: AuthenticAMD", "flags\t\t: sse avx2"], False),
        (["vendor_id\t: GenuineIntel", "flags\t\t: sse avx2 avx512f"], False),
        (["Features\t: fp asimd"], False),
        ([], False),
    ],
)
def test_which_processors_get_wide_vectors(lines: list[str], wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_cpuinfo", lambda: lines)
    assert machine.wide_vectors() == wide

"""The garbage collector leaves alone what was there before a sweep, and is as it was afterwards."""

import gc
from collections.abc import Iterator

import pytest

from jaxsweep.engine.garbage import set_aside, set_aside_too


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_what_there_was_is_set_aside_and_taken_back() -> None:
    with set_aside():
        assert gc.get_freeze_count() > 1000
        with set_aside():  # another sweep
            pass
        assert gc.get_freeze_count() > 1000
    assert gc.get_freeze_count() == 0


def test_what_comes_to_stay_is_set_aside_too() -> None:
    set_aside_too()  # nobody has set anything aside
    assert gc.get_freeze_count() == 0
    with set_aside():
        before = gc.get_freeze_count()
        staying = [[number] for number in range(1000)]
        set_aside_too()
        assert gc.get_freeze_count() >= before + len(staying)
    assert gc.get_freeze_count() == 0


def test_it_is_taken_back_after_an_error() -> None:
    with pytest.raises(KeyboardInterrupt), set_aside():
        raise KeyboardInterrupt
    assert gc.get_freeze_count() == 0


def test_what_somebody_else_has_frozen_stays_frozen() -> None:
    gc.freeze()
    with set_aside():
        pass
    assert gc.get_freeze_count() > 1000

"""States of lanes that stand still: what is put into a bank comes back, into any slots, on either kind of device."""

import gc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jaxsweep.engine.bank import FIRST, Bank

TILE = 40


def tile(seed: int) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return {"a": rng.normal(size=(TILE, 3)).astype(np.float32), "b": rng.integers(9, size=TILE).astype(np.int32)}


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("count", [1, 16, 17, TILE])
def test_what_is_put_in_comes_back(in_place: bool, count: int) -> None:
    """On a CPU the host writes it; an accelerator gives and takes it by a program, 16 lanes at a time."""
    bank, rng = Bank(), np.random.default_rng(count)
    first, second = tile(1), tile(2)
    slots = rng.permutation(TILE)[:count].tolist()
    rows = bank.put(first, slots, in_place)
    others = rng.permutation(TILE)[:count].tolist()
    whole = bank.place(second, others, rows, in_place)
    for name, values in whole.items():
        expected = second[name].copy()
        expected[others] = first[name][slots]
        np.testing.assert_array_equal(np.asarray(values), expected)
    np.testing.assert_array_equal(second["a"], tile(2)["a"])  # which is as it was
    np.testing.assert_array_equal(rows[-1].tree()["a"], first["a"][slots[-1]])
    assert rows[-1].tree()["b"] == first["b"][slots[-1]]


def test_a_bank_grows_and_a_row_that_nobody_holds_is_free() -> None:
    bank = Bank()
    assert bank.put(tile(0), [], True) == []
    held = [row for seed in range(5) for row in bank.put(tile(seed), range(TILE), True)]
    assert len({row.number for row in held}) == 5 * TILE
    for seed in range(5):  # growing has moved nothing
        assert [held[seed * TILE + slot].tree()["b"] for slot in range(TILE)] == tile(seed)["b"].tolist()
    size = len(bank.free) + len(held)
    kept = held[::2]
    del held
    gc.collect()
    assert len(bank.free) == size - len(kept) >= 2 * TILE > FIRST
    more = bank.put(tile(9), range(TILE), True)
    assert len(bank.free) + len(kept) + len(more) == size  # it did not grow
    assert not {row.number for row in more} & {row.number for row in kept}
    assert kept[0].tree()["b"] == tile(0)["b"][0]

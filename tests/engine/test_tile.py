"""A tile: how many lanes it has, how long its calls are, and when waiting lanes take the slots that others leave."""

from types import SimpleNamespace
from typing import Any

import pytest
from parity import run_lanes, three_classes

from jaxsweep.engine import programs
from jaxsweep.engine.costs import Costs, Sizes
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.engine.planner import make_plan
from jaxsweep.spec.hyperparameters import resolve

# 75 training rows in batches of 15 are 5 steps an epoch; without a hidden layer little is compiled.
LINEAR = {"depth": 0, "batch_size": 15, "learning_rate": 0.01}
SIZES = Sizes(rows=500, val_rows=100, test_rows=100, features=20, outputs=4, splits=1)


class Watch:
    """One worker trains LINEAR, and this watches its tiles.

    `fills` are the numbers of lanes that took slots, `calls` the epochs that calls were made for. An epoch takes
    `epoch_seconds` of a clock that stands still otherwise.
    """

    def __init__(self, patch: pytest.MonkeyPatch, epoch_seconds: float) -> None:
        self.fills: list[int] = []
        self.calls: list[int] = []
        self.now = 0.0
        self.epoch_seconds = epoch_seconds
        original = programs.compiled

        def watched(*arguments: Any) -> Any:
            compiled, seconds = original(*arguments)
            start, advance = self._start(compiled.start), self._advance(compiled.advance)
            return compiled._replace(start=start, advance=advance), seconds

        patch.setattr(programs, "compiled", watched)
        patch.setattr("jaxsweep.engine.tile.time", SimpleNamespace(perf_counter=lambda: self.now))

    def _start(self, start: Any) -> Any:
        def watched(first: Any, choices: Any, lanes: Any, fresh: Any, state: Any) -> Any:
            self.fills.append(int(fresh.sum()))
            return start(first, choices, lanes, fresh, state)

        return watched

    def _advance(self, advance: Any) -> Any:
        def watched(data: Any, choices: Any, lanes: Any, state: Any, epochs: Any, steps: Any) -> Any:
            self.calls.append(int(epochs))
            result = advance(data, choices, lanes, state, epochs, steps)
            self.now += self.epoch_seconds * int(result.epochs)
            return result

        return watched

    def train(self, epochs: list[int], tile: int) -> list[LaneResult]:
        """Train a lane for each of so many `epochs`."""
        lanes = run_lanes(three_classes(), [{**LINEAR, "epochs": count} for count in epochs], tile=tile, workers=1)
        assert [len(lane.curves) for lane in lanes] == epochs
        return lanes


# --- how long a call is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epoch_seconds", "calls"),
    [
        (1 / 32, [1, 4, 4, 4, 4]),  # a fifth epoch would make it more than 0.15 s
        (1 / 8, [1] * 17),
        (2.0, [1] * 17),  # never less than an epoch
        (1 / 4096, [1, programs.LENGTH]),  # nor more than a program has room for
    ],
)
def test_after_a_first_epoch_a_call_lasts_a_moment(
    monkeypatch: pytest.MonkeyPatch, epoch_seconds: float, calls: list[int]
) -> None:
    watch = Watch(monkeypatch, epoch_seconds)
    (lane,) = watch.train([17], tile=2)
    assert watch.calls == calls
    assert lane.seconds == 17 * epoch_seconds


# --- when slots are filled ---------------------------------------------------------------------------------------


def test_waiting_lanes_take_slots_once_a_quarter_of_the_tile_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch, epoch_seconds=1.0)
    # After 3 epochs one of 8 slots is free, after 4 a second one: two lanes enter. After 6 those two and two more have
    # ended: the last two enter. They end after 8, when nobody waits any more.
    watch.train([10, 9, 8, 7, 6, 5, 4, 3, 2, 2, 2, 2], tile=8)
    assert watch.fills == [8, 2, 2]
    assert len(watch.calls) == 10


def test_whoever_waits_gets_what_is_free_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch, epoch_seconds=1.0)
    watch.train([4] * 8 + [2] * 11, tile=8)  # all slots are free at once: 8, then 8, then the 3 that are left
    assert watch.fills == [8, 8, 3]
    assert len(watch.calls) == 8


def test_every_slot_of_a_small_tile_is_a_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch, epoch_seconds=1.0)
    watch.train([6, 3, 2, 1], tile=2)
    assert watch.fills == [2, 1, 1]
    assert len(watch.calls) == 6


# --- how many lanes it has ---------------------------------------------------------------------------------------


def _tile_seconds(patience: int, tile: int) -> float:
    """Return the predicted seconds of one tile whose lanes cost nothing to begin."""
    (bucket,) = make_plan(_configs(patience), SIZES, costs=Costs(lane=0, draw=0), tile=tile).buckets
    return bucket.tile_seconds


def _configs(patience: int) -> list[dict[str, Any]]:
    config = {"depth": 1, "width": 16, "batch_size": 50, "epochs": 30, "patience": patience}
    return [resolve(config, "classification", SIZES.rows)] * 4096


def test_lanes_that_stop_early_cost_a_tenth_for_each_doubling_of_the_tile() -> None:
    for doublings in (0, 1, 3, 6):
        plain, stopping = (_tile_seconds(patience, 2**doublings) for patience in (0, 5))
        assert stopping == pytest.approx(plain * (1 + 0.1 * doublings))


def test_lanes_that_stop_early_get_smaller_tiles() -> None:
    (plain,), (stopping,) = (make_plan(_configs(patience), SIZES).buckets for patience in (0, 5))
    assert stopping.tile < plain.tile

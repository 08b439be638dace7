"""Costs of the device: nominal for decisions, measured for predictions, kept on disk."""

from pathlib import Path

import pytest

from jaxsweep.data import load_dataset, prepare
from jaxsweep.engine import cache, calibrate, machine
from jaxsweep.engine.costs import Costs, sizes_of
from jaxsweep.engine.planner import Plan, make_plan
from jaxsweep.errors import RequestError
from jaxsweep.spec.hyperparameters import resolve


def planned(costs: Costs) -> Plan:
    data = prepare(load_dataset("iris"), split=(0.6, 0.2, 0.2), folds=0, seed=0)
    configs = [resolve({"width": width, "epochs": 5}, data.task, 90, False) for width in (8, 16, 32, 512)]
    return make_plan(configs, sizes_of(data), costs=costs)


def test_a_slow_machine_plans_the_same_and_predicts_more() -> None:
    one, two = planned(Costs()), planned(Costs(slower=3.0, slower_compiling=3.0))
    shapes = [[(b.widths, b.batch_size, b.tile) for b in plan.buckets] for plan in (one, two)]
    assert shapes[0] == shapes[1]
    assert two.predicted_seconds == pytest.approx(3 * one.predicted_seconds)


def test_what_does_not_fit_is_split_or_refused() -> None:
    whole = planned(Costs(workers=8))
    assert whole.workers == 8
    fewer = planned(Costs(workers=8, memory=whole.predicted_bytes - 1))
    assert fewer.workers < 8
    assert fewer.predicted_bytes < whole.predicted_bytes
    with pytest.raises(RequestError, match="GiB of memory"):
        planned(Costs(memory=1e6))


def test_measured_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    monkeypatch.setattr(calibrate, "_measure", lambda: (2 * calibrate.NOMINAL_RUN, 3 * calibrate.NOMINAL_COMPILE))
    assert calibrate.device_costs().slower == 1.0
    assert calibrate.device_costs(measure=True).slower == pytest.approx(2.0)
    monkeypatch.setattr(calibrate, "_measure", lambda: 1 / 0)
    kept = calibrate.device_costs(measure=True)
    assert (kept.slower, kept.slower_compiling) == pytest.approx((2.0, 3.0))
    (tmp_path / calibrate.FILE).write_text("nonsense")
    assert calibrate.device_costs().slower == 1.0


def test_measuring_gives_seconds() -> None:
    run, compiling = calibrate._measure()
    assert 0 < run < 10
    assert 0 < compiling < 60


def test_the_machine_is_described() -> None:
    assert machine.cores() >= 1
    assert machine.processor()
    assert machine.memory_available() > 1e8
    assert machine.peak_memory() > 1e7

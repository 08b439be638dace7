"""Costs of the device: nominal for decisions, measured for predictions, kept on disk."""

from pathlib import Path

import pytest
from jax_settings import setting

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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of kept programs in which nothing has been measured yet."""
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    monkeypatch.setattr(cache, "_folder", tmp_path)
    return tmp_path


def measures(monkeypatch: pytest.MonkeyPatch, *found: tuple[float, float]) -> list[tuple[float, float]]:
    """Let these factors be what is measured next; return those that nobody has asked for yet."""
    left = list(found)

    def measure() -> tuple[float, float]:
        run, compiling = left.pop(0)
        return run * calibrate.NOMINAL_RUN, compiling * calibrate.NOMINAL_COMPILE

    monkeypatch.setattr(calibrate, "_measure", measure)
    return left


def factors(measure: bool = True) -> tuple[float, float]:
    costs = calibrate.device_costs(measure)
    assert not costs.remark
    return costs.slower, costs.slower_compiling


def test_measured_once_and_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = measures(monkeypatch, (2.0, 3.0))
    assert factors(measure=False) == (1.0, 1.0)
    for measure in (True, True, False):
        assert factors(measure) == pytest.approx((2.0, 3.0))
        assert not left
    assert [path.name for path in folder.iterdir()] == ["calibration.json"]


@pytest.mark.parametrize(
    "kept",
    [
        "nonsense", "[]", '{"probe": 2, "run": 2.0}', '{"run": 2.0, "compile": 2.0}',  # of an earlier probe
        '{"probe": 1, "run": 2.0, "compile": 2.0}', '{"probe": 2, "run": 2.0, "compile": 0.058}',
        '{"probe": 2, "run": 101, "compile": 2.0}', '{"probe": 2, "run": NaN, "compile": 2.0}',
        '{"probe": 2, "run": Infinity, "compile": 2.0}', '{"probe": 2, "run": -2.0, "compile": 2.0}',
    ],
)  # fmt: skip
def test_what_was_kept_and_cannot_be_is_measured_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    (folder / "calibration.json").write_text(kept)
    assert factors(measure=False) == (1.0, 1.0)
    measures(monkeypatch, (2.0, 3.0))
    assert factors() == factors() == pytest.approx((2.0, 3.0))


def test_what_is_measured_and_cannot_be_is_neither_believed_nor_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measures(monkeypatch, (1.5, 0.1), (1.5, 2.0))
    assert factors() == pytest.approx((1.5, 2.0))  # the second time
    (folder / "calibration.json").unlink()
    measures(monkeypatch, (1.5, 0.1), (1.5, 0.058))
    costs = calibrate.device_costs(measure=True)
    assert (costs.slower, costs.slower_compiling) == (1.0, 1.0)
    assert "1.5 times as long to run and 0.058 times to compile were measured, which cannot be" in costs.remark
    assert not list(folder.iterdir())


def test_float64_has_factors_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measures(monkeypatch, (2.0, 3.0), (4.0, 3.0))
    assert factors() == pytest.approx((2.0, 3.0))
    with setting("jax_enable_x64", True):
        assert factors() == factors() == pytest.approx((4.0, 3.0))
    assert factors() == pytest.approx((2.0, 3.0))


def test_a_folder_that_cannot_be_written_to_costs_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "calibration.json").mkdir()
    measures(monkeypatch, (2.0, 3.0))
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        assert factors() == pytest.approx((2.0, 3.0))


def test_measuring_gives_seconds() -> None:
    run, compiling = calibrate._measure()
    assert 0 < run < 10
    assert 0 < compiling < 60


def test_no_probe_is_one_that_a_cache_could_have() -> None:
    assert len({calibrate._probe()[0].as_text() for _ in range(4)}) == 4


def test_a_worker_that_fails_is_no_measurement() -> None:
    with pytest.raises(ZeroDivisionError):
        calibrate._together(lambda: 1 / 0)  # type: ignore[arg-type]


def test_the_machine_is_described() -> None:
    assert machine.cores() >= 1
    assert machine.processor()
    assert machine.memory_available() > 1e8
    assert machine.peak_memory() > 1e7

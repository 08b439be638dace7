"""What earlier runs have to say of a space: which of their trials are points of it, and what may not compare."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxsweep.errors import RequestError
from jaxsweep.records.earlier import Earlier, earlier
from jaxsweep.records.store import Store
from jaxsweep.records.trials import Trial
from jaxsweep.spec.hyperparameters import resolve
from jaxsweep.spec.metrics import default_objective
from jaxsweep.spec.request import Request
from jaxsweep.spec.space import Choice, LogUniform, Space, Uniform
from jaxsweep.spec.sweepfile import to_toml

WHOLE = partial(resolve, task="classification", rows=90)
SPACE = Space(
    learning_rate=LogUniform(1e-3, 1e-1),
    optimizer=Choice(["sgd", "adam"]),
    momentum=Uniform(0.5, 0.9, when={"optimizer": "sgd"}),
    batch_size=Choice([30, 128, "full"]),
    epochs=2,
)
CONFIGS: list[dict[str, Any]] = [
    {"learning_rate": 0.05, "optimizer": "adam", "batch_size": 30, "epochs": 2},
    {"learning_rate": 0.05, "optimizer": "sgd", "momentum": 0.75, "batch_size": 30, "epochs": 2},
    {"learning_rate": 0.002, "optimizer": "adam", "batch_size": 128, "epochs": 2},
]


def _run(path: Path, configs: list[dict[str, Any]], scores: list[float | None], **more: Any) -> str:
    """A run directory with these trials, none of which was trained."""
    request = Request(**{"space": SPACE, "objective": "val_accuracy", **more})
    recorded = Store(
        path, to_toml(request, {"run": {"task": "classification", "fingerprint": "f" * 64}}), [str(request.objective)]
    )
    for number, (config, score) in enumerate(zip(configs, scores, strict=True)):
        status = "diverged" if score is None else "completed"
        trial = Trial(number, status, score, 0.0, 2, 0.1, {}, tuple(WHOLE(config).values()))
        recorded.record([(trial, [])])
    recorded.close()
    return str(path)


def _told(path: str, space: Space = SPACE, **more: Any) -> Earlier:
    request = Request(space=space, warm_start=(path,), **more)
    return earlier(request, more.get("objective", "val_accuracy"), "f" * 64, WHOLE)


def test_points_come_as_the_space_writes_them(tmp_path: Path) -> None:
    """The momentum of sgd alone, and the batch size before it was cut to 90 rows."""
    path = _run(tmp_path / "a", CONFIGS, [0.5, None, 0.75])
    known = _told(path)
    assert known.configs == CONFIGS
    np.testing.assert_array_equal(known.scores, [0.5, np.nan, 0.75])
    assert known.notes == [f"warm start: the searcher knows 3 of 3 trials of {path}"]
    for config in known.configs:
        SPACE.check(config)


@pytest.mark.parametrize(
    ("changed", "told", "by"),
    [
        ({"learning_rate": LogUniform(1e-2, 1e-1)}, [0, 1], " (by learning_rate)"),
        ({"optimizer": "adam", "momentum": None}, [0, 2], " (by optimizer)"),
        ({"epochs": 3}, [], " (by epochs)"),
        ({"epochs": None}, [], " (by epochs)"),  # 20 by default
        ({"learning_rate": None}, [], " (by learning_rate)"),  # 0.001 by default
        ({"dropout": Choice([0.0, 0.5])}, [0, 1, 2], ""),
        ({"dropout": Choice([0.25, 0.5])}, [], " (by dropout)"),
        ({"momentum": None}, [0, 2], " (by momentum)"),  # 0 by default; under adam it has no effect
        ({"batch_size": 30, "momentum": None}, [0], " (1 by momentum, 1 by batch_size)"),
    ],
)
def test_what_is_no_point_is_left_out_and_counted(
    tmp_path: Path, changed: dict[str, Any], told: list[int], by: str
) -> None:
    path = _run(tmp_path / "a", CONFIGS, [0.0, 0.25, 0.5])
    entries = {name: entry for name, entry in {**SPACE.entries, **changed}.items() if entry is not None}
    known = _told(path, Space(**entries))
    assert known.scores == [0.25 * number for number in told]
    for config in known.configs:
        Space(**entries).check(config)
    left = 3 - len(told)
    rest = {0: "", 1: "; 1 is no point of this space"}.get(left, f"; {left} are no points of this space")
    assert known.notes == [f"warm start: the searcher knows {len(told)} of 3 trials of {path}{rest}{by}"]


def test_another_objective_or_direction_is_refused(tmp_path: Path) -> None:
    path = _run(tmp_path / "a", CONFIGS, [0.5, 0.5, 0.75])
    with pytest.raises(
        RequestError, match=r"are scored by 'val_accuracy' .maximize., those of this sweep by 'val_loss'"
    ):
        _told(path, objective="val_loss")
    with pytest.raises(
        RequestError, match="by 'val_accuracy', those of this sweep by 'val_f1': take the same objective"
    ):
        _told(path, objective="val_f1")


def test_what_may_not_compare_is_said(tmp_path: Path) -> None:
    path = _run(tmp_path / "a", CONFIGS, [0.5, 0.5, 0.75])
    request = Request(space=SPACE, warm_start=(path,))
    (other,) = earlier(request, default_objective("classification"), "e" * 64, WHOLE).notes
    assert other.endswith(
        "; its data are others (fingerprint ffffffffffff, here eeeeeeeeeeee), so that its scores may not compare"
    )
    for more, words in (
        ({"seed": 1}, "its validation rows are others"),
        ({"folds": 2}, "its validation rows are others"),
        ({"keep_weights": "best"}, "it had keep_weights = 'last'"),
    ):
        (note,) = earlier(replace(request, **more), "val_accuracy", "f" * 64, WHOLE).notes
        assert words in note


def test_runs_are_told_in_their_order(tmp_path: Path) -> None:
    paths = [_run(tmp_path / name, CONFIGS[:1], [score]) for name, score in (("b", 0.25), ("a", 0.75))]
    request = Request(space=SPACE, warm_start=(*paths, paths[0]))
    assert earlier(request, "val_accuracy", "f" * 64, WHOLE).scores == [0.25, 0.75]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="is no run directory"):
        _told(str(tmp_path))

"""Tables of trials: what has a column, and what its cell says."""

import io
from typing import Any

from rich.console import Console

from jaxsweep.report import tables
from jaxsweep.spec.hyperparameters import resolve


def _row(trial: int, **config: Any) -> dict[str, Any]:
    metrics = {"score": trial / 8, "train_loss": 0.5, "val_loss": 0.5}
    return {"trial": trial, "status": "completed", "epochs_done": 3, **metrics, **resolve(config, "regression", 100)}


def _printed(rows: list[dict[str, Any]], everything: list[dict[str, Any]]) -> list[list[str]]:
    file = io.StringIO()
    tables.trial_table(Console(file=file, width=200), rows, everything, "val_mse", "score")
    lines = [line.split() for line in file.getvalue().splitlines()]
    return [line for line in lines if line and not line[0].startswith("\u2500")]


def test_what_has_no_effect_has_an_empty_cell_and_no_column_where_all_are_empty() -> None:
    sgd, adam = _row(1, optimizer="sgd", momentum=0.25, l2=0.125), _row(2, momentum=0.75)
    other = _row(3, optimizer="lion", b2=0.99)
    head, first, second = _printed([sgd, adam], [sgd, adam])
    assert head == ["trial", "score", "train_loss", "val_loss", "optimizer", "momentum", "l2"]
    assert first == ["1", "0.1250", "0.5000", "0.5000", "sgd", "0.25", "0.125"]
    assert second == ["2", "0.2500", "0.5000", "0.5000", "adam", "0"]
    assert "momentum" not in _printed([adam, other], [sgd, adam, other])[0]
    assert _printed([adam, other], [sgd, adam, other])[0][-2:] == ["b2", "l2"]

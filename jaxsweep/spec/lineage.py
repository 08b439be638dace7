"""The lineage of a network that is in part a copy of others: from which epoch on as which trial, with which config."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxsweep.spec.hyperparameters import Config


@dataclass(frozen=True)
class Part:
    """A part of a network's training: it ends where the next one begins.

    `epoch` is how many epochs were done when it began; random numbers were those of `trial`.
    """

    epoch: int
    trial: int
    config: Config  # every hyperparameter


Lineage = tuple[Part, ...]  # in their order; empty if a network was itself all along


def told(lineage: Lineage) -> str:
    """Return after how many epochs it went on as which trial, such as "0: 12, 4: 7"; "" for itself all along."""
    return ", ".join(f"{part.epoch}: {part.trial}" for part in lineage)


def to_json(lineage: Lineage) -> str:
    """Return a lineage as text; of each config but the first no more than what is new."""
    rows: list[dict[str, Any]] = []
    before: Mapping[str, Any] = {}
    for part in lineage:
        new = {name: value for name, value in part.config.items() if name not in before or before[name] != value}
        rows.append({"epoch": part.epoch, "trial": part.trial, "config": new})
        before = part.config
    return json.dumps(rows)


def from_rows(rows: Sequence[Mapping[str, Any]]) -> Lineage:
    """Return the lineage of what `to_json` wrote, read."""
    parts: list[Part] = []
    config: Config = {}
    for row in rows:
        config = {**config, **row["config"]}
        parts.append(Part(int(row["epoch"]), int(row["trial"]), config))
    return tuple(parts)

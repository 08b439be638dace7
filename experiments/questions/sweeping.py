"""Sweep files on data sets, and their networks as groups."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import jaxsweep as js
from jaxsweep.spec import sweepfile
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, epoch_steps
from jaxsweep.spec.request import Request
from questions.measures import FloatArray, converged
from questions.registry import word

FOLDER = Path(__file__).parent


@dataclass
class Found:
    """The groups of one data set.

    Attributes:
        ratio: validation rows for each training row.
        trainings: how many networks were trained for it.
        groups: [trainings] of each measure of each group.
        chosen: what each group has chosen for itself, in words.
        diverged: how many trainings of each group diverged.
        map: a picture of its own: rows, columns and values [rows, columns], as lists.
    """

    ratio: float
    trainings: int
    groups: dict[str, dict[str, FloatArray]] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    diverged: dict[str, int] = field(default_factory=dict)
    map: dict[str, Any] | None = None


@dataclass(frozen=True)
class Settings:
    """What is the same for all questions: where the tables are, and how far a try is to be cut short.

    `smaller` changes each request, for a quick look; `seeds` is of the questions that run several searches.
    """

    tables: Path
    seeds: int = 20
    smaller: Callable[[Request], Request] = lambda request: request


def request_of(name: str, settings: Settings) -> Request:
    """Return what a question's sweep file asks for."""
    return settings.smaller(sweepfile.read(FOLDER / f"{name}.toml").request())


@dataclass
class Trained:
    """The networks of a sweep: configs [trials], and each measure [trials, trainings]."""

    configs: Sequence[Mapping[str, Any]]
    numbers: dict[str, FloatArray]
    diverged: NDArray[np.bool_]
    ratio: float

    def rows(self, kept: Sequence[int]) -> "Trained":
        """Return those of some configs."""
        numbers = {name: values[kept] for name, values in self.numbers.items()}
        return replace(self, configs=[self.configs[i] for i in kept], numbers=numbers, diverged=self.diverged[kept])


def constant_score(data: js.Dataset) -> float:
    """Return the score of who always predicts the same: the share of the largest class, or an r2 of 0."""
    if data.classes is None:
        return 0.0
    return float(np.bincount(data.target).max() / len(data.target))


def ratio_of(result: js.Result) -> float:
    """Return how many validation rows a sweep has for each training row."""
    return len(result.data.val[0]) / len(result.data.train[0])


def trained(result: js.Result) -> Trained:
    """Return the networks of a sweep with what is measured of each.

    A score is accuracy, or r2. A network that diverged counts as one that always predicts the same, and so does one
    that is worse than that; of other measures it has none (NaN).
    """
    trials = sorted(result.trials, key=lambda trial: (place_of(trial.config, result.request), trial.id))
    ids = [trial.id for trial in trials]
    frame = result.to_pandas(lanes=True).set_index("trial").sort_values(["replicate", "fold"]).loc[ids]
    shape = (len(trials), -1)
    classes = result.dataset.classes is not None
    score, loss = ("accuracy", "log_loss") if classes else ("r2", "mse")
    column = {name: frame[name].to_numpy(float).reshape(shape) for name in frame.columns if name.startswith(
        ("train_", "val_", "test_"))}  # fmt: skip
    least = constant_score(result.dataset)
    rows = {trial.id: row for row, trial in enumerate(result.trials)}
    curves = result.curves(f"val_{loss}", lanes=True)[[rows[number] for number in ids]]
    n = len(result.data.train[0])
    configs = [trial.config for trial in trials]
    steps = np.array([[epoch_steps(config, n)] for config in configs], dtype=np.float64)
    numbers = {
        "val_score": np.fmax(column[f"val_{score}"], least),
        "test_score": np.fmax(column[f"test_{score}"], least),
        "val_loss": column[f"val_{loss}"],
        "train_loss": column["train_loss"],
        "converged": converged(curves),
        "iterations": steps * frame["epochs_done"].to_numpy().reshape(shape),
        "milliseconds": np.array([[1e3 * trial.seconds / curves.shape[1]] * curves.shape[1] for trial in trials]),
    }
    if f"train_{score}" in column:
        gap = column["val_log_loss"] - column["train_log_loss"] if classes else column["train_r2"] - column["val_r2"]
        numbers["gap"] = gap
    numbers |= {name: column[name] for name in ("val_mae", "test_mae") if name in column}
    diverged = (frame["status"] == "diverged").to_numpy().reshape(shape)
    if "full" in lists_of(result.request).get("batch_size", ()):
        for config in configs:  # a full batch is resolved to a number of rows
            config["batch_size"] = "full" if config["batch_size"] >= n else config["batch_size"]
    return Trained(configs, numbers, diverged, ratio_of(result))


def lists_of(request: Request) -> dict[str, Sequence[Any]]:
    """Return the values of each hyperparameter that a sweep file lists, by its name."""
    entries = {} if request.space is None else request.space.entries
    return {name: entry.values for name, entry in entries.items() if isinstance(entry, js.Choice)}


def place_of(config: Mapping[str, Any], request: Request) -> tuple[int, ...]:
    """Return where a config stands among those of a grid: the places of its values in the sweep file's lists."""
    lists = lists_of(request)
    return tuple(  # what is resolved to something else, such as a full batch, stands last in its list
        values.index(config[name]) if config[name] in values else len(values) - 1 for name, values in lists.items()
    )


def groups_of(networks: Trained, names: tuple[str, ...]) -> dict[str, Trained]:
    """Return the configs of each group, which is called by its values of `names`."""
    places: dict[str, list[int]] = {}
    for i, config in enumerate(networks.configs):
        places.setdefault(word(config, names), []).append(i)
    return {name: networks.rows(kept) for name, kept in places.items()}


def kinds_of(networks: Trained, names: tuple[str, ...]) -> dict[str, Trained]:
    """Return the configs of each group, which is called by the one of `names` that is not at its default."""
    places: dict[str, list[int]] = {}
    for i, config in enumerate(networks.configs):
        other = [name for name in names if config[name] != HYPERPARAMETERS[name].default]
        places.setdefault(" and ".join(other) or "none", []).append(i)
    return {name: networks.rows(kept) for name, kept in places.items()}

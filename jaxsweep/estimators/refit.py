"""The winner trained again on all rows: by the engine where that is the same, since its programs are kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxsweep.data import Dataset
from jaxsweep.data.parts import Part
from jaxsweep.errors import RequestError, SweepFailed
from jaxsweep.records.model import Model
from jaxsweep.records.networks import epochs_that_counted, on_all
from jaxsweep.records.result import Result
from jaxsweep.records.trials import Trial


def trained_on_all(result: Result, trial: Trial, start_from: str | Path | Model | None) -> Model:
    """Return the network of a trial's config trained on all rows, as `Result.retrain` describes it.

    It trains for as many epochs as counted in the sweep. Where these are fewer than the config says, on a schedule that
    is laid out for all of them, or where the trial is a copy of others, plain Flax and Optax train it, which takes
    seconds; else it is a sweep of one trial, of another seed, whose program later fits find compiled.

    Raises:
        RequestError: this training diverges.
    """
    config, request = trial.config, result.request
    epochs = epochs_that_counted(result.lanes[trial.id], result.columns, request.keep_best)
    laid_out = config["schedule"] != "constant" or config["warmup"] > 0
    if trial.lineage or (epochs < config["epochs"] and laid_out):
        return result.retrain(trial.id)
    from jaxsweep.api import sweep

    whole = {**on_all(config, result.data), "epochs": epochs}
    again = sweep(
        _all_training(result.dataset), configs=[whole], objective="val_loss", seed=request.seed, split=(1.0, 0.0, 0.0),
        start_from=start_from, keep=1, precision=request.precision, progress=False,
    )  # fmt: skip
    if again.status == "interrupted":
        raise KeyboardInterrupt
    try:
        return again.model()
    except SweepFailed:
        raise RequestError(
            f"trial {trial.id}, the best one, diverges on all rows: give refit=False, smaller learning rates, or "
            "clip_norm"
        ) from None


def _all_training(dataset: Dataset) -> Dataset:
    """Return the data with all rows as training rows; the first one validates, too, since a sweep has such a part."""
    first = np.zeros(1, np.int64)
    columns = tuple(column.take(first) for column in dataset.inputs)
    weights = None if dataset.weights is None else dataset.weights[first]
    return replace(dataset, validation=Part(columns, dataset.target[first], weights), groups=None)

"""What a result does with its data: a trial's network trained again, on its own rows or on all, and its predictions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jaxsweep.data import Dataset, Prepared
from jaxsweep.data.prepared import prepare_whole
from jaxsweep.errors import RequestError
from jaxsweep.records.lanes import Lane
from jaxsweep.records.model import Model
from jaxsweep.records.trials import Columns, Trial, final_epoch
from jaxsweep.spec import arguments
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.request import Request

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("train", "val", "test")


def trained_again(
    data: Prepared, trial: Trial, request: Request, objective: str, epochs: int, replicate: int = 0, fold: int = 0
) -> Model:
    """Return a network of a trial, trained again as `solo` does: the same one that the sweep trained.

    `epochs` is how many that lane has trained.

    Raises:
        RequestError: the trial did not finish.
    """
    _check_finished(trial)
    from jaxsweep.network.reference import train  # with Flax and Optax, which few sweeps need

    again = train(
        data, trial.config, request.seed, trial=trial.id, replicate=replicate, fold=fold, objective_metric=objective,
        keep_best=request.keep_best, stop_after=stopped_after(trial, epochs), lineage=trial.lineage,
        metrics=[own for own in request.metrics if objective == f"val_{own}"],
    )  # fmt: skip
    return Model.of(data, trial.config, again.params, again.stats, fold)


def trained_on_all(
    dataset: Dataset, data: Prepared, trial: Trial, lanes: Sequence[Lane], columns: Columns, request: Request
) -> Model:
    """Return the network of a trial's config, trained on all rows of a dataset, for as long as counted in the sweep.

    Args:
        dataset: all rows.
        data: the same as the sweep trained on them.
        trial: whose config it is.
        lanes: those of the trial; after the mean of the epochs whose weights counted in them the training ends, on the
            same schedule.
        columns: the metrics of the lanes' curves.
        request: that of the sweep.

    Raises:
        RequestError: the trial did not finish, or this training diverges.
    """
    _check_finished(trial)
    from jaxsweep.network.reference import train

    whole = replace(prepare_whole(dataset), start=data.start)
    epochs = epochs_that_counted(lanes, columns, request.keep_best)
    parts = tuple(replace(part, config=on_all(part.config, data)) for part in trial.lineage)
    solo = train(whole, on_all(trial.config, data), request.seed, trial=trial.id, stop_after=epochs, lineage=parts)
    if solo.status == "diverged":
        raise RequestError(
            f"trial {trial.id} diverges on all rows, in epoch {solo.epochs + 1}: another trial may not, or the same "
            "config with a smaller learning_rate or with clip_norm"
        )
    return Model.of(whole, solo.config, solo.params, solo.stats)


def epochs_that_counted(lanes: Sequence[Lane], columns: Columns, keep_best: bool) -> int:
    """Return the mean of the epochs whose weights counted in the lanes of a trial."""
    return round(np.mean([final_epoch(lane.curves, columns, keep_best) + 1 for lane in lanes]))


def on_all(config: Config, data: Prepared) -> Config:
    """Return a config as it trains on all rows: there are none to watch, and a batch of all rows still has all."""
    full = config["batch_size"] >= min(len(rows) for rows in data.train)
    return {**config, "patience": 0, **({"batch_size": "full"} if full else {})}


def stopped_after(trial: Trial, epochs: int) -> int | None:
    """Return after how many epochs a lane is to end, which trained so many, if its trial was stopped; else None."""
    return epochs if trial.status == "stopped" else None


def _check_finished(trial: Trial) -> None:
    if trial.score is None:
        raise RequestError(f"trial {trial.id} has no network: it is {trial.status}")


def predictions(dataset: Dataset, data: Prepared, model: Model, part: str) -> "pd.DataFrame":
    """Return what a network says of the rows of a part beside their truth, as `Result.predictions` describes it."""
    import pandas as pd

    if arguments.word("part", part, PARTS[-1]) not in PARTS:
        raise RequestError(f"part = {part!r} is not legal: it must be one of {', '.join(PARTS)}")
    if part == "test":
        numbers, features, own = data.test_numbers, data.x_test[0], dataset.test
    else:
        rows = (data.train if part == "train" else data.val)[0]
        numbers, features, own = data.numbers[rows], data.x[0][rows], dataset.validation if part == "val" else None
    if not len(numbers):
        raise RequestError(f"part = {part!r} has no rows: sweep with a split such as (0.6, 0.2, 0.2)")
    at = numbers if own is not None or dataset.numbers is None else np.searchsorted(dataset.numbers, numbers)
    truth = (dataset if own is None else own).target[at]
    if dataset.classes is not None:
        truth = model.preprocessor.labels(truth)
    predicted, probabilities = model.predicted(features)
    named = {f"proba_{label}": probabilities[:, code] for code, label in enumerate(model.classes or ())}
    columns = {"truth": truth, "prediction": predicted}
    if dataset.target_names:  # several: a column each
        columns = {
            f"{what}_{name}": values[:, number]
            for what, values in columns.items()
            for number, name in enumerate(dataset.target_names)
        }
    return pd.DataFrame({"row": numbers, **columns, **named})

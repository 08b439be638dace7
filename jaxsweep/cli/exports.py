"""`export`, `optuna`, `tensorboard` and `mlflow`: a run, or a network of it, for other programs."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from jaxsweep.cli.runs import tell
from jaxsweep.errors import RequestError
from jaxsweep.records import stored
from jaxsweep.records.stored import StoredRun
from jaxsweep.records.trials import Trial
from jaxsweep.report import tables

if TYPE_CHECKING:
    from jaxsweep.records.result import Result


def export(arguments: Namespace) -> int:
    """Write a trial's network, as a folder or for ONNX: its kept weights, or those of the same training once more."""
    if arguments.out is None and arguments.onnx is None:
        raise RequestError(
            "the following arguments are required: --out DIR, or --onnx FILE (see jaxsweep export --help)"
        )
    if arguments.onnx_features and arguments.onnx is None:
        raise RequestError("--onnx-features says what a graph takes, and there is none: add --onnx FILE")
    run = stored.load(arguments.run)
    tell(run)
    if arguments.ensemble is not None:
        return _export_ensemble(arguments)
    trial = _best(run) if arguments.trial is None else run.trial(arguments.trial)
    if trial.score is None:
        raise RequestError(f"trial {trial.id} has no network: it is {trial.status}")
    if run.has_model(trial.id):
        model, how = run.model(trial.id), "kept weights"
    else:
        from jaxsweep.records.networks import trained_again

        data = run.prepared()
        tables.say(f"the weights of trial {trial.id} were not kept: training it again")
        epochs = len(run.curves_of(trial.id)["train_loss"])
        model, how = trained_again(data, trial, run.request, run.objective, epochs), "trained again"
    if arguments.onnx is not None:
        model.to_onnx(arguments.onnx, features=arguments.onnx_features)
    if arguments.out is not None:
        model.save(arguments.out)
    where = " and ".join(filter(None, (arguments.out, arguments.onnx)))
    tables.say(f"trial {trial.id} ({run.objective} {trial.score:.4g}, {how}) is in {where}")
    return 0


def _export_ensemble(arguments: Namespace) -> int:
    """Write an ensemble of kept networks as a folder."""
    from jaxsweep.records.result import load

    if arguments.onnx is not None:
        raise RequestError("--onnx takes one network, and --ensemble are several: give --out DIR, or --trial ID")
    result = load(arguments.run)
    ensemble = result.ensemble(arguments.ensemble)
    ensemble.save(arguments.out)
    scores = [f"{ensemble.objective} {ensemble.score:.4g} on the rows that it was chosen by"]
    tested = ensemble.metrics.get(ensemble.objective.replace("val_", "test_", 1))
    scores += [] if tested is None else [f"{tested:.4g} on the test rows"]
    count, kept = len(ensemble.members), len(result.models)
    tables.say(f"an ensemble of {count} of {kept} kept networks ({', '.join(scores)}) is in {arguments.out}")
    return 0


def optuna(arguments: Namespace) -> int:
    """Write a run as a study of Optuna."""
    result = _finished(arguments.run)
    name = arguments.study or Path(arguments.run).resolve().name
    study = result.to_optuna(arguments.storage, name)
    tables.say(f"{len(result.trials)} trials are in the study {study.study_name} of {arguments.storage}")
    return 0


def tensorboard(arguments: Namespace) -> int:
    """Write the best trials of a run as event files for TensorBoard."""
    written = _finished(arguments.run).to_tensorboard(
        arguments.out, trials=arguments.top, show_test=arguments.show_test
    )
    tables.say(written.told())
    return 0


def mlflow(arguments: Namespace) -> int:
    """Write a run to MLflow, with the best trials as runs below it."""
    logged = _finished(arguments.run).to_mlflow(
        arguments.tracking_uri, arguments.experiment, arguments.run_name, arguments.top, arguments.show_test
    )
    tables.say(logged.told())
    return 0


def _finished(directory: str) -> "Result":
    from jaxsweep.records.result import load

    result = load(directory)
    if not result.trials:
        raise RequestError(f"{directory} has no finished trials yet: there is nothing to write")
    return result


def _best(run: StoredRun) -> Trial:
    ranked = run.ranked
    if not ranked:
        if any(trial.score is not None for trial in run.trials):
            limits = " and ".join(run.request.constraints)
            raise RequestError(
                f"{run.path} has no best network: none of its trials meets {limits}; name one by --trial"
            )
        raise RequestError(f"{run.path} has no trial that finished: there is no network to export")
    return ranked[0]

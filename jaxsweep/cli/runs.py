"""`show`, `report`, `export`, `optuna` and `solo`: what there is to do with a run directory."""

import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jaxsweep.cli.winner import print_front, print_winner
from jaxsweep.errors import RequestError, printable, spreadsheet_text, suggestion
from jaxsweep.records import stored
from jaxsweep.records.confirmed import told
from jaxsweep.records.front import rows_of
from jaxsweep.records.networks import stopped_after
from jaxsweep.records.stored import StoredRun
from jaxsweep.records.trials import Trial
from jaxsweep.report import tables
from jaxsweep.spec.aims import Aims
from jaxsweep.spec.own import directed

TOP = 10
EPOCHS_SHOWN = 25

Curves = Mapping[str, NDArray[np.float64]]


def show(arguments: Namespace) -> int:
    """Print the table of a run."""
    run = stored.load(arguments.run)
    _tell(run)
    aims = Aims.of(run.request, run.objective)
    rows: list[tables.Row] = [*rows_of(run.trials, aims)]
    if not rows:
        raise RequestError(f"{run.path} has no finished trials yet: there is nothing to show")
    if arguments.sort not in rows[0]:
        raise RequestError(f"--sort {arguments.sort}: there is no such column{suggestion(arguments.sort, rows[0])}")
    top = arguments.top if arguments.top is not None else TOP if arguments.format == "table" else len(rows)
    if top < 1:
        raise RequestError(f"--top {top} is not legal: it must be an integer of at least 1")
    chosen = tables.sort_rows(rows, directed(arguments.sort, run.request.metrics), run.objective)[:top]
    if arguments.format == "json":
        print("[" + ",\n ".join(tables.json_text(row) for row in chosen) + "]")
    elif arguments.format == "csv":
        import pandas as pd

        plain = [{name: _text(v) if isinstance(v, str) else v for name, v in row.items()} for row in chosen]
        pd.DataFrame(plain).rename(columns=_text).to_csv(sys.stdout, index=False)
    else:
        console = tables.stdout()
        show_test = arguments.show_test or arguments.sort.startswith("test_")
        remark = tables.trial_table(console, chosen, rows, run.objective, arguments.sort, show_test, aims.names)
        tables.say(f"{len(chosen)} of {len(rows)} trials, score is {run.objective}{remark and '; '}{remark}")
        if run.request.trials is not None and len(rows) < run.request.trials:
            tables.say(
                f"{run.request.trials:,} were asked for: if nobody trains the others, jaxsweep resume {run.path} does"
            )
        print_front(console, run.trials, aims)
        if ranked := run.ranked:
            status = run.summary.get("status", "running")
            words = told(status, run.objective, run.request.confirm, run.trials, run.confirmed, ranked[0])
            print_winner(console, words, run.confirmed, show_test)
        elif not any(trial.score is not None for trial in run.trials):
            count = sum(trial.status == "diverged" for trial in run.trials)
            tables.say(f"no trial has a score: {count} of {len(run.trials)} diverged")
    return 0


def report(arguments: Namespace) -> int:
    """Write what a run came to as a page of HTML, and print where it is."""
    from jaxsweep.records.result import load

    print(printable(str(load(arguments.run).report(arguments.out))))
    return 0


def _text(text: str) -> str:
    """Return a text as a cell of a CSV file, which neither a spreadsheet nor a terminal obeys."""
    return spreadsheet_text(printable(text))


def _tell(run: StoredRun) -> None:
    """Say what is to be said of a run that is not whole."""
    for remark in run.remarks():
        tables.say(remark)


def export(arguments: Namespace) -> int:
    """Write a trial's network as a folder, kept or trained once more as it was, or an ensemble of kept ones."""
    run = stored.load(arguments.run)
    _tell(run)
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
    model.save(arguments.out)
    tables.say(f"trial {trial.id} ({run.objective} {trial.score:.4g}, {how}) is in {arguments.out}")
    return 0


def _export_ensemble(arguments: Namespace) -> int:
    from jaxsweep.records.result import load

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
    from jaxsweep.records.result import load

    result = load(arguments.run)
    if not result.trials:
        raise RequestError(f"{arguments.run} has no finished trials yet: there is nothing to write")
    name = arguments.study or Path(arguments.run).resolve().name
    study = result.to_optuna(arguments.storage, name)
    tables.say(f"{len(result.trials)} trials are in the study {study.study_name} of {arguments.storage}")
    return 0


def solo(arguments: Namespace) -> int:
    """Train one trial alone, and print its learning curves beside those of the sweep."""
    from jaxsweep.network.reference import train

    run = stored.load(arguments.run)
    trial = run.trial(arguments.trial)
    request, data = run.request, run.prepared()
    lanes = [(replicate, fold) for replicate in range(request.replicates) for fold in range(len(data.train))]
    console = tables.stdout()
    for replicate, fold in lanes:
        swept = run.curves_of(trial.id, replicate, fold)
        alone = train(
            data, trial.config, request.seed, trial=trial.id, replicate=replicate, fold=fold,
            objective_metric=run.objective, keep_best=request.keep_best, train_metrics=request.train_metrics,
            metrics=request.metrics, stop_after=stopped_after(trial, len(swept["train_loss"])), lineage=trial.lineage,
        )  # fmt: skip
        if len(lanes) > 1:
            console.print(f"replicate {replicate}, fold {fold}")
        _compare(run, trial, swept, alone.curves, alone.status)
    return 0


def _compare(run: StoredRun, trial: Trial, swept: Curves, alone: Curves, status: str) -> None:
    """Print both learning curves, and the largest difference of each metric."""
    console = tables.stdout()
    metrics = list(dict.fromkeys(["train_loss", "val_loss", run.objective]))
    epochs = min(len(swept["train_loss"]), len(alone["train_loss"]))
    chosen = np.linspace(0, epochs - 1, min(epochs, EPOCHS_SHOWN)).astype(int).tolist()
    columns = ["epoch", *(f"{metric} {whose}" for metric in metrics for whose in ("sweep", "solo"))]
    rows = [
        [str(epoch + 1), *(f"{curves[metric][epoch]:.6g}" for metric in metrics for curves in (swept, alone))]
        for epoch in chosen
    ]
    console.print(tables.plain_table(columns, rows, numbers=columns))
    lengths = len(swept["train_loss"]), len(alone["train_loss"])
    console.print(
        f"trial {trial.id}: {trial.status} after {lengths[0]} epochs in the sweep, {status} after {lengths[1]} alone"
    )
    shared = [name for name in swept if name in alone]
    gaps = {name: _largest(swept[name][:epochs], alone[name][:epochs]) for name in shared}
    console.print("largest difference: " + ", ".join(f"{name} {gap:.3g}" for name, gap in gaps.items()))


def _largest(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    return float(np.abs(a - b)[both].max()) if both.any() else 0.0


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

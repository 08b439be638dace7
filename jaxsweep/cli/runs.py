"""`show`, `report` and `solo`: what there is to look at in a run directory."""

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jaxsweep.cli.winner import print_front, print_winner
from jaxsweep.errors import RequestError, printable, suggestion
from jaxsweep.records import files, stored
from jaxsweep.records.confirmed import told
from jaxsweep.records.front import rows_of
from jaxsweep.records.networks import stopped_after
from jaxsweep.records.stored import StoredRun
from jaxsweep.records.trials import Trial
from jaxsweep.report import tables
from jaxsweep.spec.aims import Aims
from jaxsweep.spec.own import directed

TOP = 10
ENDS = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".pq": "parquet"}  # of files with tables
EPOCHS_SHOWN = 25

Curves = Mapping[str, NDArray[np.float64]]


def show(arguments: Namespace) -> int:
    """Print the table of a run, or write it to a file."""
    kind = _kind(arguments.format, arguments.out)
    run = stored.load(arguments.run)
    tell(run)
    aims = Aims.of(run.request, run.objective)
    rows: list[tables.Row] = [*rows_of(run.trials, aims)]
    if not rows:
        raise RequestError(f"{run.path} has no finished trials yet: there is nothing to show")
    if arguments.sort not in rows[0]:
        raise RequestError(f"--sort {arguments.sort}: there is no such column{suggestion(arguments.sort, rows[0])}")
    top = arguments.top if arguments.top is not None else TOP if kind == "table" else len(rows)
    if top < 1:
        raise RequestError(f"--top {top} is not legal: it must be an integer of at least 1")
    chosen = tables.sort_rows(rows, directed(arguments.sort, run.request.metrics), run.objective)[:top]
    if kind == "table":
        _print_table(run, chosen, rows, arguments.sort, arguments.show_test or arguments.sort.startswith("test_"))
        return 0
    text = "" if kind == "parquet" else files.csv_text(chosen) if kind == "csv" else _json_text(chosen)
    if arguments.out is None:
        sys.stdout.write(text)
    else:
        files.save(Path(arguments.out), text.encode() or files.parquet_bytes(chosen))
        tables.say(f"{len(chosen)} of {len(rows)} trials are in {arguments.out}")
    return 0


def _kind(said: str, out: str | None) -> str:
    """Return what a table is to be: that which is said, or what the file's name ends in."""
    if out is None and said == "parquet":
        raise RequestError("--format parquet is no text to print: name a file, --out FILE.parquet")
    if out is None or said != "table":
        return said
    if (kind := ENDS.get(Path(out).suffix.lower())) is None:
        raise RequestError(f"--out {out}: name a file that ends in .csv, .json or .parquet, or say --format")
    return kind


def _json_text(rows: Sequence[tables.Row]) -> str:
    return "[" + ",\n ".join(tables.json_text(row) for row in rows) + "]\n"


def _print_table(
    run: StoredRun, chosen: Sequence[tables.Row], rows: Sequence[tables.Row], order: str, show_test: bool
) -> None:
    """Print the chosen rows, and what is to be said of the run as a whole."""
    console, aims = tables.stdout(), Aims.of(run.request, run.objective)
    remark = tables.trial_table(console, chosen, rows, run.objective, order, show_test, aims.names)
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


def report(arguments: Namespace) -> int:
    """Write what a run came to as a page of HTML, and print where it is."""
    from jaxsweep.records.result import load

    print(printable(str(load(arguments.run).report(arguments.out))))
    return 0


def tell(run: StoredRun) -> None:
    """Say what is to be said of a run that is not whole."""
    for remark in run.remarks():
        tables.say(remark)


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

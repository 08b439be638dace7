"""Going on with a run: it asks, tells and decides what it did from the start, and trains what is not recorded.

Nothing of a search is kept but its trials, and what those under way have come to. Searchers and schedulers follow from
the seed and from what they were told, so that they come to where they were by being told it again; lanes go on from
their checkpoints in the tiles of the same plan, and so the table is bit by bit that of a sweep that nobody has stopped.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jaxsweep.data import Dataset
from jaxsweep.data.source import Source
from jaxsweep.engine import machine
from jaxsweep.errors import RequestError
from jaxsweep.loop import execute, written_out
from jaxsweep.records import stored
from jaxsweep.records.result import Result
from jaxsweep.records.rundir import RESUMABLE
from jaxsweep.records.stored import MAY_CHANGE, StoredRun
from jaxsweep.report.progress import Progress
from jaxsweep.schedulers import SCHEDULERS
from jaxsweep.setup import set_up
from jaxsweep.spec.request import Request, difference

MATTER = ("jax", "jaxlib")  # packages on whose versions last bits depend; they do on the machine, too


def stored_run(path: Path, functions: Mapping[str, Callable[..., Any]] | None = None) -> StoredRun:
    """Return a run that can go on.

    Raises:
        RequestError: there is none, or one that this version cannot go on with.
    """
    run = stored.load(path, functions)
    run.check_repeatable()
    if run.format < RESUMABLE:
        raise RequestError(
            f"{path} was recorded by an earlier version of jaxsweep, in format {run.format}, and cannot go on: its "
            "table and kept networks are as good as ever, and warm_start lets another sweep learn from them"
        )
    return run


def go_on(
    run: StoredRun, trials: int | None = None, minutes: float | None = None, data: Dataset | None = None,
    progress: Progress | None = None, checkpoint_seconds: float | None = None,
) -> Result:  # fmt: skip
    """Go on with a run until it has `trials` trials, by default as many as were asked for.

    Args:
        run: of `stored_run`.
        trials: how many there are to be in all.
        minutes: a time limit from now on, infinity for none; by default that of the run, which begins anew. The run
            keeps its own.
        data: what the run was trained on, if that cannot be read again.
        progress: who is shown how far it is.
        checkpoint_seconds: between checkpoints of what is under way, from now on.

    Raises:
        RequestError: other data, fewer trials than there are, or as `loop.execute`.
    """
    request = replace(run.request, start=run.start)
    if trials is not None:
        if trials != request.trials and request.scheduler is not None and SCHEDULERS[request.scheduler].changes:
            raise RequestError(
                f"trials = {trials} is another population than the {request.trials} of {run.path}: under scheduler = "
                f"{request.scheduler!r} all of it would train anew, so begin another run"
            )
        request = replace(request, trials=trials)
    if request.trials is not None and request.trials < (finished := len(run.trials)):
        raise RequestError(
            f"trials = {request.trials} are fewer than the {finished} that {run.path} has: ask for as many, or more"
        )
    if minutes is not None:
        request = replace(request, minutes=None if minutes == math.inf else minutes)
    if checkpoint_seconds is not None:
        request = replace(request, checkpoint_seconds=checkpoint_seconds)
    if data is None and run.request.source == Source():
        raise RequestError(
            f"{run.path} was trained on data in memory, which cannot be read again: give them, "
            f"js.resume({str(run.path)!r}, data=...)"
        )
    if data is None:
        data = run.dataset()
    elif data.fingerprint != run.fingerprint:
        raise RequestError(
            f"data are not those of {run.path}: their fingerprint is {data.fingerprint[:12]}, and the run was trained "
            f"on {run.fingerprint[:12]}: give what it was trained on, or begin another run"
        )
    there = f"{len(run.trials):,} of {request.trials or len(run.trials):,} trials are in {run.path}"
    remarks = [there, *run.remarks(), *_other_versions(run)]
    return execute(data, request, run.path, progress, before=run, remarks=remarks)


def _other_versions(run: StoredRun) -> list[str]:
    """Return what is to be said of packages of other versions, or another machine, than the run began with."""
    known = run.record.get("versions", {})
    here = {**{name: version(name) for name in MATTER}, "machine": machine.described()}
    other = [name for name in here if name in known and known[name] != here[name]]
    if not other:
        return []
    before, now = (" and ".join(f"{name} {each[name]}" for name in other) for each in (known, here))
    return [f"{run.path} began with {before}, and here is {now}: what trains from now on may differ in its last bits"]


def check_same(run: StoredRun, dataset: Dataset, request: Request) -> None:
    """Raise RequestError if a request asks for another sweep than a run is; some of it may change."""
    setup = set_up(dataset, request)
    asked = written_out(setup, dataset)
    if setup.request.start is not None and setup.request.start.fingerprint != run.record.get("run", {}).get("start"):
        raise RequestError(
            f"{run.path} holds a run whose networks start with other weights than start_from = {request.start_from!r} "
            f"now has: name another directory, or go on with it as it is (jaxsweep resume {run.path})"
        )
    if (differs := difference(run.request, asked, MAY_CHANGE)) is not None:
        name, before, now = differs
        raise RequestError(
            f"{run.path} holds a run with {name} = {before}, and this asks for {now}: name another directory, or go on "
            f"with it as it is (jaxsweep resume {run.path})"
        )

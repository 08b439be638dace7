"""`run`, `resume` and `plan`: a sweep, going on with one, and what it would cost."""

import math
import re
import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxsweep import schedulers, search
from jaxsweep.cli.interrupt import Interrupts
from jaxsweep.cli.winner import print_front, print_winner
from jaxsweep.data import Dataset, datasets
from jaxsweep.data.source import looks_like_a_file, open_source
from jaxsweep.engine.planner import Plan, rounded
from jaxsweep.errors import RequestError, SweepFailed, printable, suggestion
from jaxsweep.loop import execute
from jaxsweep.planning import plan as plan_request
from jaxsweep.records import rundir
from jaxsweep.records.front import rows_of
from jaxsweep.records.result import Result
from jaxsweep.records.store import REPLACED
from jaxsweep.records.trials import STATUSES
from jaxsweep.report import tables
from jaxsweep.report.views import make_progress
from jaxsweep.report.words import duration
from jaxsweep.resuming import check_same, go_on, stored_run
from jaxsweep.spec import sweepfile
from jaxsweep.spec.request import Request

DEFAULT_DATA = "digits"
TOP = 10
FAILED = 1


def run(arguments: Namespace) -> int:
    """Train a sweep, print its table, and return the exit code."""
    dataset, request = _asked(arguments)
    out = Path(arguments.out) if arguments.out else _new_directory(dataset.name)
    view = make_progress(not arguments.quiet)
    if arguments.resume and not arguments.out:
        raise RequestError("--resume goes on with the run in a directory: name it, --out DIR")
    if arguments.resume and rundir.holds_run(out):
        run = stored_run(out)
        check_same(run, dataset, request)
        minutes = math.inf if request.minutes is None else request.minutes
        result = go_on(run, request.trials, minutes, dataset, view, request.checkpoint_seconds)
    else:
        result = execute(dataset, request, out, view, command=_command(arguments.argv))
    return _conclude(arguments, result, out)


def _command(argv: Sequence[str]) -> str:
    """Return the command as a record has it, in UTF-8, which a file's name need not be."""
    return "jaxsweep " + shlex.join(argv).encode("utf-8", "backslashreplace").decode()


def resume(arguments: Namespace) -> int:
    """Go on with a run, print its table, and return the exit code."""
    arguments.out = arguments.run
    run = stored_run(Path(arguments.run))
    result = go_on(run, arguments.trials, arguments.minutes, progress=make_progress(not arguments.quiet))
    return _conclude(arguments, result, run.path)


def _conclude(arguments: Namespace, result: Result, out: Path) -> int:
    """Print what a sweep came to, and return the exit code."""
    unshown: OSError | None = None
    try:
        if arguments.format == "json":
            tables.print_json(result.summary())
        else:
            _print_result(result, arguments.show_test)
        sys.stdout.flush()
    except OSError as error:  # who reads stdout has gone, or it is full: where everything is comes first
        unshown = error
    if trouble := result.numbers["trouble"]:
        tables.say(_unrecorded(result, out, trouble))
    elif not arguments.quiet:
        _what_next(result, out)
    elif not arguments.out:
        tables.say(f"everything is in {out}")  # nobody could guess
    if trouble:
        return FAILED
    if result.status == "interrupted":
        return Interrupts.exit_code()
    if unshown is not None:
        raise unshown
    if not any(trial.score is not None for trial in result.trials):
        raise SweepFailed(result.why_none())
    if not any(trial.counts for trial in result.trials):
        result.best  # noqa: B018  raises, and says which constraints no trial meets
    return 0


def _unrecorded(result: Result, out: Path, trouble: str) -> str:
    """Return what is to be said of a run directory that could not be written in the end."""
    missing = len(result.trials) - result.numbers["recorded"]
    what = f"{missing:,} of {len(result.trials):,} trials are" if missing else "what the sweep came to is"
    if trouble == REPLACED or not rundir.holds_run(out):
        return f"failed: {what} not recorded ({trouble}): {out} was removed, moved or made anew while the sweep ran"
    return f"failed: {what} not recorded ({trouble}): once {out} can be written, jaxsweep resume {out} goes on with it"


def plan(arguments: Namespace) -> int:
    """Print what `run` would compile and cost."""
    planned = plan_request(*_asked(arguments))
    if not arguments.quiet:
        for note in planned.notes:
            tables.say(note)
    if arguments.format == "json":
        tables.print_json(planned.to_json())
    else:
        _print_plan(planned)
    return 0


def _asked(arguments: Namespace) -> tuple[Dataset, Request]:
    """Return the data and the request that the arguments ask for."""
    draft = sweepfile.read(arguments.file) if arguments.file else sweepfile.Draft()
    flags: dict[str, Any] = {}
    if arguments.data is not None:
        flags["data.path" if _is_file(arguments.data) else "data.name"] = arguments.data
    elif not arguments.file:
        flags["data.name"] = DEFAULT_DATA
    own = ("target", "task", "validation", "test", "group", "weight")
    flags |= {f"data.{key}": getattr(arguments, key) for key in own}
    keys = (
        "trials", "search", "scheduler", "minutes", "objective", "seed", "replicates", "keep", "confirm", "warm_start",
        "start_from",
    )  # fmt: skip
    if arguments.objective is not None and "," in arguments.objective:
        arguments.objective = [name.strip() for name in arguments.objective.split(",")]
    flags |= {f"sweep.{key}": getattr(arguments, key) for key in keys}
    flags["sweep.constraints"] = arguments.constraint
    draft = sweepfile.assemble(
        draft, flags, arguments.set,
        {
            "search": {name: search.options(name) for name in search.SEARCHERS},
            "scheduler": {name: schedulers.options(name) for name in schedulers.SCHEDULERS},
        },
    )  # fmt: skip
    source = draft.source()
    if source.name is None and source.path is None:
        raise RequestError(f"{arguments.file} names no data: give [data] name or path, or --data")
    dataset = open_source(source)
    request = draft.request(dataset.rows)
    if source.path is not None:  # the run directory must find the table from wherever it is read
        paths = {key: getattr(source, key) for key in ("path", "validation", "test")}
        found: dict[str, Any] = {key: str(Path(path).resolve()) for key, path in paths.items() if path is not None}
        request = replace(request, source=replace(source, **found))
    return dataset, request


def _is_file(data: str) -> bool:
    """Whether `--data` means a file: it looks like a path, or there is one of that name; RequestError if neither."""
    names = [row.name for row in datasets()]
    if data in names:
        return False
    if looks_like_a_file(data):
        return True
    hint = suggestion(data, names)
    raise RequestError(f"--data {data} is neither a built-in data set nor a file{hint}")


def _new_directory(name: str) -> Path:
    """Return a run directory that does not exist yet."""
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "sweep"
    first = Path("runs") / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = first, 2
    while path.exists():
        path, number = first.with_name(f"{first.name}-{number}"), number + 1
    return path


def _print_result(result: Result, show_test: bool) -> None:
    console = tables.stdout()
    rows = rows_of(result.trials, result.aims)
    finished = [row for row in rows if row["score"] == row["score"]]
    best = tables.sort_rows(finished, "score", result.objective)[:TOP]
    shown = f"the best {len(best)} of {len(rows)} trials" if len(best) < len(rows) else f"{len(rows)} trials"
    console.print(f"{shown} on {printable(result.data.name)}, score is {result.objective}")
    if best:
        remark = tables.trial_table(console, best, rows, result.objective, "score", show_test, result.aims.names)
        if remark:
            tables.say(remark)
        print_front(console, result.trials, result.aims)
        if any(trial.counts for trial in result.trials):
            print_winner(console, result.told(), result.confirmed, show_test)


def _what_next(result: Result, out: Path) -> None:
    counts = result.summary()["trials"]
    done = ", ".join(f"{counts[name]} {name}" for name in STATUSES if counts[name])
    seconds, where = duration(result.summary()["seconds"]["total"]), shlex.quote(str(out))
    if result.status == "interrupted":
        of = f"{counts['finished']} of {counts['requested']} trials finished{done and f' ({done})'}"
        tables.say(f"interrupted after {seconds}: {of}, and {counts['recorded']} are recorded in {out}")
        tables.say(f"to go on:         jaxsweep resume {where}")
    else:
        tables.say(f"{result.status} in {seconds}: {done or 'nothing finished'}. Everything is in {out}")
        if result.numbers["time_limit_reached"]:
            tables.say(f"to go on:         jaxsweep resume {where}")
    if any(trial.counts for trial in result.trials):
        tables.say(f"all trials:       jaxsweep show {where}")
        tables.say(f"the best network: jaxsweep export {where} --out MODEL_DIR")


def _print_plan(planned: Plan) -> None:
    console = tables.stdout()
    columns = ("depth", "widths", "batch_size", "lanes", "tile", "padding", "memory", "time")
    rows = [
        (
            bucket.depths, " ".join(map(str, bucket.widths)) or "linear", " ".join(map(str, bucket.batches)),
            str(bucket.lanes), str(bucket.tile), f"{bucket.padding_waste:.0%}", _size(bucket.bytes),
            f"{rounded(bucket.seconds + bucket.compile_seconds)} s",
        )
        for bucket in planned.buckets
    ]  # fmt: skip
    console.print(tables.plain_table(columns, rows, numbers=[name for name in columns if name != "widths"]))
    console.print(
        f"{planned.programs} program{'s' * (planned.programs != 1)} for {planned.lanes} lanes, "
        f"{planned.padding_waste:.0%} padding, {_size(planned.predicted_bytes)} of memory, about "
        f"{planned.predicted_seconds:.0f} s (compilation in it, {planned.compile_seconds:.0f} s of one core)"
    )


def _size(size: float) -> str:
    return f"{size / 2**20:.1f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"

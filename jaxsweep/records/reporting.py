"""What a sweep came to, as the sections of a page: best configs, curves, what matters, luck, how to run it again."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxsweep.errors import RequestError, SweepFailed
from jaxsweep.insight import charts
from jaxsweep.insight.page import Section, Table, page
from jaxsweep.records.front import front_told
from jaxsweep.records.rundir import replace_text
from jaxsweep.records.selection import metrics_of
from jaxsweep.spec import lineage
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS
from jaxsweep.spec.sweepfile import to_toml

if TYPE_CHECKING:
    from jaxsweep.insight.importance import Importance
    from jaxsweep.records.ensemble import Ensemble
    from jaxsweep.records.result import Result

PAGE = "report.html"  # of a run directory
TOP = 10  # trials of the table
PAIRS = 4  # that are drawn
BLIND = ("random", "grid", "sobol")  # searchers that do not follow scores


def write(result: "Result", path: Path, record: Mapping[str, Any]) -> None:
    """Write the page of a result; RequestError if that cannot be written, or there is no trial to tell of.

    `record` is what sweep.toml says beside the request, of a run directory.
    """
    if not result.trials:
        raise RequestError(f"{result.run or 'this sweep'} has no finished trials yet: there is nothing to report")
    text = page(_title(result), [*_sections(result, record)])
    try:
        replace_text(path, text)
    except OSError as error:
        raise RequestError(f"{path} cannot be written ({error.strerror or error}): name a file that can") from None


def _title(result: "Result") -> str:
    return f"jaxsweep: {result.run.name if result.run is not None else result.objective}"


def _sections(result: "Result", record: Mapping[str, Any]) -> Iterator[Section]:
    found = _importance(result)
    makers: list[Callable[[], Section | None]] = [
        lambda: _overview(result), lambda: _curves(result), lambda: _matters(result, found),
        lambda: _slices(result, found), lambda: _together(result, found), lambda: _parallel(result, found),
        lambda: _stability(result), lambda: _cost(result), lambda: _epochs(result), lambda: _winner(result),
        lambda: _curse(result), lambda: _luck(result), lambda: _table(result, record), lambda: _prediction(result),
        lambda: _again(result, record),
    ]  # fmt: skip
    for make in makers:
        section = make()
        if section is not None:
            yield section


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (list, tuple)):
        return "-".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _overview(result: "Result") -> Section:
    statuses = Counter(trial.status for trial in result.trials)
    counts = ", ".join(f"{count:,} {status}" for status, count in statuses.items())
    requested = result.numbers.get("requested") or len(result.trials)
    section = Section("Best configs", [f"{len(result.trials):,} of {requested:,} trials: {counts}."])
    try:
        section.words.append(f"{result.told()}.")
        best = result.top(TOP)
    except SweepFailed as error:
        section.words.append(f"{error}.")
        return section
    if front := front_told(result.trials, result.aims):
        section.words.append(f"{front}.")
    again = {each.trial: each.confirmed_score for each in result.confirmed}
    names = [name for name in HYPERPARAMETERS if any(name in trial.params for trial in best)]
    head = ["trial", "score", *(["confirmed"] if again else []), "epochs", *names]
    rows = []
    for trial in best:
        confirmed = [_cell(again.get(trial.id))] if again else []
        values = [_cell(trial.params.get(name)) for name in names]
        rows.append([str(trial.id), _cell(trial.score), *confirmed, str(trial.epochs_done), *values])
    section.tables.append(Table(head, rows))
    section.note = f"score is {result.objective}; an empty cell is a hyperparameter that has no effect in that config"
    return section


def _curves(result: "Result") -> Section | None:
    table = result.curves(result.objective)
    if not np.isfinite(table).any():
        return None
    place = {trial.id: row for row, trial in enumerate(result.trials)}
    best = [(trial.id, table[place[trial.id]]) for trial in result.top(charts.LINES)]
    lines = [(number, curve[np.isfinite(curve)]) for number, curve in best]
    note = (
        "grey: how many trials are where, after each epoch; blue: the median and the tenths at both ends; red and "
        f"orange: the best {len(lines)}"
    )
    if result.stops is not None:
        note += (
            "; green: where the scheduler looked, how many trials came and went on, and the ends of those it stopped"
        )
    drawn = charts.curves(table, result.objective, result.sheet.sign, lines, result.stops)
    return Section("Learning curves", charts=[drawn], note=note)


def _importance(result: "Result") -> "Importance | str":
    try:
        return result.importance()
    except RequestError as error:
        return str(error)


def _matters(result: "Result", found: "Importance | str") -> Section:
    section = Section("What matters")
    if isinstance(found, str):
        section.words.append(f"{found}.")
        return section
    section.words.append(f"{found.told()}.")
    if found.drawn_in:
        section.words.append(f"{found.drawn_in:,} scores far from all others at the bad end count as less far.")
    if result.request.configs is None and result.request.search not in BLIND:
        section.words.append("The search looked where scores were good: these are the shares within where it looked.")
    if any(trial.status == "stopped" for trial in result.trials):
        section.words.append("Trials that the scheduler stopped count with the score that they had then.")
    section.charts.append(charts.importances(found))
    section.note = (
        "functional analysis of variance with 95 % intervals; orange: of a pair, beyond what each of the two does by "
        "itself; what is left is luck, and what depends on three and more"
    )
    return section


def _ordered(result: "Result", found: "Importance | str") -> list[str]:
    """Return the names of what was varied, what matters most first."""
    known = [] if isinstance(found, str) else [*found.main]
    return [*known, *(name for name in result.sheet.factors if name not in known)]


def _slices(result: "Result", found: "Importance | str") -> Section | None:
    sheet = result.sheet
    names = _ordered(result, found)[: charts.SHOWN]
    if not names or not np.isfinite(sheet.scores).any():
        return None
    far = sheet.tamed()[1]
    return Section(
        "Score against each hyperparameter",
        charts=[charts.slice_chart(sheet, sheet.factors[name]) for name in names],
        note="blue: means with 95 % intervals, of about equally many trials each; the star is the best trial; trials "
        "in which a hyperparameter has no effect are left out; what matters most stands first"
        + (f"; {far:,} bad scores lie beyond the pictures, and count in the means as if at their edge" if far else ""),
    )


def _together(result: "Result", found: "Importance | str") -> Section | None:
    if isinstance(found, str):
        return None
    pairs = [each for each in found.shares if len(each.names) == 2 and each.low > 0][:PAIRS]
    if not pairs:
        return None
    sheet = result.sheet
    near, _ = sheet.tamed()
    words = [f"{' x '.join(each.names)}: {each.share:.1%} ({each.low:.1%} to {each.high:.1%})" for each in pairs]
    drawn = [
        charts.heat(sheet.factors[a], sheet.factors[b], near, result.objective, sheet.sign)
        for a, b in (each.names for each in pairs)
    ]
    return Section("What interacts", [f"{'; '.join(words)} of the variance."], drawn, note="mean score of each cell")


def _parallel(result: "Result", found: "Importance | str") -> Section | None:
    sheet = result.sheet
    names = _ordered(result, found)
    if np.isfinite(sheet.scores).sum() < 2 or not names:
        return None
    return Section(
        "All configs",
        charts=[charts.parallel(sheet, [sheet.factors[name] for name in names])],
        note="drag along an axis to see only what lies there; drag an axis to move it; click to let go; of more than "
        f"{charts.PARALLEL:,} trials with a score so many are shown, evenly taken by rank",
    )


def _stability(result: "Result") -> Section | None:
    sheet = result.sheet
    count = int(sheet.diverged.sum())
    if not count:
        return None
    section = Section("Where it diverges", [f"{count:,} of {len(sheet.ids):,} trials diverged."])
    try:
        found = result.importance("diverged")
    except RequestError as error:
        section.words.append(f"{error}.")
        return section
    section.words.append(f"{found.told()}.")
    first = "learning_rate" if "learning_rate" in sheet.factors else next(iter(found.main), "")
    beside = [name for names in found.pairs for name in names if first in names and name != first]
    others = [name for name in (*beside, *found.main) if name != first]
    if others:
        response = sheet.response("diverged")
        section.charts.append(
            charts.heat(sheet.factors[others[0]], sheet.factors[first], response, "share that diverged", -1)
        )
    return section


def _cost(result: "Result") -> Section | None:
    seconds = result.seconds
    if not (seconds > 0).any() or not np.isfinite(result.sheet.scores).any():
        return None
    return Section(
        "Score against cost",
        charts=[charts.cost(result.sheet, seconds, "seconds of a trial")],
        note="red: trials that no other one beats in both; a network's time is its share of the tile that it was in",
    )


def _epochs(result: "Result") -> Section | None:
    if result.request.scheduler is None:
        return None
    done = Counter(trial.epochs_done for trial in result.trials)
    words = [f"scheduler {result.request.scheduler}: how many trials ended after how many epochs."]
    copied = sum(bool(trial.lineage) for trial in result.trials)
    if copied:
        words.append(f"{copied:,} trials went on from others' weights.")
    ends = sorted(done)
    section = Section("Scheduler", words)
    labels, counts = [str(epochs) for epochs in ends], [float(done[epochs]) for epochs in ends]
    section.charts.append(charts.bars(labels, counts, "epochs", "trials"))
    table = result.curves(result.objective)
    if result.stops is not None and (rungs := result.stops.rungs(table, result.columns.sign)):
        head = ["after epochs", "trials came", "went on", "stopped", *(["copied"] if copied else [])]
        head += [f"best {result.objective}", "median of those that went on", "median of those stopped"]
        rows = []
        for rung in charts.most_stopped(rungs):
            counts_here = [rung.epoch, rung.came, rung.went_on, rung.stopped, *([rung.copied] if copied else [])]
            values = [rung.best, rung.of_kept, rung.of_stopped]
            rows.append([*(f"{count:,}" for count in counts_here), *map(_cell, values)])
        section.tables.append(Table(head, rows))
        left_out = len(rungs) - len(rows)
        section.note = "who neither went on nor was stopped ended by itself" + (
            f"; of {len(rungs)} such epochs those are shown at which most was decided" if left_out else ""
        )
    if copied:
        rows = [[str(trial.id), lineage.told(trial.lineage)] for trial in result.top(TOP) if trial.lineage]
        section.tables.append(Table(["trial", "after so many epochs it went on as that trial"], rows))
    return section


def _winner(result: "Result") -> Section | None:
    try:
        best = result.best
    except SweepFailed:
        return None
    section = Section("The winner")
    try:
        part = "test" if any(name.startswith("test_") for name in best.metrics) else "val"
        frame = result.predictions(part)
    except RequestError as error:
        section.words.append(f"What trial {best.id} predicts is not shown: {error}.")
        return section
    _with_ensemble(result, section)
    rows = f"{len(frame):,} {'test' if part == 'test' else 'validation'} rows"
    section.words.append(f"What the network of trial {best.id} says of the {rows}.")
    if "truth" not in frame:
        pairs = [name.removeprefix("truth_") for name in map(str, frame) if name.startswith("truth_")]
        section.charts += [
            charts.residuals(frame[f"truth_{name}"].to_numpy(float), frame[f"prediction_{name}"].to_numpy(float), name)
            for name in pairs[: charts.SHOWN]
        ]
    elif result.data.task == "classification":
        section.charts.append(charts.confusion(*([*map(str, frame[name])] for name in ("truth", "prediction"))))
    else:
        truth, said = (frame[name].to_numpy(float) for name in ("truth", "prediction"))
        section.charts.append(charts.residuals(truth, said, "value"))
    return section


def _with_ensemble(result: "Result", section: Section) -> None:
    """Put into the section what the winner's network scores by itself, and an ensemble of the kept ones beside it."""
    try:
        found = result.ensemble()
        alone = metrics_of(result.model(), result.data, result.request.metrics)
    except RequestError as error:
        section.words.append(f"No ensemble stands beside it: {error}.")
        return
    names = [name for name in (found.objective, found.objective.replace("val_", "test_", 1)) if name in found.metrics]
    rows = [
        [who, *(_cell(metrics[name]) for name in names)]
        for who, metrics in (
            (f"trial {result.best.id} alone", alone),
            (f"ensemble of {len(found.members)} of {len(result.models)} kept networks", found.metrics),
        )
    ]
    section.tables.append(Table(["", *names], rows))
    first = " of the first fold" if len(result.data.val) > 1 else ""
    section.words.append(
        f"Chosen by the validation rows{first}, {'; '.join(_members(found))} predict together as below: "
        "result.ensemble() makes it."
    )


def _members(found: "Ensemble") -> list[str]:
    """Return the networks of an ensemble in words: trial 5 (3 times)."""
    return [
        f"trial {trial}" + f" ({weight} times)" * (weight > 1)
        for trial, weight in zip(found.trials, found.weights, strict=True)
    ]


def _curse(result: "Result") -> Section | None:
    if not result.confirmed:
        return None
    rows = [
        [str(each.trial), *(_cell(v) for v in (each.search_score, each.confirmed_score, each.spread, each.test_score))]
        for each in result.confirmed
    ]
    return Section(
        "The winner's curse",
        [f"{result.confirmed[0].told(result.objective)}."],
        tables=[Table(["trial", "in the search", "confirmed", "spread", "on the test rows"], rows)],
        note="the best of many scores was lucky, too: trained again under fresh seeds most come to less",
    )


def _luck(result: "Result") -> Section | None:
    words, drawn = [], []
    for of in ("seed", "fold"):
        try:
            found = result.variance(of)
        except RequestError:
            continue
        words.append(f"{found.told()}.")
    if not words:
        return None
    known = [trial for trial in result.trials if trial.score is not None]
    scores = np.array([trial.score for trial in known], np.float64)
    centre = float(np.median(scores))
    spread = np.array([trial.spread for trial in known])
    drawn.append(
        charts.spreads(
            {"configs": scores, "one config's trainings": np.concatenate([centre - spread, centre + spread])},
            result.objective,
        )
    )
    return Section(
        "Luck", words, drawn, note="the spread of configs beside that of the trainings of one, about the median"
    )


def _table(result: "Result", record: Mapping[str, Any]) -> Section | None:
    read = record.get("run", {}).get("columns")
    if not read:
        return None
    return Section("How the table was read", [str(read)])


def _prediction(result: "Result") -> Section | None:
    predicted, seconds = result.numbers.get("prediction"), result.numbers.get("seconds")
    if not isinstance(predicted, Mapping) or not isinstance(seconds, Mapping):
        return None
    rows = [["seconds", _cell(float(predicted.get("seconds", math.nan))), _cell(float(seconds.get("total", math.nan)))]]
    memory = [predicted.get(name) for name in ("bytes", "peak_bytes")]
    if all(isinstance(value, (int, float)) for value in memory):
        rows.append(["most memory of the process, MB", *(f"{float(value or 0) / 1e6:,.0f}" for value in memory)])
    lines = [f"{name} {_cell(float(seconds[name]))} s" for name in ("compile", "train", "host") if name in seconds]
    parts = [f"Of the time: {', '.join(lines)}."] if lines else []
    if isinstance(busy := result.numbers.get("lane_occupancy"), (int, float)):
        parts.append(f"Slots were busy {busy:.0%} of the time.")
    if isinstance(waste := result.numbers.get("padding_waste"), (int, float)):
        parts.append(f"Padding added {waste:.0%} to the arithmetic.")
    return Section("Plan and what happened", parts, tables=[Table(["", "planned", "came"], rows)])


def _again(result: "Result", record: Mapping[str, Any]) -> Section:
    words = ["This sweep file gives the same table under the same versions, on the same machine to the last bit."]
    if result.run is not None:
        with suppress(SweepFailed):
            again = f"python -m jaxsweep solo {result.run} --trial {result.best.id}"
            words.append(f"{again} trains the best one by plain Flax.")
    if notes := result.notes:
        words.append(f"What the sweep remarked: {'; '.join(notes)}.")
    return Section("To run it again", words, text=to_toml(result.request, record or {}))

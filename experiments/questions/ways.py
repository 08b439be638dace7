"""How the groups of a question come of its sweep file: by one sweep, or by many, or by one beside another."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from real_tables import load

import jaxsweep as js
from jaxsweep.loop import execute
from jaxsweep.records.trials import best_first
from questions.measures import FloatArray
from questions.registry import Question
from questions.sweeping import Found, Settings, Trained, groups_of, kinds_of, ratio_of, request_of, trained

Way = Callable[[Question, str, Settings], dict[str, Found]]  # found of each data set, of a part of it, by its name


def best_config(networks: Trained) -> int:
    """Return the config with the best mean validation score, of equal ones the one with the lower validation loss."""
    scores = networks.numbers["val_score"].mean(axis=1)
    losses = networks.numbers["val_loss"].mean(axis=1)
    return int(np.lexsort((np.where(np.isfinite(losses), losses, np.inf), -scores))[0])


def put(found: Found, name: str, networks: Trained, tuned: tuple[str, ...]) -> None:
    """Add a group: its only config, or the best one, which has chosen the hyperparameters in `tuned`."""
    best = best_config(networks)
    found.groups[name] = {measure: values[best] for measure, values in networks.numbers.items()}
    found.diverged[name] = int(networks.diverged[best].sum())
    if len(networks.configs) == 1:
        return
    config = networks.configs[best]
    found.chosen[name] = ", ".join(f"{key} {config[key]:g}" for key in tuned)
    if "learning_rate" in tuned:
        found.groups[name]["rate"] = best_rates(networks)


def best_rates(networks: Trained) -> FloatArray:
    """Return log10 of the learning rate that has the lowest validation loss in each training, [trainings]."""
    rates = np.log10([config["learning_rate"] for config in networks.configs])
    losses = networks.numbers["val_loss"]
    return np.asarray(rates[np.argmin(np.where(np.isfinite(losses), losses, np.inf), axis=0)])


def networks_of(question: Question, name: str, settings: Settings) -> Trained:
    """Return the networks of a question's sweep on a data set."""
    return trained(execute(load(name, settings.tables), request_of(question.name, settings)))


def grouped(question: Question, networks: Trained) -> Found:
    """Return the groups that the values of the question's hyperparameters make."""
    found = Found(networks.ratio, networks.diverged.size)
    for group, several in groups_of(networks, question.by).items():
        put(found, group, several, question.tuned)
    return found


def by_sweep(question: Question, name: str, settings: Settings) -> dict[str, Found]:
    """One sweep, whose groups are the values of some hyperparameters."""
    return {name: grouped(question, networks_of(question, name, settings))}


def by_kinds(question: Question, name: str, settings: Settings) -> dict[str, Found]:
    """One sweep, whose configs have one of some hyperparameters not at its default, in one strength or several."""
    networks = networks_of(question, name, settings)
    parts = groups_of(networks, (question.part,)) if question.part else {"": networks}
    answers = {}
    for part, members in parts.items():
        found = Found(members.ratio, members.diverged.size)
        for kind, several in kinds_of(members, question.by).items():
            put(found, kind, several, (kind,))
        title = f"{name}, all rows" if part == "0" else f"{name}, {part} rows"
        answers[title if question.part else name] = found
    return answers


def by_rates(question: Question, name: str, settings: Settings) -> dict[str, Found]:
    """One sweep over learning rates and another hyperparameter, which the best rate may follow."""
    networks = networks_of(question, name, settings)
    found, groups = grouped(question, networks), groups_of(networks, question.by)
    (other,) = question.by
    levels = np.log10([several.configs[0][other] for several in groups.values()])
    rates = np.array([best_rates(several) for several in groups.values()])  # [levels, trainings]
    middle = levels - levels.mean()
    slopes = middle @ rates / (middle @ middle)
    found.groups["all"] = {"slope": slopes, "fall": -slopes}
    found.map = {
        "rows": list(groups), "columns": [config["learning_rate"] for config in next(iter(groups.values())).configs],
        "values": [several.numbers["val_score"].mean(axis=1).tolist() for several in groups.values()],
        "row": other, "column": "learning_rate",
    }  # fmt: skip
    return {name: found}


def carried(question: Question, name: str, settings: Settings) -> dict[str, Found]:
    """One sweep over learning rates and two widths: what does the narrow one's best rate cost the wide one?"""
    networks = networks_of(question, name, settings)
    found = Found(networks.ratio, networks.diverged.size)
    series: dict[str, list[float]] = {}
    for group, several in groups_of(networks, question.by).items():
        narrow, wide = groups_of(several, ("width",)).values()
        before, after = (_never_nan(each.numbers["train_loss"]) for each in (narrow, wide))  # [rates, trainings]
        taken, own = (int(losses.mean(axis=1).argmin()) for losses in (before, after))
        rates = np.log10([config["learning_rate"] for config in narrow.configs])
        found.groups[group] = {
            "regret": after[taken] - after[own],
            "fall": rates[before.argmin(axis=0)] - rates[after.argmin(axis=0)],
            "test_score": wide.numbers["test_score"][taken],
        }
        found.chosen[group] = f"{10 ** rates[taken]:g}, its own best {10 ** rates[own]:g}"
        found.diverged[group] = int(wide.diverged[taken].sum())
        for each, losses in ((narrow, before), (wide, after)):
            series[f"{group}, {each.configs[0]['width']}"] = losses.mean(axis=1).tolist()
    found.map = {
        "rows": list(series), "columns": (10**rates).round(12).tolist(), "values": list(series.values()),
        "row": "parametrization, width", "column": "learning_rate",
    }  # fmt: skip
    return {name: found}


def _never_nan(losses: FloatArray) -> FloatArray:
    """Return losses in which a training that diverged has the largest one of those that did not."""
    return np.where(np.isfinite(losses), losses, np.nanmax(losses[np.isfinite(losses)]))


FIRST = {"depth": 2, "width": 64, "optimizer": "adam", "learning_rate": 0.003, "epochs": 40}


def started(question: Question, name: str, settings: Settings) -> dict[str, Found]:
    """A network is trained on the first half of the classes; others start with its weights on the second half."""
    data = load(name, settings.tables)
    assert data.classes is not None
    half = len(data.classes) // 2
    first = js.Dataset.from_arrays(*_some(data, data.target < half), name=f"{name}, first classes")
    second = js.Dataset.from_arrays(*_some(data, data.target >= half), name=f"{name}, other classes")
    request = request_of(question.name, settings)
    model = js.sweep(first, configs=[FIRST], keep=1, progress=False).model()
    networks = trained(js.sweep(
        second, request.space, start_from=model, search="grid", folds=request.folds, replicates=request.replicates,
        keep=0, train_metrics=True, progress=False,
    ))  # fmt: skip
    found = Found(networks.ratio, networks.diverged.size + 1)
    words = {"0, 0": "new", "2, 0": "trained", "2, 2": "frozen"}
    for group, several in groups_of(networks, question.by).items():
        put(found, words[group], several, question.tuned)
    return {name: found}


def _some(data: js.Dataset, rows: NDArray[np.bool_]) -> tuple[pd.DataFrame, NDArray[np.str_]]:
    """Return the raw columns of some rows, and their labels."""
    assert data.classes is not None
    kept = np.flatnonzero(rows)
    columns = pd.DataFrame({column.name: column.values[kept] for column in data.inputs})
    return columns, np.array([str(data.classes[code]) for code in data.target[kept]])


SPOILT, TOO_HIGH = 0.05, 5.0  # share of the training targets, and by how many standard deviations


def outliers(question: Question, name: str, settings: Settings) -> dict[str, Found]:
    """A sweep on data whose training targets are spoilt, while the rows that validate and test are not."""
    data, request = load(name, settings.tables), request_of(question.name, settings)
    prepared = request.prepared(data)
    train, val = (prepared.numbers[rows[0]] for rows in (prepared.train, prepared.val))
    scale = float(data.target[train].std())
    target = data.target.copy()
    spoilt = np.random.default_rng(0).choice(train, max(1, round(SPOILT * len(train))), replace=False)
    target[spoilt] += TOO_HIGH * scale
    x = np.column_stack([column.values for column in data.inputs])
    test = prepared.test_numbers
    given = js.Dataset.from_arrays(
        x[train], target[train], "regression", x[val], target[val], x[test], target[test], name=name
    )
    networks = trained(execute(given, request))
    for measure in ("val_mae", "test_mae"):
        networks.numbers[measure] = networks.numbers[measure] / scale
    return {name: grouped(question, networks)}


def confirmation(question: Question, name: str, settings: Settings) -> dict[str, Found]:
    """Many searches, each with a winner by its score, and one that was confirmed."""
    data, request = load(name, settings.tables), request_of(question.name, settings)
    scores: dict[str, list[float]] = {}
    trainings, ratio = 0, 0.0
    for seed in range(settings.seeds):
        result = execute(data, replace(request, seed=seed))
        best, winner = best_first(result.trials, result.objective)[0], result.confirmed[0]
        assert best.score is not None
        assert winner.confirmed_score is not None
        assert winner.test_score is not None
        for group, score in (
            ("search, validation", best.score), ("search, test", best.metrics["test_accuracy"]),
            ("confirmed, validation", winner.confirmed_score), ("confirmed, test", winner.test_score),
        ):  # fmt: skip
            scores.setdefault(group, []).append(score)
        trainings += len(result.trials) + sum(each.trainings for each in result.confirmed)
        ratio = ratio_of(result)
    return {name: Found(ratio, trainings, {group: {"score": np.array(each)} for group, each in scores.items()})}


SEARCHES: Mapping[str, Mapping[str, object]] = {
    "grid": {"search": "grid", "options": {"resolution": 3}},
    "random": {"search": "random"},
    "sobol": {"search": "sobol"},
    "zoom": {"search": "zoom", "options": {"per_round": 20}},
    "evolution": {"search": "evolution", "options": {"population": 20}},
    "bayes": {"search": "bayes", "options": {"population": 20}},
    "policy": {"search": "policy", "options": {"population": 20}},
    "gradient": {"search": "gradient", "options": {"starts": 5}},
    "pbt": {"scheduler": "pbt"},
}
DERIVED = 5  # trainings that one with derivatives costs, about


def searches(question: Question, name: str, settings: Settings) -> dict[str, Found]:
    """Many searches of each way, each with as many trainings."""
    data, request = load(name, settings.tables), request_of(question.name, settings)
    found = Found(0.0, 0)
    for way, changes in SEARCHES.items():
        rows: dict[str, list[float]] = {"val_score": [], "test_score": [], "seconds": []}
        for seed in range(settings.seeds):
            trials = (request.trials or 0) // DERIVED if way == "gradient" else request.trials
            asked = replace(request, seed=seed, trials=trials, **changes)  # type: ignore[arg-type]
            began = time.perf_counter()
            result = execute(data, asked)
            best = result.best
            assert best.score is not None
            for measure, value in (
                ("val_score", best.score), ("test_score", best.metrics["test_accuracy"]),
                ("seconds", time.perf_counter() - began if seed else np.nan),  # the first one compiles
            ):  # fmt: skip
                rows[measure].append(value)
            found.trainings += len(result.trials)
            found.ratio = ratio_of(result)
        found.groups[way] = {measure: np.array(values) for measure, values in rows.items()}
    return {name: found}


WAYS: Mapping[str, Way] = {
    "sweep": by_sweep, "kinds": by_kinds, "rates": by_rates, "carried": carried, "started": started,
    "outliers": outliers, "confirmation": confirmation, "ways": searches,
}  # fmt: skip

"""Which searcher finds good networks soonest, and what does a proposal cost?

Question: how good is the config that a search of 200 trials in batches of 50, and one of 2,000 in batches of 500, would
choose? The tables are HPOBench's: scikit-learn's MLPClassifier on four data sets, 30,000 configs each, 5 seeds each.
In each repetition a config has the score of one of its five seeds, drawn once and the same for all searchers, so that
they are compared in pairs. A search chooses the config with the best score that it has seen, the first of equals; its
regret is (best mean - mean of the chosen config) / (best mean - median mean), of the means over all five seeds. Beside
the searchers of the registry stand Optuna's samplers, through plain Optuna: all of a batch is asked for, then told.

Command: python experiments/search_quality.py            (hours the first time; --cache keeps what was measured)
Tables: --tables FOLDER or JAXSWEEP_TABLES=FOLDER, with hpobench_*.npz; by default ../shared/tables beside the
repository. Without them only the times are measured.
Answer: experiments/search_quality.md
"""

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from jaxsweep.search import SEARCHERS, make, options
from jaxsweep.spec import studies
from jaxsweep.spec.space import Choice, Int, LogUniform, Space, Uniform

TABLES = ("australian", "car", "phoneme", "vehicle")
AXES = {  # axis of the table -> hyperparameter, in the order of the axes of `score`
    "alpha": "l2",
    "batch_size": "batch_size",
    "depth": "depth",
    "learning_rate_init": "learning_rate",
    "width": "width",
}
BUDGETS = ((4, 50), (4, 500))  # batches, and configs in each
SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Optuna random": ("RandomSampler", {}),
    "Optuna TPE": ("TPESampler", {}),
    "Optuna TPE, no liar": ("TPESampler", {"constant_liar": False}),
    "Optuna TPE, univariate": ("TPESampler", {"constant_liar": False, "multivariate": False}),
    "Optuna NSGA-II": ("NSGAIISampler", {}),
    "Optuna CMA-ES": ("CmaEsSampler", {"warn_independent_sampling": False}),
}
SIZES = {"NSGAIISampler": "population_size", "CmaEsSampler": "popsize"}  # what is to be the size of a batch
CHEAP = ("random", "evolution")  # asked for 10,000 too; bayes would need matrices of 40,000 x 40,000
FLOORS = (0.001, 0.01, 0.03, 0.1, 1.0)  # shares of all cells, the best by their true means

Config = dict[str, Any]


class Batched(Protocol):
    """What proposes configs in batches."""

    def ask(self, n: int) -> list[Config]:
        """Return `n` configs."""

    def tell(self, configs: Sequence[Config], scores: NDArray[np.float64]) -> None:
        """Take in their scores."""


class Table:
    """One data set of the benchmark as an oracle: scores of the nearest cell of the grid to a config."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            self.scores: NDArray[np.float64] = file["score"].astype(np.float64)  # [alpha, ..., width, 5 seeds]
            self.axes = {name: file[axis].astype(np.float64) for axis, name in AXES.items()}
        means = self.scores.mean(axis=-1)
        self.regrets = (means.max() - means) / (means.max() - np.median(means))  # [alpha, ..., width]

    def space(self) -> Space:
        """Return the space of the table: each range reaches half a step beyond the axis, so cells are equally likely.

        The axes are log grids (depth: linear), so ranges keep what a Choice would lose, their order.
        """
        ends = {}
        for name, axis in self.axes.items():
            ends[name] = (float(axis[0] / np.sqrt(axis[1] / axis[0])), float(axis[-1] * np.sqrt(axis[-1] / axis[-2])))
        return Space(
            l2=LogUniform(*ends["l2"]),
            batch_size=_log_int(*ends["batch_size"]),
            depth=Int(int(self.axes["depth"][0]), int(self.axes["depth"][-1])),
            learning_rate=LogUniform(*ends["learning_rate"]),
            width=_log_int(*ends["width"]),
        )

    def cells(self, configs: Sequence[Mapping[str, Any]]) -> tuple[NDArray[np.intp], ...]:
        """Return the positions [n] of the nearest cell on a log scale, one array an axis."""
        return tuple(
            np.abs(np.log([config[name] for config in configs])[:, None] - np.log(axis)).argmin(axis=1)
            for name, axis in self.axes.items()
        )

    def drawn(self, repetition: int) -> NDArray[np.float64]:
        """Return the scores that the configs have in a repetition, [alpha, ..., width]: one of five, by chance."""
        seeds = np.random.default_rng([repetition, 1]).integers(5, size=self.regrets.shape)
        return np.take_along_axis(self.scores, seeds[..., None], axis=-1)[..., 0]


class PlainOptuna:
    """A sampler of Optuna without anything of this project, as a user of Optuna would ask it for batches."""

    def __init__(self, space: Space, name: str, seed: int, population: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler, settings = SAMPLERS[name]
        kind = getattr(optuna.samplers, sampler)
        settings = {**settings, "seed": seed}
        if sampler in SIZES:
            settings[SIZES[sampler]] = population
        if settings.get("constant_liar") is False:
            kind = _kept(kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some arguments are experimental or discouraged
            self._sampler = kind(**settings)
        self._study = optuna.create_study(direction="maximize", sampler=self._sampler)
        self._space = space
        self._asked: list[Any] = []

    def ask(self, n: int) -> list[Config]:
        """Return `n` configs; all of them are open at once."""
        self._asked = [self._study.ask() for _ in range(n)]
        return [self._suggested(trial) for trial in self._asked]

    def _suggested(self, trial: Any) -> Config:
        config: Config = {}
        for name, entry in self._space.entries.items():
            if any(config.get(parent) not in _listed(values) for parent, values in (entry.when or {}).items()):
                continue
            if isinstance(entry, Choice):
                config[name] = trial.suggest_categorical(name, list(entry.values))
            elif isinstance(entry, Int):
                config[name] = trial.suggest_int(name, entry.low, entry.high, log=entry.log)
            else:
                assert isinstance(entry, (Uniform, LogUniform))
                config[name] = trial.suggest_float(name, entry.low, entry.high, log=isinstance(entry, LogUniform))
        return config

    def add(self, configs: Sequence[Config], scores: NDArray[np.float64]) -> None:
        """Add finished trials that nobody asked for."""
        import optuna

        for config, score in zip(configs, scores, strict=True):
            known = {name: studies.distribution(self._space.entries[name]) for name in config}
            params = {name: studies.parameter(self._space.entries[name], value) for name, value in config.items()}
            trial = optuna.trial.create_trial(params=params, distributions=known, value=float(score))
            self._study.add_trial(trial)

    def tell(self, configs: Sequence[Config], scores: NDArray[np.float64]) -> None:
        """Tell the scores of the configs that were asked for last."""
        for trial, score in zip(self._asked, scores, strict=True):
            self._study.tell(trial, float(score))
        if hasattr(self._sampler, "kept"):
            self._sampler.kept.clear()


def _kept(kind: Any) -> Any:
    """Return Optuna's TPE with its two densities kept for a batch, of which each trial draws.

    Without the liar all trials of a batch have the same ones, and making them anew for each takes minutes. The
    proposals are those of the class itself.
    """

    class Kept(kind):  # type: ignore[misc]
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.kept: dict[Any, Any] = {}

        def _build_parzen_estimator(self, study: Any, space: Any, trials: Any, handle_below: bool) -> Any:
            key = handle_below, tuple(space)
            if key not in self.kept:
                self.kept[key] = super()._build_parzen_estimator(study, space, trials, handle_below)
            return self.kept[key]

    return Kept


@contextmanager
def quick_tpe() -> Iterator[None]:
    """Give Optuna SciPy's logarithm of the normal distribution for its own in Python, with which TPE takes hours.

    They differ by rounding. Times are measured without it.
    """
    from optuna.samplers._tpe import _truncnorm

    slow = _truncnorm._log_ndtr
    _truncnorm._log_ndtr = lambda a: log_ndtr(np.asarray(a))
    try:
        yield
    finally:
        _truncnorm._log_ndtr = slow


def _listed(values: Any) -> Sequence[Any]:
    return values if isinstance(values, (list, tuple)) else [values]


def _log_int(low: float, high: float) -> Int:
    return Int(round(low), round(high), log=True)


def contestants() -> list[str]:
    """Return the names of all that are compared: the searchers of the registry, then Optuna's samplers."""
    return [*(name for name in SEARCHERS if name not in ("optuna", "configs")), *SAMPLERS]


def made(name: str, space: Space, seed: int, batch: int) -> Batched:
    """Return a contestant that will be asked for batches of a size."""
    if name in SAMPLERS:
        return PlainOptuna(space, name, seed, batch)
    sizes: dict[str, Any] = {key: batch for key in ("population", "per_round") if key in options(name)}
    return make(name, space, seed=seed, **sizes)


def regret(searcher: Batched, table: Table, repetition: int, batches: int, batch: int) -> float:
    """Return the regret of the config with the best score that a search has seen, the first of equals."""
    scores = table.drawn(repetition)
    best, chosen = -np.inf, np.nan
    for _ in range(batches):
        configs = searcher.ask(batch)
        if not configs:  # a grid has an end
            break
        cells = table.cells(configs)
        seen = scores[cells]
        searcher.tell(configs, seen)
        first = int(np.argmax(seen))
        if seen[first] > best:
            best, chosen = float(seen[first]), float(table.regrets[cells][first])
    return chosen


def floor(table: Table, repetition: int, share: float, batch: int) -> float:
    """Return the regret of a search that knew the truth: a random batch, and then three from the truly best cells."""
    scores, regrets = table.drawn(repetition).ravel(), table.regrets.ravel()
    rng = np.random.default_rng([repetition, 2])
    best = np.argsort(regrets, kind="stable")[: max(1, round(share * regrets.size))]
    seen = np.concatenate([rng.integers(regrets.size, size=batch), best[rng.integers(len(best), size=3 * batch)]])
    return float(regrets[seen[np.argmax(scores[seen])]])


def load(folder: Path, names: Sequence[str] = TABLES) -> list[Table]:
    """Return the tables of a folder."""
    return [Table(folder / f"hpobench_{name}.npz") for name in names]


class Measured:
    """Regrets by contestant and budget, [repetitions, tables], kept in a file as they are measured."""

    def __init__(self, tables: Sequence[Table], file: Path | None) -> None:
        self.tables, self.file = tables, file
        self._known: dict[str, list[list[float]]] = {}
        if file is not None and file.exists():
            self._known = json.loads(file.read_text())

    def regrets(self, name: str, batches: int, batch: int, repetitions: int) -> NDArray[np.float64]:
        """Return the regrets of a contestant; what the file does not have is measured."""
        rows = self._known.setdefault(f"{name} {batches * batch}", [])
        for repetition in range(len(rows), repetitions):
            searchers = [made(name, table.space(), repetition, batch) for table in self.tables]
            pairs = zip(searchers, self.tables, strict=True)
            rows.append([regret(searcher, table, repetition, batches, batch) for searcher, table in pairs])
            if self.file is not None:
                self.file.write_text(json.dumps(self._known))
        return np.array(rows[:repetitions])


def row(name: str, regrets: NDArray[np.float64]) -> str:
    """Return a line of the table of regrets [repetitions, tables]; the standard errors are over repetitions."""
    few = len(regrets) < 2
    errors = np.full(regrets.shape[1] + 1, np.nan)
    if not few:
        columns = np.column_stack([regrets.mean(axis=1), regrets])
        errors = columns.std(axis=0, ddof=1) / np.sqrt(len(regrets))
    means = [regrets.mean(), *regrets.mean(axis=0)]
    cells = [f"{mean:.3f} ± {error:.3f}" for mean, error in zip(means, errors, strict=True)]
    return f"| {name} | {len(regrets)} | " + " | ".join(cells) + " |"


def seconds_to_ask(name: str, n: int, told: int, batch: int = 500, space: Space | None = None) -> float:
    """Return the seconds of `ask(n)` once a contestant has asked for and been told `told` configs in batches."""
    space = TIMED if space is None else space
    searcher, rng = made(name, space, 0, batch), np.random.default_rng(0)
    plain = isinstance(searcher, PlainOptuna)
    for _ in range(told // batch):
        # Optuna need not propose what it is told here, which would take minutes.
        configs = space.sample(rng, batch) if plain else searcher.ask(batch)
        scores = rng.random(len(configs))
        if isinstance(searcher, PlainOptuna):
            searcher.add(configs, scores)
        else:
            searcher.tell(configs, scores)
    start = time.perf_counter()
    searcher.ask(n)
    return time.perf_counter() - start


TIMED = Space(
    depth=Int(1, 6),
    width=Int(8, 1024, log=True),
    activation=Choice(["relu", "tanh", "gelu", "elu"]),
    init=Choice(["he_normal", "orthogonal", "glorot_uniform"]),
    optimizer=Choice(["sgd", "adam", "rmsprop"]),
    momentum=Uniform(0.0, 0.99, when={"optimizer": "sgd"}),
    nesterov=Choice([True, False], when={"optimizer": "sgd"}),
    b1=Uniform(0.5, 0.99, when={"optimizer": "adam"}),
    learning_rate=LogUniform(1e-4, 1.0),
    schedule=Choice(["constant", "cosine", "step"]),
    decay_every=Uniform(1.0, 20.0, when={"schedule": "step"}),
    batch_size=Int(8, 512, log=True),
    dropout=Uniform(0.0, 0.8),
    l2=LogUniform(1e-8, 1.0),
)


def show_regrets(arguments: argparse.Namespace, measured: Measured) -> None:
    """Print a table of regrets for each budget."""
    head = "| searcher | repetitions | all | " + " | ".join(TABLES) + " |\n|" + " --- |" * (3 + len(TABLES))
    for batches, batch in BUDGETS:
        print(f"\n### Regret after {batches * batch} trials in batches of {batch}\n\n{head}")
        for name in arguments.only or contestants():
            slow = name.startswith("Optuna TPE") and batch == BUDGETS[1][1]  # minutes a search
            repetitions = arguments.slow if slow else arguments.repetitions
            if repetitions:
                print(row(name, measured.regrets(name, batches, batch, repetitions)), flush=True)


def show_floors(tables: Sequence[Table], repetitions: int) -> None:
    """Print what searches would leave that knew the truth after a first batch of random configs."""
    print("\n### Floors: 50 random configs, then 150 from the truly best\n")
    print("| share of the cells | repetitions | all | " + " | ".join(TABLES) + " |\n|" + " --- |" * (3 + len(TABLES)))
    for share in FLOORS:
        regrets = [[floor(table, r, share, BUDGETS[0][1]) for table in tables] for r in range(repetitions)]
        print(row(f"{share:.1%}", np.array(regrets)))


def show_seconds(names: Sequence[str]) -> None:
    """Print how long a proposal takes."""
    print(f"\n### Milliseconds of a proposal, space of {len(TIMED)} entries, {os.cpu_count()} cores\n")
    print("| searcher | ask(500) after 2,000 results | ask(10,000) after 2,000 results |\n| --- | --- | --- |")
    for name in names:
        later = 1000 * min(seconds_to_ask(name, 500, 2000) for _ in range(1 if name in SAMPLERS else 3))
        many = "" if name not in CHEAP else f"{1000 * min(seconds_to_ask(name, 10_000, 2000) for _ in range(3)):,.0f}"
        print(f"| {name} | {later:,.0f} | {many} |", flush=True)


def main() -> None:
    """Print the regrets of all searchers, what limits them, and how long their proposals take."""
    parser = argparse.ArgumentParser(description="Compares the searchers on the tables of HPOBench.")
    shared = Path(__file__).resolve().parents[2] / "shared" / "tables"
    parser.add_argument("--tables", type=Path, default=Path(os.environ.get("JAXSWEEP_TABLES", shared)))
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--slow", type=int, default=5, help="repetitions of Optuna's TPE with 2,000 trials")
    parser.add_argument("--only", nargs="+", choices=contestants(), help="these searchers alone")
    parser.add_argument("--cache", type=Path, help="a JSON file: regrets that it has are not measured again")
    parser.add_argument("--floors", action="store_true", help="print too what limits every search")
    parser.add_argument("--no-times", action="store_true", help="leave out how long proposals take")
    arguments = parser.parse_args()

    if all((arguments.tables / f"hpobench_{name}.npz").is_file() for name in TABLES):
        tables = load(arguments.tables)
        with quick_tpe():
            show_regrets(arguments, Measured(tables, arguments.cache))
        if arguments.floors:
            show_floors(tables, max(200, arguments.repetitions))
    else:
        print(f"no regrets: hpobench_*.npz are not in {arguments.tables} (--tables FOLDER)", file=sys.stderr)
    if not arguments.no_times:
        show_seconds(arguments.only or contestants())


if __name__ == "__main__":
    main()

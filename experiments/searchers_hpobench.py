"""Which searcher finds good networks soonest?

Question: how close to the best network of a table do 200 evaluations come, told in 4 batches of 50? The tables are
HPOBench's: scikit-learn's MLPClassifier on four data sets, 30,000 configs each, 5 seeds a config. A searcher is told
the score of a random one of the five seeds; its regret is (best mean - best mean among the configs visited) / (best
mean - median mean). Optuna 5 is said to leave, in the same batches: Random 0.037, NSGA-II 0.034, CMA-ES 0.035,
TPE 0.022.

Command: python experiments/searchers_hpobench.py --repetitions 200    (20 is the default; 40 s on one core)
Machine: AMD EPYC, 2 cores
Answer: evolution leaves 0.6 of the regret of random search, zoom and de 0.8; a plain grid is worse than random, since
it spends its points on the ends of the ranges.

    searcher      mean   error  australian        car    phoneme    vehicle
    random      0.0409  0.0006      0.0969     0.0039     0.0399     0.0230
    grid        0.0464  0.0007      0.1123     0.0072     0.0452     0.0209
    sobol       0.0390  0.0006      0.0924     0.0037     0.0381     0.0217
    zoom        0.0329  0.0005      0.0878     0.0045     0.0179     0.0214
    evolution   0.0229  0.0005      0.0698     0.0026     0.0080     0.0109
    de          0.0316  0.0005      0.0817     0.0024     0.0242     0.0181

With 20 repetitions: random 0.0401, grid 0.0481, sobol 0.0402, zoom 0.0352, evolution 0.0227, de 0.0316,
cmaes 0.0271, policy 0.0281, each with an
error of 0.001 to 0.003.
In milliseconds, ask(10_000) for 14 entries of which 4 are conditional, first and later (after 10,000 scores):
random 31 34, grid 33 38, sobol 27 32, zoom 36 52, evolution 35 61, de 35 82 (best of 12, others ran beside).
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.search import SEARCHERS, make
from jaxsweep.spec.space import Choice, Int, LogUniform, Space, Uniform

TABLES = ("australian", "car", "phoneme", "vehicle")
AXES = {  # axis of the table -> hyperparameter, in the order of the axes of `score`
    "alpha": "l2",
    "batch_size": "batch_size",
    "depth": "depth",
    "learning_rate_init": "learning_rate",
    "width": "width",
}
BATCHES, BATCH = 4, 50


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


def _log_int(low: float, high: float) -> Int:
    return Int(round(low), round(high), log=True)


def regret(searcher_name: str, table: Table, seed: int) -> float:
    """Return the regret of the best config visited in 4 batches of 50; each score is that of a random seed."""
    rng = np.random.default_rng([seed, 1])
    searcher = make(searcher_name, table.space(), seed=seed)
    best = np.inf
    for _ in range(BATCHES):
        configs = searcher.ask(BATCH)
        cells = table.cells(configs)
        searcher.tell(configs, table.scores[cells][np.arange(len(configs)), rng.integers(5, size=len(configs))])
        best = min(best, float(table.regrets[cells].min()))
    return best


def mean_regrets(searcher_name: str, folder: Path, repetitions: int) -> NDArray[np.float64]:
    """Return the regrets [repetitions, tables] of a searcher."""
    tables = [Table(folder / f"hpobench_{name}.npz") for name in TABLES]
    return np.array([[regret(searcher_name, table, seed) for table in tables] for seed in range(repetitions)])


def seconds_to_ask(searcher_name: str, space: Space, n: int = 10_000) -> tuple[float, float]:
    """Return the seconds that a first `ask(n)` takes, and another one after its configs were told."""
    options: dict[str, Any] = (
        {"configs": space.sample(np.random.default_rng(0), 2 * n)} if searcher_name == "configs" else {}
    )
    searcher = make(searcher_name, space, **options)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        configs = searcher.ask(n)
        seconds.append(time.perf_counter() - start)
        searcher.tell(configs, np.random.default_rng(0).random(len(configs)))
    return seconds[0], seconds[1]


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


def main() -> None:
    """Print the regrets of all searchers, and how long their proposals take."""
    parser = argparse.ArgumentParser(description="Compares the searchers on the tables of HPOBench.")
    shared = Path(__file__).resolve().parents[1] / ".." / "shared" / "tables"
    parser.add_argument("--tables", type=Path, default=shared, help="folder of hpobench_*.npz")
    parser.add_argument("--repetitions", type=int, default=20)
    arguments = parser.parse_args()

    print(f"mean regret after {BATCHES} batches of {BATCH}, {arguments.repetitions} repetitions")
    print(f"{'searcher':<10} {'mean':>7} {'error':>7}  " + " ".join(f"{name:>10}" for name in TABLES))
    for name in SEARCHERS:
        if name != "configs":
            regrets = mean_regrets(name, arguments.tables, arguments.repetitions)
            error = regrets.mean(axis=1).std(ddof=1) / np.sqrt(len(regrets)) if len(regrets) > 1 else np.nan
            by_table = " ".join(f"{value:>10.4f}" for value in regrets.mean(axis=0))
            print(f"{name:<10} {regrets.mean():>7.4f} {error:>7.4f}  {by_table}")

    print(
        f"\nmilliseconds for ask(10_000), {len(TIMED)} entries, {sum(bool(e.when) for e in TIMED.entries.values())}"
        " of them conditional"
    )
    print(f"{'searcher':<10} {'first':>7} {'later':>7}")
    for name in SEARCHERS:
        if name == "optuna":
            continue  # minutes
        first, later = seconds_to_ask(name, TIMED)
        print(f"{name:<10} {1000 * first:>7.0f} {1000 * later:>7.0f}")


if __name__ == "__main__":
    main()

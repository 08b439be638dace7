"""What does a hypergradient cost, and is it worth that?

Question 1: how long does it take to train a network with its derivatives by K hyperparameters, forwards and backwards,
beside training it? Question 2: of random starts that follow their hypergradients, how many get a better validation
loss? Question 3: what does random search find with as many trainings, where a hypergradient counts as 1 + K?

Data are digits, 10 epochs of networks 32-32 with tanh and Adam; SPACE has 10 hyperparameters, each with a
hypergradient.

Command: python experiments/hypergradients.py    (--repeats 0 leaves out question 1)
Machine: AMD EPYC, 2 cores, on which others computed too
Answer 1: each derivative that goes along costs one to two trainings; coming back, any number costs about five.

    64 trainings: 1.15 s
       K  forwards  backwards   (times a training)
       1       2.5        6.1
       2       4.8        5.0
       4       7.1        5.1
       8       9.3        5.5

Answer 2: on three data sets, ten seeds of 32 starts each (--alone --seeds 10 --data digits vehicle winequality_white),
93.4% ± 1.6%, 97.5% ± 1.8% and 90.3% ± 2.5% of the starts are better after four steps (95 % intervals). Answer 3, digits
and three seeds: about the same in validation loss, better in two of three, and no better on test rows.

    share better than its start after    median of    best start, in the    best on        seconds of
    1, 2, 3 and 4 steps                  the starts   end, of random        test rows      each
    0    88%   91%   94%   97%   0.640 0.172   0.1703 0.0812 0.0741   0.1021 0.1007      94    35   1568
    1    91%   91%   91%   91%   0.902 0.175   0.1680 0.0766 0.0809   0.1410 0.0798       6     9   1568
    2    91%   91%   94%   97%   0.795 0.236   0.1905 0.1146 0.1352   0.1113 0.1051       7    22   1568

(The seconds of the first row hold compilation. Random search has 1568 trainings, as many as 128 hypergradients and 160
trainings would be at 1 + K each; they took a third to two thirds of its time.)
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from real_tables import load
from scipy import stats

import jaxsweep as js
from jaxsweep.data import prepare
from jaxsweep.data.builtin import load_dataset
from jaxsweep.engine.engine import Engine
from jaxsweep.engine.hypergradients import hypergradients
from jaxsweep.engine.planner import make_plan
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import resolve
from jaxsweep.spec.space import LogUniform, Space, Uniform

SPACE = Space(
    learning_rate=LogUniform(1e-4, 1e-1),
    b1=Uniform(0.5, 0.99),
    b2=Uniform(0.9, 0.9999),
    init_scale=LogUniform(0.2, 5.0),
    weight_decay=LogUniform(1e-5, 1.0),
    l1=LogUniform(1e-7, 1e-3),
    l2=LogUniform(1e-6, 1e-1),
    label_smoothing=Uniform(0.0, 0.3),
    input_noise=Uniform(0.0, 1.0),
    decay_rate=LogUniform(0.1, 1.0),
    schedule="exponential",
    decay_every=5.0,
    activation="tanh",
    width=32,
    batch_size=64,
    epochs=10,
)
LANES = 64


def costs(repeats: int) -> None:
    """Print seconds for LANES trainings, and for their hypergradients."""
    data = prepare(load_dataset("digits"))
    rows = len(data.train[0])
    full = [resolve(config, data.task, rows) for config in SPACE.sample(np.random.default_rng(0), LANES)]
    engine = Engine(data, scope.of_space(SPACE, resolve({}, data.task, rows)), "val_log_loss", 0)
    plan = make_plan(full, engine.supply.sizes)

    def fastest(work: Callable[[], object]) -> float:
        work()  # compiles
        seconds = []
        for _ in range(repeats):
            began = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - began)
        return min(seconds)

    alone = fastest(lambda: list(engine.run(plan, full, range(LANES))))
    print(f"{LANES} trainings: {alone:.2f} s\n   K  forwards  backwards   (times a training)")
    for count in (1, 2, 4, 8, 10):
        names = SPACE.columns[:count]
        took = [
            fastest(
                lambda names=names, reverse=reverse: hypergradients(  # type: ignore[misc]
                    engine, plan, full, range(LANES), names, "log_loss", reverse=reverse
                )
            )
            for reverse in (False, True)
        ]
        print(f"{count:4} {took[0] / alone:9.1f} {took[1] / alone:10.1f}")


def space_for(task: str) -> Space:
    """Return SPACE without what a task does not have: regression has no labels to smooth."""
    left_out = ("label_smoothing",) if task == "regression" else ()
    return Space.from_mapping({name: entry for name, entry in SPACE.entries.items() if name not in left_out})


def search(
    data: js.Dataset, seed: int, starts: int, rounds: int, alone: bool
) -> tuple[list[float], list[float], list[float]]:
    """Return shares of starts that are better after each round, and best losses on validation and test rows."""
    loss = "log_loss" if data.task == "classification" else "mse"
    common: dict[str, Any] = {"objective": f"val_{loss}", "seed": seed, "progress": False, "keep": 1}
    space = space_for(data.task)
    mine = js.sweep(data, space, trials=starts * rounds, search="gradient", starts=starts, **common)
    # Each round but the last is trained a second time with its derivatives.
    trainings = 0 if alone else starts * rounds + starts * (rounds - 1) * (1 + len(space.columns))
    other = js.sweep(data, space, trials=trainings, search="random", **common) if trainings else None
    scores = np.array([np.inf if trial.score is None else trial.score for trial in mine.trials]).reshape(rounds, -1)
    best = np.minimum.accumulate(scores)
    shares = [float(np.mean(row < best[0])) for row in best[1:]]
    seconds = [run.numbers["seconds"]["total"] if run else np.nan for run in (mine, other)]
    theirs = other.best.score if other else None
    tests = [run.best.metrics[f"test_{loss}"] if run else np.nan for run in (mine, other)]
    print(
        f"{seed:4}  {' '.join(f'{share:5.0%}' for share in shares)}   "
        f"{np.median(best[0]):.3f} {np.median(best[-1]):.3f}   "
        f"{best[0].min():.4f} {best[-1].min():.4f} {np.nan if theirs is None else theirs:.4f}   "
        f"{tests[0]:.4f} {tests[1]:.4f}   {seconds[0]:5.0f} {seconds[1]:5.0f}   {trainings}",
        flush=True,
    )
    return shares, [float(best[-1].min()), np.nan if theirs is None else theirs], seconds


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--data", nargs="+", default=["digits"], help="digits, vehicle, winequality_white")
    parser.add_argument("--alone", action="store_true", help="leave out question 3, which costs most")
    parser.add_argument("--tables", type=Path, default=Path("../shared/data"), help="where the files are")
    arguments = parser.parse_args()
    if arguments.repeats:
        costs(arguments.repeats)
    print(f"\n{arguments.starts} starts, {arguments.rounds} rounds: share better than their start after each round;")
    print(
        "median of the starts, first and last; best start, best in the end, best of random; the same two on test rows;"
    )
    print("seconds of gradient and of random; trainings")
    for name in arguments.data:
        data = load(name, arguments.tables)
        print(f"\n{name}")
        found = [
            search(data, seed, arguments.starts, arguments.rounds, arguments.alone) for seed in range(arguments.seeds)
        ]
        last = np.array([shares[-1] for shares, _, _ in found])
        half = stats.t.ppf(0.975, len(found) - 1) * last.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.nan
        wins = sum(best[0] < best[1] for _, best, _ in found)
        beside = "" if arguments.alone else f"; gradient better than random: {wins} of {len(found)}"
        print(f"improved in the end: {last.mean():.1%} ± {half:.1%} (95 %) of the starts{beside}", flush=True)


if __name__ == "__main__":
    main()

"""Do schedulers and searchers pay on real trainings, for an equal number of epochs?

Question: `random` trains 96 configs of a space of 12 hyperparameters for 27 epochs each. What do others reach with the
same lane-epochs, or with a quarter of them? Trials of the same seed differ in nothing but who decides. A score is the
validation objective, the accuracy or the mean squared error; `ahead` is how much better than random's the best score
is, paired by repetition, in units of the standard deviation of random's best score over repetitions, with a 95 %
confidence interval (Student's t).

    random / 4      random search with a quarter of the trials
    halving, hyperband, asha      with a quarter of random's lane-epochs: as many trials as fit into it
    pbt      with random's lanes
    evolution, bayes, zoom      with random's lanes, in four batches of 24
    bayes + hyperband      batches of a model under a scheduler, with random's lane-epochs

Command: python experiments/real_training.py --tables ../shared/data --repetitions 10
Machine, answer: see experiments/real_training.md
"""

import argparse
import functools
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from real_tables import load
from scipy import stats

import jaxsweep as js
from jaxsweep.schedulers import make
from jaxsweep.schedulers.base import Entrant
from jaxsweep.spec.metrics import sign

EPOCHS, TRIALS = 27, 96
ASHA_MORE = 1.26
SPACE: dict[str, Any] = {
    "width": 64, "depth": 2, "epochs": EPOCHS, "batch_size": 64,
    "activation": js.Choice(["relu", "tanh"]),
    "init_scale": js.LogUniform(0.1, 4.0),
    "optimizer": js.Choice(["sgd", "adam"]),
    "momentum": js.Uniform(0.0, 0.99, when={"optimizer": "sgd"}),
    "b1": js.Uniform(0.5, 0.99, when={"optimizer": "adam"}),
    "learning_rate": js.LogUniform(1e-5, 1.0),
    "schedule": js.Choice(["constant", "cosine", "exponential"]),
    "dropout": js.Uniform(0.0, 0.6),
    "input_dropout": js.Uniform(0.0, 0.4),
    "l1": js.LogUniform(1e-7, 1e-1),
    "l2": js.LogUniform(1e-7, 1e-1),
    "weight_decay": js.LogUniform(1e-6, 1e-1),
}  # fmt: skip


DATA = ("digits", "vehicle", "winequality_white")


@functools.cache
def trials_for(scheduler: str, epochs: float) -> int:
    """Return about how many trials a scheduler can afford with so many lane-epochs: with more it costs more."""
    space = js.Space(**SPACE)

    def cost(trials: int) -> float:
        entrants = [Entrant(i, {}, EPOCHS, 10) for i in range(trials)]
        return make(scheduler, space=space).expected(entrants) * trials * EPOCHS

    enough, too_many = 2, 4000
    while too_many - enough > 1:
        middle = (enough + too_many) // 2
        enough, too_many = (middle, too_many) if cost(middle) <= epochs else (enough, middle)
    return enough


def contenders() -> dict[str, Mapping[str, Any]]:
    """Return what each contender asks `sweep` for."""
    whole = TRIALS * EPOCHS
    batches = {"trials": TRIALS, "population": TRIALS // 4}
    return {
        "random": {"trials": TRIALS},
        "random / 4": {"trials": TRIALS // 4},
        **{
            f"{name} / 4": {"trials": trials_for(name, whole / 4), "scheduler": name}
            for name in ("halving", "hyperband")
        },
        # It promotes who may turn out not to be among the best, and trains for up to a quarter more than is foreseen.
        "asha / 4": {"trials": trials_for("asha", whole / 4 / ASHA_MORE), "scheduler": "asha"},
        "asha": {"trials": trials_for("asha", whole / ASHA_MORE), "scheduler": "asha"},
        "pbt": {"trials": TRIALS, "scheduler": "pbt", "every": 3},
        "evolution": {"search": "evolution", **batches},
        "bayes": {"search": "bayes", **batches},
        "bayes + hyperband": {"search": "bayes", "scheduler": "hyperband", "trials": trials_for("hyperband", whole),
                              "population": trials_for("hyperband", whole) // 4},
    }  # fmt: skip


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=Path("../shared/data"), help="where the files are")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--only", nargs="*", help="data sets (default: all)")
    parser.add_argument("--contenders", nargs="*", help="beside random (default: all)")
    arguments = parser.parse_args()
    print(
        f"space of {sum(isinstance(v, (js.Choice, js.Uniform, js.LogUniform)) for v in SPACE.values())} hyperparameters"
    )
    for name in arguments.only or DATA:
        data = load(name, arguments.tables)
        began = time.time()
        _race(name, data, arguments.repetitions, arguments.contenders)
        print(f"{time.time() - began:.0f} s\n", flush=True)


def _race(name: str, data: js.Dataset, repetitions: int, chosen: Sequence[str] | None) -> None:
    best: dict[str, list[float]] = {}
    test: dict[str, list[float]] = {}
    epochs: dict[str, list[int]] = {}
    better = 1
    for seed in range(repetitions):
        print(f"{name}: repetition {seed + 1} of {repetitions}", file=sys.stderr, flush=True)
        for contender, asked in contenders().items():
            if chosen is not None and contender not in ("random", *chosen):
                continue
            options: Any = asked
            result = js.sweep(data, js.Space(**SPACE), seed=seed, keep=0, progress=False, **options)
            better = sign(result.objective)
            best.setdefault(contender, []).append(result.best.score or math.nan)
            test.setdefault(contender, []).append(result.best.metrics[result.objective.replace("val_", "test_")])
            epochs.setdefault(contender, []).append(sum(trial.epochs_done for trial in result.trials))
    base = np.array(best["random"])
    unit = base.std(ddof=1) or 1.0
    print(f"{name}: {result.objective}, {repetitions} repetitions")
    print(f"{'':18} {'lane-epochs':>11} {'best':>8} {'test':>8} {'ahead':>7} {'95 %':>15} {'wins':>6}")
    for contender, scores in best.items():
        gain = better * (np.array(scores) - base) / unit
        half = stats.t.ppf(0.975, repetitions - 1) * gain.std(ddof=1) / math.sqrt(repetitions)
        wins = f"{(gain > 0).sum()}-{(gain < 0).sum()}"
        print(
            f"{contender:18} {np.mean(epochs[contender]):11.0f} {np.mean(scores):8.4f} {np.mean(test[contender]):8.4f} "
            f"{gain.mean():7.2f} {gain.mean() - half:7.2f} {gain.mean() + half:7.2f} {wins:>6}",
            flush=True,
        )


if __name__ == "__main__":
    main()

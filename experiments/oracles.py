"""Are the pieces that every training shares right, and do whole trainings come out as anybody else's would?

Question: the plain reference of the package shares its random draws, preprocessing, augmentation and much else with the
engine, so that a fault there shows in no test of parity. How far is each shared piece from its textbook definition in
NumPy, SciPy or scikit-learn? And do trainings have the losses, over many seeds, that trainings in PyTorch have on the
same rows with the same hyperparameters, but with its own initial weights, orders, masks and optimizers?

Command: python experiments/oracles.py > experiments/oracles.txt
    (11 minutes; without PyTorch the second half is left out, and it says so; --seeds N, --only WORD for less)
Machine: AMD EPYC, 2 cores that tests shared, jaxlib 0.10.1, PyTorch 2.13.0 on the CPU
Answer: yes, as far as this can tell. Pieces differ from their oracles by rounding: 6e-6 at most in float32, 1e-14 in
    float64 (3e-10 for slopes, which are compared with finite differences; 7e-8 for areas of float32 scores; 5e-8 for
    the share of dropped units, which is a multiple of 2^-23). Of 46 trainings with 200 seeds on each side, no mean loss
    differs by 3 standard errors; the mean square of z is 0.72 for training and 1.04 for validation losses, and chance
    alone gives 1. The largest z are 1.93 and 2.44. experiments/oracles.txt has all of it.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import numpy as np
import oracle_draws
import oracle_pieces
import oracle_steps
from numpy.typing import NDArray
from scipy import stats

import jaxsweep as js
from jaxsweep.data import prepare
from jaxsweep.spec.hyperparameters import resolve

Losses = tuple[NDArray[np.float64], NDArray[np.float64]]  # in training and in validation, [seeds] each

SPLIT = (0.6, 0.2, 0.2)
LARGE = 3.0  # a z that one of 370 has by chance
BASE: dict[str, Any] = {
    "depth": 2,
    "width": 32,
    "batch_size": 32,
    "epochs": 10,
    "optimizer": "adam",
    "learning_rate": 3e-3,
}
SGD = {"optimizer": "sgd", "learning_rate": 0.05}

# What is trained, by data set: a name, and what differs from BASE. Epsilons and the like are written out, so that
# neither side's defaults decide.
TRAININGS: dict[str, dict[str, dict[str, Any]]] = {
    "digits": {
        "sgd": SGD,
        "sgd, momentum 0.9": SGD | {"momentum": 0.9, "learning_rate": 0.02},
        "sgd, nesterov 0.9": SGD | {"momentum": 0.9, "nesterov": True, "learning_rate": 0.02},
        "adam": {},
        "adamw, decay 0.3": {"optimizer": "adamw", "weight_decay": 0.3},
        "nadam": {"optimizer": "nadam"},
        "nadam, decay 0.3": {"optimizer": "nadam", "weight_decay": 0.3},
        "rmsprop": {"optimizer": "rmsprop", "learning_rate": 1e-3},
        "rmsprop, decay 0.3": {"optimizer": "rmsprop", "learning_rate": 1e-3, "weight_decay": 0.3},
        "adagrad": {"optimizer": "adagrad", "learning_rate": 0.03, "eps": 1e-7},
        "adadelta": {"optimizer": "adadelta", "learning_rate": 1.0, "eps": 1e-6},
        "lion": {"optimizer": "lion", "learning_rate": 3e-4, "b2": 0.99},
        "lion, decay 1": {"optimizer": "lion", "learning_rate": 3e-4, "b2": 0.99, "weight_decay": 1.0},
        "lamb": {"optimizer": "lamb", "learning_rate": 5e-3, "eps": 1e-6},
        "lamb, decay 0.5": {"optimizer": "lamb", "learning_rate": 5e-3, "eps": 1e-6, "weight_decay": 0.5},
        "clip 0.5": SGD | {"clip_norm": 0.5, "learning_rate": 0.2},
        "batch norm": {"norm": "batch"},
        "batch norm, sgd": SGD | {"norm": "batch"},
        "layer norm": {"norm": "layer"},
        "dropout 0.3": {"dropout": 0.3},
        "dropout 0.3, batch norm": {"dropout": 0.3, "norm": "batch"},
        "input dropout 0.2": {"input_dropout": 0.2},
        "L2 0.003": {"l2": 3e-3},
        "L1 0.0003": {"l1": 3e-4},
        "label smoothing 0.1": {"label_smoothing": 0.1},
        "focal": {"loss": "focal"},
        "input noise 0.5": {"input_noise": 0.5},
        "mixup 0.4": {"mixup_alpha": 0.4},
        "rotation, scaling, shift": {"rotation": 25.0, "scaling": 0.2, "shift": 0.1},
        "flip 0.5": {"flip": 0.5},
        "cosine, warmup": {"schedule": "cosine", "warmup": 0.2, "learning_rate": 0.01},
        "step every 0.7 epochs": {"schedule": "step", "decay_every": 0.7, "learning_rate": 0.01},
        "tanh": {"activation": "tanh"},
        "he_normal": {"init": "he_normal"},
        "he_uniform": {"init": "he_uniform"},
        "lecun_normal": {"init": "lecun_normal"},
        "orthogonal": {"init": "orthogonal"},
        "full batch": {"batch_size": "full", "learning_rate": 0.01, "epochs": 20},
    },
    "diabetes": {
        "mse": {},
        "mse, sgd": SGD | {"momentum": 0.9, "learning_rate": 0.01},
        "mse, batch norm": {"norm": "batch"},
        "mse, layer norm, dropout 0.3": {"norm": "layer", "dropout": 0.3},
        "mae": {"loss": "mae"},
        "huber 0.5": {"loss": "huber", "huber_delta": 0.5},
        "log_cosh": {"loss": "log_cosh"},
        "adamw, decay 1": {"optimizer": "adamw", "weight_decay": 1.0},
    },
}


# --- pieces --------------------------------------------------------------------------------------------------------


def print_pieces() -> None:
    """Print the largest difference of each piece in both float types, and the p-values of the draws."""
    pieces = [*oracle_draws.PIECES, *oracle_steps.PIECES, *oracle_pieces.PIECES]
    found: list[list[float]] = []
    for wide in (False, True):
        with jax.enable_x64(wide):
            found.append([piece.difference() for piece in pieces])
    print("The largest difference from the oracle, relative to the larger of the expected value and 1")
    print("(for initial weights, of their probabilities); * is more than the tests allow.\n")
    print(f"{'piece':46} {'oracle':38} {'float32':>9} {'float64':>9}")
    for piece, *numbers in zip(pieces, *found, strict=True):
        cells = [f"{n:9.1e}{'*' if n > bound else ' '}" for n, bound in zip(numbers, piece.bounds, strict=True)]
        print(f"{piece.name:46} {piece.oracle:38} {''.join(cells)}".rstrip())
    print(f"\n{'draw, in distribution':46} {'oracle':60} {'p':>8}")
    for draw in oracle_draws.DRAWS:
        print(f"{draw.name:46} {draw.oracle:60} {draw.p_value():8.2g}")


# --- trainings -----------------------------------------------------------------------------------------------------


class Comparison(NamedTuple):
    """Losses of one kind, over the seeds of both sides."""

    here: NDArray[np.float64]
    there: NDArray[np.float64]

    @property
    def z(self) -> float:
        """The difference of the means in units of its standard error."""
        error = math.sqrt(self.here.var(ddof=1) / len(self.here) + self.there.var(ddof=1) / len(self.there))
        return float((self.here.mean() - self.there.mean()) / error)

    @property
    def row(self) -> str:
        """Return means, standard deviations and z as a piece of a row."""
        means = f"{self.here.mean():8.4f} {self.there.mean():8.4f}"
        spreads = f"{self.here.std(ddof=1):7.4f} {self.there.std(ddof=1):7.4f}"
        return f"{means} {spreads} {self.z:6.2f}{'*' if abs(self.z) > LARGE else ' '}"


COSTLY = (("rotation", "scaling", "shift", "flip"), ("mixup_alpha", "input_noise"))  # every lane of a sweep pays


def sweep_of(config: dict[str, Any]) -> int:
    """Return which sweep a config is trained in, and under which seed: with its like, so that no other lane pays."""
    return next((kind for kind, names in enumerate(COSTLY, 1) if any(name in config for name in names)), 0)


def trained_here(name: str, configs: list[dict[str, Any]], seeds: int) -> list[Losses]:
    """Return the losses of every config, each trained `seeds` times, as trials of their own."""
    ends: dict[int, Losses] = {}
    for kind in range(len(COSTLY) + 1):
        places = [place for place, config in enumerate(configs) if sweep_of(config) == kind]
        every = [configs[place] for place in places for _ in range(seeds)]
        if every:
            result = js.sweep(js.load_dataset(name), configs=every, split=SPLIT, seed=kind, keep=0, progress=False)
            last = np.arange(len(every)), np.array([trial.epochs_done for trial in result.trials]) - 1
            training, validation = (result.curves(f"{part}_loss")[last].reshape(-1, seeds) for part in ("train", "val"))
            ends |= {place: (training[row], validation[row]) for row, place in enumerate(places)}
    return [ends[place] for place in range(len(configs))]


def trained_there(name: str, configs: list[dict[str, Any]], seeds: int) -> Iterator[Losses]:
    """Yield the losses of every config, each trained `seeds` times in PyTorch on the rows of the same split."""
    from oracle_torch import Task, train

    splits = [prepare(js.load_dataset(name), split=SPLIT, seed=kind) for kind in range(len(COSTLY) + 1)]
    for number, config in enumerate(configs):
        data = splits[sweep_of(config)]
        x, y, rows, val = data.x[0], data.y[0], data.train[0], data.val[0]
        task = Task(x[rows], y[rows], x[val], y[val], data.n_outputs, data.image_shape)
        yield train(task, resolve(config, data.task, len(rows), data.image_shape is not None), seeds, number)


def compare(name: str, seeds: int, wanted: Callable[[str], bool]) -> tuple[list[Comparison], list[Comparison]]:
    """Print a table of all trainings on a data set, and return what it compares: training and validation losses."""
    chosen = {what: BASE | {"b2": 0.999, "eps": 1e-8} | more for what, more in TRAININGS[name].items() if wanted(what)}
    if not chosen:
        return [], []
    start = time.perf_counter()
    here = trained_here(name, list(chosen.values()), seeds)
    middle = time.perf_counter()
    print(f"\n{name}: training loss over the last epoch as minimized, and last validation loss: means and standard")
    print(f"deviations over {seeds} seeds, here and in PyTorch, and the difference of the means in standard errors\n")
    titles = f"{'here':>8} {'PyTorch':>8} {'sd':>7} {'sd':>7} {'z':>6} "
    print(f"{'':30} {titles}  {titles}".rstrip(), flush=True)
    both: tuple[list[Comparison], list[Comparison]] = ([], [])
    for what, ours, theirs in zip(chosen, here, trained_there(name, list(chosen.values()), seeds), strict=True):
        pair = [Comparison(a, b) for a, b in zip(ours, theirs, strict=True)]
        for kind, comparison in zip(both, pair, strict=True):
            kind.append(comparison)
        print(f"{what:30} {pair[0].row}  {pair[1].row}".rstrip(), flush=True)
    spent = middle - start, time.perf_counter() - middle
    print(f"{name}: {spent[0]:.0f} s here, {spent[1]:.0f} s in PyTorch", file=sys.stderr)
    return both


def summarize(kind: str, comparisons: list[Comparison]) -> None:
    """Print how large the z values are beside those of chance; the two losses of a training are not independent."""
    z = np.array([comparison.z for comparison in comparisons])
    spreads = np.log([c.here.std(ddof=1) / c.there.std(ddof=1) for c in comparisons])
    p = float(stats.chi2.sf((z**2).sum(), len(z)))
    print(
        f"{kind:10} {len(z):3} z values: mean square {np.mean(z**2):.2f} (p {p:.2g}), largest {np.abs(z).max():.2f}, ",
        end="",
    )
    print(f"{(np.abs(z) > LARGE).sum()} beyond {LARGE:g}; sd here / sd there {np.exp(spreads.mean()):.3f}")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Compares shared pieces with textbooks, and trainings with PyTorch.")
    parser.add_argument("--seeds", type=int, default=200, help="trainings of each config on each side (default: 200)")
    parser.add_argument("--only", metavar="WORD", help="only trainings whose name holds this; no pieces")
    arguments = parser.parse_args()
    if not arguments.only:
        print_pieces()
    if find_spec("torch") is None:
        print("\nPyTorch is not installed: trainings are not compared.")
        return
    found = [compare(name, arguments.seeds, lambda what: (arguments.only or "") in what) for name in TRAININGS]
    print()
    for number, kind in enumerate(("training", "validation")):
        summarize(kind, [comparison for both in found for comparison in both[number]])


if __name__ == "__main__":
    main()

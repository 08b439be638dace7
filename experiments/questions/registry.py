"""The questions: what is commonly said, on which data it is looked at, and which groups of networks would show it.

Each has a sweep file of its name beside this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CLASSES = ("digits", "vehicle", "vowel")
NUMBERS = ("diabetes", "winequality_white", "vehicle_hollows")


@dataclass(frozen=True)
class Claim:
    """That one group has a better measure than another one, or than a number."""

    says: str
    better: str
    worse: str | float
    measure: str


@dataclass(frozen=True)
class Question:
    """What is asked of a sweep.

    Attributes:
        name: of the sweep file.
        title: the question.
        by: hyperparameters whose values make the groups.
        measures: columns of its tables; the first is drawn.
        claims: what is commonly said.
        tuned: hyperparameters that each group has chosen for itself, by the mean validation score.
        data: the data sets.
        way: how the groups come of the sweep file: `sweep`, one sweep a data set; `parts`, one whose `part` stands for
            data sets; or one of the others of `ways.py`.
        part: the hyperparameter whose values stand for data sets.
        remark: what a reader of the tables must know.
    """

    name: str
    title: str
    by: tuple[str, ...]
    measures: tuple[str, ...]
    claims: tuple[Claim, ...]
    tuned: tuple[str, ...] = ()
    data: tuple[str, ...] = CLASSES
    way: str = "sweep"
    part: str = ""
    remark: str = ""


RATE = ("learning_rate",)
TUNED = "Each has the learning rate that is best by its validation rows, and is compared on the test rows."


def word(config: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return a group's name: the values of its hyperparameters."""
    said = []
    for name in names:
        value = config[name]
        if name == "momentum":
            said += [f"momentum {value:g}"] * bool(value)
        elif name in UNITS:
            said.append(f"{value} {UNITS[name]}{'s' * (value != 1)}" if isinstance(value, int) else f"{value}")
        else:
            said.append(f"{value:g}" if isinstance(value, float) else f"{value}")
    return ", ".join(said)


UNITS = {"depth": "layer", "epochs": "epoch", "width": "unit"}

QUESTIONS = (
    Question(
        "learning_rate", "Which learning rate: 0.001, 0.01, 0.1 or 1?", ("optimizer", "learning_rate"),
        ("val_score", "train_loss", "converged"),
        (
            Claim("of plain gradient descent, 0.1 is better than 0.001", "sgd, 0.1", "sgd, 0.001", "val_score"),
            Claim("of Adam, 0.001 is better than 0.1", "adam, 0.001", "adam, 0.1", "val_score"),
            Claim("of Adam, 0.01 is better than 0.001", "adam, 0.01", "adam, 0.001", "val_score"),
            Claim("1 is too much for gradient descent", "sgd, 0.1", "sgd, 1", "val_score"),
        ),
    ),
    Question(
        "batch_size", "Do small batches generalize better?", ("batch_size",),
        ("test_score", "gap", "converged", "iterations", "milliseconds"),
        (
            Claim("batches of 32 are better than all rows at once", "32", "full", "test_score"),
            Claim("batches of 32 are better than batches of 256", "32", "256", "test_score"),
            Claim("large batches take less time for as many epochs", "256", "32", "milliseconds"),
        ),
        tuned=RATE,
        remark=f"{TUNED} Times are shares of a sweep in which all networks of a size train together, measured once, "
        "without an interval.",
    ),
    Question(
        "depth", "How many hidden layers?", ("depth",), ("test_score", "train_loss", "gap"),
        (
            Claim("two are better than one", "2 layers", "1 layer", "test_score"),
            Claim("five are worse than two", "2 layers", "5 layers", "test_score"),
        ),
        tuned=RATE, remark=TUNED,
    ),
    Question(
        "width", "Do wide networks overfit?", ("width",), ("test_score", "gap", "train_loss"),
        (
            Claim("512 units are worse than 64", "64 units", "512 units", "test_score"),
            Claim("the gap is wider with 512 units than with 16", "16 units", "512 units", "gap"),
            Claim("four units are too few", "64 units", "4 units", "test_score"),
        ),
        tuned=RATE, remark=TUNED,
    ),
    Question(
        "activation", "Which activation reaches the lowest loss in regression?", ("activation",),
        ("train_loss", "test_score", "converged"),
        (
            Claim("relu reaches a lower training loss than sigmoid", "relu", "sigmoid", "train_loss"),
            Claim("relu reaches a lower training loss than tanh", "relu", "tanh", "train_loss"),
            Claim("leaky_relu reaches a lower training loss than relu", "leaky_relu", "relu", "train_loss"),
            Claim("relu is better than tanh on new rows", "relu", "tanh", "test_score"),
        ),
        tuned=RATE, data=NUMBERS, remark=TUNED,
    ),
    Question(
        "regularization", "Does regularization help?",
        ("l1", "l2", "weight_decay", "dropout", "norm", "patience"), ("test_score", "gap", "train_loss"),
        (
            Claim("L1 is better than none", "l1", "none", "test_score"),
            Claim("L2 is better than none", "l2", "none", "test_score"),
            Claim("weight decay is better than none", "weight_decay", "none", "test_score"),
            Claim("dropout is better than none", "dropout", "none", "test_score"),
            Claim("batch norm is better than none", "norm", "none", "test_score"),
            Claim("early stopping is better than none", "patience", "none", "test_score"),
            Claim("dropout narrows the gap", "dropout", "none", "gap"),
        ),
        way="kinds",
        remark="Each has the strength that is best by its validation rows, and is compared on the test rows.",
    ),
    Question(
        "optimizer", "Which optimizer?", ("optimizer", "momentum"), ("test_score", "converged", "rate"),
        (
            Claim("Adam is better than plain gradient descent", "adam", "sgd", "test_score"),
            Claim("Adam is better than gradient descent with momentum", "adam", "sgd, momentum 0.9", "test_score"),
            Claim("Adam takes fewer epochs than plain gradient descent", "adam", "sgd", "converged"),
            Claim("momentum takes fewer epochs than none", "sgd, momentum 0.9", "sgd", "converged"),
            Claim("Adam is better than RMSProp", "adam", "rmsprop", "test_score"),
            Claim("Adam is better than Adagrad", "adam", "adagrad", "test_score"),
        ),
        tuned=RATE, remark=TUNED,
    ),
    Question(
        "dropout", "Dropout of 0, 0.2 or 0.5?", ("dropout",), ("test_score", "gap", "train_loss"),
        (
            Claim("0.2 is better than none", "0.2", "0", "test_score"),
            Claim("0.5 is worse than 0.2", "0.2", "0.5", "test_score"),
            Claim("0.5 narrows the gap", "0.5", "0", "gap"),
        ),
        tuned=RATE, remark=TUNED,
    ),
    Question(
        "initialization", "Which initializer for which activation?", ("activation", "init"),
        ("train_loss", "val_score", "converged"),
        (
            Claim("with relu, He is better than Xavier", "relu, he_normal", "relu, glorot_normal", "train_loss"),
            Claim("with tanh, Xavier is better than He", "tanh, glorot_normal", "tanh, he_normal", "train_loss"),
            Claim("with relu, He is better than small normal weights", "relu, he_normal", "relu, random_normal",
                  "train_loss"),
            Claim("with sigmoid, Xavier is better than small normal weights", "sigmoid, glorot_normal",
                  "sigmoid, random_normal", "train_loss"),
        ),
    ),
    Question(
        "epochs", "What do 10, 100 and 1,000 epochs do?", ("epochs",), ("gap", "val_score", "train_loss"),
        (
            Claim("the gap is wider after 1,000 epochs than after 100", "100 epochs", "1000 epochs", "gap"),
            Claim("100 are better than 10", "100 epochs", "10 epochs", "val_score"),
            Claim("1,000 are worse than 100", "100 epochs", "1000 epochs", "val_score"),
        ),
    ),
    Question(
        "schedule", "Is a learning rate that decays better than a constant one?", ("schedule",),
        ("test_score", "train_loss", "rate"),
        tuple(
            Claim(f"{name} is better than constant", name, "constant", "test_score")
            for name in ("step", "exponential", "inverse_time", "linear", "cosine", "onecycle")
        ),
        tuned=RATE, remark=TUNED,
    ),
    Question(
        "augmentation", "Does augmentation help on digits?", ("rotation", "scaling", "shift", "flip"),
        ("test_score", "val_score", "gap"),
        (
            Claim("rotation helps", "rotation", "none", "test_score"),
            Claim("scaling helps", "scaling", "none", "test_score"),
            Claim("shift helps", "shift", "none", "test_score"),
            Claim("mirroring does harm", "none", "flip", "test_score"),
        ),
        way="kinds", part="train_rows", data=("digits",),
        remark="Only digits has images; numbers of training rows stand for data sets.",
    ),
    Question(
        "outliers", "Which loss where targets are spoilt?", ("loss",), ("test_mae", "val_mae"),
        (
            Claim("mae is better than mse", "mae", "mse", "test_mae"),
            Claim("huber is better than mse", "huber", "mse", "test_mae"),
            Claim("huber is better than mae", "huber", "mae", "test_mae"),
        ),
        tuned=RATE, data=NUMBERS, way="outliers",
        remark="A twentieth of the training targets is five standard deviations too high. Errors are mean absolute "
        "ones, in standard deviations of the target. Each loss has the learning rate that is best by its validation "
        "rows.",
    ),
    Question(
        "rate_and_batch", "Does the best learning rate grow with the batch?", ("batch_size",), ("rate", "slope"),
        (
            Claim("it grows with the batch", "all", 0.0, "slope"),
            Claim("it grows faster than its root", "all", 0.5, "slope"),
            Claim("it grows in proportion, or faster", "all", 1.0, "slope"),
        ),
        tuned=RATE, way="rates",
        remark="Of each training the rate with the lowest validation loss; the slope is that of its logarithm over the "
        "logarithm of the batch's size: 1 is in proportion.",
    ),
    Question(
        "rate_and_depth", "Do deeper networks want smaller learning rates?", ("depth",), ("rate", "slope"),
        (Claim("the best rate falls with depth", "all", 0.0, "fall"),),
        tuned=RATE, way="rates",
        remark="Of each training the rate with the lowest validation loss; the slope is that of its logarithm over the "
        "logarithm of the depth.",
    ),
    Question(
        "confirmation", "How far do hyperparameters overfit the validation rows?", (), ("score",),
        (
            Claim("the best score of a search promises too much", "search, validation", "search, test", "score"),
            Claim("a confirmed score promises less", "search, validation", "confirmed, validation", "score"),
            Claim("what is confirmed is better on new rows", "confirmed, test", "search, test", "score"),
        ),
        data=("vehicle", "wine", "dresses"), way="confirmation",
        remark="Twenty searches, each with rows and seeds of its own.",
    ),
    Question(
        "ways", "Which way of searching is best at equal cost?", (), ("test_score", "val_score", "seconds"),
        (
            Claim("random search is better than a grid", "random", "grid", "val_score"),
            Claim("Sobol points are better than random ones", "sobol", "random", "val_score"),
            Claim("evolution is better than random search", "evolution", "random", "val_score"),
            Claim("Bayesian optimization is better than random search", "bayes", "random", "val_score"),
            Claim("Bayesian optimization finds what is better on new rows", "bayes", "random", "test_score"),
        ),
        data=("vehicle", "vowel", "breast_cancer"), way="ways",
        remark="Twenty searches each, the same rows for all; 100 trials of 20 epochs. `gradient` has 20 trials, each "
        "of which costs about five trainings, with its derivatives; `pbt` changes its 100 networks on the way.",
    ),
    Question(
        "width_transfer", "Can the learning rate of a narrow network be carried to a wide one?",
        ("parametrization",), ("regret", "fall", "test_score"),
        (
            Claim("without muP the best rate falls as the width grows", "standard", 0.0, "fall"),
            Claim("under muP it falls less", "standard", "mup", "fall"),
            Claim("under muP the narrow network's rate costs the wide one less", "mup", "standard", "regret"),
        ),
        way="carried",
        remark="Widths of 16 and 256. The rate with the lowest mean training loss at 16 is carried to 256; regret is "
        "the training loss there above that with the best rate at 256. The fall is that of log10 of the best rate of "
        "each training.",
    ),
    Question(
        "start", "Is a trained network a good start?", ("transfer", "frozen"), ("test_score", "converged", "rate"),
        (
            Claim("it is better than a new one", "trained", "new", "test_score"),
            Claim("frozen layers are better than ones that go on training", "frozen", "trained", "test_score"),
            Claim("it wants a smaller learning rate than a new one", "new", "trained", "rate"),
        ),
        tuned=RATE, way="started",
    ),
)  # fmt: skip

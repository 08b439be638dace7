"""Which hyperparameters have a hypergradient, and why the others have none. No JAX.

A hypergradient is the derivative of the validation loss after training by a hyperparameter, with everything that is
drawn (weights, batches, noise) held as it is: that of the very training that was run.
"""

from collections.abc import Mapping
from typing import Any

from jaxsweep.data.labels import Task
from jaxsweep.spec.swept import acts

HYPERGRADIENTS = (
    "negative_slope", "init_scale", "label_smoothing", "focal_gamma", "huber_delta", "momentum", "rms_decay", "b1",
    "b2", "eps", "learning_rate", "decay_rate", "decay_every", "final_learning_rate", "l1", "l2", "weight_decay",
    "clip_norm", "input_noise", "rotation", "scaling", "shift",
)  # fmt: skip
"""Those that have one, in the order of the table of hyperparameters."""

_MASKS = (
    "with what is drawn held as it is, its masks change in jumps alone; the derivative of what lies between these is "
    "not that of the expected loss, nor near it"
)
WITHOUT = {
    "class_weight": "it is a word",
    "nesterov": "it is yes or no",
    "warmup": "it is rounded to whole steps",
    "epochs": "it is a whole number",
    "init_seed": "it is a seed",
    "order_seed": "it is a seed",
    "parametrization": "it is a word",
    "base_width": "it is a whole number",
    "transfer": "it is a whole number",
    "frozen": "it is a whole number",
    "train_rows": "it is a whole number",
    "dropout": _MASKS,
    "input_dropout": _MASKS,
    "flip": _MASKS,
    "mixup_alpha": "its numbers are drawn by rejection, so that they jump as it changes",
    "patience": "it decides when to stop, and is a whole number",
    "min_delta": "it decides when to stop",
}
"""The other traced hyperparameters, each with the reason."""

# Under a categorical value a training may depend on a number by jumps alone. Its hypergradient is then 0.
_JUMPS: dict[tuple[str, str], tuple[str, ...]] = {
    ("schedule", "step"): ("decay_every",),  # whole numbers of decays
    ("optimizer", "lion"): (  # signs of what gradients are added up to
        "label_smoothing", "b1", "b2", "l1", "l2", "clip_norm", "input_noise", "rotation", "scaling", "shift",
    ),
}  # fmt: skip
_OFF = ("l1", "l2", "clip_norm", "input_noise")  # at 0, where what lies beyond it is something else


def has_hypergradient(name: str, config: Mapping[str, Any]) -> bool:
    """Return whether the hypergradient of a resolved config by a hyperparameter can be anything but 0."""
    if name not in HYPERGRADIENTS or not acts(name, config):
        return False
    if name in _OFF and config[name] == 0:
        return False
    return not any(config[by] == value and name in names for (by, value), names in _JUMPS.items())


def followed(objective: str, task: Task) -> str:
    """Return the measure whose derivative is meant beside an objective such as val_accuracy.

    It is the objective's own where that has a derivative, or falls and rises with one that has: the loss, the log loss,
    the mean squared and absolute errors. Otherwise it is the log loss of classification and the mean squared error of
    regression, which compare networks of any loss.
    """
    name = objective.removeprefix("val_")
    if name in ("loss", "log_loss", "mse", "mae"):
        return name
    return "log_loss" if task == "classification" else "mse"

"""The one table of hyperparameters.

Checks, defaults, `python -m jaxsweep hyperparameters` and the documentation all come from `HYPERPARAMETERS`.
A new hyperparameter is a new row here, plus the place in the training code that reads it.

A *structural* hyperparameter decides array shapes, a *categorical* one picks code, a *traced* one is a number
inside a compiled program. A traced hyperparameter with a `neutral` value switches something off at that value:
a sweep in which nobody uses it compiles nothing for it.
"""

import functools
import math
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jaxsweep.data.labels import Task
from jaxsweep.errors import RequestError, meant, shown, suggestion
from jaxsweep.spec import own
from jaxsweep.spec.own import Own

Role = Literal["structural", "categorical", "traced"]
Kind = Literal["float", "int", "bool", "choice", "widths", "batch"]
Config = dict[str, Any]

SMALLEST, LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # of float32's normal numbers above 0
MOST_STEPS = 2**31 - 1  # of one training, which are counted in int32
MOST_SEED = 2**31 - 1

CLASSIFICATION_LOSSES = ("cross_entropy", "focal")
REGRESSION_LOSSES = ("mse", "mae", "huber", "log_cosh")
LOSS_PARAMETERS = {"focal": "focal_gamma", "huber": "huber_delta"}  # that evaluations of a loss depend on


@dataclass(frozen=True)
class Hyperparameter:
    """One row of the table.

    `low` and `high` bound the legal values; `open_low` and `open_high` exclude the bound itself. `default` None
    means that the default depends on the data and is filled in by `resolve`; `by_optimizer` holds the defaults of
    optimizers that have one of their own. At `neutral` the hyperparameter has no effect (None: there is no such
    value). `images_only` marks those that need image-shaped inputs.
    """

    name: str
    group: str
    role: Role
    kind: Kind
    default: Any
    meaning: str
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    choices: tuple[str, ...] = ()
    neutral: float | str | None = None
    images_only: bool = False
    by_optimizer: tuple[tuple[str, float], ...] = ()

    def default_for(self, optimizer: str) -> Any:
        """Return the default beside an optimizer."""
        return dict(self.by_optimizer).get(optimizer, self.default)

    @property
    def explained(self) -> str:
        """Return the meaning, with the defaults that belong to an optimizer."""
        own = ", ".join(f"{value:g} for {name}" for name, value in self.by_optimizer)
        return f"{self.meaning}; its default is {own}" if own else self.meaning

    @property
    def legal(self) -> str:
        """Return the legal values in words, as error messages and help show them."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices) + ", or a JAX function" * (self.name in own.ROLES)
        if self.kind == "bool":
            return "true or false"
        if self.kind == "widths":
            return "an integer in [1, 4096], or a list of such integers, one for each hidden layer"
        if self.kind == "batch":
            return "an integer >= 1, or 'full'"
        kind = "an integer" if self.kind == "int" else "a number"
        if self.high is None:
            return f"{kind} {'>' if self.open_low else '>='} {self.low:g}"
        left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
        high = f"{self.high:g}" if float(f"{self.high:g}") == self.high else str(self.high)
        return f"{kind} in {left}{self.low:g}, {high}{right}"

    def check(self, value: Any) -> Any:
        """Return `value` in its plain Python type, or raise RequestError if it is not legal."""
        result = self._converted(value)
        if result is None:
            raise RequestError(f"{self.name} = {shown(value)} is not legal: it must be {self.legal}")
        if self.kind == "float" and (single := self._single(result)) is not None:
            raise RequestError(
                f"{self.name} = {shown(value)} is not legal, since it is {single:g} in float32: it must be "
                f"{self.legal}, {_nearest(single)}"
            )
        return result

    def _single(self, value: float) -> float | None:
        """Return what float32 makes of a legal value, if that is not legal; else None."""
        try:
            (single,) = struct.unpack("f", struct.pack("f", value))
        except OverflowError:
            single = math.copysign(math.inf, value)
        if abs(single) < SMALLEST:
            single = 0.0  # programs may flush what is denormal
        return single if self._number(single) is None else None

    def _converted(self, value: Any) -> Any:
        if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
            value = value.item()  # a NumPy scalar
        if self.kind == "choice":
            if callable(value) and self.name in own.ROLES:
                return own.named([value], self.choices)[0]
            return value if isinstance(value, str) and value in self.choices else None
        if self.kind == "bool":
            return value if isinstance(value, bool) else None
        if self.kind == "widths":
            return _widths(value)
        if self.kind == "batch":
            return "full" if value == "full" else _integer(value, 1, None)
        if self.kind == "int":
            return _integer(value, self.low, self.high)
        return self._number(value)

    def _number(self, value: Any) -> float | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
            return None
        if self.low is not None and (value < self.low or (self.open_low and value == self.low)):
            return None
        if self.high is not None and (value > self.high or (self.open_high and value == self.high)):
            return None
        return float(value)


def _nearest(single: float) -> str:
    """Return in words what of a range float32 can hold, where a value has been rounded out of it."""
    if math.isinf(single):
        return f"at most {LARGEST:.4g}"
    if single == 0:
        return f"at least {SMALLEST:.4g}"
    return f"at most {single * (1 - 2.0**-24):.8g}"


def _integer(value: Any, low: float | None, high: float | None) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not abs(value) <= sys.float_info.max or value != int(value):
        return None
    if (low is not None and value < low) or (high is not None and value > high):
        return None
    return int(value)


def _widths(value: Any) -> int | list[int] | None:
    if isinstance(value, (list, tuple)):
        widths = [_integer(item, 1, 4096) for item in value]
        known = [width for width in widths if width is not None]
        return known if len(known) == len(widths) <= 16 else None
    return _integer(value, 1, 4096)


def _row(group: str, name: str, role: Role, kind: Kind, default: Any, meaning: str, **more: Any) -> Hyperparameter:
    return Hyperparameter(name=name, group=group, role=role, kind=kind, default=default, meaning=meaning, **more)


# fmt: off
_ROWS = (
    _row("architecture", "depth", "structural", "int", 2,
         "number of hidden layers; 0 is a linear model", low=0, high=16),
    _row("architecture", "width", "structural", "widths", 64,
         "units in each hidden layer, or a list with one width for each layer"),
    _row("architecture", "width_shape", "structural", "choice", "constant",
         "constant: every hidden layer has `width` units; funnel: linearly from `width` at the first hidden layer "
         "towards the number of outputs", choices=("constant", "funnel")),
    _row("architecture", "activation", "categorical", "choice", "relu",
         "nonlinearity of the hidden layers; gelu is its tanh approximation",
         choices=("relu", "leaky_relu", "tanh", "sigmoid", "elu", "gelu", "silu", "softplus")),
    _row("architecture", "negative_slope", "traced", "float", 0.01,
         "slope of leaky_relu for negative inputs", low=0, high=1),
    _row("architecture", "norm", "categorical", "choice", "none",
         "normalization between a hidden layer's matrix product and its activation; a last batch of one row is "
         "normalized by batch norm's running statistics, which it leaves as they are; batch_size = 1 is refused",
         choices=("none", "batch", "layer")),
    _row("initialization", "init", "categorical", "choice", "glorot_uniform",
         "initializer of the kernels (biases start at 0); glorot is also called Xavier",
         choices=("random_normal", "random_uniform", "glorot_normal", "glorot_uniform", "he_normal",
                  "he_uniform", "lecun_normal", "orthogonal")),
    _row("initialization", "init_scale", "traced", "float", 1.0,
         "multiplies the initializer's own scale (that of random_normal and random_uniform, which draws from [0, "
         "scale), is 0.05)", low=0, high=100, open_low=True, neutral=1.0),
    _row("initialization", "init_seed", "traced", "int", -1,
         "seed of the initial weights, which are the same in every trial, replicate and fold that has it (and the "
         "shapes); -1 is the trial's own", low=-1, high=MOST_SEED, neutral=-1),
    _row("initialization", "transfer", "traced", "int", -1,
         "layers, counted from the first, that start with the weights of the network that `start_from` names, where "
         "shapes agree; -1 is all of them", low=-1, high=17, neutral=-1),
    _row("initialization", "parametrization", "traced", "choice", "standard",
         "how initial weights and learning rates follow the width: mup (maximal update) keeps the best learning rate "
         "of networks of `base_width` for wider ones; not for lamb", choices=("standard", "mup"), neutral="standard"),
    _row("initialization", "base_width", "traced", "int", 64,
         "width at which mup is the same as standard", low=1, high=4096),
    _row("loss", "loss", "categorical", "choice", None,
         "the loss that training minimizes; default cross_entropy for classification, mse for regression",
         choices=CLASSIFICATION_LOSSES + REGRESSION_LOSSES),
    _row("loss", "class_weight", "traced", "choice", "none",
         "balanced: every class weighs alike in the training loss, by n / (classes x count) over the training rows, as "
         "in scikit-learn, where their own weights count; the metrics are as without", choices=("none", "balanced"),
         neutral="none"),
    _row("loss", "label_smoothing", "traced", "float", 0.0,
         "share of each label that is spread evenly over all classes", low=0, high=1, open_high=True, neutral=0.0),
    _row("loss", "focal_gamma", "traced", "float", 2.0,
         "exponent by which the focal loss discounts examples that are already right", low=0, high=100),
    _row("loss", "huber_delta", "traced", "float", 1.0,
         "error (in standard deviations of the target) beyond which the huber loss is linear", low=0, open_low=True),
    _row("optimizer", "optimizer", "categorical", "choice", "adam",
         "update rule, in Optax's form; adamw is adam, since weight_decay is decoupled for every optimizer",
         choices=("sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad", "adadelta", "lion", "lamb")),
    _row("optimizer", "momentum", "traced", "float", 0.0,
         "momentum of sgd", low=0, high=1, open_high=True, neutral=0.0),
    _row("optimizer", "nesterov", "traced", "bool", False,
         "whether the momentum of sgd looks ahead", neutral=0.0),
    _row("optimizer", "rms_decay", "traced", "float", 0.9,
         "decay of the mean squared gradient in rmsprop and adadelta", low=0, high=1, open_high=True),
    _row("optimizer", "b1", "traced", "float", 0.9,
         "decay of the mean gradient in adam, adamw, nadam, lion, lamb", low=0, high=1, open_high=True),
    _row("optimizer", "b2", "traced", "float", 0.999,
         "decay of the mean squared gradient in adam, adamw, nadam, lamb; of the momentum in lion",
         low=0, high=1, open_high=True, by_optimizer=(("lion", 0.99),)),
    _row("optimizer", "eps", "traced", "float", 1e-08,
         "added to the denominators of adam, adamw, nadam, lamb; in rmsprop, adagrad and adadelta to what stands under "
         "their roots (PyTorch's rmsprop and adagrad add it to the root)",
         low=0, high=1, open_low=True, by_optimizer=(("adagrad", 1e-7), ("adadelta", 1e-6), ("lamb", 1e-6))),
    _row("learning rate", "learning_rate", "traced", "float", 0.001,
         "the peak learning rate", low=0, open_low=True),
    _row("learning rate", "schedule", "categorical", "choice", "constant",
         "how the learning rate changes after the warmup",
         choices=("constant", "step", "exponential", "inverse_time", "polynomial", "linear", "cosine",
                  "onecycle")),
    _row("learning rate", "warmup", "traced", "float", 0.0,
         "fraction of all steps in which the learning rate rises linearly from 0", low=0, high=1, neutral=0.0),
    _row("learning rate", "decay_rate", "traced", "float", 0.5,
         "factor of step and exponential; coefficient of inverse_time", low=0, open_low=True),
    _row("learning rate", "decay_every", "traced", "float", 10.0,
         "epochs after which step and exponential have decayed by decay_rate; unit of time of inverse_time",
         low=0, open_low=True),
    _row("learning rate", "final_learning_rate", "traced", "float", 0.0,
         "learning rate at the last step, as a fraction of the peak, of linear, cosine, polynomial and onecycle",
         low=0, high=1),
    _row("budget", "batch_size", "structural", "batch", 32,
         "examples in one step; 'full' is full-batch gradient descent; what exceeds the training rows is cut to them"),
    _row("budget", "epochs", "traced", "int", 20,
         "passes over the training set; iterations in all = epochs x ceil(examples / batch_size)", low=1, high=10 ** 6),
    _row("budget", "order_seed", "traced", "int", -1,
         "seed of the order in which examples come, which is the same in every trial, replicate and fold that has it; "
         "-1 is the trial's own", low=-1, high=MOST_SEED, neutral=-1),
    _row("budget", "train_rows", "traced", "int", 0,
         "training rows that a network sees: the first ones of an order that the sweep's seed decides, in which "
         "classes come in their shares; 0 is all of them", low=0, neutral=0),
    _row("regularization", "dropout", "traced", "float", 0.0,
         "probability with which a unit is dropped after each hidden activation (inverted dropout)",
         low=0, high=1, open_high=True, neutral=0.0),
    _row("regularization", "input_dropout", "traced", "float", 0.0,
         "probability with which an input is dropped (inverted dropout)", low=0, high=1, open_high=True, neutral=0.0),
    _row("regularization", "l1", "traced", "float", 0.0,
         "adds l1 * sum |w| over kernels to the loss", low=0, neutral=0.0),
    _row("regularization", "l2", "traced", "float", 0.0,
         "adds l2 / 2 * sum w^2 over kernels to the loss", low=0, neutral=0.0),
    _row("regularization", "weight_decay", "traced", "float", 0.0,
         "decoupled decay: kernels shrink by learning rate x weight_decay a step; in lamb it enters before the trust "
         "ratio, as in its paper", low=0, neutral=0.0),
    _row("regularization", "clip_norm", "traced", "float", 0.0,
         "largest global norm of the gradient; 0 is off", low=0, neutral=0.0),
    _row("regularization", "input_noise", "traced", "float", 0.0,
         "standard deviation of Gaussian noise added to the (standardized) inputs", low=0, neutral=0.0),
    _row("regularization", "mixup_alpha", "traced", "float", 0.0,
         "examples and labels are mixed in pairs with weights from Beta(alpha, alpha); 0 is off",
         low=0, high=100, neutral=0.0),
    _row("regularization", "frozen", "traced", "int", 0,
         "hidden layers, counted from the first, that stay as they start: kernel, bias, and the scale and shift of "
         "their normalization", low=0, high=16, neutral=0),
    _row("regularization", "patience", "traced", "int", 0,
         "early stopping after this many evaluations (one an epoch) without an improvement, which is one more than "
         "scikit-learn's n_iter_no_change; 0 is off",
         low=0, neutral=0),
    _row("regularization", "min_delta", "traced", "float", 0.0,
         "an evaluation improves if it betters the best so far by more than this; the best follows every evaluation, "
         "as in scikit-learn, so that steady gains below it stop early (in Keras they do not)", low=0),
    _row("regularization", "monitor", "categorical", "choice", "val_loss",
         "what early stopping watches", choices=("train_loss", "val_loss", "objective")),
    _row("augmentation", "rotation", "traced", "float", 0.0,
         "largest angle, in degrees, by which each image is rotated", low=0, high=180, neutral=0.0, images_only=True),
    _row("augmentation", "scaling", "traced", "float", 0.0,
         "largest relative change of each image's size", low=0, high=1, open_high=True, neutral=0.0, images_only=True),
    _row("augmentation", "shift", "traced", "float", 0.0,
         "largest shift of each image along each axis, as a fraction of the side",
         low=0, high=1, neutral=0.0, images_only=True),
    _row("augmentation", "flip", "traced", "float", 0.0,
         "probability with which each image is mirrored left to right", low=0, high=1, neutral=0.0, images_only=True),
)
# fmt: on

HYPERPARAMETERS: dict[str, Hyperparameter] = {row.name: row for row in _ROWS}
_IMAGES_ONLY = tuple(row for row in _ROWS if row.images_only)


# What other tools call them.
ELSEWHERE = {
    "lr": "learning_rate", "learning_rate_init": "learning_rate", "eta": "learning_rate", "max_epochs": "epochs",
    "n_epochs": "epochs", "num_epochs": "epochs", "max_iter": "epochs", "hidden_layer_sizes": "width", "units": "width",
    "hidden_size": "width", "num_layers": "depth", "n_layers": "depth", "alpha": "l2", "bs": "batch_size",
    "beta_1": "b1", "beta_2": "b2", "epsilon": "eps", "dropout_rate": "dropout", "solver": "optimizer",
    "lr_scheduler": "schedule", "clipnorm": "clip_norm", "kernel_initializer": "init", "initializer": "init",
}  # fmt: skip


def lookup(name: str) -> Hyperparameter:
    """Return the row called `name`, or raise RequestError that suggests the nearest known name."""
    row = HYPERPARAMETERS.get(name)
    if row is None:
        hint = meant(ELSEWHERE.get(name)) or suggestion(str(name)[:100], HYPERPARAMETERS)
        raise RequestError(f"unknown hyperparameter {shown(name)}{hint}")
    return row


def resolve(config: Mapping[str, Any], task: Task, rows: int | None, image: bool = False) -> Config:
    """Return `config` with every hyperparameter present and checked, in the order of the table.

    Args:
        config: some hyperparameters by name; the others get their defaults.
        task: decides the default loss and which losses are legal.
        rows: number of training rows, to which larger batches are cut; None for a network that has been trained, whose
            config was checked then.
        image: whether the inputs are image-shaped; without, augmentation is refused.

    Raises:
        RequestError: an unknown name, an illegal value, or values that contradict each other.
    """
    for name in config:
        lookup(name)
    optimizer = HYPERPARAMETERS["optimizer"]
    chosen = optimizer.check(config["optimizer"]) if "optimizer" in config else optimizer.default
    full = {**defaults(chosen), **{name: HYPERPARAMETERS[name].check(value) for name, value in config.items()}}
    losses = CLASSIFICATION_LOSSES if task == "classification" else REGRESSION_LOSSES
    full["loss"] = full["loss"] or losses[0]
    if full["loss"] not in losses and not isinstance(full["loss"], Own):
        raise RequestError(f"loss = {full['loss']!r} does not fit {task}: it must be one of {', '.join(losses)}")
    if task == "regression" and full["class_weight"] != "none":
        raise RequestError(
            f"class_weight = {full['class_weight']!r} does not fit regression, which has no classes: it must be none"
        )
    if rows is not None:
        _settle_budget(full, rows)
    if isinstance(full["width"], list):
        _check_width_list(config, full)
    for row in _IMAGES_ONLY if not image else ():
        if full[row.name] != row.neutral:
            raise RequestError(f"{row.name} = {full[row.name]!r} needs image-shaped inputs, which these data are not")
    return full


@functools.cache
def defaults(optimizer: str) -> Config:
    """Return the defaults beside an optimizer, in the order of the table; not to be changed."""
    return {row.name: row.default_for(optimizer) for row in HYPERPARAMETERS.values()}


def check_together(full: Config) -> Config:
    """Return a resolved config, or raise RequestError if its values are legal each and train nothing together."""
    for name in ("batch_size", "train_rows"):
        if full["norm"] == "batch" and full[name] == 1 and full["depth"]:
            raise RequestError(
                f"norm = 'batch' does not go with {name} = 1, since one row has no variance: "
                "use larger batches, or norm = 'layer'"
            )
    if full["parametrization"] == "mup" and full["optimizer"] == "lamb" and full["depth"]:
        raise RequestError(
            "parametrization = 'mup' does not go with optimizer = 'lamb', whose steps follow the size of the weights: "
            "use another optimizer, or parametrization = 'standard'"
        )
    return full


def rows_seen(config: Mapping[str, Any], rows: int) -> int:
    """Return how many of a split's training rows a network of a resolved config sees."""
    return min(int(config["train_rows"]) or rows, rows)


def epoch_steps(config: Mapping[str, Any], rows: int) -> int:
    """Return the steps of an epoch of a resolved config on a split with so many training rows."""
    seen = rows_seen(config, rows)
    steps: int = -(-seen // min(config["batch_size"], seen))
    return steps


def _settle_budget(full: Config, rows: int) -> None:
    """Settle the batch size, at most all training rows; RequestError if the steps over them are too many.

    A network that sees fewer rows has smaller batches, without that its config says so: 'full' is all it sees.
    """
    full["batch_size"] = rows if full["batch_size"] == "full" else min(full["batch_size"], rows)
    steps = epoch_steps(full, rows)
    if full["epochs"] * steps > MOST_STEPS:
        raise RequestError(
            f"epochs = {full['epochs']} are {full['epochs'] * steps} steps of batch_size = {full['batch_size']} over "
            f"{rows_seen(full, rows)} training rows: it must be at most {MOST_STEPS // steps}"
        )


def _check_width_list(config: Mapping[str, Any], full: Config) -> None:
    if "depth" not in config:
        full["depth"] = len(full["width"])
    if full["depth"] != len(full["width"]):
        raise RequestError(
            f"width = {full['width']} has {len(full['width'])} entries for depth = {full['depth']}: "
            "a list must have one width for each hidden layer"
        )
    if full["width_shape"] != "constant":
        raise RequestError(
            f"width_shape = {full['width_shape']!r} does not go with the list width = {full['width']}: "
            "leave width_shape out, or give one width"
        )


def layer_widths(config: Mapping[str, Any], outputs: int) -> tuple[int, ...]:
    """Return the width of each hidden layer of a resolved config; `outputs` is where a funnel leads."""
    width, depth = config["width"], int(config["depth"])
    if isinstance(width, (list, tuple)):
        return tuple(width)
    width = int(width)
    if config["width_shape"] == "constant":
        return (width,) * depth
    return tuple(max(1, round(width + (outputs - width) * layer / depth)) for layer in range(depth))


def layer_names(depth: int) -> list[str]:
    """Return the names of the layers that have kernels, first to last."""
    return [*(f"hidden_{layer}" for layer in range(depth)), "output"]


def depth_of(config: Mapping[str, Any]) -> int:
    """Return the number of hidden layers of a resolved config."""
    width = config["width"]
    return len(width) if isinstance(width, (list, tuple)) else int(config["depth"])


def used(configs: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of the hyperparameters that at least one resolved config does not leave at neutral."""
    switches = [row for row in HYPERPARAMETERS.values() if row.neutral is not None]
    on = {row.name for row in HYPERPARAMETERS.values() if row.neutral is None}
    for config in configs:
        on.update(row.name for row in switches if config[row.name] != row.neutral)
    return frozenset(on)

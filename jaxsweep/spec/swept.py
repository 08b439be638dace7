"""What a sweep varied, and which of it has an effect in a config: the part of a config that is an answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxsweep.spec.asked import as_asked
from jaxsweep.spec.conditions import active
from jaxsweep.spec.distributions import Distribution
from jaxsweep.spec.hyperparameters import CLASSIFICATION_LOSSES, HYPERPARAMETERS, LOSS_PARAMETERS, Config
from jaxsweep.spec.own import Own
from jaxsweep.spec.request import Request

_ADAMS = ("adam", "adamw", "nadam", "lamb")
_DECAYS = ("step", "exponential", "inverse_time")
_ENDS = ("linear", "cosine", "polynomial", "onecycle")


def _hidden(config: Mapping[str, Any]) -> bool:
    return bool(config["depth"] > 0)


# Where a hyperparameter has an effect, by the values of others; one that is absent has an effect everywhere.
ACTS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "width": _hidden,
    "width_shape": lambda c: c["depth"] > 1,  # a funnel begins with `width`
    "activation": _hidden,
    "negative_slope": lambda c: _hidden(c) and c["activation"] == "leaky_relu",
    "norm": _hidden,
    "dropout": _hidden,
    "parametrization": _hidden,
    "base_width": lambda c: _hidden(c) and c["parametrization"] == "mup",
    "frozen": _hidden,
    "label_smoothing": lambda c: c["loss"] in CLASSIFICATION_LOSSES or isinstance(c["loss"], Own),
    **{name: lambda c, loss=loss: c["loss"] == loss for loss, name in LOSS_PARAMETERS.items()},  # type: ignore[misc]
    "momentum": lambda c: c["optimizer"] == "sgd",
    "nesterov": lambda c: c["optimizer"] == "sgd" and c["momentum"] > 0,
    "rms_decay": lambda c: c["optimizer"] in ("rmsprop", "adadelta"),
    "b1": lambda c: c["optimizer"] in (*_ADAMS, "lion"),
    "b2": lambda c: c["optimizer"] in (*_ADAMS, "lion"),
    "eps": lambda c: c["optimizer"] in (*_ADAMS, "rmsprop", "adagrad", "adadelta"),
    "decay_rate": lambda c: c["schedule"] in _DECAYS,
    "decay_every": lambda c: c["schedule"] in _DECAYS,
    "final_learning_rate": lambda c: c["schedule"] in _ENDS,
    "min_delta": lambda c: c["patience"] > 0,
    "monitor": lambda c: c["patience"] > 0,
}


def acts(name: str, config: Mapping[str, Any]) -> bool:
    """Return whether another value of a hyperparameter could change what a resolved config trains.

    The momentum of sgd does nothing under adam, huber_delta nothing under mse. At its neutral value (no dropout) a
    hyperparameter acts: another value would do something.
    """
    return name not in ACTS or ACTS[name](config)


@dataclass(frozen=True)
class Swept:
    """The hyperparameters that a sweep varied, and the conditions that its space puts on them.

    `names` stand in the order of the table; `entries` are those of the space, none where configs were listed.
    """

    names: tuple[str, ...] = tuple(HYPERPARAMETERS)
    entries: Mapping[str, Distribution] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request) -> "Swept":
        """Return what a request varies: entries of its space that are no constant, or names in any of its configs."""
        if request.space is None:
            named = {name for config in request.configs or () for name in config}
            return cls(tuple(name for name in HYPERPARAMETERS if name in named))
        return cls(request.space.columns, dict(request.space.entries))

    def params(self, config: Mapping[str, Any]) -> Config:
        """Return the part of a resolved config that was varied, is active under the space, and has an effect."""
        on = active(self.entries, as_asked(self.entries, config))
        return {
            name: config[name] for name in self.names if acts(name, config) and (name in on or name not in self.entries)
        }

"""What a sweep varied, and which of it has an effect in a config: the part of a config that is an answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jaxsweep.spec.asked import as_asked
from jaxsweep.spec.conditions import active
from jaxsweep.spec.distributions import Distribution
from jaxsweep.spec.hyperparameters import CLASSIFICATION_LOSSES, HYPERPARAMETERS, LOSS_PARAMETERS, Config
from jaxsweep.spec.own import Own
from jaxsweep.spec.request import Request

_ADAMS = ("adam", "adamw", "nadam", "lamb")
_DECAYS = ("step", "exponential", "inverse_time")
_ENDS = ("linear", "cosine", "polynomial", "onecycle")


class Need(NamedTuple):
    """What another hyperparameter must be for one to have an effect: one of `values`, or a number above `above`."""

    name: str
    values: tuple[str, ...] = ()
    above: float = 0.0
    own: bool = False  # a function of the user's own will do, too

    def met(self, config: Mapping[str, Any]) -> bool:
        """Return whether a resolved config has it."""
        value = config[self.name]
        if self.values:
            return value in self.values or (self.own and isinstance(value, Own))
        return bool(value > self.above)

    def __str__(self) -> str:
        if not self.values:
            return f"{self.name} is above {self.above:g}"
        *first, last = (*self.values, "a function of your own") if self.own else self.values
        return f"{self.name} is {', '.join(first)} or {last}" if first else f"{self.name} is {last}"


_HIDDEN = Need("depth")

# What must be for a hyperparameter to have an effect, by the values of others; one that is not here has an effect
# everywhere.
NEEDS: dict[str, tuple[Need, ...]] = {
    "width": (_HIDDEN,),
    "width_shape": (Need("depth", above=1),),  # a funnel begins with `width`
    "activation": (_HIDDEN,),
    "negative_slope": (_HIDDEN, Need("activation", ("leaky_relu",))),
    "norm": (_HIDDEN,),
    "dropout": (_HIDDEN,),
    "parametrization": (_HIDDEN,),
    "base_width": (_HIDDEN, Need("parametrization", ("mup",))),
    "frozen": (_HIDDEN,),
    "label_smoothing": (Need("loss", CLASSIFICATION_LOSSES, own=True),),
    **{name: (Need("loss", (loss,)),) for loss, name in LOSS_PARAMETERS.items()},
    "momentum": (Need("optimizer", ("sgd",)),),
    "nesterov": (Need("optimizer", ("sgd",)), Need("momentum")),
    "rms_decay": (Need("optimizer", ("rmsprop", "adadelta")),),
    "b1": (Need("optimizer", (*_ADAMS, "lion")),),
    "b2": (Need("optimizer", (*_ADAMS, "lion")),),
    "eps": (Need("optimizer", (*_ADAMS, "rmsprop", "adagrad", "adadelta")),),
    "decay_rate": (Need("schedule", _DECAYS),),
    "decay_every": (Need("schedule", _DECAYS),),
    "final_learning_rate": (Need("schedule", _ENDS),),
    "min_delta": (Need("patience"),),
    "monitor": (Need("patience"),),
}


def acts(name: str, config: Mapping[str, Any]) -> bool:
    """Return whether another value of a hyperparameter could change what a resolved config trains.

    The momentum of sgd does nothing under adam, huber_delta nothing under mse. At its neutral value (no dropout) a
    hyperparameter acts: another value would do something.
    """
    return all(need.met(config) for need in NEEDS.get(name, ()))


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

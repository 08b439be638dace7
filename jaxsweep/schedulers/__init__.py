"""Schedulers decide how long trials train, while they train. This is the one list of them.

A new scheduler is a file here with a subclass of `Scheduler`, and a line in `SCHEDULERS`.
"""

from collections.abc import Iterable
from typing import Any

from jaxsweep.schedulers.asha import ASHA
from jaxsweep.schedulers.base import Copy, Entrant, Go, Order, Report, Scheduler, Stop
from jaxsweep.schedulers.halving import Halving
from jaxsweep.schedulers.hyperband import Hyperband
from jaxsweep.schedulers.median import Median
from jaxsweep.schedulers.pbt import PBT
from jaxsweep.spec.registry import Registry
from jaxsweep.spec.space import Space

__all__ = [
    "ASHA", "PBT", "SCHEDULERS", "Copy", "Entrant", "Go", "Halving", "Hyperband", "Median", "Order", "Report",
    "Scheduler", "Stop", "make", "options",
]  # fmt: skip

SCHEDULERS: dict[str, type[Scheduler]] = {
    "halving": Halving,
    "hyperband": Hyperband,
    "asha": ASHA,
    "median": Median,
    "pbt": PBT,
}


_REGISTRY = Registry("scheduler", SCHEDULERS, given=("seed", "space"))


def options(name: str) -> dict[str, Any]:
    """Return the options of scheduler `name` with their defaults."""
    return _REGISTRY.options(name)


def check_options(name: str, names: Iterable[str]) -> None:
    """Raise RequestError if there is no scheduler called `name`, or it has no option of one of these names."""
    _REGISTRY.check(name, names)


def make(name: str, *, seed: int = 0, space: Space | None = None, **settings: Any) -> Scheduler:
    """Return the scheduler called `name`; `settings` are its options, as `options(name)` lists them.

    Raises:
        RequestError: an unknown scheduler, an unknown option or an illegal value.
    """
    return _REGISTRY.make(name, settings, seed=seed, space=space)

"""Schedulers decide how long trials train, while they train. This is the one list of them.

A new scheduler is a file here with a subclass of `Scheduler`, and a line in `SCHEDULERS`.
"""

import inspect
from typing import Any

from jaxsweep.errors import RequestError, shown, suggestion
from jaxsweep.schedulers.asha import ASHA
from jaxsweep.schedulers.base import Copy, Entrant, Go, Order, Report, Scheduler, Stop
from jaxsweep.schedulers.halving import Halving
from jaxsweep.schedulers.hyperband import Hyperband
from jaxsweep.schedulers.median import Median
from jaxsweep.schedulers.pbt import PBT
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


def options(name: str) -> dict[str, Any]:
    """Return the options of scheduler `name` with their defaults."""
    found = inspect.signature(scheduler_class(name)).parameters.values()
    return {each.name: each.default for each in found if each.name not in ("seed", "space")}


def scheduler_class(name: str) -> type[Scheduler]:
    """Return the class of scheduler `name`, or raise RequestError that suggests the nearest known name."""
    if not isinstance(name, str) or name not in SCHEDULERS:
        raise RequestError(f"unknown scheduler {shown(name)}{suggestion(str(name)[:100], SCHEDULERS)}")
    return SCHEDULERS[name]


def make(name: str, *, seed: int = 0, space: Space | None = None, **settings: Any) -> Scheduler:
    """Return the scheduler called `name`; `settings` are its options, as `options(name)` lists them.

    Raises:
        RequestError: an unknown scheduler, an unknown option or an illegal value.
    """
    known = options(name)
    for setting in settings:
        if setting not in known:
            raise RequestError(f"unknown option {setting!r} of scheduler {name!r}{suggestion(setting, known)}")
    return scheduler_class(name)(seed=seed, space=space, **settings)

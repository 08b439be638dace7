"""jaxsweep trains thousands of neural-network hyperparameter configurations at once.

`sweep(data, space)` trains many configs together; `solo(data, config)` trains one with plain Flax and Optax. See the
README for a tour and `python -m jaxsweep --help` for the command line.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxsweep import search as search
    from jaxsweep.api import plan as plan
    from jaxsweep.api import solo as solo
    from jaxsweep.api import sweep as sweep
    from jaxsweep.data import Dataset as Dataset
    from jaxsweep.data import datasets as datasets
    from jaxsweep.data import load_dataset as load_dataset
    from jaxsweep.data import read_table as read_table
    from jaxsweep.errors import RequestError as RequestError
    from jaxsweep.errors import SweepFailed as SweepFailed
    from jaxsweep.export import Model as Model
    from jaxsweep.export import load_model as load_model
    from jaxsweep.plan import Plan as Plan
    from jaxsweep.result import Result as Result
    from jaxsweep.space import Choice as Choice
    from jaxsweep.space import Constant as Constant
    from jaxsweep.space import Int as Int
    from jaxsweep.space import LogUniform as LogUniform
    from jaxsweep.space import Space as Space
    from jaxsweep.space import Uniform as Uniform
    from jaxsweep.trials import Trial as Trial

__version__ = "0.1.0"

# Names are loaded when they are first used, so that `--help` does not import JAX.
_HOMES = {
    "jaxsweep.api": ("plan", "solo", "sweep"),
    "jaxsweep.data": ("Dataset", "datasets", "load_dataset", "read_table"),
    "jaxsweep.errors": ("RequestError", "SweepFailed"),
    "jaxsweep.export": ("Model", "load_model"),
    "jaxsweep.plan": ("Plan",),
    "jaxsweep.result": ("Result",),
    "jaxsweep.space": ("Choice", "Constant", "Int", "LogUniform", "Space", "Uniform"),
    "jaxsweep.trials": ("Trial",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = [*_HOME, "search"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "search":
        return import_module("jaxsweep.search")
    if name not in _HOME:
        raise AttributeError(f"module 'jaxsweep' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Importing the submodule jaxsweep.sweep must not put it in the place of the function `js.sweep`.
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

"""jaxsweep trains thousands of neural-network hyperparameter configurations at once.

`sweep(data, space)` trains many configs together; `solo(data, config)` trains one with plain Flax and Optax. See the
README for a tour and `python -m jaxsweep --help` for the command line.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxsweep import search as search
    from jaxsweep.api import plan as plan
    from jaxsweep.api import resume as resume
    from jaxsweep.api import solo as solo
    from jaxsweep.api import sweep as sweep
    from jaxsweep.data import Dataset as Dataset
    from jaxsweep.data import datasets as datasets
    from jaxsweep.data import load_dataset as load_dataset
    from jaxsweep.data import read_table as read_table
    from jaxsweep.engine.planner import Plan as Plan
    from jaxsweep.errors import RequestError as RequestError
    from jaxsweep.errors import SweepFailed as SweepFailed
    from jaxsweep.estimators.sweeping import SweepClassifier as SweepClassifier
    from jaxsweep.estimators.sweeping import SweepRegressor as SweepRegressor
    from jaxsweep.records.confirmed import Confirmed as Confirmed
    from jaxsweep.records.ensemble import Ensemble as Ensemble
    from jaxsweep.records.exported import load_model as load_model
    from jaxsweep.records.model import Model as Model
    from jaxsweep.records.result import Result as Result
    from jaxsweep.records.result import load as load
    from jaxsweep.records.trials import Trial as Trial
    from jaxsweep.spec.own import Metric as Metric
    from jaxsweep.spec.space import Choice as Choice
    from jaxsweep.spec.space import Constant as Constant
    from jaxsweep.spec.space import Int as Int
    from jaxsweep.spec.space import LogUniform as LogUniform
    from jaxsweep.spec.space import Space as Space
    from jaxsweep.spec.space import Uniform as Uniform

__version__ = "0.1.0"

__all__ = [
    "Choice", "Confirmed", "Constant", "Dataset", "Ensemble", "Int", "LogUniform", "Metric", "Model", "Plan",
    "RequestError", "Result", "Space", "SweepClassifier", "SweepFailed", "SweepRegressor", "Trial", "Uniform",
    "datasets", "load", "load_dataset", "load_model", "plan", "read_table", "resume", "search", "solo", "sweep",
]  # fmt: skip

# Names are loaded when they are first used, so that `--help` does not import JAX.
_HOMES = {
    "jaxsweep.api": ("plan", "resume", "solo", "sweep"),
    "jaxsweep.data": ("Dataset", "datasets", "load_dataset", "read_table"),
    "jaxsweep.engine.planner": ("Plan",),
    "jaxsweep.errors": ("RequestError", "SweepFailed"),
    "jaxsweep.estimators.sweeping": ("SweepClassifier", "SweepRegressor"),
    "jaxsweep.records.confirmed": ("Confirmed",),
    "jaxsweep.records.ensemble": ("Ensemble",),
    "jaxsweep.records.exported": ("load_model",),
    "jaxsweep.records.model": ("Model",),
    "jaxsweep.records.result": ("Result", "load"),
    "jaxsweep.records.trials": ("Trial",),
    "jaxsweep.spec.own": ("Metric",),
    "jaxsweep.spec.space": ("Choice", "Constant", "Int", "LogUniform", "Space", "Uniform"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:  # type checkers and editors read the imports above; to them a name that is not there is an error

    def __getattr__(name: str) -> Any:
        if name == "search":
            return import_module("jaxsweep.search")
        if name not in _HOME:
            raise AttributeError(f"module 'jaxsweep' has no attribute {name!r}")
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

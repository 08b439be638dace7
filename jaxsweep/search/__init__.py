"""Searchers propose configs: `ask(n)`, `tell(configs, scores)`. This is the one list of them.

A new searcher is a file here with a subclass of `Searcher`, and a line in `SEARCHERS`.
"""

from collections.abc import Iterable
from typing import Any

from jaxsweep.search.base import Directions, Searcher
from jaxsweep.search.bayes import Bayes
from jaxsweep.search.cmaes import CMAES
from jaxsweep.search.de import DE
from jaxsweep.search.evolution import Evolution
from jaxsweep.search.gradient import Gradient
from jaxsweep.search.grid import Grid
from jaxsweep.search.initial import Initial
from jaxsweep.search.listed import Listed
from jaxsweep.search.optuna import Optuna
from jaxsweep.search.policy import Policy
from jaxsweep.search.random import Random
from jaxsweep.search.sobol import Sobol
from jaxsweep.search.weighted import Weighted
from jaxsweep.search.zoom import Zoom
from jaxsweep.spec.registry import Registry
from jaxsweep.spec.space import Space

__all__ = ["SEARCHERS", "Initial", "Listed", "Searcher", "Weighted", "make", "options", "searcher_class"]

SEARCHERS: dict[str, type[Searcher]] = {
    "random": Random,
    "grid": Grid,
    "sobol": Sobol,
    "zoom": Zoom,
    "evolution": Evolution,
    "de": DE,
    "bayes": Bayes,
    "cmaes": CMAES,
    "policy": Policy,
    "optuna": Optuna,
    "gradient": Gradient,
}


_REGISTRY = Registry("searcher", SEARCHERS, given=("space", "seed", "direction"))


def options(name: str) -> dict[str, Any]:
    """Return the options of searcher `name` with their defaults."""
    return _REGISTRY.options(name)


def searcher_class(name: str) -> type[Searcher]:
    """Return the class of searcher `name`, or raise RequestError that suggests the nearest known name."""
    return _REGISTRY.find(name)


def check_options(name: str, names: Iterable[str]) -> None:
    """Raise RequestError if there is no searcher called `name`, or it has no option of one of these names."""
    _REGISTRY.check(name, names)


def make(
    name: str, space: Space | None, seed: int = 0, direction: Directions = "maximize", **settings: Any
) -> Searcher:
    """Return the searcher called `name`; `settings` are its options, as `options(name)` lists them.

    Raises:
        RequestError: an unknown searcher, an unknown option or an illegal value.
    """
    return _REGISTRY.make(name, settings, space=space, seed=seed, direction=direction)

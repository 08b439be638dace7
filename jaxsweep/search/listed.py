"""Exactly the given configs, in their order: what a request that lists its configs has in the place of a searcher."""

from collections.abc import Sequence

from jaxsweep.search.base import Directions, Searcher
from jaxsweep.spec.distributions import plain
from jaxsweep.spec.hyperparameters import Config


class Listed(Searcher):
    """The given configs; it has no space, learns nothing, and no name leads to it."""

    description = "exactly the given configs, in their order"
    several = True

    def __init__(self, configs: Sequence[Config], direction: Directions = "maximize") -> None:
        super().__init__(None, direction=direction)
        self._configs = configs

    @property
    def total(self) -> int:
        """The number of configs given."""
        return len(self._configs)

    def _propose(self, n: int) -> list[Config]:
        chosen = self._configs[self.asked : self.asked + n]
        return [{name: plain(value) for name, value in config.items()} for config in chosen]

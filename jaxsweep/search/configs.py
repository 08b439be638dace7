"""Exactly the given configs, in their order."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxsweep.distributions import plain
from jaxsweep.errors import RequestError
from jaxsweep.hyperparameters import Config, lookup
from jaxsweep.search.base import Direction, Searcher
from jaxsweep.space import Space


class Configs(Searcher):
    """The configs given as `configs`, in this order; it needs no space.

    Raises:
        RequestError: no configs, an unknown hyperparameter or an illegal value.
    """

    description = "exactly the given configs, in their order"

    def __init__(
        self,
        space: Space | None = None,
        *,
        configs: Sequence[Mapping[str, Any]] = (),
        seed: int = 0,
        direction: Direction = "maximize",
    ) -> None:
        super().__init__(space, seed=seed, direction=direction)
        if isinstance(configs, (str, Mapping)) or not isinstance(configs, Sequence) or not configs:
            raise RequestError(f"configs = {configs!r} is not legal: it must be a list of at least one config")
        self._configs = [_checked(number, config) for number, config in enumerate(configs)]

    @property
    def total(self) -> int:
        """The number of configs given."""
        return len(self._configs)

    def _propose(self, n: int) -> list[Config]:
        chosen = self._configs[self.asked : self.asked + n]
        return [{name: plain(value) for name, value in config.items()} for config in chosen]


def _checked(number: int, config: Any) -> Config:
    if not isinstance(config, Mapping):
        raise RequestError(f"configs[{number}] = {config!r} is not a config: it must be a dict such as {{'depth': 2}}")
    try:
        return {name: lookup(name).check(value) for name, value in config.items()}
    except RequestError as error:
        raise RequestError(f"configs[{number}]: {error}") from None

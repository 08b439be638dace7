"""Random search: independent draws from the space (Bergstra and Bengio, JMLR 13, 2012)."""

from jaxsweep.search.base import Directions, Searcher
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.space import Space
from jaxsweep.streams import generator


class Random(Searcher):
    """Independent random configs; asking for n, then m, gives the same as asking for n + m."""

    description = "independent random configs"
    several = True

    def __init__(self, space: Space | None, *, seed: int = 0, direction: Directions = "maximize") -> None:
        super().__init__(space, seed=seed, direction=direction)
        self._rng = generator(self.seed, "random")

    def _propose(self, n: int) -> list[Config]:
        return self.space.sample(self._rng, n)

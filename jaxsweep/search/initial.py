"""Configs that are tried before those of a searcher: what somebody knows already, for the searcher to start from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxsweep.search.base import Searcher
from jaxsweep.spec.hyperparameters import Config


class Initial(Searcher):
    """Another searcher, behind configs that come first; no name leads to it.

    A searcher that learns is asked only after these: they are a batch of their own, so that it has been told of them.
    One that learns nothing need not wait, and its first configs come in the same batch.

    Args:
        configs: points of the space of the searcher.
        searcher: that proposes the others.
    """

    description = "the given configs, and then those of another searcher"

    def __init__(self, configs: Sequence[Config], searcher: Searcher) -> None:
        super().__init__(searcher._space, seed=searcher.seed, direction=searcher.direction)
        self._configs, self._searcher = configs, searcher

    @property
    def learns(self) -> bool:
        """Whether the searcher learns."""
        return self._searcher.learns

    @property
    def batch(self) -> int | None:
        """The number of configs left that come first, if the searcher learns; then its own batch."""
        left = len(self._configs) - self.asked
        return left if left > 0 and self.learns else self._searcher.batch

    @property
    def total(self) -> int | None:
        """The number of configs of both; None if the searcher has no end."""
        return None if self._searcher.total is None else len(self._configs) + self._searcher.total

    @property
    def wants_gradients(self) -> tuple[str, ...]:
        """What the searcher wants."""
        return self._searcher.wants_gradients

    def tell_gradients(
        self, configs: Sequence[Mapping[str, Any]], values: Sequence[float], slopes: Sequence[Mapping[str, float]]
    ) -> None:
        """Report derivatives to the searcher."""
        self._searcher.tell_gradients(configs, values, slopes)

    def remainder(self, asked: int) -> str | None:
        """Return a sentence on what is not tried if `asked` configs are asked for in all; None if nothing is left."""
        left = len(self._configs) - asked
        if left > 0:
            return f"{left} of {len(self._configs)} initial configs {'is' if left == 1 else 'are'} not tried"
        return self._searcher.remainder(-left)

    def tell(
        self, configs: Sequence[Mapping[str, Any]], scores: Iterable[Any], violations: Iterable[float] | None = None
    ) -> None:
        """Report scores to the searcher."""
        self._searcher.tell(configs, scores, violations)

    def _propose(self, n: int) -> list[Config]:
        first = [dict(config) for config in self._configs[self.asked : self.asked + n]]
        if first and self.learns:
            return first
        return [*first, *self._searcher.ask(n - len(first))]

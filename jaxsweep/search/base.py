"""What every searcher has: `ask(n)` proposes configs, `tell(configs, scores)` reports how they did.

A searcher is a subclass of `Searcher` in a file of its own, with `_propose` and, if it learns, `_learn`, and a line
in the registry of `jaxsweep.search`. Its options are the keyword arguments of its `__init__`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from jaxsweep.errors import RequestError, shown
from jaxsweep.spec import arguments
from jaxsweep.spec.distributions import FloatArray
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.metrics import DIRECTIONS, Direction
from jaxsweep.spec.space import Space
from jaxsweep.streams import check_seed

MOST = 2**31  # configs of one `ask`
Directions = Direction | Sequence[Direction]  # of one objective, or of each


class Searcher(ABC):
    """Proposes configs of a space.

    Proposals depend on the seed and on the sequence of calls alone. A searcher that runs out (see `total`)
    returns fewer than asked for, and in the end none.

    Args:
        space: what to propose from.
        seed: an integer in [0, 2**63 - 1].
        direction: whether a larger or a smaller score is better; of a searcher that is for `several` objectives also a
            list with the direction of each.
    """

    description: ClassVar[str]
    """One line for the table of searchers."""

    several: ClassVar[bool] = False
    """Whether it can be told several scores of a config; one that learns then has `_learn_several`."""

    def __init__(self, space: Space | None, *, seed: int = 0, direction: Directions = "maximize") -> None:
        if space is not None and not isinstance(space, Space):
            raise RequestError(f"space = {shown(space)} is not legal: it must be a js.Space")
        self._space = space
        self.seed = check_seed(seed)
        self.directions = self._checked(direction)
        self.direction = self.directions[0]
        self.asked = 0

    def _checked(self, direction: Any) -> tuple[Direction, ...]:
        """Return the direction of each objective, or raise RequestError."""
        each = direction if isinstance(direction, (list, tuple)) else (direction,)
        if not each or not all(isinstance(way, str) and way in DIRECTIONS for way in each):
            raise RequestError(f"direction = {shown(direction)} is not legal: it must be maximize or minimize")
        if len(each) > 1 and not self.several:
            raise RequestError(
                f"direction = {shown(direction)} is not legal: {type(self).__name__.lower()} follows one objective"
            )
        return tuple(each)

    @property
    def space(self) -> Space:
        """The space that is searched; RequestError if the searcher was made without one."""
        if self._space is None:
            raise RequestError(f"{type(self).__name__.lower()} needs a space: give one, such as Space(depth=Int(1, 3))")
        return self._space

    @property
    def batch(self) -> int | None:
        """How many configs an `ask` should be for; None for as many as you like."""
        return None

    @property
    def total(self) -> int | None:
        """How many configs this searcher can ever propose; None for no end."""
        return None

    @property
    def learns(self) -> bool:
        """Whether what is told changes what is proposed."""
        return type(self)._learn is not Searcher._learn

    @property
    def wants_gradients(self) -> tuple[str, ...]:
        """The hyperparameters by which a sweep should differentiate the validation loss; none for most searchers.

        RequestError if the searcher needs them and the space has none.
        """
        return ()

    def tell_gradients(
        self, configs: Sequence[Mapping[str, Any]], values: Sequence[float], slopes: Sequence[Mapping[str, float]]
    ) -> None:
        """Report, before the scores, what `wants_gradients` asks for.

        Args:
            configs: those whose scores come next.
            values: the validation loss of each, or the measure that stands for it; NaN where a training failed.
            slopes: its derivative by each name, of each config.
        """
        return None

    def ask(self, n: int) -> list[Config]:
        """Return up to `n` more configs; fewer when the searcher runs out, none when it is done."""
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 0 <= n < MOST:
            raise RequestError(f"ask({shown(n)}) is not legal: the number of configs must be an integer in [0, {MOST})")
        left = int(n) if self.total is None else min(int(n), self.total - self.asked)
        configs = self._propose(left) if left else []
        self.asked += len(configs)
        return configs

    def tell(
        self, configs: Sequence[Mapping[str, Any]], scores: Iterable[Any], violations: Iterable[float] | None = None
    ) -> None:
        """Report the scores of configs, asked for or not, in any order; a NaN score is a failed trial.

        Args:
            configs: [n].
            scores: [n]; of several objectives [n, objectives], in their order.
            violations: [n], by how much each breaks the constraints of the sweep, 0 if it meets them. A searcher that
                is not for `several` takes one that breaks any for a failed trial.
        """
        count = len(self.directions)
        values, configs = arguments.scores(scores, count), arguments.configs(configs)
        broken = np.zeros(len(values)) if violations is None else arguments.scores(violations)
        for what, given in (("scores", values), ("violations", broken)):
            if len(configs) != len(given):
                raise RequestError(f"{len(given)} {what} for {len(configs)} configs: there must be one for each")
        if np.isnan(broken).any() or (broken < 0).any():
            raise RequestError("violations must be numbers >= 0: 0 for a config that meets the constraints")
        if not len(configs):
            return
        merits = values.reshape(-1, count) * np.where(np.array(self.directions) == "maximize", 1.0, -1.0)
        merits[~np.isfinite(merits).all(axis=1)] = -np.inf
        if self.several and (count > 1 or violations is not None):
            self._learn_several(configs, merits, broken)
        else:
            self._learn(configs, np.where(broken > 0, -np.inf, merits[:, 0]))

    def remainder(self, asked: int) -> str | None:
        """Return a sentence on what is not tried if `asked` configs are asked for in all; None if nothing is left."""
        return None

    @abstractmethod
    def _propose(self, n: int) -> list[Config]:
        """Return the next `n` configs, n >= 1; `total` is respected already."""

    def _learn(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray) -> None:
        """Take in merits [n]: larger is better, and -inf is a failed trial, which every ranking puts last."""
        return None

    def _learn_several(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray, violations: FloatArray) -> None:
        """Take in merits [n, objectives] as `_learn` does, and by how much each config breaks the constraints, [n]."""
        return None


def whole(name: str, value: Any, least: int) -> int:
    """Return the option `value` as an int, or raise RequestError if it is no integer >= `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise RequestError(f"{name} = {value!r} is not legal: it must be an integer >= {least}")
    return int(value)


def number(name: str, value: Any, least: float, most: float) -> float:
    """Return the option `value` as a float, or raise RequestError if it is no number in [least, most]."""
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not real or not least <= value <= most:
        raise RequestError(f"{name} = {shown(value)} is not legal: it must be a number in [{least:g}, {most:g}]")
    return float(value)

"""Reinforcement learning: a policy over the space, trained by REINFORCE with a baseline and an entropy bonus.

The policy draws each hyperparameter by itself: a choice by a categorical head, a number by a Gaussian one in the unit
cube, reflected at the ends of it (the action is the number before that). A batch of configs are episodes of one step,
and their scores the rewards: the policy climbs the gradient of the expected reward, E[(reward - baseline) grad log p]
(Williams, Machine Learning 8, 1992; over architectures of networks Zoph and Le, ICLR 2017), with a bonus for entropy
(Williams and Peng, Connection Science 3, 1991). Three things make it work in a few batches:

- Rewards are ranks, of which the best half share out a weight of 1, as in CMA-ES (Wierstra et al., JMLR 15, 2014), so
  that neither the scale of scores nor an infinite one has an effect, and failed trials are the worst.
- The gradient is the natural one, that is divided by the Fisher information of each head (Kakade, NeurIPS 2001):
  then steps mean the same for narrow and for wide heads.
- Actions come from scrambled Sobol points by inversion, in place of independent draws, which lessens the variance.

A head whose entry is inactive in a config has no part in its likelihood: it learns of the others alone, above a
baseline that is their mean. Configs that were told and never asked for count as actions, too, the middle of what they
stand for. A draw that was proposed before is drawn again, a few times.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxsweep.search.base import Searcher, number, whole
from jaxsweep.search.cube import Told, choices, reflected
from jaxsweep.search.seen import Seen, keys, strangers
from jaxsweep.search.sobol import SobolPoints
from jaxsweep.spec.distributions import Choice, FloatArray
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.metrics import Direction
from jaxsweep.spec.space import Space
from jaxsweep.streams import bit_generator

SPREAD = 0.3  # standard deviation of a Gaussian head at first: the cube is within reach of it
LEAST, MOST = 0.02, 0.5  # standard deviations of a head
RARE = 0.05  # that is left, shared by all of its values, to the probabilities of a head
TRIES = 4  # at draws that are new, before random points fill a batch


class Policy(Searcher):
    """REINFORCE; an `ask` for one population at a time, told before the next, is one step of the policy.

    A step is taken at the next `ask` once a population has been told since the last one, with all that was told.

    Args:
        space: what to propose from.
        population: configs in a batch, at least 2.
        rate: of learning, in [0, 2]: of a step along the natural gradient.
        entropy: the weight of the bonus for entropy, in [0, 1].
        seed: an integer in [0, 2**63 - 1].
        direction: whether a larger or a smaller score is better.
    """

    description = "a policy trained by REINFORCE, with a baseline and an entropy bonus"

    def __init__(
        self,
        space: Space | None,
        *,
        population: int = 50,
        rate: float = 1.0,
        entropy: float = 0.02,
        seed: int = 0,
        direction: Direction = "maximize",
    ) -> None:
        super().__init__(space, seed=seed, direction=direction)
        self.population = whole("population", population, 2)
        self.rate = number("rate", rate, 0, 2)
        self.entropy = number("entropy", entropy, 0, 1)
        self._bits = bit_generator(self.seed, "policy")
        self._points = SobolPoints(self.space.dimensions, self.seed, "policy")
        self._choice = choices(self.space)
        entries = (self.space.entries[name] for name in self.space.columns)
        self._odds = [np.full(len(e.values), 1 / len(e.values)) if isinstance(e, Choice) else None for e in entries]
        self._means = np.full(self.space.dimensions, 0.5)
        self._spreads = np.full(self.space.dimensions, SPREAD)
        self._actions: dict[bytes, FloatArray] = {}  # behind the points that are out
        self._seen = Seen()
        self._told = Told(self.space)  # points and merits since the last step
        self._steps = 0

    @property
    def batch(self) -> int:
        """The population."""
        return self.population

    def _propose(self, n: int) -> list[Config]:
        if len(self._told) >= self.population and (told := self._told.take()) is not None:
            self._step(*told)
        found = np.empty((0, self.space.dimensions))
        for attempt in range(TRIES):
            actions = self._drawn(n - len(found))
            points = self.space.snap(np.where(self._choice, actions, reflected(actions)))
            # Before any result a batch is what it is, however it is asked for; later nothing comes twice.
            new = self._seen.take(points) if self._steps or attempt else np.arange(len(points))
            self._seen.add(points)
            self._actions.update(zip(keys(points[new]), actions[new], strict=True))
            found = np.concatenate([found, points[new]])
            if len(found) == n:
                return self.space.from_unit(found)
        others = strangers(self.space, self._seen, self._bits, n - len(found))
        self._seen.add(others)
        return self.space.from_unit(np.concatenate([found, others]))

    def _learn(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray) -> None:
        self._seen.add(self._told.add(configs, merits))

    def _drawn(self, n: int) -> FloatArray:
        """Return the actions of `n` configs, [n, dimensions]: of a choice a coordinate of the cube, of a number any."""
        from scipy.special import ndtri  # slow to import, and not every sweep needs it

        drawn = self._points.draw(n)
        actions = self._means + self._spreads * ndtri(np.clip(drawn, 1e-6, 1 - 1e-6))
        for column, odds in enumerate(self._odds):
            if odds is not None:
                codes = np.searchsorted(np.cumsum(odds[:-1]), drawn[:, column], side="right")
                actions[:, column] = (codes + 0.5) / len(odds)
        return actions

    def _step(self, points: FloatArray, merits: FloatArray) -> None:
        """Take one step along the natural gradient of the expected reward and of the entropy."""
        self._steps += 1
        actions = np.array([self._actions.pop(key, point) for key, point in zip(keys(points), points, strict=True)])
        actions = np.where(np.isnan(points), np.nan, actions)
        rewards = _rewards(merits)
        for column, odds in enumerate(self._odds):
            active = ~np.isnan(actions[:, column])
            if not active.any():
                continue
            taken, reward = actions[active, column], rewards[active]
            advantage = reward - reward.mean()  # of the head's own configs
            if odds is None:
                self._step_number(column, taken, advantage)
            else:
                self._odds[column] = self._stepped(odds, taken, advantage)

    def _step_number(self, column: int, taken: FloatArray, advantage: FloatArray) -> None:
        mean, spread = self._means[column], self._spreads[column]
        away = (taken - mean) / spread
        # The Fisher information of a Gaussian is 1 / spread^2 of its mean, and 2 of the logarithm of its spread.
        self._means[column] = np.clip(mean + self.rate * spread * float((advantage * away).sum()), 0.0, 1.0)
        growth = 0.5 * (self.rate * float((advantage * (away**2 - 1)).sum()) + self.entropy)
        self._spreads[column] = np.clip(spread * np.exp(np.clip(growth, -1, 1)), LEAST, MOST)

    def _stepped(self, odds: FloatArray, taken: FloatArray, advantage: FloatArray) -> FloatArray:
        """Return the probabilities of a choice after a step, none of which vanishes."""
        codes = np.minimum((taken * len(odds)).astype(np.intp), len(odds) - 1)
        # Along the natural gradient a probability changes by the advantage of what was taken, whatever its odds.
        gain = np.bincount(codes, weights=advantage, minlength=len(odds))
        surprise = -np.log(odds)
        bonus = odds * (surprise - float((odds * surprise).sum()))
        least = RARE / len(odds)
        moved = np.maximum(odds + self.rate * gain + self.entropy * bonus, least)
        spare = moved - least
        if spare.sum() <= 0:
            return odds
        stepped: FloatArray = least + spare * ((1 - RARE) / spare.sum())
        return stepped


def _rewards(merits: FloatArray) -> FloatArray:
    """Return rewards [n] of merits: weights that fall with the logarithm of the rank, 0 for the worse half, in all 1.

    Equals share theirs; if all are equal, or all failed, they have 1 / n each, which is no advantage.
    """
    n = len(merits)
    weights = np.maximum(0.0, np.log(n / 2 + 1) - np.log(np.arange(1, n + 1)))
    order = np.argsort(-merits, kind="stable")
    _, groups = np.unique(-merits[order], return_inverse=True)
    shared = np.bincount(groups, weights=weights / weights.sum()) / np.bincount(groups)
    rewards = np.empty(n)
    rewards[order] = shared[groups]
    return rewards

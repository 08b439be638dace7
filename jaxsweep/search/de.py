"""Differential evolution in the unit cube, for spaces with choices and conditions too.

Storn and Price, Journal of Global Optimization 11, 1997: a population, of which each member is the target of one trial
config per generation, made of the member and of differences between others; a trial replaces its target if it is
better. The mutation is current-to-pbest (Zhang and Sanderson, IEEE Transactions on Evolutionary Computation 13, 2009,
without the archive): towards one of the best and along one difference, since budgets here are a few generations. Its
scale is drawn anew for each trial (dither: Das, Konar and Chakraborty, GECCO 2005). Numbers that leave the cube are
reflected.

A difference of two choices means nothing. A choice that is to mutate is that of one of the best or of one of the two
members whose difference is taken, each as likely, and sometimes one drawn anew. A number that is inactive in one of
the two has no difference; one that is inactive in the target is taken from the best, or else drawn.

A member keeps its score, a lucky one too: nothing here guards against noise.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.search.base import Searcher, number, whole
from jaxsweep.search.cube import Told, choices, reflected
from jaxsweep.search.seen import Seen, keys, strangers
from jaxsweep.search.sobol import SobolPoints
from jaxsweep.spec.distributions import FloatArray
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.metrics import Direction
from jaxsweep.spec.space import Space
from jaxsweep.streams import bit_generator, uniforms

BEST = 0.2  # of the population: those that trials are drawn towards
DITHER = 0.5  # the scale of a trial is between this and 2 minus this times the option
NEW_CHOICE = 0.1  # probability with which a choice that mutates is drawn anew
LEAST = 4  # members that one trial needs: its target, one of the best, and two more
TRIES = 4  # at a trial that is new


class DE(Searcher):
    """Differential evolution; an `ask` for one population at a time, told before the next, is one generation.

    A larger `ask` makes several trials of each target, of which the best may replace it. Configs that were told and
    never asked for become members while there is room, and then in the place of worse ones.

    Args:
        space: what to propose from.
        population: configs in a generation, at least 4; the first one consists of scrambled Sobol points.
        scale: F, by which differences are multiplied, in [0, 2]; each trial has one from half of it to one and a half.
        crossover: CR, the probability with which a gene mutates, in [0, 1]; at least one does.
        seed: an integer in [0, 2**63 - 1].
        direction: whether a larger or a smaller score is better.
    """

    description = "differential evolution; a generation is one batch"

    def __init__(
        self,
        space: Space | None,
        *,
        population: int = 50,
        scale: float = 0.5,
        crossover: float = 0.9,
        seed: int = 0,
        direction: Direction = "maximize",
    ) -> None:
        super().__init__(space, seed=seed, direction=direction)
        self.population = whole("population", population, LEAST)
        self.scale = number("scale", scale, 0, 2)
        self.crossover = number("crossover", crossover, 0, 1)
        self._bits = bit_generator(self.seed, "de")
        self._first = SobolPoints(self.space.dimensions, self.seed, "de")
        self._choice = choices(self.space)
        self._genes = np.empty((0, self.space.dimensions))  # of the members; NaN where inactive
        self._merits = np.empty(0)
        self._seen = Seen()
        self._told = Told(self.space)  # genes and merits that no generation has taken in yet
        self._targets: dict[bytes, int] = {}  # of the trials that are out
        self._next = 0  # the member that is the next target

    @property
    def batch(self) -> int:
        """The population."""
        return self.population

    def _propose(self, n: int) -> list[Config]:
        self._select()
        breeding = len(self._merits) >= LEAST and np.isfinite(self._merits).any()
        first = min(n, max(0, self.population - self.asked)) if breeding else n
        genes = self.space.snap(self._first.draw(first))
        self._seen.add(genes)
        if first < n:
            genes = np.concatenate([genes, self._trials(n - first)])
        return self.space.from_unit(genes)

    def _learn(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray) -> None:
        self._seen.add(self._told.add(configs, merits))

    def _select(self) -> None:
        """Let what was told since the last generation replace members; which was told first has no effect."""
        if (told := self._told.take()) is None:
            return
        genes, merits = told
        targets = np.array([self._targets.pop(key, -1) for key in keys(genes)], dtype=np.intp)
        for row in np.flatnonzero(targets >= 0).tolist():  # best first: of several trials of one target it counts
            if merits[row] > self._merits[targets[row]]:
                self._genes[targets[row]], self._merits[targets[row]] = genes[row], merits[row]
        self._admit(genes[targets < 0], merits[targets < 0])

    def _admit(self, genes: FloatArray, merits: FloatArray) -> None:
        """Make members of configs that are no trials, best first: into free places, then into those of the worst."""
        members = Seen()
        members.add(self._genes)
        other = members.new(genes)  # a config that is told again and again is one member
        genes, merits = genes[other], merits[other]
        room = self.population - len(self._merits)
        self._genes = np.concatenate([self._genes, genes[:room]])
        self._merits = np.concatenate([self._merits, merits[:room]])
        genes, merits = genes[room:], merits[room:]
        worst = np.argsort(self._merits, kind="stable")[: len(merits)]
        better = merits[: len(worst)] > self._merits[worst]
        self._genes[worst[better]] = genes[: len(worst)][better]
        self._merits[worst[better]] = merits[: len(worst)][better]

    def _trials(self, n: int) -> FloatArray:
        """Return the snapped genes of `n` trials, [n, dimensions], new ones as far as a few tries give them."""
        targets = (self._next + np.arange(n)) % len(self._merits)
        self._next = int(targets[-1] + 1) % len(self._merits)
        trials = np.empty((n, self.space.dimensions))
        missing = np.arange(n)
        for _ in range(TRIES):
            made = self.space.snap(self._mutated(targets[missing]))
            new = self._seen.take(made)
            trials[missing[new]] = made[new]
            missing = np.delete(missing, new)
            if not len(missing):
                break
        else:
            trials[missing] = strangers(self.space, self._seen, self._bits, len(missing))
            self._seen.add(trials[missing])
        self._targets.update(zip(keys(trials), targets.tolist(), strict=True))
        return trials

    def _mutated(self, targets: NDArray[np.intp]) -> FloatArray:
        """Return the genes [n, dimensions] of one trial of each target [n]."""
        n, members = len(targets), len(self._merits)
        ranked = np.argsort(-self._merits, kind="stable")
        draws = uniforms(self._bits, 5, n)
        best = ranked[(draws[0] * max(2, round(BEST * members))).astype(np.intp)]
        plus = (targets + 1 + (draws[1] * (members - 1)).astype(np.intp)) % members  # not the target
        steps = 1 + (draws[2] * (members - 2)).astype(np.intp)
        minus = (targets + steps + (steps >= (plus - targets) % members)) % members  # neither the target nor `plus`
        scale = self.scale * (DITHER + 2 * (1 - DITHER) * draws[3])[:, None]
        current, towards, up, down = (self._genes[rows] for rows in (targets, best, plus, minus))

        shape = current.shape
        change, source, value = uniforms(self._bits, 3, *shape)
        base = np.where(np.isnan(current), np.where(np.isnan(towards), value, towards), current)
        pulls = np.nan_to_num(towards - base) + np.nan_to_num(up - down)
        numbers = reflected(base + scale * pulls)
        taken = np.select([source < 1 / 3, source < 2 / 3], [towards, up], down)
        taken = np.where((change < NEW_CHOICE * self.crossover) | np.isnan(taken), value, taken)
        mutates = change < self.crossover
        if shape[1]:
            mutates[np.arange(n), (draws[4] * shape[1]).astype(np.intp)] = True
        return np.where(mutates, np.where(self._choice, taken, numbers), base)

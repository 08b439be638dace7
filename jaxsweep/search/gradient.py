"""Hypergradients: many starts, each of which follows the derivative of its validation loss by its hyperparameters.

Bengio, Neural Computation 12, 2000; through the unrolled training Maclaurin, Duvenaud and Adams, ICML 2015, and
Franceschi et al., ICML 2017. What has no such derivative (choices, integers, dropout: `spec.hypergradients` says why)
stays as a start was drawn.

A step goes downhill in the unit cube, its largest coordinate as long as the start's own step size; coordinates at an
end that would leave the cube stay there. Where the loss got worse, the start is where it was, and its step is halved;
where it got better, the next step is longer. So no start gets worse, and how large derivatives are has no effect. (Each
trial has random numbers of its own, so that a start may be lucky; replicates make that smaller.) A start that has
failed, or whose steps have become tiny, makes room for a new one.

A sweep tells derivatives (`Searcher.wants_gradients`). Who only asks and tells scores gets steps in random directions,
and on along one that was of use, on the same numbers: that is a random local search.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxsweep.errors import RequestError
from jaxsweep.search.base import Searcher, number, whole
from jaxsweep.search.cube import Told
from jaxsweep.search.seen import Seen, keys
from jaxsweep.search.sobol import SobolPoints
from jaxsweep.spec.distributions import Distribution, FloatArray, LogUniform, Uniform
from jaxsweep.spec.hypergradients import HYPERGRADIENTS
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.metrics import Direction
from jaxsweep.spec.space import Space
from jaxsweep.streams import bit_generator, uniforms

LONGER, SHORTER = 1.5, 0.5  # factors of a step size after a step that was of use, and after one that was not ...
SHORTER_RANDOM = 0.9  # ... of a random direction, most of which are of no use
LONGEST, SHORTEST = 0.5, 1e-3  # step sizes in the unit cube
SCALES = (1.0, 0.5, 2.0, 0.25)  # of the step size: several trials of a start in one batch
TRIES = 4  # at a trial that is new


@dataclass
class _Start:
    """Where a start has got to, and how it goes on."""

    genes: FloatArray  # [dimensions]
    merit: float
    value: float  # what is followed, the smaller the better; NaN where nobody has told
    slopes: FloatArray  # [dimensions] of it in the unit cube; 0 where there is none
    step: float
    useful: FloatArray | None = None  # a random direction that was of use
    tried: bool = False  # whether a trial of it has been told since the last ask ...
    won: bool = False  # ... and one was better

    def beaten_by(self, merit: float, value: float) -> bool:
        """Return whether a trial is better: by what is followed, if both have it."""
        if math.isfinite(value) and math.isfinite(self.value) and math.isfinite(merit) and math.isfinite(self.merit):
            return value < self.value
        return merit > self.merit


@dataclass
class _Trial:
    """A trial that is to be of a start, in the unit cube."""

    turn: int  # its place in the batch
    start: _Start
    far: float  # how far it goes along its largest coordinate
    along: FloatArray | None = None  # the random direction in which it goes, if no derivative says one


class Gradient(Searcher):
    """Many starts that follow their hypergradients; a batch has one trial of each.

    A larger `ask` makes several trials of each start, with shorter and longer steps.

    Args:
        space: what to propose from.
        starts: how many there are at a time, at least 1; the first ones are scrambled Sobol points.
        step: how far the first step goes along its largest coordinate in the unit cube, in (0, 0.5].
        seed: an integer in [0, 2**63 - 1].
        direction: whether a larger or a smaller score is better.
    """

    description = "many starts that follow the gradient of the validation loss"

    def __init__(
        self,
        space: Space | None,
        *,
        starts: int = 32,
        step: float = 0.2,
        seed: int = 0,
        direction: Direction = "maximize",
    ) -> None:
        super().__init__(space, seed=seed, direction=direction)
        self.starts = whole("starts", starts, 1)
        self.step = number("step", step, SHORTEST, LONGEST)
        self._bits = bit_generator(self.seed, "gradient")
        self._first = SobolPoints(self.space.dimensions, self.seed, "gradient")
        entries = [self.space.entries[name] for name in self.space.columns]
        self._moves = np.array([isinstance(entry, (Uniform, LogUniform)) for entry in entries], dtype=np.bool_)
        self._members: list[_Start] = []
        self._seen = Seen()
        self._told = Told(self.space)  # genes and merits that are not taken in yet
        self._gradients: dict[bytes, tuple[float, FloatArray]] = {}  # of these, values and slopes in the unit cube
        self._out: dict[bytes, tuple[_Start, FloatArray | None, float]] = {}  # trials: of whom, along what, how far
        self._asked: dict[bytes, int] = {}  # when each new point was
        self._next = 0

    @property
    def batch(self) -> int:
        """The number of starts."""
        return self.starts

    @property
    def wants_gradients(self) -> tuple[str, ...]:
        """The entries of the space that have a hypergradient; RequestError if none has."""
        names = tuple(n for n, moves in zip(self.space.columns, self._moves, strict=True) if moves)
        found = tuple(name for name in names if name in HYPERGRADIENTS)
        if not found:
            raise RequestError(
                "search = 'gradient' needs a Uniform or LogUniform entry that has a hypergradient, and the space has "
                f"none: there must be one of {', '.join(HYPERGRADIENTS)}, or another searcher"
            )
        return found

    def tell_gradients(
        self, configs: Sequence[Mapping[str, Any]], values: Sequence[float], slopes: Sequence[Mapping[str, float]]
    ) -> None:
        """Report values of the validation loss, and their derivatives by hyperparameters, before the scores."""
        genes = self.space.to_unit(configs)
        for key, row, config, value, slope in zip(keys(genes), genes, configs, values, slopes, strict=True):
            rates = [
                _rate(self.space.entries[name], config[name]) * slope[name] if name in slope and name in config else 0.0
                for name in self.space.columns
            ]
            found = np.where(np.isfinite(rates) & ~np.isnan(row), rates, 0.0)
            if math.isfinite(value):
                self._gradients[key] = float(value), found

    def _propose(self, n: int) -> list[Config]:
        self._take_in()
        moving = bool(self._moves.any()) and any(math.isfinite(start.merit) for start in self._members)
        first = min(n, max(0, self.starts - self.asked)) if moving else n
        genes = self._fresh(first)
        if first < n:
            genes = np.concatenate([genes, self._trials(n - first)])
        return self.space.from_unit(genes)

    def _learn(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray) -> None:
        self._seen.add(self._told.add(configs, merits))

    def _fresh(self, n: int) -> FloatArray:
        genes = self.space.snap(self._first.draw(n))
        self._seen.add(genes)
        for key in keys(genes):
            self._asked.setdefault(key, len(self._asked))
        return genes

    def _take_in(self) -> None:
        """Let what was told since the last ask move starts; which was told first has no effect."""
        if (told := self._told.take()) is None:
            return
        genes, merits = told
        others = []
        for key, row, merit in zip(keys(genes), genes, merits.tolist(), strict=True):
            value, slopes = self._gradients.get(key, (math.nan, np.zeros(len(row))))
            if key not in self._out:
                others.append(_Start(row, merit, value, slopes, self.step))
                continue
            start, along, far = self._out.pop(key)
            start.tried = True
            if start.beaten_by(merit, value):
                start.genes, start.merit, start.value, start.slopes = row, merit, value, slopes
                start.step, start.useful, start.won = far, along, True
        self._gradients.clear()
        for start in self._members:
            if start.tried:
                self._resize(start)
        self._admit(others)

    def _resize(self, start: _Start) -> None:
        if start.won:
            start.step = min(start.step * LONGER, LONGEST)
        elif math.isfinite(start.merit):
            start.step *= SHORTER if start.slopes.any() else SHORTER_RANDOM
            start.useful = None
        if start.step < SHORTEST:  # there is no more to be had here
            start.merit, start.value, start.step = -math.inf, math.nan, self.step
        start.tried = start.won = False

    def _admit(self, others: Sequence[_Start]) -> None:
        """Make starts of configs that are no trials, best first: in free places, then in those of worse ones."""
        known = Seen()
        known.add(np.stack([start.genes for start in self._members])) if self._members else None
        if not others:
            return
        others = [others[place] for place in known.new(np.stack([start.genes for start in others]))]
        room = self.starts - len(self._members)
        first = sorted(others[:room], key=lambda start: self._asked.get(keys(start.genes[None])[0], self.asked))
        self._members += first  # in the order in which they were asked for, as their trials will be
        for other in others[room:]:
            worst = min(range(len(self._members)), key=lambda i: self._members[i].merit)
            if other.merit <= self._members[worst].merit:
                return
            self._members[worst] = other

    def _trials(self, n: int) -> FloatArray:
        """Return the snapped genes of `n` trials, [n, dimensions], new ones as far as a few tries give them."""
        rows = np.empty((n, self.space.dimensions))
        tried: list[_Trial] = []
        for turn in range(n):
            start = self._members[self._next % len(self._members)]
            self._next = (self._next + 1) % len(self._members)
            if math.isfinite(start.merit):
                far = min(start.step * SCALES[turn // len(self._members) % len(SCALES)], LONGEST)
                tried.append(_Trial(turn, start, far))
            else:
                rows[turn] = self._fresh(1)[0]
                self._out[keys(rows[turn][None])[0]] = start, None, self.step
        for attempt in range(TRIES):
            if not tried:
                break
            points = np.array([trial.start.genes + trial.far * self._way(trial, attempt) for trial in tried])
            snapped = self.space.snap(np.clip(np.nan_to_num(points, nan=0.5), 0.0, 1.0))  # what was not told: anything
            new = set(self._seen.take(snapped).tolist())
            if attempt == TRIES - 1:
                new = set(range(len(tried)))  # then it need not be new
            for place, (trial, row) in enumerate(zip(tried, snapped, strict=True)):
                if place in new:
                    rows[trial.turn] = row
                    self._out[keys(row[None])[0]] = trial.start, trial.along, trial.far
            tried = [trial for place, trial in enumerate(tried) if place not in new]
        return rows

    def _way(self, trial: _Trial, attempt: int) -> FloatArray:
        """Return the direction of a trial, [dimensions], at most 1 along each: downhill at first, then any."""
        start = trial.start
        way = _downhill(start) if attempt == 0 else None
        if way is None:
            free = self._moves & ~np.isnan(start.genes)
            if attempt == 0 and start.useful is not None:
                trial.along = start.useful
            else:
                trial.along = np.where(free, 2 * uniforms(self._bits, len(free)) - 1, 0.0)
            way = trial.along / max(float(np.abs(trial.along).max()), 1e-12)
        return way


def _downhill(start: _Start) -> FloatArray | None:
    """Return the direction in which a start goes, [dimensions], at most 1 along each; None if it has no slope."""
    slopes = start.slopes.copy()
    slopes[(start.genes <= 0) & (slopes > 0) | (start.genes >= 1) & (slopes < 0)] = 0.0
    largest = float(np.abs(slopes).max(initial=0.0))
    return None if largest == 0 else -slopes / largest


def _rate(entry: Distribution, value: Any) -> float:
    """Return how fast a value changes with its place in the unit interval; 0 where it has no derivative."""
    if isinstance(entry, Uniform):
        return entry.high - entry.low
    return value * math.log(entry.high / entry.low) if isinstance(entry, LogUniform) else 0.0

"""Population-based training: the worst of a population go on as copies of the best, under configs of their own.

Jaderberg et al., "Population Based Training of Neural Networks", 2017, with truncation selection. Every few epochs all
trials are compared; each of the worst takes over weights, optimizer state and config of one of the best, drawn at
random, and then some of its hyperparameters change: a number is multiplied or divided by a factor, or now and then it
is drawn anew from the space. So one training follows a schedule of hyperparameters that nobody wrote down.

What can change in a network that has trained: numbers that enter its steps, and choices that leave the shapes of its
weights and of its optimizer's state as they are. Depth, width, normalization, optimizer and batch size come with the
weights. A trial that has diverged is replaced like the worst.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxsweep.errors import RequestError
from jaxsweep.schedulers.base import Copy, Entrant, Go, Order, Report, Scheduler, Stop, merit_at
from jaxsweep.search.base import number, whole
from jaxsweep.spec.asked import as_asked
from jaxsweep.spec.conditions import active
from jaxsweep.spec.distributions import Choice, Distribution, Int, LogUniform, Uniform
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, Config
from jaxsweep.spec.space import Space
from jaxsweep.streams import bit_generator, uniforms

GENERATIONS = 10  # in the longest trial, if `every` does not say it
FIXED = (  # traced, but of no use or harm in mid-training
    "epochs", "init_scale", "patience", "min_delta", "warmup", "init_seed", "order_seed", "train_rows",
    "parametrization", "base_width", "transfer",
)  # fmt: skip
CHANGING = ("activation", "loss", "schedule", "class_weight", "nesterov")  # choices that leave all shapes as they are


def changeable(space: Space) -> tuple[str, ...]:
    """Return the entries of a space that a trained network can change: no other entry hangs on them."""
    decisive = {parent for entry in space.entries.values() for parent in entry.when or ()}
    names = []
    for name, entry in space.entries.items():
        row = HYPERPARAMETERS[name]
        if isinstance(entry, Choice):
            fits = name in CHANGING or (row.role == "traced" and row.kind == "float" and name not in FIXED)
        else:
            fits = isinstance(entry, (Uniform, LogUniform, Int)) and row.role == "traced" and name not in FIXED
        if fits and name not in decisive:
            names.append(name)
    return tuple(names)


class PBT(Scheduler):
    """Population-based training; the population is one batch of a search.

    Args:
        every: epochs between comparisons; by default a tenth of the longest trial.
        cut: the share of the population that is replaced by copies of as many of the best, in (0, 0.5].
        factor: by which a number that changes is multiplied or divided.
        resample: the probability with which a hyperparameter is drawn anew instead.
        seed: decides who copies whom, and the changes.
        space: which hyperparameters there are, and the ranges that they stay in.
    """

    description = "population-based training: the worst go on as changed copies of the best"
    changes = True

    def __init__(
        self, *, every: int | None = None, cut: float = 0.2, factor: float = 1.25, resample: float = 0.1,
        seed: int = 0, space: Space | None = None,
    ) -> None:  # fmt: skip
        super().__init__(seed=seed, space=space)
        self.every = None if every is None else whole("every", every, 1)
        self.cut = number("cut", cut, 0.01, 0.5)
        self.factor = number("factor", factor, 1, 100)
        self.resample = number("resample", resample, 0, 1)
        if space is None:
            raise RequestError("pbt needs a space: it changes hyperparameters within their ranges, so give one")
        self._names = changeable(space)
        if not self._names:
            raise RequestError(
                f"pbt has nothing to change in {', '.join(space)}: the space must have a hyperparameter that a trained "
                "network can change, such as learning_rate"
            )
        self._bits = bit_generator(self.seed, "pbt")
        self._configs: dict[int, Config] = {}  # of the population
        self._epochs: dict[int, int] = {}
        self._waiting: set[int] = set()
        self._last: dict[int, Report] = {}
        self._reached, self._step = 0, 1

    def begin(self, entrants: Sequence[Entrant]) -> list[Order]:
        """See `Scheduler.begin`."""
        self._configs = {each.trial: each.config for each in sorted(entrants, key=lambda each: each.trial)}
        self._epochs = {each.trial: each.epochs for each in entrants}
        longest = max(self._epochs.values(), default=1)
        self._step = self.every or max(1, longest // GENERATIONS)
        self._waiting, self._last = set(self._configs), {}
        self._reached = self._step
        return [self._go(trial) for trial in self._configs]

    def report(self, reports: Sequence[Report]) -> list[Order]:
        """See `Scheduler.report`."""
        for report in reports:
            self._last[report.trial] = report
            self._waiting.discard(report.trial)
        return [] if self._waiting or not self._last else self._generation()

    def expected(self, entrants: Sequence[Entrant]) -> float:
        """See `Scheduler.expected`."""
        return 1.0

    def first_look(self, entrant: Entrant) -> int:
        """See `Scheduler.first_look`."""
        return self.every or max(1, entrant.epochs // GENERATIONS)

    def _go(self, trial: int) -> Go:
        return Go(trial, min(self._reached, self._epochs[trial]))

    def _generation(self) -> list[Order]:
        """Compare all that stand still, and let the worst be copies of the best.

        Those of which a replicate or a fold has ended by itself go on alone: there is nothing to copy of that one.
        """
        standing = dict(sorted(self._last.items()))
        alive = [trial for trial, report in standing.items() if not report.ended and not report.diverged]
        dead = [trial for trial, report in standing.items() if report.diverged and report.intact]
        lost = [t for t, report in standing.items() if report.diverged and not report.intact and not report.ended]
        ranked = [trial for trial in alive if standing[trial].intact]
        ranked.sort(key=lambda trial: (-merit_at(standing[trial], self._reached), trial))
        self._last = {}
        self._reached += self._step
        if not ranked:
            lost, dead = sorted([*lost, *dead]), []
        count = int(self.cut * (len(ranked) + len(dead)) + 1e-9)
        sources = [t for t in ranked[: max(count, 1)] if merit_at(standing[t], self._reached) > -np.inf] or ranked[:1]
        worst = [trial for trial in reversed(ranked) if trial not in sources][: max(count - len(dead), 0)]
        copies: list[Order] = []
        for trial in sorted([*dead, *worst]):
            draw, *changes = uniforms(self._bits, 1 + 3 * len(self._names)).tolist()
            source = sources[int(draw * len(sources))]
            self._configs[trial] = self._changed(self._configs[source], np.reshape(changes, (-1, 3)))
            self._epochs[trial] = self._epochs[source]
            copies.append(Copy(trial, source, self._configs[trial], min(self._reached, self._epochs[trial])))
        self._waiting = {*alive, *dead}
        changed = {*dead, *worst}
        return [
            *copies, *(self._go(trial) for trial in alive if trial not in changed), *(Stop(trial) for trial in lost)
        ]  # fmt: skip

    def _changed(self, config: Config, draws: Any) -> Config:
        """Return a config with its changeable hyperparameters changed; `draws` [names, 3] are numbers in [0, 1)."""
        assert self.space is not None
        entries = self.space.entries
        new, on = dict(config), active(entries, as_asked(entries, config))
        for name, (anew, way, place) in zip(self._names, draws, strict=True):
            entry = entries[name]
            if name not in on:
                continue
            if anew < self.resample:
                new[name] = entry.values_from_codes(entry.codes_from_unit(np.array([place])))[0]
            elif not isinstance(entry, Choice):
                new[name] = _scaled(entry, config[name], self.factor if way < 0.5 else 1 / self.factor)
            elif isinstance(config[name], float):
                new[name] = _next(entry, config[name], 1 if way < 0.5 else -1)
        return new


def _scaled(entry: Distribution, value: float, factor: float) -> Any:
    """Return a number times a factor, as near as its range has it."""
    assert isinstance(entry, (Uniform, LogUniform, Int))
    moved = min(max(value * factor, entry.low), entry.high)
    if isinstance(entry, Int):
        return int(np.ceil(moved) if factor > 1 else np.floor(moved))
    return entry.values_from_codes(entry.codes_from_unit(entry.unit_from_codes(np.array([float(moved)]))))[0]


def _next(entry: Choice, value: float, step: int) -> Any:
    """Return the number of a choice that comes after this one by size, or before it."""
    ordered = sorted(entry.values)
    return ordered[min(max(ordered.index(value) + step, 0), len(ordered) - 1)]

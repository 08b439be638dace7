"""Any sampler of Optuna, in batches: TPE, CMA-ES, a Gaussian process, NSGA-II and others.

Akiba et al., Optuna: A Next-generation Hyperparameter Optimization Framework, KDD 2019; what each sampler does, and
after which paper, stands in Optuna's own documentation. TPE, the default: Bergstra et al., NeurIPS 2011.

A config is a trial of a study in memory, asked for by define-by-run: entries in the order of their conditions, each
suggested only if it is active. All trials of a batch are open at once, and are told when their scores are known, in
the order of their numbers; a config that nobody asked for is added as a finished trial. A score that is not finite is
a failed trial, of which Optuna's samplers learn nothing. What Optuna proposes is rounded as the space does it; it may
come twice. How long a proposal takes is Optuna's affair: milliseconds each, more the more trials it knows.

Optuna's samplers draw from NumPy's `RandomState`, whose stream NumPy does not change any more; another version of
Optuna may still propose something else.
"""

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxsweep.errors import RequestError, shown, suggestion
from jaxsweep.search.base import Searcher, whole
from jaxsweep.search.cube import Told
from jaxsweep.search.seen import keys
from jaxsweep.spec import studies
from jaxsweep.spec.conditions import evaluation_order, parents
from jaxsweep.spec.distributions import Constant, FloatArray, hashable, plain
from jaxsweep.spec.extras import extra
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.metrics import Direction
from jaxsweep.spec.space import Space
from jaxsweep.streams import bit_generator

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SAMPLERS = {
    "tpe": "TPESampler",
    "cmaes": "CmaEsSampler",
    "gp": "GPSampler",
    "nsgaii": "NSGAIISampler",
    "nsgaiii": "NSGAIIISampler",
    "qmc": "QMCSampler",
    "random": "RandomSampler",
}
"""Optuna's samplers that need nothing but options, by a short name; others enumerate, or wrap another one."""

NEEDED = {"GPSampler": "torch", "CmaEsSampler": "cmaes"}  # what a sampler imports when it is asked
OURS = {"seed": "it is the sweep's seed", "constraints_func": "constraints are the sweep's"}


class Optuna(Searcher):
    """A sampler of Optuna; an `ask` for one population at a time, told before the next.

    Args:
        space: what to propose from.
        population: configs in a batch, at least 1; of the genetic samplers also those of a generation.
        sampler: tpe, cmaes, gp, nsgaii, nsgaiii, qmc or random, or the name of their class in `optuna.samplers`.
        sampler_options: arguments of that class, such as `{"multivariate": False}`.
        seed: an integer in [0, 2**63 - 1].
        direction: whether a larger or a smaller score is better.

    Raises:
        RequestError: an unknown sampler, options that it refuses, or Optuna is not installed, or what the
            sampler needs.
    """

    description = "any sampler of Optuna (extra optuna), in batches"

    def __init__(
        self,
        space: Space | None,
        *,
        population: int = 50,
        sampler: str = "tpe",
        sampler_options: Mapping[str, Any] | None = None,
        seed: int = 0,
        direction: Direction = "maximize",
    ) -> None:
        super().__init__(space, seed=seed, direction=direction)
        self.population = whole("population", population, 1)
        self._library = extra("optuna", "the searcher optuna")
        self._order = evaluation_order(self.space.entries)
        entries = self.space.entries
        self._distributions = {name: studies.distribution(entries[name]) for name in self.space.columns}
        number = int(bit_generator(self.seed, "optuna").random_raw()) >> 32
        with studies.quiet():
            self._study = self._library.create_study(
                direction="maximize", sampler=_made(self._library, sampler, sampler_options, number, self.population)
            )
        self._open: dict[bytes, list[Any]] = {}  # trials that are not told yet, by their point
        self._told = Told(self.space)  # points and merits that the study does not know yet

    @property
    def batch(self) -> int:
        """The population."""
        return self.population

    def _propose(self, n: int) -> list[Config]:
        with studies.quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore", self._library.exceptions.ExperimentalWarning)
            self._take_in()
            trials, configs = [], []
            for _ in range(n):
                trials.append(self._study.ask())
                configs.append(self._suggested(trials[-1]))
        points = self.space.snap(self.space.to_unit(configs))  # with ten digits, as it will be told
        for key, trial in zip(keys(points), trials, strict=True):
            self._open.setdefault(key, []).append(trial.number)
        return self.space.from_unit(points)

    def _suggested(self, trial: Any) -> Config:
        """Return the config that the sampler gives a trial."""
        config: Config = {}
        for name in self._order:
            entry = self.space.entries[name]
            conditions = parents(entry).items()
            if not all(parent in config and hashable(config[parent]) in legal for parent, legal in conditions):
                continue
            if isinstance(entry, Constant):
                config[name] = plain(entry.value)
            else:
                config[name] = studies.value_of(entry, studies.suggested(trial, name, entry))
        return config

    def _learn(self, configs: Sequence[Mapping[str, Any]], merits: FloatArray) -> None:
        self._told.add(configs, merits)

    def _take_in(self) -> None:
        """Let the study know what was told since the last `ask`; which was told first has no effect."""
        if (told := self._told.take()) is None:
            return
        points, merits = told
        state = self._library.trial.TrialState
        finished: list[tuple[int, float]] = []
        others: list[int] = []
        for row, key in enumerate(keys(points)):
            if waiting := self._open.get(key):
                finished.append((waiting.pop(0), float(merits[row])))
            else:
                others.append(row)
        for number, merit in sorted(finished):
            if np.isfinite(merit):
                self._study.tell(number, merit)
            else:
                self._study.tell(number, state=state.FAIL)
        for row in others:
            self._study.add_trial(self._finished(points[row], float(merits[row])))

    def _finished(self, point: FloatArray, merit: float) -> Any:
        """Return a finished trial of a config that was told and never asked for."""
        entries, failed, state = self.space.entries, not np.isfinite(merit), self._library.trial.TrialState
        known = {name: gene for name, gene in zip(self.space.columns, point, strict=True) if not np.isnan(gene)}
        values = {
            name: entries[name].values_from_codes(entries[name].codes_from_unit(np.array([gene])))[0]
            for name, gene in known.items()
        }
        return self._library.trial.create_trial(
            params={name: studies.parameter(entries[name], value) for name, value in values.items()},
            distributions={name: self._distributions[name] for name in known},
            value=None if failed else merit,
            state=state.FAIL if failed else state.COMPLETE,
        )


def _made(library: Any, name: Any, given: Any, seed: int, population: int) -> "BaseSampler":
    """Return a new sampler by its name; RequestError as the class says."""
    legal = {**SAMPLERS, **{each: each for each in SAMPLERS.values()}}
    if not isinstance(name, str) or name not in legal:
        raise RequestError(f"sampler = {shown(name)} is not one that a sweep can have{suggestion(str(name), legal)}")
    chosen = legal[name]
    if chosen in NEEDED:
        extra(NEEDED[chosen], f"Optuna's {chosen}")
    if not isinstance(given, Mapping | None):
        raise RequestError(f"sampler_options = {shown(given)} is not legal: it must be like {{'n_startup_trials': 20}}")
    kind = getattr(library.samplers, chosen)
    known = inspect.signature(kind).parameters
    for option in given or {}:
        if option in OURS:
            raise RequestError(f"sampler_options: {option} is not to be given: {OURS[option]}")
        if option not in known:
            raise RequestError(f"sampler_options: {chosen} has no argument {option!r}{suggestion(str(option), known)}")
    defaults: dict[str, Any] = {"seed": seed, "population_size": population, "popsize": population}
    if "warn_independent_sampling" in known and known["warn_independent_sampling"].default is True:
        defaults["warn_independent_sampling"] = False  # of entries under a condition, each time
    options = {key: value for key, value in defaults.items() if key in known} | dict(given or {})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", library.exceptions.ExperimentalWarning)
            return kind(**options)  # type: ignore[no-any-return]
    except (TypeError, ValueError, NotImplementedError, AssertionError) as error:
        raise RequestError(f"sampler_options: {chosen} refuses {shown(dict(given or {}))}: {error}") from error

"""A request checked against its data: whatever can be refused is refused here, before anything is compiled."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from jaxsweep import schedulers, search
from jaxsweep.data import Dataset, Prepared
from jaxsweep.data.dataset import count_kinds
from jaxsweep.data.inputs import CategoryInput
from jaxsweep.data.noticed import listed
from jaxsweep.engine.costs import sizes_of
from jaxsweep.engine.director import entrants
from jaxsweep.errors import RequestError
from jaxsweep.network import ambient
from jaxsweep.network.own import check_own
from jaxsweep.records.earlier import Earlier, earlier
from jaxsweep.records.start import exported_start
from jaxsweep.records.trials import Columns
from jaxsweep.spec import scope
from jaxsweep.spec.aims import Aims, check_aims
from jaxsweep.spec.conditions import evaluation_order, parents
from jaxsweep.spec.distributions import hashable
from jaxsweep.spec.hyperparameters import (
    HYPERPARAMETERS,
    LOSS_PARAMETERS,
    Config,
    check_together,
    layer_names,
    layer_widths,
    resolve,
)
from jaxsweep.spec.metrics import check_objective, default_objective, metric_names
from jaxsweep.spec.points import all_completed
from jaxsweep.spec.request import DEFAULT_SEARCH, DEFAULT_TRIALS, Request
from jaxsweep.spec.scope import Scope
from jaxsweep.spec.space import Distribution, Space
from jaxsweep.spec.swept import NEEDS, acts
from jaxsweep.streams import bit_generator, uniforms

MOST_NOTES = 12  # parts of the line that says how a table was read
LOOKED_AT = 256  # configs of a space by which it is told whether an entry has an effect
SLAB = 50_000  # most configs that are asked for at once
WAVE = 128  # under a time limit, where nothing else makes batches: so many, or what a small part of the time is for


@dataclass
class Setup:
    """A request that has been checked against its data: all that the loop needs."""

    request: Request
    data: Prepared
    objective: str
    aims: Aims
    columns: Columns
    scope: Scope
    searcher: search.Searcher
    trials: int
    listed: Sequence[Config] | None  # the configs of a request that lists them, resolved
    scheduler: schedulers.Scheduler | None = None
    batch: int | None = None  # of the searcher, once the initial configs have been tried; None for all in one
    notes: list[str] = field(default_factory=list)
    told: str = ""  # a checksum of what the searcher knows of earlier sweeps

    @property
    def lanes_each(self) -> int:
        """Return the lanes of one trial."""
        return self.request.replicates * len(self.data.train)

    @property
    def waves(self) -> bool:
        """Whether a search that knows all its configs has batches nevertheless.

        A batch trains the networks of a program together, so that a time limit would end it with some kinds of them
        untried. (A scheduler begins with all trials, in their order.)
        """
        return self.request.minutes is not None and self.batch is None and self.scheduler is None

    def ask(
        self, first: int, count: int, most: int = SLAB, in_part: bool = False
    ) -> tuple[list[Config], Sequence[Config]]:
        """Return up to `count` configs from number `first` on, as they are proposed and with every hyperparameter.

        A searcher that has batches is asked for a whole one, also where fewer are wanted: what it proposes first may
        depend on how many it is asked for, and a sweep of more trials is to begin with those of one of fewer.
        `in_part`: it is asked for what is wanted, as formats before 4 recorded it.
        """
        batch = self.searcher.batch
        wanted = min(batch or most, count, most)
        asked = self.searcher.ask(wanted if batch is None or in_part else min(batch, most))[:wanted]
        if self.listed is not None:
            return asked, self.listed[first : first + len(asked)]
        return asked, [resolve_for(self.data, config) for config in asked]


def resolve_for(data: Prepared, config: Mapping[str, Any]) -> Config:
    """Return a config with every hyperparameter, checked against the data; the smallest split bounds batches."""
    return resolve(config, data.task, min(len(part) for part in data.train), data.image_shape is not None)


def with_start(request: Request) -> Request:
    """Return a request with the weights that its networks start with; RequestError if there are none."""
    if request.start_from is None or request.start is not None:
        return request
    return replace(request, start=exported_start(request.start_from))


def set_up(dataset: Dataset, request: Request) -> Setup:
    """Check a request against its data; nothing is compiled yet.

    Raises:
        RequestError: whatever is wrong with the request.
    """
    ambient.check_fork()
    request = with_start(request)
    data = request.prepared(dataset)
    objective = request.objective or default_objective(data.task)
    objective = check_objective(objective, data.task, data.n_outputs, request.metrics)
    aims = Aims.of(request, objective)
    columns = Columns.of(
        data.task, data.n_outputs, objective, data.x_test.shape[1] > 0, request.train_metrics, request.metrics
    )
    check_aims(aims, data.task, data.n_outputs, columns.curves, request.metrics)
    watched = [name for name in dict.fromkeys([objective, *aims.names]) if name.startswith("val_")]
    for name in watched:
        _check_rows(name, data)
    listed, known, batch = None, Earlier(), None
    if request.configs is not None:
        listed = _resolved(request, data)
        searcher: search.Searcher = search.Listed(request.configs, aims.directions)
        what = scope.of_configs(listed)
    else:
        assert request.space is not None
        _check_space(request.space, data)
        _check_together(request.space, data)
        what = scope.of_space(request.space, resolve_for(data, {}))
        searcher = _searcher(request, aims)
        gradients = searcher.wants_gradients  # or there is nothing that it could follow
        known = earlier(request, objective, dataset.fingerprint, partial(resolve_for, data))
        searcher.tell(known.configs, *aims.told(known.scores, known.metrics))
        batch = searcher.batch
        if request.initial:
            whole = all_completed(request.initial, request.space, partial(resolve_for, data))
            request = replace(request, initial=whole)
            searcher = search.Initial(whole, searcher)
    for name in watched:
        _check_comparable(name, data, *_losses(request, listed, what))
    check_own(what, request.metrics, data.task, data.n_outputs)
    if request.metrics and request.train_metrics and "train_rows" in what.traced:
        raise RequestError(
            "train_rows does not go with train_metrics and metrics of your own, which see whole splits: "
            "leave out one of them"
        )
    trials, notes = _count(request, searcher)
    notes = [*how_read(dataset, data, MOST_NOTES), *_cut_to_rows(request, data), *_unfolded(request, data), *notes]
    notes += known.notes
    if request.space is not None and gradients:
        notes.append(
            f"{request.search} trains each config a second time, with its derivatives: {len(gradients)} of them"
        )
    if request.space is not None:
        notes += _inert(request.space, data)
    notes += _out_of_reach(request, aims, listed, data)
    notes += _start(request, listed, what, data)
    if searcher.learns and batch is not None and not request.warm_start and not request.initial and trials <= batch:
        notes.append(
            f"the searcher {request.search} learns of no score before its first {batch} configs have been trained, and "
            f"there are {trials} trials: smaller batches would use it"
        )
    if known.notes and not searcher.learns:
        notes.append(f"warm_start has no effect: the searcher {request.search} learns nothing of what it is told")
    if request.objective_weights and not searcher.learns:
        notes.append(f"objective_weights have no effect: the searcher {request.search} learns nothing of scores")
    if "seconds" in aims.names:
        notes.append("seconds are what the clock says: another run may have another front, or break other constraints")
    scheduler = _scheduler(request, searcher)
    notes += _without_effect(request, scheduler, listed, data)
    return Setup(
        request, data, objective, aims, columns, what, searcher, trials, listed, scheduler, batch, notes, known.digest
    )


def _searcher(request: Request, aims: Aims) -> search.Searcher:
    """Return the searcher of a request; RequestError if it follows one objective, and there are more."""
    search.check_options(request.search, request.options)  # before they are arguments beside others
    make = partial(search.make, request.search, request.space, seed=request.seed, **request.options)
    if request.objective_weights:
        if search.searcher_class(request.search).wants_gradients is not search.Searcher.wants_gradients:
            raise RequestError(
                f"search = {request.search!r} follows the derivatives of one objective, which objective_weights do not "
                "weigh: give one objective, or use another searcher"
            )
        return search.Weighted(make(direction="maximize"), aims.directions, request.objective_weights)
    if aims.several and not search.searcher_class(request.search).several:
        able = [name for name, kind in search.SEARCHERS.items() if kind.several]
        raise RequestError(
            f"search = {request.search!r} follows one objective, and there are {len(aims.objectives)} "
            f"({', '.join(aims.objectives)}): use one of {', '.join(able)}, or say how much each counts, such as "
            f"objective_weights = {[1] * len(aims.objectives)}"
        )
    return make(direction=aims.directions)


def _scheduler(request: Request, searcher: search.Searcher) -> schedulers.Scheduler | None:
    """Return the scheduler of a request, checked; RequestError if it does not fit the searcher, too."""
    if request.scheduler is None:
        return None
    schedulers.check_options(request.scheduler, request.scheduler_options)
    made = schedulers.make(request.scheduler, seed=request.seed, space=request.space, **request.scheduler_options)
    if made.changes and searcher.learns:
        raise RequestError(
            f"scheduler = {request.scheduler!r} changes configs while they train, so that search = {request.search!r} "
            "would learn from scores of configs that it never proposed: use search = 'random' or 'sobol' with it"
        )
    if made.changes and request.confirm:
        raise RequestError(
            f"confirm = {request.confirm} does not go with scheduler = {request.scheduler!r}, which changes configs "
            "while they train: no one config says what a trial came to, so leave out one of the two"
        )
    return made


def _without_effect(
    request: Request, scheduler: schedulers.Scheduler | None, listed: Sequence[Config] | None, data: Prepared
) -> list[str]:
    """Return a note if a scheduler looks at no trial before its end."""
    if scheduler is None:
        return []
    entries = request.space.entries if request.space is not None else {}
    ends = {name: list(scope.ends(entries[name])) for name in ("epochs", "batch_size") if name in entries}
    corners = [dict(zip(ends, values, strict=True)) for values in itertools.product(*ends.values())]
    configs = listed if listed is not None else [resolve_for(data, corner) for corner in corners]
    looks = [(scheduler.first_look(each), each.epochs) for each in entrants(dict(enumerate(configs)), sizes_of(data))]
    if any(look < epochs for look, epochs in looks):
        return []
    longest = max(epochs for _, epochs in looks)
    return [
        f"scheduler = {request.scheduler!r} has no effect: it looks at no trial before its end, and none has more than "
        f"{longest} epoch{'s' * (longest != 1)}"
    ]


def how_read(dataset: Dataset, data: Prepared, most: int | None = None) -> list[str]:
    """Return the one line that says how a table's columns were read, in at most so many parts; built-in data have none.

    Its last part says which task the target is taken for.
    """
    if not dataset.notes:
        return []
    kinds = ", ".join([*count_kinds(dataset.inputs), f"{len(data.feature_names):,} features"])
    pooled = [entry for entry in data.preprocessors[0].inputs if isinstance(entry, CategoryInput) and entry.other]
    *notes, task = dataset.notes
    for what, part in (("the validation table", dataset.validation), ("the test table", dataset.test)):
        if part is not None:
            unknown = data.preprocessors[0].describe_unknown_words(part.inputs, what)
            notes += [] if unknown is None else [unknown]
    if pooled:
        names = listed([entry.name for entry in pooled])
        notes.append(
            f"of the words of {names} the {len(pooled[0].categories)} most frequent get a feature each and the others "
            f"share one (--set most_categories={dataset.most_categories})"
        )
    if most is not None and len(notes) > most:
        notes = [*notes[:most], f"{len(notes) - most} more, in data.notes and sweep.toml"]
    return [f"{dataset.name}: {'; '.join([kinds, *notes, task])}"]


def _inert(space: Space, data: Prepared) -> list[str]:
    """Return a note if entries of a space have no effect, such as momentum where there is no sgd."""
    watched = [name for name in space.columns if name in NEEDS]
    if not watched:
        return []
    configs = _drawn(space, data)
    idle = [name for name in watched if not any(name in point and acts(name, full) for point, full in configs)]
    if not idle:
        return []
    has = "has" if len(idle) == 1 else "have"
    acting = [f"{name} where {' and '.join(map(str, NEEDS[name]))}" for name in idle]
    return [
        f"{', '.join(idle)} {has} no effect in any of {LOOKED_AT} configs drawn from the space; what would have: "
        f"{'; '.join(acting)}"
    ]


def _drawn(space: Space, data: Prepared) -> list[tuple[Config, Config]]:
    """Return configs of a space as they are drawn, and with every hyperparameter."""
    points = space.from_unit(uniforms(bit_generator(0, "inert"), LOOKED_AT, space.dimensions))
    return [(point, resolve_for(data, point)) for point in points]


def _out_of_reach(request: Request, aims: Aims, listed: Sequence[Config] | None, data: Prepared) -> list[str]:
    """Return a note if no config seems to meet a bound on parameters; RequestError if none of those listed does."""
    limits = [str(each) for each in aims.constraints if each.metric == "parameters"]
    if not limits:
        return []
    drawn = [full for _, full in _drawn(request.space, data)] if request.space is not None else []
    configs = drawn if listed is None else listed
    if not all(aims.too_large(config, len(data.feature_names), data.n_outputs) for config in configs):
        return []
    if listed is not None:
        raise RequestError(f"constraints: none of the {len(listed)} configs can meet {' and '.join(limits)}")
    return [
        f"none of {LOOKED_AT} configs drawn from the space can meet {' and '.join(limits)}: no trial may be the best"
    ]


def _start(request: Request, listed: Sequence[Config] | None, what: Scope, data: Prepared) -> list[str]:
    """Return notes on who starts with a trained network's weights; RequestError if none does."""
    if request.start is None:
        return ["transfer has no effect without start_from"] if "transfer" in what.traced else []
    shapes = request.start.shapes
    if listed is None:
        assert request.space is not None
        listed = [full for _, full in _drawn(request.space, data)]
    sizes = [(len(data.feature_names), *layer_widths(config, data.n_outputs), data.n_outputs) for config in listed]
    agree = [
        any(shapes.get(name) == shape for name, shape in zip(layer_names(len(own) - 2), pairwise(own), strict=True))
        for own in sizes
    ]
    if all(agree):
        return []
    theirs = ", ".join(f"{name} {rows} x {columns}" for name, (rows, columns) in shapes.items())
    if not any(agree):
        raise RequestError(
            f"start_from = {request.start_from!r} has layers {theirs}, and no network of this sweep has one of that "
            f"name and shape: with {sizes[0][0]} features and {sizes[0][-1]} outputs, choose its depth and width"
        )
    return [f"{agree.count(False)} of {len(agree)} configs have no layer of start_from, which has {theirs}"]


def _cut_to_rows(request: Request, data: Prepared) -> list[str]:
    """Return a note for each hyperparameter by which networks would see more rows than the training part has."""
    rows = min(len(part) for part in data.train)
    notes = []
    for name in ("batch_size", "train_rows"):
        sizes: list[Any] = [config.get(name) for config in request.configs or ()]
        if request.space is not None and name in request.space.entries:
            sizes = list(scope.ends(request.space.entries[name]))
        if large := sorted({size for size in sizes if isinstance(size, int) and size > rows}):
            notes.append(f"{name} {', '.join(map(str, large[:5]))}: cut to the {rows} training rows there are")
    return notes


def _unfolded(request: Request, data: Prepared) -> list[str]:
    """Return a note if rows are in none of the user's own folds."""
    if isinstance(request.folds, int) or not data.x_test.shape[1]:
        return []
    return [f"{data.x_test.shape[1]:,} rows are in no fold: they are the test part"]


def _resolved(request: Request, data: Prepared) -> list[Config]:
    """Return the configs of a request that lists them, with every hyperparameter; RequestError as `set_up` says."""
    if request.search != DEFAULT_SEARCH:
        raise RequestError(f"search = {request.search!r} does not go with configs: leave out one of the two")
    if request.options:
        name = next(iter(request.options))
        raise RequestError(f"unknown option {name!r}: searchers have options, and a list of configs needs none")
    full = []
    for number, config in enumerate(request.configs or ()):
        try:
            full.append(check_together(resolve_for(data, config)))
        except RequestError as error:
            raise RequestError(f"configs[{number}]: {error}") from None
    return full


def _check_space(space: Space, data: Prepared) -> None:
    """Raise RequestError if an end or a value of an entry is not legal for these data."""
    for name, entry in space.entries.items():
        for value in scope.ends(entry):
            resolve_for(data, {name: value})


def _check_together(space: Space, data: Prepared) -> None:
    """Raise RequestError if entries that are legal each can meet in a config that is not."""
    entries = space.entries
    names: dict[str, set[Any]] = {}  # those that meet and those that decide whether they do; values named by conditions
    todo = [name for name in ("norm", "depth", "batch_size", "epochs") if name in entries]
    if "width" in entries and any(isinstance(value, (list, tuple)) for value in scope.ends(entries["width"])):
        todo.append("width")  # its lists decide the depth
    for name in todo:  # grows
        names.setdefault(name, set())
        for parent, legal in parents(entries[name]).items():
            names.setdefault(parent, set()).update(legal)
            todo.append(parent)
    order = [name for name in evaluation_order(entries) if name in names]
    tried = [dict.fromkeys([*map(hashable, scope.ends(entries[name])), *names[name]]) for name in order]
    for values in itertools.product(*tried):
        active: dict[str, Any] = {}
        for name, value in zip(order, values, strict=True):
            if all(parent in active and active[parent] in legal for parent, legal in parents(entries[name]).items()):
                active[name] = value
        try:
            check_together(resolve_for(data, active))
        except RequestError as error:
            raise RequestError(f"the space has configs that cannot be trained: {error}") from None


def _check_rows(objective: str, data: Prepared) -> None:
    """Raise RequestError if an objective is not defined on the validation rows of a split."""
    legal = [f"val_{name}" for name in metric_names(data.task, data.n_outputs)]
    others = ", ".join(name for name in legal if name not in ("val_auc", "val_r2"))
    for split, rows in enumerate(data.val):
        seen = rows if data.weights is None else rows[data.weights[rows] > 0]
        if objective == "val_auc" and len(np.unique(data.y[split][seen])) < 2:
            problem = "all of one class"
        elif objective == "val_r2" and np.any(data.val_variance[split] == 0):
            problem = "all of one value"
        else:
            continue
        where = f"of fold {split} " if len(data.val) > 1 else ""
        raise RequestError(
            f"objective = {objective!r} is not defined on the validation rows {where}of {data.name}, which are "
            f"{problem}: use other validation rows, or one of {others}"
        )


def _losses(request: Request, listed: Sequence[Config] | None, what: Scope) -> tuple[Sequence[str], Mapping[str, bool]]:
    """Return the losses that trials can minimize, and whether each parameter of a loss can differ between them."""
    losses = what.values("loss")
    if listed is not None:
        return losses, {
            name: len({config[name] for config in listed if config["loss"] == loss}) > 1
            for loss, name in LOSS_PARAMETERS.items()
        }
    entries = request.space.entries if request.space is not None else {}
    return losses, {name: _differs(name, entries) for name in LOSS_PARAMETERS.values() if name in entries}


def _differs(name: str, entries: Mapping[str, Distribution]) -> bool:
    """Return whether an entry can have several values, or its default beside its one value, under the same loss."""
    values = scope.possible(entries[name])
    if values is None or len(set(values)) > 1:
        return True
    if values[0] == HYPERPARAMETERS[name].default:
        return False
    conditions = {parent: legal for parent, legal in parents(entries[name]).items() if parent != "loss"}
    return any(not set(scope.possible(entries[parent]) or ()) <= set(legal) for parent, legal in conditions.items())


def _check_comparable(objective: str, data: Prepared, losses: Sequence[str], differs: Mapping[str, bool]) -> None:
    """Raise RequestError if the objective is the loss and trials have different ones."""
    if objective != "val_loss":
        return
    own = [name for loss, name in LOSS_PARAMETERS.items() if loss in losses and differs.get(name)]
    varied = "loss" if len(losses) > 1 else own[0] if own else None
    if varied is not None:
        others = [f"val_{name}" for name in metric_names(data.task, data.n_outputs) if name != "loss"]
        raise RequestError(
            f"objective = 'val_loss' would compare different losses, since {varied} differs between trials: "
            f"use one of {', '.join(others)}"
        )


def _count(request: Request, searcher: search.Searcher) -> tuple[int, list[str]]:
    """Return how many trials to run, and what the user should know about that."""
    total = searcher.total
    if request.trials is None:
        return (DEFAULT_TRIALS if total is None else total), []
    if total is None or request.trials == total:
        left = searcher.remainder(request.trials)
        return request.trials, [] if left is None else [left]
    if request.trials > total:
        return total, [f"{request.trials} trials asked for, but the searcher has {total} configs: {total} are run"]
    return request.trials, [
        searcher.remainder(request.trials) or f"{total - request.trials} of {total} configs are not tried"
    ]

"""The plan of a sweep: of its whole search, before anything is compiled, and of each batch as it is asked for."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from jaxsweep.data import Dataset
from jaxsweep.engine.calibrate import device_costs
from jaxsweep.engine.costs import Costs, Sizes, sizes_of
from jaxsweep.engine.director import entrants
from jaxsweep.engine.hypergradients import foreseen_seconds
from jaxsweep.engine.planner import Plan, Shape, make_plan, rounded
from jaxsweep.setup import WAVE, Setup, resolve_for, set_up
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.request import Request
from jaxsweep.spec.space import Constant, Space
from jaxsweep.streams import bit_generator, uniforms

TURNS = 4  # plans until one is for about what a time limit is for
FORESEEN = 5_000  # most configs that stand for those of a whole search ...
COMPARED = 300  # ... and where only plans are compared with each other


def plan(dataset: Dataset, request: Request) -> Plan:
    """Return the plan of the sweep; nothing is compiled but a probe, once on a machine.

    Of a search that asks in batches, of which nobody knows the later ones, it is `foreseen`. Its seconds and bytes are
    those of the whole sweep, also of hypergradients and of a confirmation, whose lanes are in `confirming`; the rest is
    the search's.
    """
    setup = set_up(dataset, request)
    costs = device_costs(measure=True)
    drawn = _drawn(setup)
    configs = drawn.configs if drawn is not None else setup.ask(0, setup.trials, setup.trials)[1]
    made = _foreseen(setup, drawn, costs) if drawn is not None else plan_of(setup, configs, costs)
    part = drawn.batch / setup.trials if drawn is not None else 1.0
    notes = [*setup.notes, *filter(None, [costs.remark]), *_causes(setup, configs, made, costs, part)]
    if made.parked_bytes and made.predicted_bytes > costs.memory:
        notes.append(
            f"lanes that stand still may take {rounded(made.parked_bytes / 2**30)} GiB, and with them the sweep needs "
            f"more than the {rounded(costs.memory / 2**30)} GiB that are available: narrower networks or fewer trials "
            "would fit"
        )
    further = 0.0  # seconds
    if (names := setup.searcher.wants_gradients) and drawn is not None:
        told = (setup.trials - 1) // drawn.batch * drawn.batch  # of the last batch nobody asks for derivatives
        further = foreseen_seconds(made, len(names), told / setup.trials)
        notes.append(
            f"{told * setup.lanes_each} lanes train a second time, by programs of their own ({len(made.buckets)} or "
            f"more): about {rounded(further)} s of the time"
        )
    if count := min(setup.request.confirm, setup.trials):
        # Nobody knows which will be the best: as many, spread over all of them, stand for these.
        some = [configs[i * len(configs) // count] for i in range(count)]
        again = plan_again(setup, some, costs, tuple(bucket.shape for bucket in made.buckets))
        notes.append(
            f"the best {count} are confirmed after the search: {again.lanes} lanes more, about "
            f"{rounded(again.predicted_seconds)} s of the time"
        )
        further += again.predicted_seconds
        made = replace(made, confirming=again, predicted_bytes=max(made.predicted_bytes, again.predicted_bytes))
    minutes = setup.request.minutes
    if minutes is not None and made.predicted_seconds + further > 60 * minutes:
        notes.append(f"the time limit of {minutes:g} minutes may end it before: what is said here is the whole search")
    return replace(made, predicted_seconds=made.predicted_seconds + further, notes=tuple(notes))


def _causes(setup: Setup, configs: Sequence[Config], made: Plan, costs: Costs, part: float) -> list[str]:
    """Return which hyperparameters make further programs, each with what fewer values of it would come to."""
    if made.programs == 1:
        return []
    some = configs[:: -(-len(configs) // COMPARED)]
    sizes = sizes_of(setup.data, setup.request.train_metrics)
    share, _ = _scheduled(setup, some, sizes)
    weight = setup.trials / len(some)
    costs = replace(costs, memory=math.inf)  # nobody trains these

    def planned(configs: Sequence[Config]) -> Plan:
        return make_plan(
            configs, sizes, setup.lanes_each, costs, share=share, part=part, weight=weight, scope=setup.scope
        )  # fmt: skip

    now, found = planned(some), []
    listed = any(isinstance(config["width"], list) for config in some)  # as many widths as layers
    for name in ("batch_size",) if listed else ("depth", "width", "batch_size"):
        values = sorted({config[name] for config in some})
        for few in _fewer(values):
            nearest = {value: _nearest(value, few) for value in values}
            then = planned([{**config, name: nearest[config[name]]} for config in some])
            if then.programs < min(now.programs, made.programs) and then.predicted_seconds < now.predicted_seconds:
                seconds = rounded(made.predicted_seconds * then.predicted_seconds / now.predicted_seconds)
                found.append(
                    f"{name} has {len(values)} values; {', '.join(map(str, few))} alone would take {then.programs} "
                    f"program{'s' * (then.programs != 1)} and about {seconds} s instead of {made.programs} and "
                    f"{rounded(made.predicted_seconds)} s"
                )
                break
    return found


def _fewer(values: Sequence[int]) -> list[list[int]]:
    """Return fewer values that may stand for all of these, sorted: three, if they are many, and one."""
    ends = [(len(values) * third) // 6 for third in (1, 3, 5)]  # the middle of each third
    return [[values[i] for i in ends]] * (len(values) > 4) + [[values[len(values) // 2]]] * (len(values) > 1)


def _nearest(value: int, values: Sequence[int]) -> int:
    return min(values, key=lambda other: abs(other - value))


def foreseen(setup: Setup, costs: Costs) -> Plan | None:
    """Return the plan of a whole search that asks in batches, as if it asked for configs at random.

    Its shapes hold whatever the space has, so that no later batch compiles anything. None for one batch: that is
    planned as it is.
    """
    drawn = _drawn(setup)
    return None if drawn is None else _foreseen(setup, drawn, costs)


class _Drawn(NamedTuple):
    """Resolved configs that stand for those of a search that asks in batches."""

    batch: int
    configs: list[Config]  # as many as it will train, at random
    largest: list[Config]


def _drawn(setup: Setup) -> _Drawn | None:
    batch, space = WAVE if setup.waves else setup.batch, setup.request.space
    apart = bool(setup.request.initial) and setup.searcher.learns  # what is tried first is a batch of its own
    if batch is None or (batch >= setup.trials and not apart and not setup.waves):
        return None
    batch = min(batch, setup.trials)
    if space is None:
        return _Drawn(batch, list(setup.listed or ()), [])
    bits, count = bit_generator(setup.request.seed, "foreseen"), min(setup.trials, FORESEEN)
    drawn = space.from_unit(uniforms(bits, FORESEEN, space.dimensions))
    configs, largest = (
        [resolve_for(setup.data, config) for config in some] for some in (drawn[:count], _largest(space, drawn))
    )
    return _Drawn(batch, configs, largest)


def _foreseen(setup: Setup, drawn: _Drawn, costs: Costs) -> Plan:
    sizes = sizes_of(setup.data, setup.request.train_metrics)
    share, parked = _scheduled(setup, drawn.configs[: drawn.batch], sizes)
    every = drawn.configs + drawn.largest

    def planned(trials: int, frame: Sequence[Shape] = ()) -> Plan:
        return make_plan(
            every, sizes, setup.lanes_each, costs, share=share, part=drawn.batch / trials, weight=trials / len(every),
            parked=parked, frame=frame, scope=setup.scope,
        )  # fmt: skip

    whole = made = planned(setup.trials)
    if setup.request.minutes is None:
        return whole
    # Programs are worth their compilation to what there is time for, whatever was asked for.
    limit, trials = 60 * setup.request.minutes, setup.trials
    for _ in range(TURNS):
        if made.predicted_seconds <= limit or trials == drawn.batch:
            break
        trials = max(drawn.batch, int(trials * limit / made.predicted_seconds))
        made = planned(trials)
    return whole if made is whole else planned(setup.trials, tuple(bucket.shape for bucket in made.buckets))


def _largest(space: Space, drawn: Sequence[Config]) -> list[Config]:
    """Return configs than whose networks no other of the space has larger ones: of each kind that was drawn, its ends.

    Kinds are those of which none holds the other: depths, shapes, and lists of widths.
    """
    ends: dict[str, Any] = {}
    for name in ("batch_size", "width"):
        numbers = [value for value in scope.ends(space.entries.get(name, Constant(None))) if isinstance(value, int)]
        ends |= {name: max(numbers)} if numbers else {}
    if "batch_size" in space.entries and "full" in scope.ends(space.entries["batch_size"]):
        ends["batch_size"] = "full"
    kinds: dict[Any, Config] = {}
    for config in drawn:
        width = config.get("width")
        widths = tuple(width) if isinstance(width, list) else None
        has = tuple(name in config for name in ends)  # where it is inactive, its default counts
        kinds.setdefault((config.get("depth"), config.get("width_shape"), widths, has), config)
    return [
        {**config, **{name: end for name, end in ends.items() if name in config and not isinstance(config[name], list)}}
        for config in kinds.values()
    ]


def plan_of(
    setup: Setup, configs: Sequence[Config], costs: Costs, lanes_each: int | None = None, frame: Sequence[Shape] = (),
    ready: Collection[Shape] = (),
) -> Plan:  # fmt: skip
    """Return the plan of a batch of resolved configs, each with as many lanes as a trial of the search, or as said.

    What fits into one of the shapes of `frame` trains there; the programs of `ready` need not be compiled.
    """
    sizes = sizes_of(setup.data, setup.request.train_metrics)
    # What is confirmed trains to its end.
    share, parked = _scheduled(setup, configs, sizes) if lanes_each is None else (1.0, 0.0)
    return make_plan(
        configs, sizes, lanes_each or setup.lanes_each, costs, share=share, frame=frame, ready=ready, parked=parked,
        scope=setup.scope,
    )  # fmt: skip


def plan_again(setup: Setup, configs: Sequence[Config], costs: Costs, frame: Sequence[Shape] = ()) -> Plan:
    """Return the plan of all fresh trainings of some trials, in shapes that are there already where they fit."""
    return plan_of(setup, configs, costs, setup.request.fresh * len(setup.data.train), frame, frame)


def _scheduled(setup: Setup, configs: Sequence[Config], sizes: Sizes) -> tuple[float, float]:
    """Return what a scheduler makes of a batch, as far as can be foreseen.

    These are the share of its epochs that will be trained, and of its lanes those that may stand still together: all
    that are looked at before their ends, since some wait for the last.
    """
    if setup.scheduler is None:
        return 1.0, 0.0
    entering = entrants(dict(enumerate(configs)), sizes)
    looked_at = [setup.scheduler.first_look(each) < each.epochs for each in entering]
    return setup.scheduler.expected(entering), sum(looked_at) / len(looked_at)

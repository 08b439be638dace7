"""The best trials of a search, trained again under fresh seeds before one of them is called the best."""

from collections.abc import Callable, Mapping, Sequence

from jaxsweep.engine.checkpoint import Checkpoint, Identity, Saver
from jaxsweep.engine.engine import Engine
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.engine.planner import Plan
from jaxsweep.records.confirmed import Confirmed, confirmation
from jaxsweep.records.lanes import Lane
from jaxsweep.records.trials import Trial
from jaxsweep.setup import Setup


def train_again(
    setup: Setup, engine: Engine, chosen: Sequence[Trial], plan: Plan, take: Callable[[LaneResult], object],
    tick: Callable[[], object], over: Mapping[Identity, LaneResult], saver: Saver | None = None,
    underway: Mapping[Identity, Checkpoint] | None = None,
) -> list[LaneResult]:  # fmt: skip
    """Train some trials again, on each fold, under the replicate numbers that follow those of the search.

    Their configs and ids are what they were, so that a lane of replicate r is what `solo` gives for it. Neither a
    scheduler nor a time limit stops them: these are the search's. `take` gets each one as it ends, `saver` keeps what
    others come to; those that are `over` train no more, and those `underway` go on.
    """
    configs, ids, request = [trial.config for trial in chosen], [trial.id for trial in chosen], setup.request
    lanes = engine.run(
        plan, configs, ids, request.fresh, tick=tick, first=request.replicates, over=over, saver=saver,
        underway=underway or {},
    )  # fmt: skip
    ended = [*over.values()]
    try:
        for lane in lanes:
            ended.append(lane)
            take(lane)
            tick()
    except KeyboardInterrupt:
        engine.interrupted = True  # while it trained, and before what is under way has been waited for
        raise
    finally:
        lanes.close()
    return ended


def settle(setup: Setup, trials: Sequence[Trial], ended: Sequence[LaneResult]) -> tuple[Confirmed, ...]:
    """Return what the fresh lanes came to, the best trial first; of the others the test metrics are dropped."""
    fresh: dict[int, list[Lane]] = {}
    for lane in ended:
        fresh.setdefault(lane.job.trial, []).append(Lane.of(lane))
    confirmed = confirmation(trials, fresh, setup.columns, setup.request.keep_best, setup.aims.constraints)
    for lane in ended:
        if lane.job.trial != confirmed[0].trial:
            lane.test = None
    return confirmed

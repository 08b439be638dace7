"""Lanes that a scheduler stopped, or made copies of others, beside the plain reference, in float64."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from parity import SEED, compare, three_classes

from jaxsweep.engine.director import Director
from jaxsweep.engine.engine import Engine
from jaxsweep.engine.outcome import LaneResult
from jaxsweep.engine.planner import make_plan
from jaxsweep.network.reference import train
from jaxsweep.records.trials import Columns
from jaxsweep.schedulers import make
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import Config, resolve
from jaxsweep.spec.lineage import from_rows, to_json
from jaxsweep.spec.space import Choice, Int, LogUniform, Space, Uniform
from jaxsweep.streams import generator

pytestmark = pytest.mark.usefixtures("float64")

SPACE = Space(
    learning_rate=LogUniform(1e-3, 1e-1), dropout=Uniform(0, 0.5), activation=Choice(["relu", "tanh"]),
    schedule=Choice(["constant", "cosine"]), warmup=Uniform(0, 0.3), weight_decay=LogUniform(1e-5, 1e-2),
    class_weight=Choice(["none", "balanced"]), width=Int(3, 7), norm="batch", patience=3, batch_size=15, depth=1,
    epochs=8,
)  # fmt: skip


def trained(name: str, **options: Any) -> list[tuple[LaneResult, Config]]:
    """Return lanes under a scheduler, each with its config in the end."""
    data = three_classes()
    configs: list[Config] = [resolve(each, data.task, 75) for each in SPACE.sample(generator(4, "lanes"), 12)]
    engine = Engine(data, scope.of_space(SPACE, resolve({}, data.task, 75)), "val_loss", SEED, keep_best=True)
    plan = make_plan(configs, engine.supply.sizes, tile=4)

    def merits(curves: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.fmax.accumulate(-curves[:, 1])

    director = Director(make(name, seed=1, space=SPACE, **options), merits, configs)
    lanes = list(engine.run(plan, configs, range(12), wanted=lambda few: [True] * len(few), director=director))
    return [(lane, configs[lane.job.position]) for lane in lanes]


def check(lane: LaneResult, config: Config) -> None:
    data, lineage = three_classes(), from_rows(json.loads(to_json(lane.lineage)))
    assert lineage == lane.lineage
    alone = train(
        data, config, SEED, trial=lane.job.trial, objective_metric="val_loss", keep_best=True,
        stop_after=lane.epochs, lineage=lineage,
    )  # fmt: skip
    alone.status = lane.status  # a scheduler's doing
    compare(lane, alone, Columns.of(data.task, data.n_outputs, "val_loss", True).curves, 1e-8)


def test_one_that_was_stopped_is_the_beginning_of_one_that_was_not() -> None:
    several = {lane.epochs: (lane, config) for lane, config in trained("halving", eta=2) if lane.status == "stopped"}
    assert {1, 2, 4} <= set(several)
    for epochs in (1, 4):
        check(*several[epochs])


def test_a_copy_of_copies_follows_its_lineage() -> None:
    """Weights, optimizer's state, early stopping and the step of the schedule go on; configs and keys change."""
    lanes = [each for each in trained("pbt", every=1, cut=0.4, resample=0.5) if each[0].lineage]
    long = [each for each in lanes if len(each[0].lineage) >= 4 and len({p.trial for p in each[0].lineage}) > 2]
    lane, config = min(long, key=lambda each: len(each[0].lineage))  # the reference compiles each part anew
    assert [part.epoch for part in lane.lineage] == sorted({part.epoch for part in lane.lineage})
    assert lane.lineage[-1].config == config
    check(lane, config)

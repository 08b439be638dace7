"""The training program of some configs on digits, as an engine would ask for it, before anything is compiled."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsweep.data import load_dataset, prepare
from jaxsweep.engine import programs
from jaxsweep.engine.costs import Costs, Sizes
from jaxsweep.engine.engine import Engine
from jaxsweep.engine.lanes import Group
from jaxsweep.engine.planner import make_plan
from jaxsweep.network import ambient
from jaxsweep.network.train import State
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import Config, resolve

NAMES = {"float32": "f32", "int32": "s32", "uint32": "u32", "bool": "pred"}  # of types, as XLA has them


class Training(NamedTuple):
    """What the training program of the first group of a plan is compiled for."""

    sizes: Sizes
    group: Group
    arguments: tuple[Any, ...]  # of `programs.advance`, after the program; their shapes count

    @property
    def state(self) -> State:
        """The shapes of a tile's state, which is argument number 3."""
        state: State = self.arguments[3]
        return state

    @property
    def function(self) -> Any:
        """What is to be jitted."""
        return functools.partial(programs.advance, self.group.program)

    def types(self) -> set[str]:
        """Return the types of the arrays of the state, such as f32[2,3]."""
        leaves = jax.tree.leaves(self.state)
        return {f"{NAMES[leaf.dtype.name]}[{','.join(map(str, leaf.shape))}]" for leaf in leaves}


def training(
    configs: Sequence[Config], platform: str, costs: Costs, tile: int, planned: int | None = None,
    precision: str = "highest",
) -> Training:  # fmt: skip
    """Return the training of configs as it is written for a platform.

    Args:
        configs: with what differs from the defaults.
        platform: cpu, gpu or tpu; it need not be here.
        costs: by which is planned.
        tile: the networks of a tile.
        planned: the tile that is asked of the plan, if it is not to choose one.
        precision: what the sweep asks for.
    """
    data = prepare(load_dataset("digits"))
    rows = min(len(part) for part in data.train)
    full = [resolve(config, data.task, rows, data.image_shape is not None) for config in configs]
    engine = Engine(data, scope.of_configs(full), "val_accuracy", 0, workers=1, precision=precision)
    engine.platform = platform
    supply = engine.supply
    plan = make_plan(full, supply.sizes, 1, costs, planned, scope=engine.scope)
    group = engine._groups(plan, full, range(len(full)), 1)[0]
    choices, lanes = supply.choices([], group, tile), supply.lanes([], group, tile)
    with ambient.own():
        state = jax.eval_shape(functools.partial(programs._fresh, group.program, None), choices, lanes)
    number = np.int32(1)
    return Training(supply.sizes, group, (supply.places[0].data, choices, lanes, state, number, number))

"""Lanes in the middle of their training, as plain arrays: what it takes for another process to go on with them.

A tile makes them, `records/checkpoints.py` writes and reads them. No file is touched here.
"""

import hashlib
import json
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from jaxsweep.engine.outcome import Job, Parked
from jaxsweep.network.late import jax
from jaxsweep.spec.hyperparameters import Config

if TYPE_CHECKING:  # it knows JAX
    from jaxsweep.engine.bank import Row
    from jaxsweep.engine.population import Population


class Identity(NamedTuple):
    """Which lane of a sweep."""

    trial: int
    replicate: int
    fold: int

    @classmethod
    def of(cls, job: Job) -> "Identity":
        """Return which lane waits or trains."""
        return cls(job.trial, job.replicate, job.fold)


@dataclass(frozen=True)
class Checkpoint:
    """A lane as it stood after some epochs."""

    identity: Identity
    program: str  # names the program in whose tiles its state stands, and the code that this was compiled from
    config: int  # see `digest`
    epochs: int
    steps: int
    seconds: float
    curves: NDArray[np.float64]  # [epochs, curve metrics]
    test: NDArray[np.float64] | None  # [metrics], if it was scored
    state: Mapping[str, NDArray[Any]]  # its `train.State`, by the names of its arrays


@dataclass(frozen=True)
class Still:
    """A lane that stands still, whose state is a row of a bank for as long as anybody holds that."""

    identity: Identity
    program: str
    seed: int
    config: Config
    parked: Parked  # without its state, which would hold the row
    row: "weakref.ref[Row]"

    def checkpoint(self) -> Checkpoint | None:
        """Return what it has come to, unless it has gone on or ended since."""
        row = self.row()
        if row is None:
            return None
        return checkpoint(self.identity, self.program, self.seed, self.config, self.parked, row.tree())


class Saver(Protocol):
    """Who keeps checkpoints. Workers use it at the same time, each for its own tile."""

    def stand(self, lanes: Iterable[Still]) -> None:
        """Note lanes that stand still from now on, to be kept with the next ones that are."""

    def due(self) -> bool:
        """Return whether the worker that asks should hand over its lanes now."""

    def save(self, running: Sequence[Checkpoint], began: float | None = None) -> None:
        """Keep all lanes that a worker trains, instead of those it handed over before, and those that stand still.

        `began` is when the worker set about it, as `time.perf_counter` has it; by default now.
        """

    def due_together(self) -> bool:
        """Return whether a population should be handed over now."""

    def save_together(self, population: "Population") -> None:
        """Keep a population instead of the one before."""


def checkpoint(
    identity: Identity, program: str, seed: int, config: Config, parked: Parked, state: Any
) -> Checkpoint:  # fmt: skip
    """Return the checkpoint of a lane, whose state is a tree of arrays."""
    return Checkpoint(
        identity, program, digest(seed, config), parked.epochs, parked.steps, parked.seconds, parked.curves,
        parked.test, named(state),
    )  # fmt: skip


def digest(seed: int, config: Config) -> int:
    """Return a number for what a lane trains with: neither another seed nor another config goes on with its state."""
    text = json.dumps([seed, {name: str(value) for name, value in config.items()}], sort_keys=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def named(tree: Any) -> dict[str, Any]:
    """Return the arrays of a tree by their paths in it."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def fits(checkpoint: Checkpoint, shapes: Any) -> bool:
    """Return whether a lane's state has the arrays of a tile's state [tile, ...], for one lane."""
    wanted = {name: (leaf.shape[1:], leaf.dtype) for name, leaf in named(shapes).items()}
    return wanted == {name: (array.shape, array.dtype) for name, array in checkpoint.state.items()}


def together(checkpoints: Sequence[Checkpoint], shapes: Any) -> Any:
    """Return the states of lanes as a tree of arrays [lanes, ...], like that of a tile whose `shapes` they fit."""
    stacked = [np.stack([each.state[name] for each in checkpoints]) for name in named(shapes)]
    return jax.tree.unflatten(jax.tree.structure(shapes), stacked)

"""Lanes on their way into a tile: the queues in which they wait, and the constants that they train with.

`Supply` holds what the tiles of a sweep have in common: the data on the devices, how the constants of a lane follow
from its config and its identity, and how what a device measures becomes metrics.
"""

import math
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxsweep.data import Prepared
from jaxsweep.data.prepared import EVERY
from jaxsweep.data.subset import order_of_rows
from jaxsweep.engine.bank import Bank
from jaxsweep.engine.costs import sizes_of
from jaxsweep.engine.merging import continued
from jaxsweep.engine.outcome import Job
from jaxsweep.engine.placement import place
from jaxsweep.engine.tiling import SHARED, Alike
from jaxsweep.engine.underway import Work
from jaxsweep.network import randomness, schedules
from jaxsweep.network.mlp import Architecture
from jaxsweep.network.randomness import Held
from jaxsweep.network.train import Choices, Lane, Program
from jaxsweep.spec.hyperparameters import Config, depth_of, layer_widths, rows_seen
from jaxsweep.spec.metrics import measure_values, merit_shares, metric_values, unit_of
from jaxsweep.spec.parametrization import ONES, Factors, factors
from jaxsweep.spec.scope import NO_NUMBERS, Scope

_IDENTITY = ("trial", "replicate", "fold")
LONG = 2**31 - 1  # epochs: more than anyone trains
SEEN = 256  # lanes at the head of a queue among which a tile looks for like ones


class Group:
    """Lanes of one bucket that share the choices of a tile, waiting in a queue; `alike` is what they share."""

    def __init__(
        self, program: Program, work: Work, alike: Alike, jobs: deque[Job], configs: Sequence[Config], bank: Bank,
        states: str = "",
    ) -> None:  # fmt: skip
        self.program, self.work, self.alike, self.jobs, self.configs = program, work, alike, jobs, configs
        self.bank = bank  # of the bucket, for lanes that stand still
        self.states = states  # what another process must call the states of its lanes to go on with them
        self.bucket = bucket = work.bucket
        self.tile = bucket.tile  # lanes in a tile, as planned or as memory allows
        self.workers = 0  # how many are at it; the pool's to change
        self._lock = threading.Lock()

    def pop(self, count: int, beside: Sequence[Job] = ()) -> list[Job]:
        """Take up to `count` lanes from the queue.

        An epoch of a tile takes as many steps as that of its smallest batch, a step as many layers as its deepest
        network has, and lanes that have fewer wait: so those are taken first, of the ones at the head of the queue,
        that are most like the lanes `beside` them, which train there already, or like the first one.
        """
        with self._lock:
            seen = [self.jobs.popleft() for _ in range(min(count, len(self.jobs)))]
            if not seen:
                return []
            training = sorted(self._kind(job) for job in beside)
            middle = training[len(training) // 2] if training else self._kind(seen[0])
            if {self._kind(job) for job in seen} == {middle}:
                return seen
            seen += [self.jobs.popleft() for _ in range(min(SEEN, len(self.jobs)))]
            distances = [_distance(self._kind(job), middle) for job in seen]
            nearest = sorted(range(len(seen)), key=distances.__getitem__)  # of equals the first in the queue
            taken = {*nearest[:count]}
            self.jobs.extendleft(reversed([job for i, job in enumerate(seen) if i not in taken]))
            return [seen[i] for i in nearest[:count]]

    def _kind(self, job: Job) -> tuple[int, int]:
        """Return the number of layers of a lane, and its batch size."""
        config = self.configs[job.position]
        return 1 + depth_of(config), config["batch_size"]

    def shrink(self, size: int) -> bool:
        """Let tiles be half of this size from now on; return whether they were not made smaller meanwhile."""
        with self._lock:
            shrinks = self.tile >= size
            self.tile = min(self.tile, size // 2)
        return shrinks

    def push(self, jobs: Sequence[Job]) -> None:
        """Put lanes that are urgent before the others, in their order."""
        with self._lock:
            self.jobs.extendleft(reversed(jobs))


def _distance(kind: tuple[int, int], other: tuple[int, int]) -> float:
    """Return how unlike the work of two lanes is."""
    return sum(abs(math.log(a / b)) for a, b in zip(kind, other, strict=True))


class Supply:
    """What every tile of a sweep trains on.

    Args:
        data: the prepared data; put on each device once.
        scope: what the sweep can use.
        seed: the sweep's seed.
        objective: the metric that `monitor = objective` follows, without its val_.
        devices: those that train.
        metrics: how many of the user's own metrics there are beside the others.
    """

    def __init__(
        self, data: Prepared, scope: Scope, seed: int, objective: str, devices: Sequence[jax.Device | None] = (None,),
        metrics: int = 0,
    ) -> None:  # fmt: skip
        self.prepared, self.scope, self.seed, self.objective = data, scope, seed, objective
        self.measures = measure_values(data.task, data.n_outputs) + metrics
        self.sizes = sizes_of(data)
        some = "train_rows" in scope.traced
        self.few_rows = some or min(len(part) for part in data.train) <= randomness.FEW
        self._orders = [order_of_rows(data, split, seed) for split in range(len(data.train))] if some else None
        self._weights: dict[tuple[int, str, int], tuple[NDArray[np.float64], float]] = {}
        self.places = [place(data, device, self._orders) for device in devices]

    def lanes(self, jobs: Sequence[Job], group: Group, tile: int) -> Lane:
        """Return the constants of `jobs` as arrays [tile, ...]; slots beyond them hold zeros that never train."""
        dtype = np.dtype(jnp.result_type(float))
        configs = [group.configs[job.position] for job in jobs]
        of_splits = (len(self.prepared.train[job.fold]) for job in jobs)
        rows = np.array([rows_seen(*each) for each in zip(configs, of_splits, strict=True)], np.int32)
        batch = np.array([config["batch_size"] for config in configs], np.int32)
        batch = np.minimum(batch, rows)
        steps = -(-rows // np.maximum(batch, 1))
        epochs = np.array([config["epochs"] for config in configs], np.int32)
        ids = [np.array([getattr(job, name) for job in jobs], np.uint32) for name in _IDENTITY]
        indices = {}
        for name in ("init", "schedule", "loss", "monitor"):
            number = {value: number for number, value in enumerate(self.scope.values(name))}
            indices[name] = np.array([number[config[name]] for config in configs], np.int32)
        numbers = [name for name in self.scope.traced if name not in NO_NUMBERS]
        h = {name: np.array([config[name] for config in configs], dtype) for name in numbers}
        weight = None
        if self.prepared.weights is not None or "class_weight" in self.scope.traced:
            kinds = [
                (job.fold, str(config["class_weight"]), int(seen))
                for job, config, seen in zip(jobs, configs, rows, strict=True)
            ]
            weight = np.array([self._weighed(*kind)[1] for kind in kinds], dtype)
            if "class_weight" in self.scope.traced:
                classes = self.prepared.n_outputs
                h["class_weight"] = np.array([self._weighed(*kind)[0] for kind in kinds], dtype).reshape(-1, classes)
        if "min_delta" in h:
            deltas = np.array([self._min_delta(*each) for each in zip(jobs, configs, strict=True)])
            with np.errstate(over="ignore"):  # what float32 cannot hold, nothing improves by
                h["min_delta"] = deltas.astype(dtype)
        if "warmup" in h:
            h["warmup"] = np.array(
                [schedules.warmup_steps(w, int(t)) for w, t in zip(h["warmup"].tolist(), epochs * steps, strict=True)],
                dtype,
            )
        layers = None
        if "parametrization" in self.scope.traced:
            layers = np.array([self._factors(config, group.program.net) for config in configs], dtype)
            layers = layers.reshape(len(jobs), len(group.program.net.layers), len(ONES))
        shares = None
        if self.prepared.target_scale.ndim == 2:
            targets = self.prepared.target_scale.shape[1]
            shares = np.array([self._shares(job.fold)[0] for job in jobs], dtype).reshape(-1, targets)
        widths, depth, net = None, None, group.program.net
        if net.padded:
            full = [continued(layer_widths(config, self.sizes.outputs), len(net.widths)) for config in configs]
            widths = np.array(full, np.int32).reshape(len(jobs), len(net.widths))
        if net.shallower:
            depth = np.array([depth_of(config) for config in configs], np.int32)
        keys = randomness.lane_keys(self.seed, *ids)
        fields: dict[str, Any] = {
            "key": keys,
            "fold": np.array([job.fold for job in jobs], np.int32),
            "rows": rows,
            "batch_size": batch,
            "epoch_steps": steps.astype(np.int32),
            "epochs": epochs,
            "until": np.minimum(epochs, np.array([job.until or LONG for job in jobs], np.int32)),
            "init": indices["init"],
            "schedule": indices["schedule"],
            "loss": indices["loss"],
            "monitor": indices["monitor"],
            "widths": widths,
            "h": h,
            "weight": weight,
            "shares": shares,
            "depth": depth,
            "init_key": self._held("init_seed", Held.INIT, configs, keys),
            "layers": layers,
            "order_key": self._held("order_seed", Held.ORDER, configs, keys),
        }
        lanes: Lane = jax.tree.map(lambda a: _padded(a, tile), Lane(**fields))
        return lanes

    def choices(self, jobs: Sequence[Job], group: Group, tile: int) -> Choices:
        """Return the choices of a tile with `jobs`, each [], or [tile] where lanes have their own."""
        configs = [group.configs[job.position] for job in jobs]
        found: dict[str, Any] = {}
        for name in SHARED:
            values, shared = self.scope.values(name), getattr(group.alike, name)
            if shared is None:
                found[name] = _padded(np.array([values.index(config[name]) for config in configs], np.int32), tile)
            else:
                found[name] = np.int32(values.index(shared))
        if len(sizes := group.program.batches) > 1:
            found["batch"] = np.int32(sizes.index(group.alike.batch_size))
        return Choices(**found)

    def _held(
        self, name: str, held: Held, configs: Sequence[Config], keys: NDArray[np.uint32]
    ) -> NDArray[np.uint32] | None:
        """Return the keys of a seed that configs may hold, where these do not, those of the lanes, [lanes, 2].

        None if no config of the sweep can.
        """
        if name not in self.scope.traced:
            return None
        seeds = np.array([config[name] for config in configs], np.int64)
        return np.where(seeds[:, None] < 0, keys, randomness.held_keys(held, seeds))

    def _factors(self, config: Config, net: Architecture) -> list[Factors]:
        """Return the factors of each layer of a program, of one config; layers that its network lacks have 1."""
        *hidden, output = factors(config, self.sizes.features, self.sizes.outputs)
        return [*hidden, *[ONES] * (len(net.widths) - len(hidden)), output]

    def _some(self, fold: int, rows: int) -> NDArray[np.int32] | slice:
        """Return the places of the training rows of a split that a network sees which sees so many."""
        if self._orders is None or rows >= len(self._orders[fold]):
            return EVERY
        return self._orders[fold][:rows]

    def _weighed(self, fold: int, class_weight: str, rows: int) -> tuple[NDArray[np.float64], float]:
        """Return the weight of each class, [classes], and what so many training rows of a split weigh in all."""
        key = fold, class_weight, rows
        if key not in self._weights:
            data, some = self.prepared, self._some(fold, rows)
            of_classes = np.ones(data.n_outputs) if class_weight == "none" else data.class_weights(fold, some)
            of_rows = data.train_weights(fold, class_weight, some)
            self._weights[key] = of_classes, float(rows if of_rows is None else of_rows.sum())
        return self._weights[key]

    def _min_delta(self, job: Job, config: Config) -> float:
        """Return a config's min_delta in units of what its lane watches; programs know standardized targets alone."""
        if config["monitor"] != "objective" or config["min_delta"] == 0:
            return float(config["min_delta"])
        scale, variance = self.prepared.target_scale[job.fold], self.prepared.val_variance[job.fold]
        if scale.ndim:
            return float(config["min_delta"]) * self._shares(job.fold)[1]
        return float(config["min_delta"]) * unit_of(self.objective, float(scale), float(variance))

    def _shares(self, fold: int) -> tuple[NDArray[np.float64], float]:
        """Return how much each of several targets counts in the objective, [targets], and the size of its unit."""
        return merit_shares(self.objective, self.prepared.target_scale[fold], self.prepared.val_variance[fold])

    def curves(self, history: NDArray[Any], fold: int, rows: int) -> NDArray[np.float64]:
        """Return learning curves [..., curve metrics] in units of the target from what a device gave, [..., columns].

        They are the training loss, the validation metrics and, where programs measure them, those of the training rows
        but for their loss. The lanes see `rows` of these.
        """
        wide, data = history.astype(np.float64), self.prepared
        count, scale = self.measures, data.target_scale[fold]
        parts = [wide[..., :1], metric_values(wide[..., 1 : 1 + count], data.task, scale, data.val_variance[fold])]
        if wide.shape[-1] > 1 + count:
            some = self._some(fold, rows)
            variance = data.train_variance[fold] if some is EVERY else data.variance_of(fold, some)
            fit = metric_values(wide[..., 1 + count :], data.task, scale, variance)
            parts.append(fit[..., 1:])
        return np.concatenate(parts, axis=-1)

    def test_metrics(self, measures: NDArray[Any], fold: int) -> NDArray[np.float64]:
        """Return test metrics [..., metrics] in units of the target from what a device gave [..., measures]."""
        data = self.prepared
        variance = data.test_variance[fold]
        return metric_values(measures.astype(np.float64), data.task, data.target_scale[fold], variance)


def _padded(array: NDArray[Any], tile: int) -> NDArray[Any]:
    return np.concatenate([array, np.zeros((tile - len(array), *array.shape[1:]), array.dtype)])

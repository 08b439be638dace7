"""The plain reference: one config, ordinary Flax and Optax. No vmap, no padding, no masks.

Whatever the engine does to thousands of networks at once, each must come out as if this page had trained it. The
random draws (order of the examples, dropout, noise) come from `randomness`, which the engine uses too; everything
else is Flax's, Optax's and, for the metrics, scikit-learn's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array

from jaxsweep.data import Prepared
from jaxsweep.data.prepared import EVERY
from jaxsweep.data.start import Start
from jaxsweep.data.subset import order_of_rows
from jaxsweep.network import ambient, randomness
from jaxsweep.network.activations import activation as activation_row
from jaxsweep.network.augment import NAMES as AUGMENTATIONS
from jaxsweep.network.augment import augment
from jaxsweep.network.initial import INITIALIZERS
from jaxsweep.network.mlp import NORM_EPSILON, NORM_MOMENTUM
from jaxsweep.network.objective import loss as loss_row
from jaxsweep.network.objective import smooths
from jaxsweep.network.optimizers import OPTIMIZERS, kernel_decay
from jaxsweep.network.randomness import Held, Stream
from jaxsweep.network.schedules import ONECYCLE_RISE, SCHEDULES, Span
from jaxsweep.network.scores import SCORES, Judged
from jaxsweep.spec.hyperparameters import Config, layer_names, layer_widths, resolve
from jaxsweep.spec.lineage import Lineage, Part
from jaxsweep.spec.metrics import default_objective, metric_names, sign
from jaxsweep.spec.own import OwnMetric, check_given, directed
from jaxsweep.spec.parametrization import factors


class MLP(nn.Module):
    """A multilayer perceptron: dense layers with an optional normalization, an activation and dropout after each."""

    config: Any
    outputs: int

    @nn.compact
    def __call__(self, x: Array, dropout: Callable[[int, Array], Array] | None = None) -> Array:
        """Return outputs [batch, outputs]; `dropout(layer, x)` is given in training only.

        A batch of one row has no variance: batch norm treats it as in use, and its running statistics stay.
        """
        scales = [self.config["init_scale"] * each.init for each in factors(self.config, x.shape[-1], self.outputs)]
        init = [initializer(self.config["init"], scale) for scale in scales]
        activation = activation_row(self.config["activation"]).reference(self.config)
        for layer, width in enumerate(layer_widths(self.config, self.outputs)):
            # Batch norm takes a bias away again, so that there is none before it.
            bias = self.config["norm"] != "batch"
            x = nn.Dense(width, use_bias=bias, kernel_init=init[layer], param_dtype=x.dtype, name=f"hidden_{layer}")(x)
            x = self._normalize(layer, x, training=dropout is not None and len(x) > 1)
            x = activation(x)
            if dropout is not None:
                x = dropout(layer + 1, x)
        return nn.Dense(self.outputs, kernel_init=init[-1], param_dtype=x.dtype, name="output")(x)

    def _normalize(self, layer: int, x: Array, training: bool) -> Array:
        if self.config["norm"] == "batch":
            norm = nn.BatchNorm(
                use_running_average=not training, momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON,
                use_fast_variance=False, param_dtype=x.dtype, name=f"norm_{layer}",
            )  # fmt: skip
            return norm(x)
        if self.config["norm"] == "layer":
            return nn.LayerNorm(
                epsilon=NORM_EPSILON, use_fast_variance=False, param_dtype=x.dtype, name=f"norm_{layer}"
            )(x)
        return x


def initializer(name: str, scale: float) -> Callable[..., Array]:
    """Return the Flax initializer `name`, its values multiplied by `scale`."""
    draw = INITIALIZERS[name].reference()
    return lambda key, shape, dtype=None: scale * draw(key, shape, dtype)


def loss_function(config: Config, task: str, training: bool) -> Callable[[Array, Array], Array]:
    """Return the loss of each example; labels are smoothed in training only."""
    loss = loss_row(config["loss"], task).reference
    if not training or not smooths(config["loss"], task):
        return lambda outputs, targets: loss(config, outputs, targets)
    return lambda outputs, targets: loss(config, outputs, optax.smooth_labels(targets, config["label_smoothing"]))


def learning_rate(config: Config, epoch_steps: int) -> optax.Schedule:
    """Return the learning rate of each step as an Optax schedule."""
    total = epoch_steps * config["epochs"]
    warmup = round(config["warmup"] * total)
    last = max(total - warmup - 1, 1)
    every = Fraction(repr(config["decay_every"])) * epoch_steps
    span = Span(total - warmup, last, every, ONECYCLE_RISE * last // 10)
    schedule = SCHEDULES[config["schedule"]].reference(config, span)
    if warmup > 0:
        schedule = optax.join_schedules(
            [optax.linear_schedule(0.0, config["learning_rate"], warmup), schedule], [warmup]
        )
    # Optax counts steps in int32, which JAX divides in float32 even where everything else is float64.
    return lambda step: schedule(jnp.asarray(step, jnp.result_type(float)))


def optimizer(config: Config, epoch_steps: int, features: int, outputs: int) -> optax.GradientTransformation:
    """Return the Optax optimizer of a config, for networks with so many inputs and outputs."""
    row = OPTIMIZERS[config["optimizer"]]
    frozen = _by_layer({f"hidden_{layer}": optax.set_to_zero() for layer in range(config["frozen"])})
    return optax.chain(
        frozen,
        optax.clip_by_global_norm(config["clip_norm"]) if config["clip_norm"] else optax.identity(),
        row.reference(config),
        _of_width(config, features, outputs),
        optax.identity() if row.decays else kernel_decay(config),
        optax.scale_by_learning_rate(learning_rate(config, epoch_steps)),
        frozen,
    )


def _of_width(config: Config, features: int, outputs: int) -> optax.GradientTransformation:
    """Return the factors of each layer that follow from its width, as a transformation of directions."""
    if config["parametrization"] == "standard":
        return optax.identity()
    several = factors(config, features, outputs)
    by_name = dict(zip(layer_names(len(several) - 1), several, strict=True))
    scales = {f"{name}/kernel": optax.scale(each.kernel) for name, each in by_name.items()}
    return _by_layer({**scales, **{f"{name}/vector": optax.scale(each.vector) for name, each in by_name.items()}})


def _by_layer(of: dict[str, optax.GradientTransformation]) -> optax.GradientTransformation:
    """Return Optax's transformation by layer (with its normalization), or by `layer/kernel`, `layer/vector`."""

    def label(path: Any, _: Any) -> str:
        name = path[0].key.replace("norm_", "hidden_")
        kind = "kernel" if path[-1].key == "kernel" else "vector"
        return next((key for key in (name, f"{name}/{kind}") if key in of), "")

    labels = lambda params: jax.tree_util.tree_map_with_path(label, params)  # noqa: E731
    return optax.multi_transform({"": optax.identity(), **of}, labels)


@dataclass(repr=False)
class Solo:
    """What one training gives: `status`, learning curves by metric name, and the weights of the last epoch (or of
    the best, if asked for), as NumPy arrays in the layout of the Flax module.
    """

    config: Config
    status: str
    curves: dict[str, np.ndarray]
    params: dict[str, dict[str, np.ndarray]]
    stats: dict[str, dict[str, np.ndarray]]
    best_epoch: int
    diverged_at: int | None = None
    initial: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """Return the number of epochs trained."""
        return len(self.curves["train_loss"])

    def __repr__(self) -> str:
        ends = {name: float(f"{curve[-1]:.4g}") for name, curve in self.curves.items() if len(curve)}
        return f"Solo({self.status} after {self.epochs} epochs, {ends})"


@ambient.own()
def train(
    data: Prepared,
    config: Mapping[str, Any],
    seed: int = 0,
    *,
    trial: int = 0,
    replicate: int = 0,
    fold: int = 0,
    objective_metric: str | None = None,
    keep_best: bool = False,
    train_metrics: bool = False,
    stop_after: int | None = None,
    metrics: Sequence[OwnMetric] = (),
    lineage: Lineage = (),
) -> Solo:
    """Train one config on one split and return its curves and weights.

    Args:
        data: the prepared data.
        config: hyperparameters by name; those left out have their defaults.
        seed: the sweep's seed; with `trial`, `replicate` and `fold` it decides every random number.
        trial: the trial's id in the sweep.
        replicate: the number of the replicate.
        fold: the number of the split.
        objective_metric: what `monitor = "objective"` and keep_best follow, such as `val_accuracy`.
        keep_best: return the weights of the epoch with the best objective instead of the last.
        train_metrics: let the curves hold the metrics of the training rows after each epoch, too.
        stop_after: end after so many epochs, of a schedule that is laid out for all of them.
        metrics: of the user's own.
        lineage: the parts of a training that followed several configs, with the random numbers of several trials; the
            last of them are `config` and `trial`.
    """
    first, *later = lineage or (Part(0, trial, dict(config)),)
    config, trial = first.config, first.trial
    full = resolve(config, data.task, min(len(part) for part in data.train), data.image_shape is not None)
    check_given(full, metrics)
    some: np.ndarray | slice = EVERY
    if 0 < full["train_rows"] < len(data.train[fold]):
        some = order_of_rows(data, fold, seed)[: full["train_rows"]]
    weights = data.train_weights(fold, full["class_weight"], some)
    metric = directed(objective_metric or default_objective(data.task), metrics)
    run = _Run(data, full, fold, some, randomness.lane_key(seed, trial, replicate, fold), weights, metrics)
    rows = len(run.rows)
    batch_size = min(full["batch_size"], rows)
    steps = -(-rows // batch_size)
    tx = optimizer(full, steps, data.x.shape[2], data.n_outputs)
    variables = jax.jit(run.model.init)(randomness.wrap(_held(full, Held.INIT, run.key)), run.x_train[:1])
    params, stats = variables["params"], variables.get("batch_stats", {})
    if data.start is not None:
        params, stats = _started(params, stats, data.start, full["transfer"])
    state = tx.init(params)
    step_fn = jax.jit(run.step(tx))
    best = _Best(full, metric)
    initial = _numpy(params)
    kept, number = (params, stats), 0
    curves: list[dict[str, float]] = []
    for epoch in range(min(full["epochs"], stop_after or full["epochs"])):
        while later and later[0].epoch == epoch:  # weights, optimizer's state and early stopping go on
            part = later.pop(0)
            full = resolve(part.config, data.task, min(len(part) for part in data.train), data.image_shape is not None)
            weights = data.train_weights(fold, full["class_weight"], some)
            key = randomness.lane_key(seed, part.trial, replicate, fold)
            run, best.config = _Run(data, full, fold, some, key, weights, metrics), full
            tx = optimizer(full, steps, data.x.shape[2], data.n_outputs)
            step_fn = jax.jit(run.step(tx))
        order = np.asarray(_shuffled(_held(full, Held.ORDER, run.key), epoch, rows))
        loss_sum = 0.0
        for start in range(0, rows, batch_size):
            batch = order[start : start + batch_size]
            new_params, new_stats, new_state, loss, mass = step_fn(params, stats, state, batch, number)
            loss_sum += float(loss) * float(mass)
            if not np.isfinite(loss):
                return Solo(
                    full, "diverged", _columns(curves), _numpy(kept[0]), _numpy(kept[1]), best.epoch, number, initial
                )
            params, stats, state, number = new_params, new_stats, new_state, number + 1
        whole = rows if weights is None else weights.sum()
        curves.append({"train_loss": loss_sum / whole, **run.evaluate(params, stats)})
        if train_metrics:
            curves[-1].update(run.evaluate_training(params, stats))
        if not np.isfinite([curves[-1]["train_loss"], curves[-1]["val_loss"]]).all():
            return Solo(
                full, "diverged", _columns(curves), _numpy(kept[0]), _numpy(kept[1]), best.epoch, number, initial
            )
        if best.see(epoch, curves[-1]) or not keep_best:
            kept = (params, stats)
        if best.patience_lost:
            break
    status = "completed" if len(curves) == full["epochs"] else "stopped"
    return Solo(full, status, _columns(curves), _numpy(kept[0]), _numpy(kept[1]), best.epoch, None, initial)


@partial(jax.jit, static_argnums=2)
def _shuffled(key: Array, epoch: int, rows: int) -> Array:
    return randomness.permutation(randomness.stream(key, Stream.SHUFFLE, epoch), rows, rows)


def _started(params: Any, stats: Any, start: Start, layers: int) -> tuple[Any, Any]:
    """Return weights with those of a trained network in place of the first layers whose shapes agree, -1: of all."""
    params, stats = dict(params), dict(stats)
    names = layer_names(sum("kernel" in arrays for arrays in params.values()) - 1)
    for name in names if layers < 0 else names[:layers]:
        if start.shapes.get(name) != params[name]["kernel"].shape:
            continue
        pairs = [(params, start.params, name)]
        if name != "output":
            behind = name.replace("hidden", "norm")
            pairs += [(params, start.params, behind), (stats, start.stats, behind)]
        for tree, source, layer in pairs:
            if layer in tree and layer in source:
                own = tree[layer]
                tree[layer] = {
                    key: jnp.asarray(source[layer][key], own[key].dtype) if key in source[layer] else own[key]
                    for key in own
                }
    return params, stats


def _held(config: Config, held: Held, key: Array) -> Array:
    """Return the key of a seed that a config holds, or else the lane's."""
    seed = config["init_seed" if held == Held.INIT else "order_seed"]
    return key if seed < 0 else randomness.held_key(held, seed)


class _Best:
    """Early stopping and the best epoch."""

    def __init__(self, config: Config, metric: str):
        self.config, self.metric = config, metric
        self.sign = sign(metric)
        self.score, self.lowest, self.wait, self.epoch = -np.inf, np.inf, 0, 0

    def see(self, epoch: int, values: dict[str, float]) -> bool:
        """Take note of an evaluation; return whether its objective is the best so far."""
        score = self.sign * values[self.metric]
        value = -score if self.config["monitor"] == "objective" else values[self.config["monitor"]]
        self.wait = 0 if value < self.lowest - self.config["min_delta"] else self.wait + 1
        self.lowest = min(self.lowest, value)
        better = score > self.score
        if better:
            self.score, self.epoch = score, epoch
        return better

    @property
    def patience_lost(self) -> bool:
        return bool(0 < self.config["patience"] <= self.wait)


class _Run:
    """The data of one split on the device, and the functions of one training."""

    def __init__(
        self, data: Prepared, config: Config, fold: int, some: np.ndarray | slice, key: Array,
        weights: np.ndarray | None, metrics: Sequence[OwnMetric],
    ):  # fmt: skip
        self.data, self.config, self.fold, self.some, self.key, self.metrics = data, config, fold, some, key, metrics
        self.rows = rows = data.train[fold][some]
        dtype = jnp.result_type(float)
        self.weights = None if weights is None else jnp.asarray(weights, dtype)
        self.classes = data.task == "classification"
        self.x_train = jnp.asarray(data.x[fold][rows], dtype)
        self.y_train = jnp.asarray(data.y[fold][rows], None if self.classes else dtype)
        self.x_val = jnp.asarray(data.x[fold][data.val[fold]], dtype)
        self.y_val = data.y[fold][data.val[fold]]
        self.model = MLP(config, data.n_outputs)
        self.predict = jax.jit(lambda params, stats, x: self.model.apply({"params": params, "batch_stats": stats}, x))

    def targets(self, y: Array) -> Array:
        if self.classes:
            return jax.nn.one_hot(y, self.data.n_outputs)
        return y[:, None] if y.ndim == 1 else y

    def step(self, tx: optax.GradientTransformation) -> Callable[..., Any]:
        loss_of = loss_function(self.config, self.data.task, training=True)

        def step(params: Any, stats: Any, state: Any, batch: Array, number: Array) -> Any:
            weights = jnp.ones(len(batch)) if self.weights is None else self.weights[batch]
            x, targets, weights = self.disturb(self.x_train[batch], self.targets(self.y_train[batch]), weights, number)
            mass = jnp.asarray(len(batch), x.dtype) if self.weights is None else weights.sum()
            dropout = randomness.stream(self.key, Stream.DROPOUT, number)

            def loss_fn(params: Any) -> tuple[Array, Any]:
                outputs, changed = self.model.apply(
                    {"params": params, "batch_stats": stats},
                    x,
                    lambda layer, x: self.drop(randomness.stream(dropout, layer), x, self.config["dropout"]),
                    mutable=["batch_stats"],
                )
                kernels = [layer["kernel"] for layer in params.values() if "kernel" in layer]
                l1 = self.config["l1"] and self.config["l1"] * sum(jnp.sum(jnp.abs(kernel)) for kernel in kernels)
                l2 = self.config["l2"] and self.config["l2"] / 2 * sum(jnp.sum(kernel**2) for kernel in kernels)
                losses = loss_of(outputs, targets)
                if self.weights is None:
                    mean = losses.mean()
                else:  # the weighted mean; a batch that weighs nothing has no loss
                    mean = (weights * losses).sum() / jnp.where(mass > 0, mass, 1)
                return mean + l1 + l2, changed.get("batch_stats", {})

            (loss, new_stats), gradients = jax.value_and_grad(loss_fn, has_aux=True)(params)
            updates, state = tx.update(gradients, state, params)
            return optax.apply_updates(params, updates), new_stats, state, loss, mass

        return step

    def disturb(self, x: Array, targets: Array, weights: Array, number: Array) -> tuple[Array, Array, Array]:
        config, key = self.config, self.key
        if any(config[name] for name in AUGMENTATIONS) and self.data.image_shape is not None:
            limits = {name: jnp.asarray(config[name], x.dtype) for name in AUGMENTATIONS}
            x = augment(self.data.image_shape, limits, randomness.stream(key, Stream.AUGMENT, number), x)
        if config["mixup_alpha"]:
            chance = randomness.wrap(randomness.stream(key, Stream.MIXUP, number))
            share = jax.random.beta(chance, config["mixup_alpha"], config["mixup_alpha"])
            x = share * x + (1 - share) * jnp.roll(x, -1, axis=0)
            targets = share * targets + (1 - share) * jnp.roll(targets, -1, axis=0)
            weights = share * weights + (1 - share) * jnp.roll(weights, -1)
        if config["input_noise"]:
            noise = randomness.normal(randomness.stream(key, Stream.NOISE, number), x.shape)
            x = x + config["input_noise"] * noise
        x = self.drop(randomness.stream(key, Stream.DROPOUT, number, 0), x, config["input_dropout"])
        return x, targets, weights

    def drop(self, key: Array, x: Array, rate: float) -> Array:
        if rate == 0:
            return x
        return jnp.where(randomness.keep(key, x.shape, rate), x / (1 - rate), 0)

    def evaluate(self, params: Any, stats: Any) -> dict[str, float]:
        """Return the validation metrics, computed on the host by scikit-learn."""
        data, fold = self.data, self.fold
        return self._metrics("val_", params, stats, self.x_val, self.y_val, data.val_variance[fold], data.val[fold])

    def evaluate_training(self, params: Any, stats: Any) -> dict[str, float]:
        """Return the same of the training rows but for their loss, whose curve is that of the training itself."""
        data, fold, rows = self.data, self.fold, self.rows
        variance = data.train_variance[fold] if self.some is EVERY else data.variance_of(fold, self.some)
        metrics = self._metrics("train_", params, stats, self.x_train, data.y[fold][rows], variance, rows)
        return {name: value for name, value in metrics.items() if name != "train_loss"}

    def _metrics(
        self, prefix: str, params: Any, stats: Any, x: Array, y: np.ndarray, variance: Any, rows: np.ndarray
    ) -> dict[str, float]:
        weights = None if self.data.weights is None else self.data.weights[rows]
        outputs = self.predict(params, stats, x)
        targets = self.targets(jnp.asarray(y, None if self.classes else outputs.dtype))
        losses = np.asarray(loss_function(self.config, self.data.task, training=False)(outputs, targets))
        loss = float(losses.mean() if weights is None else (weights * losses).sum() / weights.sum())
        found = {"loss": loss}
        if np.isfinite(np.asarray(outputs)).all():
            scale = self.data.target_scale[self.fold]
            judged = Judged(y, np.asarray(outputs, np.float64), scale, constant=bool(np.any(variance == 0)))
            if weights is not None:  # rows that weigh nothing are as good as absent
                some = weights > 0
                judged = Judged(y[some], judged.outputs[some], scale, judged.constant, weights[some])
            references = {name: SCORES[name].reference for name in metric_names(self.data.task, self.data.n_outputs)}
            found |= {name: judge(judged) for name, judge in references.items() if judge is not None}
            found |= self._own_metrics(outputs, y, weights)
        else:
            found["loss"] = np.nan
        return {prefix + name: value for name, value in found.items()}

    def _own_metrics(self, outputs: Array, y: np.ndarray, weights: np.ndarray | None) -> dict[str, float]:
        """Return the metrics of the user's own, of all rows."""
        seen = outputs if self.classes or y.ndim == 2 else outputs[:, 0]
        targets = jnp.asarray(y, jnp.int32 if self.classes else outputs.dtype)
        counts = jnp.ones(len(y), outputs.dtype) if weights is None else jnp.asarray(weights, outputs.dtype)
        return {metric: float(metric.of_rows(seen, targets, counts)) for metric in self.metrics}


def _columns(rows: list[dict[str, float]]) -> dict[str, np.ndarray]:
    names = rows[0] if rows else ("train_loss", "val_loss")
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def _numpy(tree: Any) -> Any:
    """Return the tree as NumPy arrays, a missing bias as zeros."""
    arrays = jax.tree.map(np.asarray, tree)
    for layer in arrays.values():
        if "kernel" in layer and "bias" not in layer:
            layer["bias"] = np.zeros(layer["kernel"].shape[1], layer["kernel"].dtype)
    return arrays

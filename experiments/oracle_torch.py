"""Trainings in PyTorch that know nothing of jaxsweep: same data, same hyperparameters, own random numbers.

A training here is equal to one of the package in distribution only. Many seeds are trained side by side, as one more
axis of every tensor; no seed sees another. What PyTorch has, it does: its optimizers, losses, initial weights and
images; rmsprop with eps inside the root, lion and lamb are written out.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import textbook
import torch
from numpy.typing import NDArray
from torch.nn import functional

Config = dict[str, Any]
NORM_MOMENTUM, NORM_EPSILON = 0.9, 1e-5


class Task(NamedTuple):
    """The rows to train and to validate on: x [rows, features], y [rows] (class codes or standardized targets)."""

    x: NDArray[Any]
    y: NDArray[Any]
    x_val: NDArray[Any]
    y_val: NDArray[Any]
    outputs: int
    image_shape: tuple[int, int] | None

    @property
    def classes(self) -> bool:
        """Whether the targets are classes."""
        return self.y.dtype.kind == "i"


# --- optimizers ----------------------------------------------------------------------------------------------------


def optimizer(kernels: list[Any], others: list[Any], c: Config) -> Any:
    """Return an optimizer of tensors [seeds, ...]; only kernels decay."""
    name, rate, betas = c["optimizer"], c["learning_rate"], (c["b1"], c["b2"])
    groups = [{"params": kernels, "weight_decay": c["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    plain = [*kernels, *others]
    if name in ("adam", "adamw"):
        return torch.optim.AdamW(groups, rate, betas, c["eps"])
    if name == "nadam":  # with this momentum_decay b1 is constant
        return torch.optim.NAdam(groups, rate, betas, c["eps"], momentum_decay=1e6, decoupled_weight_decay=True)
    if name in ("rmsprop", "lion", "lamb"):
        return Written(name, groups, c)
    if c["weight_decay"]:
        raise ValueError(f"PyTorch's {name} adds weight decay to the gradient")
    if name == "sgd":
        return torch.optim.SGD(plain, rate, c["momentum"], nesterov=bool(c["nesterov"]))
    if name == "adagrad":
        return torch.optim.Adagrad(plain, rate, initial_accumulator_value=0.1, eps=c["eps"])
    return torch.optim.Adadelta(plain, rate, c["rms_decay"], c["eps"])


class Written:
    """Optimizers that PyTorch lacks, or has in another form; norms are one seed's."""

    def __init__(self, name: str, groups: list[dict[str, Any]], c: Config) -> None:
        self.name, self.c, self.steps = name, c, 0
        self.param_groups = [{**group, "lr": c["learning_rate"]} for group in groups]
        self.state = {id(p): (torch.zeros_like(p), torch.zeros_like(p)) for g in groups for p in g["params"]}

    def step(self) -> None:
        """Move every tensor by one step of its gradient."""
        self.steps += 1
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p -= group["lr"] * self._direction(p, p.grad, *self.state[id(p)], group["weight_decay"])

    def _direction(self, p: Any, g: Any, mean: Any, square: Any, decay: float) -> Any:
        c = self.c
        if self.name == "rmsprop":
            square.lerp_(g * g, 1 - c["rms_decay"])
            return g / (square + c["eps"]).sqrt() + decay * p
        if self.name == "lion":
            sign = torch.lerp(g, mean, c["b1"]).sign()
            mean.lerp_(g, 1 - c["b2"])
            return sign + decay * p
        mean.lerp_(g, 1 - c["b1"])
        square.lerp_(g * g, 1 - c["b2"])
        corrected = square / (1 - c["b2"] ** self.steps)
        direction = mean / (1 - c["b1"] ** self.steps) / (corrected.sqrt() + c["eps"]) + decay * p
        size, length = (t.flatten(1).norm(dim=1).view(-1, *[1] * (p.dim() - 1)) for t in (p, direction))
        return direction * torch.where((size > 0) & (length > 0), size / length, 1.0)


def optimizer_path(
    c: Config, start: textbook.Tensors, gradient: Callable[[int, textbook.Tensors], textbook.Tensors], steps: int
) -> Iterator[textbook.Tensors]:
    """Yield the parameters after each step on given gradients, in float64."""
    params = {key: torch.tensor(value[None]) for key, value in start.items()}
    kernels = [p for key, p in params.items() if key.endswith("kernel")]
    chosen = optimizer(kernels, [p for key, p in params.items() if not key.endswith("kernel")], c)
    for step in range(steps):
        for key, g in gradient(step, {key: p[0].numpy() for key, p in params.items()}).items():
            params[key].grad = torch.tensor(g[None])
        chosen.step()
        yield {key: p[0].numpy().copy() for key, p in params.items()}


# --- losses and images ---------------------------------------------------------------------------------------------


def losses(c: Config, outputs: Any, targets: Any, smoothing: float) -> Any:
    """Return the loss of each example [...], for outputs and targets [..., outputs]."""
    if c["loss"] == "cross_entropy":
        flat = functional.cross_entropy(
            outputs.flatten(0, -2), targets.flatten(0, -2), reduction="none", label_smoothing=smoothing
        )
        return flat.view(outputs.shape[:-1])
    if c["loss"] == "focal":
        log_p = functional.log_softmax(outputs, dim=-1)
        smooth = (1 - smoothing) * targets + smoothing / outputs.shape[-1]
        return -(smooth * (1 - log_p.exp()) ** c["focal_gamma"] * log_p).sum(-1)
    error = outputs - targets
    zero = torch.zeros_like(error)
    each = {
        "mse": lambda: functional.mse_loss(error, zero, reduction="none"),
        "mae": lambda: functional.l1_loss(error, zero, reduction="none"),
        "huber": lambda: functional.huber_loss(error, zero, reduction="none", delta=c["huber_delta"]),
        "log_cosh": lambda: torch.logaddexp(error, -error) - np.log(2),
    }
    return each[c["loss"]]().mean(-1)  # over the targets


def loss_and_gradient(c: Config, outputs: Any, targets: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return losses [rows] and their gradient [rows, outputs], by PyTorch's own differentiation in float64."""
    leaf = torch.tensor(outputs, requires_grad=True)
    values = losses(c, leaf, torch.tensor(targets), c["label_smoothing"])
    (gradient,) = torch.autograd.grad(values.sum(), leaf)
    return values.detach().numpy(), gradient.numpy()


def augmented(c: Config, shape: tuple[int, int], x: Any) -> Any:
    """Return images [seeds, batch, pixels] of a square `shape`, each changed at random."""
    seeds, batch, _ = x.shape
    count, side = seeds * batch, shape[0]
    if shape != (side, side):
        raise ValueError(f"images of {shape} are not square")

    def draw(limit: float, *more: int) -> Any:
        return (2 * torch.rand(count, *more) - 1) * limit

    angle, size = draw(np.deg2rad(c["rotation"])), 1 + draw(c["scaling"])
    shift = draw(c["shift"], 2) * side * 2 / (side - 1)  # PyTorch counts from -1 to 1 between the outermost pixels
    mirror = torch.where(torch.rand(count) < c["flip"], -1.0, 1.0)
    cosine, sine = angle.cos() / size, angle.sin() / size
    turn = torch.stack([torch.stack([cosine * mirror, -sine], 1), torch.stack([sine * mirror, cosine], 1)], 1)
    theta = torch.cat([turn, -turn @ shift[:, :, None]], dim=2)
    grid = functional.affine_grid(theta, [count, 1, side, side], align_corners=True)
    images = x.reshape(count, 1, side, side)
    moved = functional.grid_sample(images, grid, padding_mode="border", align_corners=True)
    return moved.reshape(x.shape)


# --- the network and its training ------------------------------------------------------------------------------------


class Networks:
    """Multilayer perceptrons of one shape, [seeds] of them."""

    def __init__(self, features: int, outputs: int, c: Config, seeds: int) -> None:
        self.c, self.depth = c, c["depth"]
        sizes = [features, *[c["width"]] * self.depth, outputs]
        self.kernels = [_initial(c["init"], seeds, *pair) for pair in pairwise(sizes)]
        self.biases = [torch.zeros(seeds, 1, size) for size in sizes[1:]]
        normed = sizes[1:-1] if c["norm"] != "none" else []
        self.scales = [torch.ones(seeds, 1, size) for size in normed]
        self.shifts = [torch.zeros(seeds, 1, size) for size in normed]
        self.means = [torch.zeros(seeds, 1, size) for size in normed]
        self.variances = [torch.ones(seeds, 1, size) for size in normed]
        free = self.biases[self.depth :] if c["norm"] == "batch" else self.biases  # batch norm takes a bias away
        self.others = [*free, *self.scales, *self.shifts]
        for p in [*self.kernels, *self.others]:
            p.requires_grad_(True)

    def outputs(self, x: Any, training: bool) -> Any:
        """Return outputs [seeds, batch, outputs] for x [seeds, batch, features]."""
        activation = getattr(torch, self.c["activation"])
        for layer in range(self.depth):
            x = x @ self.kernels[layer] + self.biases[layer]
            if self.scales:
                x = self._normalized(layer, x, training)
            x = activation(x)
            if training and self.c["dropout"]:
                x = functional.dropout(x, self.c["dropout"])
        return x @ self.kernels[-1] + self.biases[-1]

    def _normalized(self, layer: int, x: Any, training: bool) -> Any:
        if self.c["norm"] == "layer":
            x = functional.layer_norm(x, x.shape[-1:], eps=NORM_EPSILON)
        else:
            mean, variance = self.means[layer], self.variances[layer]
            if training:
                mean, variance = x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)
                for running, new in ((self.means[layer], mean), (self.variances[layer], variance)):
                    running.lerp_(new.detach(), 1 - NORM_MOMENTUM)
            x = (x - mean) / (variance + NORM_EPSILON).sqrt()
        return x * self.scales[layer] + self.shifts[layer]

    def penalty(self) -> Any:
        """Return the penalties on the kernels, [seeds]."""
        l1 = sum(w.abs().sum((1, 2)) for w in self.kernels)
        return self.c["l1"] * l1 + self.c["l2"] / 2 * sum((w * w).sum((1, 2)) for w in self.kernels)

    def clip(self) -> None:
        """Shorten each seed's gradient to the length of clip_norm at most."""
        grads = [p.grad for p in [*self.kernels, *self.others]]
        norm = sum((g * g).flatten(1).sum(1) for g in grads) ** 0.5
        share = (self.c["clip_norm"] / norm).clamp(max=1.0)[:, None, None]
        for g in grads:
            g *= share


def _initial(name: str, seeds: int, rows: int, columns: int) -> Any:
    """Return kernels [seeds, rows, columns]; PyTorch stores them the other way round, and so takes its fans."""
    kernels = torch.empty(seeds, columns, rows)
    for kernel in kernels:
        if name == "glorot_uniform":
            torch.nn.init.xavier_uniform_(kernel)
        elif name == "he_uniform":
            torch.nn.init.kaiming_uniform_(kernel, nonlinearity="relu")
        elif name == "orthogonal":
            torch.nn.init.orthogonal_(kernel)
        else:
            deviation = textbook.initial(name, rows, columns).std() / textbook.CUT_SPREAD
            torch.nn.init.trunc_normal_(kernel, std=deviation, a=-2 * deviation, b=2 * deviation)
    return kernels.transpose(1, 2).contiguous()


def train(task: Task, c: Config, seeds: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the training loss over the last epoch, as it was minimized, and the last validation loss, [seeds] each."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # with two they mostly wait for each other
    x, x_val = (torch.tensor(array, dtype=torch.float32) for array in (task.x, task.x_val))
    y, y_val = (_targets(task, array) for array in (task.y, task.y_val))
    rows, batch = len(x), c["batch_size"]
    networks = Networks(x.shape[1], task.outputs, c, seeds)
    chosen = optimizer(networks.kernels, networks.others, c)
    steps, total = -(-rows // batch), torch.zeros(seeds)
    for epoch in range(c["epochs"]):
        orders = torch.rand(seeds, rows).argsort(dim=1)
        total = torch.zeros(seeds)
        for number, picked in enumerate(orders.split(batch, dim=1)):
            rate = textbook.learning_rate(c["schedule"], c, epoch * steps + number, steps, c["epochs"])
            for group in chosen.param_groups:
                group["lr"] = rate
            inputs, targets = _disturbed(task, c, x[picked], y[picked])
            outputs = networks.outputs(inputs, training=True)
            loss = losses(c, outputs, targets, c["label_smoothing"]).mean(1) + networks.penalty()
            for p in [*networks.kernels, *networks.others]:
                p.grad = None
            loss.sum().backward()
            if c["clip_norm"]:
                networks.clip()
            chosen.step()
            total += loss.detach() * picked.shape[1]
    with torch.no_grad():
        outputs = networks.outputs(x_val.expand(seeds, -1, -1), training=False)
        validation = losses(c, outputs, y_val.expand(seeds, -1, -1), 0.0).mean(1)
    return (total / rows).numpy().astype(np.float64), validation.numpy().astype(np.float64)


def _targets(task: Task, y: NDArray[Any]) -> Any:
    if task.classes:
        return functional.one_hot(torch.tensor(y, dtype=torch.int64), task.outputs).float()
    return torch.tensor(y, dtype=torch.float32)[:, None]


def _disturbed(task: Task, c: Config, x: Any, y: Any) -> tuple[Any, Any]:
    """Return the batch after augmentation, mixup (one share a batch), noise and input dropout."""
    if task.image_shape is not None and any(c[name] for name in ("rotation", "scaling", "shift", "flip")):
        x = augmented(c, task.image_shape, x)
    if c["mixup_alpha"]:
        alpha = torch.tensor(c["mixup_alpha"])
        share = torch.distributions.Beta(alpha, alpha).sample((len(x), 1, 1))
        partner = torch.roll(torch.arange(x.shape[1]), 1)  # the order is random: any neighbour is a random partner
        x, y = share * x + (1 - share) * x[:, partner], share * y + (1 - share) * y[:, partner]
    if c["input_noise"]:
        x = x + c["input_noise"] * torch.randn_like(x)
    if c["input_dropout"]:
        x = functional.dropout(x, c["input_dropout"])
    return x, y

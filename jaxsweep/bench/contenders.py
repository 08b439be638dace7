"""How people train a list of configs that differ in the learning rate today.

Each contender is written as its users write it, and is given the same rows, the same order of work (shuffled epochs,
the last batch being the smaller one) and one process a core where it uses one core. It is a function that takes the
prepared data and returns a function from configs to the mean validation accuracy, a check that the same was trained.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

from jaxsweep.data import Prepared, load_dataset, prepare
from jaxsweep.spec.hyperparameters import Config

Trainer = Callable[[Sequence[Config]], float]


@dataclass(frozen=True)
class Contender:
    """Something that trains: `one_core` contenders run in one process a core, `package` must be installed."""

    name: str
    make: Callable[[Prepared], Trainer]
    one_core: bool = False
    package: str = "jax"

    @property
    def installed(self) -> bool:
        """Whether its package can be imported."""
        return find_spec(self.package) is not None


def load(name: str) -> Prepared:
    """Return a built-in data set as a sweep with seed 0 splits it."""
    return prepare(load_dataset(name))


def _arrays(data: Prepared) -> tuple[Any, Any, Any, Any]:
    x, y = data.x[0].astype(np.float32), data.y[0].astype(np.int32)
    return x[data.train[0]], y[data.train[0]], x[data.val[0]], y[data.val[0]]


def _flax_training(prepared: Prepared, config: Config) -> Any:
    """Return a function (learning rate, key) -> validation accuracies [epochs], for networks of the config's shape."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import linen as nn

    x, y, x_val, y_val = (jnp.asarray(array) for array in _arrays(prepared))
    rows, batch, outputs = len(x), config["batch_size"], prepared.n_outputs

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            for _ in range(config["depth"]):
                x = nn.relu(nn.Dense(config["width"])(x))
            return nn.Dense(outputs)(x)

    network = Network()

    def train(rate: Any, key: Any) -> Any:
        optimizer = optax.adam(rate)
        first, key = jax.random.split(key)
        params = network.init(first, x[:1])

        def step(carry: Any, picked: Any) -> tuple[Any, None]:
            params, state = carry

            def loss(params: Any) -> Any:
                logits = network.apply(params, x[picked])
                return optax.softmax_cross_entropy_with_integer_labels(logits, y[picked]).mean()

            updates, state = optimizer.update(jax.grad(loss)(params), state)
            return (optax.apply_updates(params, updates), state), None

        def epoch(carry: Any, key: Any) -> tuple[Any, Any]:
            order, full = jax.random.permutation(key, rows), rows // batch * batch
            carry, _ = jax.lax.scan(step, carry, order[:full].reshape(-1, batch))
            if full < rows:
                carry, _ = step(carry, order[full:])
            logits: Any = network.apply(carry[0], x_val)
            return carry, jnp.mean(jnp.argmax(logits, axis=-1) == y_val)

        return jax.lax.scan(epoch, (params, optimizer.init(params)), jax.random.split(key, config["epochs"]))[1]

    return train


def _by_shape(prepared: Prepared, compile: Callable[[Any], Any]) -> Callable[[Config], Any]:
    """Return a function from a config to the compiled training of its shape, which is compiled once."""
    programs: dict[Any, Any] = {}

    def program(config: Config) -> Any:
        shape = tuple(config[name] for name in ("width", "depth", "batch_size", "epochs"))
        if shape not in programs:
            programs[shape] = compile(_flax_training(prepared, config))
        return programs[shape]

    return program


def vmap(prepared: Prepared) -> Trainer:
    """Flax and Optax under one `jax.vmap` over all configs."""
    import jax
    import jax.numpy as jnp

    program = _by_shape(prepared, lambda training: jax.jit(jax.vmap(training)))

    def train(configs: Sequence[Config]) -> float:
        rates = jnp.array([config["learning_rate"] for config in configs])
        curves = program(configs[0])(rates, jax.random.split(jax.random.key(0), len(configs)))
        return float(np.mean(np.asarray(curves)[:, -1]))

    return train


def one_by_one(prepared: Prepared) -> Trainer:
    """One jitted training after another, Flax and Optax in a `lax.scan`."""
    import jax

    program = _by_shape(prepared, jax.jit)

    def train(configs: Sequence[Config]) -> float:
        training = program(configs[0])
        keys = jax.random.split(jax.random.key(0), len(configs))
        ends = [
            np.asarray(training(config["learning_rate"], key))[-1] for config, key in zip(configs, keys, strict=True)
        ]
        return float(np.mean(ends))

    return train


def diverged(error: ValueError) -> bool:
    """Return whether scikit-learn says that numbers are not finite, and nothing else."""
    return any(word in str(error) for word in ("NaN", "infinity", "non-finite"))


def scikit_learn(prepared: Prepared) -> Trainer:
    """scikit-learn's MLPClassifier in a loop; it validates once, at the end, and has no dropout."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    x, y, x_val, y_val = _arrays(prepared)

    def train(configs: Sequence[Config]) -> float:
        scores = []
        for config in configs:
            network = MLPClassifier(
                (config["width"],) * config["depth"], activation=config.get("activation", "relu"),
                solver=config.get("optimizer", "adam"), momentum=config.get("momentum", 0.0), nesterovs_momentum=False,
                alpha=config.get("l2", 0.0) * config["batch_size"], batch_size=config["batch_size"],
                learning_rate_init=config["learning_rate"], max_iter=config["epochs"],
                n_iter_no_change=config["epochs"] + 1, random_state=0,
            )  # fmt: skip
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # that it stops after `epochs` is asked for
                warnings.simplefilter("ignore", RuntimeWarning)  # of what overflows on its way to diverge
                try:
                    scores.append(network.fit(x, y).score(x_val, y_val))
                except ValueError as error:
                    if not diverged(error):
                        raise
                    scores.append(0.0)  # it has diverged
        return float(np.mean(scores))

    return train


def pytorch(prepared: Prepared) -> Trainer:
    """A PyTorch training loop, one config after another."""
    import torch

    torch.set_num_threads(1)
    x, y, x_val, y_val = (torch.as_tensor(array) for array in _arrays(prepared))
    y, y_val = y.long(), y_val.long()
    outputs = prepared.n_outputs

    def train(configs: Sequence[Config]) -> float:
        scores = []
        for config in configs:
            sizes = [x.shape[1]] + [config["width"]] * config["depth"]
            layers: list[Any] = []
            for inputs, width in pairwise(sizes):
                layers += [torch.nn.Linear(inputs, width), torch.nn.ReLU()]
            network = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], outputs))
            optimizer = torch.optim.Adam(network.parameters(), lr=config["learning_rate"])
            accuracy = 0.0
            for _ in range(config["epochs"]):
                for picked in torch.randperm(len(x)).split(config["batch_size"]):
                    loss = torch.nn.functional.cross_entropy(network(x[picked]), y[picked])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                with torch.no_grad():
                    accuracy = float((network(x_val).argmax(1) == y_val).float().mean())
            scores.append(accuracy)
        return float(np.mean(scores))

    return train


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("vmap", vmap),
        Contender("jit", one_by_one),
        Contender("scikit-learn", scikit_learn, True, "sklearn"),
        Contender("PyTorch", pytorch, True, "torch"),
    )
}

"""How initial weights and learning rates follow a network's width, layer by layer.

Under the standard parametrization, which is the initializer's own, the best learning rate falls as networks get wider.
Under the maximal update parametrization (muP) it hardly moves, so that what is best for narrow networks is so for wide
ones. Source: Yang, Hu, Babuschkin, Sidor, Liu, Farhi, Ryder, Pachocki, Chen and Gao, Tensor Programs V: Tuning large
neural networks via zero-shot hyperparameter transfer, 2022 (arXiv:2203.03466), table 3, relative to networks of
`base_width`, at which both are the same.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from jaxsweep.spec.hyperparameters import layer_widths


class Factors(NamedTuple):
    """By what is multiplied in one layer."""

    init: float  # its initial kernel
    kernel: float  # the learning rate of the kernel ...
    vector: float  # ... and of the bias, and of the normalization behind it; decoupled weight decay is as it was


ONES = Factors(1.0, 1.0, 1.0)


def factors(config: Mapping[str, Any], features: int, outputs: int) -> list[Factors]:
    """Return the factors of each layer with a kernel, first to last, of a resolved config's network."""
    widths = layer_widths(config, outputs)
    if config["parametrization"] == "standard" or not widths:
        return [ONES] * (len(widths) + 1)
    base = (features, *[int(config["base_width"])] * len(widths), outputs)
    own = (features, *widths, outputs)
    found = []
    for layer, (true, narrow) in enumerate(zip(pairwise(own), pairwise(base), strict=True)):
        inward, outward = (a / b for a, b in zip(true, narrow, strict=True))  # the first and last sizes do not grow
        shrinks = inward if layer == len(widths) else math.sqrt(inward)
        init = _spread(config["init"], *narrow) / shrinks / _spread(config["init"], *true)
        if config["optimizer"] == "sgd":
            found.append(Factors(init, outward / inward, outward))
        else:  # whose steps do not depend on the size of a gradient
            found.append(Factors(init, 1 / inward, 1.0))
    return found


def _spread(init: str, rows: int, columns: int) -> float:
    """Return the standard deviation that an initializer gives a kernel [rows, columns], up to a constant factor."""
    by_shape = {
        "random": 1.0,
        "glorot": 1 / math.sqrt(rows + columns),
        "he": 1 / math.sqrt(rows),
        "lecun": 1 / math.sqrt(rows),
        "orthogonal": 1 / math.sqrt(max(rows, columns)),
    }
    return by_shape[init.split("_")[0]]

"""Which training rows a network sees that is to see few of them: the first ones of one order."""

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data.prepared import Prepared
from jaxsweep.streams import bit_generator


def order_of_rows(data: Prepared, split: int, seed: int) -> NDArray[np.int32]:
    """Return the order in which `train_rows` takes the training rows of a split: their places in it, [training rows].

    It is random, and of classification such that the first n rows have of each class what its share in all of them
    says, to a row or two; rows that weigh nothing come last. Fewer rows are always a part of more. All trials of a
    sweep see the same ones.
    """
    rows = data.train[split]
    words = bit_generator(seed, "train_rows", split).random_raw(len(rows))  # the same in every version of NumPy
    order = np.argsort(words, kind="stable")
    if data.task == "classification":
        codes = data.y[split][rows][order]
        counts = np.bincount(codes, minlength=data.n_outputs)
        by_class = np.argsort(codes, kind="stable")
        firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        rank = np.empty(len(rows), np.int64)
        rank[by_class] = np.arange(len(rows)) - firsts[codes[by_class]]
        # Those of a class stand evenly over the whole.
        order = order[np.argsort((rank + 0.5) / counts[codes], kind="stable")]
    if data.weights is not None:
        order = order[np.argsort(data.weights[rows][order] == 0, kind="stable")]
    return order.astype(np.int32)

"""Where a sweep trains: a device, and its own copy of the data."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxsweep.data import Prepared
from jaxsweep.data.start import Start
from jaxsweep.engine.programs import TestData
from jaxsweep.network.train import Data, Few

BLOCK = 4096  # rows that are converted together


class Place(NamedTuple):
    """A device, and its copy of the data."""

    device: jax.Device | None  # None is JAX's default
    data: Data
    test: TestData | None


def place(data: Prepared, device: jax.Device | None, orders: Sequence[NDArray[np.int32]] | None = None) -> Place:
    """Put the data on a device.

    Args:
        data: the data.
        device: where; None is JAX's default.
        orders: of each split, the order in which networks see its training rows that are to see few.
    """
    with jax.default_device(device):  # where the worker's programs run, whatever else the caller's default is
        return Place(device, *jax.device_put(_blocks(data, orders)))


def _blocks(data: Prepared, orders: Sequence[NDArray[np.int32]] | None) -> tuple[Data, TestData | None]:
    """Return what a device gets, as NumPy's arrays: what JAX makes or converts takes a small program each time."""
    dtype = np.dtype(jnp.result_type(float))
    target = np.int32 if data.task == "classification" else dtype

    def block(source: NDArray[Any], parts: Sequence[NDArray[np.int32]], kind: Any) -> Any:
        longest = max(len(part) for part in parts)
        out = np.zeros((len(parts), longest, *source.shape[2:]), kind)
        for split, part in enumerate(parts):
            for start in range(0, len(part), BLOCK):  # without a copy of all rows in the precision of the host
                rows = part[start : start + BLOCK]
                out[split, start : start + len(rows)] = source[split][rows]
        return out

    weights = None if data.weights is None else np.broadcast_to(data.weights, data.y.shape[:2])
    train_data = Data(
        x=block(data.x, data.train, dtype),
        y=block(data.y, data.train, target),
        x_val=block(data.x, data.val, dtype),
        y_val=block(data.y, data.val, target),
        val_rows=np.array([len(part) for part in data.val], np.int32),  # type: ignore[arg-type]
        w=None if weights is None else block(weights, data.train, dtype),
        w_val=None if weights is None else block(weights, data.val, dtype),
        few=None if orders is None else _few(orders),
        start=None if data.start is None else _start(data.start, dtype),
    )
    if data.x_test.shape[1] == 0:
        return train_data, None
    x_test: Any = np.asarray(data.x_test, dtype)
    y_test: Any = np.asarray(data.y_test, target)
    w_test: Any = None if data.test_weights is None else np.asarray(data.test_weights, dtype)
    return train_data, TestData(x_test, y_test, w_test)


def _start(start: Start, dtype: Any) -> Any:
    return tuple(
        {layer: {name: np.asarray(array, dtype) for name, array in arrays.items()} for layer, arrays in tree.items()}
        for tree in (start.params, start.stats)
    )


def _few(orders: Sequence[NDArray[np.int32]]) -> Few:
    longest = max(len(order) for order in orders)
    order, place = (np.zeros((len(orders), longest), np.int32) for _ in range(2))
    for split, each in enumerate(orders):
        order[split, : len(each)] = each
        place[split, each] = np.arange(len(each), dtype=np.int32)
    rows: Any = np.array([len(each) for each in orders], np.int32)
    return Few(order, place, rows)  # type: ignore[arg-type]

"""The data sets that scikit-learn ships, by name."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxsweep.data.dataset import Dataset
from jaxsweep.data.labels import Task
from jaxsweep.errors import RequestError, suggestion


class BuiltIn(NamedTuple):
    """What `datasets()` says about one data set, without loading it."""

    name: str
    task: Task
    rows: int
    features: int
    classes: int | None
    image_shape: tuple[int, int] | None
    about: str


_ROWS = (
    BuiltIn("digits", "classification", 1797, 64, 10, (8, 8), "handwritten digits as 8 x 8 images"),
    BuiltIn("breast_cancer", "classification", 569, 30, 2, None, "malignant and benign tumours"),
    BuiltIn("wine", "classification", 178, 13, 3, None, "wines of three growers by chemical analysis"),
    BuiltIn("iris", "classification", 150, 4, 3, None, "three species of iris"),
    BuiltIn("diabetes", "regression", 442, 10, None, None, "progression of diabetes after one year"),
)


def datasets() -> list[BuiltIn]:
    """Return what built-in data sets there are: name, task, rows, features, classes, image shape."""
    return list(_ROWS)


def load_dataset(name: str) -> Dataset:
    """Return a built-in data set.

    Raises:
        RequestError: there is none of that name.
    """
    row = next((row for row in _ROWS if row.name == name), None)
    if row is None:
        raise RequestError(
            f"there is no built-in data set {name!r}{suggestion(str(name), [row.name for row in _ROWS])}"
        )
    from sklearn import datasets as shipped

    loaded: Any = getattr(shipped, f"load_{name}")()
    target = loaded.target
    if row.task == "classification":
        labels = np.asarray(loaded.target_names)
        target = [label.item() for label in labels[target]]
    data = Dataset.from_arrays(
        loaded.data,
        target,
        task=row.task,
        image_shape=row.image_shape,
        name=name,
        feature_names=[str(feature) for feature in loaded.feature_names],
    )
    return replace(data, origin={"name": name})

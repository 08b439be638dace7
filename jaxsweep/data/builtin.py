"""The data sets that scikit-learn ships, by name."""

import gzip
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsweep.data.dataset import Dataset
from jaxsweep.data.labels import Task
from jaxsweep.errors import RequestError, shown, suggestion


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
    row = next((row for row in _ROWS if row.name == name), None) if isinstance(name, str) else None
    if row is None:
        names = [row.name for row in _ROWS]
        raise RequestError(f"there is no built-in data set {shown(name)}{suggestion(shown(name), names)}")
    x, target, features = _read_digits() if name == "digits" else _load(row)
    data = Dataset.from_arrays(
        x, target, task=row.task, image_shape=row.image_shape, name=name, feature_names=features
    )  # fmt: skip
    return replace(data, origin={"name": name}, notes=())  # nobody wonders how these were read


def _load(row: BuiltIn) -> tuple[Any, Any, list[str]]:
    """Return inputs, targets and the names of the features, as scikit-learn loads them."""
    from sklearn import datasets as shipped

    loaded: Any = getattr(shipped, f"load_{row.name}")()
    target = loaded.target
    if row.task == "classification":
        labels = np.asarray(loaded.target_names)
        target = [label.item() for label in labels[target]]
    return loaded.data, target, [str(feature) for feature in loaded.feature_names]


def _read_digits() -> tuple[Any, Any, list[str]]:
    """Return the same for digits, the default data, from the file itself: importing scikit-learn takes a second."""
    package = find_spec("sklearn")
    folders = package.submodule_search_locations if package else None
    path = Path(folders[0]) / "datasets" / "data" / "digits.csv.gz" if folders else None
    if path is None or not path.exists():
        return _load(_ROWS[0])
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    names = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    return table[:, :-1], table[:, -1].astype(int).tolist(), names

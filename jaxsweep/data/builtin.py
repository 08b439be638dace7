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
FILES = {
    "digits": "digits.csv.gz",
    "breast_cancer": "breast_cancer.csv",
    "wine": "wine_data.csv",
    "iris": "iris.csv",
}
_OF_A_CELL = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points", "symmetry",
    "fractal dimension",
)  # fmt: skip
FEATURES: dict[str, tuple[str, ...]] = {
    "digits": tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8)),
    "breast_cancer": (
        *(f"mean {name}" for name in _OF_A_CELL),
        *(f"{name} error" for name in _OF_A_CELL),
        *(f"worst {name}" for name in _OF_A_CELL),
    ),
    "wine": (
        "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
        "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines", "proline",
    ),
    "iris": tuple(f"{part} {size} (cm)" for part in ("sepal", "petal") for size in ("length", "width")),
}  # fmt: skip


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
    x, target, features = _read(row) or _load(row)
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


def _read(row: BuiltIn) -> tuple[Any, Any, list[str]] | None:
    """Return the same from the file itself: importing scikit-learn takes longer than all else that a sweep imports.

    None where the file is not where it was, and of data that scikit-learn changes after it has read them.
    """
    package = find_spec("sklearn")
    folders = package.submodule_search_locations if package else None
    name = FILES.get(row.name)
    path = Path(folders[0]) / "datasets" / "data" / name if folders and name else None
    if path is None or not path.exists():
        return None
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        # The others begin with a line of sizes and labels.
        labels = range(10) if row.name == "digits" else file.readline().strip().split(",")[2:]
        table = np.loadtxt(file, delimiter=",", ndmin=2)
    if table.shape != (row.rows, row.features + 1) or len(labels) != row.classes:
        return None
    return table[:, :-1], [labels[code] for code in table[:, -1].astype(int).tolist()], list(FEATURES[row.name])

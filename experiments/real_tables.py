"""The data sets of the experiments on real training: four that come with scikit-learn, and six files."""

from pathlib import Path
from typing import Any

import jaxsweep as js

BUILT_IN = ("digits", "wine", "breast_cancer", "diabetes")
TABLES: dict[str, dict[str, Any]] = {
    "vehicle": {"target": "Class"},
    "vowel": {"target": "Class"},
    "mushroom": {"target": 0, "header": False},
    "letter": {"target": 16, "header": False},
    "winequality_white": {"target": "quality", "task": "regression"},
    "dresses": {"target": "Class"},
}
OTHER: dict[str, dict[str, Any]] = {  # a file of these under another name, with another target
    "vehicle_hollows": {"file": "vehicle", "target": "HOLLOWS_RATIO", "drop": ["Class"], "task": "regression"},
}


def load(name: str, tables: Path) -> js.Dataset:
    """Return a built-in data set, or that of a file in the folder `tables`."""
    if name not in TABLES and name not in OTHER:
        return js.load_dataset(name)
    options = {"file": name, **TABLES.get(name, {}), **OTHER.get(name, {})}
    return js.read_table(tables / f"{options.pop('file')}.csv", **options)

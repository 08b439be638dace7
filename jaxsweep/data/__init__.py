"""Datasets, tables (CSV, Parquet, NumPy), preprocessing, splits and folds. NumPy only: nothing here imports JAX."""

from jaxsweep.data.builtin import datasets, load_dataset
from jaxsweep.data.dataset import Dataset
from jaxsweep.data.prepared import Prepared, prepare
from jaxsweep.data.preprocess import Preprocessor
from jaxsweep.data.tables import read_raw, read_table
from jaxsweep.data.unknown import UnknownWords

__all__ = [
    "Dataset", "Prepared", "Preprocessor", "UnknownWords",
    "datasets", "load_dataset", "prepare", "read_raw", "read_table",
]  # fmt: skip

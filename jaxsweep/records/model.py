"""A trained network on disk and back: `model.safetensors` for the weights, `model.json` for everything else.

Prediction is plain NumPy in float64 and imports no JAX, so that a network can be used where it was never trained. The
folder's format is a contract: another program can read it with safetensors, JSON and the few lines of `forward.py`.
"""

import hashlib
import itertools
import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file
from safetensors.numpy import save as tensors_as_bytes

from jaxsweep.data import Prepared, Preprocessor
from jaxsweep.data.labels import TASKS, Task
from jaxsweep.data.options import table_options
from jaxsweep.data.unknown import frames_to_user
from jaxsweep.errors import RequestError, shown
from jaxsweep.network.late import jax
from jaxsweep.records import own
from jaxsweep.records.files import replace_folder
from jaxsweep.records.forward import Floats, Layers, layers, traced
from jaxsweep.spec import arguments, documents
from jaxsweep.spec.hyperparameters import Config, layer_widths, resolve

if TYPE_CHECKING:
    from jax import Array
    from jax.typing import ArrayLike

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
SEAL = "blake2b"  # in the metadata of the weights: a checksum of both files
BLOCK = 8192  # rows predicted at once, so that memory does not grow with the table


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with its preprocessing: it takes raw tables and gives labels, or values in target units.

    Attributes:
        task: classification or regression.
        config: the resolved config that it was trained with.
        params: kernels, biases and scales by layer and name, such as `params["hidden_0"]["kernel"]` [in, out].
        stats: running mean and variance of batch norm by layer and name; empty without.
        preprocessor: what turns raw columns into features, and holds the classes or the target's mean and scale.
        header: whether the table that it was trained on names its columns; None in folders that do not say.
        table: what was said about the file that it was trained on, and holds for new ones: delimiter, encoding, ...
    """

    task: Task
    config: Config
    params: Layers
    stats: Layers
    preprocessor: Preprocessor
    header: bool | None = None
    table: Mapping[str, Any] = field(default_factory=dict)
    _retrain: "Callable[[], Model] | None" = field(default=None, repr=False)  # what a result knows: data and trial

    @classmethod
    def of(cls, data: Prepared, config: Config, params: Layers, stats: Layers, split: int = 0) -> "Model":
        """Return the network that was trained on a split of `data`, by default the first.

        Features that were 0 in all of its training rows have no weights: what training left of their initial ones
        would be noise, and whoever reads the folder need not know which features these are.
        """
        preprocessor = data.preprocessors[split]
        return cls(
            data.task, config, _without(params, preprocessor.unseen), stats, preprocessor, data.named, data.table
        )

    def __repr__(self) -> str:
        own = {name: self.config.get(name) for name in ("depth", "width", "activation", "norm", "optimizer")}
        return f"Model({self.task}, {len(self.preprocessor.inputs)} inputs, {own})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_retrain": None}  # a network that is sent somewhere does not take its data along

    def predict(self, X: Any) -> NDArray[Any]:
        """Return a label of the original type, or a number in units of the target, for each row, [rows].

        Of several targets they are [rows, targets], in the order of `targets`.

        Words that training did not know count as none of the categories, and give a warning `UnknownWords`.

        Args:
            X: a pandas frame with the raw columns (found by name), or an array [rows, raw columns] in their order.

        Raises:
            RequestError: a column is missing, occurs twice, or holds text instead of numbers.
        """
        return self.predicted(self.features(X))[0]

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of each class, [rows, classes] in the order of `classes`; `X` as in `predict`.

        Raises:
            RequestError: as `predict`; or the network is one for regression.
        """
        if self.task == "regression":
            raise RequestError("a regression network has no class probabilities: use predict")
        return self.predicted(self.features(X))[1]

    def features(self, X: Any) -> Floats:
        """Return what the first layer sees of raw rows, [rows, features]; `X` and errors as in `predict`."""
        with np.errstate(over="ignore", invalid="ignore"):  # `predicted` says it
            return self.preprocessor.transform_table(X)

    def activations(self, X: Any) -> list[Floats]:
        """Return what each hidden layer gives after its activation, [rows, width] each; `X` and errors as in `predict`.

        A network of depth 0 has none.
        """
        return self._layers(self.features(X))[:-1]

    def apply(self, params: Any, x: "ArrayLike") -> "Array":
        """Return what the network says of features, as a pure function of JAX: to differentiate, compile, or vmap.

        `model.apply(model.params, model.features(X))` is `predict_proba(X)`, or for regression `predict(X)`, to the
        precision of JAX; the running statistics of batch norm are part of the function.

        Args:
            params: kernels, biases and scales, in the form of `params`.
            x: standardized features [..., features], as `features` gives them.

        Returns:
            Probabilities [..., classes]; for regression numbers [...] in units of the target.
        """
        names = {layer: set(kinds) for layer, kinds in self.params.items()}
        form = isinstance(params, Mapping) and all(isinstance(kinds, Mapping) for kinds in params.values())
        if not form or {layer: set(kinds) for layer, kinds in params.items()} != names:
            raise RequestError(
                f"params = {shown(params)} is not legal: it must have the form of the network's `params`"
            )
        width = len(self.preprocessor.feature_names)
        try:
            shape = np.shape(x)
        except (TypeError, ValueError):
            shape = ()
        if shape[-1:] != (width,):
            raise RequestError(f"x = {shown(x)} is not legal: it must be an array [..., {width}], as of `features`")
        outputs = traced(self.config, params, self.stats, x)
        if self.task == "classification":
            return jax.nn.softmax(outputs)
        scaled: Array = outputs[..., 0] * self.preprocessor.target_scale + self.preprocessor.target_mean
        return scaled

    def retrain(self) -> "Model":
        """Return the network of the same config trained on all rows: `Result.retrain` of its trial.

        Raises:
            RequestError: the network was read from a folder or sent from elsewhere, and has no data; or as
                `Result.retrain`.
        """
        if self._retrain is None:
            raise RequestError("this network comes without its data: use retrain of the result that it belongs to")
        return self._retrain()

    def predicted(self, features: Floats) -> tuple[NDArray[Any], Floats]:
        """Return labels [rows] and probabilities [rows, classes] for features [rows, features].

        For regression they are numbers in units of the target, of several targets [rows, targets], and no columns.
        Of rows for which they are not finite there is a RuntimeWarning.
        """
        outputs = self._layers(features)[-1]
        if self.task == "regression":
            values, shares = self._votes(outputs), np.empty((len(features), 0))
            warn_of(values, "the network's")
            return values, shares
        warn_of(outputs, "the network's")
        return self.preprocessor.labels(outputs.argmax(axis=1)), self._votes(outputs)

    def votes(self, features: Floats) -> Floats:
        """Return what an ensemble averages over its networks, without a warning of what is not finite.

        These are probabilities [rows, classes], for regression numbers in units of the target, [rows] or, of several
        targets, [rows, targets]; `features` are [rows, features].
        """
        return self._votes(self._layers(features)[-1])

    def _votes(self, outputs: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            if self.task == "regression":
                return self.preprocessor.restore_target(outputs if self.preprocessor.targets else outputs[:, 0])
            powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            shares: Floats = powers / powers.sum(axis=1)[:, None]
            return shares

    @property
    def classes(self) -> tuple[Any, ...] | None:
        """The labels in the order of `predict_proba`; None for regression."""
        return self.preprocessor.classes

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of several targets in the order of `predict`; () for one."""
        return tuple(each.name for each in self.preprocessor.targets)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the network as a folder; an earlier export there is replaced, anything else is left alone.

        Raises:
            RequestError: the folder cannot be written, or holds something else.
        """
        replace_folder(arguments.path("directory", directory), _check_target, self._write)

    def to_onnx(self, path: str | os.PathLike[str], features: bool = False) -> None:
        """Write the network as a graph of ONNX (opset 19), which `onnxruntime` runs, also where there is no Python.

        Inputs are `numbers`, float64 [rows, number columns], NaN where one is missing, and `words`, texts [rows,
        category columns], "" where one is missing: the raw columns of each kind in their order, each absent if there is
        none. A number whose text was read by a form of its own is the number that the text stands for; a word is one
        of `model.json`, and any other one is unknown. Outputs are `class_index`, int64 [rows], into `classes`, and
        `probabilities`, float32 [rows, classes]; of a regression `value`, float64 [rows] or [rows, targets], in units
        of the target. The layers are float32. The metadata of the file have `classes`, `targets`, the names of the
        columns (`numbers`, `words`, `features`), `task` and `config`, as JSON. It takes the extra `onnx`.

        Args:
            path: the file to write; one that is there is replaced.
            features: whether the graph begins behind the preprocessing: its input is then `features`, float32 [rows,
                features], as `features` of this class gives them.

        Raises:
            RequestError: onnx is not installed; the activation is a function of your own; the network reads dates, and
                `features` is not said; it is too large for a file of ONNX; or the file cannot be written.
        """
        from jaxsweep.records import onnx

        onnx.save(self, arguments.path("path", path), arguments.flag("features", features))

    def _write(self, folder: Path) -> None:
        tensors = {
            f"{layer}/{name}": np.ascontiguousarray(value)
            for layers in (self.params, self.stats)
            for layer, values in layers.items()
            for name, value in values.items()
        }
        document = {"task": self.task, "config": self.config, **self.preprocessor.to_json()}
        if functions := own.rows_of(self.config):
            document["functions"] = functions
        if self.header is not None:
            document["header"] = self.header
        if self.table:
            document["table"] = dict(self.table)
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
        (folder / DESCRIPTION).write_text(text, encoding="utf-8")
        sealed = tensors_as_bytes(tensors, {SEAL: _seal(tensors, text)})
        (folder / WEIGHTS).write_bytes(sealed)  # save_file would make it readable by its owner only
        for name in (WEIGHTS, DESCRIPTION):
            with (folder / name).open("rb") as file:
                os.fsync(file.fileno())  # the rename that makes the folder visible must not overtake its contents

    def _layers(self, features: Floats) -> list[Floats]:
        """Return what each layer gives, [rows, width]; the last are the outputs."""
        starts = range(0, len(features), BLOCK) or [0]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what is not finite is said by `predicted`
            blocks = [layers(self.config, self.params, self.stats, features[start : start + BLOCK]) for start in starts]
        return [np.concatenate(several) for several in zip(*blocks, strict=True)]


def load_model(directory: str | os.PathLike[str], *, activation: Callable[..., Any] | None = None) -> Model:
    """Return the network that `Model.save` wrote.

    Args:
        directory: of the network.
        activation: the function, if the network's activation is one of your own, of which the folder has the name
            alone; without, such a network can be looked at and cannot predict.

    Raises:
        RequestError: the folder is no exported network, or a broken one; or the activation is not that of the network.
    """
    folder = arguments.path("directory", directory)
    for name in (DESCRIPTION, WEIGHTS):
        if not (folder / name).is_file():
            raise RequestError(f"{folder} is no exported network: it has no {name}")
    try:
        text = documents.text_of(folder / DESCRIPTION)
        document = documents.json_value(text)
        json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair is a word that nobody could print
        functions = own.checked_rows(document.get("functions", []) if isinstance(document, dict) else [])
    except (OSError, ValueError) as error:
        raise RequestError(f"{folder} is a broken exported network: {error}") from error
    name = next((row["name"] for row in functions if row["role"] == "activation"), "activation")
    given = {} if activation is None else {f"activation:{name}": activation}
    known = own.recalled(functions, given, str(folder))  # whose errors are the caller's
    try:
        task, config = _described(document, known)
        preprocessor = Preprocessor.from_json(document)
        tensors = load_file(folder / WEIGHTS)
        params, stats = _layers(tensors, config, preprocessor)
        with safe_open(folder / WEIGHTS, "numpy") as file:
            sealed = (file.metadata() or {}).get(SEAL)  # a folder that an earlier version wrote has none
        if sealed is not None and sealed != _seal(tensors, text):
            raise ValueError(f"{WEIGHTS} and {DESCRIPTION} are not what was written: their checksum is another one")
    # RequestError and bad JSON are ValueErrors; tensors may have types that NumPy does not know.
    except (OSError, ValueError, SafetensorError, TypeError, AttributeError, OverflowError) as error:
        raise RequestError(f"{folder} is a broken exported network: {error}") from error
    return Model(task, config, params, stats, preprocessor, document.get("header"), document.get("table", {}))


def warn_of(outputs: Floats, whose: str) -> None:
    """Give a RuntimeWarning if outputs [rows, ...] are not finite for some rows."""
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim))))
    if finite.all():
        return
    warnings.warn(
        f"{whose} outputs are no finite numbers for {np.count_nonzero(~finite):,} of {len(finite):,} rows, the first "
        f"of them row {np.argmin(finite)} (from 0): what is predicted for them says nothing",
        RuntimeWarning,
        stacklevel=frames_to_user(),
    )


def _seal(tensors: Mapping[str, NDArray[Any]], text: str) -> str:
    """Return a checksum of the tensors and the description of a network."""
    return hashlib.blake2b(tensors_as_bytes(dict(tensors)) + text.encode(), digest_size=16).hexdigest()


def _described(document: Any, functions: own.Owns) -> tuple[Task, Config]:
    if not isinstance(document, dict):
        raise ValueError(f"{DESCRIPTION} holds no object")
    task, config = document.get("task"), document.get("config")
    if task not in TASKS:
        raise ValueError(f"task = {shown(task)}: it must be classification or regression")
    if ("classes" in document) != (task == "classification") or ("target" in document) != (task == "regression"):
        raise ValueError(f"a network for {task} has {'classes' if task == 'classification' else 'a target'}")
    if not isinstance(config, dict):
        raise ValueError("it has no config")
    if not isinstance(document.get("header"), bool | None):
        raise ValueError(f"header = {shown(document['header'])}: it must be true or false")
    if not isinstance(document.get("table", {}), dict):
        raise ValueError(f"table = {shown(document['table'])}: it must be an object")
    table_options(document.get("table", {}))
    # What the data allowed was checked before training: here any batch size and any augmentation is right.
    config = own.put_in_config(config, functions)
    return cast(Task, task), resolve(config, cast(Task, task), rows=None, image=True)


def _layers(tensors: Mapping[str, NDArray[Any]], config: Config, preprocessor: Preprocessor) -> tuple[Layers, Layers]:
    """Return parameters and running statistics by layer and name, if they are just those that the config needs."""
    outputs = len(preprocessor.classes) if preprocessor.classes is not None else len(preprocessor.targets) or 1
    sizes = (len(preprocessor.feature_names), *layer_widths(config, outputs), outputs)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        name = f"hidden_{layer}" if layer < len(sizes) - 2 else "output"
        shapes |= {f"{name}/kernel": (rows, columns), f"{name}/bias": (columns,)}
        if name != "output" and config["norm"] != "none":
            kinds = ("scale", "bias", "mean", "var") if config["norm"] == "batch" else ("scale", "bias")
            shapes |= {f"norm_{layer}/{kind}": (columns,) for kind in kinds}
    for name in shapes.keys() ^ tensors.keys():
        raise ValueError(f"{WEIGHTS} {'lacks' if name in shapes else 'has an unexpected'} {name}")
    params: dict[str, dict[str, NDArray[Any]]] = {}
    stats: dict[str, dict[str, NDArray[Any]]] = {}
    for name, shape in shapes.items():
        value = tensors[name]
        if value.shape != shape or value.dtype.kind != "f" or not np.isfinite(value).all():
            what = (
                f"{value.dtype} {list(value.shape)}"
                if value.shape != shape or value.dtype.kind != "f"
                else "not finite"
            )
            raise ValueError(f"{name} is {what}: it must be finite floats of shape {list(shape)}")
        layer_name, _, kind = name.partition("/")
        (stats if kind in ("mean", "var") else params).setdefault(layer_name, {})[kind] = value
    return params, stats


def _without(params: Layers, features: Sequence[int]) -> Layers:
    """Return the parameters with zeros for the weights of the given features; the given ones stay as they are."""
    if not features:
        return params
    first = "hidden_0" if "hidden_0" in params else "output"
    kernel = np.array(params[first]["kernel"])
    kernel[list(features)] = 0
    return {**params, first: {**params[first], "kernel": kernel}}


def _check_target(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise RequestError(f"{target} is a file: choose a new folder for the network")
    others = sorted(entry.name for entry in target.iterdir() if entry.name not in (WEIGHTS, DESCRIPTION))
    if others:
        raise RequestError(f"{target} holds other things ({others[0]}): choose a new folder for the network")

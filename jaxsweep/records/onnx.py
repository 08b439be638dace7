"""A network as a graph of ONNX, to be run where there is no Python: preprocessing, layers, and labels or values.

Raw numbers go in, and a regression's values come out, as float64, as `Model` takes and gives them; between them all is
float32. The graph has operators of opset 19 alone, all of them in the standard domain. No name in it comes from the
data: what columns, classes and targets are called stands in the metadata of the file, as JSON.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep import __version__
from jaxsweep.data.cells import parse_number
from jaxsweep.data.inputs import CategoryInput, NumberInput, raw_name
from jaxsweep.errors import RequestError, shown
from jaxsweep.records import files
from jaxsweep.records.forward import NORM_EPSILON
from jaxsweep.spec.extras import extra
from jaxsweep.spec.own import Own

if TYPE_CHECKING:
    from jaxsweep.records.model import Model

OPSET = 19  # the first in which texts can be compared
IR = 9  # of the file: what came with that opset, so that no runtime refuses it for being newer
LARGEST = 2**31 - 2**20  # bytes of weights: a file of Protocol Buffers ends at 2 GiB
NUMBERS, WORDS, FEATURES = "numbers", "words", "features"  # inputs
CLASS, PROBABILITIES, VALUE = "class_index", "probabilities", "value"  # outputs


def save(model: "Model", path: Path, features: bool) -> None:
    """Write a network as a file of ONNX; see `Model.to_onnx`."""
    onnx = extra("onnx", "an ONNX file")
    if isinstance(model.config["activation"], Own):
        raise RequestError(
            f"{str(model.config['activation'])!r} is a function of your own, which ONNX has no operator for: save "
            "the network as a folder, and load it with js.load_model(FOLDER, activation=...)"
        )
    size = sum(np.asarray(value).size for layer in model.params.values() for value in layer.values()) * 4
    if size > LARGEST:
        raise RequestError(f"the network has weights of {size / 2**30:.1f} GiB: a file of ONNX holds less than 2 GiB")
    files.save(path, graph(onnx, model, features).SerializeToString())


def graph(onnx: Any, model: "Model", features: bool) -> Any:
    """Return the graph of a network as an object of the package onnx; RequestError if it cannot be one."""
    build = _Builder(onnx)
    kinds = onnx.TensorProto
    if features:
        x, inputs = FEATURES, [(FEATURES, kinds.FLOAT, len(model.preprocessor.feature_names))]
    else:
        x, inputs = _preprocessed(build, model)
    outputs = _outputs(build, model, _network(build, model, x))
    value = onnx.helper.make_tensor_value_info
    made = onnx.helper.make_graph(
        build.nodes,
        "jaxsweep",
        [value(name, kind, ["rows", columns]) for name, kind, columns in inputs],
        [value(name, kind, ["rows", *columns]) for name, kind, *columns in outputs],
        build.constants,
    )
    found = onnx.helper.make_model(
        made, producer_name="jaxsweep", producer_version=__version__, ir_version=IR,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )  # fmt: skip
    onnx.helper.set_model_props(found, _metadata(model))
    return found


def _metadata(model: "Model") -> dict[str, str]:
    """Return what columns, classes and targets are called, and the config, as texts of JSON."""
    known = model.preprocessor
    columns = {
        NUMBERS: [raw_name(each.name, each.reading) for each in known.inputs if isinstance(each, NumberInput)],
        WORDS: [raw_name(each.name, each.reading) for each in known.inputs if isinstance(each, CategoryInput)],
        FEATURES: list(known.feature_names),
    }
    ends: dict[str, Any] = {"task": model.task, "config": model.config}
    ends |= {"classes": list(known.classes)} if known.classes is not None else {"targets": list(model.targets)}
    return {name: json.dumps(value, ensure_ascii=False) for name, value in {**ends, **columns}.items()}


class _Builder:
    """Nodes and constants of a graph as they are added, each under a name of its own."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: NDArray[Any] | Sequence[str], shape: Sequence[int] | None = None) -> str:
        """Return the name of a new constant; of words, a sequence of them in a shape."""
        name = f"constant_{len(self.constants)}"
        if isinstance(value, np.ndarray):
            tensor = self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
        else:
            words = [word.encode() for word in value]
            tensor = self.onnx.helper.make_tensor(name, self.onnx.TensorProto.STRING, shape, words)
        self.constants.append(tensor)
        return name

    def __call__(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        output = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def cast(self, x: str, kind: str) -> str:
        """Add a conversion to FLOAT, DOUBLE, ..."""
        return self("Cast", x, to=getattr(self.onnx.TensorProto, kind))


# --- preprocessing -------------------------------------------------------------------------------------------------


def _preprocessed(build: _Builder, model: "Model") -> tuple[str, list[tuple[str, int, int]]]:
    """Add what makes features of raw numbers and words; return their name, and the inputs: name, type, columns.

    Whole blocks are computed, and their columns then put in the order of the features.
    """
    entries = model.preprocessor.inputs
    dates = [entry.reading.column for entry in entries if entry.reading is not None and entry.reading.date is not None]
    if dates:
        raise RequestError(
            f"the network reads dates ({shown(dates[0])}), which ONNX cannot: write a graph that takes what "
            "`Model.features` gives, to_onnx(path, features=True) or --onnx-features"
        )
    numbers = [entry for entry in entries if isinstance(entry, NumberInput)]
    words = [entry for entry in entries if isinstance(entry, CategoryInput)]
    kinds, inputs, blocks = build.onnx.TensorProto, [], []
    if numbers:
        inputs.append((NUMBERS, kinds.DOUBLE, len(numbers)))
        missing, standard = _numbers(build, numbers)
        blocks += [standard, build.cast(missing, "FLOAT")]
    if words:
        inputs.append((WORDS, kinds.STRING, len(words)))
        blocks += [_category(build, entry, column) for column, entry in enumerate(words)]
    order: list[int] = []
    number, start = 0, 2 * len(numbers)  # of the next entry among the columns of all blocks
    for entry in entries:
        if isinstance(entry, NumberInput):
            order += [number, *([len(numbers) + number] if entry.indicator else [])]
            number += 1
        else:
            count = len(entry.categories) + entry.other
            order += range(start, start + count + entry.indicator)
            start += count + 1
    joined = blocks[0] if len(blocks) == 1 else build("Concat", *blocks, axis=1)
    return build("Gather", joined, build.constant(np.array(order, np.int64)), axis=1, name="x"), inputs


def _numbers(build: _Builder, entries: Sequence[NumberInput]) -> tuple[str, str]:
    """Add what standardizes numbers; return the names of which are missing, bool, and of the features, float32."""

    def row(get: Callable[[NumberInput], float]) -> str:
        return build.constant(np.array([[get(entry) for entry in entries]], np.float64))

    missing = build("IsNaN", NUMBERS)
    codes = [[] if entry.reading is None else _codes(entry.reading.missing) for entry in entries]
    for number in range(max(map(len, codes))):  # not a number equals nothing: it fills up columns with fewer codes
        each = [[own[number] if number < len(own) else np.nan for own in codes]]
        equal = build("Equal", NUMBERS, build.constant(np.array(each, np.float64)))
        missing = build("Or", missing, equal)
    filled = build("Where", missing, row(lambda entry: entry.fill), NUMBERS)
    centred = build("Sub", filled, row(lambda entry: entry.mean))
    return missing, build.cast(build("Div", centred, row(lambda entry: entry.scale)), "FLOAT")


def _codes(words: Sequence[str]) -> list[float]:
    """Return the numbers among words that count as missing."""
    return [value for word in words if (value := parse_number(word)) is not None]


def _category(build: _Builder, entry: CategoryInput, column: int) -> str:
    """Add the features of a column of words, float32 [rows, categories, other, missing]; return their name."""
    word = build("Gather", WORDS, build.constant(np.array([column], np.int64)), axis=1)
    missing = build.cast(build("Equal", word, build.constant([""], [1, 1])), "FLOAT")
    if not entry.categories:
        known = []
    else:
        count = len(entry.categories)
        known = [build.cast(build("Equal", word, build.constant(entry.categories, [1, count])), "FLOAT")]
    rest = []
    if entry.other:
        axes = build.constant(np.array([1], np.int64))
        one = build.constant(np.array([[1]], np.float32))
        rest = [build("Sub", build("Sub", one, build("ReduceSum", *known, axes, keepdims=1)), missing)]
    return build("Concat", *known, *rest, missing, axis=1)


# --- layers --------------------------------------------------------------------------------------------------------


def _network(build: _Builder, model: "Model", x: str) -> str:
    """Add the layers to features float32 [rows, features]; return the name of the outputs [rows, outputs]."""
    activation = ACTIVATIONS[model.config["activation"]]
    norm = model.config["norm"]
    for layer in range(sum(name.startswith("hidden_") for name in model.params)):
        x = _dense(build, model, f"hidden_{layer}", x)
        if norm != "none":
            own = f"norm_{layer}"
            learned = [build.constant(_float32(model.params[own][kind], own)) for kind in ("scale", "bias")]
            if norm == "batch":
                running = [build.constant(_float32(model.stats[own][kind], own)) for kind in ("mean", "var")]
                x = build("BatchNormalization", x, *learned, *running, epsilon=NORM_EPSILON)
            else:
                x = build("LayerNormalization", x, *learned, axis=-1, epsilon=NORM_EPSILON)
        x = activation(build, x, float(model.config["negative_slope"]))
    return _dense(build, model, "output", x)


def _dense(build: _Builder, model: "Model", name: str, x: str) -> str:
    kernel, bias = (build.constant(_float32(model.params[name][kind], name)) for kind in ("kernel", "bias"))
    return build("Gemm", x, kernel, bias)


def _float32(value: Any, layer: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        found = np.asarray(value, np.float32)
    if not np.isfinite(found).all():
        raise RequestError(f"{layer} has weights beyond what float32 holds: there is no ONNX graph of this network")
    return found


def _outputs(build: _Builder, model: "Model", y: str) -> list[tuple[Any, ...]]:
    """Add what is said of the outputs [rows, outputs]; return name, type and further axes of each."""
    kinds = build.onnx.TensorProto
    if model.task == "classification":
        build("ArgMax", y, axis=1, keepdims=0, name=CLASS)
        build("Softmax", y, axis=1, name=PROBABILITIES)
        return [(CLASS, kinds.INT64), (PROBABILITIES, kinds.FLOAT, len(model.preprocessor.classes or ()))]
    targets = len(model.targets)
    mean, scale = (
        build.constant(np.atleast_1d(np.asarray(part, np.float64))) for part in model.preprocessor.target_units
    )
    own = build.cast(y, "DOUBLE")
    if not targets:
        own = build("Squeeze", own, build.constant(np.array([1], np.int64)))
    build("Add", build("Mul", own, scale), mean, name=VALUE)
    return [(VALUE, kinds.DOUBLE, *([targets] if targets else []))]


def _number(build: _Builder, value: float) -> str:
    return build.constant(np.array(value, np.float32))


def _gelu(build: _Builder, z: str, slope: float) -> str:
    """Its tanh approximation, as that of `network/activations.py`; an operator of its own came with opset 20."""
    cube = build("Mul", build("Mul", z, z), z)
    inner = build("Add", z, build("Mul", cube, _number(build, 0.044715)))
    share = build("Tanh", build("Mul", inner, _number(build, float(np.sqrt(2 / np.pi)))))
    return build("Mul", build("Mul", z, _number(build, 0.5)), build("Add", share, _number(build, 1.0)))


# An activation of z [rows, width]; the last argument is the hyperparameter negative_slope.
ACTIVATIONS: dict[str, Callable[[_Builder, str, float], str]] = {
    "relu": lambda build, z, slope: build("Relu", z),
    "leaky_relu": lambda build, z, slope: build("LeakyRelu", z, alpha=slope),
    "tanh": lambda build, z, slope: build("Tanh", z),
    "sigmoid": lambda build, z, slope: build("Sigmoid", z),
    "elu": lambda build, z, slope: build("Elu", z, alpha=1.0),
    "gelu": _gelu,
    "silu": lambda build, z, slope: build("Mul", z, build("Sigmoid", z)),
    "softplus": lambda build, z, slope: build("Softplus", z),
}

"""Functions of the user's own train as their textbook says, and beside others as alone; what is none is told."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

import jaxsweep as js
from jaxsweep.network import objective
from jaxsweep.network.reference import train
from jaxsweep.spec.own import Own

pytestmark = pytest.mark.usefixtures("float64")

RNG = np.random.default_rng(5)
X = RNG.normal(size=(83, 4))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
T = X @ np.array([1.0, -2.0, 0.5, 0.0]) + RNG.normal(size=83) * 0.1
W = RNG.random(83) * (RNG.random(83) > 0.1)
FEW: dict[str, Any] = {"epochs": 3, "batch_size": 16, "width": 4, "depth": 1, "learning_rate": 0.02}
SLOPE = 0.7


@jax.jit
def bent(z: Any) -> Any:
    return jnp.where(z > 0, z, SLOPE * jnp.sin(z))


@jax.custom_vjp
def straight(z: Any) -> Any:
    return jnp.round(z * 8) / 8


straight.defvjp(lambda z: (straight(z), None), lambda _, g: (g,))


def sharp(z: Any) -> Any:
    return jnp.sqrt(jnp.abs(z))  # whose derivative at 0, where padding would be, is infinite


def brier(outputs: Any, targets: Any) -> Any:
    return jnp.sum((jax.nn.softmax(outputs) - targets) ** 2, axis=-1)


def touchy(outputs: Any, targets: Any) -> Any:
    """NaN at once for most outputs, those of other lanes too."""
    return jnp.sqrt(outputs[:, 0] - 1) + jnp.sum(outputs**2, axis=-1)


def pinball(outputs: Any, targets: Any) -> Any:
    error = targets - outputs
    return jnp.where(error > 0, 0.9 * error, -0.1 * error)


def second(outputs: Any, targets: Any) -> Any:
    """How often the true class is among the two most probable."""
    rank = jnp.sum(outputs > jnp.take_along_axis(outputs, targets[:, None], axis=1), axis=1)
    return jnp.mean((rank < 2).astype(outputs.dtype))


def median(outputs: Any, targets: Any) -> Any:
    own = jnp.take_along_axis(jax.nn.log_softmax(outputs), targets[:, None], axis=1)[:, 0]
    return jnp.median(-own)


def hits(outputs: Any, targets: Any, weights: Any) -> Any:
    return jnp.sum(weights * (outputs.argmax(axis=1) == targets)) / jnp.sum(weights)


METRICS = {"second": second, "median": js.Metric(median, direction="minimize"), "hits": hits}
CONFIGS = [
    {**FEW, "activation": bent, "loss": brier, "label_smoothing": 0.1},
    {**FEW, "activation": "tanh", "width": 3},
    {**FEW, "activation": straight, "loss": "focal", "width": 2},
    {**FEW, "activation": jnp.tanh, "width": 3, "dropout": 0.2},
    {**FEW, "activation": bent, "loss": touchy},
    {**FEW, "activation": sharp, "loss": brier, "width": 3, "class_weight": "balanced"},
    {**FEW, "activation": bent, "loss": "cross_entropy", "mixup_alpha": 0.3, "norm": "batch"},
]
HOW: dict[str, Any] = {"metrics": METRICS, "train_metrics": True, "folds": 4, "split": (0.8, 0.0, 0.2)}


@pytest.fixture(scope="module")
def swept(float64: None) -> js.Result:
    """Folds of unequal size, weights, padding, losses and activations mixed."""
    return js.sweep((X, Y), configs=CONFIGS, weights=W, objective="val_median", progress=False, **HOW)


def test_each_lane_is_as_if_alone(swept: js.Result) -> None:
    assert len({len(rows) for rows in swept.data.val}) > 1
    for number, config in enumerate(CONFIGS):
        fold = (0, 3)[number % 2]  # of another size
        if number == 5:
            alone = js.solo((X, Y), config, trial=number, fold=fold, weights=W, objective="val_median", **HOW)
        else:  # the same, but that the functions are not tried again
            alone = train(
                swept.data, config, trial=number, fold=fold, objective_metric="val_median", train_metrics=True,
                metrics=swept.request.metrics,
            )  # fmt: skip
        lane = swept.lanes[number][fold]
        assert lane.status == alone.status, number
        if alone.status == "diverged":
            continue
        for column, name in enumerate(swept.columns.curves):
            np.testing.assert_allclose(lane.curves[:, column], alone.curves[name], 1e-8, 1e-8, err_msg=name)


def test_a_loss_that_diverges_leaves_its_neighbours_alone(swept: js.Result) -> None:
    assert [trial.status for trial in swept.trials] == ["completed"] * 4 + ["diverged"] + ["completed"] * 2


def test_names_columns_and_directions(swept: js.Result) -> None:
    frame = swept.to_pandas()
    assert frame.activation.tolist() == ["bent", "tanh", "straight", "tanh_2", "bent", "sharp", "bent"]
    assert frame.loss.tolist()[4:] == ["touchy", "brier", "cross_entropy"]
    for part in ("train", "val", "test"):
        assert {f"{part}_{name}" for name in METRICS} <= set(frame.columns)
    assert swept.best.score == frame.score.min() == frame.val_median.min()  # smaller is better
    assert swept.top(2)[1].score == frame.score.nsmallest(2).iloc[1]


def test_an_activation_is_that_of_the_textbook(swept: js.Result) -> None:
    """JAX's own tanh trains as the row of the table, and a network predicts by what NumPy says of its function."""
    pair = [js.solo((X, Y), {**FEW, "activation": activation}) for activation in ("tanh", jnp.tanh)]
    for name, curve in pair[0].curves.items():
        np.testing.assert_allclose(curve, pair[1].curves[name], 1e-12)
    model = swept.model(0)
    p, x = model.params, model.features(X)
    z = x @ p["hidden_0"]["kernel"] + p["hidden_0"]["bias"]
    outputs = np.where(z > 0, z, SLOPE * np.sin(z)) @ p["output"]["kernel"] + p["output"]["bias"]
    np.testing.assert_allclose(model.predict_proba(X), softmax(outputs, axis=1), 1e-12)


def test_metrics_are_those_of_the_textbook(swept: js.Result) -> None:
    lane, data = swept.lanes[0][0], swept.data
    rows = data.val[0]
    outputs, y = np.log(swept.model(0).predicted(data.x[0][rows])[1]), data.y[0][rows]
    own = dict(zip(swept.columns.curves, lane.curves[-1], strict=True))
    order = np.argsort(-outputs, axis=1)
    assert own["val_second"] == pytest.approx(np.mean((order[:, :2] == y[:, None]).any(axis=1)))
    assert own["val_median"] == pytest.approx(np.median(-log_softmax(outputs, axis=1)[np.arange(len(y)), y]))
    assert data.weights is not None
    assert own["val_hits"] == pytest.approx(np.average(order[:, 0] == y, weights=data.weights[rows]))
    assert own["val_hits"] == pytest.approx(own["val_accuracy"])


def test_a_step_by_ones_own_loss_is_that_of_the_textbook() -> None:
    """Full-batch gradient descent of a linear model by the pinball loss, and the quantile as a metric to stop by."""
    config = {"depth": 0, "epochs": 4, "batch_size": "full", "optimizer": "sgd", "learning_rate": 0.1, "loss": pinball}
    metrics = {"q": js.Metric(lambda p, t: jnp.quantile(t - p, 0.9), direction="minimize")}
    more = [config, {**config, "loss": "mse"}, {**config, "patience": 1, "monitor": "objective", "min_delta": 9.0}]
    result = js.sweep((X, T), configs=more, metrics=metrics, objective="val_q", keep_weights="best", progress=False)
    data = result.data
    x, t = (array[0][data.train[0]] for array in (data.x, data.y))
    start = js.solo((X, T), config, keep_weights="best", objective="val_q", metrics=metrics)
    kernel, bias = (start.initial["output"][name].copy() for name in ("kernel", "bias"))
    quantiles = []
    for _ in range(4):
        slope = np.where(t - (x @ kernel + bias)[:, 0] > 0, -0.9, 0.1)[:, None] / len(t)
        kernel, bias = kernel - 0.1 * x.T @ slope, bias - 0.1 * slope.sum(axis=0)
        rows = data.val[0]
        quantiles.append(np.quantile(data.y[0][rows] - (data.x[0][rows] @ kernel + bias)[:, 0], 0.9))
    np.testing.assert_allclose(result.curves("val_q")[0], quantiles, 1e-8)
    np.testing.assert_allclose(start.curves["val_q"], quantiles, 1e-8)
    assert result.trials[0].score == pytest.approx(min(quantiles))
    assert [trial.status for trial in result.trials] == ["completed", "completed", "stopped"]


def test_rows_that_are_none_have_no_derivative() -> None:
    row = objective.loss(Own("touchy", touchy), "classification", jnp.array([True, False]))
    outputs = jnp.array([[2.0, 0.0], [0.0, 0.0]])  # the second gives NaN

    def total(outputs: Any) -> Any:
        losses = row.traced(outputs, jnp.eye(2), objective.LossParameters(None, 2.0, 1.0))
        return jnp.sum(jnp.where(jnp.array([True, False]), losses, 0))

    np.testing.assert_allclose(jax.grad(total)(outputs), [[4.5, 0.0], [0.0, 0.0]])


# --- what is no function of the right kind -----------------------------------------------------------------------

KEPT: list[Any] = []


def leaks(z: Any) -> Any:
    KEPT.append(z)
    return z


def blind(outputs: Any, targets: Any) -> Any:
    return (outputs.argmax(axis=1) == targets.argmax(axis=1)).astype(outputs.dtype)


WRONG: dict[str, tuple[str, Callable[..., Any]]] = {
    "use jax.numpy in place of NumPy": ("activation", np.sin),
    "keeps what it was traced with": ("activation", leaks),
    "is not elementwise": ("activation", jax.nn.softmax),
    "is not finite at": ("activation", jnp.log),
    r"gives float64 \[\] for \[12, 5\]": ("activation", jnp.sum),
    r"gives int64 \[12, 5\]": ("activation", lambda z: z.astype(int)),
    "gives a tuple": ("activation", lambda z: (z, z)),
    "does not give the same twice": ("activation", lambda z: z * np.random.default_rng().random()),
    "fails .TypeError": ("activation", lambda z, slope: z),
    r"gives float64 \[\] for \[12, 3\] and \[12, 3\]": ("loss", lambda o, t: jnp.mean((o - t) ** 2)),
    "mixes rows": ("loss", lambda o, t: jnp.sum((o - t) ** 2, axis=1) / len(o)),
    "has the derivative 0 everywhere": ("loss", blind),
    "is nan for outputs": ("loss", lambda o, t: jnp.sqrt(-jnp.sum(o**2, axis=1))),
    "has the derivative NaN everywhere": ("loss", lambda o, t: jnp.sum(jnp.where(o > 9, jnp.sqrt(-(o**2)), o), axis=1)),
    "one number": ("metric", lambda o, t: o[:, 0]),
    r"gives int64 \[\]": ("metric", lambda o, t: jnp.sum(o.argmax(axis=1) == t)),
    "asks for numbers": ("metric", lambda o, t: float(o.mean())),
}


@pytest.mark.parametrize("words", WRONG)
def test_what_cannot_be_used_is_told_before_anything_is_compiled(words: str) -> None:
    role, function = WRONG[words]
    name = role if role != "metric" else r"metrics\['f'\]"
    how: dict[str, Any] = {"metrics": {"f": function}} if role == "metric" else {}
    config = {} if role == "metric" else {role: function}
    for call in (
        lambda: js.sweep((X, Y), configs=[config], progress=False, **how),
        lambda: js.solo((X, Y), config, **how),
    ):
        with pytest.raises(js.RequestError, match=f"^{name}.*{words}"):
            call()


def test_a_kept_tracer_is_told_though_jax_fails_to_say_who_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = jax.checking_leaks

    @contextlib.contextmanager
    def fails() -> Iterator[None]:
        try:
            with looked():
                yield
        except Exception as error:
            raise IndexError("list index out of range") from error

    monkeypatch.setattr(jax, "checking_leaks", fails)
    with pytest.raises(js.RequestError, match="keeps what it was traced with"):
        js.solo((X, Y), {"activation": leaks})
    with pytest.raises(js.RequestError, match=r"fails \(IndexError"):  # what fails for itself
        js.solo((X, Y), {"activation": lambda z: z * [1.0][int(z.ndim)]})


def test_a_loss_of_classes_is_none_of_numbers() -> None:
    with pytest.raises(js.RequestError, match=r"outputs and targets \[rows\], both standardized"):
        js.sweep((X, T), configs=[{"loss": brier}], progress=False)


def test_the_readmes_functions_run() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```py\n(.*?)```", text, flags=re.DOTALL) if "def top_2" in block)
    names: dict[str, Any] = {"js": js}
    exec(
        code.replace("epochs=20", "epochs=1, batch_size=512, width=8").replace(
            "metrics=", "trials=4, progress=False, metrics="
        ),
        names,
    )
    assert 0.0 <= names["result"].best.metrics["test_top_2"] <= 1.0


def test_functions_see_all_targets_of_a_row(float64: None) -> None:
    def squares(outputs: Any, targets: Any) -> Any:
        return jnp.mean((outputs - targets) ** 2, axis=1)

    def worst(outputs: Any, targets: Any) -> Any:
        return jnp.max(jnp.abs(outputs - targets))

    both = np.stack([2 * X[:, 0] + 1, 100 * X[:, 1]], axis=1)
    few = {"epochs": 2, "width": 4, "depth": 1}
    how: dict[str, Any] = {"metrics": {"worst": js.Metric(worst, direction="minimize")}}
    result = js.sweep((X, both), configs=[{**few, "loss": squares}, {**few, "loss": "mse"}], progress=False, **how)
    alone = js.solo((X, both), {**few, "loss": squares}, **how)
    for column, name in enumerate(result.columns.curves):
        np.testing.assert_allclose(
            result.curves(name)[0], alone.curves[name], 1e-8, err_msg=result.columns.curves[column]
        )
    rows = result.predictions("val", 0)
    scale = result.data.target_scale[0]
    misses = [abs(rows[f"truth_{name}"] - rows[f"prediction_{name}"]).max() / scale[int(name)] for name in "01"]
    assert result.trials[0].metrics["val_worst"] == pytest.approx(max(misses), rel=1e-6)
    with pytest.raises(js.RequestError, match=r"\[12, 2\] for \[12, 2\] and \[12, 2\]: it must be float64 \[12\]"):
        js.sweep((X, both), configs=[{**few, "loss": lambda p, t: (p - t) ** 2}], progress=False)

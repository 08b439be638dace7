"""README.md's Python as a user's script, for type checkers alone: `make lint` reads it, and nothing runs it.

What stands in it must be known to mypy and to editors although `jaxsweep` loads its names when they are first used.
"""

from typing import TYPE_CHECKING, Any, assert_type

import numpy as np
from numpy.typing import NDArray

import jaxsweep as js

if TYPE_CHECKING:
    from jaxsweep.network.reference import Solo

data = js.load_dataset("digits")  # or js.read_table("cars.csv", target="price"), js.Dataset.from_arrays(X, y)
space = js.Space(
    learning_rate=js.LogUniform(1e-4, 1e-1),
    depth=js.Int(1, 3),
    width=js.Choice([32, 64]),
    epochs=20,
    optimizer=js.Choice(["sgd", "adam"]),
    momentum=js.Uniform(0.5, 0.99, when={"optimizer": "sgd"}),
)
result = js.sweep(data, space, trials=500)
print(result.best.score, result.best.params)  # what was swept; .config has every hyperparameter
frame, curves = result.to_pandas(), result.curves("val_loss")  # curves: [trials, epochs]
errors = result.predictions("test").query("truth != prediction")  # with row numbers and probabilities
result.model().save("model")  # the best network; js.load_model("model").predict(X) takes raw rows

X, y = np.zeros((30, 4)), np.arange(30) % 3
assert_type(data, js.Dataset)
assert_type(js.read_table("cars.csv", target="price"), js.Dataset)
assert_type(js.Dataset.from_arrays(X, y), js.Dataset)
assert_type(result, js.Result)
assert_type(curves, NDArray[np.float64])
assert_type(js.load_model("model"), js.Model | js.Ensemble)
assert_type(result.ensemble(size=20), js.Ensemble)
assert_type(js.load_model("model").predict(X), NDArray[Any])
assert_type(js.sweep("digits", configs=[{"depth": 1}, {"depth": 2}], out="runs/a"), js.Result)
assert_type(js.load("runs/a"), js.Result)
assert_type(js.resume("runs/a", trials=2000), js.Result)
trial = js.load("runs/a").best
assert_type(trial, js.Trial)
assert_type(trial.score, float | None)
assert_type(js.sweep(data, space, trials=500, confirm=5).confirmed, tuple[js.Confirmed, ...])
assert_type(js.sweep(data, space, trials=500, scheduler="asha", eta=3, minutes=5), js.Result)
if TYPE_CHECKING:
    assert_type(js.solo(data, trial.config, trial=trial.id), Solo)
assert_type(js.plan(data, space).programs, int)
own = js.Metric(lambda outputs, targets: (outputs - targets).mean(), direction="minimize")
assert_type(js.sweep(data, space, metrics={"error": own}, objective="val_error"), js.Result)
classifier = js.SweepClassifier(space, trials=200, scoring="f1_macro").fit(X, y, sample_weight=np.ones(30))
assert_type(classifier, js.SweepClassifier)
assert_type(classifier.predict_proba(X), NDArray[np.float64])
assert_type(classifier.result_, js.Result)
assert_type(js.SweepRegressor(space).fit(X, y).predict(X), NDArray[Any])
print(js.search.SEARCHERS, js.datasets(), js.Constant(3), js.RequestError, js.SweepFailed, js.Plan)

print(js.swep)  # type: ignore[attr-defined]  # a name that there is not is an error, no Any

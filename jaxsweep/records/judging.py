"""How good predictions of some rows are, for many candidates at once: the metrics in NumPy and float64.

A device computes the same metrics from a network's outputs (`network/scores.py`); here are predictions that several
networks have been averaged to, and no JAX unless a metric is the user's own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data import Prepared
from jaxsweep.data.labels import Task
from jaxsweep.network.late import jax, jnp
from jaxsweep.spec.metrics import measure_names, metric_names, metric_values
from jaxsweep.spec.own import OwnMetric

Floats = NDArray[np.float64]

LEAST = 1e-15  # probability that counts in `smooth`: one row that all are wrong about is not all there is


@dataclass(frozen=True, eq=False)
class Judge:
    """The truth of some rows, and what it makes of predictions.

    Predictions are [candidates, outputs, rows]: probabilities, or standardized targets.

    Attributes:
        task: classification or regression.
        outputs: the number of classes; of targets for regression.
        y: class codes [rows], or standardized targets [outputs, rows].
        weights: float [rows], what each row counts.
        mean, scale: units of the targets, [outputs]; nothing for classification.
        variance: of the standardized targets, [outputs]; 0 where they are constant.
        own: metrics of the user's own.
    """

    task: Task
    outputs: int
    y: NDArray[Any]
    weights: Floats
    mean: Floats
    scale: Floats
    variance: Floats
    own: tuple[OwnMetric, ...] = ()
    _compiled: dict[str, Callable[[Any], Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Prepared, part: str, own: Sequence[OwnMetric] = ()) -> "Judge":
        """Return what judges predictions of the `val` or `test` rows of the first split."""
        rows = data.val[0]
        y, variance = (data.y[0][rows], data.val_variance) if part == "val" else (data.y_test[0], data.test_variance)
        weights = data.test_weights if part == "test" else None if data.weights is None else data.weights[rows]
        if data.task == "regression":
            y = y.reshape(len(y), -1).T
        return cls(
            data.task, data.n_outputs, y, np.ones(y.shape[-1]) if weights is None else weights,
            np.atleast_1d(data.target_mean[0]), np.atleast_1d(data.target_scale[0]), np.atleast_1d(variance[0]),
            tuple(own),
        )  # fmt: skip

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that there are; not the loss, which is a network's own, nor functions that are not given."""
        known = [metric for metric in self.own if metric.function is not None]
        return metric_names(self.task, self.outputs, known)[1:]

    def form(self, votes: Floats) -> Floats:
        """Return the votes of a network, as `Model.votes` gives them, as predictions [outputs, rows]."""
        votes = votes.reshape(len(votes), -1).T
        return votes if self.task == "classification" else (votes - self.mean[:, None]) / self.scale[:, None]

    def metrics(self, predictions: Floats) -> dict[str, float]:
        """Return all metrics of one candidate, [outputs, rows], by name."""
        return {str(name): float(self.scores(name, predictions[None])[0]) for name in self.names}

    def scores(self, name: str, predictions: Floats) -> Floats:
        """Return a metric, without its prefix, of each candidate; NaN where it is not defined."""
        metric = next((metric for metric in self.own if metric == name), None)
        if metric is not None:
            return self._own(metric, predictions)
        if self.task == "regression":
            return self._errors(predictions)[name]
        if name == "log_loss":
            return self.log_loss(self.reduced(predictions))
        if name == "auc":
            return np.array([self._area(shares) for shares in predictions])
        return self._of_classes(name, _classes(predictions))

    def reduced(self, predictions: Floats) -> Floats:
        """Return of predictions what `smooth` needs: the probability of the right class, [candidates, 1, rows]."""
        if self.task == "regression":
            return predictions
        return predictions[:, self.y, np.arange(len(self.y))][:, None]

    def smooth(self, reduced: Floats) -> Floats:
        """Return how good candidates are where a metric sees no difference, as accuracies often do; larger is better.

        It is the mean log likelihood, for regression less the mean squared error in standard deviations.
        """
        if self.task == "regression":
            return np.asarray(-((reduced - self.y) ** 2).mean(axis=1) @ self.weights)
        return self._log_likelihood(reduced, LEAST)

    def log_loss(self, reduced: Floats) -> Floats:
        """Return the log loss, [candidates]."""
        return -self._log_likelihood(reduced, float(np.finfo(np.float64).tiny))

    def _log_likelihood(self, reduced: Floats, least: float) -> Floats:
        return np.asarray(np.log(np.maximum(reduced[:, 0], least)) @ self.weights / self.weights.sum())

    def _of_classes(self, name: str, classes: NDArray[np.int32]) -> Floats:
        """Return a metric that follows from the predicted classes, [candidates, rows]."""
        right = np.where(classes == self.y, self.weights, 0)
        if name == "accuracy":
            return np.asarray(right.sum(axis=1) / self.weights.sum())
        rows = np.arange(len(classes))[:, None] * self.outputs
        size = len(classes) * self.outputs

        def of_each(codes: NDArray[np.int32], counts: Floats) -> Floats:  # [candidates, classes]
            where = (rows + codes).ravel()
            return np.asarray(np.bincount(where, counts.ravel(), size).reshape(len(classes), -1), np.float64)

        hits = of_each(self.y, right)
        true = np.bincount(self.y, self.weights, self.outputs)
        with np.errstate(invalid="ignore"):
            if name == "balanced_accuracy":
                return np.asarray((hits / true)[:, true > 0].mean(axis=1))
            both = true + of_each(classes, np.broadcast_to(self.weights, classes.shape))
            f1 = np.where(both > 0, 2 * hits / both, 0)
        return np.asarray(f1.sum(axis=1) / (both > 0).sum(axis=1))

    def _area(self, shares: Floats) -> float:
        """Return the area under the ROC curve of probabilities of two classes, [2, rows]; ties count half."""
        odds = np.log(np.maximum(shares, np.finfo(np.float64).tiny))
        scores, positive = odds[1] - odds[0], self.y == 1
        order = np.argsort(scores[~positive])
        negative, counts = scores[~positive][order], self.weights[~positive][order]
        upto = np.concatenate([[0.0], np.cumsum(counts)])
        below, both = (upto[np.searchsorted(negative, scores[positive], side)] for side in ("left", "right"))
        own = self.weights[positive]
        pairs = own.sum() * upto[-1]
        return float(own @ (below + both) / 2 / pairs) if pairs > 0 else np.nan

    def _errors(self, predictions: Floats) -> dict[str, Floats]:
        """Return the metrics of regression, which are means over the targets in their units."""
        errors = predictions - self.y
        whole = self.weights.sum()
        measures = {"mse": (errors**2) @ self.weights / whole, "mae": np.abs(errors) @ self.weights / whole}
        columns = [np.zeros((len(errors), 1)), *(measures[name] for name in measure_names(self.task, 1)[1:])]
        values = metric_values(np.concatenate(columns, axis=1), self.task, self.scale, self.variance)
        return dict(zip(metric_names(self.task, 1), values.T, strict=True))

    def _own(self, metric: OwnMetric, predictions: Floats) -> Floats:
        """Return a metric of the user's own: it is given logarithms of probabilities, or standardized targets."""
        if metric.function is None:
            raise metric.missing()
        from jaxsweep.network import ambient

        seen = predictions
        if self.task == "classification":
            seen = np.log(np.maximum(predictions, np.finfo(np.float64).tiny))
        seen = seen[:, 0] if self.task == "regression" and self.outputs == 1 else seen.swapaxes(1, 2)
        y = self.y if self.task == "classification" else self.y[0] if self.outputs == 1 else self.y.T
        with ambient.own(), ambient.retraced(self):
            dtype = jnp.result_type(float)
            if metric not in self._compiled:
                targets = jnp.asarray(y, jnp.int32 if self.task == "classification" else dtype)
                counts = jnp.asarray(self.weights, dtype)
                self._compiled[metric] = jax.jit(jax.vmap(lambda outputs: metric.of_rows(outputs, targets, counts)))
            return np.asarray(self._compiled[metric](jnp.asarray(seen, dtype)), np.float64)


def _classes(shares: Floats) -> NDArray[np.int32]:
    """Return the first of the likeliest classes, [candidates, rows], of probabilities [candidates, classes, rows].

    As `argmax` does it, which is slow along an axis that is not the last.
    """
    best, found = shares[:, 0].copy(), np.zeros(shares[:, 0].shape, np.int32)
    for code in range(1, shares.shape[1]):
        np.copyto(found, code, where=shares[:, code] > best)
        np.maximum(best, shares[:, code], out=best)
    return found

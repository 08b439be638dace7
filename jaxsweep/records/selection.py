"""Ensemble selection: which networks of a sweep, and how often each, predict best together.

Source: Caruana, Niculescu-Mizil, Crew and Ksikes, Ensemble selection from libraries of models, ICML 2004: beginning
with none, the network is added, again and again and also more than once, with which the mean of all scores best; of the
ensembles on that way the best is the one. So it is never worse on these rows than the best network alone.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from jaxsweep.data import Prepared
from jaxsweep.errors import RequestError
from jaxsweep.records.ensemble import Ensemble
from jaxsweep.records.judging import Judge
from jaxsweep.records.model import Model
from jaxsweep.spec.metrics import sign
from jaxsweep.spec.own import OwnMetric, directed

Floats = NDArray[np.float64]

SIZE = 20  # choices, unless told otherwise
LARGEST_BYTES = 2 * 2**30  # of predictions that are chosen from
BLOCK_BYTES = 2**19  # of candidates that are looked at together: what a core's cache holds
CLOSE = 1e-12  # scores that differ by less are alike


def ensemble_of(
    models: Mapping[int, Model], order: Sequence[int], data: Prepared, objective: str,
    own: Sequence[OwnMetric] = (), size: int = SIZE,
) -> Ensemble:  # fmt: skip
    """Return the ensemble of at most `size` choices among networks that predicts best on the validation rows.

    All networks were trained on the training rows of the first split, and none has seen the validation rows there.

    Args:
        models: networks by trial.
        order: their trials, the best first; of those that are alike the first is chosen, and where the predictions of
            all would not fit into memory the first are taken.
        data: what they were trained on.
        objective: by which is chosen.
        own: metrics of the user's own.
        size: choices, those of one network several times counted so often.

    Raises:
        RequestError: there are fewer than two networks, or the objective is a function that has to be given again.
    """
    if len(order) < 2:
        what = "1 network" if len(order) else "none"
        raise RequestError(f"an ensemble needs at least 2 networks, and this sweep kept {what}: sweep with keep=50")
    judge = Judge.of(data, "val", own)
    followed = directed(_followed(objective, data), own)
    x = data.x[0][data.val[0]]
    most = max(2, LARGEST_BYTES // max(1, 8 * judge.outputs * len(x)))
    predictions = np.empty((min(len(order), most), judge.outputs, len(x)))
    numbers: list[int] = []
    for number in order[:most]:
        predictions[len(numbers)] = judge.form(models[number].votes(x))
        if np.isfinite(predictions[len(numbers)]).all():
            numbers.append(number)
    if not numbers:
        raise RequestError("no ensemble can be made: of all kept networks some outputs are no finite numbers")
    name = followed.removeprefix("val_")
    counts = Counter(selected(predictions[: len(numbers)], judge, name, sign(followed), size))
    order = sorted(counts, key=lambda at: (-counts[at], at))
    trials = tuple(numbers[at] for at in order)
    members, weights = tuple(models[number] for number in trials), tuple(counts[at] for at in order)
    return Ensemble(members, weights, trials, followed, metrics_of(Ensemble(members, weights), data, own))


def metrics_of(model: Model | Ensemble, data: Prepared, own: Sequence[OwnMetric] = ()) -> dict[str, float]:
    """Return the metrics of a network or an ensemble, but for the loss, on validation and test rows of the first split.

    Those on rows for which it has no finite outputs are NaN.
    """
    found: dict[str, float] = {}
    for part, x in (("val", data.x[0][data.val[0]]), ("test", data.x_test[0])):
        if len(x):
            judge = Judge.of(data, part, own)
            predictions = judge.form(model.votes(x))
            finite = bool(np.isfinite(predictions).all())
            values = judge.metrics(predictions) if finite else dict.fromkeys(judge.names, np.nan)
            found |= {f"{part}_{name}": value for name, value in values.items()}
    return found


def _followed(objective: str, data: Prepared) -> str:
    """Return the objective, or what stands for the loss, which is each network's own and none of an ensemble's."""
    if objective != "val_loss":
        return objective
    if data.task == "classification":
        return "val_log_loss"
    return "val_mse" if data.n_outputs == 1 else "val_r2"  # targets of all sizes count alike


def selected(predictions: Floats, judge: Judge, metric: str, sign: int, size: int) -> list[int]:
    """Return the candidates that make the best ensemble, in the order in which they were chosen.

    Of those that score alike the one is chosen that is better in `Judge.smooth`, and then the first.

    Args:
        predictions: of each candidate alone, finite, [candidates, outputs, rows].
        judge: the truth.
        metric: by which is chosen, without its prefix; where it is not defined the candidate is the last choice.
        sign: 1 if larger values of it are better, else -1.
        size: the most choices.
    """
    reduced = judge.reduced(predictions)
    least, judged = _Means(reduced), judge.log_loss
    every = least
    if metric != "log_loss":  # which needs no more than is reduced
        every, judged = _Means(predictions), partial(judge.scores, metric)
    chosen: list[int] = []
    reached: list[tuple[float, float]] = []
    for _ in range(size):
        scores = sign * every.with_each(judged)
        scores[np.isnan(scores)] = -np.inf
        alike = _best(scores)
        smooth = least.with_each(judge.smooth, alike)
        at = int(np.argmax(smooth))
        chosen.append(int(alike[at]))
        reached.append((float(scores[alike[at]]), float(smooth[at])))
        for means in {every, least}:
            means.add(chosen[-1])
    scores, smooth = np.array(reached).T
    ends = _best(scores)
    return chosen[: int(ends[_best(smooth[ends])[0]]) + 1]


class _Means:
    """The means of what was chosen and one candidate more, of each candidate."""

    def __init__(self, candidates: Floats) -> None:
        self.candidates = candidates
        self.total, self.count = np.zeros_like(candidates[0]), 0

    def add(self, number: int) -> None:
        """Choose a candidate."""
        self.total += self.candidates[number]
        self.count += 1

    def with_each(self, judged: Callable[[Floats], Floats], which: NDArray[np.intp] | None = None) -> Floats:
        """Return what is judged of the means, [candidates], of all or those that are named."""
        step = max(1, BLOCK_BYTES // max(1, self.total.nbytes))
        count = len(self.candidates) if which is None else len(which)
        found = []
        for start in range(0, count, step):
            block = slice(start, start + step)
            means = self.candidates[block if which is None else which[block]] + self.total
            means /= self.count + 1
            found.append(judged(means))
        return np.concatenate(found)


def _best(scores: Floats) -> NDArray[np.intp]:
    """Return the places of the best scores: more than one, if they are alike."""
    best = scores.max()
    slack = CLOSE * abs(best) if np.isfinite(best) else 0.0
    return np.flatnonzero(scores >= best - slack)

"""What both estimators share: their parameters, one sweep a fit, the choice of the winner, and its network."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring
from sklearn.utils.validation import check_is_fitted

from jaxsweep.errors import RequestError, SweepFailed, shown
from jaxsweep.estimators.refit import trained_on_all
from jaxsweep.estimators.rows import Rows, inputs_of, rows_of, training_rows
from jaxsweep.estimators.table import signed, table_of
from jaxsweep.records.model import Model
from jaxsweep.records.result import Result
from jaxsweep.records.trials import Trial
from jaxsweep.spec import arguments
from jaxsweep.spec.default import adapted_space
from jaxsweep.spec.hyperparameters import Config
from jaxsweep.spec.request import DEFAULT_SEARCH
from jaxsweep.spec.space import Space


class SweepEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A sweep as an estimator of scikit-learn; `SweepClassifier` and `SweepRegressor` say the rest."""

    result_: Result
    model_: Model
    best_params_: Config
    best_score_: float
    best_index_: int
    cv_results_: dict[str, Any]
    scorer_: Any
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    def __init__(
        self,
        space: Space | Mapping[str, Any] | None = None,
        *,
        configs: Sequence[Config] | None = None,
        trials: int | None = None,
        search: str = DEFAULT_SEARCH,
        scheduler: str | None = None,
        options: Mapping[str, Any] | None = None,
        initial: Sequence[Config] | None = None,
        start_from: str | Path | Model | None = None,
        minutes: float | None = None,
        objective: str | Sequence[str] | None = None,
        constraints: str | Sequence[str] = (),
        metrics: Mapping[str, Any] | None = None,
        scoring: Any = None,
        candidates: int = 10,
        refit: bool = True,
        validation_fraction: float = 0.2,
        folds: Any = 0,
        replicates: int = 1,
        confirm: int = 0,
        keep_weights: str = "last",
        image_shape: tuple[int, int] | None = None,
        precision: str = "highest",
        out: Any = None,
        progress: bool = False,
        random_state: Any = 0,
    ) -> None:
        self.space = space
        self.configs = configs
        self.trials = trials
        self.search = search
        self.scheduler = scheduler
        self.options = options
        self.initial = initial
        self.start_from = start_from
        self.minutes = minutes
        self.objective = objective
        self.constraints = constraints
        self.metrics = metrics
        self.scoring = scoring
        self.candidates = candidates
        self.refit = refit
        self.validation_fraction = validation_fraction
        self.folds = folds
        self.replicates = replicates
        self.confirm = confirm
        self.keep_weights = keep_weights
        self.image_shape = image_shape
        self.precision = precision
        self.out = out
        self.progress = progress
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Sweep over the space, choose the winner, and train it on all rows, if that is asked for.

        An interrupt ends the sweep: what has finished then makes a fitted estimator, without another training on all
        rows, and the interrupt goes on to the caller.

        Args:
            X: [rows, features]: a pandas frame, whose columns may be numbers, text, categories and dates with missing
                values, or an array or a sparse matrix of numbers.
            y: [rows] labels; of a regressor [rows] or [rows, targets] numbers.
            sample_weight: [rows] numbers >= 0 by which rows count in losses and metrics. Rows of weight 0 are as good
                as absent.
            groups: [rows] labels; rows with the same one stay together where rows are split.

        Returns:
            The estimator.

        Raises:
            RequestError: a parameter, or data, that cannot be used; it is a ValueError.
            SweepFailed: no trial finished with a score, or none that meets the constraints.
        """
        from jaxsweep.api import sweep  # with JAX, which those who predict do without

        candidates, refit = arguments.whole("candidates", self.candidates, 1), arguments.flag("refit", self.refit)
        scorer = None if self.scoring is None else _scorer(self, self.scoring)
        fraction = _fraction(self.validation_fraction)
        seed = _seed(self.random_state)
        rows = rows_of(self, X, y, sample_weight, groups, self.image_shape)
        space, folds = self.space, rows.folds(self.folds)
        if space is None and self.configs is None:
            space = Space.from_toml(adapted_space({}, training_rows(rows, folds, fraction)))
        options = {} if self.options is None else arguments.config("options", self.options)
        result = sweep(
            rows.dataset, space, configs=self.configs, trials=self.trials, initial=self.initial, search=self.search,
            scheduler=self.scheduler, minutes=self.minutes, objective=self.objective, constraints=self.constraints,
            start_from=self.start_from, seed=seed, replicates=self.replicates, folds=folds,
            split=(1 - fraction, fraction, 0.0), keep=1 if scorer is None else candidates,
            keep_lanes=scorer is not None, confirm=self.confirm, keep_weights=self.keep_weights,
            precision=self.precision, metrics=self.metrics, out=self.out, progress=self.progress, **options,
        )  # fmt: skip
        interrupted = result.status == "interrupted"
        try:
            self._take(rows, result, scorer, candidates, refit and not interrupted)
        except SweepFailed:
            if interrupted:
                raise KeyboardInterrupt from None
            raise
        if interrupted:
            raise KeyboardInterrupt
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the label of each row, [rows]; of a regressor numbers, [rows] or [rows, targets].

        Args:
            X: [rows, features], as `fit` takes it.
        """
        return self._predicting().predict(inputs_of(self, X))

    def _take(self, rows: Rows, result: Result, scorer: Any, candidates: int, refit: bool) -> None:
        """Take what a sweep came to as the attributes of a fitted estimator."""
        ranking = result.top(max(len(result.trials), 1))
        if not ranking:
            raise SweepFailed(result.why_none())
        judged: dict[int, float] | None = None
        if scorer is not None:
            judged = self._judged(rows, result, ranking[:candidates], scorer)
            ranking.sort(key=lambda trial: -judged[trial.id] if trial.id in judged else np.inf)
        winner = ranking[0]
        self.result_ = result
        self.scorer_ = scorer
        self.cv_results_ = table_of(result, ranking, judged)
        self.best_index_ = next(place for place, trial in enumerate(result.trials) if trial.id == winner.id)
        self.best_params_ = winner.params
        self.best_score_ = signed(result.objective, winner.score)
        if judged is not None:
            self.best_score_ = judged[winner.id]
        elif result.confirmed and result.confirmed[0].confirmed_score is not None:
            self.best_score_ = signed(result.objective, result.confirmed[0].confirmed_score)
        self._classes(rows)
        self.model_ = result.model(winner.id)  # also if the other one is interrupted
        if refit:
            self.model_ = trained_on_all(result, winner, self.start_from)

    def _judged(self, rows: Rows, result: Result, trials: Sequence[Trial], scorer: Any) -> dict[int, float]:
        """Return what the scorer gives of some trials by id: the mean over their networks, each on its validation rows.

        What is not finite is the worst that there is.
        """
        judge, data = copy.copy(self), result.data
        judge._classes(rows)
        parts = [rows.of(data.numbers[val]) for val in data.val]
        judged = {}
        for trial in trials:
            values = []
            for lane in result.lanes[trial.id]:
                judge.model_ = result.model(trial.id, lane.replicate, lane.fold)
                value = scorer(judge, *parts[lane.fold])
                try:
                    values.append(float(value))
                except (TypeError, ValueError):
                    raise RequestError(
                        f"scoring = {shown(self.scoring)} gives {shown(value)}: it must give a number"
                    ) from None
            judged[trial.id] = float(np.mean(values))
        if not any(np.isfinite(list(judged.values()))):
            raise RequestError(
                f"scoring = {shown(self.scoring)} gives no finite number of any of the best {len(judged)} trials on "
                f"their {len(data.val[0])} validation rows: it may not be defined on so few"
            )
        return {trial: value if np.isfinite(value) else -np.inf for trial, value in judged.items()}

    def _classes(self, rows: Rows) -> None:
        """Take the labels of the rows, where there are any."""

    def _predicting(self) -> Model:
        check_is_fitted(self)
        return self.model_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = True
        tags.target_tags.required = True
        tags.non_deterministic = self.random_state is None or self.minutes is not None
        return tags

    def __getstate__(self) -> dict[str, Any]:
        # What is sent somewhere does not take the training data along.
        return {name: value for name, value in super().__getstate__().items() if name != "result_"}


def _scorer(estimator: Any, scoring: Any) -> Any:
    """Return the scorer, `scorer(estimator, X, y)`, that a name or a callable stands for."""
    if not isinstance(scoring, str) and not callable(scoring):
        raise RequestError(
            f"scoring = {shown(scoring)} is not legal: it must be the name of a scorer, such as 'f1_macro', or a "
            "callable scorer(estimator, X, y)"
        )
    return check_scoring(estimator, scoring=scoring)


def _fraction(value: Any) -> float:
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not real or not 0 < value < 1:
        raise RequestError(f"validation_fraction = {shown(value)} is not legal: it must be a number between 0 and 1")
    return float(value)


def _seed(value: Any) -> int | None:
    """Return the seed of one fit: an integer as it is, and what a generator draws."""
    if value is None:
        return None
    if isinstance(value, np.random.RandomState):
        return int(value.randint(2**31 - 1))
    if isinstance(value, np.random.Generator):
        return int(value.integers(2**31 - 1))
    return arguments.whole("random_state", value)

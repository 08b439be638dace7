"""The estimators of scikit-learn that people use: `SweepClassifier` and `SweepRegressor`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin

from jaxsweep.estimators.base import SweepEstimator
from jaxsweep.estimators.rows import Rows, inputs_of


class SweepClassifier(ClassifierMixin, SweepEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier of scikit-learn whose `fit` is one sweep: it trains many networks and predicts by the best one.

    No rows are set aside for a test: `score`, `cross_val_score` or a part of your own tell what to expect of it, since
    `best_score_` is the best of many on the rows that chose it. X may be a pandas frame with text, categories, dates
    and missing values, which need no encoding. To predict takes NumPy alone.

    Args:
        space: what to search, a `js.Space` or a mapping; None: the default space of the command line.
        configs: exactly these configs, instead of a space.
        trials: how many configs to train; by default all that the searcher has, or 256.
        search, scheduler: the names of the searcher and the scheduler, as `js.sweep` takes them.
        options: options of these two, such as {"population": 100, "eta": 4}.
        initial: configs of the space that come first.
        start_from: a trained network, or its folder, with whose weights all networks start.
        minutes: the time after which no training begins. The clock then decides how many trials there are.
        objective: the validation metric to search on, by default val_accuracy (of a regressor val_mse); or several.
        constraints: what a trial must meet to be the best, such as "parameters <= 10000".
        metrics: your own metrics by name, functions of JAX.
        scoring: who chooses the winner among the best trials: the name of a scorer of scikit-learn, or a callable
            scorer(estimator, X, y). It is asked on the host, of each network of a candidate on its validation rows,
            without their weights; with folds or replicates the mean counts. None: the objective decides.
        candidates: how many of the best trials by the objective `scoring` chooses from.
        refit: whether the winner's config is trained again on all rows, for as many epochs as counted in the search,
            as scikit-learn's searches do; else the network of the search predicts, which has not seen the validation
            rows. Of the network that is trained again no score is known.
        validation_fraction: the share of the rows that validate, where there are no folds; classes are stratified.
        folds: k for k-fold cross-validation in place of that; or a splitter of scikit-learn, or pairs of row numbers.
        replicates: trainings of each config under different seeds.
        confirm: how many of the best trials are trained again under fresh seeds, the best mean being the winner.
        keep_weights: whether a trial's score and weights are those of its `last` or its `best` epoch.
        image_shape: (height, width) where the columns are the pixels of images, which augmentation needs.
        precision: of matrix products on an accelerator, as `js.sweep` takes it.
        out: a new run directory that records the sweep; for a single fit.
        progress: whether to show how far the sweep is.
        random_state: the sweep's seed, which decides all random numbers, the split included: the same one gives the
            same classifier. None draws one for each fit, a generator of NumPy gives one for each.

    Attributes:
        classes_: the sorted labels.
        model_: the network that predicts, a `js.Model`: `model_.save` writes it without any of this.
        result_: the sweep, a `js.Result`, with all that it can say. It holds the training data, and does not go along
            where the classifier is pickled or copied.
        best_params_: what the sweep varied, of the winner.
        best_score_: what the winner was chosen by: the scorer's value; else the mean of its fresh trainings, where it
            was confirmed; else its objective. Errors, such as val_mse, are negative here, as in scikit-learn.
        best_index_: its place in `cv_results_`.
        cv_results_: arrays [trials], as scikit-learn's searches have them: params, param_NAME, split0_test_score (the
            validation rows; one for each replicate and fold), mean_test_score, std_test_score, rank_test_score,
            mean_fit_time in seconds; beside them trial, status, confirmed_score and candidate_score.
        scorer_: the scorer, if there is one.
        n_features_in_: the columns of X.
        feature_names_in_: their names, if X is a frame with names of columns.
    """

    classes_: NDArray[Any]

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable label of each row, [rows].

        Args:
            X: [rows, features], as `fit` takes it.

        Raises:
            NotFittedError: there has been no fit.
            ValueError: X has other columns than `fit` has seen, or infinite values.
        """
        codes = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[codes])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, [rows, classes] in the order of `classes_`.

        Arguments and errors are those of `predict`.
        """
        return self._predicting().predict_proba(inputs_of(self, X))

    def _classes(self, rows: Rows) -> None:
        assert rows.classes is not None
        self.classes_ = rows.classes


class SweepRegressor(RegressorMixin, SweepEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A regressor of scikit-learn whose `fit` is one sweep: it trains many networks and predicts by the best one.

    y is [rows], or [rows, targets] for several targets at once. Parameters and attributes are those of
    `SweepClassifier`, but for `classes_`; the objective is val_mse unless told otherwise.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

"""What a keyword that a function does not have may mean: the nearest one, or what other tools call the same thing."""

from collections.abc import Mapping, Sequence

from jaxsweep.errors import RequestError, meant, nearest
from jaxsweep.spec.hyperparameters import ELSEWHERE as HYPERPARAMETER
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS

# As Optuna, Ray Tune, Keras Tuner and scikit-learn have it.
ELSEWHERE = {
    "n_trials": "trials", "max_trials": "trials", "num_samples": "trials", "n_iter": "trials", "max_evals": "trials",
    "cv": "folds", "n_splits": "folds", "n_folds": "folds", "kfold": "folds", "metric": "objective",
    "scoring": "objective", "random_state": "seed", "rng": "seed", "sampler": "search",
    "searcher": "search", "search_alg": "search", "tuner": "search", "param_distributions": "space",
    "param_grid": "space", "param_space": "space", "search_space": "space", "n_repeats": "replicates",
    "executions_per_trial": "replicates", "repeats": "replicates", "directory": "out", "output": "out", "run": "out",
    "verbose": "progress", "quiet": "progress", "show_progress_bar": "progress", "test_size": "split",
    "validation_split": "split", "train_size": "split", "sample_weight": "weights", "sample_weights": "weights",
    "weight": "weights", "timeout": "minutes", "time_budget_s": "minutes", "max_time": "minutes",
    "points_to_evaluate": "initial", "enqueue_trial": "initial",
}  # fmt: skip
NO_NEED = {
    "direction": "the direction follows from the metric that objective names",
    "mode": "the direction follows from the metric that objective names",
    "n_jobs": "all cores train",
    "num_workers": "all cores train",
}


def refused(
    name: str, function: str, own: Sequence[str], options: Mapping[str, Sequence[str]], search: str
) -> RequestError:
    """Return the refusal of a keyword that a function does not have.

    Args:
        name: the keyword.
        function: the function that was called.
        own: the function's own keywords.
        options: those that each searcher takes beside them.
        search: the searcher of this call; "" where there is none.
    """
    said, mine = f"{function} has no keyword {name!r}", list(options.get(search, ()))
    if name in NO_NEED:
        return RequestError(f"{said}, and needs none: {NO_NEED[name]}")
    if ELSEWHERE.get(name) in own:
        return RequestError(f"{said}; here it is called {ELSEWHERE[name]!r}")
    owners = [each for each, names in options.items() if name in names]
    if owners:
        return RequestError(
            f"{said} for search = {search!r}; it is an option of {', '.join(owners)}"
            if search
            else f"{said}{_known(own)}"
        )
    near = HYPERPARAMETER.get(name) or nearest(name, [*own, *mine, *HYPERPARAMETERS])
    if near in HYPERPARAMETERS and near not in (*own, *mine):
        return RequestError(f"{said}; {near} is a hyperparameter: it belongs in the space, or in each config")
    return RequestError(f"{said}{meant(near) or _known([*own, *mine])}")


def _known(names: Sequence[str]) -> str:
    return f"; it has {', '.join(names)}"

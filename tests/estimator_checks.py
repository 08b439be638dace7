"""scikit-learn's own checks of estimators, as `tests/estimators` runs them: on small linear networks."""

from collections.abc import Callable
from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

SMALL: dict[str, Any] = {
    "space": {"depth": 0, "learning_rate": 0.1, "epochs": 30, "batch_size": 32}, "trials": 1, "refit": False,
}  # fmt: skip
REPEATED = (
    "a row that weighs k counts k times in losses and metrics; batches, splits and standardization count it once. "
    "(Rows of weight 0 are as good as absent: test_fitting.py.)"
)
EXPECTED = {f"check_sample_weight_equivalence_on_{kind}_data": REPEATED for kind in ("dense", "sparse")}


def checks_of(estimator: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the decorator that gives a test scikit-learn's checks, two of which are expected to fail."""
    decorator: Callable[..., Any] = parametrize_with_checks([estimator], expected_failed_checks=lambda _: EXPECTED)
    return decorator

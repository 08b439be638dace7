"""What there is of each kind is in each of its places: the table of names, the code and its reference, the textbook."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import textbook

from jaxsweep.network.activations import ACTIVATIONS
from jaxsweep.network.initial import INITIALIZERS
from jaxsweep.network.objective import LOSSES
from jaxsweep.network.optimizers import OPTIMIZERS
from jaxsweep.network.schedules import SCHEDULES
from jaxsweep.network.scores import SCORES
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, resolve
from jaxsweep.spec.metrics import METRICS

CONFIG = resolve({}, "classification", 100)
ROWS = np.linspace(-1, 1, 6)[:, None]


def _has(function: Callable[[str], object]) -> Callable[[str], bool]:
    """Return whether the textbook knows a name: one that it does not is an error."""

    def known(name: str) -> bool:
        try:
            function(name)
        except (KeyError, ValueError):
            return False
        return True

    return known


# Of each kind: its names, its rows, where these stand, and whether the textbook has a name. Metrics have scikit-learn.
KINDS: dict[str, tuple[Iterable[str], Iterable[str], str, Callable[[str], bool]]] = {
    "optimizer": (
        HYPERPARAMETERS["optimizer"].choices, OPTIMIZERS, "network/optimizers.py",
        lambda name: name in textbook.OPTIMIZERS,
    ),
    "schedule": (
        HYPERPARAMETERS["schedule"].choices, SCHEDULES, "network/schedules.py",
        _has(lambda name: textbook.learning_rate(name, CONFIG, 3, 10, 2)),
    ),
    "activation": (
        HYPERPARAMETERS["activation"].choices, ACTIVATIONS, "network/activations.py",
        lambda name: name in textbook.ACTIVATIONS,
    ),
    "init": (
        HYPERPARAMETERS["init"].choices, INITIALIZERS, "network/initial.py",
        _has(lambda name: name == "orthogonal" or textbook.initial(name, 3, 4)),
    ),
    "loss": (
        HYPERPARAMETERS["loss"].choices, LOSSES, "network/objective.py",
        _has(lambda name: textbook.loss(name, CONFIG, ROWS, np.ones_like(ROWS))),
    ),
    "metric": (METRICS, SCORES, "network/scores.py", lambda name: True),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_names_rows_and_textbook_agree(kind: str) -> None:
    names, rows, where, in_textbook = KINDS[kind]
    assert list(names) == list(rows), f"the names of spec/ and the rows of jaxsweep/{where} differ, or their order"
    missing = [name for name in names if not in_textbook(name)]
    assert not missing, f"experiments/textbook.py has no formula for {', '.join(missing)}"


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_in_numpy_is_the_one_that_trains(name: str) -> None:
    row, z = ACTIVATIONS[name], np.linspace(-30, 30, 241)
    theirs: Any = row.reference({**CONFIG, "negative_slope": 0.2})
    np.testing.assert_allclose(row.numpy(z, 0.2), theirs(z), rtol=2e-5, atol=1e-6)

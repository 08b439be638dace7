from typing import Any

from estimator_checks import SMALL, checks_of

import jaxsweep as js


@checks_of(js.SweepRegressor(**SMALL))
def test_scikit_learn_finds_what_it_expects(estimator: Any, check: Any) -> None:
    check(estimator)

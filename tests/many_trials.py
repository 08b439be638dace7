"""Trials as columns, made up: what tests of pictures and pages draw."""

from typing import Any

import numpy as np

from jaxsweep.errors import printable
from jaxsweep.insight import charts
from jaxsweep.insight.importance import importance
from jaxsweep.insight.sheet import Factor, Sheet

BAD = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\x1b[2J"


def many(n: int, scored: float = 0.95) -> Sheet:
    """Trials of ten hyperparameters, of which some are absent here and there, and some scores are missing."""
    dice = np.random.default_rng(0)
    numbers: dict[str, Factor] = {f"x{i}": Factor(f"x{i}", dice.random(n)) for i in range(6)}
    numbers["rate"] = Factor("rate", 10 ** dice.uniform(-4, 0, n), (), log=True)
    numbers["word"] = Factor("word", dice.integers(0, 3, n).astype(float), ("a", "b", printable(BAD)))
    numbers["child"] = Factor("child", np.where(dice.random(n) < 0.5, dice.random(n), np.nan))
    numbers["size"] = Factor("size", dice.choice([16.0, 32.0, 64.0], n))
    scores = np.where(dice.random(n) < scored, dice.random(n), np.nan)
    return Sheet(np.arange(n), numbers, scores, np.isnan(scores), "val_loss", -1, {})


def every(sheet: Sheet) -> list[dict[str, Any]]:
    """Return a chart of each kind, of each hyperparameter where it is about one."""
    factors = [*sheet.factors.values()]
    table = np.random.default_rng(0).random((len(sheet.ids), 30))
    table[::3, 20:] = np.nan
    return [
        charts.curves(table, sheet.objective, sheet.sign, [(3, table[1]), (4, table[0][:20])]),
        charts.importances(importance(sheet)),
        *(charts.slice_chart(sheet, each) for each in factors),
        charts.parallel(sheet, factors),
        charts.heat(factors[6], factors[7], sheet.scores, sheet.objective, sheet.sign),
        charts.cost(sheet, 1.0 + np.arange(len(sheet.ids), dtype=np.float64), "seconds"),
    ]

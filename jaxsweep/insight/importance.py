"""Which hyperparameters matter, and which pairs: shares of the variance of a score, with intervals."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxsweep.errors import RequestError
from jaxsweep.insight.sheet import Sheet
from jaxsweep.insight.variance import LEAST, T, fit

if TYPE_CHECKING:
    import pandas as pd


RARE = 10  # trials that diverged, and that did not, to say anything of what decides


@dataclass(frozen=True)
class Share:
    """What a hyperparameter, or a pair beyond what each does by itself, accounts for, with a 95 % interval."""

    names: tuple[str, ...]
    share: float
    low: float
    high: float


@dataclass(frozen=True, repr=False)
class Importance:
    """How much of the variance of a response over the trials of a sweep each hyperparameter accounts for.

    What is absent in a config, by a condition of the space or since it has no effect there, accounts for nothing there.
    Of a search that learns, shares are those of the trials that it made: where it looked.

    Attributes:
        of: the response: score, a metric, or diverged.
        shares: of hyperparameters and of pairs of them, the largest first. Pairs that are not listed explain no more
            than luck would, or there are not enough trials to tell.
        rest: what is luck, and what depends on three and more hyperparameters.
        deviation: the standard deviation of that rest, in units of the response.
        trials: how many had the response.
        drawn_in: how many of them lay so far at the bad end (3 interquartile ranges) that they count as less far; none
            of a response that has bounds, such as an accuracy.
    """

    of: str
    shares: tuple[Share, ...]
    rest: float
    deviation: float
    trials: int
    drawn_in: int

    @property
    def main(self) -> dict[str, float]:
        """The shares of single hyperparameters, the largest first."""
        return {each.names[0]: each.share for each in self.shares if len(each.names) == 1}

    @property
    def pairs(self) -> dict[tuple[str, str], float]:
        """The shares of pairs, beyond what each of the two does by itself, the largest first."""
        return {(each.names[0], each.names[1]): each.share for each in self.shares if len(each.names) == 2}

    def to_pandas(self) -> "pd.DataFrame":
        """Return a frame with a row for each share: `hyperparameters`, `share`, `low`, `high`."""
        import pandas as pd

        rows = [(" x ".join(each.names), each.share, each.low, each.high) for each in self.shares]
        return pd.DataFrame(rows, columns=["hyperparameters", "share", "low", "high"])

    def told(self) -> str:
        """Return in a sentence what matters most."""
        if not self.shares or self.shares[0].share < 0.01:
            return f"no hyperparameter accounts for 1 % of the variance of {self.of} over {self.trials:,} trials"
        first = [f"{' x '.join(each.names)} {each.share:.0%}" for each in self.shares[:3] if each.share >= 0.01]
        return f"of the variance of {self.of} over {self.trials:,} trials: {', '.join(first)}; rest {self.rest:.0%}"

    def __repr__(self) -> str:
        return f"Importance({self.told()})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.told())}</p>{self.to_pandas().to_html(index=False, float_format='{:.3f}'.format)}"


def importance(sheet: Sheet, of: Any = "score", names: Sequence[str] | None = None) -> Importance:
    """Return what the hyperparameters of a sweep account for.

    Args:
        sheet: the trials.
        of: score, a metric, or diverged.
        names: the hyperparameters to look at; by default all that the sweep varied.

    Raises:
        RequestError: there is nothing to explain, or there are too few trials.
    """
    response, drawn_in = sheet.tamed(of)
    rows = np.flatnonzero(np.isfinite(response))
    if len(rows) < LEAST:
        raise RequestError(
            f"{len(rows)} trials have {'a score' if of == 'score' else of}: to say what matters takes {LEAST} at least"
        )
    if not np.ptp(response[rows]):
        raise RequestError(
            f"all {len(rows):,} trials have the same {of}: there is nothing that a hyperparameter explains"
        )
    if of == "diverged" and (rare := int(min(response.sum(), (1 - response).sum()))) < RARE:
        which = "diverged" if response.sum() == rare else "did not diverge"
        raise RequestError(f"{rare} of {len(rows):,} trials {which}: to say what decides it takes {RARE} at least")
    names = [names] if isinstance(names, str) else names
    chosen = [sheet.factor(name) for name in names] if names is not None else [*sheet.factors.values()]
    found = fit([factor.of(rows) for factor in chosen], response[rows])
    shares = [
        Share(
            term.names,
            float(np.clip(share, 0, 1)),
            *(float(np.clip(share + side * T * error, 0, 1)) for side in (-1, 1)),
        )
        for term, share, error in zip(found.terms, found.shares, found.errors, strict=True)
    ]
    shares.sort(key=lambda each: -each.share)
    return Importance(of, tuple(shares), found.rest, found.deviation, found.trials, drawn_in)

"""Functional analysis of variance: how much of the spread of scores each hyperparameter, and each pair, accounts for.

A score is taken for a sum of functions of single hyperparameters and of pairs of them, plus luck:

    score = mean + sum f_i(x_i) + sum f_ij(x_i, x_j) + rest

Each f_i goes in straight lines between up to 16 knots with about equally many trials between them (where there are few
values, and of words, each has its own), each f_ij likewise between 6 x 6. Each has the mean 0 over the trials in which
its hyperparameters are present: where one is absent its functions are 0, and what its absence does belongs to the
hyperparameter that decides it. The f_i are fitted together by least squares, with a little weight on 0 for each
coefficient, so that of two hyperparameters that a search has moved together the one counts that explains; then the f_ij
together, as far as they go beyond any sum of single ones. The variance of an f over the trials is its share, from which
is taken what noise alone would have given; the rest has what is luck, and what depends on three and more. Which pairs
are fitted is decided by what each would explain of what single ones leave. Intervals are those of a jackknife over 20
groups of trials.

Sources: Hooker, Generalized functional ANOVA diagnostics, 2007; Hutter, Hoos and Leyton-Brown, An efficient approach
for assessing hyperparameter importance, 2014, where a forest takes the place of the bins: it misses an interaction
whose parts have no effect of their own, since no first split of a tree gains by it.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from jaxsweep import streams
from jaxsweep.insight.sheet import Factor, FloatArray

BINS, COARSE = 16, 6  # knots of a hyperparameter by itself, and of one in a pair
PAIRS = 16  # that are fitted, at most
GROUPS = 20  # of the jackknife
RIDGE = 0.1  # of an observation that says 0, of each coefficient: where there are no trials the functions stay there
FEWEST = 4  # levels of many values, however few the trials
LEAST = 20  # trials to say anything of
EACH = 25  # trials in a cell of a pair, on average, at least


class Line(NamedTuple):
    """Functions of one hyperparameter: straight lines between levels.

    `codes` [trials] are the level of each trial, or the one below it, -1 where it is absent; `above` [trials] is how
    far it is on its way to the next one; `columns` [levels, coefficients] have the mean 0 over the trials.
    """

    name: str
    codes: NDArray[np.int64]
    above: FloatArray
    columns: FloatArray

    @property
    def names(self) -> tuple[str, ...]:
        """Return the hyperparameters that it is of."""
        return (self.name,)

    @property
    def width(self) -> int:
        """Return the number of coefficients."""
        return int(self.columns.shape[1])

    def rows(self, chosen: NDArray[np.int64]) -> FloatArray:
        """Return the columns of some trials, [trials, coefficients]; 0 where it is absent."""
        table = np.vstack([self.columns, np.zeros(self.width)])
        codes, part = self.codes[chosen], self.above[chosen, None]
        return (1 - part) * table[codes] + part * table[np.where(codes < 0, -1, codes + (part[:, 0] > 0))]


class Pair(NamedTuple):
    """Functions of two hyperparameters: products of those of each, without their mean where both are present."""

    first: Line
    second: Line
    mean: FloatArray

    @property
    def names(self) -> tuple[str, ...]:
        """Return the hyperparameters that it is of."""
        return (self.first.name, self.second.name)

    @property
    def width(self) -> int:
        """Return the number of coefficients."""
        return self.first.width * self.second.width

    def rows(self, chosen: NDArray[np.int64]) -> FloatArray:
        """Return the columns of some trials, [trials, coefficients]; 0 where one of the two is absent."""
        both = (self.first.codes[chosen] >= 0) & (self.second.codes[chosen] >= 0)
        products = self.first.rows(chosen)[:, :, None] * self.second.rows(chosen)[:, None, :]
        return products.reshape(len(chosen), self.width) - both[:, None] * self.mean


Term = Line | Pair


@dataclass(frozen=True)
class Fit:
    """The functions of terms, fitted together.

    Attributes:
        terms: those of single hyperparameters, then of pairs.
        shares: float [terms], of the variance of the response; it may be a little below 0, as noise has it.
        errors: float [terms], their standard errors.
        effects: of each term of a single one float [levels], what it adds to the mean.
        jackknifed: likewise [groups, levels], with each group of trials left out.
        rest: the share that no term accounts for.
        deviation: the standard deviation of the rest.
        mean: of the response.
        trials: how many were used.
    """

    terms: tuple[Term, ...]
    shares: FloatArray
    errors: FloatArray
    effects: tuple[FloatArray, ...]
    jackknifed: tuple[FloatArray, ...]
    rest: float
    deviation: float
    mean: float
    trials: int


def levels_of(factor: Factor, most: int, each: int = 1) -> tuple[NDArray[np.int64], FloatArray]:
    """Return the level of each trial, -1 where the factor is absent, and a value that is typical of each level.

    Each value is one where there are up to `most`, or where it has no numbers. Else there are so many, of about equally
    many trials: of `each` or more, as long as that leaves `FEWEST` levels.
    """
    codes = np.full(len(factor.x), -1, np.int64)
    on = factor.present
    known = factor.x[on]
    values, places = np.unique(known, return_inverse=True)
    if len(values) <= most or factor.words:
        codes[on] = places
        return codes, values
    count = min(most, max(FEWEST, len(known) // each))
    edges = np.unique(np.quantile(known, np.linspace(0, 1, count + 1)[1:-1]))
    levels = np.searchsorted(edges, known, side="right")
    _, levels = np.unique(levels, return_inverse=True)  # ties may leave one empty
    codes[on] = levels
    return codes, np.array([np.median(known[levels == level]) for level in range(levels.max() + 1)])


def fit(factors: Sequence[Factor], y: FloatArray) -> Fit:
    """Return the functions of single factors and of pairs that explain `y`, float [trials] of finite numbers, best."""
    n = len(y)
    each = int(np.clip(n // (4 * max(len(factors), 1)), 2, BINS))
    coarse = int(np.clip(np.sqrt(n / EACH), 2, min(COARSE, each)))
    mains = [line for factor in factors if (line := _line(factor, each)).width]
    groups = streams.generator(0, "variance").permutation(np.arange(n) % GROUPS)
    first = _Solver(mains, y, groups)
    pairs = _pairs([_line(factor, coarse) for factor in factors], y - first.predicted(), sum(t.width for t in mains))
    solver = _Solver(mains, y, groups, pairs) if pairs else first
    return solver.fit()


def _line(factor: Factor, most: int) -> Line:
    """Return straight lines between knots, where a hyperparameter has more values than `most`, else between values."""
    on = factor.present
    known = np.log(factor.x[on]) if factor.log and (factor.x[on] > 0).all() else factor.x[on]
    codes, above = np.full(len(on), -1, np.int64), np.zeros(len(on))
    values, places = np.unique(known, return_inverse=True)
    if factor.words or len(values) <= most:
        codes[on] = places
        return Line(factor.name, codes, above, _balanced(np.bincount(places).astype(np.float64)))
    knots = np.unique(np.quantile(known, np.linspace(0, 1, most)))
    place = np.clip(np.searchsorted(knots, known, side="right") - 1, 0, len(knots) - 2)
    codes[on], above[on] = place, (known - knots[place]) / (knots[place + 1] - knots[place])
    counts = np.bincount(place, 1.0 - above[on], len(knots)) + np.bincount(place + 1, above[on], len(knots))
    return Line(factor.name, codes, above, _balanced(counts))


def _balanced(counts: NDArray[Any]) -> FloatArray:
    """Return the columns [levels, levels - 1] whose sums over trials, so many at each level, are 0."""
    if len(counts) < 2:
        return np.zeros((len(counts), 0))
    largest = int(np.argmax(counts))
    columns = np.delete(np.eye(len(counts)), largest, axis=1)
    columns[largest] = -np.delete(counts, largest) / counts[largest]
    return columns


def _pairs(lines: Sequence[Line], left: FloatArray, coefficients: int) -> list[Pair]:
    """Return the pairs that explain most of what is left, as many as there are trials for."""
    found: list[tuple[float, Pair]] = []
    noise, n = float(left.var()), len(left)
    for a, b in itertools.combinations(lines, 2):
        rows = np.flatnonzero((a.codes >= 0) & (b.codes >= 0))
        if not a.width * b.width or len(rows) < LEAST:
            continue
        pair = Pair(a, b, np.zeros(a.width * b.width))
        x = pair.rows(rows)
        pair = pair._replace(mean=x.mean(axis=0))
        x -= pair.mean
        sums = x.T @ left[rows]
        gain = float(sums @ np.linalg.solve(x.T @ x + RIDGE * np.eye(pair.width), sums)) - noise * pair.width
        found.append((gain, pair))
    found.sort(key=lambda each: -each[0])
    chosen: list[Pair] = []
    for gain, pair in found[:PAIRS]:
        coefficients += pair.width
        if gain <= 0 or coefficients > n / 4:
            break
        chosen.append(pair)
    return chosen


class _Solver:
    """Least squares of single terms together, then of pairs beyond them, with and without each group of trials."""

    def __init__(
        self, mains: Sequence[Line], y: FloatArray, groups: NDArray[np.int64], pairs: Sequence[Pair] = ()
    ) -> None:
        self.mains, self.y, self.groups = tuple(mains), y, groups
        self.terms: tuple[Term, ...] = (*mains, *pairs)
        ends = np.cumsum([0, *(term.width for term in self.terms)])
        self.parts = [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]
        self.singles, p = int(ends[len(mains)]), int(ends[-1])
        self.grams, self.sums = np.zeros((GROUPS, p, p)), np.zeros((GROUPS, p))
        self.means = np.zeros((GROUPS, p))
        self.counts = np.bincount(groups, minlength=GROUPS).astype(np.float64)
        self.totals = np.bincount(groups, y, minlength=GROUPS)
        self.squares = np.bincount(groups, y * y, minlength=GROUPS)
        for group in range(GROUPS):
            rows = np.flatnonzero(groups == group)
            x = self._columns(rows)
            self.grams[group], self.sums[group], self.means[group] = x.T @ x, x.T @ y[rows], x.sum(axis=0)

    def _columns(self, rows: NDArray[np.int64]) -> FloatArray:
        return np.hstack([np.zeros((len(rows), 0)), *(term.rows(rows) for term in self.terms)])

    def predicted(self) -> FloatArray:
        """Return what all terms together say of each trial, where there are no pairs."""
        coefficients, mean, *_ = self._solve(np.ones(GROUPS, bool))
        return np.concatenate(
            [mean + self._columns(rows) @ coefficients for rows in np.array_split(np.arange(len(self.y)), GROUPS)]
        )

    def _solve(self, used: NDArray[np.bool_]) -> tuple[FloatArray, float, FloatArray, float]:
        """Return coefficients, the mean, the share of each term and the variance that is left, of some groups."""
        n, total = self.counts[used].sum(), self.totals[used].sum()
        gram, sums, column_sums = (each[used].sum(axis=0) for each in (self.grams, self.sums, self.means))
        mean = total / n
        variance = self.squares[used].sum() / n - mean**2
        gram = gram - np.outer(column_sums, column_sums) / n
        moments = sums - column_sums * mean
        m = self.singles
        one, left, spent = _least_squares(gram[:m, :m], moments[:m], n * variance, n - 1)
        beta, blocks, covariances = [one.beta], [gram[:m, :m]], [left * one.spread]
        if m < len(gram):
            # What of the pairs' columns is no sum of single ones.
            beyond = gram[m:, m:] - gram[m:, :m] @ one.inverse @ gram[:m, m:]
            rest = moments[m:] - gram[m:, :m] @ one.beta
            two, left, _ = _least_squares(beyond, rest, left * (n - 1 - spent), n - 1 - spent)
            beta, blocks, covariances = [*beta, two.beta], [*blocks, beyond], [*covariances, left * two.spread]
        shares = np.empty(len(self.parts))
        for i, part in enumerate(self.parts):
            which, start = int(part.start >= m), m if part.start >= m else 0
            own = slice(part.start - start, part.stop - start)
            block, found = blocks[which][own, own], beta[which][own]
            # Single ones explain by chance a little of any column that is beyond them.
            trials = n - spent * which
            shares[i] = (found @ block @ found - (block * covariances[which][own, own]).sum()) / trials
        every = np.concatenate(beta)
        return every, float(mean - column_sums @ every / n), shares / max(variance, 1e-300), float(left)

    def fit(self) -> Fit:
        """Return what all groups give, with errors by what changes without each."""
        beta, mean, shares, left = self._solve(np.ones(GROUPS, bool))
        without = [self._solve(np.arange(GROUPS) != group) for group in range(GROUPS)] if self.terms else []
        around = np.array([each[2] for each in without]).reshape(len(without), len(self.terms))
        effects = tuple(line.columns @ beta[part] for line, part in zip(self.mains, self.parts, strict=False))
        jackknifed = tuple(
            np.array([line.columns @ each[0][part] for each in without])
            for line, part in zip(self.mains, self.parts, strict=False)
        )
        variance = float(self.y.var())
        return Fit(
            self.terms, shares, jackknife_error(around), effects, jackknifed,
            min(left / variance, 1.0) if variance else 0.0, left**0.5, mean, len(self.y),
        )  # fmt: skip


class _Found(NamedTuple):
    beta: NDArray[Any]
    inverse: NDArray[Any]
    spread: NDArray[Any]  # the covariance of the coefficients for noise of variance 1


def _least_squares(gram: FloatArray, moments: FloatArray, squares: float, n: float) -> tuple[_Found, float, float]:
    """Return coefficients, the variance that is left of a sum of squares, and the degrees of freedom that they take."""
    inverse = np.linalg.inv(gram + RIDGE * np.eye(len(gram)))
    beta = inverse @ moments
    spent = len(beta) - RIDGE * float(np.trace(inverse))
    left = max(squares - float(2 * beta @ moments - beta @ gram @ beta), 0.0) / max(n - spent, 1.0)
    return _Found(beta, inverse, inverse - RIDGE * inverse @ inverse), left, spent


def jackknife_error(estimates: FloatArray) -> FloatArray:
    """Return the standard error of what was estimated without each of GROUPS groups, [groups, ...]."""
    if not len(estimates):
        return np.zeros(estimates.shape[1:])
    off = estimates - estimates.mean(axis=0)
    return np.asarray(np.sqrt((GROUPS - 1) / GROUPS * (off * off).sum(axis=0)))


T = float(stats.t.ppf(0.975, GROUPS - 1))  # standard errors to each side of a 95 % interval

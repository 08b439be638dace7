"""A Gaussian process: covariances of points, what they are fitted to, and draws of the function at other points.

Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapters 2 and 5. Only `bayes` imports this, when
it needs it: SciPy's parts take a while to import.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.special import ndtri
from scipy.stats import rankdata

from jaxsweep.spec.distributions import FloatArray

LENGTH, NOISE = 0.6, 0.2  # length scale and variance of the noise that are likeliest beforehand
SPREAD = (0.9, 1.0, 1.2)  # standard deviations, on a log scale, of length scales, signal and noise
STEPS = 20  # of the fit
JITTER = 1e-5


class Kernel(NamedTuple):
    """Logarithms of what the kernel is fitted to: length scales [columns], the variances of signal and noise."""

    lengths: FloatArray
    signal: float
    noise: float

    @classmethod
    def prior(cls, columns: int) -> "Kernel":
        """Return what is likeliest beforehand."""
        return cls(np.full(columns, np.log(LENGTH)), 0.0, float(np.log(NOISE)))

    @property
    def theta(self) -> FloatArray:
        """Return all of it as one vector, [columns + 2]."""
        return np.array([*self.lengths, self.signal, self.noise])


def normal_scores(values: FloatArray) -> FloatArray:
    """Return values [n] as quantiles of the normal distribution, by rank; equals share one."""
    scores: FloatArray = ndtri((rankdata(values) - 0.5) / len(values))
    return scores


def normals(uniform: FloatArray) -> FloatArray:
    """Return normal numbers from uniform ones in [0, 1), by inversion."""
    drawn: FloatArray = ndtri(uniform + 2.0**-54)
    return drawn


class Process:
    """A Gaussian process that knows `values` [n] at embedded points [n, coordinates].

    Args:
        points: divided by the length scales already.
        values: with noise.
        kernel: what it has been fitted to.
    """

    def __init__(self, points: FloatArray, values: FloatArray, kernel: Kernel) -> None:
        self.points, self.kernel = points, kernel
        covariance = covariances(points, points, kernel)
        noise = np.exp(kernel.noise) + JITTER
        self._root = np.linalg.cholesky(covariance + noise * np.eye(len(points)))
        self._weights = cho_solve((self._root, True), values)
        self.means: FloatArray = covariance @ self._weights  # [n], of the function at the points themselves

    def draws(self, points: FloatArray, noise: FloatArray) -> FloatArray:
        """Return draws of the function at other points, [points, draws], from normal numbers of that shape."""
        beside = covariances(points, self.points, self.kernel)
        known = solve_triangular(self._root, beside.T, lower=True)
        left = covariances(points, points, self.kernel) - known.T @ known
        # Points may lie so close together that rounding decides the sign of an eigenvalue.
        spread = np.linalg.cholesky(left + 10 * JITTER * np.exp(self.kernel.signal) * np.eye(len(points)))
        drawn: FloatArray = (beside @ self._weights)[:, None] + spread @ noise
        return drawn


def covariances(left: FloatArray, right: FloatArray, kernel: Kernel) -> FloatArray:
    """Return the Matern-5/2 covariances [left, right] of embedded points, without noise."""
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    found: FloatArray = np.exp(kernel.signal) * _matern(np.maximum(squares, 0, out=squares))
    return found


def _matern(squares: FloatArray) -> FloatArray:
    """Return the correlations at squared distances; of millions, each array more would take as long as the sums."""
    distance = np.sqrt(5 * squares)
    found: FloatArray = 1 + distance
    squares = distance**2
    squares /= 3
    found += squares
    np.negative(distance, out=distance)
    found *= np.exp(distance, out=distance)
    return found


def _slope(squares: FloatArray) -> FloatArray:
    """Return by what share of its square a length scale's logarithm changes the correlations at squared distances."""
    distance = np.sqrt(5 * squares)
    found: FloatArray = 5 / 3 * (1 + distance) * np.exp(-distance)
    return found


def fitted(squares: FloatArray, values: FloatArray, start: Kernel) -> Kernel:
    """Return the kernel under which `values` [n] are likeliest, given the prior.

    It takes a few steps of L-BFGS from where the last fit ended, which is close with a batch more. `squares` are
    squared distances, [columns, n, n].
    """
    columns, n, _ = squares.shape
    likeliest = Kernel.prior(columns).theta
    spread = np.array([*[SPREAD[0]] * columns, *SPREAD[1:]])

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        lengths, signal, noise = np.exp(-2 * theta[:columns]), np.exp(theta[-2]), np.exp(theta[-1])
        scaled = np.tensordot(lengths, squares, axes=1)
        shape, slope = _matern(scaled), _slope(scaled)
        root = np.linalg.cholesky(signal * shape + (noise + JITTER) * np.eye(n))
        weights = cho_solve((root, True), values)
        pull = np.outer(weights, weights) - cho_solve((root, True), np.eye(n))
        by_length = pull * signal * slope
        slopes = (0.5 * lengths * (squares * by_length).sum(axis=(1, 2))).tolist()
        slopes += [0.5 * signal * float(np.sum(pull * shape)), 0.5 * noise * float(np.trace(pull))]
        away = (theta - likeliest) / spread
        value = 0.5 * float(values @ weights) + float(np.log(np.diag(root)).sum()) + 0.5 * float(away @ away)
        return value, away / spread - np.array(slopes)

    bounds = [(np.log(0.03), np.log(20.0))] * columns + [(-4.0, 3.0), (-7.0, 2.0)]
    found = minimize(loss, start.theta, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}).x
    return Kernel(found[:columns], float(found[-2]), float(found[-1]))

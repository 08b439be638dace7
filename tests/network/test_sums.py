"""Sums in vectors: the value and the derivative of plain ones, whatever the shape, and no worse rounded."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsweep.network import sums

SHAPES = [(), (1,), (7,), (8,), (3, 5), (13, 5), (64, 10), (263, 3), (520, 9), (1, 4096), (128, 128)]
KINDS = [(sums.squared, np.square, lambda x: 2 * x), (jnp.abs, np.abs, lambda x: np.where(x >= 0, 1, -1))]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("of", "plain", "slope"), KINDS, ids=["squares", "sizes"])
def test_value_and_derivative(shape: tuple[int, ...], of, plain, slope) -> None:  # type: ignore[no-untyped-def]
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
    x.ravel()[0] = 0.0
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(lambda x: 3 * sums.total(of, x))))(x)
    for lane in (0, 1):
        exact = math.fsum(plain(x[lane].astype(np.float64)).ravel())
        assert float(values[lane]) == pytest.approx(3 * exact, rel=1e-6)
        assert float(sums.plain(of, x[lane])) == pytest.approx(exact, rel=1e-5)
        np.testing.assert_allclose(slopes[lane], 3 * slope(x[lane]), rtol=1e-6)
        np.testing.assert_allclose(slopes[lane], jax.grad(lambda x: 3 * sums.plain(of, x))(x[lane]), rtol=1e-6)


def test_what_is_not_finite_stays_so_and_in_its_lane() -> None:
    x = np.ones((3, 70, 9), np.float32)
    x[0, 69, 8], x[2, 0, 0] = np.inf, np.nan
    found = jax.vmap(lambda x: sums.total(sums.squared, x))(x)
    assert found[0] == np.inf
    assert found[1] == 630
    assert np.isnan(found[2])

"""Augmented images against SciPy's interpolation, and the map's limits."""

import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from jaxsweep.network import randomness
from jaxsweep.network.augment import NAMES, augment
from jaxsweep.network.randomness import lane_key, stream

SHAPE = (7, 9)
KEY = stream(lane_key(0, 3, 0, 0), 5)


def _images(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, SHAPE[0] * SHAPE[1])).astype(np.float32)


def _limits(**values: float) -> dict[str, jnp.ndarray]:
    return {name: jnp.asarray(values.get(name, 0.0)) for name in NAMES}


def test_nothing_asked_changes_nothing() -> None:
    images = _images(5)
    np.testing.assert_array_equal(augment(SHAPE, _limits(), KEY, jnp.asarray(images)), images)


def test_flip_mirrors_left_and_right() -> None:
    images = _images(4)
    mirrored = images.reshape(-1, *SHAPE)[:, :, ::-1].reshape(4, -1)
    np.testing.assert_allclose(augment(SHAPE, _limits(flip=1.0), KEY, jnp.asarray(images)), mirrored, atol=1e-6)
    half = np.asarray(augment(SHAPE, _limits(flip=0.5), KEY, jnp.asarray(_images(400))))
    share = np.mean(np.abs(half - _images(400)).max(axis=1) > 1e-6)
    assert abs(share - 0.5) < 0.13


def test_all_together_as_scipy_samples() -> None:
    """The same draws and the same affine map, sampled by scipy.ndimage."""
    images, limits = _images(6), {"rotation": 40.0, "scaling": 0.3, "shift": 0.2}
    got = np.asarray(augment(SHAPE, _limits(**limits), KEY, jnp.asarray(images)))
    draws = 2 * np.asarray(randomness.uniform(KEY, (6, 5)), np.float64) - 1
    for image, draw, result in zip(images, draws, got, strict=True):
        angle, size = np.deg2rad(draw[0] * limits["rotation"]), 1 + draw[1] * limits["scaling"]
        back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / size
        center = (np.array(SHAPE) - 1) / 2
        offset = center - back @ (center + draw[2:4] * limits["shift"] * SHAPE)
        expected = ndimage.affine_transform(
            image.reshape(SHAPE).astype(np.float64), back, offset, order=1, mode="nearest"
        )
        np.testing.assert_allclose(result.reshape(SHAPE), expected, atol=2e-5)

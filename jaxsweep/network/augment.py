"""Augmentation of image-shaped inputs inside the compiled step: rotation, scaling, shift and flip.

Each example gets its own random affine map. The image is sampled bilinearly at the mapped places; beyond its border
it continues with the border's values. A lane that uses none of them samples every pixel exactly where it is.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

from jaxsweep.network import randomness

NAMES = ("rotation", "scaling", "shift", "flip")


def augment(shape: tuple[int, int], h: Mapping[str, Array], key: Array, x: Array) -> Array:
    """Return images [batch, height * width], each changed at random within the limits in `h`.

    Args:
        shape: height and width.
        h: the largest `rotation` (degrees), `scaling` (relative), `shift` (fraction of the side) and the probability
            of a `flip`; those absent are off.
        key: uint32 [2], the stream of this step.
        x: the images.
    """
    limits = {name: h.get(name, jnp.zeros((), x.dtype)) for name in NAMES}
    draws = 2 * randomness.uniform(key, (x.shape[0], 5)) - 1  # [batch, 5] in (-1, 1)
    angle = draws[:, 0] * limits["rotation"] * (jnp.pi / 180)
    size = 1 + draws[:, 1] * limits["scaling"]
    shift = draws[:, 2:4] * limits["shift"]
    mirror = jnp.where((draws[:, 4] + 1) / 2 < limits["flip"], -1.0, 1.0)
    return jax.vmap(lambda image, *how: _sample(image.reshape(shape), *how).ravel())(x, angle, size, shift, mirror)


def _sample(image: Array, angle: Array, size: Array, shift: Array, mirror: Array) -> Array:
    """Return `image` [height, width] turned by `angle`, enlarged by `size`, moved by `shift`, and mirrored."""
    height, width = image.shape
    rows, columns = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    center = ((height - 1) / 2, (width - 1) / 2)
    # The inverse map: where in the old image does each new pixel come from?
    y = rows - center[0] - shift[0] * height
    x = mirror * (columns - center[1] - shift[1] * width)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    places = [(cosine * y + sine * x) / size + center[0], (cosine * x - sine * y) / size + center[1]]
    return jax.scipy.ndimage.map_coordinates(image, places, order=1, mode="nearest")

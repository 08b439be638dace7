"""Everything random against SciPy: all values of a draw's bits, and the distributions of what is made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import oracle_draws
import pytest
import textbook
from oracle_draws import Drawing, drawn, midpoints
from oracle_pieces import Piece
from scipy import special, stats

from jaxsweep.network import initial, randomness
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS

SIGNIFICANT = 1e-6  # of a fixed draw: a failure is no bad luck
INITIALIZERS = HYPERPARAMETERS["init"].choices
WIDE = ("uniform, all 2^23 values", "normal, all values")
SAME = ("he_", "lecun_", "random_uniform")  # other scales of the same numbers; the experiment goes through them, too


@pytest.mark.parametrize(
    "piece", [p for p in oracle_draws.PIECES if not p.name.startswith(SAME)], ids=lambda piece: piece.name
)
def test_every_value_of_the_bits(piece: Piece) -> None:
    assert piece.difference() <= piece.bound


@pytest.mark.parametrize("piece", [p for p in oracle_draws.PIECES if p.name in WIDE], ids=lambda piece: piece.name)
def test_every_value_of_the_bits_in_float64(piece: Piece) -> None:
    with jax.enable_x64(True):
        assert piece.difference() <= piece.bound


@pytest.mark.parametrize("draw", oracle_draws.DRAWS, ids=lambda draw: draw.name)
def test_distribution(draw: Drawing) -> None:
    assert draw.p_value() > SIGNIFICANT


# --- numbers -----------------------------------------------------------------------------------------------------


def test_numbers_are_inside_and_have_the_moments() -> None:
    numbers = drawn(randomness.uniform)
    assert numbers.dtype == np.float32
    assert numbers.min() > 0
    assert numbers.max() < 1
    np.testing.assert_allclose(numbers.mean(dtype=np.float64), 0.5, rtol=1e-9)
    np.testing.assert_allclose(numbers.var(dtype=np.float64), 1 / 12, rtol=1e-9)
    numbers = drawn(randomness.normal)
    assert np.isfinite(numbers).all()
    np.testing.assert_allclose(np.abs(numbers).max(), -special.ndtri(midpoints()[0]), rtol=1e-5)
    moments = [(numbers.astype(np.float64) ** power).mean() for power in (1, 2, 4)]
    np.testing.assert_allclose(moments, [0, 1, 3], atol=2e-5)


@pytest.mark.parametrize("rate", [0.3, 1 - 2.0**-20])
def test_masks_drop_the_numbers_below_the_rate(rate: float) -> None:
    np.testing.assert_array_equal(drawn(randomness.keep, rate), midpoints() >= np.float32(rate))


def test_numbers_of_the_largest_and_smallest_words_are_in_range() -> None:
    words = jnp.asarray([0, 0, 0xFFFFFFFF, 0xFFFFFFFF], jnp.uint32), jnp.asarray([0, 511, 0, 0xFFFFFFFF], jnp.uint32)
    narrow = np.asarray(initial._to_unit(*words, jnp.float32))
    assert (narrow.min(), narrow.max()) == (0, 1 - 2.0**-23)
    with jax.enable_x64(True):
        wide = np.asarray(initial._to_unit(*words, jnp.float64))
    assert (wide.min(), wide.max()) == (0, 1 - 2.0**-52)


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, 2**31, 2**32 - 1])
def test_every_seed_gives_keys_of_its_own(seed: int) -> None:
    ids = np.arange(40), np.zeros(40, int), np.zeros(40, int)
    keys = np.asarray(randomness.lane_keys(seed, *ids))
    others = np.asarray(randomness.lane_keys(seed ^ 2, *ids))
    assert len(np.unique(np.concatenate([keys, others]), axis=0)) == 80


# --- initial weights ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in INITIALIZERS if name != "orthogonal"])
def test_initial_weights_have_the_bounds_and_moments_of_their_fans(name: str) -> None:
    for kernels in oracle_draws.initial_kernels(name):
        weights, expected = kernels.ravel(), textbook.initial(name, *kernels.shape[1:])
        low, high = expected.support()
        if np.isfinite(low):
            edge = 1e-2 * (high - low)
            assert low - 1e-4 * edge <= weights.min() < low + edge
            assert high - edge < weights.max() <= high + 1e-4 * edge
        mean, variance, kurtosis = expected.stats("mvk")
        error = np.sqrt(variance / len(weights))
        assert abs(weights.mean() - mean) < 5 * error
        assert abs(weights.var() / variance - 1) < 5 * np.sqrt((kurtosis + 2) / len(weights))
        # Each lane is another draw, and rows and columns are, too.
        flat = kernels.reshape(len(kernels), -1)
        correlations = np.asarray(np.corrcoef(flat))[np.triu_indices(len(flat), k=1)]
        assert np.abs(correlations).max() < 5.2 / np.sqrt(flat.shape[1])


def test_glorot_is_glorot() -> None:
    """The formulas once more, in figures: the square root of 6 / 307, and the deviations of the three papers."""
    wide, tall = oracle_draws.initial_kernels("glorot_uniform")
    assert 0.1395 < wide.max() <= 0.139800 + 1e-6
    assert 0.1395 < tall.max() <= 0.139800 + 1e-6
    deviations = {"glorot_normal": (0.0807, 0.0807), "he_normal": (0.5345, 0.0816), "lecun_normal": (0.3780, 0.0577)}
    for name, expected in deviations.items():
        np.testing.assert_allclose([k.std() for k in oracle_draws.initial_kernels(name)], expected, rtol=0.02)


def test_orthogonal_kernels_are_orthogonal() -> None:
    wide, tall = oracle_draws.initial_kernels("orthogonal")
    eye = np.broadcast_to(np.eye(7), (oracle_draws.LANES, 7, 7))
    np.testing.assert_allclose(wide @ wide.transpose(0, 2, 1), eye, atol=2e-6)
    np.testing.assert_allclose(tall.transpose(0, 2, 1) @ tall, eye, atol=2e-6)
    for kernels in (wide, tall):
        count = kernels.size
        assert abs(np.sign(kernels).mean()) < 5 / np.sqrt(count)
        squares = stats.beta(0.5, 299 / 2)  # of one place of a random unit vector of 300
        assert stats.kstest(kernels.ravel() ** 2, squares.cdf).pvalue > SIGNIFICANT


def test_large_square_orthogonal_kernels_are_orthogonal() -> None:
    """As many columns as rows: the last ones are what little the others have left."""
    kernels = oracle_draws.orthogonal_kernels(count=3, side=150)
    eye = np.broadcast_to(np.eye(150), kernels.shape)
    np.testing.assert_allclose(kernels.transpose(0, 2, 1) @ kernels, eye, atol=3e-6)


# --- dropout and mixup -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_scales_what_it_keeps(rate: float) -> None:
    after = oracle_draws.dropped(rate, rows=2000)
    np.testing.assert_allclose(np.unique(after), [0, 1 / (1 - rate)], rtol=1e-6)
    assert abs(after.mean() - 1) < 5 * np.sqrt(rate / (1 - rate) / after.size)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 20.0])
def test_mixup_shares_have_the_moments_of_the_beta_distribution(alpha: float) -> None:
    shares = oracle_draws.mixup_shares(alpha)
    variance = 1 / (4 * (2 * alpha + 1))
    fourth = float(stats.beta(alpha, alpha).stats("k")) + 2
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert abs(shares.mean() - 0.5) < 5 * np.sqrt(variance / len(shares))
    assert abs(shares.var() / variance - 1) < 5 * np.sqrt(fourth / len(shares))

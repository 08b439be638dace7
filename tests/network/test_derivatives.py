"""The form of derivatives and updates: what a program computes is right in any form, and fast in one."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optimizer_slots import EARLY, updates

from jaxsweep.network import inplace
from jaxsweep.network.mlp import Architecture, Mode, forward

# Rows of the batch, inputs and outputs of a layer.
LARGE_KERNEL = (4, 30, 20)
FEW_OUTPUTS = (64, 30, 2)
FEW_INPUTS = (64, 3, 40)
SHAPES = [LARGE_KERNEL, FEW_OUTPUTS, FEW_INPUTS]


def backward(kernel: jax.Array, x: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the gradients of a layer's kernel and inputs, for that of its outputs."""
    index = jnp.zeros((), jnp.int32)
    net = Architecture(kernel.shape[0], (), kernel.shape[1], False, ("relu",), ("none",), ("glorot_uniform",))
    mode = Mode(index, index, None, 0.01, None)
    bias = jnp.zeros(kernel.shape[1])

    def layer(kernel: jax.Array, x: jax.Array) -> jax.Array:
        return forward(net, mode, {"output": {"kernel": kernel, "bias": bias}}, {}, x)[0]

    result: tuple[jax.Array, jax.Array] = jax.vjp(layer, kernel, x)[1](gradient)
    return result


def arguments(batch: int, inputs: int, outputs: int) -> list[Any]:
    rng = np.random.default_rng(0)
    shapes = ((inputs, outputs), (batch, inputs), (batch, outputs))
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def equations(jaxpr: Any, name: str) -> list[Any]:
    return [equation for equation in jaxpr.eqns if equation.primitive.name == name]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradients_of_a_layer_are_those_of_its_product(shape: tuple[int, int, int]) -> None:
    kernel, x, gradient = arguments(*shape)
    of_kernel, of_inputs = jax.jit(backward)(kernel, x, gradient)
    np.testing.assert_allclose(of_kernel, x.T @ gradient, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(of_inputs, gradient @ kernel.T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "written"),
    [
        (LARGE_KERNEL, [(20, 4), (30, 4)]),  # the gradient for the inputs, and the inputs for the kernel
        (FEW_OUTPUTS, [(2, 64)]),  # the gradient, which is smaller than the inputs
        (FEW_INPUTS, [(3, 64)]),  # the inputs, which are smaller than the gradient
    ],
)
def test_the_smaller_side_of_a_product_is_transposed_beforehand(
    shape: tuple[int, int, int], written: list[tuple[int, int]]
) -> None:
    """What a barrier holds is written out as it is; any other transposition XLA folds into the product."""
    jaxpr = jax.make_jaxpr(backward)(*arguments(*shape)).jaxpr
    transposed = {equation.outvars[0] for equation in equations(jaxpr, "transpose")}
    barriers = [equation.invars[0] for equation in equations(jaxpr, "optimization_barrier")]
    assert sorted(var.aval.shape for var in barriers if var in transposed) == written


def test_a_kernel_that_is_larger_than_its_batch_is_never_transposed() -> None:
    transposed = {}
    for shape in SHAPES:
        jaxpr = jax.make_jaxpr(backward)(*arguments(*shape)).jaxpr
        kernel = jaxpr.invars[0]
        transposed[shape] = any(equation.invars[0] is kernel for equation in equations(jaxpr, "transpose"))
    assert transposed == {LARGE_KERNEL: False, FEW_OUTPUTS: True, FEW_INPUTS: True}


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other devices multiply in any layout")
@pytest.mark.parametrize("shape", SHAPES)
def test_compiled_products_sum_over_the_last_axis_on_the_left(shape: tuple[int, int, int]) -> None:
    text = jax.jit(backward).lower(*arguments(*shape)).compile().as_text()
    assert text is not None
    assert set(re.findall(r" dot\(.*lhs_contracting_dims=\{(\d)\}", text)) == {"1"}


@pytest.mark.parametrize("name", EARLY)
def test_slots_that_directions_read_back_are_written_first(name: str) -> None:
    """A barrier stands between each of them and its readers, so that no reader computes it anew from the old one."""
    update, slots = updates(name)
    jaxpr = jax.make_jaxpr(lambda old: inplace.staged([update], old, lambda new, _: new)[:2])(slots).jaxpr
    barriers = equations(jaxpr, "optimization_barrier")
    assert len(barriers) == sum(EARLY[name])
    new = jaxpr.outvars[len(jaxpr.outvars) - len(slots) :]
    written = [var for var, early in zip(new, EARLY[name], strict=True) if early]
    assert written == [equation.outvars[0] for equation in barriers]

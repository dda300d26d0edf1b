import jax
import jax.numpy as jnp
import pytest
from jax import lax

from mi_coding.training.devices import data_parallel
from mi_coding.training.flops import count_flops


def shape(*axes):
    return jax.ShapeDtypeStruct(axes, "float32")


def product(a, b):
    return a @ b


A, B = shape(3, 5), shape(5, 7)
ONCE = 2 * 3 * 5 * 7


def test_a_product_and_its_gradient_are_three_products():
    def loss(a, b):
        return jnp.sum(product(a, b) ** 2)

    assert count_flops(jax.grad(loss, argnums=(0, 1)), A, B) == 3 * ONCE


def test_products_of_the_optimizer_are_not_those_of_the_model():
    def step(a, b):
        with jax.named_scope("optimizer"):
            updates = product(a, b)
        return product(updates @ b.T, b)

    assert count_flops(step, A, B) == 2 * ONCE


def test_a_batch_of_products_counts_each():
    assert count_flops(jax.vmap(product, (0, None)), shape(4, 3, 5), B) == 4 * ONCE


def test_loops_count_as_often_as_they_run_and_branches_by_the_largest():
    scanned = lambda a, b: lax.scan(lambda c, _: (c + product(a, b), None), jnp.zeros((3, 7)), None, length=6)  # noqa: E731
    assert count_flops(scanned, A, B) == 6 * ONCE
    unknown = lambda n, a, b: lax.fori_loop(0, n, lambda _, c: c + product(a, b), jnp.zeros((3, 7)))  # noqa: E731
    assert count_flops(unknown, jax.ShapeDtypeStruct((), "int32"), A, B) == ONCE
    branches = lambda p, a, b: lax.cond(p, lambda: product(a, b), lambda: product(a, b) + product(a, 2 * b))  # noqa: E731
    assert count_flops(branches, jax.ShapeDtypeStruct((), "bool"), A, B) == 2 * ONCE


def test_what_is_called_or_computed_again_counts():
    again = jax.checkpoint(lambda a, b: jnp.sum(jnp.sin(product(a, b))))
    assert count_flops(jax.jit(product), A, B) == ONCE
    assert count_flops(jax.grad(again), A, B) == 3 * ONCE  # forward, again, and of a alone


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (1, 2)])
def test_a_convolution_and_its_gradient_are_three_convolutions(stride, groups):
    """Without padding, so that each output has all its products: 2 · outputs · channels of its group · kernel."""

    def convolve(x, kernel):
        return lax.conv_general_dilated(
            x, kernel, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
        )

    x, kernel = shape(2, 9, 9, 4), shape(3, 3, 4 // groups, 6)
    side = 7 if stride == 1 else 4
    once = 2 * (2 * side * side * 6) * (4 // groups) * 9
    assert count_flops(convolve, x, kernel) == once
    in_kernel = jax.grad(lambda x, kernel: jnp.sum(convolve(x, kernel) ** 2), argnums=1)
    assert count_flops(in_kernel, x, kernel) == 2 * once


@pytest.mark.parametrize("how", ["shard_map", "pmap"])
def test_on_several_devices_one_is_counted(how):
    way = data_parallel(how, jax.local_devices()[:4])
    step = way.parallel(lambda state, a: (state + lax.psum(jnp.sum(a @ state), "devices"), {}))
    assert count_flops(step, way.replicate(jnp.ones((5, 7))), way.replicate(jnp.ones((3, 5)))) == ONCE

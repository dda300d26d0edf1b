"""Memory of loss and gradient, read from the buffer assignment of the compiled program; nothing is run."""

import math

import jax
import jax.numpy as jnp
import pytest
from contrast_program import AXIS
from jax.sharding import PartitionSpec as P

import mi_coding

DEVICES, DIM = 8, 128


def temporary_bytes(method, pairs, devices=DEVICES, symmetric=True):
    """Bytes on one device, arguments and results not counted."""
    axis = AXIS if devices > 1 else None

    def run(x, y):
        def loss(x, y):
            return mi_coding.cpc(x, y, symmetric=symmetric, method=method, block_size=512, axis_name=axis).loss

        return jax.value_and_grad(loss, (0, 1))(x, y)

    if axis:
        mesh = jax.make_mesh((devices,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,))
        run = jax.shard_map(run, mesh=mesh, in_specs=(P(AXIS), P(AXIS)), out_specs=(P(), P(AXIS)))
    shape = jax.ShapeDtypeStruct((pairs, DIM), jnp.float32)
    return jax.jit(run).lower(shape, shape).compile().memory_analysis().temp_size_in_bytes


def copies(num_bytes, pairs, devices=DEVICES):
    return num_bytes / (pairs // devices * DIM * 4)


@pytest.mark.parametrize(("method", "devices"), [("blockwise", 1), ("blockwise", 8), ("ring", 8)])
def test_memory_grows_with_the_batch_and_not_with_its_square(method, devices):
    sizes = 2**17, 2**20
    small, large = (temporary_bytes(method, pairs, devices) for pairs in sizes)
    assert math.log(large / small) / math.log(sizes[1] / sizes[0]) <= 1.05


def test_a_ring_of_a_million_candidates_fits_in_half_a_gigabyte():
    found = temporary_bytes("ring", 2**20)
    assert found < 0.5e9
    assert copies(found, 2**20) <= 2  # a design that sends shards whole, not in tiles, needs six


def test_the_rows_of_gather_are_the_ruler_that_shows_the_saving():
    assert temporary_bytes("gather", 2**14) > 20 * temporary_bytes("ring", 2**14)

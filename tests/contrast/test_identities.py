"""What changes nothing must change nothing: the order of pairs, a shift of all scores, the number of devices."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contrast_oracle import CASES
from contrast_program import AXIS, loss_of
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import PartitionSpec as P

PAIRS, DIM = 24, 3  # 24 pairs on 8 devices: three each, in tiles of two
FEW = settings(max_examples=8, deadline=None, derandomize=True)
TILED = ("blockwise", "ring")


@cache
def compiled(case, method, devices):
    """(x, y) → loss, accuracy and the gradients of both codes, on so many devices."""

    def run(x, y):
        def loss(x, y):
            out = loss_of(CASES[case], x, y, 0.7, method=method, block_size=2, axis_name=AXIS)
            return out.loss, out.accuracy

        (value, accuracy), gradients = jax.value_and_grad(loss, (0, 1), has_aux=True)(x, y)
        return (value, accuracy), gradients

    mesh = jax.make_mesh((devices,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,))
    mapped = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=(P(AXIS), P(AXIS)), out_specs=(P(), P(AXIS))))
    return lambda x, y: jax.device_get(mapped(x, y))


def draw_codes(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(PAIRS, DIM)) * rng.exponential(size=(PAIRS, 1))
    return x.astype(np.float32), (x + rng.normal(size=x.shape) ** 2).astype(np.float32)


def assert_same(found, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), found, expected)


@pytest.mark.parametrize("method", TILED)
@given(seed=st.integers(0, 10**6))
@FEW
def test_the_order_of_pairs_changes_nothing(method, seed):
    x, y = draw_codes(seed)
    order = np.random.default_rng(seed + 1).permutation(PAIRS)
    values, gradients = compiled("all-symmetric-inner", method, 4)(x, y)
    expected = values, tuple(g[order] for g in gradients)
    assert_same(compiled("all-symmetric-inner", method, 4)(x[order], y[order]), expected)


@pytest.mark.parametrize("method", TILED)
@given(seed=st.integers(0, 10**6), shift=st.floats(-50, 50))
@FEW
def test_a_shift_of_all_scores_changes_nothing(method, seed, shift):
    x, y = draw_codes(seed)
    x[:, 2], y[:, 2] = 0, 1  # a third of the codes is free to carry the shift
    shifted = x + np.array([0, 0, shift], np.float32)
    run = compiled("all-symmetric-inner", method, 4)
    values, (d_x, d_y) = run(x, y)
    found, (f_x, f_y) = run(shifted, y)
    # Scores of size 50 are rounded to 4e-6, and so are their differences.
    np.testing.assert_allclose(found[0], values[0], rtol=0, atol=4e-5)
    np.testing.assert_allclose(f_x[:, :2], d_x[:, :2], rtol=0, atol=4e-5)
    np.testing.assert_allclose(f_y[:, :2], d_y[:, :2], rtol=0, atol=4e-5)


@pytest.mark.parametrize("method", TILED)
@given(seed=st.integers(0, 10**6))
@FEW
def test_a_shift_of_every_row_changes_nothing_for_the_rows(method, seed):
    x, y = draw_codes(seed)
    y[:, 2] = 1
    shifted = x + np.array([0, 0, 1]) * np.random.default_rng(seed + 2).normal(size=(PAIRS, 1))
    run = compiled("all-inner", method, 4)
    np.testing.assert_allclose(run(shifted.astype(np.float32), y)[0], run(x, y)[0], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("case", ["all-symmetric-inner", "pool-cosine"])
@given(seed=st.integers(0, 10**6))
@FEW
def test_the_number_of_devices_changes_nothing(case, seed):
    x, y = draw_codes(seed)
    expected = compiled(case, "ring", 1)(x, y)
    for devices in (2, 4, 8):
        assert_same(compiled(case, "ring", devices)(x, y), expected)
    assert_same(compiled(case, "blockwise", 2)(x, y), expected)


@pytest.mark.parametrize("method", ["dense", "blockwise"])
def test_a_second_call_of_the_same_shape_is_not_traced_again(method):
    traces = []

    @jax.jit
    def loss(x, y):
        traces.append(1)
        return loss_of(CASES["all-inner"], x, y, 1.0, method=method).loss

    for seed in (0, 1):
        loss(*map(jnp.asarray, draw_codes(seed)))
    assert len(traces) == 1

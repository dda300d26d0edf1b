"""Every field of the contract by itself, under gradients that differ from query to query.

The losses weigh all rows alike, so they cannot see whose gradient went where.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contrast_program import AXIS, compile_and_run
from jax.sharding import PartitionSpec as P

from mi_coding.contrast import ALL, OTHER_DEVICES, POOL, ContrastSpec, contrast

PER_DEVICE, DIM, SCALE = 10, 3, 1.3


def reference(rule, queries, keys, devices, weights):
    """Fields of `Contrast`, and the gradients of Σ weights · (true score, row lse, column lse), in float64 NumPy."""
    n = len(queries)
    scores = SCALE * queries @ keys.T
    i, b = np.arange(n), n // devices
    true = i // b * b + (i % b + b // 2) % b if rule == POOL else i
    own = i[:, None] // b == i[None, :] // b
    is_true = true[:, None] == i[None, :]
    excluded = {"all": np.zeros_like(own), "other_devices": own & ~is_true, "pool": np.eye(n, dtype=bool)}[rule.name]
    p = np.where(excluded, 0, np.exp(scores))
    row_sum, column_sum = p.sum(1), p.sum(0)
    true_score = scores[i, true]
    fields = true_score, np.log(row_sum), np.log(column_sum)[true]
    rank = np.sum((scores >= true_score[:, None]) & ~excluded & ~is_true, axis=1)
    a, r, c = weights
    c_of_key = np.empty(n)
    c_of_key[true] = c
    d_scores = a[:, None] * is_true + r[:, None] * p / row_sum[:, None] + c_of_key * p / column_sum
    gradients = SCALE * d_scores @ keys, SCALE * d_scores.T @ queries, np.sum(d_scores * scores) / SCALE
    return fields, rank, gradients


ROWS = [("dense", ALL), ("dense", POOL)]  # one device has no other devices
ROWS += [(method, rule) for method in ("gather", "blockwise", "ring") for rule in (ALL, OTHER_DEVICES, POOL)]


@pytest.mark.parametrize(("method", "rule"), ROWS, ids=lambda value: value if isinstance(value, str) else value.name)
def test_every_field_has_its_value_and_its_gradient(method, rule):
    devices = 1 if method == "dense" else 4
    axis = None if method == "dense" else AXIS
    rng = np.random.default_rng(3)
    n = devices * PER_DEVICE
    queries, keys = rng.normal(size=(2, n, DIM)) * rng.exponential(size=(2, n, 1))
    weights = rng.normal(size=(3, n))

    def run(queries, keys, scale, weights):
        def loss(queries, keys, scale):
            out = contrast(queries, keys, scale, ContrastSpec(rule, block_size=4, axis_name=axis), method=method)
            return sum(jnp.vdot(w, field) for w, field in zip(weights.T, out[:3], strict=True)), out[:4]

        gradients, fields = jax.grad(loss, (0, 1, 2), has_aux=True)(queries, keys, scale)
        return fields, gradients[:2], gradients[2][None]

    if axis:
        mesh = jax.make_mesh((devices,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,))
        specs = {"in_specs": (P(AXIS), P(AXIS), P(), P(AXIS)), "out_specs": P(AXIS), "check_vma": False}
        run = jax.shard_map(run, mesh=mesh, **specs)
    with jax.enable_x64(True):
        args = [jnp.asarray(value) for value in (queries, keys, SCALE, weights.T)]
        (*fields, rank), d_codes, d_scale = compile_and_run(jax.jit(run), *args)
    want_fields, want_rank, want_gradients = reference(rule, queries, keys, devices, weights)
    np.testing.assert_array_equal(rank, want_rank)
    for found, want in zip(
        (*fields, *d_codes, np.asarray(d_scale).sum()), (*want_fields, *want_gradients), strict=True
    ):
        np.testing.assert_allclose(found, want, rtol=0, atol=1e-12 * np.abs(want).max())

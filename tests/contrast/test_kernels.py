"""The kernels of a GPU, run as plain JAX: they find what the definition has, and keep ties as ties."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contrast_program import AXIS
from jax import lax
from jax.sharding import PartitionSpec as P

from mi_coding.contrast import ALL, OTHER_DEVICES, POOL, ContrastSpec, contrast, kernels

COUNT, DIM, SCALE = 768, 20, 2.0  # six blocks, of codes that are widened to 32


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(kernels, "INTERPRET", True)
    monkeypatch.setattr(lax, "platform_dependent", lambda *arrays, cuda, **others: cuda(*arrays))


def make_codes(dtype):
    x, noise = np.random.default_rng(1).normal(size=(2, COUNT, DIM))
    return jnp.asarray(x, dtype), jnp.asarray(x + noise, dtype)


def fields_and_gradients(queries, keys, spec, method):
    """Fields of `Contrast`, and gradients that differ from query to query."""
    weights = jnp.asarray(np.random.default_rng(2).normal(size=(3, COUNT)), jnp.float32)
    if spec.axis_name:
        weights = lax.dynamic_slice_in_dim(weights, spec.device_index * len(queries), len(queries), axis=1)

    def loss(queries, keys, scale):
        out = contrast(queries, keys, scale, spec, method=method)
        fields = [field for field in out[:3] if field is not None]
        return sum(jnp.vdot(w, field) for w, field in zip(weights, fields, strict=False)), (fields, out.rank)

    gradients, found = jax.grad(loss, (0, 1, 2), has_aux=True)(queries, keys, jnp.float32(SCALE))
    return found, gradients[:2], gradients[2][None]


@pytest.mark.parametrize(
    ("rule", "columns", "reduction"),
    [(ALL, True, "candidates"), (ALL, False, "distractors"), (POOL, False, "candidates"), (POOL, True, "candidates")],
)
@pytest.mark.parametrize(("dtype", "precision"), [("bfloat16", "highest"), ("float32", "high")])
def test_they_find_what_all_scores_at_once_do(rule, columns, reduction, dtype, precision):
    queries, keys = make_codes(dtype)
    spec = ContrastSpec(rule, columns, reduction=reduction, precision=precision)
    run = jax.jit(partial(fields_and_gradients, spec=spec, method="blockwise"))
    assert "pallas_call" in str(jax.make_jaxpr(run)(queries, keys))
    (fields, rank), *gradients = run(queries, keys)
    whole = partial(fields_and_gradients, spec=spec, method="dense")
    (want_fields, want_rank), *want_gradients = jax.jit(whole)(queries, keys)
    np.testing.assert_array_equal(rank, want_rank)
    tolerance = 1e-2 if dtype == "bfloat16" else 1e-5  # of gradients that are rounded to bfloat16
    for found, want in zip(fields, want_fields, strict=True):
        np.testing.assert_allclose(found, want, rtol=2e-6, atol=2e-6)
    for found, want in zip(*map(jax.tree.leaves, (gradients, want_gradients)), strict=True):
        found, want = (np.asarray(value, np.float32) for value in (found, want))
        np.testing.assert_allclose(found, want, rtol=0, atol=tolerance * np.abs(want).max())


@pytest.mark.parametrize("method", ["blockwise", "ring"])
def test_several_devices_are_one_batch(method):
    queries, keys = make_codes("bfloat16")
    mesh = jax.make_mesh((2,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    for rule in (ALL, OTHER_DEVICES):
        spec = ContrastSpec(rule, block_size=None, axis_name=AXIS)
        specs = {"in_specs": P(AXIS), "out_specs": P(AXIS), "check_vma": False}
        found, want = (
            jax.jit(jax.shard_map(partial(fields_and_gradients, spec=spec, method=m), mesh=mesh, **specs))(
                queries, keys
            )
            for m in (method, "gather")
        )
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(want), strict=True):
            one, other = np.asarray(one, np.float32), np.asarray(other, np.float32)
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-2 * np.abs(other).max())


def test_codes_at_one_point_are_ties():
    codes = jnp.broadcast_to(jnp.asarray(np.random.default_rng(0).normal(size=DIM), "bfloat16"), (COUNT, DIM))
    out = contrast(codes, codes, 0.1, ContrastSpec(columns=False), method="blockwise")
    np.testing.assert_array_equal(out.rank, COUNT - 1)


@pytest.mark.parametrize(
    ("shape", "dtype", "spec"),
    [
        ((1000, 20), "bfloat16", ContrastSpec()),  # no whole blocks
        ((1024, 300), "bfloat16", ContrastSpec()),  # codes too wide
        ((1024, 20), "float32", ContrastSpec()),  # no tensor cores
        ((1024, 20), "bfloat16", ContrastSpec(columns=False, reduction="softplus")),
    ],
)
def test_what_does_not_suit_them_is_left_to_xla(shape, dtype, spec):
    assert not kernels.suit(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), spec)

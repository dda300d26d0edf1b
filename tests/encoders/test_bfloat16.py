"""Encoders that compute in bfloat16, and keep parameters, statistics and outputs in float32."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import HEAD, TINY, filled, lopsided_images, outputs, shapes_of

from mi_coding.encoders import ConvNet, build
from mi_coding.encoders.batch_norm import batch_norm
from mi_coding.encoders.resnet import ResNet


def test_bfloat16_is_close_and_keeps_parameters_and_outputs_in_float32():
    x = lopsided_images(6)
    full, half = (build(TINY.clone(dtype=d), HEAD) for d in ("float32", "bfloat16"))
    params, stats = filled(shapes_of(half.init, x))
    results = [jax.jit(partial(e.apply, train=True))(params, stats, x) for e in (full, half)]
    chex.assert_trees_all_equal_dtypes(params, jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params))
    chex.assert_trees_all_equal_dtypes(*results)
    (features, codes), new = results[0]
    assert {leaf.dtype for leaf in jax.tree.leaves((features, codes, new))} == {jnp.dtype("float32")}
    for ours, theirs in zip(results[1][0], results[0][0], strict=True):
        error = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
        assert (
            1e-5 < error < 0.1
        )  # some forty roundings of up to 2⁻⁸, which norms over few channels amplify; and not none
    chex.assert_trees_all_close(results[1][1], new, rtol=0.05, atol=0.02)


def test_statistics_of_bfloat16_inputs_are_taken_in_float32():
    x = lopsided_images(64).astype(jnp.bfloat16)
    norm = batch_norm(True, None, dtype="bfloat16")
    variables = shapes_of(norm.init, x)
    start = {"mean": jnp.zeros(3), "var": jnp.zeros(3)}
    run = jax.jit(lambda params: norm.apply({"params": params, "batch_stats": start}, x, mutable=["batch_stats"]))
    y, new = run(filled(variables["params"]))
    exact = np.asarray(x, np.float64)
    expected = {"mean": 0.1 * exact.mean((0, 1, 2)), "var": 0.1 * exact.var((0, 1, 2))}
    chex.assert_trees_all_close(new["batch_stats"], expected, rtol=1e-4)
    assert y.dtype == jnp.bfloat16


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_convolutions_and_norms_put_out_the_stated_dtype(dtype):
    layers = outputs(ResNet(50, "cifar", width_multiplier=1 / 16, dtype=dtype), jnp.zeros((2, 8, 8, 3)))
    features = layers.pop("")
    assert features.dtype == jnp.float32
    assert {leaf.dtype for leaf in layers.values()} == {jnp.dtype(dtype)}


def test_the_small_network_computes_in_bfloat16_too():
    net, x = ConvNet(widths=(8, 8), feature_dim=16), lopsided_images(4)
    full, half = (build(net.clone(dtype=d), HEAD) for d in ("float32", "bfloat16"))
    params, stats = filled(shapes_of(half.init, x))
    assert stats == {}
    theirs, ours = (jax.jit(partial(e.apply, train=True))(params, stats, x)[0] for e in (full, half))
    assert {leaf.dtype for leaf in jax.tree.leaves((theirs, ours, params))} == {jnp.dtype("float32")}
    chex.assert_trees_all_close(ours, theirs, rtol=0.05, atol=0.05)
    assert not np.array_equal(ours[0], theirs[0])

"""Batch norm over the global batch, on any number of devices."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from networks import (
    HEAD,
    TINY,
    WAYS,
    filled,
    lopsided_images,
    on_eight_devices,
    shapes_of,
    the_same_everywhere,
)
from shallow import one_block_a_stage

from mi_coding.encoders import build
from mi_coding.encoders.batch_norm import batch_norm
from mi_coding.objectives.gradient import mean_gradient
from mi_coding.training.devices import AXIS


def batch_norm_by_hand(x, scale, bias, weights, old):
    """Output, gradients of Σ weights · output, and running statistics, in float64."""
    x, scale, bias, weights = (np.asarray(a, np.float64) for a in (x, scale, bias, weights))
    places = (0, 1, 2)
    mean, var = x.mean(places), ((x - x.mean(places)) ** 2).mean(places)
    normal = (x - mean) / np.sqrt(var + 1e-5)
    through = weights - weights.mean(places) - normal * (weights * normal).mean(places)
    gradients = {"bias": weights.sum(places), "scale": (weights * normal).sum(places)}
    running = {"mean": 0.9 * old["mean"] + 0.1 * mean, "var": 0.9 * old["var"] + 0.1 * var}
    return scale * normal + bias, gradients, scale * through / np.sqrt(var + 1e-5), running


@pytest.mark.parametrize("how", ["alone", *WAYS])
def test_batch_norm_is_the_formula_over_the_global_batch(how):
    x, weights = lopsided_images(16, side=3), lopsided_images(16, side=3, seed=1)
    params = {"scale": jnp.array([0.5, 1.0, 2.0]), "bias": jnp.array([-1.0, 0.0, 3.0])}
    old = {"mean": jnp.array([1.0, 2.0, 3.0]), "var": jnp.array([0.1, 1.0, 5.0])}
    axis_name = None if how == "alone" else AXIS

    def weighted(params, x, weights):
        variables = {"params": params, "batch_stats": old}
        y, new = batch_norm(True, axis_name).apply(variables, x, mutable=["batch_stats"])
        return jnp.sum(y * weights), (y, new["batch_stats"])

    def everything(params, both):
        x, weights = both[:, 0], both[:, 1]
        # Gradients as everywhere in training/: of the mean over devices for parameters, of one's own share for x.
        if how == "alone":
            (_, aux), gradients = jax.value_and_grad(weighted, has_aux=True)(params, x, weights)
        else:

            def mean(params):
                loss, aux = weighted(params, x, weights)
                return lax.pmean(loss, AXIS), aux

            (_, aux), gradients = mean_gradient(mean, AXIS)(params)
            gradients = jax.tree.map(lambda g: 8 * g, gradients)
        return aux, gradients, jax.grad(lambda x: weighted(params, x, weights)[0])(x)

    both = jnp.stack([x, weights], axis=1)
    if how == "alone":
        (y, running), gradients, gradient_x = jax.jit(everything)(params, both)
    else:
        (y, running), gradients, gradient_x = on_eight_devices(how, everything)(params, both)
        running, gradients = the_same_everywhere((running, gradients))
        y, gradient_x = y.reshape(x.shape), gradient_x.reshape(x.shape)
    expected = batch_norm_by_hand(x, params["scale"], params["bias"], weights, old)
    chex.assert_trees_all_close((y, gradients, gradient_x, running), expected, rtol=1e-4, atol=1e-4)
    far = np.abs(np.asarray(x[:2]).mean((0, 1, 2)) - np.asarray(x).mean((0, 1, 2))).min()
    assert far > 1  # one device's own statistics would not have passed


def test_inference_uses_the_running_statistics_and_needs_no_axis():
    encoder = build(TINY, HEAD.clone(batch_norm=True))
    x = lopsided_images(5)
    params, stats = filled(shapes_of(encoder.init, x))
    infer = jax.jit(lambda x, stats=stats: encoder.apply(params, stats, x, False, AXIS))
    (features, codes), same_stats = infer(x)
    chex.assert_trees_all_equal(same_stats, stats)
    (others, other_codes), _ = infer(jnp.concatenate([x[3:], 9 * x[:3] - 5]))  # two of them in quite another batch
    chex.assert_trees_all_close((others[:2], other_codes[:2]), (features[3:], codes[3:]), rtol=1e-4, atol=1e-5)
    (other_features, _), _ = infer(x, jax.tree.map(lambda leaf: leaf + 1, stats))
    assert not np.allclose(other_features, features, rtol=0.1)


@pytest.fixture(scope="module")
def of_one_device():
    """A network with every kind of norm, its batch, and what one device makes of it."""
    encoder = build(TINY, HEAD.clone(layers=3, batch_norm=True))
    x = lopsided_images(16)
    with one_block_a_stage():
        params, stats = filled(shapes_of(encoder.init, x))
    weights = jnp.asarray(np.random.default_rng(2).normal(size=(16, 4)), jnp.float32)

    def loss(params, x, weights, axis_name):
        (features, codes), new = encoder.apply(params, stats, x, True, axis_name)
        # Not additive in the examples' codes, but its mean over devices is the mean over the batch.
        return jnp.mean(jnp.sin(codes) * weights), (features, codes, new)

    with one_block_a_stage():
        alone = jax.jit(jax.value_and_grad(partial(loss, axis_name=None), has_aux=True))(params, x, weights)
    return params, x, weights, loss, alone


@pytest.mark.parametrize("how", WAYS)
def test_eight_devices_give_the_features_statistics_and_gradients_of_one(of_one_device, how):
    params, x, weights, loss, ((_, (features, codes, stats)), gradients) = of_one_device

    def everything(params, shard):
        mine = lax.dynamic_slice_in_dim(weights, lax.axis_index(AXIS) * 2, 2)

        def global_loss(params):
            value, aux = loss(params, shard, mine, AXIS)
            return lax.pmean(value, AXIS), aux

        (_, aux), gradients = mean_gradient(global_loss, AXIS)(params)
        return aux, gradients

    with one_block_a_stage():
        (z, c, new), ours = on_eight_devices(how, everything)(params, x)
    new, ours = the_same_everywhere((new, ours))
    chex.assert_trees_all_close(z.reshape(features.shape), features, rtol=1e-3, atol=1e-4)
    chex.assert_trees_all_close(c.reshape(codes.shape), codes, rtol=1e-3, atol=1e-4)
    chex.assert_trees_all_close(new, stats, rtol=1e-4, atol=1e-4)
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradients))
    chex.assert_trees_all_close(ours, gradients, rtol=2e-3, atol=1e-4 * scale)

"""NNCLR: its loss against NumPy, a memory that is the same on every device, and an encoder that goes without it."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from small_experiment import make_experiment

from mi_coding.errors import InputError
from mi_coding.methods import METHODS
from mi_coding.objectives.nnclr import nearest_in

AXIS, SIZE, DIM = "devices", 24, 4


@pytest.fixture
def method():
    parts = make_experiment()[1].parts
    return METHODS["nnclr"]("nnclr", parts, memory_size=SIZE, code_dim=DIM, temperature=0.2)


@pytest.fixture
def halves(images):
    return images[:16, :4, :4], images[:16, 2:, 2:]


def unit(z):
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def test_the_loss_is_that_of_the_nearest_codes_and_the_batch_is_remembered(method, key, halves):
    params, stats = method.init(key, *halves)
    loss, (metrics, after) = jax.jit(lambda: method.loss(params, stats, key, *halves, None))()
    z_x, z_y = (
        unit(np.asarray(method.encoder.apply(params["encoder"], stats["encoder"], x, True)[0][1])) for x in halves
    )
    memory = np.asarray(stats["memory"])
    np.testing.assert_allclose(np.linalg.norm(memory, axis=1), 1, rtol=1e-6)
    losses = []
    for z, other in ((z_x, z_y), (z_y, z_x)):
        scores = memory[np.argmax(z @ memory.T, axis=1)] @ other.T / 0.2
        losses.append(np.mean(np.log(np.exp(scores).sum(1)) - np.diag(scores)))
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)
    assert float(metrics["mi_lower_bound"]) == pytest.approx(np.log(16) - np.mean(losses), abs=1e-5)
    np.testing.assert_allclose(after["memory"], np.concatenate([z_x, memory])[:SIZE], rtol=1e-5, atol=1e-6)


def test_no_gradient_passes_through_the_memory():
    memory = jnp.eye(DIM)
    assert not np.any(jax.grad(lambda z: jnp.sum(nearest_in(memory, z) ** 2))(jnp.ones((3, DIM))))


@pytest.mark.parametrize("check_vma", [True, False])
def test_four_devices_have_the_loss_and_the_memory_of_one(method, key, halves, check_vma):
    params, stats = method.init(key, *halves)
    mesh = jax.make_mesh((4,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])
    of_four = method.made_of(method.parts._replace(num_devices=4))

    def run(params, stats, x, y):
        loss, (_, after) = of_four.loss(params, stats, key, x, y, AXIS)
        return loss, after

    specs = {"in_specs": (P(), P(), P(AXIS), P(AXIS)), "out_specs": P(), "check_vma": check_vma}
    loss, after = jax.jit(jax.shard_map(run, mesh=mesh, **specs))(params, stats, *halves)
    alone, (_, want) = method.loss(params, stats, key, *halves, None)
    np.testing.assert_allclose(loss, alone, rtol=1e-5)
    chex.assert_trees_all_close(after, want, rtol=1e-5, atol=1e-6)


def test_the_encoder_goes_to_another_run_without_the_memory(method, key, halves):
    variables = method.init(key, *halves)
    params, stats = method.encoder_variables(variables)
    assert params.keys() == variables[0]["encoder"].keys()
    assert "memory" not in stats
    zeros = jax.tree.map(jnp.zeros_like, params)
    changed = method.with_encoder(variables, (zeros, stats))
    chex.assert_trees_all_equal(changed[0]["encoder"], zeros)
    np.testing.assert_array_equal(changed[1]["memory"], variables[1]["memory"])


def test_a_memory_smaller_than_a_batch_is_refused(method):
    pairs = method.parts.pairs
    with pytest.raises(InputError, match=r"objective.memory_size=24 holds less than one batch; expected at least 32"):
        method.check(pairs, method.parts.encoder, 32, 1)
    dataclasses.replace(method, memory_size=32).check(pairs, method.parts.encoder, 32, 1)

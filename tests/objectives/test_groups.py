"""Distractors inside groups: the mean over groups of the plain loss, on one device and on eight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from mi_coding.objectives.cpc import cpc, nt_xent
from mi_coding.objectives.groups import within_groups

CODES = 2 * jax.random.normal(jax.random.key(0), (2, 32, 3)) + jnp.arange(32)[:, None] // 7  # lopsided


@pytest.mark.parametrize(("loss", "size", "candidates"), [(cpc, 4, 4), (nt_xent, 8, 15)])
def test_loss_bound_and_accuracy_are_means_over_groups(loss, size, candidates):
    alone = jax.jit(lambda x, y: loss(x, y)[:2] + loss(x, y)[3:])
    outs = [alone(*CODES[:, i : i + size]) for i in range(0, 32, size)]
    out = within_groups(loss, size)(*CODES)
    np.testing.assert_allclose((*out[:2], out.accuracy), np.mean(outs, axis=0), rtol=1e-5, atol=1e-6)
    assert out.num_candidates == candidates


def test_eight_devices_give_the_value_and_the_gradient_of_one():
    loss = within_groups(cpc, 4)
    mesh = jax.make_mesh((8,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
    split = PartitionSpec("devices")

    def on_eight(codes):
        out = loss(*codes, axis_name="devices")
        return out.loss, out.accuracy

    sharded = jax.shard_map(on_eight, mesh=mesh, in_specs=((split, split),), out_specs=PartitionSpec())
    codes = tuple(CODES)
    np.testing.assert_allclose(jax.jit(sharded)(codes), [loss(*codes).loss, loss(*codes).accuracy], rtol=1e-5)
    ours = jax.jit(jax.grad(lambda codes: sharded(codes)[0]))(codes)
    for here, there in zip(ours, jax.grad(lambda codes: loss(*codes).loss)(codes), strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-7)


def test_a_code_that_knows_only_its_group_has_nothing_to_say_inside_it():
    film = jnp.repeat(10 * jnp.eye(8), 4, axis=0)
    assert cpc(film, film).mi_lower_bound > 2.0
    assert abs(within_groups(cpc, 4)(film, film).mi_lower_bound) < 1e-5


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="32 pairs on a device cannot be split into groups of 5"):
        within_groups(cpc, 5)(*CODES)

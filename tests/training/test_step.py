import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiment import make_experiment, run

import mi_coding
from mi_coding.training.devices import data_parallel
from mi_coding.training.step import init_state, make_step


@pytest.mark.parametrize("distinct", [False, True])
def test_eight_devices_and_both_ways_of_running_train_the_parameters_of_one(key, images, distinct):
    experiment, _ = make_experiment(distinct=distinct)
    alone = run(experiment, key, images, how="shard_map", devices=1)
    for how, devices in (("shard_map", 8), ("pmap", 8), ("pmap", 1), ("shard_map", 4)):
        chex.assert_trees_all_close(run(experiment, key, images, how=how, devices=devices), alone, rtol=2e-4, atol=2e-6)


def test_nt_xent_and_other_devices_train_alike_under_both_ways(key, images):
    for loss in (partial(mi_coding.nt_xent, temperature=0.3), partial(mi_coding.cpc, distractors="other_devices")):
        experiment, _ = make_experiment(loss)
        mapped, pmapped = (run(experiment, key, images, how=how, devices=8) for how in ("shard_map", "pmap"))
        chex.assert_trees_all_close(mapped, pmapped, rtol=2e-4, atol=2e-6)


def test_first_loss_is_that_of_the_whole_batch_computed_by_hand(key, images):
    experiment, codes = make_experiment()
    state = init_state(experiment, jax.random.key(0), images)
    pair_key, _ = jax.random.split(jax.random.fold_in(key, 0))
    x, y = jax.jit(experiment.sample_pairs)(pair_key, images, jnp.arange(16))
    z_x, z_y = (jax.jit(codes.encode)(state.params, state.stats, part).codes for part in (x, y))  # W begins as the identity
    expected = mi_coding.cpc(z_x, z_y, normalize=True, temperature=0.2, symmetric=True)
    _, metrics = run(experiment, key, images, how="shard_map", devices=8, steps=1)
    assert float(metrics["loss"]) == pytest.approx(float(expected.loss), rel=1e-5)
    assert float(metrics["mi_lower_bound"]) == pytest.approx(math.log(16) - float(expected.loss), abs=1e-5)
    assert float(metrics["accuracy"]) == pytest.approx(float(expected.accuracy))


@chex.assert_max_traces(n=1)
def traced_loss(z_x, z_y, *, key, axis_name):
    return mi_coding.cpc(z_x, z_y, axis_name=axis_name)


@pytest.mark.parametrize("how", ["shard_map", "pmap"])
def test_step_is_traced_once(key, images, how):
    chex.clear_trace_counter()
    experiment, _ = make_experiment(traced_loss)
    state, _ = run(experiment, key, images, how=how, devices=8, steps=4)
    assert state.step == 4


def test_every_step_draws_new_pairs(key, images):
    experiment, _ = make_experiment(learning_rate=1e-12)
    losses = {float(run(experiment, key, images, how="shard_map", devices=1, steps=n)[1]["loss"]) for n in (1, 2, 3)}
    assert len(losses) == 3


def test_the_first_loss_that_is_not_finite_is_remembered(key, images):
    def breaks(z_x, z_y, *, key, axis_name):
        out = mi_coding.cpc(z_x, z_y, axis_name=axis_name)
        return out._replace(loss=out.loss * jnp.inf)

    experiment, _ = make_experiment(breaks)
    state, _ = run(experiment, key, images, how="shard_map", devices=1, steps=3)
    assert state.step == 3
    assert state.non_finite_at == 1
    healthy, _ = run(make_experiment()[0], key, images, how="shard_map", devices=1, steps=3)
    assert healthy.non_finite_at == 0


def test_replicate_leaves_the_callers_state_alone(key, images):
    experiment, _ = make_experiment()
    state = init_state(experiment, jax.random.key(0), images)
    before = jax.tree.map(np.array, state)
    for how in ("shard_map", "pmap"):
        way = data_parallel(how, jax.local_devices()[:1])
        way.parallel(make_step(experiment, key, 1))(way.replicate(state), way.replicate(images))
    chex.assert_trees_all_equal(jax.tree.map(np.array, state), before)

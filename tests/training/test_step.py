import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_experiment import make_experiment, run

import mi_coding
from mi_coding.training.devices import data_parallel
from mi_coding.training.experiment import Experiment
from mi_coding.training.step import init_state, make_step


@pytest.mark.parametrize("distinct", [False, True])
def test_eight_devices_train_the_parameters_of_one_both_ways(key, images, distinct):
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
    encode = jax.jit(codes.encode)
    z_x, z_y = (encode(state.params, state.stats, part).codes for part in (x, y))  # W begins as the identity
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


def counting():
    """An experiment whose metrics tell its keys, and whose loss is infinite from the third step on."""

    def init(key, x, y):
        return {"w": jnp.ones(())}, {"steps": jnp.int32(0)}

    def loss(params, stats, key, x, y, axis_name):
        value = params["w"] * jnp.where(stats["steps"] >= 2, jnp.inf, 1.0)
        return value, ({"pair_key": x, "loss_key": jax.random.key_data(key)}, {"steps": stats["steps"] + 1})

    def sample_pairs(key, data, rows):
        return jax.random.key_data(key), rows

    return Experiment(sample_pairs, init, loss, optax.sgd(0.0), 4)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_step_k_has_the_key_of_k_less_one_and_ends_with_number_k(key, images, steps):
    state, metrics = run(counting(), key, images, how="shard_map", devices=1, steps=steps)
    pair_key, loss_key = jax.random.split(jax.random.fold_in(key, steps - 1))
    np.testing.assert_array_equal(metrics["pair_key"], jax.random.key_data(pair_key))
    np.testing.assert_array_equal(metrics["loss_key"], jax.random.key_data(loss_key))
    assert state.step == state.stats["steps"] == steps
    assert state.non_finite_at == (3 if steps >= 3 else 0)


def test_replicate_leaves_the_callers_state_alone(key, images):
    experiment, _ = make_experiment()
    state = init_state(experiment, jax.random.key(0), images)
    before = jax.tree.map(np.array, state)
    for how in ("shard_map", "pmap"):
        way = data_parallel(how, jax.local_devices()[:1])
        way.parallel(make_step(experiment, key, 1))(way.replicate(state), way.replicate(images))
    chex.assert_trees_all_equal(jax.tree.map(np.array, state), before)

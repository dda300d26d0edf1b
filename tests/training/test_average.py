"""The moving average of the weights."""

import chex
import jax
import numpy as np
from small_experiment import make_experiment, run

from mi_coding.training.step import init_state


def test_the_average_follows_its_recursion_and_is_what_is_judged(key, images):
    experiment, _ = make_experiment(average_decay=0.6)
    average = init_state(experiment, jax.random.key(0), images).params
    for step in (1, 2, 3):
        state, _ = run(experiment, key, images, how="shard_map", devices=1, steps=step)
        decay = min(0.6, (1 + step) / (10 + step))
        average = jax.tree.map(lambda old, new, d=decay: d * np.asarray(old) + (1 - d) * new, average, state.params)
        chex.assert_trees_all_close(state.average[0], average, rtol=1e-5, atol=1e-7)
        assert state.variables is state.average


def test_an_average_changes_nothing_that_is_trained(key, images):
    plain, _ = run(make_experiment()[0], key, images, how="shard_map", devices=1)
    averaged, _ = run(make_experiment(average_decay=0.9)[0], key, images, how="shard_map", devices=1)
    chex.assert_trees_all_close(averaged.params, plain.params, rtol=1e-6)
    assert plain.average == ()
    assert plain.variables[0] is plain.params


def test_the_average_of_eight_devices_is_that_of_one(key, images):
    experiment, _ = make_experiment(average_decay=0.9)
    one, eight = (run(experiment, key, images, how=how, devices=d)[0] for how, d in (("shard_map", 1), ("pmap", 8)))
    chex.assert_trees_all_close(eight.average, one.average, rtol=2e-4, atol=2e-6)

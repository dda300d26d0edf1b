"""Data on the devices or from a stream: the same steps."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiment import make_experiment

from mi_coding import pairs
from mi_coding.training.devices import data_parallel
from mi_coding.training.feed import from_device_data, from_stream
from mi_coding.training.memory import bytes_needed
from mi_coding.training.step import init_state, make_step

STEPS = 3


def resident_state(key, images, how):
    way = data_parallel(how, jax.local_devices()[:8])
    experiment, _ = make_experiment()
    state = init_state(experiment, jax.random.key(0), images)
    feed = from_device_data(make_step(experiment, key, 8), state, images, way)
    state = way.replicate(state)
    for _ in range(STEPS):
        state, metrics = jax.block_until_ready(feed.advance(state, 1))  # as the loop does on virtual devices
    return jax.device_get((way.fetch(state), way.fetch(metrics)))


@pytest.mark.parametrize(("how", "devices"), [("shard_map", 8), ("pmap", 8), ("shard_map", 1)])
def test_a_stream_of_the_same_examples_trains_the_same_parameters(key, images, how, devices):
    def batches():
        for step in range(STEPS):
            pair_key, _ = jax.random.split(jax.random.fold_in(key, step))
            rows = pairs.draw_examples(jax.random.split(pair_key)[0], jnp.arange(16), num_examples=len(images))
            yield np.asarray(images)[np.asarray(rows)]

    way = data_parallel(how, jax.local_devices()[:devices])
    experiment, _ = make_experiment(streamed=True)
    state = init_state(experiment, jax.random.key(0), images[:2])
    feed = from_stream(make_step(experiment, key, devices), state, np.zeros((16, *images.shape[1:])), batches(), way)
    assert bytes_needed(feed.compiled) > 0
    state = way.replicate(state)
    for _ in range(STEPS):
        state, metrics = jax.block_until_ready(feed.advance(state, 1))  # as the loop does on virtual devices
    got = jax.device_get((way.fetch(state), way.fetch(metrics)))
    expected = resident_state(key, images, "shard_map")
    chex.assert_trees_all_close(got, expected, rtol=2e-4, atol=2e-6)


def test_a_streamed_call_takes_one_step_only(key, images):
    way = data_parallel("shard_map", jax.local_devices()[:1])
    experiment, _ = make_experiment(streamed=True)
    state = init_state(experiment, jax.random.key(0), images[:2])
    feed = from_stream(make_step(experiment, key, 1), state, np.zeros((16, *images.shape[1:])), iter([]), way)
    with pytest.raises(ValueError, match="expected 1"):
        feed.advance(state, 2)


@pytest.mark.parametrize("how", ["shard_map", "pmap"])
def test_bytes_on_the_devices_train_as_the_floats_they_stand_for(key, how):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 6, 6, 1)).astype(np.uint8)
    as_bytes, as_floats = (resident_state(key, jnp.asarray(a), how) for a in (pixels, pixels.astype(np.float32) / 255))
    chex.assert_trees_all_close(as_bytes, as_floats, rtol=1e-5, atol=1e-6)

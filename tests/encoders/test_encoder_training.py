"""Encoders with batch norm train the same parameters on one device and on eight."""

import chex
import jax
import numpy as np
import pytest
from networks import HEAD, TINY, filled, lopsided_images, shapes_of
from shallow import one_block_a_stage

from mi_coding.encoders import ConvNet, HeadOptions, build
from mi_coding.methods import Parts
from mi_coding.methods.cpc import CPC
from mi_coding.pairs import PairSampler
from mi_coding.training.devices import data_parallel
from mi_coding.training.experiment import Experiment
from mi_coding.training.optimizers import OptimizerOptions
from mi_coding.training.step import init_state, make_step


class Filled(CPC):
    """CPC whose parameters are `filled`."""

    def init(self, key, x, y):
        return filled(jax.eval_shape(super().init, key, x, y))


def train(encoder, images, *, how, devices, microbatch_size=0, head=HeadOptions(width=8), steps=2):  # noqa: B008
    """State and last metrics of a few steps; a pair is an image and its mirror image."""

    def sample_pairs(key, data, rows):
        del key
        return data[rows], data[rows, :, ::-1]

    method = Filled(
        parts=Parts(encoder, PairSampler(), 16, 1, 100, images.shape[1:], 0),
        head=head,
        temperature=0.5,
        symmetric=False,
        code_dim=4,
        critic_name="bilinear",
        microbatch_size=microbatch_size,
    )
    sgd = OptimizerOptions("sgd", 0.02, warmup_steps=0, weight_decay=1e-3, momentum=0.9, gradient_clip=1.0)
    optimizer = sgd.build(batch_size=16, num_steps=100)
    experiment = Experiment(sample_pairs, method.init, method.loss, optimizer, 16)
    way = data_parallel(how, jax.local_devices()[:devices])
    step = way.parallel(make_step(experiment, jax.random.key(0), devices))
    state, data = way.replicate(init_state(experiment, jax.random.key(0), images)), way.replicate(images)
    for _ in range(steps):
        state, metrics = step(state, data)
    return jax.device_get((way.fetch(state), way.fetch(metrics)))


@pytest.fixture(scope="module")
def trained_alone():
    with one_block_a_stage():
        return train(TINY, lopsided_images(16), how="shard_map", devices=1)


@pytest.mark.parametrize("how", ["shard_map", "pmap"])
def test_eight_devices_train_the_network_of_one(trained_alone, how):
    with one_block_a_stage():
        eight = train(TINY, lopsided_images(16), how=how, devices=8)
        begun = filled(shapes_of(build(TINY, HEAD).init, lopsided_images(1)))
    np.testing.assert_allclose(eight[1]["loss"], trained_alone[1]["loss"], rtol=1e-5)
    ours, theirs = ((state.params["encoder"], state.stats) for state, _ in (eight, trained_alone))
    error = jax.tree.map(lambda a, b, old: np.linalg.norm(a - b) / np.linalg.norm(b - old), ours, theirs, begun)
    assert (
        np.max(jax.tree.leaves(error)) < 5e-3
    )  # of how far two steps moved each array; 2e-4 here, NaN if it stood still


@pytest.mark.parametrize("how", ["shard_map", "pmap"])
def test_a_chunk_is_normalised_over_all_devices(how):
    encoder, head = ConvNet(widths=(4,), feature_dim=8), HeadOptions(layers=3, width=8, batch_norm=True)
    images = lopsided_images(16)
    # Chunk c of eight devices is pair c of every device's two; one device meets the same pairs in this order.
    reordered = images.reshape(8, 2, *images.shape[1:]).swapaxes(0, 1).reshape(images.shape)
    eight = train(encoder, images, how=how, devices=8, microbatch_size=1, head=head)
    alone = train(encoder, reordered, how="shard_map", devices=1, microbatch_size=8, head=head)
    chex.assert_trees_all_close(eight, alone, rtol=1e-3, atol=1e-5)

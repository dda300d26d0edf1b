"""The experiment on sequences: one step on many devices, what is predicted from what, and the online probe."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiment import run

from mi_coding.encoders import MLP
from mi_coding.methods import Parts
from mi_coding.methods.base import with_own_rate
from mi_coding.methods.cpc_ahead import CPCAhead
from mi_coding.pairs.sequences import Sequences
from mi_coding.training.devices import data_parallel
from mi_coding.training.experiment import Experiment
from mi_coding.training.memory import loss_bytes
from mi_coding.training.optimizers import OptimizerOptions
from mi_coding.training.step import init_state

K, T, D, H = 2, 6, 3, 5
SGD = OptimizerOptions("sgd", 0.05, warmup_steps=0, weight_decay=1e-3, momentum=0.9, gradient_clip=1.0)


def make_experiment(*, num_times=0, other_times=False, num_classes=0, feature="last"):
    pairs = Sequences()
    method = CPCAhead(
        parts=Parts(MLP(widths=(4,), feature_dim=7), pairs, 16, 1, 100, (T, 6, 1), num_classes),
        num_ahead=K,
        num_times=num_times,
        other_times=other_times,
        code_dim=D,
        context_dim=H,
        feature=feature,
    )
    sample = partial(pairs.training_batch, batch_size=16, with_labels=num_classes > 0)
    optimizer = SGD.build(batch_size=16, num_steps=100)
    optimizer = with_own_rate(optimizer, "probe", 0.05) if num_classes else optimizer
    return Experiment(sample, method.init, method.loss, optimizer, 16), method


@pytest.mark.parametrize(
    ("how", "options"), [("shard_map", {}), ("pmap", {"num_times": 2, "other_times": True})], ids=["all", "drawn"]
)
def test_eight_devices_train_the_parameters_of_one(key, images, how, options):
    experiment, _ = make_experiment(**options)
    alone, together = (run(experiment, key, images, how=how, devices=devices) for devices in (1, 8))
    chex.assert_trees_all_close(together, alone, rtol=2e-4, atol=2e-6)


def test_the_first_losses_are_those_of_the_whole_batch_on_one_device(key, images):
    experiment, codes = make_experiment()
    state = init_state(experiment, jax.random.key(0), images)
    x, y = experiment.sample_pairs(jax.random.split(jax.random.fold_in(key, 0))[0], images, jnp.arange(16))
    contexts, steps = codes.pair_codes(state.params, state.stats, x, y)
    out = codes.contrast(state.params, contexts, steps)
    _, metrics = run(experiment, key, images, how="shard_map", devices=8, steps=1)
    assert out.loss.shape == (K,)
    np.testing.assert_allclose([metrics[f"loss_ahead_{k}"] for k in (1, 2)], out.loss, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], out.loss.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["mi_lower_bound"], np.log(16) - out.loss.mean(), rtol=1e-4, atol=1e-5)


def test_a_sequence_is_known_by_its_last_context_or_by_the_mean_of_all(key, images):
    for feature, expected in (("last", lambda c: c[:, -1]), ("mean", lambda c: c.mean(axis=1))):
        experiment, codes = make_experiment(feature=feature)
        state = init_state(experiment, jax.random.key(0), images)
        contexts, steps = codes.pair_codes(state.params, state.stats, images, ())
        assert contexts.shape == (30, T, H)
        assert steps.shape == (30, T, D)
        np.testing.assert_allclose(
            codes.encode(state.params, state.stats, images).features, expected(contexts), rtol=1e-5
        )


def test_the_online_probe_learns_and_does_not_move_the_encoder(key, images):
    labels = jnp.asarray(np.asarray(images)[:, 0, 0, 0] > 0.5, jnp.int32)
    with_probe, codes = make_experiment(num_classes=2)
    state, metrics = run(with_probe, key, (images, labels), how="shard_map", devices=1)
    without, _ = run(make_experiment()[0], key, images, how="shard_map", devices=1)
    assert 0 <= metrics["online_probe_accuracy"] <= 1
    assert np.abs(state.params["probe"]["kernel"]).max() > 0
    assert codes.probe_logits(state.params, state.stats, images).shape == (30, 2)
    for part in ("encoder", "critic"):
        chex.assert_trees_all_close(state.params[part], without.params[part], rtol=1e-4, atol=1e-6)


def test_memory_of_the_loss_counts_every_distance_and_target_step():
    way = data_parallel("shard_map", jax.local_devices()[:1])
    scores = 16 * 16 * 4  # bytes of one distance and one step
    few, all_of_them = (loss_bytes(*make_experiment(num_times=n)[1].scored_shapes, way) for n in (1, 0))
    assert K * (T - K) * scores < all_of_them
    assert K * scores < few < all_of_them

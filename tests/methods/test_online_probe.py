"""The linear probe that learns beside the encoder."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiment import make_experiment, run

from mi_coding.training.step import init_state


@pytest.fixture
def labelled(images):
    return images, jnp.asarray(np.random.default_rng(1).integers(0, 3, len(images)), jnp.int32)


def without_probe(params):
    return {name: part for name, part in params.items() if name != "probe"}


@pytest.mark.parametrize("microbatch_size", [0, 4])
def test_an_encoder_learns_the_very_same_with_and_without_a_probe(key, images, labelled, microbatch_size):
    options = {"microbatch_size": microbatch_size}
    alone, _ = run(make_experiment(**options)[0], key, images, how="shard_map", devices=1)
    beside, _ = run(make_experiment(num_classes=3, **options)[0], key, labelled, how="shard_map", devices=1)
    chex.assert_trees_all_close(without_probe(beside.params), alone.params, rtol=1e-5, atol=1e-7)
    assert np.abs(beside.params["probe"]["kernel"]).max() > 0.01


def test_the_loss_of_the_probe_has_a_gradient_for_the_probe_alone(key, images, labelled):
    experiment, _ = make_experiment(num_classes=3)
    state = init_state(experiment, jax.random.key(0), labelled)
    params = state.params | {"probe": jax.tree.map(lambda leaf: leaf + 0.3, state.params["probe"])}
    x, y = jax.jit(experiment.sample_pairs)(key, labelled, jnp.arange(16))

    def probe_loss(params):
        loss, (metrics, _) = experiment.loss(params, state.stats, key, x, y, None)
        return loss - metrics["loss"]

    gradient = jax.jit(jax.grad(probe_loss))(params)
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(without_probe(gradient)))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient["probe"]))


def test_metrics_hold_the_contrastive_loss_alone_and_the_probes_accuracy(key, images, labelled):
    _, alone = run(make_experiment()[0], key, images, how="shard_map", devices=1, steps=1)
    _, beside = run(make_experiment(num_classes=3)[0], key, labelled, how="shard_map", devices=1, steps=1)
    assert beside["loss"] == pytest.approx(float(alone["loss"]), rel=1e-6)
    assert 0 <= beside["online_probe_accuracy"] <= 1


def test_a_probe_of_eight_devices_is_that_of_one(key, labelled):
    experiment, _ = make_experiment(num_classes=3)
    one, eight = (run(experiment, key, labelled, how=how, devices=d) for how, d in (("shard_map", 1), ("pmap", 8)))
    chex.assert_trees_all_close(eight, one, rtol=2e-4, atol=2e-6)


def test_a_probe_finds_the_label_that_the_images_show(key):
    labels = jnp.arange(30, dtype=jnp.int32) % 3
    data = (jnp.ones((30, 6, 6, 1)) * labels[:, None, None, None] / 2, labels)
    experiment, method = make_experiment(num_classes=3)
    state, metrics = run(experiment, key, data, how="shard_map", devices=1, steps=90)
    assert metrics["online_probe_accuracy"] > 0.9
    x, y = experiment.sample_pairs(key, data, jnp.arange(16))
    chosen = jnp.argmax(method.probe_logits(state.params, state.stats, y[0]), axis=1)
    assert np.mean(chosen == y[1]) > 0.9
    np.testing.assert_array_equal(x[1], y[1])


def test_hidden_labels_count_for_nothing(key, labelled):
    experiment, method = make_experiment(num_classes=3)
    state = init_state(experiment, jax.random.key(0), labelled)
    kernel = jax.random.normal(key, state.params["probe"]["kernel"].shape)
    params = state.params | {"probe": state.params["probe"] | {"kernel": kernel}}
    x, y = jax.jit(experiment.sample_pairs)(key, labelled, jnp.arange(16))

    def probe_loss_and_accuracy(hidden):
        halves = [(shown, jnp.where(hidden, -1, labels)) for shown, labels in (x, y)]
        loss, (metrics, _) = experiment.loss(params, state.stats, key, *halves, None)
        return float(loss - metrics["loss"]), float(metrics["online_probe_accuracy"])

    known = np.arange(16) % 3 > 0
    logits = [np.asarray(method.probe_logits(params, state.stats, shown), np.float64) for shown in (x[0], y[0])]
    logits, labels = np.concatenate([part[known] for part in logits]), np.tile(np.asarray(x[1])[known], 2)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]
    expected = losses.mean(), (logits.argmax(1) == labels).mean()
    np.testing.assert_allclose(probe_loss_and_accuracy(~known), expected, rtol=1e-4)
    assert probe_loss_and_accuracy(np.ones(16, bool)) == (0, 0)

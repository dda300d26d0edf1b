"""The protocol that every question shares: which examples are judged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.data import Dataset, Split
from mi_coding.evaluation import suite
from mi_coding.evaluation.bound import make_pair_codes
from mi_coding.evaluation.suite import ProbeSettings, fair_sample, make_accuracy, probe
from mi_coding.pairs.given import given
from mi_coding.pairs.sampling import PairKind, sample_pairs

# What the splits say of four clusters of images. Training agrees with test about one cluster of four, validation about
# two, and training with validation about none: an accuracy tells which split was learned from and which was asked.
SAYS = {"train": [0, 2, 3, 1], "validation": [1, 0, 2, 3], "test": [0, 1, 2, 3]}
AS_IT_IS = PairKind(pair=None, view=lambda key, image: image)


def test_examples_with_a_hidden_label_are_left_out_of_the_probes_with_all_their_views():
    x, labels = np.arange(14, dtype=np.float32).reshape(7, 2), np.array([1, -1, 0, 2, -1, -1, 0])
    split = Split((x, x[:, :1]), labels)
    examples = suite._examples({"doubled": jax.jit(lambda x: 2 * x)}, split, given(), jax.random.key(0), views_each=3)
    known = np.repeat(np.flatnonzero(labels >= 0), 3)
    np.testing.assert_array_equal(examples["doubled"].features, 2 * x[known])
    np.testing.assert_array_equal(examples["doubled"].labels, labels[known])


def test_halves_of_a_pair_are_coded_each_by_its_own_encoder_and_stay_together():
    x = jnp.arange(20.0)[:, None]
    y = jnp.stack([10 * x[:, 0], 20 * x[:, 0], 30 * x[:, 0]], 1)  # of another shape
    pair_codes = make_pair_codes(
        lambda key, data, rows: sample_pairs(key, data, rows, kind=given()),
        lambda params, stats, x, y: (params["x"] * x, params["y"] * y[:, :1]),
    )
    z_x, z_y = pair_codes(({"x": 3.0, "y": 7.0}, {}), jax.random.key(0), (x, y), jnp.arange(600))
    np.testing.assert_allclose(z_y / 70, z_x / 3, rtol=1e-6)
    assert len(np.unique(z_x)) == 20


@pytest.fixture(scope="module")
def probed():
    """Both probes on clusters that are apart, so that each label of a cluster is learned without an error."""
    rng = np.random.default_rng(0)

    def split(name, count):
        cluster = np.arange(count) % 4  # as many of each
        noise = 0.05 * rng.normal(size=(count, 6))
        return Split(np.float32(np.eye(6)[cluster] + noise), np.array(SAYS[name])[cluster])

    dataset = Dataset("clusters", split("train", 120), split("validation", 80), split("test", 40))
    settings = ProbeSettings(views=2, neighbours=5, temperature=0.1)
    features = {"as they are": jax.jit(lambda x: x)}
    return probe(features, dataset, AS_IT_IS, jax.random.key(0), settings)["as they are"]


def test_a_linear_probe_learns_from_training_labels_alone(probed):
    assert probed[0].accuracy == 1 / 4  # 1/2 from validation labels, 1 from test labels


def test_only_training_images_vote_for_a_test_image(probed):
    assert probed[1].accuracy == 1 / 4  # 1/2 by votes of validation images, 1 by its own


def test_every_view_that_is_probed_has_a_key_of_its_own():
    noise = PairKind(pair=None, view=lambda key, image: jax.random.uniform(key, (2,)))
    split = Split(np.zeros((4100, 1), np.float32), np.arange(4100))  # more than are read at once
    shown = suite._examples({"noise": jax.jit(lambda x: x)}, split, noise, jax.random.key(0), views_each=2)["noise"]
    assert len(np.unique(shown.features, axis=0)) == 2 * 4100


def test_the_online_probe_is_judged_by_the_label_of_its_own_image():
    labels = np.random.default_rng(0).integers(0, 4, 3000)
    said = np.where(labels < 3, labels, 0)  # wrong about one class of four
    split = Split(np.eye(4, dtype=np.float32)[said], labels)
    accuracy = make_accuracy(lambda params, stats, x: x, AS_IT_IS, split, jax.random.key(0))
    judged = fair_sample(split, suite.MOST_JUDGED)  # all of it: eight batches
    assert accuracy(({}, {})) == pytest.approx(np.mean(judged.labels < 3))


def test_a_sample_keeps_labels_beside_their_examples():
    split = Split(np.arange(100.0), np.arange(100))
    sample = fair_sample(split, 30)
    np.testing.assert_array_equal(sample.examples, sample.labels)
    assert len(set(sample.labels.tolist())) == 30
    assert sample.labels.max() >= 70  # of the whole split, not of its beginning
    np.testing.assert_array_equal(fair_sample(split, 200).labels, split.labels)

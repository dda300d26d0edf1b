"""The protocol of the probes: which examples teach, vote and are judged, and as which views."""

from dataclasses import dataclass

import jax
import numpy as np
import pytest
from as_it_is import trained

from mi_coding.data import Dataset, Split
from mi_coding.evaluation import shortcomings
from mi_coding.evaluation.base import LabelledViews, encode_views, subsample
from mi_coding.evaluation.probes import LabelProbes
from mi_coding.pairs import PairSampler
from mi_coding.pairs.given import Given

# What the splits say of four clusters of examples. Training agrees with test about one cluster of four, validation
# about two, and training with validation about none: an accuracy tells which split was learnt from and which was asked.
SAYS = {"train": [0, 2, 3, 1], "validation": [1, 0, 2, 3], "test": [0, 1, 2, 3]}


def test_examples_with_a_hidden_label_are_left_out_with_all_their_views():
    x, labels = np.arange(14, dtype=np.float32).reshape(7, 2), np.array([1, -1, 0, 2, -1, -1, 0])
    split = Split((x, x[:, :1]), labels)
    encoded = []

    def doubled(x):
        encoded.extend(np.asarray(x).tolist())
        return 2 * x

    examples = encode_views({"doubled": doubled}, split, jax.random.key(0), Given(), views_each=3)
    assert {tuple(one) for one in encoded} == {tuple(one) for one in x[labels >= 0].tolist()} | {(0, 0)}  # padding
    known = np.repeat(np.flatnonzero(labels >= 0), 3)
    np.testing.assert_array_equal(examples["doubled"].features, 2 * x[known])
    np.testing.assert_array_equal(examples["doubled"].labels, labels[known])


def test_as_many_labelled_examples_teach_as_the_option_says():
    def split(count, hidden):
        labels = np.where(np.arange(count) < hidden, -1, np.arange(count) % 2)
        return Split(np.zeros((count, 2), np.float32), labels)

    run = trained(Dataset("few labels", split(500, 480), split(9, 0), split(9, 0)), num_classes=2)
    (parts,) = LabelledViews(most_images=15).encoded({"some": lambda x: x}, run).values()
    assert [len(part.labels) for part in parts] == [15, 9, 9]


@pytest.fixture(scope="module")
def probed():
    """Both probes on clusters that are apart, so that each label of a cluster is learnt without an error."""
    rng = np.random.default_rng(0)

    def split(name, count):
        cluster = np.arange(count) % 4  # as many of each
        noise = 0.05 * rng.normal(size=(count, 6))
        return Split(np.float32(np.eye(6)[cluster] + noise), np.array(SAYS[name])[cluster])

    dataset = Dataset("clusters", split("train", 120), split("validation", 80), split("test", 40))
    probes = LabelProbes(labelled=LabelledViews(views=2), knn_neighbours=5, knn_temperature=0.1)
    return probes.evaluate(trained(dataset, num_classes=4))


def test_a_linear_probe_learns_from_training_labels_alone(probed):
    assert probed["probe/linear_accuracy"] == 1 / 4  # 1/2 from validation labels, 1 from test labels


def test_only_training_examples_vote_for_a_test_example(probed):
    assert probed["probe/knn_accuracy"] == 1 / 4  # 1/2 by votes of validation examples, 1 by its own


def test_a_split_without_a_known_label_is_told_before_training_and_leaves_the_probes_out():
    def dataset(*labels):
        splits = (Split(np.eye(4, dtype=np.float32), None if own is None else np.array(own)) for own in labels)
        return Dataset("some", *splits)

    known, hidden = [0, 1, 0, -1], [-1, -1, -1, -1]
    assert shortcomings([LabelProbes()], dataset(known, known, known)) == []
    assert shortcomings([LabelProbes()], dataset(None, None, None)) == []
    for few in (dataset(known, known, hidden), dataset(known, known, None)):
        (line,) = shortcomings([LabelProbes()], few)
        assert line == "no test example has a known label, so there are no probes: label some, or none at all"
        assert LabelProbes().evaluate(trained(few, num_classes=2)) == {}
    (line,) = shortcomings([LabelProbes()], dataset(known, hidden, hidden))
    assert line.startswith("no validation and no test example has a known label")


@dataclass(frozen=True, eq=False)
class Noise(PairSampler):
    def view(self, key, example):
        return jax.random.uniform(key, (2,))


def test_every_view_that_is_probed_has_a_key_of_its_own():
    split = Split(np.zeros((4100, 1), np.float32), np.arange(4100))  # more than are read at once
    shown = encode_views({"noise": jax.jit(lambda x: x)}, split, jax.random.key(0), Noise(), views_each=2)["noise"]
    assert len(np.unique(shown.features, axis=0)) == 2 * 4100


def test_a_sample_keeps_labels_beside_their_examples():
    split = Split(np.arange(100.0), np.arange(100))
    sample = subsample(split, 30)
    np.testing.assert_array_equal(sample.examples, sample.labels)
    assert len(set(sample.labels.tolist())) == 30
    assert sample.labels.max() >= 70  # of the whole split, not of its beginning
    np.testing.assert_array_equal(subsample(split, 200).labels, split.labels)

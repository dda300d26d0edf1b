"""k-means clusters against classes: found where features fall into them, and else no better than chance."""

import numpy as np
from as_it_is import trained
from test_evaluators import trained_on_digits

from mi_coding.data import Dataset, Split
from mi_coding.evaluation.classifiers import Examples
from mi_coding.evaluation.clusters import Clusters, agreement
from mi_coding.methods import METHODS
from mi_coding.pairs import PAIRS


def test_classes_far_apart_are_found_whatever_their_lengths_and_others_are_not():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(300) % 3)
    noise = rng.normal(size=(300, 3))
    apart = ((8 * np.eye(3)[labels] + noise) * rng.exponential(size=(300, 1))).astype(np.float32)
    assert agreement(Examples(apart, labels), 3)["accuracy"] > 0.98
    assert agreement(Examples(apart, labels), 3)["nmi"] > 0.9
    unrelated = agreement(Examples(noise.astype(np.float32), labels), 3)
    assert unrelated["accuracy"] < 0.45
    assert unrelated["nmi"] < 0.05
    assert np.isfinite(agreement(Examples(np.zeros_like(apart), labels), 3)["nmi"])  # features that have collapsed


def test_the_table_shows_every_kind():
    pairs = PAIRS["augmentations"](preset="gray28", size=8)
    summary = Clusters().evaluate(trained_on_digits(METHODS["nt_xent"](code_dim=4), pairs))
    (group,) = Clusters().groups(summary)
    assert [row[0] for row in group.rows] == ["trained encoder", "untrained encoder", "raw input"]
    assert group.keys == set(summary)
    assert all(0 <= value <= 1 for value in summary.values())
    assert Clusters().groups({}) == []
    assert Clusters().evaluate(trained_on_digits(METHODS["supcon"](code_dim=4), pairs)) == {}


def test_there_are_as_many_clusters_as_classes_whatever_the_labels_are():
    rng = np.random.default_rng(0)

    def split(count):
        labels = 3 + 4 * (np.arange(count) % 2)  # 3 and 7, and some hidden
        shown = np.float32(np.eye(2)[labels % 3 % 2] + 0.05 * rng.normal(size=(count, 2)))
        return Split(shown, np.where(np.arange(count) % 10 == 9, -1, labels))

    run = trained(Dataset("two classes", split(40), split(40), split(40)), num_classes=8)
    assert Clusters().evaluate(run)["clusters/trained_accuracy"] == 1.0  # fewer agree in eight clusters

"""How probes are shown, and the baseline and the online accuracy that belong to them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from as_it_is import AsItIs
from figures import assert_texts_inside_and_apart, texts
from matplotlib.patches import Rectangle

from mi_coding.data import Split
from mi_coding.evaluation.base import subsample
from mi_coding.evaluation.probes import MOST_JUDGED, LabelProbes, make_accuracy, probe_bars
from mi_coding.pairs.given import Given


def test_top_five_stands_under_the_trained_encoder():
    summary = {"probe/linear_accuracy": 0.5, "probe/linear_top5_accuracy": 0.9, "probe/random_encoder_accuracy": 0.25}
    (group,) = LabelProbes().groups(summary)
    assert [row[:2] for row in group.rows] == [
        ("trained encoder", "50.0 %"),
        ("trained encoder, among its first five", "90.0 %"),
        ("untrained encoder", "25.0 %"),
    ]
    assert "Frozen features before the head" in group.note


def test_without_accuracies_there_is_neither_a_row_nor_a_headline():
    assert LabelProbes().groups({"probe/regulariser": 0.01}) == []
    assert LabelProbes().tiles({"probe/regulariser": 0.01}) == []


def test_headlines_stand_beside_their_baselines():
    summary = {
        "probe/knn_accuracy": 0.75,
        "probe/random_encoder_knn_accuracy": 0.5,
        "probe/raw_pixels_knn_accuracy": None,
    }
    (tile,) = LabelProbes().tiles(summary)
    assert (tile.label, tile.value, tile.share) == ("cosine kNN", "75.0", 0.75)
    assert tile.context == "untrained encoder 50.0 %, raw input —"


@pytest.mark.parametrize("count", [5, 400])
def test_online_accuracy_is_the_share_of_known_labels_with_the_largest_logit(count):
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(count, 3)).astype(np.float32), rng.integers(0, 3, count)
    weights = jnp.array([1.0, -2.0, 0.5])
    labels[::5] = -1  # hidden
    accuracy = make_accuracy(lambda w, stats, x: x * w, Given(), Split((x, x), labels), jax.random.key(0))
    known = labels >= 0
    expected = np.mean((x * np.asarray(weights)).argmax(1)[known] == labels[known])
    assert accuracy((weights, {})) == pytest.approx(expected)


def test_the_online_probe_is_judged_by_the_label_of_its_own_image():
    labels = np.random.default_rng(0).integers(0, 4, 3000)
    said = np.where(labels < 3, labels, 0)  # wrong about one class of four
    split = Split(np.eye(4, dtype=np.float32)[said], labels)
    accuracy = make_accuracy(lambda params, stats, x: x, AsItIs(), split, jax.random.key(0))
    judged = subsample(split, MOST_JUDGED)  # all of it: eight batches
    assert accuracy(({}, {})) == pytest.approx(np.mean(judged.labels < 3))


def test_bars_have_their_length_their_value_and_the_chance_level():
    figure = probe_bars(
        {"linear": {"trained encoder": 0.953, "raw input": 0.55}, "cosine kNN": {"trained encoder": 1.0}}, chance=0.1
    )
    assert_texts_inside_and_apart(figure)
    shown = texts(figure)
    assert {"linear", "cosine kNN", "95.3 %", "55.0 %", "100.0 %"} <= set(shown)
    assert shown.count("chance 10 %") == 2
    widths = [patch.get_width() for axes in figure.axes for patch in axes.patches if isinstance(patch, Rectangle)]
    assert widths == [1, 0.953, 1, 0.55, 1, 1.0]  # each over a track of full length
    assert not any("chance" in text for text in texts(probe_bars({"linear": {"a": 0.5}}, chance=None)))
    with pytest.raises(ValueError, match="empty"):
        probe_bars({"linear": {}}, chance=None)

"""How discrete codes are shown: rows, headline numbers and figures."""

import numpy as np
import pytest
from figures import assert_texts_inside_and_apart, grown

from mi_coding.evaluation.code_statistics import CodeInformation
from mi_coding.evaluation.discrete import DiscreteCodes, examples_section, plane_section, training_section
from mi_coding.evaluation.heads import Head


@pytest.fixture
def code_summary():
    """Every number differs, so that a mix-up shows."""
    return {
        "heldout/entropy_nats": 2.25,
        "heldout/conditional_entropy_nats": 0.45,
        "heldout/mi_nats": 1.8,
        "heldout/mi_nats_standard_error": 0.012,
        "heldout/bits_per_example": 3.246,
        "heldout/stored_bits_per_example": 3.251,
        "heldout/plug_in_entropy_nats": 2.241,
        "heldout/plug_in_mi_nats": 1.812,
        "heldout/prior_lag_nats": 0.003,
        "code/used": 9,
        "code/possible": 10,
        "code/perplexity": 8.7,
        "code/clustering_accuracy": 0.613,
        "code/head": 2,
        "code/num_heads": 6,
        "code/beta": 0.25,
        "probe/code_accuracy": 0.588,
    }


def test_figures_of_a_code_stand_together_and_none_is_lost(code_summary):
    (group,) = DiscreteCodes().groups(code_summary)
    rows = dict(group.rows)
    assert len(rows) == len(code_summary)
    assert rows["information I(z_x; z_y)"] == "1.800 nats"
    assert rows["memory per example"] == "3.25 bits"
    assert rows["clustering accuracy, best matching"] == "61.3 %"
    assert group.keys == code_summary.keys() | {"code/precision_at_100"}


def test_entropies_without_information_have_no_rows(code_summary):
    del code_summary["heldout/mi_nats"]
    assert DiscreteCodes().groups(code_summary) == []
    assert DiscreteCodes().tiles(code_summary) == []


def shown(tile):
    return " ".join([tile.label, tile.value, tile.small, tile.context])


def test_headlines_are_information_memory_and_clusters(code_summary):
    tiles = DiscreteCodes().tiles(code_summary)
    assert list(map(shown, tiles)) == [
        "held-out information 1.80 nats of the 2.25 nats that a code costs",
        "memory 3.25 bits per example, 9 of 10 codes in use",
        "clustering accuracy 61.3 % chosen without labels",
    ]


def test_a_collapsed_code_has_no_share_and_no_division_by_zero(code_summary):
    empty = code_summary | {"heldout/entropy_nats": 0.0, "heldout/mi_nats": 0.0, "heldout/bits_per_example": 0.0}
    assert shown(DiscreteCodes().tiles(empty)[0]) == "memory 0.00 bits per example, 9 of 10 codes in use"


def heads(entropies, information, betas):
    figures = zip(entropies, information, betas, strict=True)
    return [Head(r, beta, CodeInformation(h, h - i, i, 0.01)) for r, (h, i, beta) in enumerate(figures)]


def test_the_plane_has_every_code_under_the_line_and_one_label_a_price():
    found = heads([2.0, 1.0, 2.2, 0.0], [1.5, 0.9, 1.4, 0.0], [0.0, 0.5, 0.0, 1.2])
    section = plane_section(found, 0)
    (axes,) = section.figure.axes
    others, chosen = (np.asarray(points.get_offsets()) for points in axes.collections)
    np.testing.assert_allclose(others, [[1.0, 0.9], [2.2, 1.4], [0.0, 0.0]])
    np.testing.assert_allclose(chosen, [[2.0, 1.5]])
    line = axes.lines[0].get_xydata()
    np.testing.assert_allclose(line[:, 0], line[:, 1])
    assert [text.get_text() for text in axes.texts] == ["0", "0.5", "1.2"]
    assert "price β" in section.text
    assert "1.50 of 2.00 (β = 0), 0.90 of 1.00 (β = 0.5), 0.00 of 0.00 (β = 1.2)" in section.text


def test_at_one_price_no_point_is_labelled():
    section = plane_section(heads([1.0, 1.0], [0.5, 0.5], [0.0, 0.0]), 1)
    assert len(section.figure.axes[0].texts) == 0
    assert "price" not in section.text


def test_examples_stand_in_the_row_of_their_symbol():
    images = np.random.default_rng(0).random((12, 4, 4, 1)).astype(np.float32)
    codes = np.array([[7, 7, 7, 2, 2, 2, 2, 2, 2, 2, 2, 2]]).T
    section = examples_section(images, codes, rows=5, columns=4)
    axes = section.figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["2", "75.0 %", "7", "25.0 %"]
    assert len(axes.images) == 4 + 3
    np.testing.assert_allclose(np.asarray(axes.images[4].get_array())[..., 0], images[0, ..., 0], atol=1e-6)


def test_of_several_symbols_the_first_few_are_shown():
    images, codes = np.zeros((6, 4, 4, 1), np.uint8), np.array([[0, 1, 1], [1, 1, 0]] * 3)
    section = examples_section(images, codes, rows=3, columns=2)
    names = [text.get_text() for text in section.figure.axes[0].texts][::2]
    assert names == ["1: 0", "1: 1", "2: 1"]


def test_information_over_training_is_drawn_for_training_and_held_out():
    steps = np.arange(5)
    curves = {f"train/{key}": (steps, steps * 0.5) for key in ("entropy_nats", "mi_nats")}
    curves["validation/mi_nats"] = (np.array([1, 4]), np.array([0.4, 1.9]))
    axes = training_section(curves, 180).figure.axes[0]
    labels = " ".join(text.get_text() for text in axes.texts)
    assert "memory H 2.00" in labels
    assert "information I, held-out 1.90" in labels


@pytest.mark.parametrize("most", [1.0, 44.36, 444.4])  # of one bit, of 64, of 640
def test_information_over_training_carries_labels_that_never_touch(most):
    steps = np.arange(1, 1001)
    curves = {}
    for key, share in (("entropy_nats", 0.83), ("mi_nats", 0.28)):
        curves[f"train/{key}"] = steps, grown(steps, to=share * most)
        curves[f"validation/{key}"] = steps[::100], grown(steps[::100], to=share * most)
    assert_texts_inside_and_apart(training_section(curves, 180).figure)

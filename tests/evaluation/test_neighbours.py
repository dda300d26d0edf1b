import numpy as np
import pytest
from figures import assert_texts_inside_and_apart, texts

from mi_coding.evaluation.neighbours import nearest_neighbours, neighbour_section


def test_exactly_the_neighbours_with_another_label_are_framed_and_named():
    rng = np.random.default_rng(0)
    query_labels, neighbour_labels = np.array([1, 2]), np.array([[1, 4, 1], [2, 2, 5]])
    near = rng.random((2, 3, 8, 8, 1))
    cosines = np.array([[0.9, 0.8, 0.7], [0.6, 0.5, 0.4]])
    figure = nearest_neighbours(rng.random((2, 8, 8, 1)), near, cosines, (query_labels, neighbour_labels))
    shown = texts(figure)
    assert {"is 4 · 0.80", "is 5 · 0.40", "0.90", "0.70", "0.60", "0.50"} <= set(shown)
    assert "neighbours with another label than the query are framed" in shown
    frames = [patch.get_xy() for patch in figure.axes[0].patches if patch.get_linewidth() > 1]
    corners = [(image.get_extent()[0], image.get_extent()[3]) for image in figure.axes[0].images]
    assert [corners.index(frame) for frame in frames] == [2, 7]  # a query and its three neighbours, twice
    assert_texts_inside_and_apart(figure)


def test_a_hidden_label_is_not_another_label():
    own, others = np.array(["cat", None], object), np.array([["cat", None, "dog"], ["cat", None, "dog"]], object)
    figure = nearest_neighbours(np.zeros((2, 8, 8, 1)), np.zeros((2, 3, 8, 8, 1)), np.ones((2, 3)), (own, others))
    assert len([patch for patch in figure.axes[0].patches if patch.get_linewidth() > 1]) == 1
    assert "dog" in texts(figure)


def test_labels_that_are_words_stand_alone_and_apart():
    words = np.full((10, 6), "airpla…", object)
    figure = nearest_neighbours(
        np.zeros((10, 8, 8, 3)), np.zeros((10, 6, 8, 8, 3)), np.ones((10, 6)), (np.full(10, "ship", object), words)
    )
    assert texts(figure).count("airpla…") == 60
    assert_texts_inside_and_apart(figure)


def test_neighbours_without_labels_have_no_frames():
    figure = nearest_neighbours(np.zeros((10, 8, 8, 3)), np.zeros((10, 5, 8, 8, 3)), np.zeros((10, 5)))
    assert len(figure.axes[0].images) == 60
    assert not [patch for patch in figure.axes[0].patches if patch.get_linewidth() > 1]


def test_neighbours_of_another_number_of_queries_are_refused():
    with pytest.raises(ValueError, match="q = 2"):
        nearest_neighbours(np.zeros((2, 8, 8, 1)), np.zeros((3, 4, 8, 8, 1)), np.zeros((3, 4)))


def test_names_stand_beside_their_cosine_and_a_query_only_once():
    images, cosines = np.random.default_rng(0).random((2, 8, 8, 1)), np.array([[0.91, 0.8], [0.7, 0.6]])
    names = (["test/a.png", "test/z.png"], [["train/b.png", "train/c.png"], ["train/d.png", "train/e.png"]])
    (section,) = neighbour_section(images, np.stack([images, images], 1), cosines, names=names)
    assert section.table.columns == ("query", "nearest first", "cosine")
    assert section.table.rows == [
        ("test/a.png", "train/b.png", "0.91"),
        ("", "train/c.png", "0.80"),
        ("test/z.png", "train/d.png", "0.70"),
        ("", "train/e.png", "0.60"),
    ]


def test_examples_that_are_no_images_have_no_neighbours_to_show():
    assert neighbour_section(np.zeros((2, 5)), np.zeros((2, 3, 5)), np.zeros((2, 3))) == []

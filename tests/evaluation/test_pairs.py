import numpy as np

from mi_coding.evaluation.pairs import sequence_section, strip_section


def test_pairs_that_are_no_images_of_one_size_have_no_strip():
    images, smaller = np.zeros((3, 8, 8, 1)), np.zeros((3, 4, 4, 1))
    assert strip_section(None, np.zeros((3, 5)), np.zeros((3, 5)), "") == []
    assert strip_section(None, images, smaller, "") == []
    assert len(strip_section(None, images, images, "")) == 1


def test_images_stand_above_the_pairs_that_are_made_of_them():
    images = np.zeros((3, 8, 8, 1))
    (section,) = strip_section(np.zeros((3, 6, 6, 1)), images, images, "two frames")
    assert "Each column is one pair: two frames." in section.text
    assert len(section.figure.axes[0].images) == 9


def test_the_future_of_x_and_the_past_of_y_are_black():
    sequences = np.random.default_rng(0).random((2, 6, 4)) + 1
    section = sequence_section(sequences, 2, "the past and the future")
    whole, x, y = (np.stack([i.get_array() for i in section.figure.axes[0].images[k : k + 2]]) for k in (0, 2, 4))
    np.testing.assert_array_equal(x[:, :2], whole[:, :2])
    np.testing.assert_array_equal(y[:, 2:], whole[:, 2:])
    assert not x[:, 2:].any()
    assert not y[:, :2].any()

import numpy as np

from mi_coding.evaluation.pairs import strip_section


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

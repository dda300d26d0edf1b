"""The digits of scikit-learn: splits, labels, sizes."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from mi_coding import data
from mi_coding.errors import InputError


def as_rows(images):
    return {image.tobytes() for image in images}


def test_every_digit_is_in_exactly_one_split():
    splits = data.load("digits").splits
    rows = [as_rows(split.examples) for split in splits]
    assert len(rows[0] | rows[1] | rows[2]) == sum(map(len, rows)) == 1797
    assert len(splits[2].examples) >= 390


def test_labels_match_their_images():
    pixels, labels = load_digits(return_X_y=True)
    known = {(row / 16).astype(np.float32).tobytes(): label for row, label in zip(pixels, labels, strict=True)}
    for split in data.load("digits").splits:
        assert [known[image.tobytes()] for image in split.examples] == split.labels.tolist()


def test_every_class_is_in_every_split():
    for split in data.load("digits").splits:
        assert len(set(split.labels.tolist())) == 10
        assert split.examples.min() >= 0
        assert split.examples.max() == 1


def test_digits_are_resized_and_converted_to_colour():
    plain, grown = data.load("digits"), data.load("digits", image_size=16, channels=3)
    assert [split.examples.shape[1:] for split in grown.splits] == [(16, 16, 3)] * 3
    np.testing.assert_array_equal(grown.test.labels, plain.test.labels)
    assert grown.test.examples.dtype == np.float32
    np.testing.assert_allclose(grown.test.examples.mean((1, 2))[:, 1], plain.test.examples.mean((1, 2, 3)), atol=0.02)
    with pytest.raises(InputError, match="has an argument; expected 'digits' alone"):
        data.load("digits:5")


def test_an_unknown_scheme_is_refused_with_the_nearest_one():
    with pytest.raises(InputError, match="did you mean 'digits'"):
        data.load("digit")

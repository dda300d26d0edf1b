import numpy as np
import pytest
from figures import texts

from mi_coding.reporting.strips import pair_strip


def test_pairs_stand_above_each_other_in_their_own_pixels():
    x, y = np.random.default_rng(0).random((2, 5, 8, 12, 1))
    figure = pair_strip(x, y, title="five pairs")
    images = figure.axes[0].images
    assert "five pairs" in texts(figure)
    np.testing.assert_allclose(images[1].get_array()[..., 0], x[1, ..., 0], rtol=1e-6)
    np.testing.assert_allclose(images[6].get_array()[..., 2], y[1, ..., 0], rtol=1e-6)
    left, _, bottom, _ = images[1].get_extent()
    other_left, _, _, other_top = images[6].get_extent()
    assert left == other_left
    assert other_top > bottom  # y runs downwards


def test_images_of_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        pair_strip(np.zeros((2, 8, 8, 1)), np.zeros((3, 8, 8, 1)), title="")
    with pytest.raises(ValueError, match="C = 1 or 3"):
        pair_strip(np.zeros((2, 8, 8)), np.zeros((2, 8, 8)), title="")


def test_a_strip_shows_originals_above_pairs_and_bytes_by_their_intensity():
    x = np.full((3, 8, 8, 1), 0.5)
    figure = pair_strip(x, x, title="pairs", originals=np.full((3, 4, 6, 1), 51, np.uint8))
    shown = [image.get_array() for axes in figure.axes for image in axes.images]
    assert len(shown) == 9
    np.testing.assert_allclose(shown[0], 0.2)
    np.testing.assert_allclose(shown[3], 0.5)
    with pytest.raises(ValueError, match="n images"):
        pair_strip(x, x, title="", originals=x[:2])


def test_a_caption_is_shown_as_it_is_written(tmp_path):
    x = np.zeros((1, 8, 8, 1))
    figure = pair_strip(x, x, title="pair", captions=["a$b_$.mp4"])
    figure.savefig(tmp_path / "pair.png")
    assert "a$b_$.mp4" in texts(figure)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding import pairs
from mi_coding.pairs.sequences import Sequences


def views(examples, seed=0, **options):
    return np.asarray(pairs.views(jax.random.key(seed), jnp.asarray(examples), Sequences(**options)))


def test_steps_share_no_sample_and_an_incomplete_last_one_is_left_out():
    signal = np.arange(2 * 11 * 2, dtype=np.float32).reshape(2, 11, 2)
    steps = views(signal, step_size=3)
    assert steps.shape == (2, 3, 3, 2)
    np.testing.assert_array_equal(steps.reshape(2, 9, 2), signal[:, :9])


def test_rows_of_an_image_are_steps_and_bytes_stand_for_zero_to_one():
    image = np.arange(24, dtype=np.uint8).reshape(1, 4, 6, 1)
    np.testing.assert_allclose(views(image, scale=0.5), image / 255 / 0.5, rtol=1e-6)


def test_cuts_begin_at_every_sample_alike_and_end_inside():
    cuts = views(np.tile(np.arange(13.0), (4000, 1)), step_size=2, num_steps=4)
    assert cuts.shape == (4000, 4, 2)
    np.testing.assert_array_equal(np.diff(cuts.reshape(4000, 8), axis=1), 1)
    counts = np.bincount(cuts[:, 0, 0].astype(int), minlength=6)
    assert len(counts) == 6  # 13 − 8 + 1 places
    np.testing.assert_allclose(counts, 4000 / 6, atol=5 * np.sqrt(4000 / 6))


def test_an_image_is_read_row_by_row_from_any_place_of_its_window():
    image = np.zeros((500, 2, 3, 1))
    image[:, 1, 2] = 1.0  # at a corner: where it is, the image is
    rows = views(image, window=6)
    assert rows.shape == (500, 6, 6, 1)
    np.testing.assert_allclose(rows.sum(axis=(1, 2, 3)), 1, rtol=1e-5)
    down, right = (np.tensordot(rows[..., 0], np.arange(6.0), (axis, 0)).sum(axis=1) for axis in (1, 2))
    for place, least, most in ((down, 1, 5), (right, 2, 5)):  # a uniform place has room − 4 or 3 pixels
        assert least <= place.min() < least + 0.1
        assert most - 0.1 < place.max() <= most + 1e-5
        np.testing.assert_allclose(place.mean(), (least + most) / 2, atol=0.25)


def test_a_pair_is_the_whole_sequence_and_nothing_more():
    pairs_of_steps, example = Sequences(step_size=2), jnp.arange(6.0)
    x, y = pairs_of_steps.pair(jax.random.key(0), example)
    np.testing.assert_array_equal(x, pairs_of_steps.view(jax.random.key(1), example))
    assert y == ()


def test_an_example_that_is_too_short_is_refused_with_what_it_takes():
    with pytest.raises(ValueError, match=r"11 samples are shorter than 4 step\(s\) of 3; expected at least 12"):
        views(np.zeros((1, 11)), step_size=3, num_steps=4)
    with pytest.raises(ValueError, match=r"2 samples are shorter than 1 step\(s\) of 3; expected at least 3"):
        views(np.zeros((1, 2)), step_size=3)


@pytest.mark.parametrize(
    "wrong", [{"step_size": 0}, {"num_steps": -1}, {"window": -1}, {"scale": 0.0}, {"scale": float("nan")}]
)
def test_sizes_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected a (finite )?number"):
        Sequences(**wrong)

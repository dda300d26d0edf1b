import numpy as np

from mi_coding.reporting.strips import as_pictures


def test_a_clip_is_its_frames_from_left_to_right():
    clip = np.arange(2 * 3 * 4 * 5, dtype=float).reshape(2, 3, 4, 5, 1)
    picture = as_pictures(clip)
    assert picture.shape == (2, 4, 15, 1)
    np.testing.assert_allclose(picture[1, :, 5:10], clip[1, 1] / 119, rtol=1e-6)


def test_steps_are_rows_and_the_extremes_of_all_are_black_and_white():
    signal = np.array([[[-2.0, 1.0], [0.0, 2.0]], [[0.0, 0.0], [6.0, 0.0]]])
    np.testing.assert_allclose(as_pictures(signal)[..., 0], (signal + 2) / 8)


def test_a_long_signal_of_single_numbers_is_written_in_lines_like_a_text():
    signal = np.arange(1.0, 21.0).reshape(1, 20, 1)
    picture = as_pictures(signal)[0, :, :, 0]
    assert picture.shape == (4, 5)
    np.testing.assert_allclose(picture.ravel(), np.arange(20) / 19, rtol=1e-6)


def test_a_signal_that_never_changes_is_black():
    assert not as_pictures(np.full((2, 3, 4), 7.0)).any()

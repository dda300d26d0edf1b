import numpy as np

from mi_coding.evaluation.sequences import strip_section


def test_the_future_of_x_and_the_past_of_y_are_black():
    sequences = np.random.default_rng(0).random((2, 6, 4)) + 1
    section = strip_section(sequences, 2, "the past and the future")
    whole, x, y = (np.stack([i.get_array() for i in section.figure.axes[0].images[k : k + 2]]) for k in (0, 2, 4))
    np.testing.assert_array_equal(x[:, :2], whole[:, :2])
    np.testing.assert_array_equal(y[:, 2:], whole[:, 2:])
    assert not x[:, 2:].any()
    assert not y[:, :2].any()

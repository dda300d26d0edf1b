import numpy as np

from mi_coding.reporting.figure import _spread, running_mean


def test_spread_labels_keep_their_order_their_distance_and_the_floor():
    spread = np.array(_spread([5.0, 0.1, 4.9, 0.0], gap=1.0, lowest=0.0))
    np.testing.assert_allclose(spread, [5.0, 1.0, 4.0, 0.0])


def test_the_running_mean_keeps_a_constant_a_line_and_the_ends():
    np.testing.assert_allclose(running_mean(np.full(100, 3.0), 9), 3.0)
    np.testing.assert_allclose(running_mean(np.arange(100.0), 9)[4:-4], np.arange(4, 96))
    np.testing.assert_array_equal(running_mean(np.array([1.0, 5.0]), 9), [1.0, 5.0])

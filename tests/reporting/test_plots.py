import numpy as np
from figures import assert_texts_inside_and_apart, texts

from mi_coding.reporting.plots import information


def test_an_estimate_stands_in_its_interval_beside_its_read_outs():
    bounds = {"InfoNCE": 1.2, "NWJ": 1.1}
    figure = information(1.25, (1.0, 1.5), bounds, np.array([0.5, 1.0, 1.25]))
    assert_texts_inside_and_apart(figure)
    assert "1.250 nats, 95 % from 1.000 to 1.500" in texts(figure)
    left, right = figure.axes
    assert left.lines[0].get_xdata()[0] == 1.25
    assert left.lines[1].get_xdata().tolist() == list(bounds.values())
    assert right.lines[0].get_ydata().tolist() == [0.5, 1.0, 1.25]

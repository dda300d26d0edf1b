import numpy as np
from figures import assert_texts_inside_and_apart, texts

from mi_coding.reporting.plots import heat_map, information, lags, pointwise_scatter


def test_an_estimate_stands_in_its_interval_beside_its_read_outs():
    bounds = {"InfoNCE": 1.2, "NWJ": 1.1}
    figure = information(1.25, (1.0, 1.5), bounds, np.array([0.5, 1.0, 1.25]))
    assert_texts_inside_and_apart(figure)
    assert "1.250 nats, 95 % from 1.000 to 1.500" in texts(figure)
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert len(set(ticks)) == len(ticks) > 3  # not all "1"
    left, right = figure.axes
    assert left.lines[0].get_xdata()[0] == 1.25
    assert left.lines[1].get_xdata().tolist() == list(bounds.values())
    assert right.lines[0].get_ydata().tolist() == [0.5, 1.0, 1.25]


def test_a_matrix_has_its_values_where_they_fit_and_blanks_where_there_are_none():
    values = np.array([[np.nan, 0.25], [0.25, 1.5]])
    figure = heat_map(values, ["a", "b"], "shared")
    assert [text for text in texts(figure) if text in ("0.25", "1.50", "nan")] == ["0.25", "0.25", "1.50"]
    assert {"a", "b", "shared"} <= set(texts(figure))
    assert "0.25" not in texts(heat_map(np.full((20, 20), 0.25), list(map(str, range(20))), "many"))


def test_pairs_are_coloured_by_what_they_add_and_those_without_a_score_left_out():
    local = np.array([0.5, np.nan, -0.5])
    figure = pointwise_scatter(np.arange(3.0), np.arange(3.0), local, "size", "weight")
    points = figure.axes[0].collections[0]
    assert points.get_offsets().tolist() == [[0, 0], [2, 2]]
    assert points.get_array().tolist() == [0.5, -0.5]
    assert {"size", "weight"} <= set(texts(figure))


def test_the_lag_with_most_is_named():
    steps, nats = np.arange(-2, 3), np.array([0.1, 0.2, 0.1, 0.7, 0.1])
    assert "I(x; y): most at lag 1, 0.700 nats" in texts(lags(steps, nats, nats - 0.1, nats + 0.1, "I(x; y)"))

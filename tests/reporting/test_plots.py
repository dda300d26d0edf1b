import itertools
import math

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from mi_coding.reporting import plots, sections

LN_256 = math.log(256)


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def drawn_texts(figure):
    """Every text but the tick labels outside the axes, which exist without being drawn."""
    figure.draw_without_rendering()
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    ticks = [
        (tick, sorted(axis.get_view_interval()))
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
    ]
    outside = {id(tick.label1) for tick, (low, high) in ticks if not low <= tick.get_loc() <= high}
    return [text for text in shown if id(text) not in outside]


def assert_texts_inside_and_apart(figure):
    """None leaves the figure, no two touch."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(figure)]
    for name, box in boxes:
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height
        assert inside, f"{name!r} leaves the figure"
    for (name, box), (other, other_box) in itertools.combinations(boxes, 2):
        assert not box.overlaps(other_box), f"{name!r} overlaps {other!r}"


def grown(steps, *, to):
    return to * (1 - np.exp(-steps / 100))


@pytest.mark.parametrize("num_candidates", [2, 256, 65536])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_bound_and_ceiling_carry_labels_that_never_touch(num_candidates, share):
    ceiling, steps = math.log(num_candidates), np.arange(1, 1001)
    bounds = grown(steps, to=share * ceiling)
    validation = (steps[::100], bounds[::100])
    figure = plots.bound_over_training(
        steps, bounds, ceiling=ceiling, num_candidates=num_candidates, validation=validation
    )
    assert_texts_inside_and_apart(figure)
    shown = texts(figure)
    assert f"ceiling ln {num_candidates:,} = {ceiling:.2f}" in shown
    assert f"train {bounds[-1]:.2f}" in shown
    assert f"held-out {validation[1][-1]:.2f}" in shown


def test_labels_that_are_spread_keep_their_order_their_distance_and_the_floor():
    spread = np.array(plots._spread([5.0, 0.1, 4.9, 0.0], gap=1.0, lowest=0.0))
    np.testing.assert_allclose(spread, [5.0, 1.0, 4.0, 0.0])


def test_the_running_mean_keeps_a_constant_a_line_and_the_ends():
    np.testing.assert_allclose(plots._running_mean(np.full(100, 3.0), 9), 3.0)
    np.testing.assert_allclose(plots._running_mean(np.arange(100.0), 9)[4:-4], np.arange(4, 96))
    np.testing.assert_array_equal(plots._running_mean(np.array([1.0, 5.0]), 9), [1.0, 5.0])


@pytest.mark.parametrize("bounds", [[], [0.5], [0.5, math.nan], [-40.0, 1.0, 5.0]])
def test_a_run_of_any_length_has_a_picture_that_holds_its_ceiling(bounds):
    figure = plots.bound_over_training(np.arange(len(bounds)), np.array(bounds), ceiling=LN_256, num_candidates=256)
    low, high = figure.axes[0].get_ylim()
    assert -LN_256 * 1.06 < low <= 0
    assert high > LN_256
    assert_texts_inside_and_apart(figure)


def test_bars_have_their_length_their_value_and_the_chance_level():
    figure = plots.probe_bars(
        {"linear": {"trained encoder": 0.953, "raw pixels": 0.55}, "cosine kNN": {"trained encoder": 1.0}}, chance=0.1
    )
    assert_texts_inside_and_apart(figure)
    shown = texts(figure)
    assert {"linear", "cosine kNN", "95.3 %", "55.0 %", "100.0 %"} <= set(shown)
    assert shown.count("chance 10 %") == 2
    widths = [patch.get_width() for axes in figure.axes for patch in axes.patches if isinstance(patch, Rectangle)]
    assert widths == [1, 0.953, 1, 0.55, 1, 1.0]  # each over a track of full length
    assert not any("chance" in text for text in texts(plots.probe_bars({"linear": {"a": 0.5}}, chance=None)))
    with pytest.raises(ValueError, match="empty"):
        plots.probe_bars({"linear": {}}, chance=None)


def test_pairs_stand_above_each_other_in_their_own_pixels():
    x, y = np.random.default_rng(0).random((2, 5, 8, 12, 1))
    figure = plots.pair_strip(x, y, title="five pairs")
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
        plots.pair_strip(np.zeros((2, 8, 8, 1)), np.zeros((3, 8, 8, 1)), title="")
    with pytest.raises(ValueError, match="C = 1 or 3"):
        plots.pair_strip(np.zeros((2, 8, 8)), np.zeros((2, 8, 8)), title="")
    with pytest.raises(ValueError, match="q = 2"):
        plots.nearest_neighbours(np.zeros((2, 8, 8, 1)), np.zeros((3, 4, 8, 8, 1)))


def test_codes_are_coloured_by_label_and_labelled_only_amid_their_own():
    rng = np.random.default_rng(0)
    labels = np.repeat([3, 7, 8, 9], 50)
    apart = rng.normal(size=(200, 2)) + 20 * labels[:, None]
    mixed = rng.normal(size=(200, 2))
    figure = plots.code_map(apart, labels, title="map")
    assert [texts(figure).count(label) for label in "3789"] == [2, 2, 2, 2]  # in the legend and amid the codes
    assert [texts(plots.code_map(mixed, labels, title="map")).count(label) for label in "3789"] == [1, 1, 1, 1]
    groups = figure.axes[0].collections
    for group, label in zip(groups, (3, 7, 8, 9), strict=True):
        np.testing.assert_allclose(group.get_offsets(), apart[labels == label])
    assert len({tuple(group.get_facecolor()[0]) for group in groups}) == 4


@pytest.mark.parametrize("count", [2, 10, 40])
def test_up_to_forty_labels_look_different_and_the_legend_fits(count):
    labels = np.arange(3 * count) % count
    figure = plots.code_map(np.random.default_rng(0).normal(size=(3 * count, 2)), labels, title="many")
    looks = {
        (tuple(group.get_facecolor()[0]), group.get_paths()[0].vertices.tobytes())
        for group in figure.axes[0].collections
    }
    assert len(looks) == count
    figure.draw_without_rendering()
    assert figure.axes[0].get_legend().get_window_extent().x1 <= figure.bbox.width


def test_codes_without_labels_have_one_colour_and_no_legend():
    figure = plots.code_map(np.random.default_rng(0).normal(size=(30, 2)), None, title="map")
    assert len(figure.axes[0].collections) == 1
    assert figure.axes[0].get_legend() is None
    with pytest.raises(ValueError, match="one label a point"):
        plots.code_map(np.zeros((3, 2)), np.zeros(2), title="map")


def test_exactly_the_neighbours_with_another_label_are_framed_and_named():
    rng = np.random.default_rng(0)
    query_labels, neighbour_labels = np.array([1, 2]), np.array([[1, 4, 1], [2, 2, 5]])
    near = rng.random((2, 3, 8, 8, 1))
    figure = plots.nearest_neighbours(
        rng.random((2, 8, 8, 1)),
        near,
        query_labels=query_labels,
        neighbour_labels=neighbour_labels,
        similarities=np.array([[0.9, 0.8, 0.7], [0.6, 0.5, 0.4]]),
    )
    shown = texts(figure)
    assert {"is 4 · 0.80", "is 5 · 0.40", "0.90", "0.70", "0.60", "0.50"} <= set(shown)
    assert any(text.startswith("4 of 6 neighbours") for text in shown)
    frames = [patch.get_xy() for patch in figure.axes[0].patches if patch.get_linewidth() > 1]
    corners = [(image.get_extent()[0], image.get_extent()[3]) for image in figure.axes[0].images]
    assert [corners.index(frame) for frame in frames] == [2, 7]  # a query and its three neighbours, twice
    assert_texts_inside_and_apart(figure)


def test_neighbours_without_labels_have_no_frames():
    figure = plots.nearest_neighbours(np.zeros((10, 8, 8, 3)), np.zeros((10, 5, 8, 8, 3)))
    assert len(figure.axes[0].images) == 60
    assert not [patch for patch in figure.axes[0].patches if patch.get_linewidth() > 1]


def test_the_colours_of_codes_stay_apart_for_colour_blind_eyes():
    """Simulation: Machado 2009, full severity. Distance: OKLab, where 0.02 is about the least difference one sees."""
    normal = np.eye(3)
    protan = np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]])
    deutan = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    for eye in (normal, protan, deutan):
        seen = [oklab(eye @ linear(colour)) for colour in plots.CODE_COLOURS]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.12


def linear(colour):
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    to_lms = np.array([[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]])
    to_lab = np.array([[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]])
    return to_lab @ np.cbrt(to_lms @ np.clip(rgb, 0, 1))


def test_a_strip_shows_the_originals_above_the_pairs_bytes_as_what_they_stand_for():
    x = np.full((3, 8, 8, 1), 0.5)
    figure = plots.pair_strip(x, x, title="pairs", originals=np.full((3, 4, 6, 1), 51, np.uint8))
    shown = [image.get_array() for axes in figure.axes for image in axes.images]
    assert len(shown) == 9
    np.testing.assert_allclose(shown[0], 0.2)
    np.testing.assert_allclose(shown[3], 0.5)
    with pytest.raises(ValueError, match="n images"):
        plots.pair_strip(x, x, title="", originals=x[:2])


def test_bounds_against_steps_ahead_hold_their_values_their_errors_and_the_ceiling():
    few, many = (np.array([2.5, 1.25, -0.5]), np.array([0.02, 0.03, 0.04])), (np.array([2.75, 1.5, -0.25]), np.zeros(3))
    figure = plots.bound_ahead({256: few, 397: many})
    (axes,) = figure.axes
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 3]
    for line, (values, _) in zip([line for line in drawn if line.get_marker() == "o"], (few, many), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), values)
    ends = sorted(float(y) for line in drawn if line.get_marker() != "o" for y in line.get_ydata())
    expected = [
        v + sign * 2 * e
        for values, errors in (few, many)
        for v, e in zip(values, errors, strict=True)
        for sign in (1, -1)
    ]
    np.testing.assert_allclose(ends, sorted(expected))
    assert f"ceiling ln 256 = {LN_256:.2f}" in texts(figure)
    assert_texts_inside_and_apart(figure)
    with pytest.raises(ValueError, match="bounds is empty"):
        plots.bound_ahead({})


@pytest.mark.parametrize("values", [(3.1, 1.2), (0.02, 0.01), (5.5, 3.4)])
def test_bounds_over_the_gap_carry_labels_that_never_touch_and_every_gap(values):
    gaps = np.geomspace(1 / 30, 1.7, 8)
    bounds = {name: value * np.linspace(1, 0.3, 8) for name, value in zip(("across", "within"), values, strict=True)}
    ceilings = {"across": LN_256, "within": math.log(32)}
    figure = plots.bounds_by_gap(gaps, bounds, ceilings=ceilings, trained_at=0.25)
    assert_texts_inside_and_apart(figure)
    shown = texts(figure)
    for name in bounds:
        assert f"{name} {bounds[name][-1]:.2f}" in shown
        assert f"ceiling {name} {ceilings[name]:.2f}" in shown
    assert {f"{gap:.2g}" for gap in gaps} <= set(shown)
    curves = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_ydata()) == 8]
    np.testing.assert_allclose(curves, list(bounds.values()))


def test_pairs_of_frames_carry_their_captions():
    frames = np.zeros((10, 64, 64, 3), np.uint8)
    names = [f"the very long name of film {i}.mp4" for i in range(10)]
    times = np.stack([np.arange(10) + 3000.2, np.arange(10) + 3000.45], axis=1)
    figure = sections.film_strip(frames, frames, names, times, "frames of a film").figure
    assert_texts_inside_and_apart(figure)
    assert "the v… 3.mp4\nx 3003.20 s\ny 3003.45 s" in texts(figure)


@pytest.mark.parametrize("most", [1.0, 44.36, 444.4])  # of one bit, of 64, of 640
def test_information_over_training_carries_labels_that_never_touch(most):
    steps = np.arange(1, 1001)
    curves = {}
    for key, share in (("entropy_nats", 0.83), ("mi_nats", 0.28)):
        curves[f"train/{key}"] = steps, grown(steps, to=share * most)
        curves[f"validation/{key}"] = steps[::100], grown(steps[::100], to=share * most)
    assert_texts_inside_and_apart(sections.information(curves, 180).figure)

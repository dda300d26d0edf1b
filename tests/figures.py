"""What tests of figures look at: the texts of a figure, and whether they fit."""

import itertools

import numpy as np
from matplotlib.text import Text


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

import math

import numpy as np
import pytest
from figures import assert_texts_inside_and_apart, texts

from mi_coding.evaluation.films import film_strip, gap_section
from mi_coding.evaluation.heldout import HeldoutBound

LN_256 = math.log(256)


@pytest.mark.parametrize("values", [(3.1, 1.2), (0.02, 0.01), (5.5, 3.4)])
def test_bounds_over_the_gap_carry_labels_that_never_touch_and_every_gap(values):
    gaps = np.geomspace(1 / 30, 1.7, 8)
    bounds = {name: value * np.linspace(1, 0.3, 8) for name, value in zip(("across", "within"), values, strict=True)}
    ceilings = {"across": LN_256, "within": math.log(32)}
    measured = {
        name: [HeldoutBound(value, 0.01, 256, ceilings[name], 0.5) for value in curve.tolist()]
        for name, curve in bounds.items()
    }
    figure = gap_section(gaps.tolist(), measured, trained_at=0.25).figure
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
    figure = film_strip(frames, frames, names, times, "frames of a film").figure
    assert_texts_inside_and_apart(figure)
    assert "the v… 3.mp4\nx 3003.20 s\ny 3003.45 s" in texts(figure)


def test_bounds_at_each_gap_stand_under_their_ceilings():
    bounds = {"across": [HeldoutBound(value, 0.01, 256, LN_256, 0.5) for value in (3.0, 2.0)]}
    section = gap_section([0.1, 0.5], bounds, trained_at=0.25)
    assert "trained at a gap of 0.25 s" in section.text
    curve = next(line for line in section.figure.axes[0].lines if line.get_marker() == "o")
    np.testing.assert_array_equal(curve.get_ydata(), [3.0, 2.0])

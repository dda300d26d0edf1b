import itertools

import numpy as np
import pytest
from figures import texts

from mi_coding.evaluation.map import CODE_COLOURS, code_map


def test_codes_are_coloured_by_label_and_labelled_only_amid_their_own():
    rng = np.random.default_rng(0)
    labels = np.repeat([3, 7, 8, 9], 50)
    apart = rng.normal(size=(200, 2)) + 20 * labels[:, None]
    mixed = rng.normal(size=(200, 2))
    figure = code_map(apart, labels, title="map")
    assert [texts(figure).count(label) for label in "3789"] == [2, 2, 2, 2]  # in the legend and amid the codes
    assert [texts(code_map(mixed, labels, title="map")).count(label) for label in "3789"] == [1, 1, 1, 1]
    groups = figure.axes[0].collections
    for group, label in zip(groups, (3, 7, 8, 9), strict=True):
        np.testing.assert_allclose(group.get_offsets(), apart[labels == label])
    assert len({tuple(group.get_facecolor()[0]) for group in groups}) == 4


@pytest.mark.parametrize("count", [2, 10, 40])
def test_up_to_forty_labels_look_different_and_the_legend_fits(count):
    labels = np.arange(3 * count) % count
    figure = code_map(np.random.default_rng(0).normal(size=(3 * count, 2)), labels, title="many")
    looks = {
        (tuple(group.get_facecolor()[0]), group.get_paths()[0].vertices.tobytes())
        for group in figure.axes[0].collections
    }
    assert len(looks) == count
    figure.draw_without_rendering()
    assert figure.axes[0].get_legend().get_window_extent().x1 <= figure.bbox.width


def test_codes_without_labels_have_one_colour_and_no_legend():
    figure = code_map(np.random.default_rng(0).normal(size=(30, 2)), None, title="map")
    assert len(figure.axes[0].collections) == 1
    assert figure.axes[0].get_legend() is None
    with pytest.raises(ValueError, match="one label per point"):
        code_map(np.zeros((3, 2)), np.zeros(2), title="map")


def test_the_colours_of_codes_stay_apart_for_colour_blind_eyes():
    """Simulation: Machado 2009, full severity. Distance: OKLab, where 0.02 is about the least difference one sees."""
    normal = np.eye(3)
    protan = np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]])
    deutan = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    for eye in (normal, protan, deutan):
        seen = [oklab(eye @ linear(colour)) for colour in CODE_COLOURS]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.12


def linear(colour):
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    to_lms = np.array([[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]])
    to_lab = np.array([[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]])
    return to_lab @ np.cbrt(to_lms @ np.clip(rgb, 0, 1))


def test_classes_are_called_by_their_names():
    labels = np.array([3, 7] * 30)
    names = np.where(labels == 3, "beetle", "a very long …")
    shown = texts(code_map(np.random.default_rng(0).normal(size=(60, 2)), labels, title="map", names=names))
    assert {"beetle", "a very long …"} <= set(shown)
    assert not {"3", "7"} & set(shown)

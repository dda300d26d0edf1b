"""The map of a page: a point each, classes that can be chosen, pictures under the pointer."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mi_coding.reporting.point_map import PointMap, point_map_html

EVIL = "<script>alert('1')</script>&\""
POINTS = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 5.0]])


def test_points_stand_where_they_are_with_their_class_and_caption():
    page = point_map_html(PointMap(POINTS, ["a", "b", EVIL], np.array([4, 4, 2]), {2: "ant", 4: EVIL}))
    assert "<script" not in page
    points = re.findall(r'<b [^>]*class="m0 (k\d)" style="--x:(.*?);top:(.*?)%', page)
    assert points == [("k1", "3.0", "97.0"), ("k1", "97.0", "97.0"), ("k0", "3.0", "3.0")]
    assert re.findall(r"class=f\d><i class=m0></i>(.*?)</label>", page)[0] == "ant"
    assert "base64" not in page  # no pictures


def test_more_classes_than_colours_differ_by_their_shape():
    count = 25
    points = np.random.default_rng(0).normal(size=(count, 2))
    page = point_map_html(PointMap(points, [""] * count, np.arange(count)))
    looks = {
        (marker, re.search(rf"\.k{number},.*?--k:(#\w+)", page)[1])
        for marker, number in re.findall(r'class="(m\d) k(\d+)"', page)
    }
    assert len(looks) == count


@pytest.mark.parametrize(("shape", "mode"), [((3, 64, 32, 3), "RGB"), ((3, 8, 8, 1), "L")])
def test_the_sheet_has_every_picture_at_its_place(shape, mode):
    pictures = np.zeros((*shape[:3], 3), np.uint8)
    pictures[0], pictures[1], pictures[2] = 50, 100, 200
    if mode == "RGB":
        pictures[..., 0] = 0
    page = point_map_html(PointMap(POINTS, ["", "", ""], pictures=pictures))
    sheet = Image.open(io.BytesIO(base64.b64decode(re.search(r"jpeg;base64,(.*?)\)", page)[1], validate=True)))
    height, width = (32, 16) if mode == "RGB" else (8, 8)
    assert (sheet.size, sheet.mode) == ((2 * width, 2 * height), mode)
    shown = np.asarray(sheet).reshape(2 * height, 2 * width, -1)[..., -1]
    places = re.findall(r"--c:(\d);--r:(\d)", page)
    means = [shown[int(r) * height :, int(c) * width :][:height, :width].mean() for c, r in places]
    np.testing.assert_allclose(means, [50, 100, 200], atol=12)


def test_a_map_of_thousands_of_photos_stays_small():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (2000, 64, 64, 3), dtype=np.uint8)
    shown = PointMap(rng.normal(size=(2000, 2)), ["0123.png"] * 2000, np.arange(2000) % 10, pictures=pictures)
    assert len(point_map_html(shown)) < 1.5e6  # of noise; photos take less


@pytest.mark.parametrize("wrong", [{"captions": ["a"]}, {"classes": np.zeros(2, int)}, {"points": np.zeros((3, 3))}])
def test_parts_of_other_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        PointMap(**{"points": POINTS, "captions": ["a", "b", "c"]} | wrong)

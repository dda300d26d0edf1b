import base64
import io
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mi_coding.evaluation import EVALUATORS
from mi_coding.evaluation.probes import probe_bars
from mi_coding.reporting.page import Gallery, Report, Section, Table, Thumbnail, write_plots, write_report
from mi_coding.reporting.point_map import PointMap
from mi_coding.reporting.results import collect_tiles, group_results
from mi_coding.reporting.strips import pair_strip

EVIL = "<script>alert('1')</script>&\""
VOID = {"meta", "link", "img", "br", "hr", "input"}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


class Page(HTMLParser):
    """Reads a page and fails where a tag is not closed by its own end tag."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def text(self):
        return " ".join(" ".join(self.words).split())

    def pictures(self):
        return [attrs for tag, attrs in self.seen if tag == "img"]


@pytest.fixture
def sections():
    bars = probe_bars({"linear": {"trained encoder": 0.9}}, chance=0.1)
    images = np.random.default_rng(0).random((4, 8, 8, 1))
    return [
        Section("Digit from one frame", f"How to read {EVIL}", bars, "probes"),
        Section("Pairs", "Two frames of one clip.", pair_strip(images, images, title="pairs"), "pairs"),
    ]


def write(path, summary, sections, **changes):
    given = {
        "title": "CPC on digits",
        "lead": "What this is.",
        "warnings": ["the bound is within 5 % of its ceiling"],
        "config": {"seed": 0, "optimizer": {"name": "adamw", "clip": None}},
        "environment": {"jax": "0.10.2", "devices": "1 × cpu"},
    }
    evaluators = [kind() for kind in EVALUATORS.values()]
    results = {"tiles": collect_tiles(summary, evaluators), "groups": group_results(summary, evaluators)}
    write_report(path, Report(sections=sections, **results, **given | changes))
    return path.read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_says_everything_it_was_given(tmp_path, summary, sections):
    text = Page(write(tmp_path / "report.html", summary | {"heldout/entropy_nats": 3.25}, sections)).text()
    for part in (
        "held-out bound 4.62 ± 0.02 nats of at most 5.55 nats",
        "linear probe 95.3 % untrained encoder 61.2 %, raw input 55.3 %",
        "cosine kNN 93.1 % untrained encoder 40.1 %, raw input 47.5 %",
        "candidates N 256 the true y ranked first for 81.2 % of x",
        "Warning the bound is within 5 % of its ceiling",
        "Pairs Two frames of one clip.",
        "N = 397 4.873 ± 0.034 5.984 74.4 %",
        "heldout/entropy_nats 3.25",
        "optimizer name adamw clip None",
        "devices 1 × cpu",
    ):
        assert part in text, part


def test_nothing_of_a_run_can_be_markup(tmp_path, summary, sections):
    text = write(
        tmp_path / "report.html",
        summary | {EVIL: EVIL, "probe/linear_accuracy": None},
        [replace(section, heading=EVIL) for section in sections],
        title=EVIL,
        lead=EVIL,
        warnings=[EVIL],
        config={EVIL: {EVIL: EVIL}},
        environment={EVIL: EVIL},
    )
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.seen}
    assert page.text().count(EVIL) == 14
    assert page.pictures()[0]["alt"] == f"{EVIL}. How to read {EVIL}"


def test_the_page_asks_for_nothing_outside_itself(tmp_path, summary, sections):
    text = write(tmp_path / "report.html", summary, sections)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script", re.sub(r"base64,[^\"]*", "", text))
    addresses = [value for _, attrs in Page(text).seen for name, value in attrs.items() if name in ("src", "href")]
    assert len(addresses) == 3
    assert all(address.startswith("data:") for address in addresses)


def test_every_picture_is_a_png_inside_the_page_and_the_same_beside_it(tmp_path, summary, sections):
    page = Page(write(tmp_path / "report.html", summary, sections))
    write_plots(tmp_path / "plots", sections)
    assert len(page.pictures()) == 2
    for picture, section in zip(page.pictures(), sections, strict=True):
        data = base64.b64decode(picture["src"].removeprefix("data:image/png;base64,"), validate=True)
        inside, beside = Image.open(io.BytesIO(data)), Image.open(tmp_path / "plots" / f"{section.name}.png")
        assert inside.width > 1000
        np.testing.assert_array_equal(inside, beside)
        assert section.heading in picture["alt"]


def test_tiles_and_groups_without_numbers_vanish(tmp_path):
    text = Page(write(tmp_path / "report.html", {}, [], warnings=[])).text()
    assert not re.search("bound|probe|kNN|Results|Warning", text)
    text = Page(write(tmp_path / "report.html", {"heldout/mi_lower_bound_nats": 0.5}, [])).text()
    assert "held-out bound 0.50 nats" in text


@pytest.mark.parametrize("value", [None, float("nan")])
def test_headline_numbers_that_were_not_finite_are_dashes(tmp_path, summary, value):
    broken = {key: value if isinstance(number, float) else number for key, number in summary.items()}
    text = Page(write(tmp_path / "report.html", broken, [])).text()
    assert "held-out bound — ± — nats" in text
    assert "linear probe — % untrained encoder —" in text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome is installed")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 500)])
def test_a_browser_shows_every_picture_of_the_page_without_complaint(tmp_path, summary, sections, scheme, width):
    """A script added to a copy of the page looks at the loaded document; the page itself forbids scripts."""
    points = np.random.default_rng(0).normal(size=(60, 2))
    points = PointMap(
        points, ["a long name of a file.png"] * 60, np.arange(60) % 3, pictures=np.zeros((60, 8, 8, 3), "u1")
    )
    mapped = Section("Map", "Of codes.", sections[0].figure, "codes", point_map=points)
    text = write(tmp_path / "report.html", summary, [*sections, mapped], title=f"cpc on {'/folder' * 40}/*.mp4")
    script = (
        "<script>addEventListener('load', () => { document.body.dataset.seen = [...document.images]"
        ".map(i => i.naturalWidth).join() + ' ' + getComputedStyle(document.body).backgroundColor;"
        "const page = document.documentElement;"
        "document.body.dataset.width = page.clientWidth;"
        "document.body.dataset.over = page.scrollWidth - page.clientWidth;"
        "const seen = () => [...document.querySelectorAll('.points b')].filter(b => b.checkVisibility("
        "{visibilityProperty: true})).length; const all = seen(); document.querySelector('.f1').click();"
        "document.body.dataset.points = all + ' ' + seen(); document.querySelectorAll('.points .k1')[5].focus();"
        "document.body.dataset.picture = getComputedStyle(document.activeElement, '::before').backgroundImage.length;"
        "document.body.dataset.over += ' ' + (page.scrollWidth - page.clientWidth);"
        "document.body.dataset.shown = Math.min(...[...document.images].map(i => i.clientWidth)) })</script>"
    )
    watched = tmp_path / "watched.html"
    watched.write_text(text.replace("img-src data:;", "img-src data:; script-src 'unsafe-inline';") + script)
    done = browse(watched, tmp_path / "profile", scheme, width)
    widths, colour = re.search('data-seen="(.*?) (.*?)"', done.stdout).groups()
    assert all(int(width) > 1000 for width in widths.split(","))
    assert len(widths.split(",")) == len(sections)
    assert colour == {"light": "rgb(251, 251, 250)", "dark": "rgb(20, 23, 29)"}[scheme]
    names = ("width", "over", "shown", "points", "picture")
    measured = {name: re.search(f'data-{name}="(.*?)"', done.stdout)[1] for name in names}
    assert (int(measured["width"]), measured["over"]) == (width, "0 0")  # also while the caption of a point shows
    assert measured["points"] == "60 20"  # all of them, and those of the class that was chosen
    assert int(measured["picture"]) > 300  # characters of the sheet of pictures
    assert int(measured["shown"]) >= 784  # of 806, at which the smallest text, 8.5 points, has 11.3 pixels
    assert "CONSOLE" not in browse(tmp_path / "report.html", tmp_path / "profile", scheme, width).stderr


def browse(path, profile, scheme, width):
    quiet = ["quic", "background-networking", "component-update", "sync", "gpu"]
    flags = [f"--disable-{name}" for name in quiet] + ["--headless", "--no-sandbox", "--no-first-run", "--dump-dom"]
    flags += [f"--user-data-dir={profile}", "--virtual-time-budget=2000", "--enable-logging=stderr"]
    flags += [f"--window-size={width},1000", "--hide-scrollbars"]
    flags += [f"--blink-settings=preferredColorScheme={'01'[scheme == 'light']}"]
    return subprocess.run([CHROMIUM, *flags, path.as_uri()], capture_output=True, text=True, check=True, timeout=60)


def test_a_table_is_folded_under_its_figure(tmp_path, sections):
    table = Table("File names", ("query", "nearest first"), [("test/a.png", "train/b.png"), ("", EVIL)])
    written = write(tmp_path / "report.html", {}, [replace(sections[0], table=table)])
    assert f"File names query nearest first test/a.png train/b.png {EVIL}" in Page(written).text()


def test_a_picture_of_a_gallery_leads_to_the_row_that_begins_with_it(tmp_path, sections):
    grey = np.full((100, 50, 3), 128, np.uint8)
    rows = [
        (Thumbnail(grey, "test ant", "test-0"), [Thumbnail(grey, f"{EVIL} 0.91", "train-7")]),
        (Thumbnail(grey, "bee", "train-7"), [Thumbnail(grey, "0.50", "train-9")]),  # which has no row
    ]
    page = Page(write(tmp_path / "report.html", {}, [replace(sections[0], gallery=Gallery("All of them", rows))]))
    ids = [attrs["id"] for tag, attrs in page.seen if "id" in attrs]
    assert ids == ["test-0", "train-7"]
    assert [attrs["href"] for tag, attrs in page.seen if tag == "a"] == ["#test-0", "#train-7", "#train-7"]
    assert [picture["alt"] for picture in page.pictures()[1:]] == ["test ant", f"{EVIL} 0.91", "bee", "0.50"]
    data = base64.b64decode(page.pictures()[1]["src"].removeprefix("data:image/png;base64,"), validate=True)
    assert Image.open(io.BytesIO(data)).size == (24, 48)
    assert "All of them" in page.text()

"""The page that shows a source before anything is trained."""

import re

import numpy as np
import pytest
from commands import ROOT, make_folder
from PIL import Image

from mi_coding import inspect
from mi_coding.data.oddities import oddest


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of 120 photos of noise, of which one is black and one no image, and what the command prints."""
    here = tmp_path_factory.mktemp("inspect")
    make_folder(here / "photos", count=60, side=16)
    Image.new("RGB", (16, 16)).save(here / "photos" / "ant" / "black.png")
    output = here / "page.html"
    config = f"--config={ROOT / 'configs' / 'simclr.py'}"
    typed = [f"--source=folder:{here / 'photos'}", config, f"--output={output}", "--image_size=12"]
    assert inspect.main(["inspect", *typed]) == 0
    return output.read_text()


def test_the_page_has_the_account_the_examples_their_pairs_and_the_odd_ones(page):
    assert "before training" in page
    for heading in ("Examples", "Pairs as the encoder sees them", "Odd ones"):
        assert f"<h2>{heading}</h2>" in page
    assert "training examples of each class" in page
    assert re.search(r"image_size\W[^0-9]{0,40}12\b", page)  # the config with the flags of the command


def test_a_black_image_among_noise_is_the_oddest(page):
    first_row = page.split("<h2>Odd ones</h2>")[1].split("<tr>")[2]
    assert "ant/black.png" in first_row


def test_each_measure_finds_the_example_that_stands_out_by_it():
    rng = np.random.default_rng(0)
    images = rng.integers(100, 156, (60, 16, 16, 3)).astype(np.uint8)
    images[3] = 120 + np.arange(3) * 20 + rng.integers(-8, 8, (16, 16, 3))  # a cast of colour
    images[5] += 60  # brighter
    images[8] = np.repeat(np.repeat(images[8, ::4, ::4], 4, 0), 4, 1)  # as noisy, but in coarse blocks
    found = {odd.position: odd.measure for odd in oddest(images, 3)}
    assert found.keys() == {3, 5, 8}
    assert found[5] == "dark or bright"
    assert found[8] == "blurred or noisy"


def test_a_mistake_is_one_line(capsys, tmp_path):
    assert inspect.main(["inspect"]) == 2
    assert "no --source and no --config given" in capsys.readouterr().err
    assert inspect.main(["inspect", "--source=digits", f"--output={tmp_path}"]) == 2
    assert "is not a file in an existing folder" in capsys.readouterr().err
    assert inspect.main(["inspect", "--source=folder:nowhere"]) == 2
    assert "--source='folder:nowhere' does not exist" in capsys.readouterr().err

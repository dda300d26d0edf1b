"""Three clips, and their data set as a first run decodes it."""

import numpy as np
import pytest
from clips import load_clips, write_clip


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Three films of irregular frame times and lengths; the brightness of a frame is its number, but "b" is black."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(5)
    for name, count in {"a": 30, "b": 25, "c": 31}.items():
        times = np.cumsum(rng.integers(20, 120, count))
        black = (lambda i: np.zeros((48, 64, 3), np.uint8)) if name == "b" else None
        write_clip(folder / f"{name}.mp4", times - times[0], pixels=black)
    return folder


@pytest.fixture(scope="session")
def cached(clips, tmp_path_factory):
    """The cache folder, the data set, and the lines that were logged."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, *load_clips(clips, cache)

"""The cache of decoded films: complete or absent, and read again as long as nothing changes."""

import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from clips import load_clips, write_clip

from mi_coding import data
from mi_coding.data.films.cache import decode_films, default_cache
from mi_coding.data.films.encoded import EncodedFilm, Extent
from mi_coding.data.films.video_file import VideoFile
from mi_coding.data.images import ImageSpec
from mi_coding.errors import InputError


def test_cached_films_are_not_decoded_again(clips, cached, monkeypatch):
    cache, first, _ = cached
    monkeypatch.setattr(VideoFile, "decode", None)
    monkeypatch.setattr(VideoFile, "extent", None)
    again, lines = load_clips(clips, cache)
    assert len(lines) == 1
    np.testing.assert_array_equal(again.test.examples, first.test.examples)


def test_what_is_white_in_images_leaves_the_cache_of_films_as_it_is(tmp_path):
    logged = []
    for white in (0, 4095):
        decode_films([Broken()], ImageSpec(4, 1, white), data.VideoOptions(cache_dir=str(tmp_path)), logged.append)
    assert len(logged) == 1


@pytest.mark.parametrize("change", ["file", "size", "rate"])
def test_other_files_sizes_or_rates_are_decoded_anew(clips, cached, tmp_path, change):
    cache, first, _ = cached
    folder, options = clips, {}
    if change == "file":
        folder = shutil.copytree(clips, tmp_path / "clips")
    elif change == "size":
        options = {"image_size": 6}
    else:
        options = {"frame_rate": 10.0}
    other, lines = load_clips(folder, cache, **options)
    assert lines[0].startswith("decoding")
    if change == "rate":
        assert len(other.train.examples) < len(first.train.examples)
        assert np.all(np.diff(other.train.films.times)[:5] > 0.02)


class Broken(EncodedFilm):
    """A film whose decoder raises an unexpected error, or that differs from its extent."""

    name = "broken"

    def __init__(self, says=2, gives=1, error=None, shape=(4, 4, 1)):
        self._says, self._gives, self._error, self._shape = says, gives, error, shape

    def identity(self):
        return [self._says, self._gives, self._shape]

    def extent(self, frame_rate):
        return Extent(self._says, (4, 4, 1))

    def decode(self, put, *, frame_rate, threads):
        for i in range(self._gives):
            put(0.1 * i, np.full(self._shape, i, np.uint8))
        if self._error:
            raise self._error
        return 0.1 * self._gives, None


def decode(films, cache, log=lambda line: None):
    return decode_films(films, ImageSpec(4, 1), data.VideoOptions(cache_dir=str(cache)), log)


def test_a_failure_leaves_no_files(tmp_path):
    with pytest.raises(RuntimeError, match="surprise"):
        decode([Broken(), Broken(error=RuntimeError("surprise"))], tmp_path)
    with pytest.raises(InputError, match="no frame of 1 film"):
        decode([Broken(gives=0)], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_frames_beyond_the_announced_number_are_dropped(tmp_path):
    decoded = decode([Broken(says=2, gives=5), Broken(says=5, gives=3)], tmp_path)
    assert decoded.table.count.tolist() == [2, 3]
    assert decoded.table.first.tolist() == [0, 2]
    assert np.load(decoded.frames_file)[:5, 0, 0, 0].tolist() == [0, 1, 0, 1, 2]
    assert "5 frames where its container announces 2" in decoded.notes[0]


def test_a_film_that_changes_size_is_left_out_unless_resized(tmp_path):
    decoded = decode([Broken(), Broken(shape=(5, 4, 1))], tmp_path)
    assert decoded.films.tolist() == [0]
    assert "its frames change size from (4, 4) to (5, 4); set config.data.image_size" in decoded.notes[0]


def test_films_of_different_sizes_are_refused(tmp_path):
    for name, size in {"a": (32, 24), "b": (24, 24)}.items():
        write_clip(tmp_path / f"{name}.mp4", [0, 40, 80], size=size)
    with pytest.raises(InputError, match=r"b\.mp4 has frames of 24 × 24 × 3 and .*a\.mp4 of 24 × 32.*image_size=64"):
        data.load(f"video:{tmp_path}/*.mp4", video=data.VideoOptions(cache_dir=str(tmp_path / "cache")))


def test_a_full_disk_or_an_unwritable_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be kept in .*file.*set config\.data\.cache_dir"):
        decode([Broken()], tmp_path / "file" / "cache")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(10))
    with pytest.raises(InputError, match=r"take 0\.00 GiB and .* has 0\.00 GiB left: lower config.data.image_size"):
        decode([Broken()], tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_unfinished_folders_are_removed_after_a_day(tmp_path, monkeypatch):
    (tmp_path / "0123.abc.unfinished").mkdir()
    decode([Broken()], tmp_path)
    assert (tmp_path / "0123.abc.unfinished").exists()
    monkeypatch.setattr("time.time", lambda: (tmp_path / "0123.abc.unfinished").stat().st_mtime + 90_000)
    decode([Broken(says=3)], tmp_path)
    assert not (tmp_path / "0123.abc.unfinished").exists()


def test_two_processes_may_decode_the_same_films(tmp_path):
    lines = []

    def other_process(line):
        if not lines:
            lines.append(line)
            decode([Broken()], tmp_path)

    decoded = decode([Broken()], tmp_path, log=other_process)
    assert len(lines) == 1
    assert decoded.table.count.tolist() == [1]
    assert [path.name for path in tmp_path.iterdir()] == [decoded.frames_file.parent.name]


def test_the_default_cache_follows_the_xdg_standard(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache() == Path("/somewhere/mi_coding/films")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path.home() / ".cache" / "mi_coding" / "films"


@pytest.mark.parametrize(
    ("name", "size"), [("frames.npy", 1000), ("frames.npy", 0), ("times.npy", 90), ("films.json", 9)]
)
def test_a_damaged_cache_is_made_anew_and_this_is_said(clips, tmp_path, name, size):
    cache = tmp_path / "cache"
    first, _ = load_clips(clips, cache)
    (file,) = cache.rglob(name)
    os.truncate(file, size)
    again, lines = load_clips(clips, cache)
    assert "are damaged (" in lines[0]
    assert lines[0].endswith("): they are decoded anew")
    np.testing.assert_array_equal(again.test.examples, first.test.examples)
    assert not any("damaged" in line for line in load_clips(clips, cache)[1])

"""Video files: content, time and orientation of each frame, and the notes about broken files."""

import sys

import av
import numpy as np
import pytest
from clips import STEP, cut_off, write_clip, write_sound

from mi_coding import data
from mi_coding.data.films import video_file
from mi_coding.data.films.container import PacketReader
from mi_coding.data.films.encoded import UnusableFilmError
from mi_coding.data.images import ImageSpec
from mi_coding.errors import InputError

IRREGULAR = (0, 40, 80, 500, 540, 1300, 1310, 1900)  # milliseconds


def decode(path, spec=ImageSpec(16, 3), frame_rate=0.0, threads=1):  # noqa: B008
    """Times, frames, end and note of one file."""
    found = []
    film = video_file.VideoFile(path, spec)
    end, note = film.decode(lambda time, frame: found.append((time, frame)), frame_rate=frame_rate, threads=threads)
    return np.array([time for time, _ in found]), [frame for _, frame in found], end, note


def numbers(frames):
    """Which frames of the clip these are, by their brightness."""
    return [round(float(frame.mean()) / STEP) for frame in frames]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clips") / "irregular.mp4", IRREGULAR)


@pytest.mark.parametrize("threads", [1, 3])
def test_every_frame_is_decoded_once_with_its_presentation_time(clip, threads):
    times, frames, end, note = decode(clip, threads=threads)
    np.testing.assert_allclose(times, np.array(IRREGULAR) / 1000, atol=1e-9)
    assert numbers(frames) == list(range(8))
    assert end > times[-1]
    assert note is None


def test_times_are_relative_to_the_first_frame(tmp_path):
    late = write_clip(tmp_path / "late.mkv", [time + 5000 for time in IRREGULAR])
    np.testing.assert_allclose(decode(late)[0], np.array(IRREGULAR) / 1000, atol=1e-9)


@pytest.mark.parametrize("keyframes", [1, 3, 100])
@pytest.mark.parametrize("rate", [1.0, 7.0, 30.0])
def test_a_lower_rate_keeps_the_frames_shown_at_its_times_and_jumps(tmp_path, monkeypatch, keyframes, rate):
    times = np.sort(np.random.default_rng(3).choice(4000, 30, replace=False))
    times -= times[0]
    path = write_clip(tmp_path / "clip.mp4", times, keyframes=keyframes)
    jumps, skip_to = [], PacketReader.skip_to
    monkeypatch.setattr(PacketReader, "skip_to", lambda self, place: jumps.append(place) or skip_to(self, place))
    kept_times, frames, end, _ = decode(path, frame_rate=rate)
    wanted = np.arange(0, end, 1 / rate)
    shown = np.unique(np.searchsorted(times / 1000, wanted + 1e-3, side="right") - 1)
    assert numbers(frames) == shown.tolist()
    np.testing.assert_allclose(kept_times, times[shown] / 1000, atol=1e-9)
    if rate == 1.0:
        assert bool(jumps) == (keyframes < 100)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_the_display_matrix_is_applied(tmp_path, turn, mirror):
    def corner(i):
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[:24, :32], picture[:24, 32:] = 250, 100
        return picture

    path = write_clip(tmp_path / "held.mp4", [0, 40], pixels=corner, turn=turn, mirror=mirror)
    upright = _transformed(corner(0), turn, mirror)
    if not mirror:
        np.testing.assert_array_equal(upright, np.rot90(corner(0), turn // 90))
    shown = decode(path, ImageSpec(0, 3))[1][0]
    assert shown.shape == upright.shape
    assert np.abs(shown.astype(int) - upright).max() < 6


def _transformed(picture, turn, mirror):
    """As FFmpeg defines its display matrix, pixel by pixel: column x, row y go to a·x + c·y, b·x + d·y."""
    radians = np.deg2rad(-turn)
    a, b, c, d = np.cos(radians), np.sin(radians), -np.sin(radians), np.cos(radians)
    if mirror:
        a, c = -a, -c
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    columns, rows = (np.round(p * x + q * y).astype(int) for p, q in ((a, c), (b, d)))
    columns, rows = columns - columns.min(), rows - rows.min()
    out = np.zeros((rows.max() + 1, columns.max() + 1, 3), np.uint8)
    out[rows, columns] = picture
    return out


def test_the_central_square_is_cropped(tmp_path):
    def sides(i):
        picture = np.zeros((32, 96, 3), np.uint8)
        picture[:, 32:64] = 200
        return picture

    path = write_clip(tmp_path / "wide.mp4", [0, 40], size=(96, 32), pixels=sides)
    frame = decode(path, ImageSpec(16, 3))[1][0]
    assert frame.shape == (16, 16, 3)
    assert np.abs(frame.astype(int) - 200).max() < 8


def test_non_square_pixels_are_stretched(tmp_path):
    path = tmp_path / "anamorphic.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 4  # 32 × 64 pixels are shown as 128 × 64
        picture = np.zeros((64, 32, 3), np.uint8)
        picture[:, 8:24] = 200  # the square in the middle
        for packet in [*stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")), *stream.encode()]:
            container.mux(packet)
    frame = decode(path, ImageSpec(16, 1))[1][0]
    assert frame.min() > 190


@pytest.mark.parametrize("spec", [ImageSpec(0, 0), ImageSpec(0, 1), ImageSpec(9, 3)])
def test_odd_sizes_and_channels_are_decoded(tmp_path, spec):
    shape = (spec.image_size or 21, spec.image_size or 33, spec.channels or 3)
    path = write_clip(tmp_path / "odd.mp4", [0, 40], size=(33, 21))
    assert decode(path, spec)[1][1].shape == shape
    assert video_file.VideoFile(path, spec).extent(0.0) == (2, shape)


def test_a_grey_film_stays_grey(tmp_path):
    path = write_clip(tmp_path / "grey.mkv", [0, 40, 80], codec="ffv1")
    frames = decode(path, ImageSpec(0, 0))[1]
    assert frames[0].shape == (48, 64, 1)
    assert numbers(frames) == [0, 1, 2]


def test_a_truncated_film_is_decoded_up_to_the_error(tmp_path):
    path = write_clip(tmp_path / "torn.mp4", range(0, 1200, 40), movflags="faststart", pixels=_noise)
    whole = decode(path)[0]
    times, _, end, note = decode(cut_off(path, 0.6))
    assert 5 < len(times) < 25
    np.testing.assert_array_equal(times, whole[: len(times)])
    assert end < 1.0
    assert "ends early" in note


def test_a_film_shorter_than_its_header_announces_has_a_note(tmp_path):
    path = write_clip(tmp_path / "torn.mkv", range(0, 4000, 40), pixels=_noise, cluster_time_limit="200")
    times, _, end, note = decode(cut_off(path, 0.6))
    assert 0 < len(times) < 90
    assert note == f"ends after {end:.2f} of the 3.96 s that its header announces"


def _noise(i):
    return np.random.default_rng(i).integers(0, 255, (48, 64, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: write_sound(path.with_suffix(".m4a")), "no video stream, only audio"),
        (lambda path: path.write_text("not a film") and path, "invalid data"),
        (lambda path: path.touch() or path, "invalid data"),
        (lambda path: cut_off(write_clip(path, IRREGULAR), 0.6), "no video stream, nor any other"),
    ],
    ids=["sound", "text", "empty", "no index"],
)
def test_a_file_that_is_not_a_film_is_refused_or_left_out(tmp_path, clip, make, words):
    broken = make(tmp_path / "a.mp4")
    with pytest.raises(UnusableFilmError, match=words):
        video_file.VideoFile(broken, ImageSpec(16, 3)).extent(0.0)
    video, warned = data.VideoOptions(gap=0.1, cache_dir=str(tmp_path / "cache")), []
    quiet = {"image_size": 16, "channels": 3, "video": video, "warn": warned.append, "log": lambda line: None}
    with pytest.raises(InputError, match=f"none of 1 file.* is a film: .*{words}"):
        data.load(f"video:{broken}", **quiet)
    assert not list((tmp_path / "cache").glob("*"))
    (tmp_path / "b.mp4").write_bytes(clip.read_bytes())
    frames = data.load(f"video:{tmp_path}/*.m*", **quiet).train.examples
    assert len(frames) > 1
    (line,) = [line for line in warned if "are left out" in line]
    assert f"1 of 2 file(s) are left out: {broken}" in line
    assert words in line


def test_a_pattern_without_matching_files_is_refused(tmp_path):
    (tmp_path / "sub.mp4").mkdir()
    with pytest.raises(InputError, match=r"nowhere/\*\.mp4' matches nothing"):
        data.load("video:nowhere/*.mp4")
    with pytest.raises(InputError, match="matches only folders"):
        data.load(f"video:{tmp_path}/*.mp4")


def test_without_pyav_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"pip install 'mi_coding\[video\]'"):
        data.load("video:*.mp4")


def test_frames_whose_time_does_not_increase_are_left_out(clip, monkeypatch):
    decoded = video_file.decoded

    def stutter(*arguments):
        for frame in decoded(*arguments):
            yield frame
            yield frame

    monkeypatch.setattr(video_file, "decoded", stutter)
    _, frames, _, note = decode(clip)
    assert numbers(frames) == list(range(8))
    assert note == "has 8 frame(s) whose times do not increase, which are left out"


def test_frames_without_times_are_refused(clip, monkeypatch):
    class Timeless:
        pts = None

    monkeypatch.setattr(video_file, "decoded", lambda *_: iter([Timeless()]))
    with pytest.raises(UnusableFilmError, match="have no times"):
        decode(clip)

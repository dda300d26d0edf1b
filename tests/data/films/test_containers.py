"""Every container that FFmpeg writes: frames and times are those of an MP4 file, or a line says why not."""

import av
import numpy as np
import pytest

from mi_coding import data
from mi_coding.data.films import video_file
from mi_coding.data.films.container import PacketReader
from mi_coding.data.images import ImageSpec
from mi_coding.errors import InputError

RATES = (0.0, 1.0, 2.0, 5.0)
NUM_FRAMES, FRAME, GOP = 100, 0.04, 13  # GOP: frames from one keyframe to the next; one second has no keyframe
FAST = {"libx265": {"x265-params": "log-level=none"}, "libvpx": {"deadline": "realtime", "cpu-used": "8"}}
STEP, PERIOD = 8, 28  # grey levels from one frame to the next, and frames until they repeat

FILMS = {  # name → (codec, format where the name does not tell it, options of the container, B-frames)
    "h264.ts": ("libx264", None, {}, 3),
    "h265.ts": ("libx265", None, {}, 3),
    "mpeg2.ts": ("mpeg2video", None, {}, 2),
    "blu_ray.m2ts": ("libx264", "mpegts", {"mpegts_m2ts_mode": "1"}, 3),
    "h264.avi": ("libx264", None, {}, 3),
    "mpeg4.avi": ("mpeg4", None, {}, 2),
    "low_delay.avi": ("mpeg4", None, {}, 0),
    "h264.flv": ("libx264", None, {}, 3),
    "sorenson.flv": ("flv", None, {}, 0),
    "fragments.mp4": ("libx264", None, {"movflags": "frag_keyframe+empty_moov"}, 3),
    "h264.mov": ("libx264", None, {}, 3),
    "h264.mkv": ("libx264", None, {}, 3),
    "live.mkv": ("libx264", "matroska", {"live": "1"}, 3),
    "vp8.webm": ("libvpx", None, {}, 0),
    "vp8.ogg": ("libvpx", "ogg", {}, 0),
    "vp8.ivf": ("libvpx", None, {}, 0),
    "wmv2.wmv": ("wmv2", None, {}, 0),
    "mpeg4.3gp": ("mpeg4", None, {}, 0),
    "mpeg4.nut": ("mpeg4", None, {}, 2),
    "mpeg2.mxf": ("mpeg2video", None, {}, 0),
    "raw.y4m": ("wrapped_avframe", "yuv4mpegpipe", {}, 0),
}


def grey(number):
    """The brightness of a frame: within PERIOD frames no other has it."""
    return 16 + STEP * (number % PERIOD)


def write(path, codec, form=None, options=None, b_frames=3, noise=0, size=64):
    """A film of 25 frames a second, of brightness grey(n) and noise, with a keyframe every GOP frames."""
    grain = np.random.default_rng(0).integers(-noise, noise + 1, (NUM_FRAMES, size, size, 1))
    with av.open(str(path), "w", format=form, options=options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=FAST.get(codec, {}))
        stream.width = stream.height = size
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = GOP, b_frames
        for n in range(NUM_FRAMES):
            picture = np.full((size, size, 3), grey(n) + grain[n]).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def decode(path, rate, threads=1):
    """Times in seconds, brightness of the frames, and the note."""
    film, found = video_file.VideoFile(path, ImageSpec(16, 3)), []
    put = lambda time, frame: found.append((time, frame.mean()))  # noqa: E731
    _, note = film.decode(put, frame_rate=rate, threads=threads)
    assert len(found) <= film.extent(rate).num_frames
    return *np.array(found).T, note


def assert_as_mp4(path, rate):
    """The frames shown at 0, 1/rate, …, of which an MP4 file is known to give the same."""
    times, shown, note = decode(path, rate)
    wanted = np.arange(0, NUM_FRAMES * FRAME, 1 / rate) if rate else np.arange(NUM_FRAMES) * FRAME
    expected = np.floor(wanted / FRAME + 0.01)
    np.testing.assert_allclose(times, expected * FRAME, atol=FRAME / 2)
    np.testing.assert_allclose(shown, grey(expected), atol=STEP / 2)  # half a frame
    assert note is None


@pytest.mark.parametrize("name", ["reference.mp4", *FILMS])
def test_frames_and_times_are_those_of_an_mp4_file_at_every_rate(tmp_path, name):
    path = write(tmp_path / name, *FILMS.get(name, ("libx264",)))
    for rate in RATES:
        assert_as_mp4(path, rate)


@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_program_stream_of_frames_that_fill_packets_has_the_times_of_an_mp4_file(tmp_path, b_frames):
    path = write(tmp_path / "large_frames.mpg", "mpeg2video", b_frames=b_frames, noise=15, size=160)
    for rate in RATES:
        assert_as_mp4(path, rate)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_recording_that_starts_between_keyframes_has_the_same_times_at_every_rate(tmp_path, threads):
    path = write(tmp_path / "recording.ts", "libx264", noise=15)
    path.write_bytes(path.read_bytes()[188 * (path.stat().st_size // 188 // 5) :])  # whole packets of 188 bytes
    times, shown, _ = decode(path, 0.0)
    assert 50 < len(times) < NUM_FRAMES
    for rate in RATES[1:]:
        kept = np.searchsorted(times, np.arange(0, times[-1] + FRAME - 1e-3, 1 / rate) + 1e-3, side="right") - 1
        kept_times, kept_shown, _ = decode(path, rate, threads)
        np.testing.assert_allclose(kept_times, times[kept], atol=1e-6)
        np.testing.assert_allclose(kept_shown, shown[kept], atol=1e-6)


@pytest.mark.parametrize("name", ["h264.ts", "live.mkv"])
def test_what_lies_before_a_keyframe_is_skipped_without_an_index(tmp_path, monkeypatch, name):
    path, places, skip_to = write(tmp_path / name, *FILMS[name]), [], PacketReader.skip_to
    monkeypatch.setattr(PacketReader, "skip_to", lambda self, place: places.append(place) or skip_to(self, place))
    assert_as_mp4(path, 1.0)
    assert places


def test_a_jump_to_what_is_no_keyframe_is_noticed_and_taken_back(tmp_path, monkeypatch):
    def lie(packets):
        return [video_file._Keyframe(packet.pts, place) for place, packet in enumerate(packets) if place % 20 == 17]

    path, tried = write(tmp_path / "a.mp4", "libx264", b_frames=0), []
    monkeypatch.setattr(video_file, "_keyframes", lambda packets: tried.append(1) or lie(packets))
    assert_as_mp4(path, 1.0)
    assert tried


@pytest.mark.parametrize("rate", RATES)
def test_a_program_stream_that_keeps_one_time_for_several_frames_says_so(tmp_path, rate):
    times, shown, note = decode(write(tmp_path / "small_frames.mpg", "mpeg2video", b_frames=0), rate)
    of_another = "frame(s) whose times do not increase, which are left out" if not rate else "the time of another"
    assert of_another in note
    lost = int(note.split()[1])
    numbers = np.round(times / FRAME)
    off = np.abs(shown[:, None] - grey(numbers[:, None] + np.arange(-lost, lost + 1)))
    assert off.min(axis=1).max() < STEP / 2


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_raw_stream_is_refused_with_the_reason(tmp_path, codec):
    path = write(tmp_path / ("a.h264" if codec == "libx264" else "a.hevc"), codec)
    video = data.VideoOptions(cache_dir=str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"its frames have no times; put it into a container that keeps them"):
        data.load(f"video:{path}", image_size=16, channels=3, video=video, log=lambda line: None)

"""Video files, decoded by PyAV, whose wheels carry FFmpeg: no other program is needed.

Presentation times rule, never counts of frames: the frame rate may vary. What a camera noted about how it was held is
obeyed, and pixels that are not square are shown so.
"""

import glob
import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mi_coding.data.films import EncodedFilm, EncodedFilms, Extent, NoFilmError
from mi_coding.data.images import Form
from mi_coding.errors import InputError

_LATE = 0.5  # seconds by which a film may end before the time that its header tells
_ROUNDING = 1e-3  # seconds: containers round times, some to a thousandth
_GREY = "gray"  # how the names of all pixel formats without colour begin


def load(argument: str, form: Form) -> EncodedFilms:
    """The films that a pattern such as `clips/**/*.mp4` matches, in the order of their names, still encoded.

    Args:
        argument: a pattern with `*`, `?`, `[…]` and `**`, or the path of one file.
        form: what frames are brought to.
    Raises:
        InputError: where the pattern matches no file, or PyAV is not installed.
    """
    _av()
    matches = sorted(glob.glob(os.path.expanduser(argument), recursive=True))
    paths = [Path(match) for match in matches if os.path.isfile(match)]
    if not paths:
        what = "only folders" if matches else "nothing"
        raise InputError(
            f"config.data.source='video:{argument}' matches {what} in {Path.cwd()}; expected a pattern that matches "
            "files, such as 'video:clips/**/*.mp4', in quotes so that the shell leaves it alone"
        )
    return EncodedFilms(argument, [VideoFile(path, form) for path in paths])


class VideoFile(EncodedFilm):
    """One film in a file of any format that FFmpeg knows."""

    def __init__(self, path: Path, form: Form):
        self.name, self._path, self._form = str(path), path, form

    def identity(self) -> list[Any]:
        """Path, size and time of the last change."""
        stat = self._path.stat()
        return [str(self._path.absolute()), stat.st_size, stat.st_mtime_ns]

    def extent(self, frame_rate: float) -> Extent:
        """Counts the packets, which takes reading the file but no decoding, and looks at the first frame."""
        packets = _packets(self._path)
        times = [time for time, _ in packets if time is not None]
        most = math.ceil(max(times, default=0) * frame_rate) + 2 if frame_rate and times else len(packets)
        with _opened(self._path) as container:
            stream = _video_stream(container)
            first = next(_decoded(container, stream, []), None)
            if first is None:
                raise NoFilmError("no frame of it can be decoded")
            return Extent(min(most, len(packets)), _Shrink(self._form, stream)(first).shape)

    def decode(
        self, put: Callable[[float, np.ndarray], None], *, frame_rate: float, threads: int
    ) -> tuple[float, str | None]:
        """See `EncodedFilm`."""
        broken, keyframes = [], []
        if frame_rate:
            keyframes = sorted(time for time, is_keyframe in _packets(self._path) if is_keyframe and time is not None)
        with _opened(self._path) as container:
            stream = _video_stream(container)
            stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
            shrink = _Shrink(self._form, stream)
            frames = _Frames(container, stream, broken)
            for time, frame in _at_most(frames, frame_rate, keyframes):
                put(time, shrink(frame))
            told = _told_seconds(container, stream)
        note = broken[0] if broken else None
        if note is None and told and frames.end < told - max(_LATE, 0.02 * told):
            note = f"ends after {frames.end:.2f} of the {told:.2f} s that its header tells"
        return frames.end, note


class _Frames(Iterator[tuple[float, Any]]):
    """(seconds since the first frame, frame) in the order of presentation, and jumps to keyframes.

    A frame whose time does not advance is left out; `end` is when the last one so far stops being shown.
    """

    def __init__(self, container: Any, stream: Any, broken: list[str]):
        self._container, self._stream, self._broken = container, stream, broken
        self._decoded = _decoded(container, stream, broken)
        self._start, self._last, self._interval, self.end = None, -np.inf, 0.0, 0.0

    def __next__(self) -> tuple[float, Any]:
        unit = self._stream.time_base
        for frame in self._decoded:
            if frame.pts is None:
                raise NoFilmError(
                    "its frames have no times; put it into a container that keeps them, such as .mp4 or .mkv"
                )
            self._start = frame.pts if self._start is None else self._start
            time = float((frame.pts - self._start) * unit)
            if time <= self._last:
                continue
            told = float(frame.duration * unit) if frame.duration else 0.0
            self._interval = told or (time - self._last if self._last >= 0 else 0.0)
            self._last, self.end = time, time + self._interval
            return time, frame
        raise StopIteration

    def jump(self, time: float) -> None:
        """Goes on at the last keyframe that is shown not after `time`."""
        timestamp = self._start + round(time / self._stream.time_base)
        self._container.seek(timestamp, stream=self._stream, backward=True)
        self._decoded = _decoded(self._container, self._stream, self._broken)


def _at_most(frames: _Frames, frame_rate: float, keyframes: list[float]) -> Iterator[tuple[float, Any]]:
    """The frames that are shown at times 0, 1/frame_rate, …, each once; all of them for a rate of 0."""
    if not frame_rate:
        yield from frames
        return
    wanted, shown = 0, None
    for time, frame in frames:
        if shown is not None and time > wanted / frame_rate + _ROUNDING:
            yield shown
            wanted, shown = math.ceil((time - _ROUNDING) * frame_rate), None
            place = bisect_right(keyframes, wanted / frame_rate + _ROUNDING) - 1
            if place >= 0 and keyframes[place] > time:
                frames.jump(keyframes[place])
                continue
        shown = (time, frame)
    if shown is not None and wanted / frame_rate < frames.end:
        yield shown


class _Shrink:
    """Brings frames to a form inside FFmpeg: the square in the middle first, so that the rest is never touched."""

    def __init__(self, form: Form, stream: Any):
        self._form, self._graph, self._made_for = form, None, None
        self._aspect = float(stream.sample_aspect_ratio or 1)  # width of a pixel over its height

    def __call__(self, frame: Any) -> np.ndarray:
        """uint8[H, W, C], upright."""
        kind = (frame.width, frame.height, frame.format.name)
        if kind != self._made_for:  # a stream may change its size midway
            self._graph, self._made_for = self._build(frame), kind
        self._graph.vpush(frame)
        pixels = self._graph.vpull().to_ndarray()
        return _upright(pixels if pixels.ndim == 3 else pixels[:, :, None], frame)

    def _build(self, frame: Any) -> Any:
        av = _av()
        graph = av.filter.Graph()
        graph.threads = 1  # several files are decoded at the same time
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        nodes = [source]
        if size := self._form.image_size:
            width, height = min(frame.width, frame.height / self._aspect), min(frame.height, frame.width * self._aspect)
            nodes.append(graph.add("crop", f"{max(1, round(width))}:{max(1, round(height))}"))
            nodes.append(graph.add("scale", f"{size}:{size}:flags=area"))
        channels = self._form.channels or (1 if frame.format.name.startswith(_GREY) else 3)
        nodes += [graph.add("format", "gray" if channels == 1 else "rgb24"), graph.add("buffersink")]
        graph.link_nodes(*nodes).configure()
        return graph


def _upright(pixels: np.ndarray, frame: Any) -> np.ndarray:
    """A frame as its display matrix says: eight ways to turn and mirror it.

    The matrix takes column x and row y to a·x + c·y and b·x + d·y.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(b) > abs(a):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _decoded(container: Any, stream: Any, broken: list[str]) -> Iterator[Any]:
    """Frames until the end or a break, which is noted; those that wait inside the decoder are not lost by it."""
    av, any_yet = _av(), False
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                if any_yet:
                    raise
                continue  # a recording may begin between keyframes
            any_yet = any_yet or bool(frames)
            yield from (frame for frame in frames if not frame.is_corrupt)
    except av.FFmpegError as error:
        broken.append(f"breaks off: {_reason(error)}")
        yield from (frame for frame in _waiting(stream) if not frame.is_corrupt)


def _waiting(stream: Any) -> list[Any]:
    """Frames inside the decoder, which gives them only when it is told that nothing more comes."""
    try:
        return stream.codec_context.decode(None)
    except _av().FFmpegError:  # it was told already
        return []


def _readable(packets: Iterator[Any]) -> Iterator[Any]:
    """Packets until the end or the first that cannot be read."""
    try:
        yield from packets
    except _av().FFmpegError:
        return


def _packets(path: Path) -> list[tuple[float | None, bool]]:
    """Of every packet its seconds since the first frame, None where it has no time, and whether it is a keyframe."""
    with _opened(path) as container:
        stream = _video_stream(container)
        found = [(packet.pts, packet.is_keyframe) for packet in _readable(container.demux(stream)) if packet.size]
        start = min((pts for pts, _ in found if pts is not None), default=0)
        seconds = lambda pts: None if pts is None else float((pts - start) * stream.time_base)  # noqa: E731
        return [(seconds(pts), is_keyframe) for pts, is_keyframe in found]


def _told_seconds(container: Any, stream: Any) -> float:
    """Length that the header tells of the pictures; 0 where it tells only that of everything together."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1 and container.duration
    return container.duration / _av().time_base if alone else 0.0


def _video_stream(container: Any) -> Any:
    """The first stream of pictures that move; the cover of a record is none."""
    av = _av()
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    others = sorted({stream.type for stream in container.streams} - {"data"})
    only = f"only {', '.join(others)}" if others else "nor any other that can be read; its end may be cut off"
    raise NoFilmError(f"it has no video stream, {only}")


def _opened(path: Path) -> Any:
    av = _av()
    try:
        return av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise NoFilmError(_reason(error)) from None


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _av() -> Any:
    try:
        import av  # slow, and an extra: only who reads films needs it
    except ImportError:
        raise InputError("a source 'video:…' needs PyAV; install it with: pip install 'mi_coding[video]'") from None
    return av

"""Video files, decoded by PyAV, whose wheels contain FFmpeg.

Frames are identified by presentation time, never by count: the frame rate may vary. Orientation metadata and
non-square pixels are respected.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from mi_coding.data.films.encoded import EncodedFilm, Extent, PutFrame, UnusableFilmError
from mi_coding.data.images import ImageSpec
from mi_coding.errors import InputError

_MISSING_SECONDS = 0.5  # by which a film may be shorter than its header announces
_ROUNDING = 1e-3  # seconds: containers round times, some to milliseconds
_GREY = "gray"  # prefix of the names of all pixel formats without colour


class VideoFile(EncodedFilm):
    """One film in a file of any format that FFmpeg reads."""

    def __init__(self, path: Path, spec: ImageSpec):
        self.name, self._path, self._spec = str(path), path, spec

    def identity(self) -> list[Any]:
        """Path, size and modification time."""
        stat = self._path.stat()
        return [str(self._path.absolute()), stat.st_size, stat.st_mtime_ns]

    def extent(self, frame_rate: float) -> Extent:
        """Counts the packets, which needs no decoding, and decodes the first frame."""
        packets = _packets(self._path)
        times = [time for time, _ in packets if time is not None]
        most = math.ceil(max(times, default=0) * frame_rate) + 2 if frame_rate and times else len(packets)
        with _open(self._path) as container:
            stream = _video_stream(container)
            first = next(_decoded(container, stream, []), None)
            if first is None:
                raise UnusableFilmError("no frame of it can be decoded")
            return Extent(min(most, len(packets)), _Resizer(self._spec, stream)(first).shape)

    def decode(self, put: PutFrame, *, frame_rate: float, threads: int) -> tuple[float, str | None]:
        packets, broken = _packets(self._path) if frame_rate else [], []
        keyframes = sorted(time for time, is_keyframe in packets if is_keyframe and time is not None)
        with _open(self._path) as container:
            stream = _video_stream(container)
            stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
            resize = _Resizer(self._spec, stream)
            frames = _Frames(container, stream, broken)
            for time, frame in _at_rate(frames, frame_rate, keyframes):
                put(time, resize(frame))
            announced = _announced_seconds(container, stream)
        note = broken[0] if broken else None
        if note is None and announced and frames.end < announced - max(_MISSING_SECONDS, 0.02 * announced):
            note = f"ends after {frames.end:.2f} of the {announced:.2f} s that its header announces"
        return frames.end, note


class _Frames(Iterator[tuple[float, Any]]):
    """Yields (seconds since the first frame, frame) in presentation order; can seek to keyframes.

    A frame whose time does not increase is left out.
    """

    def __init__(self, container: Any, stream: Any, broken: list[str]):
        self._container, self._stream, self._broken = container, stream, broken
        self._decoded = _decoded(container, stream, broken)
        self._start, self._last, self._interval = None, -np.inf, 0.0
        self.end = 0.0  # seconds at which the last frame so far stops being shown

    def __next__(self) -> tuple[float, Any]:
        unit = self._stream.time_base
        for frame in self._decoded:
            if frame.pts is None:
                remedy = "put it into a container that keeps them, such as .mp4 or .mkv"
                raise UnusableFilmError(f"its frames have no times; {remedy}")
            self._start = frame.pts if self._start is None else self._start
            time = float((frame.pts - self._start) * unit)
            if time <= self._last:
                continue
            duration = float(frame.duration * unit) if frame.duration else 0.0
            self._interval = duration or (time - self._last if self._last >= 0 else 0.0)
            self._last, self.end = time, time + self._interval
            return time, frame
        raise StopIteration

    def seek(self, time: float) -> None:
        """Continues at the last keyframe shown at or before `time`."""
        timestamp = self._start + round(time / self._stream.time_base)
        self._container.seek(timestamp, stream=self._stream, backward=True)
        self._decoded = _decoded(self._container, self._stream, self._broken)


def _at_rate(frames: _Frames, frame_rate: float, keyframes: list[float]) -> Iterator[tuple[float, Any]]:
    """Yields the frames shown at times 0, 1/frame_rate, …, each once; all frames for a rate of 0."""
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
                frames.seek(keyframes[place])
                continue
        shown = (time, frame)
    if shown is not None and wanted / frame_rate < frames.end:
        yield shown


class _Resizer:
    """Frame → uint8[H, W, C], upright: cropped, then resized and converted, inside FFmpeg."""

    def __init__(self, spec: ImageSpec, stream: Any):
        self._spec, self._graph, self._input = spec, None, None
        self._aspect = float(stream.sample_aspect_ratio or 1)  # width of a pixel over its height

    def __call__(self, frame: Any) -> np.ndarray:
        kind = (frame.width, frame.height, frame.format.name)
        if kind != self._input:  # a stream may change its size midway
            self._graph, self._input = self._build(frame), kind
        self._graph.vpush(frame)
        pixels = self._graph.vpull().to_ndarray()
        return _upright(pixels if pixels.ndim == 3 else pixels[:, :, None], frame)

    def _build(self, frame: Any) -> Any:
        av = pyav()
        graph = av.filter.Graph()
        graph.threads = 1  # several files are decoded in parallel
        names = "width", "height", "format", "time_base"
        nodes = [graph.add_buffer(**{name: getattr(frame, name) for name in names})]
        if size := self._spec.image_size:
            width, height = min(frame.width, frame.height / self._aspect), min(frame.height, frame.width * self._aspect)
            nodes.append(graph.add("crop", f"{max(1, round(width))}:{max(1, round(height))}"))
            nodes.append(graph.add("scale", f"{size}:{size}:flags=area"))
        channels = self._spec.channels or (1 if frame.format.name.startswith(_GREY) else 3)
        nodes += [graph.add("format", "gray" if channels == 1 else "rgb24"), graph.add("buffersink")]
        graph.link_nodes(*nodes).configure()
        return graph


def _upright(pixels: np.ndarray, frame: Any) -> np.ndarray:
    """Rotates and mirrors a frame by its display matrix, which maps column x, row y to a·x + c·y, b·x + d·y."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(b) > abs(a):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _decoded(container: Any, stream: Any, broken: list[str]) -> Iterator[Any]:
    """Yields frames until the end or an error, which is appended to `broken` after the frames already decoded."""
    av, any_yet = pyav(), False
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                if any_yet:
                    raise
                continue  # a recording may start between keyframes
            any_yet = any_yet or bool(frames)
            yield from (frame for frame in frames if not frame.is_corrupt)
    except av.FFmpegError as error:
        broken.append(f"breaks off: {_reason(error)}")
        with suppress(av.FFmpegError):  # of a decoder that was flushed before
            yield from (frame for frame in stream.codec_context.decode(None) if not frame.is_corrupt)


def _packets(path: Path) -> list[tuple[float | None, bool]]:
    """(seconds since the first frame, None where it has no time; whether it is a keyframe) of every packet."""
    found = []
    with _open(path) as container:
        stream = _video_stream(container)
        with suppress(pyav().FFmpegError):  # what follows a packet that cannot be read is lost
            for packet in container.demux(stream):
                if packet.size:
                    found.append((packet.pts, packet.is_keyframe))
        start = min((pts for pts, _ in found if pts is not None), default=0)
        unit = stream.time_base
        return [(None if pts is None else float((pts - start) * unit), is_keyframe) for pts, is_keyframe in found]


def _announced_seconds(container: Any, stream: Any) -> float:
    """Duration of the video stream by the header; 0 where the header has only that of all streams together."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1 and container.duration
    return container.duration / pyav().time_base if alone else 0.0


def _video_stream(container: Any) -> Any:
    """The first video stream that is not an attached cover picture."""
    av = pyav()
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    others = sorted({stream.type for stream in container.streams} - {"data"})
    only = f"only {', '.join(others)}" if others else "nor any other that can be read; its end may be cut off"
    raise UnusableFilmError(f"it has no video stream, {only}")


def _open(path: Path) -> Any:
    av = pyav()
    try:
        return av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise UnusableFilmError(_reason(error)) from None


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def pyav() -> Any:
    """PyAV, imported on first use: it is slow to import, and an extra.

    Raises:
        InputError: where it is not installed.
    """
    try:
        import av
    except ImportError:
        raise InputError("a source 'video:…' needs PyAV; install it with: pip install 'mi_coding[video]'") from None
    return av

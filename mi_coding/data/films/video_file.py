"""Video files, decoded by PyAV.

Frames are identified by presentation time, never by count: the frame rate may vary. Orientation metadata and
non-square pixels are respected.
"""

import heapq
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mi_coding.data.films.container import (
    Packet,
    PacketReader,
    announced_seconds,
    decoded,
    list_packets,
    open_container,
    pyav,
    times_follow_the_file,
    video_stream,
)
from mi_coding.data.films.encoded import EncodedFilm, Extent, PutFrame, UnusableFilmError
from mi_coding.data.images import ImageSpec

_MISSING_SECONDS = 0.5  # by which a film may be shorter than its header announces
_ROUNDING = 1e-3  # seconds: containers round times, some to milliseconds
_REORDERED = 16  # frames by which a codec reorders at most, H.264
_GREY = "gray"  # prefix of the names of all pixel formats without colour


class _Keyframe(NamedTuple):
    """A frame at which decoding can begin."""

    pts: int
    place: int  # of its packet in the file, counted from 0


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
        packets = list_packets(self._path)
        times = [packet.pts for packet in packets if packet.pts is not None]
        with open_container(self._path) as container:
            stream = video_stream(container)
            seconds = (max(times) - min(times)) * stream.time_base if times else 0
            most = math.ceil(seconds * frame_rate) + 2 if frame_rate and times else len(packets)
            first = next(decoded(container.demux(stream), stream, []), None)
            if first is None:
                raise UnusableFilmError("no frame of it can be decoded")
            _pts(first)
            return Extent(min(most, len(packets)), _Resizer(self._spec, stream)(first).shape)

    def decode(self, put: PutFrame, *, frame_rate: float, threads: int) -> tuple[float, str | None]:
        packets, last = list_packets(self._path) if frame_rate else [], -np.inf

        def put_new(time: float, frame: np.ndarray) -> None:
            nonlocal last
            if time > last:  # frames before a failed jump are there already
                put(time, frame)
                last = time

        try:
            end, notes = self._decode(put_new, frame_rate, threads, _keyframes(packets))
        except _WrongJumpError:
            end, notes = self._decode(put_new, frame_rate, threads, [])
        times = [packet.pts for packet in packets if packet.pts is not None]
        if shared := len(times) - len(set(times)):  # in MPEG-PS, frames of one PES packet have one time together
            notes.append(f"has {shared:,} frame(s) with the time of another, so times may be off by that many frames")
        return end, "; ".join(notes) or None

    def _decode(
        self, put: PutFrame, frame_rate: float, threads: int, keyframes: list[_Keyframe]
    ) -> tuple[float, list[str]]:
        broken: list[str] = []
        with open_container(self._path) as container:
            stream = video_stream(container)
            stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
            resize = _Resizer(self._spec, stream)
            frames = _Frames(container, stream, broken, keyframes)
            for time, frame in _at_rate(frames, frame_rate):
                put(time, resize(frame))
            announced = announced_seconds(container, stream)
        notes = broken[:1]
        if not notes and announced and frames.end < announced - max(_MISSING_SECONDS, 0.02 * announced):
            notes.append(f"ends after {frames.end:.2f} of the {announced:.2f} s that its header announces")
        if frames.disordered:
            notes.append(f"has {frames.disordered:,} frame(s) whose times do not increase, which are left out")
        return frames.end, notes


class _WrongJumpError(Exception):
    """The frame after a jump is not the intended keyframe."""


class _Frames(Iterator[tuple[float, Any]]):
    """Yields (seconds since the first frame, frame) in presentation order; can jump to keyframes.

    A frame whose time does not increase is left out, and counted.
    """

    def __init__(self, container: Any, stream: Any, broken: list[str], keyframes: list[_Keyframe]):
        self._stream, self._broken = stream, broken
        self._packets = PacketReader(container, stream)
        is_permuted = times_follow_the_file(container, stream)
        self._ahead = _REORDERED if is_permuted else 0
        self._keyframes = [] if is_permuted else keyframes
        self._decoded = self._with_times()
        self._start, self._last, self._interval, self._target = None, -np.inf, 0.0, None
        self.end = 0.0  # seconds at which the last frame so far stops being shown
        self.disordered = 0  # frames whose times do not increase

    def __next__(self) -> tuple[float, Any]:
        unit = self._stream.time_base
        for pts, frame in self._decoded:
            self._start = pts if self._start is None else self._start
            if self._target is not None and pts < self._target:
                continue  # shown before the keyframe, and predicted from frames that were skipped
            time = float((pts - self._start) * unit)
            if time <= self._last:
                self.disordered += 1
                continue
            duration = float(frame.duration * unit) if frame.duration else 0.0
            if self._target is None:
                self._interval = duration or (time - self._last if self._last >= 0 else 0.0)
            elif pts > self._target:
                raise _WrongJumpError
            self._last, self.end, self._target = time, time + (duration or self._interval), None
            return time, frame
        if self._target is not None:
            raise _WrongJumpError
        raise StopIteration

    def jump(self, time: float) -> bool:
        """Continues at the last keyframe shown at or before `time`, unless its packet is being decoded already."""
        latest = self._start + (time + _ROUNDING) / self._stream.time_base
        place = bisect_right(self._keyframes, latest, key=lambda keyframe: keyframe.pts) - 1
        if place < 0 or self._keyframes[place].place < self._packets.count:
            return False
        self._target = self._keyframes[place].pts
        self._packets.skip_to(self._keyframes[place].place)
        self._stream.codec_context.flush_buffers()
        self._decoded = self._with_times()
        return True

    def _with_times(self) -> Iterator[tuple[int, Any]]:
        """Yields (pts, frame). The order of the decoder is right; in some containers their times have to be sorted."""
        frames, times = deque(), []
        for frame in decoded(self._packets, self._stream, self._broken):
            frames.append(frame)
            heapq.heappush(times, _pts(frame))
            if len(frames) > self._ahead:
                yield heapq.heappop(times), frames.popleft()
        while frames:
            yield heapq.heappop(times), frames.popleft()


def _at_rate(frames: _Frames, frame_rate: float) -> Iterator[tuple[float, Any]]:
    """Yields the frames shown at times 0, 1/frame_rate, …, each once; all frames for a rate of 0."""
    if not frame_rate:
        yield from frames
        return
    wanted, shown = 0, None
    for time, frame in frames:
        if shown is not None and time > wanted / frame_rate + _ROUNDING:
            yield shown
            wanted, shown = math.ceil((time - _ROUNDING) * frame_rate), None
            if frames.jump(wanted / frame_rate):
                continue
        shown = (time, frame)
    if shown is not None and wanted / frame_rate < frames.end:
        yield shown


def _pts(frame: Any) -> int:
    if frame.pts is None:
        remedy = "put it into a container that keeps them, such as .mp4 or .mkv"
        raise UnusableFilmError(f"its frames have no times; {remedy}")
    return frame.pts


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


def _keyframes(packets: list[Packet]) -> list[_Keyframe]:
    """The keyframes to which one can jump, by time: none where the times in the file go back."""
    found = [_Keyframe(p.pts, k) for k, p in enumerate(packets) if p.is_keyframe and p.pts is not None]
    return found if found == sorted(found) else []

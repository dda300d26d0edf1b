"""Containers of video: their packets, and what FFmpeg decodes of them, through PyAV, whose wheels contain FFmpeg."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from mi_coding.data.films.encoded import UnusableFilmError
from mi_coding.errors import InputError

_WITHOUT_TIMES = {"avi"}  # containers that keep the order of the file in place of times


class Packet(NamedTuple):
    """What a container reports about a packet."""

    pts: int | None  # when its frame is shown, in ticks of the stream; None where the container has no times
    is_keyframe: bool


class PacketReader(Iterator[Any]):
    """Packets of a stream in the order of the file; can skip those before a keyframe, which need not be decoded.

    Seeking would depend on an index: without one, as in MPEG-TS, FFmpeg guesses a place in the file and may miss.
    """

    def __init__(self, container: Any, stream: Any):
        self._demuxed, self._skip_to = container.demux(stream), 0
        self.count = 0  # packets with content so far

    def __next__(self) -> Any:
        for packet in self._demuxed:
            self.count += bool(packet.size)
            if not packet.size or self.count > self._skip_to:  # the end is an empty packet
                return packet
        raise StopIteration

    def skip_to(self, place: int) -> None:
        """Continues with packet number `place`, counted from 0."""
        self._skip_to = place


def decoded(packets: Iterator[Any], stream: Any, broken: list[str]) -> Iterator[Any]:
    """Yields frames until the end or an error, which is appended to `broken` after the frames already decoded."""
    av, any_yet = pyav(), False
    try:
        for packet in packets:
            try:
                frames = packet.decode()
            except av.FFmpegError:
                if any_yet:
                    raise
                continue  # a recording may start between keyframes
            any_yet = any_yet or bool(frames)
            yield from (frame for frame in frames if not frame.is_corrupt)
    except av.FFmpegError as error:
        broken.append(f"ends early: {_reason(error)}")
        with suppress(av.FFmpegError):  # of a decoder that was flushed before
            yield from (frame for frame in stream.codec_context.decode(None) if not frame.is_corrupt)


def list_packets(path: Path) -> list[Packet]:
    """All packets with content, in the order of the file."""
    found = []
    with open_container(path) as container, suppress(pyav().FFmpegError):  # what follows a broken packet is lost
        for packet in container.demux(video_stream(container)):
            if packet.size:
                found.append(Packet(packet.pts, packet.is_keyframe))
    return found


def times_follow_the_file(container: Any, stream: Any) -> bool:
    """Whether the times of frames are in the order of the file and not in that of presentation, as in AVI."""
    return container.format.name in _WITHOUT_TIMES and bool(stream.codec_context.has_b_frames)


def announced_seconds(container: Any, stream: Any) -> float:
    """Duration of the video stream by the header; 0 where the header has only that of all streams together."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1 and container.duration
    return container.duration / pyav().time_base if alone else 0.0


def video_stream(container: Any) -> Any:
    """The first video stream that is not an attached cover picture."""
    av = pyav()
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    others = sorted({stream.type for stream in container.streams} - {"data"})
    only = f"only {', '.join(others)}" if others else "nor any other that can be read; its end may be cut off"
    raise UnusableFilmError(f"it has no video stream, {only}")


def open_container(path: Path) -> Any:
    """The container of a file, a context manager.

    Raises:
        UnusableFilmError: where FFmpeg cannot read it.
    """
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

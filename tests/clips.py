"""Small real video files, written by PyAV, in which the brightness of a frame identifies it."""

from fractions import Fraction

import av
import numpy as np

from mi_coding import data

STEP = 8  # grey levels from one frame to the next: more than a codec loses


def write_clip(
    path, times, *, size=(64, 48), turn=None, mirror=False, keyframes=12, pixels=None, codec="libx264", **options
):
    """A film whose frame i is shown at times[i], in milliseconds, and is `pixels(i)` or of brightness STEP · i.

    Args:
        size: (width, height).
        turn: degrees, counter-clockwise, by which a player must turn it.
        mirror: whether a player must mirror it too.
        keyframes: frames from one to the next.
        pixels: number → uint8[height, width, 3].
        codec: "ffv1" keeps grey frames grey.
        options: of the container.
    """
    width, height = size
    pixels = pixels or (lambda i: np.full((height, width, 3), min(255, STEP * i), np.uint8))
    with av.open(str(path), "w", options={"video_track_timescale": "1000", **options}) as container:
        exact = {"crf": "4", "g": str(keyframes)} if codec == "libx264" else {}
        stream = container.add_stream(codec, rate=1000, options=exact)
        stream.width, stream.height, stream.time_base = width, height, Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.pix_fmt = "gray" if codec == "ffv1" else "yuv444p"  # of odd sizes too
        if turn is not None:
            stream.set_display_rotation(turn, hflip=mirror)
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(pixels(i), format="rgb24")
            frame.pts, frame.time_base = int(time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path):
    """A file with sound and no pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        stream.layout = "mono"
        for i in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, i * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def cut_off(path, share):
    """The first bytes of a file take its place."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def load_clips(folder, cache, *, gap=0.1, frame_rate=0.0, **options):
    """The data set of the clips in a folder, and the lines that were logged or warned of."""
    lines = []
    options = {"image_size": 8, "channels": 1, "warn": lines.append, "log": lines.append} | options
    video = data.VideoOptions(gap, frame_rate, str(cache))
    return data.load(f"video:{folder}/*.mp4", video=video, **options), lines

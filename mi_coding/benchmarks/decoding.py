"""How fast films become frames in the cache, compared with ffmpeg, which only decodes and scales them.

    python -m mi_coding.benchmarks.decoding [--films='clips/*.mp4'] [--image_size=64] [--repeats=3]

Without --films two H.264 films of 20 s at 1280 × 720 are made first: a test picture and a zoom into a fractal. Each
film is decoded by itself, and then all of them together. Our timing ends when the frames are on disk; the rival is
`ffmpeg -i FILE -vf scale=S:S -f null -`, which keeps nothing. They take turns, and medians are printed.
"""

import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av

from mi_coding.benchmarks.timing import median_seconds
from mi_coding.data import ImageSpec, VideoOptions
from mi_coding.data.films.cache import decode_films
from mi_coding.data.films.video_file import VideoFile

BAR = 0.8
"""Share of ffmpeg's speed to reach."""

PICTURES = ("testsrc2=size=1280x720:rate=25", "mandelbrot=size=1280x720:rate=25")
"""What the films that are made here show: sources of FFmpeg."""

OURS, FFMPEG = "into the cache", "ffmpeg, kept nowhere"


def measure(paths: list[Path], image_size: int, repeats: int) -> dict[str, dict[str, float]]:
    """Frames per second of both, and their ratio: film → numbers; all films together under "all"."""
    rows = {}
    for name, films in {**{path.name: [path] for path in paths}, "all": paths}.items():
        runs = {OURS: lambda films=films: decode(films, image_size)}
        if shutil.which("ffmpeg"):
            runs[FFMPEG] = lambda films=films: scale(films, image_size)
        frames = decode(films, image_size)
        rows[name] = {run: frames / seconds for run, seconds in median_seconds(runs, repeats).items()}
        if FFMPEG in rows[name]:
            rows[name]["ratio"] = rows[name][OURS] / rows[name][FFMPEG]
    return rows


def decode(paths: list[Path], image_size: int) -> int:
    """Decodes films into a cache of its own; returns how many frames there are."""
    spec = ImageSpec(image_size, 3)
    with tempfile.TemporaryDirectory() as folder:
        films = [VideoFile(path, spec) for path in paths]
        decoded = decode_films(films, spec, VideoOptions(cache_dir=folder), lambda line: None)
        return int(decoded.table.count.sum())


def scale(paths: list[Path], image_size: int) -> None:
    """Decodes films with ffmpeg, one after the other, each on all cores."""
    for path in paths:
        how = ["-vf", f"scale={image_size}:{image_size}", "-f", "null", "-"]
        subprocess.run(["ffmpeg", "-loglevel", "error", "-i", path, *how], check=True)


def make_films(folder: Path, seconds: float = 20.0) -> list[Path]:
    """Writes the films that the benchmark decodes by default."""
    return [_make_film(folder / f"{picture.partition('=')[0]}.mp4", picture, seconds) for picture in PICTURES]


def _make_film(path: Path, picture: str, seconds: float) -> Path:
    graph, (name, _, options) = av.filter.Graph(), picture.partition("=")
    source = graph.add(name, options)
    graph.link_nodes(source, graph.add("format", "yuv420p"), graph.add("buffersink")).configure()
    frames = [graph.vpull() for _ in range(round(25 * seconds))]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def main(argv: list[str] | None = None) -> None:
    """Prints one line per film and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", help="pattern of the films; without it two are made")
    parser.add_argument("--image_size", type=int, default=64, help="height and width of the frames (default 64)")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each (default 3)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(path) for path in sorted(glob.glob(args.films))] if args.films else make_films(Path(folder))
        if not paths:
            parser.error(f"--films {args.films} matches no file")
        rows = measure(paths, args.image_size, args.repeats)
    for name, row in rows.items():
        print(describe(name, row))
    print(json.dumps({"cpus": os.cpu_count(), "pyav": av.__version__, "image_size": args.image_size, "rows": rows}))


def describe(name: str, row: dict[str, float]) -> str:
    """One line of the table, with the bar where there was a rival."""
    speeds = ", ".join(f"{row[run]:,.0f} frames/s {run}" for run in (OURS, FFMPEG) if run in row)
    if "ratio" not in row:
        return f"{name}: {speeds}; no ffmpeg here to compare with"
    return f"{name}: {speeds}; {row['ratio']:.2f}, bar ≥ {BAR} {'met' if row['ratio'] >= BAR else 'NOT MET'}"


if __name__ == "__main__":
    main(sys.argv[1:])

"""Decoded films on disk: written once, whole or not at all, and found again as long as the films do not change."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mi_coding.data.films import EncodedFilm, Extent, FilmTable, Keeping, NoFilmError
from mi_coding.data.images import Form
from mi_coding.errors import InputError

_VERSION = 1  # of what is written; another one is another folder
_FRAMES, _TIMES, _FILMS = "frames.npy", "times.npy", "films.json"
_LEFT_OVER = 24 * 3600  # seconds after which a folder that was never finished belongs to nobody


class Store(NamedTuple):
    """Decoded films.

    Attributes:
        frames: the file, .npy, uint8[F, H, W, C].
        table: the films that could be decoded, by numbers of frames in that file.
        films: int64[n], which of the encoded films they are.
        labels: int32[n], the class of each, or None where there are none.
        notes: what a person must know: films that were left out and films that are not whole.
    """

    frames: Path
    table: FilmTable
    films: np.ndarray
    labels: np.ndarray | None
    notes: list[str]


def stored(films: Sequence[EncodedFilm], form: Form, keeping: Keeping, tell: Callable[[str], None]) -> Store:
    """The films decoded: read from the cache, or decoded on all cores and written to it.

    Args:
        films: encoded.
        form: what frames are brought to.
        keeping: how many frames, and where.
        tell: is told, before anything is written, what it will take on disk.
    Raises:
        InputError: where no film can be decoded, frames differ in shape, or the disk has no room.
    """
    root = Path(keeping.cache_dir).expanduser() if keeping.cache_dir else default_cache()
    folder = root / _key(films, form, keeping.frame_rate)
    if not (folder / _FILMS).exists():
        _write(root, folder, films, _extents(films, keeping.frame_rate), keeping.frame_rate, tell)
    return _read(folder)


def default_cache() -> Path:
    """mi_coding/films in $XDG_CACHE_HOME, or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mi_coding" / "films"


def _key(films: Sequence[EncodedFilm], form: Form, frame_rate: float) -> str:
    what = [_VERSION, list(form), frame_rate, [film.identity() for film in films]]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:20]


def _extents(films: Sequence[EncodedFilm], frame_rate: float) -> list[Extent | str]:
    """Of each film what it takes, or why it is none."""

    def extent(film: EncodedFilm) -> Extent | str:
        try:
            return film.extent(frame_rate)
        except NoFilmError as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = list(threads.map(extent, films))
    good = [(film, extent) for film, extent in zip(films, found, strict=True) if isinstance(extent, Extent)]
    if not good:
        raise InputError(f"none of {len(films)} file(s) is a film: {films[0].name}: {found[0]}; expected video files")
    _check_alike(good)
    return found


def _check_alike(films: list[tuple[EncodedFilm, Extent]]) -> None:
    (first, extent), *others = films
    for film, other in others:
        if other.shape != extent.shape:
            (height, width, channels), (h, w, c) = extent.shape, other.shape
            raise InputError(
                f"{film.name} has frames of {h} × {w} × {c} and {first.name} of {height} × {width} × {channels}; "
                "expected one shape: --config.data.image_size=64 --config.data.channels=3 bring all of them to it"
            )


def _write(
    root: Path,
    folder: Path,
    films: Sequence[EncodedFilm],
    extents: list[Extent | str],
    frame_rate: float,
    tell: Callable[[str], None],
) -> None:
    counts = np.array([extent.num_frames if isinstance(extent, Extent) else 0 for extent in extents])
    shape = (int(counts.sum()), *next(extent.shape for extent in extents if isinstance(extent, Extent)))
    unfinished = _make_room(root, folder.name, int(np.prod(shape, dtype=np.int64)))
    tell(
        f"decoding {np.count_nonzero(counts):,} film(s): {shape[0]:,} frames of {' × '.join(map(str, shape[1:]))} take "
        f"{int(np.prod(shape, dtype=np.int64)) / 2**20:,.1f} MiB in {folder}"
    )
    try:
        frames = np.lib.format.open_memmap(unfinished / _FRAMES, mode="w+", dtype=np.uint8, shape=shape)
        times = np.zeros(shape[0])
        first = np.cumsum(counts) - counts
        threads_each = max(1, (os.cpu_count() or 1) // max(1, np.count_nonzero(counts)))

        def decode(k: int) -> dict[str, Any]:
            if isinstance(extents[k], str):
                return {"name": films[k].name, "left_out": extents[k]}
            room = slice(first[k], first[k] + counts[k])
            count, end, note = _decode(films[k], frames[room], times[room], frame_rate, threads_each)
            if not count:
                return {"name": films[k].name, "left_out": note or "no frame of it can be decoded"}
            where = {"name": films[k].name, "label": films[k].label, "first": int(first[k])}
            return where | {"count": count, "end": end, "note": note}

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            rows = list(threads.map(decode, range(len(films))))
        if not any("count" in row for row in rows):
            raise InputError(f"no frame of {len(films)} film(s) can be decoded, such as {films[0].name}")
        frames.flush()
        np.save(unfinished / _TIMES, times)
        (unfinished / _FILMS).write_text(json.dumps(rows), encoding="utf-8")
        _finish(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _decode(
    film: EncodedFilm, frames: np.ndarray, times: np.ndarray, frame_rate: float, threads: int
) -> tuple[int, float, str | None]:
    """Decodes one film into its place; returns how many frames it has, when the last of them ends, what is wrong."""
    count = 0

    def put(seconds: float, frame: np.ndarray) -> None:
        nonlocal count
        if frame.shape != frames.shape[1:]:
            raise NoFilmError(
                f"its frames change from {frames.shape[1:3]} to {frame.shape[:2]}; set config.data.image_size"
            )
        if count < len(frames):  # a container may tell of fewer than it has
            frames[count], times[count] = frame, seconds
        count += 1

    try:
        end, note = film.decode(put, frame_rate=frame_rate, threads=threads)
    except NoFilmError as error:
        return 0, 0.0, str(error)
    if count > len(frames):
        end, note = float(times[-1]), f"has {count} frames where its container tells of {len(frames)}, which are used"
        count = len(frames)
    return count, max(end, float(times[count - 1]) if count else 0.0), note


def _make_room(root: Path, name: str, size: int) -> Path:
    """A folder to write into, on a disk that has room."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        for old in root.glob("*.unfinished"):
            if time.time() - old.stat().st_mtime > _LEFT_OVER:
                shutil.rmtree(old, ignore_errors=True)
        free = shutil.disk_usage(root).free
        if free < size:
            raise InputError(
                f"the decoded films take {size / 2**30:,.2f} GiB and {root} has {free / 2**30:,.2f} GiB left: lower "
                "config.data.image_size or config.data.frame_rate, or set config.data.cache_dir to a larger disk"
            )
        return Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".unfinished", dir=root))
    except OSError as error:
        raise InputError(
            f"decoded films cannot be kept in {root}: {error.strerror}; set config.data.cache_dir to a folder that can "
            "be written to"
        ) from None


def _finish(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        if not (folder / _FILMS).exists():  # where it exists, another process was faster, with the same films
            raise


def _read(folder: Path) -> Store:
    rows = json.loads((folder / _FILMS).read_text(encoding="utf-8"))
    good = [k for k, row in enumerate(rows) if "count" in row]
    first, count = (np.array([rows[k][name] for k in good], np.int64) for name in ("first", "count"))
    ends = np.array([rows[k]["end"] for k in good])
    table = FilmTable([rows[k]["name"] for k in good], first, count, np.load(folder / _TIMES), ends)
    labels = [rows[k]["label"] for k in good]
    known = None not in labels and min(labels) >= 0  # TFDS hides labels as -1
    return Store(folder / _FRAMES, table, np.array(good), np.array(labels, np.int32) if known else None, _notes(rows))


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    left_out = [f"{row['name']} ({row['left_out']})" for row in rows if "left_out" in row]
    broken = [f"{row['name']} {row['note']}" for row in rows if row.get("note")]
    notes = []
    if broken:
        notes.append(f"{len(broken):,} of {len(rows):,} film(s) are used as far as they can be read: {some(broken)}")
    if left_out:
        notes.append(f"{len(left_out):,} of {len(rows):,} file(s) are left out: {some(left_out)}")
    return notes


def some(names: Sequence[str]) -> str:
    """The first three names, for a line that must not become longer.

    >>> some(["a", "b", "c", "d"])
    'a, b, c, …'
    """
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")

"""The cache of decoded films on disk: written atomically, and found again as long as the films do not change."""

import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mi_coding.data.dataset import Say, first_names
from mi_coding.data.films.encoded import EncodedFilm, Extent, UnusableFilmError, VideoOptions
from mi_coding.data.films.frames import FilmTable
from mi_coding.data.images import ImageSpec
from mi_coding.errors import InputError, Setting

_VERSION = 2  # of the layout on disk and of which frames are decoded, part of the key
_FRAMES, _TIMES, _FILMS = "frames.npy", "times.npy", "films.json"
_STALE_SECONDS = 24 * 3600  # age at which an unfinished folder counts as abandoned


class DecodedFilms(NamedTuple):
    """Decoded films."""

    frames_file: Path  # .npy with uint8[F, H, W, C]
    table: FilmTable  # the films that could be decoded, by indices of frames in that file
    films: np.ndarray  # int64[n], indices of these films among the encoded ones
    labels: np.ndarray | None  # int32[n], the class of each, or None where there are none
    notes: list[str]  # warnings for the user: films that were left out and films that are incomplete


def decode_films(films: Sequence[EncodedFilm], spec: ImageSpec, options: VideoOptions, log: Say) -> DecodedFilms:
    """Reads decoded films from the cache, after decoding them on all cores where they are not there yet.

    Before anything is written, `log` is called with one line about the space on disk.

    Raises:
        InputError: where no film can be decoded, frames differ in shape, or the disk has no room.
    """
    identity = [_VERSION, [spec.image_size, spec.channels], options.frame_rate, [film.identity() for film in films]]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:20]
    folder = (Path(options.cache_dir).expanduser() if options.cache_dir else default_cache()) / key
    if folder.exists() and (damage := _damage(folder)):
        log(f"decoded films in {folder} are damaged ({damage}): they are decoded anew")
        shutil.rmtree(folder, ignore_errors=True)
    if not (folder / _FILMS).exists():
        _write(folder, films, options.frame_rate, log)
    return _read(folder)


def default_cache() -> Path:
    """mi_coding/films in $XDG_CACHE_HOME, or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mi_coding" / "films"


def _write(folder: Path, films: Sequence[EncodedFilm], frame_rate: float, log: Say) -> None:
    """Decodes films into a temporary folder, which is renamed once it is complete."""
    extents = _extents(films, frame_rate)
    usable = [extent for extent in extents if isinstance(extent, Extent)]
    ends = np.cumsum([extent.num_frames if isinstance(extent, Extent) else 0 for extent in extents]).tolist()
    shape = (ends[-1], *usable[0].shape)
    unfinished = _make_room(folder, size := math.prod(shape))
    stored = f"{shape[0]:,} frames of {' × '.join(map(str, shape[1:]))}"
    log(f"decoding {len(usable):,} film(s): {stored} take {size / 2**20:,.1f} MiB in {folder}")
    try:
        frames = np.lib.format.open_memmap(unfinished / _FRAMES, mode="w+", dtype=np.uint8, shape=shape)
        times = np.zeros(shape[0])
        options = {"frame_rate": frame_rate, "threads": max(1, (os.cpu_count() or 1) // len(usable))}

        def decode(film: EncodedFilm, extent: Extent | str, first: int, end: int) -> dict[str, Any]:
            if isinstance(extent, str):
                return {"name": film.name, "left_out": extent}
            decoded = _decode(film, frames[first:end], times[first:end], **options)
            return {"name": film.name, "first": first} | decoded

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            rows = list(threads.map(decode, films, extents, [0, *ends], ends))
        if not any("count" in row for row in rows):
            raise InputError(f"no frame of {len(films)} film(s) can be decoded, such as {films[0].name}")
        frames.flush()
        np.save(unfinished / _TIMES, times)
        (unfinished / _FILMS).write_text(json.dumps(rows), encoding="utf-8")
        _publish(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _extents(films: Sequence[EncodedFilm], frame_rate: float) -> list[Extent | str]:
    """The size of each film, or the reason why it cannot be used; all usable films have frames of one shape."""

    def extent(film: EncodedFilm) -> Extent | str:
        try:
            return film.extent(frame_rate)
        except UnusableFilmError as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = list(threads.map(extent, films))
    usable = [k for k, extent in enumerate(found) if isinstance(extent, Extent)]
    if not usable:
        raise InputError(f"none of {len(films)} file(s) is a film: {films[0].name}: {found[0]}; expected video files")
    for other in usable:
        if found[other].shape != found[usable[0]].shape:
            given, expected = (" × ".join(map(str, found[k].shape)) for k in (other, usable[0]))
            differ = f"{films[other].name} has frames of {given} and {films[usable[0]].name} of {expected}"
            remedy = Setting("data.image_size", 64, flag=True), " ", Setting("data.channels", 3, flag=True)
            raise InputError(f"{differ}; expected one shape: ", *remedy, " bring all of them to it")
    return found


def _decode(film: EncodedFilm, frames: np.ndarray, times: np.ndarray, **options: Any) -> dict[str, Any]:
    """Decodes one film into `frames` and `times`; returns its entry in the list of films."""
    count = 0

    def put(seconds: float, frame: np.ndarray) -> None:
        nonlocal count
        if frame.shape != frames.shape[1:]:
            change = f"from {frames.shape[1:3]} to {frame.shape[:2]}"
            raise UnusableFilmError(f"its frames change size {change}; set {Setting('data.image_size')}")
        if count < len(frames):  # a container may announce fewer frames than it has
            frames[count], times[count] = frame, seconds
        count += 1

    try:
        end, note = film.decode(put, **options)
    except UnusableFilmError as error:
        return {"left_out": str(error)}
    if not count:
        return {"left_out": note or "no frame of it can be decoded"}
    if count > len(frames):
        note = f"has {count} frames where its container announces {len(frames)}; only the first {len(frames)} are used"
        count, end = len(frames), float(times[-1])
    return {"label": film.label, "count": count, "end": max(end, float(times[count - 1])), "note": note}


def _make_room(folder: Path, size: int) -> Path:
    """Makes a temporary folder beside `folder`, on a disk with `size` bytes free."""
    root = folder.parent
    try:
        root.mkdir(parents=True, exist_ok=True)
        for abandoned in root.glob("*.unfinished"):
            if time.time() - abandoned.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(abandoned, ignore_errors=True)
        free = shutil.disk_usage(root).free
        if free >= size:
            return Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".unfinished", dir=root))
    except OSError as error:
        kept = f"decoded films cannot be kept in {root}: {error.strerror}; set "
        raise InputError(kept, Setting("data.cache_dir"), " to a writable folder") from None
    full = f"the decoded films take {size / 2**30:,.2f} GiB and {root} has {free / 2**30:,.2f} GiB left: lower "
    remedy = Setting("data.image_size"), " or ", Setting("data.frame_rate"), ", or set ", Setting("data.cache_dir")
    raise InputError(full, *remedy, " to a larger disk")


def _publish(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        if not (folder / _FILMS).exists():  # where it exists, another process was faster, with the same films
            raise


def _damage(folder: Path) -> str:
    """What is wrong with decoded films on disk, in a few words; "" where all their bytes are there."""
    try:
        rows = json.loads((folder / _FILMS).read_text(encoding="utf-8"))
        frames, times = np.load(folder / _FRAMES, mmap_mode="r"), np.load(folder / _TIMES)
        last = max(row["first"] + row["count"] for row in rows if "count" in row)
        if len(frames) != len(times) or last > len(times):
            return f"{len(frames)} frames, {len(times)} times, and {last} frames in the list of films"
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        return " ".join(str(error).split())[:100]
    return ""


def _read(folder: Path) -> DecodedFilms:
    rows = json.loads((folder / _FILMS).read_text(encoding="utf-8"))
    films = [k for k, row in enumerate(rows) if "count" in row]
    first, count = (np.array([rows[k][name] for k in films], np.int64) for name in ("first", "count"))
    ends = np.array([rows[k]["end"] for k in films])
    table = FilmTable([rows[k]["name"] for k in films], first, count, np.load(folder / _TIMES), ends)
    labels = [rows[k]["label"] for k in films]
    is_labelled = None not in labels and min(labels) >= 0  # TFDS hides labels as -1
    labels = np.array(labels, np.int32) if is_labelled else None
    return DecodedFilms(folder / _FRAMES, table, np.array(films), labels, _notes(rows))


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    damaged = [f"{row['name']} {row['note']}" for row in rows if row.get("note")]
    left_out = [f"{row['name']} ({row['left_out']})" for row in rows if "left_out" in row]
    found = {"film(s) are used as far as they can be read": damaged, "file(s) are left out": left_out}
    return [f"{len(some):,} of {len(rows):,} {what}: {first_names(some)}" for what, some in found.items() if some]

"""Writes the codes of all examples of a source, in the order of its files.

    python -m mi_coding.embed --workdir=DIR --source=folder:PATH --output=codes.npz

    --workdir      work directory of the run whose encoder is used; its newest checkpoint is read
    --source       digits, tfds:NAME, folder:PATH, npz:PATH, video:GLOB, parquet:PATH or webdataset:GLOB;
                   of given pairs, one half is encoded; of films, every frame, as many per second as in training
    --output       .npz (codes, paths, labels), .parquet, .csv, or .tsv for TensorBoard's projector; written
                   atomically
    --map          auto (the default), yes or no. A map adds columns x and y, the codes laid out by t-SNE, and nearest,
                   the example with the nearest code, for embedding viewers; auto writes it for a .parquet or .tsv of
                   up to 20,000 examples. If the source is that of the run, column split of a .parquet or .tsv, or
                   of any file with a map, gives the split that an example was in
    --layer        codes (the default), which the critic scores; features, before the projection head; or places, the
                   features of every place, flattened; a discrete code is written as bytes of packed bits, see
                   mi_coding.stored_codes.unpack
    --half         x (the default) or y: which half of given pairs
    --backend      an encoder written by mi_coding.export; its codes are checked against those of the run, to 1e-5
    --cache_dir    cache of decoded films; by default that of the run
    --image_size   pixels, --channels: size and channels that images are converted to; by default those of training
    --white        value that is white in images of more than 8 bits per pixel; by default that of the run
    --layout       how a folder is interpreted: auto, classes, splits or flat; by default as in the run

Files that cannot be decoded are counted, named and left out. Without a map, memory holds a few batches and
the names; with a map, all codes.
"""

from mi_coding.help import answer_help
from mi_coding.interrupts import end_while_importing, keeps

if __name__ == "__main__":
    answer_help(__doc__)
    end_while_importing()

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from mi_coding import data
from mi_coding.command import IMAGE_OPTIONS, image_options, options, run_command, spelled_as_flags
from mi_coding.errors import InputError
from mi_coding.evaluation.codes import map_many, nearest, why_no_map
from mi_coding.reporting import terminal
from mi_coding.reporting.codes_file import CODES_FILES, CodesFile, Columns, check_output_path
from mi_coding.reporting.recorder import LEAST_SECONDS, MOST_WAITING
from mi_coding.runs.examples import usable_part, video_options
from mi_coding.runs.exports import MOST_DIFFERENCE, largest_difference, open_export
from mi_coding.runs.restore import Restored, other_shapes, restore
from mi_coding.runs.trained_encoder import HALVES, TrainedEncoder

_MAPPED = {"x": "float32", "y": "float32", "nearest": "string"}
_VIEWED = (".parquet", ".tsv")  # files that viewers of embeddings open
_MOST_MAPPED = 20_000


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code: 0 done, 2 a mistake in the command, 130 or 143 stopped by a signal."""
    return run_command(argv, __doc__, _embed)


def write_codes(
    encoder: TrainedEncoder,
    listing: data.Listing,
    output: Path,
    *,
    mapped: bool = False,
    split_of: Mapping[str, str] | None = None,
) -> None:
    """Encodes all examples in order and writes the codes to a file; memory holds a few batches and the names.

    The listing is of single examples, or of one half of given pairs, of the shape that the encoder takes; the suffix of
    the file is a key of `CODES_FILES`, and the file is written atomically. With a map, all codes are in memory. If
    `split_of`, name → split, is given, a column has the split of each example.
    """
    split, total = listing.split, data.num_examples(listing.split)
    longest = max(map(len, data.names(split)), default=0)
    pack = encoder.output and encoder.output.pack  # for a discrete code only
    as_stored, dtype = (pack, "uint8") if pack else (lambda codes: codes, "float32")
    dim = as_stored(np.zeros((1, encoder.dim), np.float32)).shape[1]
    more = (_MAPPED if mapped else {}) | ({} if split_of is None else {"split": "string"})
    columns = Columns(dim, dtype, split.labels is not None, listing.class_names, longest, more)
    encoder.compile(split.examples)
    waiting: deque[data.Split] = deque()

    def examples(parts: data.Ordered) -> Iterator[np.ndarray]:
        for part in parts:
            waiting.append(part)  # codes lag one part behind
            yield part.examples

    started = time.perf_counter()
    with (
        data.Ordered(split, batch_size=encoder.batch_size) as parts,
        CODES_FILES[output.suffix](output, columns) as file,
        terminal.Counting("encoded", total, unit="examples") as counting,
    ):
        held: list[tuple[np.ndarray, data.Split]] = []
        done = 0
        for codes in encoder.each(examples(parts)):
            part = waiting.popleft()
            data.check_readable(parts.skipped, total)
            if mapped:
                held.append((codes, part._replace(examples=())))
            else:
                file.write(as_stored(codes), part.names, part.labels, _splits(part, split_of))
            done += len(codes)
            counting.update(done + len(parts.skipped))
        seconds = max(time.perf_counter() - started, 1e-9)
        if mapped:
            _write_with_map(file, held, as_stored, split_of)
    keeps(f"interrupted; {output} was written")
    print(f"{output}: {_report(encoder, file.num_rows, parts, seconds)}")


def _splits(part: data.Split, split_of: Mapping[str, str] | None) -> dict[str, list[str]]:
    """The column of splits of some examples; an empty string for an example that is in no split."""
    return {} if split_of is None else {"split": [split_of.get(name, "") for name in part.names]}


def _split_of(run: Restored, source: str, images: data.ImageOptions, cache_dir: str) -> dict[str, str] | None:
    """Name → split of each example of the run's own source; None for other sources, and for examples without names."""
    if source != run.plan.data.source:
        return None
    if data.open_source(source).needs_size_to_stream:  # nothing is decoded here: any size will do
        images = images | {"image_size": images["image_size"] or 1, "channels": images["channels"] or 1}
    silent = {"warn": lambda line: None, "log": lambda line: None}
    video = video_options(run.plan, cache_dir)
    dataset = data.load(source, placement="stream", video=video, **images, **silent)
    splits = dict(zip(("train", "validation", "test"), dataset.splits, strict=True))
    if any(data.in_memory(split) and split.names is None for split in splits.values()):
        return None
    return {name: which for which, split in splits.items() for name in data.names(split)}


def _write_with_map(
    file: CodesFile,
    parts: list[tuple[np.ndarray, data.Split]],
    as_stored: Callable[[np.ndarray], np.ndarray],
    split_of: Mapping[str, str] | None,
) -> None:
    """Writes codes that are held in memory, with their map coordinates and the name of the nearest other example."""
    codes, names = np.concatenate([codes for codes, _ in parts]), [name for _, part in parts for name in part.names]
    if reason := why_no_map(codes):
        terminal.warning(f"the codes cannot be mapped: {reason}; columns x and y are 0")
        places = np.zeros((len(codes), 2), np.float32)
    else:
        with terminal.waiting("laying out the map"):
            places = map_many(codes)
    positions, _ = nearest(codes, codes, count=2)
    own = np.arange(len(codes))
    others = np.where(positions[:, 0] == own, positions[:, -1], positions[:, 0])  # of equal codes either may be first
    start = 0
    for part_codes, part in parts:
        rows = slice(start, start + len(part_codes))
        more = {"x": places[rows, 0], "y": places[rows, 1], "nearest": [names[i] for i in others[rows]]}
        file.write(as_stored(part_codes), part.names, part.labels, more | _splits(part, split_of))
        start += len(part_codes)


def _wants_map(choice: str, output: Path, count: int) -> bool:
    if choice == "auto" and output.suffix in _VIEWED and count > _MOST_MAPPED:
        hint = "--map=yes makes one, with all codes in memory"
        print(f"no map of {count:,} examples, more than {_MOST_MAPPED:,}; {hint}")
    return choice == "yes" or (choice == "auto" and output.suffix in _VIEWED and count <= _MOST_MAPPED)


def _embed(argv: list[str]) -> int:
    required = dict.fromkeys(("workdir", "source", "output"))
    others = {"layer": "codes", "half": "x", "backend": "", "map": "auto", "cache_dir": ""}
    given = options(argv, required | others | IMAGE_OPTIONS)
    output = Path(given.output)
    if reason := check_output_path(output):
        raise InputError(reason)
    if given.map not in ("auto", "yes", "no"):
        raise InputError(f"--map={given.map}; expected auto, yes or no")
    keeps(f"interrupted; {output} was not written")
    with spelled_as_flags(given):
        data.open_source(given.source, given.layout or "auto")
    run = restore(given.workdir, terminal.warning)
    encoder = TrainedEncoder(run, layer=given.layer, half=given.half)
    with spelled_as_flags(given):
        images, video = run.image_options(given.source) | image_options(given), video_options(run.plan, given.cache_dir)
        listing = data.list_all(given.source, **images, video=video, warn=terminal.warning)
        split = usable_part(run.plan, data.one_half(listing.split, HALVES.index(given.half)), listing.account)
        print(*listing.account.lines(), sep="\n", flush=True)
        shape = tuple(data.describe_examples(split)[0]["shape"])
        if not encoder.takes(shape):
            raise other_shapes(given.source, [shape], [encoder.shape])
        if given.backend:
            encoder = _through(encoder, Path(given.backend), split)
        mapped = _wants_map(given.map, output, data.num_examples(split))
        viewed = mapped or output.suffix in _VIEWED
        split_of = _split_of(run, given.source, images, given.cache_dir) if viewed else None
        write_codes(encoder, listing._replace(split=split), output, mapped=mapped, split_of=split_of)
    return 0


def _through(encoder: TrainedEncoder, backend: Path, split: data.Split) -> TrainedEncoder:
    """The encoder with codes computed by an exported file, once they are found to agree on the first examples."""
    program = open_export(backend, encoder)
    count = min(encoder.batch_size, data.num_examples(split))
    some = data.take(split, np.arange(count)).examples
    difference = largest_difference(encoder, program, encoder.checked(some))
    if not difference <= MOST_DIFFERENCE:
        found = f"--backend={backend} gives codes that differ from those of the run by {difference:.2g} of the largest"
        raise InputError(f"{found}; expected at most {MOST_DIFFERENCE:g}: export that run, layer and half again")
    print(f"codes of {backend} differ from those of the run by {difference:.1e} of the largest, on {count:,} examples")
    return encoder.through(program)


def _report(encoder: TrainedEncoder, count: int, parts: data.Ordered, seconds: float) -> str:
    """What was written, in one line; warns of examples without codes, and of much time spent waiting for input."""
    skipped, waited = parts.skipped, parts.wait_seconds / seconds
    if skipped:
        terminal.warning(f"no code for {len(skipped):,} example(s) that cannot be decoded: {data.first_names(skipped)}")
    if waited > MOST_WAITING and parts.wait_seconds > LEAST_SECONDS:
        terminal.warning(f"{waited:.0%} of the time was spent waiting for input, more than {MOST_WAITING:.0%}")
    what = (encoder.output and encoder.output.description) or f"{encoder.dim:,} numbers"
    if encoder.places:
        what += f", {' × '.join(map(str, encoder.places))} (places and channels)"
    speed = f"in {seconds:.1f} s, {count / seconds:,.0f} examples/s, {waited:.1%} of it waiting for input"
    if encoder.is_of_given_pairs:
        what = f"{encoder.half}, {what}" + (" (--half=y for those of y)" if encoder.half == "x" else "")
    return f"{count:,} codes of {what}, {len(skipped):,} skipped, {speed}"


if __name__ == "__main__":
    sys.exit(main())

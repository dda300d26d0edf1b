"""Batches from images that need not fit into memory: decoded ahead of time by worker processes, with an exact position.

A batch is a pure function of the seed and its number, so a run that resumes needs no state but the number of its step.
Batches travel in pieces of a few MB: several workers share one large batch, and little shared memory is in use.
"""

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker, util
from pathlib import Path
from typing import Any, NamedTuple, Self

import grain
import numpy as np
from absl import flags

from mi_coding.data.dataset import Split
from mi_coding.errors import InputError

__all__ = ["MAX_UNREADABLE", "Batch", "Stream", "stream"]

MAX_UNREADABLE = 0.01
"""Share of examples whose file may be unreadable before the data count as broken."""

_MIN_SEEN = 1000  # examples before the share of unreadable ones is judged
_PIECE_BYTES = 4 << 20  # some 30 images of 224 × 224: tens of ms to decode, beside about one to hand over
_SHARED_FROM_BYTES = 16 << 10  # smaller arrays go through the pipe, which is faster for them
_BUFFERED = 2  # pieces ahead in each queue between a worker and this process
_MAX_THREADS = 16
_SHARED_MEMORY = Path("/dev/shm")


class Batch(NamedTuple):
    """One batch on the host.

    Attributes:
        examples: uint8[b, H, W, C], or the dtype of an array in memory.
        labels: int32[b], −1 where the source has no labels.
    """

    examples: np.ndarray
    labels: np.ndarray


def stream(
    split: Split,
    *,
    batch_size: int,
    first_batch: int = 0,
    seed: int,
    distinct: bool = False,
    group_size: int = 1,
    num_workers: int = 2,
    prefetch: int = 2,
    shard: tuple[int, int] = (0, 1),
    warn: Callable[[str], None] = print,
) -> "Stream":
    """Batches number `first_batch`, `first_batch` + 1, … of a split, without end; close it to end its processes.

    Batch number k depends on (seed, k, split, batch_size) alone: neither on the workers, nor on where the stream began.
    An image that cannot be decoded is replaced by the next one of the data that can; see `Stream.unreadable`.

    >>> from mi_coding import data
    >>> with stream(data.load("digits").train, batch_size=4, seed=0, first_batch=1000) as batches:
    ...     next(batches).examples.shape
    (4, 8, 8, 1)

    Args:
        split: examples are an array, or a picklable object with shape, read(i) and name(i) such as `LazyImages`.
        batch_size: B, examples in the batch of all processes together.
        first_batch: number of the first batch; a large one costs nothing.
        seed: at least 0.
        distinct: False draws every example independently, with replacement, as the bound on mutual information
            demands. True shuffles anew every epoch; no batch then holds an example twice, and the n mod B examples
            left at the end of an epoch are dropped.
        group_size: so many rows side by side are of one group, such as one film; the examples must then have `groups`,
            int64[k + 1], the edges of the k groups among their positions. The first draw of a group decides which, and
            all its rows are independent draws inside it. 1 draws every row by itself.
        num_workers: processes that decode; 0 decodes in threads of this process, as does an array in memory always.
        prefetch: complete batches that wait in memory, beside the pieces under way.
        shard: (index, count); the stream yields rows index · B / count … of every batch.
        warn: is told in one line of the first unreadable image.
    Raises:
        ValueError: for sizes that do not fit: B over count, B over groups, or B distinct examples among fewer.
        InputError: where shared memory is too small for the workers.
    """
    num_examples, (index, count) = len(split.examples), shard
    if batch_size < 1 or not 0 <= index < count or batch_size % count:
        raise ValueError(f"a batch of {batch_size} cannot be split into {count} shards to take number {index}")
    if distinct and batch_size > num_examples:
        raise ValueError(f"a batch of {batch_size} distinct examples asked of {num_examples}")
    if batch_size % group_size or (distinct and group_size > 1):
        raise ValueError(f"groups of {group_size} in a batch of {batch_size}, distinct={distinct}: these do not fit")
    groups = split.examples.groups if group_size > 1 else None
    order = _Order(num_examples, batch_size, seed, distinct, group_size, groups)
    rows = batch_size // count
    pieces = _Pieces(split.examples, order, first_batch, range(index * rows, (index + 1) * rows))
    if isinstance(split.examples, np.ndarray):
        num_workers = 0
    _check_shared_memory(num_workers, pieces.largest_bytes)
    return Stream(pieces, split.labels, num_workers=num_workers, prefetch=prefetch, warn=warn)


class Stream(Iterator[Batch]):
    """An endless iterator of `Batch`, also a context manager; `stream` makes it.

    Errors of a worker are raised here by `next`, and end the stream.

    Attributes:
        seen: examples handed out.
        wait_seconds: time spent inside `next`, all told: what the training waited for its input.
    """

    def __init__(
        self,
        pieces: "_Pieces",
        labels: np.ndarray | None,
        *,
        num_workers: int,
        prefetch: int,
        warn: Callable[[str], None],
    ):
        self.seen = 0
        self.wait_seconds = 0.0
        self._source, self._labels, self._warn = pieces, labels, warn
        self._unreadable: dict[int, int] = {}  # position → how often it was drawn
        self._pieces = iter(_pipeline(pieces, num_workers))
        self._first = True
        # One thread reads ahead. It and all that grain starts from it inherit blocked signals: a Ctrl-C, which reaches
        # every process of the terminal, stays with the handler of this process, and no worker prints a traceback.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="mi_coding-stream")
        self._end = weakref.finalize(self, _end, self._reader, self._pieces)
        resource_tracker.ensure_running()  # started later, by the reader, it would unblock these signals
        with _signals_blocked():
            self._ahead = deque(self._reader.submit(self._read) for _ in range(max(prefetch, 1)))

    @property
    def unreadable(self) -> list[str]:
        """Names of the files seen so far that could not be decoded, each once, in the order of their first draw."""
        return [self._source.images.name(position) for position in self._unreadable]

    def __next__(self) -> Batch:
        if not self._end.alive:
            raise ValueError("the stream is closed")
        start = time.perf_counter()
        try:
            read = self._ahead.popleft().result()
            self._ahead.append(self._reader.submit(self._read))
            self._count(read)
        except InputError as error:
            self.close()
            raise InputError(str(error)) from None  # the user's mistake: without the traceback of another process
        except Exception:
            self.close()
            raise
        finally:
            self.wait_seconds += time.perf_counter() - start
        labels = np.full(len(read.positions), -1, np.int32) if self._labels is None else self._labels[read.positions]
        return Batch(read.images, labels)

    def close(self) -> None:
        """Ends the worker processes, after the images they are decoding."""
        self._ahead.clear()
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read(self) -> "_Piece":
        """The pieces of one batch put together; runs in the reader."""
        if self._first:
            self._first = False
            with _main_module_hidden():
                return self._assemble()
        return self._assemble()

    def _assemble(self) -> "_Piece":
        images = np.empty((len(self._source.rows), *self._source.images.shape[1:]), self._source.dtype)
        parts, start = [], 0
        for _ in range(self._source.per_batch):
            piece = next(self._pieces)
            images[start : start + len(piece.positions)] = piece.images
            start += len(piece.positions)
            parts.append(piece._replace(images=None))  # its shared memory is free again
        return _Piece(images, *(np.concatenate([part[i] for part in parts]) for i in (1, 2)))

    def _count(self, read: "_Piece") -> None:
        """Warns of the first unreadable file, and stops where there are too many."""
        self.seen += len(read.positions)
        for position in read.unreadable.tolist():
            if not self._unreadable:
                name = self._source.images.name(position)
                self._warn(f"{name} cannot be decoded: the next image takes its place, and that of any further one")
            self._unreadable[position] = self._unreadable.get(position, 0) + 1
        lost = sum(self._unreadable.values())
        if self.seen >= _MIN_SEEN and lost > MAX_UNREADABLE * self.seen:
            raise InputError(
                f"{lost:,} of {self.seen:,} examples cannot be decoded, such as {self.unreadable[0]}; at most "
                f"{MAX_UNREADABLE:.0%} may: repair or remove these files"
            )


class _Order(NamedTuple):
    """Which examples a batch is made of."""

    num_examples: int
    batch_size: int
    seed: int
    distinct: bool
    group_size: int = 1
    groups: np.ndarray | None = None

    def positions(self, batch: int, rows: range) -> np.ndarray:
        """int64[len(rows)]: the examples behind some rows of one batch."""
        if not self.distinct:
            rng = np.random.default_rng((self.seed, batch))
            draws = rng.integers(self.num_examples, size=self.batch_size)
            if self.groups is not None:
                draws = self._inside_groups(rng, draws)
            return draws[rows.start : rows.stop]
        epoch, place = divmod(batch, self.num_examples // self.batch_size)
        # grain's own shuffle adds the epoch to the seed: the second epoch of seed 0 would be the first of seed 1.
        seed = int(np.random.SeedSequence((self.seed, epoch)).generate_state(1)[0])
        last, first = self.num_examples - 1, place * self.batch_size
        shuffled = (grain.experimental.index_shuffle(first + row, max_index=last, seed=seed, rounds=4) for row in rows)
        return np.fromiter(shuffled, np.int64, len(rows))

    def _inside_groups(self, rng: np.random.Generator, draws: np.ndarray) -> np.ndarray:
        """New draws for all rows, each inside the group that the first row of its group has drawn."""
        group = np.searchsorted(self.groups, draws[:: self.group_size], side="right") - 1
        return rng.integers(*(np.repeat(self.groups[group + side], self.group_size) for side in (0, 1)))


class _Piece(NamedTuple):
    """Some rows of a batch, as they leave a worker.

    Attributes:
        images: [r, H, W, C].
        positions: int64[r], where in the data each image is from.
        unreadable: int64[m], positions that were drawn and could not be decoded.
    """

    images: np.ndarray
    positions: np.ndarray
    unreadable: np.ndarray


class _Pieces:
    """Random access to the pieces of all batches, the source that grain reads: `per_batch` of them make a batch."""

    def __init__(self, images: Any, order: _Order, first_batch: int, rows: range):
        self.images, self.order, self.first_batch, self.rows = images, order, first_batch, rows
        self.dtype = images.dtype if isinstance(images, np.ndarray) else np.dtype(np.uint8)
        image_bytes = int(np.prod(images.shape[1:])) * self.dtype.itemsize
        self.per_batch = -(-len(rows) // max(1, _PIECE_BYTES // image_bytes))
        self.largest_bytes = -(-len(rows) // self.per_batch) * image_bytes

    def __len__(self) -> int:
        return sys.maxsize // 2  # without end

    def __getitem__(self, number: int) -> _Piece:
        batch, part = divmod(int(number), self.per_batch)
        start, stop = (len(self.rows) * p // self.per_batch for p in (part, part + 1))
        positions = self.order.positions(self.first_batch + batch, self.rows[start:stop])
        if isinstance(self.images, np.ndarray):
            return _Piece(self.images[positions], positions, np.empty(0, np.int64))
        return self._decode(self.first_batch + batch, positions)

    def _decode(self, batch: int, positions: np.ndarray) -> _Piece:
        images, unreadable = np.empty((len(positions), *self.images.shape[1:]), self.dtype), []
        used = positions.copy()
        for row, position in enumerate(positions.tolist()):
            image = self.images.read(position)
            if image is None:
                unreadable.append(position)
                used[row], image = self._replacement(batch, position)
            images[row] = image
        return _Piece(images, used, np.array(unreadable, np.int64))

    def _replacement(self, batch: int, position: int) -> tuple[int, np.ndarray]:
        """The next image that can be decoded and, where examples are distinct, serves no other row of the batch.

        There, an unreadable image of the batch and its replacement pair up as an opening bracket and the one that
        closes it. So two of them never meet, though each is looked for alone, perhaps by different processes.
        """
        order, missing = self.order, 1
        taken = set(order.positions(batch, range(order.batch_size)).tolist()) if order.distinct else set()
        for step in range(1, order.num_examples):
            candidate = (position + step) % order.num_examples
            image = self.images.read(candidate)
            if candidate in taken:
                missing += image is None
            elif image is not None:
                missing -= 1
                if not missing:
                    return candidate, image
        raise InputError(
            f"{self.images.name(position)} cannot be decoded and no other of the {order.num_examples:,} images can "
            "take its place: check that the files are images"
        )


def _pipeline(pieces: _Pieces, num_workers: int) -> grain.IterDataset:
    in_threads = not num_workers and not isinstance(pieces.images, np.ndarray)
    threads = min(_MAX_THREADS, os.cpu_count() or 1) if in_threads else 0
    read = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
    data = grain.MapDataset.source(pieces).to_iter_dataset(read)
    if not num_workers:
        return data
    # grain 0.2.17 and 0.2.18 read this flag and fail where no absl app has parsed the command (google/grain#1355).
    if (profiling := "grain_enable_multiprocess_worker_profiling") in flags.FLAGS:
        flags.FLAGS[profiling].present = True
    options = grain.experimental.DatasetOptions(min_shm_size=_SHARED_FROM_BYTES)
    return grain.experimental.WithOptionsIterDataset(data, options).mp_prefetch(
        grain.MultiprocessingOptions(num_workers, per_worker_buffer_size=_BUFFERED), worker_init_fn=_end_with_parent
    )


def _check_shared_memory(num_workers: int, piece_bytes: int) -> None:
    """Refuses what would end in a bus error: a container often has 64 MB of shared memory."""
    needed = num_workers * (2 * _BUFFERED + 2) * piece_bytes  # two queues, one piece being written, one being read
    if num_workers and _SHARED_MEMORY.exists() and shutil.disk_usage(_SHARED_MEMORY).free < needed:
        free = shutil.disk_usage(_SHARED_MEMORY).free
        raise InputError(
            f"{num_workers} worker processes need {needed >> 20} MiB of shared memory and {_SHARED_MEMORY} has "
            f"{free >> 20}: use fewer workers, 0 (threads), or give the container more, docker run --shm-size=1g"
        )


def _end_with_parent(worker: int, num_workers: int) -> None:
    """Runs first in each worker, which with blocked signals would outlive a parent that was killed."""
    del worker, num_workers

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    def leave() -> None:
        if sys.exc_info()[0] is None:
            os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    # When the queues are flushed a worker just ends: to take JAX down module by module lasts half a second, and the
    # parent ends its workers one by one.
    util.Finalize(None, leave, exitpriority=-1000)


def _end(reader: ThreadPoolExecutor, pieces: grain.DatasetIterator) -> None:
    reader.shutdown(wait=True, cancel_futures=True)  # grain's iterator must not be closed while it is read
    pieces.close()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """A process spawned meanwhile does not import the main program again, with JAX and all: seconds for each worker."""
    names = vars(sys.modules["__main__"])
    kept = {name: names[name] for name in ("__spec__", "__file__") if name in names}
    names["__spec__"] = None
    names.pop("__file__", None)
    try:
        yield
    finally:
        names.update(kept)

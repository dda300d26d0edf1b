"""Batches from images that need not fit into memory, decoded ahead of time by worker processes, at an exact position.

A batch is a pure function of the seed and its number, so a resumed run needs no state but its step number. Batches are
transferred in pieces of a few MB: several workers share one large batch, and little shared memory is in use.
"""

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing import resource_tracker, util
from pathlib import Path
from typing import NamedTuple

import grain
import numpy as np
from absl import flags

from mi_coding.data.dataset import Say, Split
from mi_coding.data.pieces import Piece, Pieces, StreamSpec
from mi_coding.data.unreadable import MAX_UNREADABLE
from mi_coding.errors import InputError

_MIN_SEEN = 1000  # examples before the share of unreadable ones is checked
_SHARED_FROM_BYTES = 16 << 10  # smaller arrays go through the pipe, which is faster for them
_BUFFERED = 2  # pieces ahead in each queue between a worker and this process
_MAX_THREADS = 16
_SHARED_MEMORY = Path("/dev/shm")


class Batch(NamedTuple):
    """One batch on the host."""

    examples: np.ndarray  # uint8[b, H, W, C], or the dtype of an array in memory
    labels: np.ndarray  # int32[b], −1 where the source has no labels


class Stream(Iterator[Batch], AbstractContextManager):
    """Yields batches `first_batch`, `first_batch` + 1, … of a split, without end; a context manager.

    Batch number k depends only on (seed, k, split, batch_size): neither on the workers, nor on where the stream
    started. An image that cannot be decoded is replaced by the next one in the data that can; see `unreadable`. Errors
    of a worker are raised here by `next`, and close the stream.

    >>> from mi_coding import data
    >>> spec = StreamSpec(batch_size=4, seed=0, first_batch=1000)
    >>> with Stream(data.load("digits").train, spec) as batches:
    ...     next(batches).examples.shape
    (4, 8, 8, 1)

    Attributes:
        seen: number of examples yielded.
        wait_seconds: total time spent inside `next`, waiting for input.
    """

    def __init__(self, split: Split, spec: StreamSpec, *, num_workers: int = 2, prefetch: int = 2, warn: Say = print):
        """Starts to decode; close the stream to end its processes.

        Args:
            split: its examples are an array, or an object with shape, read(i) and name(i) such as `LazyImages`.
            num_workers: processes that decode; 0 decodes in threads of this process, as is always done with an array.
            prefetch: complete batches kept in memory, beside the pieces in progress.
            warn: called with one line about the first unreadable image.
        Raises:
            ValueError: see `StreamSpec.check`.
            InputError: where shared memory is too small for the workers.
        """
        self.seen = 0
        self.wait_seconds = 0.0
        self._source, self._labels, self._warn = Pieces(split.examples, spec), split.labels, warn
        self._unreadable: Counter[int] = Counter()  # position → number of draws
        self._pieces = iter(_pipeline(self._source, num_workers))
        self._starts_workers = True
        # One thread reads ahead. It and all that grain starts from it inherit blocked signals: a Ctrl-C, which reaches
        # every process of the terminal, is left to the handler of this process, and no worker prints a traceback.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="mi_coding-stream")
        self._end = weakref.finalize(self, _end, self._reader, self._pieces)
        resource_tracker.ensure_running()  # started later, by the reader, it would unblock these signals
        with _signals_blocked():
            self._ahead = deque(self._reader.submit(self._read) for _ in range(max(prefetch, 1)))

    @property
    def unreadable(self) -> list[str]:
        """Names of the files so far that could not be decoded, each once, in the order of their first draw."""
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
            raise InputError(*error.parts) from None  # a user's mistake: without the traceback of another process
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

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read(self) -> Piece:
        """The pieces of one batch put together; runs in the reader thread."""
        images = np.empty((len(self._source.rows), *self._source.images.shape[1:]), self._source.dtype)
        parts, start = [], 0
        starts_workers, self._starts_workers = self._starts_workers, False
        with _main_module_hidden() if starts_workers else nullcontext():
            for _ in range(self._source.per_batch):
                piece = next(self._pieces)
                images[start : start + len(piece.positions)] = piece.images
                start += len(piece.positions)
                parts.append(piece._replace(images=None))  # frees its shared memory
        return Piece(images, *(np.concatenate([part[i] for part in parts]) for i in (1, 2)))

    def _count(self, read: Piece) -> None:
        """Warns of the first unreadable file, and raises where there are too many."""
        self.seen += len(read.positions)
        positions = read.unreadable.tolist()
        if positions and not self._unreadable:
            name = self._source.images.name(positions[0])
            self._warn(f"{name} cannot be decoded: the next image takes its place, and likewise for any others")
        self._unreadable.update(positions)
        lost = self._unreadable.total()
        if self.seen >= _MIN_SEEN and lost > MAX_UNREADABLE * self.seen:
            found = f"{lost:,} of {self.seen:,} examples cannot be decoded, such as {self.unreadable[0]}"
            raise InputError(f"{found}; expected at most {MAX_UNREADABLE:.0%}: repair or remove these files")


def _end(reader: ThreadPoolExecutor, pieces: grain.DatasetIterator) -> None:
    reader.shutdown(wait=True, cancel_futures=True)  # grain's iterator must not be closed while it is read
    pieces.close()


def _pipeline(pieces: Pieces, num_workers: int) -> grain.IterDataset:
    """All pieces in order, decoded by `num_workers` processes, or by threads of this process for 0."""
    in_memory = isinstance(pieces.images, np.ndarray)
    num_workers = 0 if in_memory else num_workers
    _check_shared_memory(num_workers, pieces.largest_bytes)
    threads = 0 if num_workers or in_memory else min(_MAX_THREADS, os.cpu_count() or 1)
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
    """Raises InputError instead of a later bus error: a container often has 64 MB of shared memory."""
    if not num_workers or not _SHARED_MEMORY.exists():
        return
    needed = num_workers * (2 * _BUFFERED + 2) * piece_bytes  # two queues, one piece being written, one being read
    if (free := shutil.disk_usage(_SHARED_MEMORY).free) < needed:
        found = f"{num_workers} worker processes need {needed >> 20} MiB of shared memory and {_SHARED_MEMORY} has "
        remedy = "use fewer workers, 0 (threads), or give the container more, docker run --shm-size=1g"
        raise InputError(f"{found}{free >> 20}: {remedy}")


def _end_with_parent(worker: int, num_workers: int) -> None:
    """Runs first in each worker, which would outlive a parent that was killed, since it blocks signals."""
    del worker, num_workers

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    def leave() -> None:
        if sys.exc_info()[0] is None:
            os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    # Once its queues are flushed a worker exits at once: an orderly shutdown of JAX takes half a second, and the parent
    # ends its workers one by one.
    util.Finalize(None, leave, exitpriority=-1000)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Blocks SIGINT and SIGTERM in this thread, and in the threads and processes that it starts meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """A context whose spawned processes do not import the main program again, which takes seconds each with JAX."""
    names = vars(sys.modules["__main__"])
    kept = {name: names[name] for name in ("__spec__", "__file__") if name in names}
    names["__spec__"] = None
    names.pop("__file__", None)
    try:
        yield
    finally:
        names.update(kept)

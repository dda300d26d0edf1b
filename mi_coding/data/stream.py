"""Batches from images that need not fit into memory, decoded ahead of time by worker processes, at an exact position.

A batch is a pure function of the seed and its number, so a resumed run needs no state but its step number. Batches are
transferred in pieces of a few MB: several workers share one large batch, and little shared memory is in use.
"""

import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import resource_tracker
from typing import NamedTuple

import grain
import numpy as np

from mi_coding.data.dataset import Split
from mi_coding.data.pieces import Piece, Pieces, StreamSpec
from mi_coding.data.workers import main_module_hidden, pipeline, signals_blocked
from mi_coding.errors import InputError

MAX_UNREADABLE = 0.01
"""Share of examples that may be unreadable; with more the data count as broken."""

_MIN_SEEN = 1000  # examples before the share of unreadable ones is checked


class Batch(NamedTuple):
    """One batch on the host.

    Attributes:
        examples: uint8[b, H, W, C], or the dtype of an array in memory.
        labels: int32[b], −1 where the source has no labels.
    """

    examples: np.ndarray
    labels: np.ndarray


class Stream(Iterator[Batch], AbstractContextManager):
    """Yields batches `first_batch`, `first_batch` + 1, … of a split, without end; a context manager.

    Batch number k depends only on (seed, k, split, batch_size): neither on the workers, nor on where the stream
    started. An image that cannot be decoded is replaced by the next one of the data that can; see `unreadable`. Errors
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

    def __init__(
        self,
        split: Split,
        spec: StreamSpec,
        *,
        num_workers: int = 2,
        prefetch: int = 2,
        warn: Callable[[str], None] = print,
    ):
        """Starts to decode; close the stream to end its processes.

        Args:
            split: its examples are an array, or an object with shape, read(i) and name(i) such as `LazyImages`.
            spec: which batches.
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
        self._pieces = iter(pipeline(self._source, num_workers))
        self._starts_workers = True
        # One thread reads ahead. It and all that grain starts from it inherit blocked signals: a Ctrl-C, which reaches
        # every process of the terminal, is left to the handler of this process, and no worker prints a traceback.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="mi_coding-stream")
        self._end = weakref.finalize(self, _end, self._reader, self._pieces)
        resource_tracker.ensure_running()  # started later, by the reader, it would unblock these signals
        with signals_blocked():
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
        with main_module_hidden() if starts_workers else nullcontext():
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
            self._warn(f"{name} cannot be decoded: the next image takes its place, and that of any further one")
        self._unreadable.update(positions)
        lost = self._unreadable.total()
        if self.seen >= _MIN_SEEN and lost > MAX_UNREADABLE * self.seen:
            raise InputError(
                f"{lost:,} of {self.seen:,} examples cannot be decoded, such as {self.unreadable[0]}; at most "
                f"{MAX_UNREADABLE:.0%} may: repair or remove these files"
            )


def _end(reader: ThreadPoolExecutor, pieces: grain.DatasetIterator) -> None:
    reader.shutdown(wait=True, cancel_futures=True)  # grain's iterator must not be closed while it is read
    pieces.close()

"""Batches from images that need not fit into memory, decoded ahead of time by worker processes, at an exact position.

A batch is a pure function of the seed and its number, so a resumed run needs no state but its step number. Batches are
transferred in pieces of a few MB: several workers share one large batch, and little shared memory is in use.
"""

import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from typing import NamedTuple, Self

import grain
import numpy as np

from mi_coding.data.dataset import Split
from mi_coding.data.order import Order
from mi_coding.data.pieces import Piece, Pieces
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


class StreamSpec(NamedTuple):
    """Which batches a stream yields.

    Attributes:
        batch_size: B, examples in the batch of all processes together.
        seed: at least 0.
        first_batch: number of the first batch; a large one is as fast as 0.
        distinct: False draws every example independently, with replacement, as the bound on mutual information
            requires. True shuffles anew every epoch; no batch then has an example twice, and the n mod B examples left
            at the end of an epoch are dropped.
        group_size: number of consecutive rows that are of one group, such as one film; the examples must then have
            `groups`, int64[k + 1], the edges of the k groups among their positions. The first draw of a group selects
            it, and all its rows are independent draws within it. 1 draws every row independently.
        shard: (index, count); the stream yields rows index · B / count … of every batch.
    """

    batch_size: int
    seed: int
    first_batch: int = 0
    distinct: bool = False
    group_size: int = 1
    shard: tuple[int, int] = (0, 1)

    def check(self, num_examples: int) -> None:
        """Checks the numbers against each other and the number of examples.

        Raises:
            ValueError: for B not divisible by count or group size, or B distinct examples among fewer.
        """
        index, count = self.shard
        if self.batch_size < 1 or not 0 <= index < count or self.batch_size % count:
            raise ValueError(f"a batch of {self.batch_size} cannot be split into {count} shards to take number {index}")
        if self.distinct and self.batch_size > num_examples:
            raise ValueError(f"a batch of {self.batch_size} distinct examples asked of {num_examples}")
        if self.batch_size % self.group_size or (self.distinct and self.group_size > 1):
            raise ValueError(
                f"groups of {self.group_size} in a batch of {self.batch_size}, distinct={self.distinct}: "
                "these do not fit"
            )


class Stream(Iterator[Batch]):
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
        self._source, self._labels, self._warn = _pieces(split, spec), split.labels, warn
        self._unreadable: dict[int, int] = {}  # position → number of draws
        self._pieces = iter(pipeline(self._source, num_workers))
        self._is_first = True
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read(self) -> Piece:
        """The pieces of one batch put together; runs in the reader thread."""
        if self._is_first:
            self._is_first = False
            with main_module_hidden():
                return self._assemble()
        return self._assemble()

    def _assemble(self) -> Piece:
        images = np.empty((len(self._source.rows), *self._source.images.shape[1:]), self._source.dtype)
        parts, start = [], 0
        for _ in range(self._source.per_batch):
            piece = next(self._pieces)
            images[start : start + len(piece.positions)] = piece.images
            start += len(piece.positions)
            parts.append(piece._replace(images=None))  # frees its shared memory
        return Piece(images, *(np.concatenate([part[i] for part in parts]) for i in (1, 2)))

    def _count(self, read: Piece) -> None:
        """Warns of the first unreadable file, and raises where there are too many."""
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


def _pieces(split: Split, spec: StreamSpec) -> Pieces:
    num_examples, (index, count) = len(split.examples), spec.shard
    spec.check(num_examples)
    groups = split.examples.groups if spec.group_size > 1 else None
    order = Order(num_examples, spec.batch_size, spec.seed, spec.distinct, spec.group_size, groups)
    rows = spec.batch_size // count
    return Pieces(split.examples, order, spec.first_batch, range(index * rows, (index + 1) * rows))


def _end(reader: ThreadPoolExecutor, pieces: grain.DatasetIterator) -> None:
    reader.shutdown(wait=True, cancel_futures=True)  # grain's iterator must not be closed while it is read
    pieces.close()

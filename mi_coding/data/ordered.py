"""All examples of a split once, in order, decoded ahead of time: for the codes of a whole source."""

import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import islice, pairwise

import numpy as np

from mi_coding.data.dataset import Split, in_memory, num_examples, take

_PIECES = 8  # per batch, decoded in parallel
_MAX_THREADS = 16
_SMALL = 64 * 64  # pixels up to which decoding is mostly Python, so that two threads are no faster than one


class Ordered(Iterator[Split], AbstractContextManager):
    """Iterates over a split in order, in parts of at most `batch_size`, with names and labels; a context manager.

    Images that cannot be decoded are left out, so a part may have fewer examples, or none. Threads decode, since
    Pillow releases the GIL; `prefetch` bounds the memory.

    >>> with Ordered(Split(np.zeros((5, 2, 2, 1), np.uint8), None), batch_size=2) as parts:
    ...     [len(part.examples) for part in parts]
    [2, 2, 1]

    Attributes:
        skipped: names of the images so far that could not be decoded.
        wait_seconds: total time spent inside `next`, waiting for input.
    """

    def __init__(self, split: Split, *, batch_size: int, prefetch: int = 16):
        """Starts to decode; `prefetch` batches are decoded ahead."""
        self.skipped: list[str] = []
        self.wait_seconds = 0.0
        self._split, rows = split, range(num_examples(split))
        small = in_memory(split) or np.prod(split.examples.shape[1:3]) <= _SMALL
        self._threads = ThreadPoolExecutor(1 if small else min(_MAX_THREADS, os.cpu_count() or 1))
        self._batches = (rows[start : start + batch_size] for start in rows[::batch_size])
        self._ahead = deque(map(self._begin, islice(self._batches, prefetch)))

    def __next__(self) -> Split:
        """Raises InputError for an image whose size or channels differ from the rest."""
        started = time.perf_counter()
        try:
            if not self._ahead:
                raise StopIteration
            rows, pieces = self._ahead.popleft()
            self._ahead.extend(map(self._begin, islice(self._batches, 1)))
            return self._part(rows, pieces)
        finally:
            self.wait_seconds += time.perf_counter() - started

    def close(self) -> None:
        """Stops the threads, after the images they are decoding."""
        self._threads.shutdown(cancel_futures=True)

    def __exit__(self, *error: object) -> None:
        self.close()

    def _begin(self, rows: range) -> tuple[range, list[Future]]:
        ends = np.linspace(rows.start, rows.stop, min(_PIECES, len(rows)) + 1).astype(int)
        pieces = [] if in_memory(self._split) else [range(a, b) for a, b in pairwise(ends.tolist())]
        return rows, [self._threads.submit(list, map(self._split.examples.read, piece)) for piece in pieces]

    def _part(self, rows: range, pieces: list[Future]) -> Split:
        if in_memory(self._split):
            part = take(self._split, np.arange(rows.start, rows.stop))
            return part if part.names else part._replace(names=[f"[{row}]" for row in rows])
        lazy = self._split.examples
        decoded = zip(rows, (image for piece in pieces for image in piece.result()), strict=True)
        readable = {row: image for row, image in decoded if image is not None}
        self.skipped += [lazy.described(row) for row in rows if row not in readable]
        examples = np.stack([*readable.values()]) if readable else np.zeros((0, *lazy.shape[1:]), np.uint8)
        labels = None if self._split.labels is None else self._split.labels[[*readable]]
        return Split(examples, labels, [lazy.name(row) for row in readable])

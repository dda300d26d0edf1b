"""Worker processes that decode pieces: started without side effects, and ended with their parent."""

import multiprocessing
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import util
from pathlib import Path

import grain
import numpy as np
from absl import flags

from mi_coding.data.pieces import Pieces
from mi_coding.errors import InputError

_SHARED_FROM_BYTES = 16 << 10  # smaller arrays go through the pipe, which is faster for them
_BUFFERED = 2  # pieces ahead in each queue between a worker and this process
_MAX_THREADS = 16
_SHARED_MEMORY = Path("/dev/shm")


def pipeline(pieces: Pieces, num_workers: int) -> grain.IterDataset:
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
    """Prevents a bus error: a container often has 64 MB of shared memory."""
    if not num_workers or not _SHARED_MEMORY.exists():
        return
    needed = num_workers * (2 * _BUFFERED + 2) * piece_bytes  # two queues, one piece being written, one being read
    if (free := shutil.disk_usage(_SHARED_MEMORY).free) < needed:
        raise InputError(
            f"{num_workers} worker processes need {needed >> 20} MiB of shared memory and {_SHARED_MEMORY} has "
            f"{free >> 20}: use fewer workers, 0 (threads), or give the container more, docker run --shm-size=1g"
        )


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
def signals_blocked() -> Iterator[None]:
    """Blocks SIGINT and SIGTERM in this thread, and in the threads and processes that it starts meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def main_module_hidden() -> Iterator[None]:
    """A process spawned meanwhile does not import the main program again, which with JAX takes seconds per worker."""
    names = vars(sys.modules["__main__"])
    kept = {name: names[name] for name in ("__spec__", "__file__") if name in names}
    names["__spec__"] = None
    names.pop("__file__", None)
    try:
        yield
    finally:
        names.update(kept)

"""Checkpoints: written atomically and asynchronously by orbax; the newest few are kept."""

import logging
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp

from mi_coding.errors import InputError, NonFiniteLossError, SaveError
from mi_coding.training.processes import all_processes, is_main_process, on_all_processes
from mi_coding.training.step import TrainState

_T = TypeVar("_T")
_LONGEST = 200  # characters of a change that a message quotes


class _Manager(ocp.CheckpointManager):
    """The manager of orbax, which before 0.11.37 asks a service of JAX about signals; here the loop handles them."""

    def reached_preemption(self, step: int) -> bool:
        return False


class Checkpoints:
    """The folder `checkpoints/` of a work directory, opened, saved to, restored from and closed by all processes.

    A checkpoint holds the state, its checksum, the seconds of training so far, and metadata on the data. Orbax writes
    it under a temporary name and renames it, so a checkpoint that is visible is complete.
    """

    def __init__(self, folder: Path, *, keep: int, metadata: Mapping[str, Any] | None = None):
        """Opens or creates the folder.

        Args:
            keep: how many of the newest checkpoints are kept.
            metadata: plain values that each checkpoint carries, for `read_newest`. Those under "data" describe the
                training data; a run does not continue on other data.
        """
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)  # asynchronous
        self._folder = folder.absolute()
        self._manager = _Manager(self._folder, options=options)
        self._metadata = dict(metadata or {})

    def save(self, state: TrainState, seconds: float) -> None:
        """Starts writing a checkpoint of this state, unless its step has one; first waits for the previous write.

        Raises:
            SaveError: if this or the previous checkpoint cannot be written, as on a full disk.
        """
        step = int(state.step)
        if step == self._manager.latest_step():
            return
        state = jax.device_get(state)  # the same in all processes; orbax writes in process 0 only
        progress = ocp.args.JsonSave(self._metadata | {"seconds": seconds, "checksum": checksum(state)})
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), progress=progress)
        self._write(lambda: self._manager.save(step, args=items))

    def restore(self, like: TrainState, warn: Callable[[str], None]) -> tuple[TrainState, float] | None:
        """The newest readable state, bitwise as saved, with its seconds of training; None without any checkpoint.

        Newer checkpoints, which cannot be read, are moved to `damaged/` beside the folder, out of the way of new ones.

        Args:
            like: a state of the same shapes.
            warn: called with one line for each checkpoint that cannot be read.
        Raises:
            InputError: if there are checkpoints but none can be read, or the data is not what the run was started
                with.
        """

        def like_of_same_data(metadata: dict[str, Any]) -> TrainState:
            on_all_processes(lambda: _check_same_data(metadata.get("data", {}), self._metadata.get("data", {})))
            return like

        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            if restored := _restore(self._manager, step, like_of_same_data, warn):
                self._set_aside([newer for newer in steps if newer > step])
                state, metadata = restored
                return state, metadata["seconds"]
        if steps:
            raise InputError(
                f"none of the checkpoints in {self._folder} can be read; remove them to train from the beginning"
            )
        return None

    def wait(self) -> None:
        """Waits for the write in progress.

        Raises:
            SaveError: if it fails.
        """
        self._write(self._manager.wait_until_finished)

    def close(self) -> None:
        """Waits for the write in progress and closes the folder; nothing can be written afterwards.

        Raises:
            SaveError: if it fails.
        """
        self.wait()
        self._manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A process that fails alone would deadlock here, waiting for the others.
        if kind in (None, NonFiniteLossError) or jax.process_count() == 1:
            self.close()

    def _write(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except Exception as error:  # orbax and its dependencies raise all kinds
            raise SaveError(f"a checkpoint cannot be written to {self._folder}: {_reason(error)}") from None

    def _set_aside(self, steps: list[int]) -> None:
        def move() -> None:
            for step in steps if is_main_process() else ():
                damaged = self._folder.parent / "damaged"
                damaged.mkdir(exist_ok=True)
                (self._folder / str(step)).rename(damaged / f"{step}-{time.time_ns()}")

        on_all_processes(move)
        if steps:
            self._manager.reload()


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint in a folder, by its name; 0 without one."""
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return max((int(name) for name in names if name.isdecimal()), default=0)


def read_newest(
    folder: Path, like: Callable[[dict[str, Any]], TrainState], warn: Callable[[str], None]
) -> tuple[TrainState, dict[str, Any]] | None:
    """The newest readable checkpoint, on this machine's devices, with its metadata; None without one.

    A process reads alone, so one of several may call this; where all do, they may read different steps.

    Args:
        folder: the folder of the checkpoints; it is only read, and need not exist.
        like: metadata of the checkpoint → a state of its shapes.
        warn: called with one line for each checkpoint that is damaged.
    """
    if not folder.is_dir():
        return None
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax warns of the intended effect of read_only
    own = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=own, active_processes={own})
    options = ocp.CheckpointManagerOptions(read_only=True, create=False, multiprocessing_options=alone)
    with ocp.CheckpointManager(folder.absolute(), options=options) as manager:
        for step in sorted(manager.all_steps(), reverse=True):
            if restored := _restore(manager, step, like, warn, agreed=bool):
                return restored
    return None


def checksum(tree: Any) -> int:
    """CRC-32 of the bytes of all leaves, in order.

    >>> checksum({"a": np.arange(2, dtype=np.int32)}) == checksum([np.zeros(1, np.int32), np.ones(1, np.int32)])
    True
    """
    crc = 0
    for leaf in jax.tree.leaves(jax.device_get(tree)):
        crc = zlib.crc32(np.ascontiguousarray(leaf).view(np.uint8), crc)
    return crc


def _check_same_data(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises InputError if the data changed: with other examples at the same indices it would be a different run."""
    before = {"scale": "none"} | dict(before)  # as in versions that scaled nothing
    for name in now:
        if name in before and before[name] != now[name]:
            changed = f"{name} was {before[name]} and is {now[name]}"
            changed = changed if len(changed) < _LONGEST else f"{name} differ"
            raise InputError(
                f"the data has changed since the run began: {changed}; restore the data, or start a new --workdir"
            )


def _restore(
    manager: ocp.CheckpointManager,
    step: int,
    like: Callable[[dict[str, Any]], TrainState],
    warn: Callable[[str], None],
    agreed: Callable[[bool], bool] = all_processes,
) -> tuple[TrainState, dict[str, Any]] | None:
    """One checkpoint: its state and metadata; None if it is damaged, in any way, in any process that reads it.

    Errors of `like`, which may refuse the metadata, are raised and not taken for damage.
    """

    def read_metadata() -> dict[str, Any]:
        return manager.restore(step, args=ocp.args.Composite(progress=ocp.args.JsonRestore())).progress

    def read_state() -> TrainState:
        state = manager.restore(step, args=ocp.args.Composite(state=_restore_like(shapes))).state
        if metadata.get("checksum") not in (None, checksum(state)):
            raise ValueError("its checksum does not match")
        return state

    metadata = _read(read_metadata, step, warn, agreed)
    if metadata is None:
        return None
    shapes = like(metadata)
    state = _read(read_state, step, warn, agreed)
    return None if state is None else (state, metadata)


def _restore_like(state: TrainState) -> ocp.args.StandardRestore:
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])  # wherever it was saved

    def describe(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None) or here)

    return ocp.args.StandardRestore(jax.tree.map(describe, state))


def _read(read: Callable[[], _T], step: int, warn: Callable[[str], None], agreed: Callable[[bool], bool]) -> _T | None:
    """The result of `read`, or None unless it succeeds in all processes that read."""
    try:
        result = read()
    except Exception as error:  # orbax and its dependencies raise all kinds
        warn(f"checkpoint {step} cannot be read, trying an older one: {_reason(error)}")
        result = None
    return result if agreed(result is not None) else None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"

"""Checkpoints: written whole or not at all, in the background, the newest few kept, by orbax."""

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


class Checkpoints:
    """The folder `checkpoints/` of a work directory, opened, saved to, restored from and closed by all processes.

    A checkpoint holds the state, its checksum, the seconds of training that led to it, and what a reader must know of
    the data. Orbax writes it under a temporary name and renames it, so one that is visible is complete.
    """

    def __init__(self, folder: Path, *, keep: int, about: Mapping[str, Any] | None = None):
        """Opens or makes the folder.

        Args:
            folder: of the checkpoints.
            keep: so many newest ones stay.
            about: plain values that each checkpoint carries along, for `read_newest`. Those under "data" tell what it
                was trained on; a run is not continued on other data.
        """
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, enable_async_checkpointing=True, cleanup_tmp_directories=True
        )
        self._folder = folder.absolute()
        self._manager = ocp.CheckpointManager(self._folder, options=options)
        self._about = dict(about or {})

    def save(self, state: TrainState, seconds: float) -> None:
        """Begins to write a checkpoint of this state, unless its step has one already; waits for the one before.

        Raises:
            SaveError: where this one or the one before cannot be written, as on a full disk.
        """
        step = int(state.step)
        if step == self._manager.latest_step():
            return
        state = jax.device_get(state)  # the same in all processes, of which orbax lets the first write
        progress = ocp.args.JsonSave(self._about | {"seconds": seconds, "checksum": checksum(state)})
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), progress=progress)
        self._write(lambda: self._manager.save(step, args=items))

    def restore(self, like: TrainState, warn: Callable[[str], None]) -> tuple[TrainState, float] | None:
        """The newest state that can be read, with its seconds of training, bit for bit as saved; None for none at all.

        Newer ones, which cannot be read, are moved to `damaged/` beside the folder, out of the way of new ones.

        Args:
            like: a state of the same shapes.
            warn: is told in one line of each checkpoint that cannot be read.
        Raises:
            InputError: where there are checkpoints and none can be read, or the data is not what the run was begun
                with.
        """

        def like_of_same_data(about: dict[str, Any]) -> TrainState:
            on_all_processes(lambda: _check_same_data(about.get("data", {}), self._about.get("data", {})))
            return like

        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            restored = _restore(self._manager, step, like_of_same_data, warn)
            if restored:
                self._set_aside([newer for newer in steps if newer > step])
                state, about = restored
                return state, about["seconds"]
        if steps:
            raise InputError(
                f"none of the checkpoints in {self._folder} can be read; remove them to train from the beginning"
            )
        return None

    def close(self) -> None:
        """Waits for what is being written.

        Raises:
            SaveError: where it cannot be.
        """
        self._write(self._manager.wait_until_finished)
        self._manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A process that fails alone would wait here for the others, which wait for it.
        if kind in (None, NonFiniteLossError) or jax.process_count() == 1:
            self.close()

    def _write(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except Exception as error:  # orbax and what it stands on raise all kinds
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


def read_newest(
    folder: Path, like: Callable[[dict[str, Any]], TrainState], warn: Callable[[str], None]
) -> tuple[TrainState, dict[str, Any]] | None:
    """The newest checkpoint that can be read, on this machine's devices, with what it carries along; None for none.

    Args:
        folder: of the checkpoints; nothing is written there, and it need not exist.
        like: from what the checkpoint carries along to a state of its shapes.
        warn: is told in one line of a checkpoint that is damaged.
    """
    if not folder.is_dir():
        return None
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax warns of what read_only is there for
    options = ocp.CheckpointManagerOptions(read_only=True, create=False)
    with ocp.CheckpointManager(folder.absolute(), options=options) as manager:
        for step in sorted(manager.all_steps(), reverse=True):
            restored = _restore(manager, step, like, warn)
            if restored:
                return restored
    return None


def checksum(tree: Any) -> int:
    """CRC-32 of the bytes of all arrays in turn.

    >>> checksum({"a": np.arange(2, dtype=np.int32)}) == checksum([np.zeros(1, np.int32), np.ones(1, np.int32)])
    True
    """
    crc = 0
    for leaf in jax.tree.leaves(jax.device_get(tree)):
        crc = zlib.crc32(np.ascontiguousarray(leaf).view(np.uint8), crc)
    return crc


def _check_same_data(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Other examples under the same numbers would silently make another run of it."""
    for name in before.keys() & now.keys():
        if before[name] != now[name]:
            raise InputError(
                f"the data has changed since the run began: {name} was {before[name]} and is {now[name]}; "
                "bring back the data, or begin a new --workdir"
            )


def _restore(
    manager: ocp.CheckpointManager,
    step: int,
    like: Callable[[dict[str, Any]], TrainState],
    warn: Callable[[str], None],
) -> tuple[TrainState, dict[str, Any]] | None:
    """One checkpoint: its state and what it carries along; None where it is damaged, in whatever way, in any process.

    `like` decides whether these are the right ones, so what it raises is not taken for damage.
    """

    def read_about() -> dict[str, Any]:
        return manager.restore(step, args=ocp.args.Composite(progress=ocp.args.JsonRestore())).progress

    def read_state() -> TrainState:
        state = manager.restore(step, args=ocp.args.Composite(state=_restore_like(shapes))).state
        if about.get("checksum") not in (None, checksum(state)):
            raise ValueError("its bytes are not those that were saved")
        return state

    about = _read(read_about, step, warn)
    if about is None:
        return None
    shapes = like(about)
    state = _read(read_state, step, warn)
    return None if state is None else (state, about)


def _restore_like(state: TrainState) -> ocp.args.StandardRestore:
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])  # wherever it was saved from

    def describe(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None) or here)

    return ocp.args.StandardRestore(jax.tree.map(describe, state))


def _read(read: Callable[[], _T], step: int, warn: Callable[[str], None]) -> _T | None:
    """What `read` returns, if it returns in all processes."""
    try:
        result = read()
    except Exception as error:  # orbax and what it stands on raise all kinds
        warn(f"checkpoint {step} cannot be read, an older one is looked for: {_reason(error)}")
        result = None
    return result if all_processes(result is not None) else None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"

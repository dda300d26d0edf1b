"""Checkpoints: written whole or not at all, the newest few kept, by orbax."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from mi_coding.errors import InputError
from mi_coding.training.step import TrainState


class Checkpoints:
    """The folder `checkpoints/` of a work directory.

    A checkpoint holds the state, the seconds of training that led to it, and what a reader must know of the data.
    Orbax writes it under a temporary name and renames it, so one that is visible is complete.
    """

    def __init__(self, folder: Path, *, keep: int, about: Mapping[str, Any] | None = None):
        """Opens or makes the folder.

        Args:
            folder: of the checkpoints.
            keep: so many newest ones stay.
            about: plain values that each checkpoint carries along, for `read_newest`. Those under "data" tell what it
                was trained on; a run is not continued on other data.
        """
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)
        self._about = dict(about or {})

    def save(self, state: TrainState, seconds: float) -> None:
        """Writes a checkpoint of this state, unless its step has one already."""
        step = int(state.step)
        if step != self._manager.latest_step():
            progress = ocp.args.JsonSave({"seconds": seconds} | self._about)
            self._manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), progress=progress))

    def restore(self, like: TrainState) -> tuple[TrainState, float] | None:
        """The newest state with its seconds of training, bit for bit as saved; None where there is no checkpoint.

        Raises:
            InputError: where the data is not what the run was begun with.
        """
        step = self._manager.latest_step()
        if step is None:
            return None
        progress = self._manager.restore(step, args=ocp.args.Composite(progress=ocp.args.JsonRestore())).progress
        _check_same_data(progress.get("data", {}), self._about.get("data", {}))
        restored = self._manager.restore(step, args=ocp.args.Composite(state=_restore_like(like)))
        return restored.state, progress["seconds"]

    def close(self) -> None:
        """Waits for what is being written."""
        self._manager.close()


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
            about = _read(manager, step, warn, progress=ocp.args.JsonRestore())
            if about is not None:
                restored = _read(manager, step, warn, state=_restore_like(like(about)))
                if restored is not None:
                    return restored, about
    return None


def _check_same_data(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Other examples under the same numbers would silently make another run of it."""
    for name in before.keys() & now.keys():
        if before[name] != now[name]:
            raise InputError(
                f"the data has changed since the run began: {name} was {before[name]} and is {now[name]}; "
                "bring back the data, or begin a new --workdir"
            )


def _restore_like(state: TrainState) -> ocp.args.StandardRestore:
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])  # wherever it was saved from

    def describe(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None) or here)

    return ocp.args.StandardRestore(jax.tree.map(describe, state))


def _read(manager: ocp.CheckpointManager, step: int, warn: Callable[[str], None], **wanted: Any) -> Any:
    """One item of one checkpoint; None where it is damaged, in whatever way."""
    (name,) = wanted
    try:
        return manager.restore(step, args=ocp.args.Composite(**wanted))[name]
    except Exception as error:  # orbax and what it stands on raise all kinds
        reason = " ".join(str(error).split())[:200]
        warn(f"checkpoint {step} cannot be read, an older one is looked for: {type(error).__name__}: {reason}")
        return None

"""Checkpoints: written whole or not at all, the newest few kept, by orbax."""

from pathlib import Path

import jax
import orbax.checkpoint as ocp

from mi_coding.training.step import TrainState


class Checkpoints:
    """The folder `checkpoints/` of a work directory.

    A checkpoint holds the state and the seconds of training that led to it. Orbax writes it under a temporary name and
    renames it, so one that is visible is complete.
    """

    def __init__(self, folder: Path, *, keep: int):
        """Opens or makes the folder; `keep` newest checkpoints stay."""
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(self, state: TrainState, seconds: float) -> None:
        """Writes a checkpoint of this state, unless its step has one already."""
        step = int(state.step)
        if step != self._manager.latest_step():
            items = ocp.args.Composite(
                state=ocp.args.StandardSave(state), progress=ocp.args.JsonSave({"seconds": seconds})
            )
            self._manager.save(step, args=items)

    def restore(self, like: TrainState) -> tuple[TrainState, float] | None:
        """The newest state with its seconds of training, bit for bit as saved; None where there is no checkpoint."""
        step = self._manager.latest_step()
        if step is None:
            return None
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        items = ocp.args.Composite(state=ocp.args.StandardRestore(abstract), progress=ocp.args.JsonRestore())
        restored = self._manager.restore(step, args=items)
        return restored.state, restored.progress["seconds"]

    def close(self) -> None:
        """Waits for what is being written."""
        self._manager.close()

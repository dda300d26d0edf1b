"""What the devices do in some steps, written down for the profiler of TensorBoard or XProf."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from mi_coding.training.loop import Hook

TRACED_STEPS = 10
"""A trace ends after so many steps; the first of all, which waits for much, is not among them."""


@contextmanager
def traced(folder: Path) -> Iterator[Hook]:
    """A hook that begins a trace when it is first due and ends it when it is due again, or else at the end.

    Args:
        folder: of the trace.
    """
    state = {"calls": 0, "running": False}

    def trace(*_: Any) -> None:
        state["calls"] += 1
        if state["running"]:
            stop()
        elif state["calls"] == 1:
            jax.profiler.start_trace(folder)
            state["running"] = True

    def stop() -> None:
        state["running"] = False
        jax.profiler.stop_trace()

    try:
        yield Hook(TRACED_STEPS, trace)
    finally:
        if state["running"]:
            stop()

"""Profiler traces of some steps, for TensorBoard or XProf."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from mi_coding.training.loop import Hook

TRACED_STEPS = 10
"""Steps of a trace; the first step of the run, which compiles, is not among them."""


@contextmanager
def traced(folder: Path) -> Iterator[Hook]:
    """A context with a hook that starts a trace when first due and stops it when next due, or when the context exits.

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

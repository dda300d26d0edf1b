"""The training loop: steps, calls hooks when they are due, and stops on a signal; independent of the objective."""

import itertools
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax

from mi_coding.errors import NonFiniteLossError
from mi_coding.interrupts import deferred
from mi_coding.training.devices import DataParallel
from mi_coding.training.step import TrainState

TRACED_STEPS = 10
"""Steps of a trace; the first step of the run, which compiles, is not among them."""

LONGEST_CALL = 4.0
"""Approximate limit, in seconds, of a call of several steps on a CPU."""


class Hook(NamedTuple):
    """A callback after every `every` steps, after the first and after the last.

    Attributes:
        every: in steps.
        call: (step, state, metrics) → None, with single copies fetched from the devices; never called with a state
            whose loss was not finite.
    """

    every: int
    call: Callable[[int, TrainState, dict[str, jax.Array]], None]


@contextmanager
def traced(folder: Path) -> Iterator[Hook]:
    """A context with a hook that writes a profiler trace of some steps, for TensorBoard or XProf.

    The hook starts the trace when first due and stops it when next due, or when the context exits.
    """
    times_due = itertools.count(1)
    with ExitStack() as running:

        def trace(*_: Any) -> None:
            if next(times_due) == 1:
                running.enter_context(jax.profiler.trace(folder))
            else:
                running.close()

        yield Hook(TRACED_STEPS, trace)


class Trained(NamedTuple):
    """The result of training: the state, fetched from the devices, and the signal that stopped it early, if any."""

    state: TrainState
    stopped_by: signal.Signals | None


def train(
    advance: Callable[[TrainState, int], tuple[TrainState, dict[str, jax.Array]]],
    state: TrainState,
    *,
    parallel: DataParallel,
    num_steps: int,
    steps_per_call: int = 1,
    hooks: Sequence[Hook],
    save: Hook,
) -> Trained:
    """Trains from `state` to `num_steps`, or until SIGTERM or SIGINT, after which it saves; processes stop in lockstep.

    Args:
        advance: (state, count) → (state after count steps, metrics of the last one), on all devices, from feed.py.
        state: a single copy; training continues at its step.
        parallel: how `advance` runs.
        num_steps: the step at which training ends.
        steps_per_call: maximum number of steps per call of `advance`; fewer if a hook is due before, or if steps are
            slow on a CPU, since a signal waits for the end of a call.
        hooks: called in this order when due.
        save: the hook that writes a checkpoint; called when due, and when a signal stops the loop.
    Raises:
        NonFiniteLossError: naming the first step whose loss was not finite; that state has not been saved.
    """
    step, in_flight, told_to_stop = int(state.step), deque(), deque()
    state, most = parallel.replicate(state), 1 if parallel.steps_in_flight == 1 else steps_per_call
    with deferred() as received:
        while step < num_steps:
            count, started = min(most, _next_due(step, num_steps, [*hooks, save]) - step), time.monotonic()
            state, metrics = advance(state, count)
            step += count
            in_flight.append(metrics)
            if len(in_flight) >= parallel.steps_in_flight:
                jax.block_until_ready(in_flight.popleft())
            if parallel.steps_in_flight == 1:  # metrics may be ready while virtual devices still exchange gradients
                jax.block_until_ready(state)
                most = min(steps_per_call, _steps_within(LONGEST_CALL, (time.monotonic() - started) / count))
            # Read as late as the metrics, so that devices do not wait; all processes stop after the same step.
            told_to_stop.append(parallel.any_process(bool(received)))
            stopping = len(told_to_stop) >= parallel.steps_in_flight and bool(told_to_stop.popleft())
            due = [hook for hook in hooks if step % hook.every == 0 or step in (1, num_steps)]
            if stopping or step % save.every == 0 or step == num_steps:
                due.append(save)
            if due:
                _call(due, step, parallel.fetch(state), parallel.fetch(metrics))
            if stopping:
                break
    of_another = signal.SIGTERM if step < num_steps else None
    stopped_by = received[0] if received else of_another
    return Trained(parallel.fetch(state), stopped_by)


def _steps_within(seconds: float, of_one: float) -> int:
    """The number of steps of duration `of_one` that fit into `seconds`; at least one."""
    return max(1, int(seconds / max(of_one, 1e-9)))


def _next_due(step: int, num_steps: int, hooks: Sequence[Hook]) -> int:
    """The next step after which a hook is due; one is always due after the very first step."""
    return min([1] if step == 0 else [num_steps, *((step // hook.every + 1) * hook.every for hook in hooks)])


def _call(due: Sequence[Hook], step: int, state: TrainState, metrics: dict[str, jax.Array]) -> None:
    if non_finite_at := int(state.non_finite_at):
        raise NonFiniteLossError(f"the loss of step {non_finite_at} is not finite")
    for hook in due:
        hook.call(step, state, metrics)

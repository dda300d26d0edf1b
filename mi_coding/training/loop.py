"""The loop: it steps, calls what is due, and stops when told to. It knows of no objective."""

import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax

from mi_coding.errors import NonFiniteLossError
from mi_coding.training.devices import Spmd
from mi_coding.training.step import TrainState


class Hook(NamedTuple):
    """Something done every few steps, after the very first and after the last.

    Attributes:
        every: in steps.
        call: (step, state, metrics) → None, with single copies fetched from the devices; never called with a state
            whose loss was not finite.
    """

    every: int
    call: Callable[[int, TrainState, dict[str, jax.Array]], None]


class Trained(NamedTuple):
    """How training ended: the state, fetched from the devices, and the signal that stopped it early, if one did."""

    state: TrainState
    stopped_by: signal.Signals | None


def train(
    step_fn: Callable,
    state: TrainState,
    data: Any,
    *,
    spmd: Spmd,
    num_steps: int,
    hooks: Sequence[Hook],
    save: Hook,
) -> Trained:
    """Trains from `state` to `num_steps`, or until SIGTERM or SIGINT, which save first.

    Args:
        step_fn: (state, data) → (state, metrics), from `Spmd.parallel`.
        state: a single copy; training continues at its step.
        data: passed to every step, a single copy.
        spmd: how `step_fn` runs.
        num_steps: where training ends.
        hooks: called in this order when due.
        save: the hook that writes a checkpoint; called when due, and once more when a signal stops the loop.
    Raises:
        NonFiniteLossError: naming the first step whose loss was not finite; nothing of it has been saved.
    """
    first, in_flight = int(state.step), deque()
    state, data = spmd.replicate(state), spmd.replicate(data)
    with _stop_signals() as received:
        for step in range(first + 1, num_steps + 1):
            state, metrics = step_fn(state, data)
            in_flight.append(metrics)
            if len(in_flight) >= spmd.steps_in_flight:
                jax.block_until_ready(in_flight.popleft())
            stopping = bool(received)
            due = [hook for hook in hooks if step % hook.every == 0 or step in (1, num_steps)]
            if stopping or step % save.every == 0 or step == num_steps:
                due.append(save)
            if due:
                _call(due, step, spmd.fetch(state), spmd.fetch(metrics))
            if stopping:
                break
    last = spmd.fetch(state)
    return Trained(last, received[0] if received and int(last.step) < num_steps else None)


def _call(due: Sequence[Hook], step: int, state: TrainState, metrics: dict[str, jax.Array]) -> None:
    non_finite_at = int(state.non_finite_at)
    if non_finite_at:
        raise NonFiniteLossError(f"the loss of step {non_finite_at} is not finite")
    for hook in due:
        hook.call(step, state, metrics)


@contextmanager
def _stop_signals() -> Iterator[list[signal.Signals]]:
    """Collects SIGTERM and SIGINT instead of dying of them; a second SIGINT is not caught."""
    received: list[signal.Signals] = []

    def note(number: int, frame: Any) -> None:
        del frame
        received.append(signal.Signals(number))
        signal.signal(number, before[number])

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

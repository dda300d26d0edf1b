"""How the steps get their data: all of it on the devices, or batch by batch from the host.

Either way the loop sees one function, (state, count) → (state, metrics), and knows nothing of data.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mi_coding.training.devices import DataParallel
from mi_coding.training.flops import count_flops
from mi_coding.training.step import TrainState, repeat_step


class StepRunner(NamedTuple):
    """Steps with their data.

    Attributes:
        advance: (state, count) → (state, metrics of the last step), the state as `DataParallel.replicate` lays it out.
        compiled: the compiled program, which reports how much memory it needs.
        flops: of one step on one device, see `count_flops`.
    """

    advance: Callable[[TrainState, int], tuple[TrainState, dict[str, jax.Array]]]
    compiled: jax.stages.Compiled
    flops: int


def from_device_data(
    step: Callable, state: TrainState, data: Any, parallel: DataParallel, *, steps_per_call: int = 1
) -> StepRunner:
    """All data is replicated on every device, and one call takes `count` steps.

    Args:
        step: (state, data) → (state, metrics) on one device, from `make_step`.
        state: a single copy, for its shapes.
        data: a tree of arrays.
        steps_per_call: the largest `count` of a call; with 1 there is no loop on the device.
    """
    data = parallel.replicate(data)
    if steps_per_call == 1:
        compiled, flops = _compile(parallel.parallel(step), parallel.replicate(state), data)
        return StepRunner(_one_at_a_time(lambda state: compiled(state, data)), compiled, flops)
    counts = {count: parallel.replicate(jnp.array(count, jnp.int32)) for count in range(1, steps_per_call + 1)}
    compiled, flops = _compile(parallel.parallel(repeat_step(step)), parallel.replicate(state), data, counts[1])
    return StepRunner(lambda state, count: compiled(state, data, counts[count]), compiled, flops)


def from_stream(
    step: Callable, state: TrainState, first: Any, batches: Iterator[Any], parallel: DataParallel
) -> StepRunner:
    """Each step gets the next batch of examples, sharded over the devices; a call takes one step.

    Args:
        step: (state, examples) → (state, metrics) on one device, from `make_step`.
        state: a single copy, for its shapes.
        first: a batch, for its shapes; it is not trained on.
        batches: trees of arrays with the global batch as their first axis.
    """
    compiled, flops = _compile(parallel.parallel(step, sharded=True), parallel.replicate(state), parallel.shard(first))
    return StepRunner(_one_at_a_time(lambda state: compiled(state, parallel.shard(next(batches)))), compiled, flops)


def _compile(mapped: Callable, *arguments: Any) -> tuple[jax.stages.Compiled, int]:
    return mapped.lower(*arguments).compile(), count_flops(mapped, *arguments)


def _one_at_a_time(step: Callable) -> Callable:
    def advance(state: TrainState, count: int) -> tuple[TrainState, dict[str, jax.Array]]:
        if count != 1:
            raise ValueError(f"{count} steps in a call that takes one; expected 1")
        return step(state)

    return advance

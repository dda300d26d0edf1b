"""The training step of a config for devices that need not be present, with batches that are streamed."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mi_coding.runs import build
from mi_coding.runs.build import Plan, with_parts
from mi_coding.runs.run import check_devices
from mi_coding.training.devices import data_parallel
from mi_coding.training.step import init_state, make_step

NUM_STEPS = 1000
"""Steps of the run that this step would be part of; the program does not depend on it."""


class Lowerable(NamedTuple):
    """A jitted function and the shapes of its arguments.

    Attributes:
        step: (state, batch) → (state, metrics).
        state: shapes of the training state.
        batch: shapes of a global batch.
    """

    step: Callable
    state: Any
    batch: Any

    def compile(self) -> jax.stages.Compiled:
        """The program, compiled for the devices of the step."""
        return self.step.lower(self.state, self.batch).compile()


def training_step(
    plan: Plan, described: list[dict[str, Any]], num_classes: int, devices: Sequence[jax.Device], platform: str
) -> Lowerable:
    """The step that a run of a plan would take.

    Args:
        plan: of the config.
        described: an example of the data, see `data.describe_examples`.
        num_classes: of its labels; 0 for none.
        devices: those that share a batch.
        platform: "gpu" or "tpu", for which the encoder is made.
    Raises:
        InputError: for a config that cannot run on these devices.
    """
    check_devices(plan, len(devices))
    method = with_parts(plan, described, num_classes, num_devices=len(devices), num_steps=NUM_STEPS, platform=platform)
    experiment = build.build_experiment(plan, method, NUM_STEPS, streamed=True)
    key, parallel = jax.random.key(plan.run.seed), data_parallel("shard_map", devices)
    few, size = jax.tree.map(jnp.asarray, build.dummy_batch(method, described, 2)), plan.run.batch_size
    batch = jax.tree.map(lambda one: jax.ShapeDtypeStruct((size, *one.shape[1:]), one.dtype), few)
    state = jax.eval_shape(lambda few: init_state(experiment, key, few), few)
    return Lowerable(parallel.parallel(make_step(experiment, key, len(devices)), sharded=True), state, batch)

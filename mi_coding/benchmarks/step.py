"""Where the time of a training step goes: the encoder, and everything else.

    python -m mi_coding.benchmarks.step [--config=FILE] [--rounds=15] [--steps=10] [--config.KEY=VALUE …]

"Everything else" is drawing the pairs, the critic, the loss, the optimiser and logging. Encoder alone is the forward
and backward pass of the same network on the same pairs, from codes to the gradient of every parameter. Both are timed
alternately, so that a busy machine slows them alike; medians are printed, and the share is the median of the ratios.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from rich.console import Console
from rich.table import Column, Table

from mi_coding.benchmarks.arguments import split_arguments
from mi_coding.benchmarks.timing import take_turns
from mi_coding.command import run_command
from mi_coding.reporting.metrics import MetricsWriter
from mi_coding.runs import build
from mi_coding.runs.build import with_parts
from mi_coding.runs.examples import load_data
from mi_coding.runs.run import check_devices
from mi_coding.training.devices import AXIS, data_parallel
from mi_coding.training.step import init_state, make_step

ROUNDS, STEPS = 15, 10
"""How often both are timed, and the steps in one timing."""


def measure(config, rounds: int, steps: int) -> dict[str, float]:
    """Milliseconds of a whole step and of its encoder alone, and the share of the step that is not the encoder."""
    plan, num_steps = build.plan(config), (rounds + 1) * steps
    way = data_parallel(plan.run.spmd)
    check_devices(plan, way.num_devices)
    images = jnp.asarray(load_data(plan, print).train.examples)
    method = with_parts(plan, [{"shape": images.shape[1:]}], 0, num_devices=way.num_devices, num_steps=num_steps)
    experiment = build.build_experiment(plan, method, num_steps, streamed=False)
    key = jax.random.key(plan.run.seed)
    initial = init_state(experiment, key, images)
    step = way.parallel(make_step(experiment, key, way.num_devices))
    encode = _encoder_alone(experiment, method, key, way, images, initial, steps)
    with tempfile.TemporaryDirectory() as folder, MetricsWriter(Path(folder), resume_step=0) as writer:
        state, shared = way.replicate(initial), way.replicate(images)

        def train_steps() -> None:
            nonlocal state
            for _ in range(steps):
                state, metrics = step(state, shared)
            writer.write(int(way.fetch(state.step)), jax.device_get(way.fetch(metrics)))

        seconds = take_turns({"whole": train_steps, "alone": encode}, rounds)
    others = [1 - alone / whole for whole, alone in zip(seconds["whole"], seconds["alone"], strict=True)]
    return {
        "step_ms": 1e3 * statistics.median(seconds["whole"]) / steps,
        "encoder_ms": 1e3 * statistics.median(seconds["alone"]) / steps,
        "share_not_encoder": statistics.median(others),
        "share_not_encoder_lowest": min(others),
        "share_not_encoder_highest": max(others),
    }


def _encoder_alone(experiment, method, key, way, images, initial, steps: int) -> Callable[[], None]:
    """A function that encodes and back-propagates so many times, without pairs, critic, loss, optimiser or log."""
    x, y = experiment.sample_pairs(key, images, jnp.arange(experiment.batch_size))
    shard = experiment.batch_size // way.num_devices

    def train_codes(params: Any, x: jax.Array) -> jax.Array:
        return method.encoder.apply(params["encoder"], initial.stats, x, True)[0][1]

    def one(state: tuple[Any, jax.Array], both: jax.Array) -> tuple[Any, dict]:
        params, weights = state
        here = lax.axis_index(AXIS) * shard
        mine = lax.dynamic_slice_in_dim(both, here, shard, axis=1).reshape(-1, *both.shape[2:])

        def total(params: Any) -> jax.Array:
            return lax.pmean(jnp.vdot(train_codes(params, mine), weights), AXIS)

        gradients = lax.pmean(jax.grad(total)(params), AXIS)
        # The gradient stays a result, so that no part of it can be left out, and moves the parameters by nothing.
        return (jax.tree.map(lambda p, g: p + 0 * g, params, gradients), weights), {}

    width = jax.eval_shape(lambda: train_codes(initial.params, x)).shape[1]
    compiled = way.parallel(one)
    both = way.replicate(jnp.stack([x, y]))
    state = way.replicate((initial.params, jax.random.normal(key, (2 * shard, width))))

    def run() -> None:
        nonlocal state
        for _ in range(steps):
            state, _ = compiled(state, both)
        jax.block_until_ready(state)

    return run


def main(argv: list[str] | None = None) -> int:
    """Prints the table and one line of JSON; returns the exit code."""
    return run_command(argv, __doc__, _main)


def _main(argv: list[str]) -> int:
    sizes, rest = split_arguments(argv, rounds=ROUNDS, steps=STEPS)
    command = build.parse(rest)
    result = measure(command.config, max(1, sizes.rounds), max(1, sizes.steps))
    heading = f"{command.config_name}, batch {command.config['batch_size']}"
    table = Table(heading, Column("median", justify="right"), box=None, padding=(0, 2))
    table.add_row("whole step", f"{result['step_ms']:.2f} ms")
    table.add_row("encoder alone, forward and backward", f"{result['encoder_ms']:.2f} ms")
    spread = f"{result['share_not_encoder_lowest']:.1%} to {result['share_not_encoder_highest']:.1%}"
    table.add_row("share of a step that is not the encoder", f"{result['share_not_encoder']:.1%} ({spread})")
    Console().print(table)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

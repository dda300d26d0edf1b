"""Where the time of a training step goes: the encoder, and everything else.

    python -m mi_coding.benchmarks.step [--config=FILE] [--rounds=15] [--steps=10] [--config.KEY=…]
    python -m mi_coding.benchmarks.step --against=torch --config.optimizer.name=adamw

"Everything else" is drawing the pairs, the critic, the loss, the optimiser and logging. Encoder alone is the forward
and backward pass of the same network on the same pairs, from codes to the gradient of every parameter. Both are timed
alternately, so that a busy machine slows them alike; medians are printed, and the share is the median of the ratios.

With --against=torch the same network and loss take their turns in PyTorch, on the CPU and without any data to read or
to augment, and the ratio of the times is printed: above 1, our whole step is the faster one. PyTorch's Muon is for
matrices alone, so the optimiser of `configs/cpc.py` has no counterpart there.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from rich.console import Console
from rich.table import Column, Table

from mi_coding.benchmarks.arguments import IS_STREAMED, split_arguments
from mi_coding.benchmarks.timing import take_turns
from mi_coding.command import run_command
from mi_coding.data import in_memory
from mi_coding.errors import InputError, Setting
from mi_coding.objectives.gradient import mean_gradient
from mi_coding.reporting.metrics import MetricsWriter
from mi_coding.runs import build
from mi_coding.runs.build import with_parts
from mi_coding.runs.examples import load_data
from mi_coding.runs.run import check_devices
from mi_coding.training.devices import AXIS, data_parallel
from mi_coding.training.feed import from_device_data
from mi_coding.training.step import init_state, make_step

ROUNDS, STEPS = 15, 10
"""How often both are timed, and the steps in one timing."""


def measure(config, rounds: int, steps: int, against_torch: bool = False) -> dict[str, float]:
    """Milliseconds of a whole step and of its encoder alone, and the share of the step that is not the encoder.

    With PyTorch beside it, also milliseconds of its step in each memory layout, and how many times as fast ours is.
    """
    plan, num_steps = build.plan(config), (rounds + 1) * steps
    way = data_parallel(plan.run.spmd)
    check_devices(plan, way.num_devices)
    if plan.method.learns_labels:
        hint = " learns from labels, which are not timed here; expected an objective without"
        raise InputError(Setting("objective.name", plan.method.name), hint)
    if plan.pairs.takes_given_pairs or plan.pairs.takes_films or plan.pairs.are_sequences:
        hint = " is not timed here; expected 'frames' or another kind that makes pairs of one image"
        raise InputError(Setting("pairs.name", plan.pairs.name), hint)
    train = load_data(plan, print).train
    if not in_memory(train):
        raise InputError(Setting("data.source", plan.data.source), IS_STREAMED)
    images = jnp.asarray(train.examples)
    method = with_parts(plan, [{"shape": images.shape[1:]}], 0, num_devices=way.num_devices, num_steps=num_steps)
    experiment = build.build_experiment(plan, method, num_steps, streamed=False)
    key = jax.random.key(plan.run.seed)
    initial = init_state(experiment, key, images)
    step = make_step(experiment, key, way.num_devices)
    loop = steps if way.num_devices == 1 else 1  # as a run takes them, see `runs.run.steps_per_call`
    runner = from_device_data(step, initial, images, way, steps_per_call=loop)
    x, y = experiment.sample_pairs(key, images, jnp.arange(experiment.batch_size))
    encode = _encoder_alone(method, way, jnp.stack([x, y]), initial, steps, loop)
    peers = _torch_steps(plan, initial.params["encoder"], x.shape[1:], steps) if against_torch else {}
    with tempfile.TemporaryDirectory() as folder, MetricsWriter(Path(folder), resume_step=0) as writer:
        state = way.replicate(initial)

        def train_steps() -> None:
            nonlocal state
            for _ in range(steps // loop):
                state, metrics = runner.advance(state, loop)
            writer.write(int(way.fetch(state.step)), jax.device_get(way.fetch(metrics)))

        seconds = take_turns({"whole": train_steps, "alone": encode} | peers, rounds)
    others = [1 - alone / whole for whole, alone in zip(seconds["whole"], seconds["alone"], strict=True)]
    beside = {}
    for name in peers:
        ratios = [peer / whole for whole, peer in zip(seconds["whole"], seconds[name], strict=True)]
        beside |= {f"{name} ms": 1e3 * statistics.median(seconds[name]) / steps}
        beside |= {f"{name} ratio": statistics.median(ratios)}
    return beside | {
        "step_ms": 1e3 * statistics.median(seconds["whole"]) / steps,
        "encoder_ms": 1e3 * statistics.median(seconds["alone"]) / steps,
        "share_not_encoder": statistics.median(others),
        "share_not_encoder_lowest": min(others),
        "share_not_encoder_highest": max(others),
    }


def _torch_steps(plan: build.Plan, params: Any, shape: tuple[int, ...], steps: int) -> dict[str, Callable[[], None]]:
    if find_spec("torch") is None:
        raise InputError("--against=torch needs PyTorch, which is not installed: pip install torch")
    from mi_coding.benchmarks.torch_step import torch_steps

    return torch_steps(plan, params, shape, steps)


def _encoder_alone(method, way, both: jax.Array, initial, steps: int, loop: int) -> Callable[[], None]:
    """A function that encodes and back-propagates `steps` times, without pairs, critic, loss, optimiser or log."""
    shard = both.shape[1] // way.num_devices

    def train_codes(params: Any, x: jax.Array) -> jax.Array:
        return method.encoder.apply(params, initial.stats, x, True)[0][1]

    def one(state: tuple[Any, jax.Array], both: jax.Array) -> tuple[Any, dict]:
        params, weights = state
        here = lax.axis_index(AXIS) * shard
        mine = lax.dynamic_slice_in_dim(both, here, shard, axis=1).reshape(-1, *both.shape[2:])

        def total(params: Any) -> tuple[jax.Array, None]:
            codes = train_codes(method.encoder_shares(params, AXIS), mine)
            return lax.pmean(jnp.vdot(codes, weights), AXIS), None

        _, gradients = mean_gradient(total, AXIS)(params)
        # The gradient stays part of the result, so that XLA cannot eliminate any of it, and changes no parameter.
        return (jax.tree.map(lambda p, g: p + 0 * g, params, gradients), weights), {}

    width = jax.eval_shape(lambda: train_codes(initial.params["encoder"], both[0])).shape[1]
    compiled = way.parallel(
        lambda state, both: (lax.fori_loop(0, loop, lambda _, state: one(state, both)[0], state), {})
    )
    both, weights = way.replicate(both), jax.random.normal(jax.random.key(0), (2 * shard, width))
    state = way.replicate((initial.params, weights))

    def run() -> None:
        nonlocal state
        for _ in range(steps // loop):
            state, _ = compiled(state, both)
        jax.block_until_ready(state)

    return run


def main(argv: list[str] | None = None) -> int:
    """Prints the table and one line of JSON; returns the exit code."""
    return run_command(argv, __doc__, _main)


def _main(argv: list[str]) -> int:
    own, rest = split_arguments(argv, rounds=ROUNDS, steps=STEPS, against="")
    if own.against not in ("", "torch"):
        raise InputError(f"--against={own.against} is unknown; expected torch")
    command = build.parse(rest)
    result = measure(command.config, max(1, own.rounds), max(1, own.steps), bool(own.against))
    heading = f"{command.config_name}, batch {command.config['batch_size']}"
    table = Table(heading, Column("median", justify="right"), box=None, padding=(0, 2))
    table.add_row("whole step", f"{result['step_ms']:.2f} ms")
    table.add_row("encoder alone, forward and backward", f"{result['encoder_ms']:.2f} ms")
    spread = f"{result['share_not_encoder_lowest']:.1%} to {result['share_not_encoder_highest']:.1%}"
    table.add_row("share of a step that is not the encoder", f"{result['share_not_encoder']:.1%} ({spread})")
    for name in (key.removesuffix(" ratio") for key in result if key.endswith(" ratio")):
        table.add_row(f"{name}, network and loss alone", f"{result[f'{name} ms']:.2f} ms")
        table.add_row("  our whole step, times as fast", f"{result[f'{name} ratio']:.2f}")
    Console().print(table)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

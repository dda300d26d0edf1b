"""What a training step sends, holds and computes on each device as devices are added. Compiled, and never run.

    python -m mi_coding.benchmarks.scaling [--output=FILE] [--config=FILE] [--config.KEY=VALUE …]

Two tables: first a fixed number of pairs per device on 1 to 512 devices; then a batch of a million pairs on large
machines, with the least time that each step could take there, if every device computed and sent at the rates of its
data sheet. Both are counted in the program that XLA compiles for as many virtual devices of this CPU. Other compilers
allocate other temporaries, so read memory as a size, not as a promise.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
from rich.console import Console
from rich.table import Column, Table

from mi_coding import data
from mi_coding.benchmarks.arguments import split_arguments
from mi_coding.benchmarks.hlo import Program
from mi_coding.benchmarks.lowering import training_step
from mi_coding.benchmarks.targets import CHIPS
from mi_coding.command import run_command
from mi_coding.errors import InputError, Setting
from mi_coding.reporting.files import write_atomically
from mi_coding.runs import build
from mi_coding.runs.build import Plan
from mi_coding.runs.examples import load_data
from mi_coding.runs.run import check_devices
from mi_coding.training.flops import count_flops
from mi_coding.training.memory import bytes_needed, describe_bytes

DEVICES, PAIRS_EACH = (1, 8, 64, 512), 256
METHODS = ("gather", "ring")
MILLION = 2**20
_WIDTH = 110


class Machine(NamedTuple):
    """Many devices of one kind: how many, and what each computes and sends in a second and holds, by its data sheet."""

    name: str
    devices: int
    flops: float
    sends: float
    holds: int


V5E, H200 = CHIPS["v5e"], CHIPS["h200"]
MACHINES = (
    Machine("v5e-256", 256, V5E.flops, V5E.sends, V5E.memory),
    Machine("64 × 8 H200", 512, H200.flops, H200.sends_far, H200.memory),
)


class Cost(NamedTuple):
    """Costs of one step on one device: bytes it sends and needs, operations of its products; B and devices in total."""

    method: str
    devices: int
    batch: int
    sent: int
    memory: int
    flops: int


def cost(config: Mapping[str, Any], method: str, num_devices: int, batch: int) -> Cost:
    """Compiles the step of a config with this method for the first `num_devices` devices, and counts."""
    plan = build.plan({**config, "batch_size": batch, "objective.method": method})
    check_devices(plan, num_devices)  # before any data is read
    if plan.optimizer.all_reduce_dtype != "float32":
        asked = Setting("optimizer.all_reduce_dtype", plan.optimizer.all_reduce_dtype)
        raise InputError(asked, "; expected 'float32': CPUs, whose program is counted here, send no bfloat16")
    described = [{"shape": _example_shape(plan), "dtype": "uint8"}]
    step = training_step(plan, described, 0, jax.devices()[:num_devices], "tpu")
    compiled = step.compile()
    sent = round(Program(compiled.as_text(), num_devices).work().sent)
    return Cost(method, num_devices, batch, sent, bytes_needed(compiled), count_flops(*step))


def _example_shape(plan: Plan) -> tuple[int, ...]:
    """The shape of an image, from the config where it specifies one, or else from the data."""
    pairs, options = plan.pairs, plan.data
    if pairs.takes_given_pairs or pairs.takes_films or pairs.are_sequences:
        hint = "; expected pairs of single images, as in configs/cpc.py"
        raise InputError(Setting("pairs.name", pairs.name), hint)
    if options.image_size and options.channels:
        return (options.image_size, options.image_size, options.channels)
    return tuple(data.describe_examples(load_data(plan, print).train)[0]["shape"])


def measure(config: Mapping[str, Any]) -> Iterator[tuple[str, Cost]]:
    """Costs with a fixed number of pairs per device, and of a million pairs on each machine: (name, cost)."""
    for method in METHODS:
        for devices in DEVICES:
            yield f"{PAIRS_EACH} pairs a device", cost(config, method, devices, PAIRS_EACH * devices)
        for machine in MACHINES:
            yield machine.name, cost(config, method, machine.devices, MILLION)


def least_seconds(cost: Cost, machine: Machine) -> dict[str, float]:
    """Seconds that computing and sending take at least, and memory as a share of what there is."""
    return {
        "computing": cost.flops / machine.flops,
        "sending": cost.sent / machine.sends,
        "memory": cost.memory / machine.holds,
    }


def print_tables(costs: list[tuple[str, Cost]], console: Console) -> None:
    """What was counted, and what large machines would need: computed, not run."""
    machines = {machine.name: machine for machine in MACHINES}
    number, style = partial(Column, justify="right"), {"title_justify": "left", "box": None}
    numbers = map(number, ("devices", "B", "sent", "memory", "TFLOP"))
    title = "a step on each device, counted in the compiled program"
    counted = Table("", "method", *numbers, title=title, **style)
    numbers = map(number, ("b", "sent", "in ≥", "TFLOP", "in ≥", "memory", "of all"))
    large = Table("machine", "method", *numbers, title="a batch of 1,048,576 pairs: computed, not run", **style)
    for name, c in costs:
        sent, memory, work = describe_bytes(c.sent), describe_bytes(c.memory), f"{c.flops / 1e12:.3g}"
        if name in machines:
            least, each = least_seconds(c, machines[name]), f"{c.batch // c.devices:,}"
            times = [f"{1e3 * least[what]:,.1f} ms" for what in ("sending", "computing")]
            large.add_row(name, c.method, each, sent, times[0], work, times[1], memory, f"{least['memory']:.1%}")
        else:
            counted.add_row(name, c.method, f"{c.devices:,}", f"{c.batch:,}", sent, memory, work)
    console.print(counted, "", large)


def main(argv: list[str] | None = None) -> int:
    """Prints both tables, and writes them where requested; returns the exit code."""
    return run_command(argv, __doc__, _main)


def _main(argv: list[str]) -> int:
    given, rest = split_arguments(argv, output="")
    # Read when JAX first looks for devices, which importing it does not.
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={max(DEVICES)}"
    jax.config.update("jax_platforms", "cpu")
    costs = list(measure(build.parse(rest).config))
    print_tables(costs, Console(width=_WIDTH))
    if given.output:
        rows = [{"what": name, "computed, not run": True} | cost._asdict() for name, cost in costs]
        write_atomically(given.output, json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

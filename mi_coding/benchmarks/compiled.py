"""What a training step needs on machines that are not present, according to their own compilers.

    python -m mi_coding.benchmarks.compiled --target=v5e:2x4 [--config=FILE …] [--config.KEY=VALUE …]
                                            [--check] [--output=FILE.json]

    --target   v5e, v5p, v6e and the shape of a slice, as v5e:16x16; a100, h100, h200, b200 and how many, as h100:8,
               or hosts x GPUs of each, as h200:8x8
    --config   a config; may be given several times
    --check    one line for each config, and exit code 2 where it does not fit
    --output   writes the tables as JSON

Compiles the step that `mi_coding.main` would run, with batches that are streamed, and prints for each part of it:
operations of its products, bytes read and written, kernels, exchanges between the devices and the bytes they send; and
the least time that each takes by the data sheet, if the others were free. Nothing is run. Operations are counted in the
traced program, everything else in the text of the compiled program.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console
from rich.table import Column, Table

from mi_coding import data
from mi_coding.benchmarks.arguments import is_config, split_arguments
from mi_coding.benchmarks.hlo import Program, Work
from mi_coding.benchmarks.lowering import training_step
from mi_coding.benchmarks.targets import Target, find_target
from mi_coding.command import run_command
from mi_coding.errors import InputError, Setting
from mi_coding.reporting.files import write_atomically
from mi_coding.runs import build
from mi_coding.runs.build import Plan
from mi_coding.runs.examples import count_classes, load_data, standardised, usable
from mi_coding.runs.run import check_devices
from mi_coding.training.flops import Product, products
from mi_coding.training.memory import bytes_needed, describe_bytes

PARTS = {
    "optimizer": "optimiser",
    "gradients": "gradient exchange",
    "encoder": "encoder, forward",
    "loss": "loss",
    "pairs": "pairs",
}
"""Names of scopes in a step → names of its parts; the first that is found in a scope is the part."""

BACKWARD = "encoder, backward"
OTHER = "other"
ORDER = ("pairs", "encoder, forward", BACKWARD, "loss", "gradient exchange", "optimiser", OTHER)
"""Order of the rows."""

RESOURCES = ("computing", "memory", "wires")
"""What may be the bottleneck."""

OUTSIDE = ("loss", "gradient exchange", "optimiser", OTHER)
"""Parts that belong neither to the encoder nor to the pairs."""

_WIDTH = 120
_EXHAUSTED = re.compile(r"(?:Used |temporaries \()([\d.]+)([KMGT])(?: of |\) exceeds available HBM \()([\d.]+)([KMGT])")


class Part(NamedTuple):
    """What one device does for one part of a step, and the least seconds that it takes by the data sheet.

    Attributes:
        flops: of its products.
        work: bytes, kernels and exchanges.
        seconds: of computing, memory and wires, each as if the others were free.
    """

    flops: int
    work: Work
    seconds: dict[str, float]

    @property
    def binds(self) -> str:
        """The bottleneck: what takes longest."""
        return max(self.seconds, key=self.seconds.__getitem__)

    @property
    def least(self) -> float:
        """Seconds, if all overlap."""
        return max(self.seconds.values())


class Step(NamedTuple):
    """A training step, compiled for a target.

    Attributes:
        config: its name.
        target: the machine that it was compiled for.
        batch_size: B.
        memory: bytes on each device.
        parts: name → part, in order.
        notes: what was assumed.
    """

    config: str
    target: Target
    batch_size: int
    memory: int
    parts: dict[str, Part]
    notes: list[str]

    @property
    def share_of_memory(self) -> float:
        return self.memory / self.target.chip.memory

    @property
    def least(self) -> float:
        """Seconds of all parts, one after the other."""
        return sum(part.least for part in self.parts.values())

    @property
    def line(self) -> str:
        """The step in one line."""
        here = f"{self.config} on {self.target.name}: {self.batch_size:,} pairs on {len(self.target.devices)} devices"
        of = f"{describe_bytes(self.memory)} of {describe_bytes(self.target.chip.memory)}"
        return (
            f"{here}, memory of each {of} ({self.share_of_memory:.0%}), at least {describe_seconds(self.least)} a step"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        parts = {
            name: {"flops": part.flops, **part.work._asdict(), "seconds": part.seconds, "binds": part.binds}
            for name, part in self.parts.items()
        }
        own = {"config": self.config, "target": self.target.name, "devices": len(self.target.devices)}
        found = {"batch_size": self.batch_size, "memory": self.memory, "share_of_memory": self.share_of_memory}
        return own | found | {"least_seconds": self.least, "parts": parts, "notes": self.notes, "ran": False}


def describe_seconds(seconds: float) -> str:
    """Three digits of a short time.

    >>> describe_seconds(0.01234), describe_seconds(1.234e-6), describe_seconds(0)
    ('12.3 ms', '1.23 µs', '0 µs')
    """
    value, unit = (1e3 * seconds, "ms") if seconds >= 1e-3 else (1e6 * seconds, "µs")
    return f"{value:.3g} {unit}"


def part_of(scope: str) -> str:
    """The part that an operation belongs to.

    >>> part_of("jit(step)/transpose(jvp(loss))/encoder/Conv_0"), part_of("jit(step)/jvp(loss)/exp"), part_of("")
    ('encoder, backward', 'loss', 'other')
    """
    found = next((part for name, part in PARTS.items() if re.search(rf"\b{name}\b", scope)), OTHER)
    return BACKWARD if found == PARTS["encoder"] and "transpose(" in scope else found


def compile_step(config: Mapping[str, Any], name: str, target: Target) -> Step:
    """Compiles the training step of a config for a target, and counts what it needs.

    Raises:
        InputError: for a config that cannot run there, or does not fit.
    """
    plan, notes = build.plan(config), []
    check_devices(plan, len(target.devices))  # before any data is read
    step = training_step(plan, *_example(plan, notes), target.devices, target.chip.platform)
    try:
        compiled = step.compile()
    except jax.errors.JaxRuntimeError as error:
        raise _does_not_fit(error, name, plan, target) from None
    program = Program(compiled.as_text(), len(target.devices))
    parts = _parts(program.by_part(part_of), products(*step), target)
    if program.loops_of_unknown_length:
        notes.append(f"{program.loops_of_unknown_length} loops of unknown length are counted as run once")
    found = Step(name, target, plan.run.batch_size, bytes_needed(compiled), parts, notes)
    if found.share_of_memory > 1:
        raise _too_large(name, plan, target, found.memory, target.chip.memory)
    return found


def _parts(works: Mapping[str, Work], found: Iterable[Product], target: Target) -> dict[str, Part]:
    """The parts of a step, in order."""
    flops, passes = dict.fromkeys(ORDER, 0), dict.fromkeys(ORDER, 0.0)
    for product in found:
        part = part_of(product.scope)
        flops[part] += product.flops
        passes[part] += product.flops * target.passes(product.dtype, product.precision)
    parts = {}
    for part in (part for part in ORDER if part in works or flops[part]):
        work, chip = works.get(part, Work()), target.chip
        seconds = passes[part] / chip.flops, work.moved / chip.moves, work.sent / target.sends
        parts[part] = Part(flops[part], work, dict(zip(RESOURCES, seconds, strict=True)))
    return parts


def _example(plan: Plan, notes: list[str]) -> tuple[list[dict[str, Any]], int]:
    """The description of an example, see `data.describe_examples`, and the number of classes: from the config where it
    specifies them, or from what TFDS states about a data set, or else from the data."""
    options, pairs = plan.data, plan.pairs
    shape, num_classes = data.open_source(options.source).describe_unread()
    size, channels = options.image_size or shape[0], options.channels or shape[2]
    if size and channels and not (pairs.takes_given_pairs or pairs.are_sequences):
        notes.append("no data was read: an example has the shape that the config or TFDS names")
        return [{"shape": [size, size, channels], "dtype": "uint8"}], num_classes
    dataset = usable(plan, load_data(plan, lambda line: None))
    dataset, _ = standardised(plan, dataset)
    return data.describe_examples(dataset.train), count_classes(dataset.train)


_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def _does_not_fit(error: Exception, name: str, plan: Plan, target: Target) -> InputError:
    """The error that reports a compiler's refusal."""
    text = " ".join(str(error).split())
    if found := _EXHAUSTED.search(text):
        used, available = (float(found[i]) * _UNITS[found[i + 1]] for i in (1, 3))
        return _too_large(name, plan, target, used, available)
    return InputError(f"{name} does not compile for {target.name}: {text[:300]}")


def _too_large(name: str, plan: Plan, target: Target, used: float, available: float) -> InputError:
    """The error that reports by how much, and the batch and the microbatch that would fit if memory grew with them
    alone."""
    devices, size = len(target.devices), plan.run.batch_size
    share = 0.8 * available / used
    batch = 2 ** int(np.log2(max(size * share / devices, 1))) * devices
    each = plan.config.get("microbatch_size") or size // devices
    micro = 2 ** int(np.log2(max(each * share, 1)))
    needs = f"{name} on {target.name} needs {describe_bytes(int(used))} of the {describe_bytes(int(available))} of each"
    fits = Setting("batch_size", batch, flag=True), " or ", Setting("microbatch_size", micro, flag=True)
    return InputError(f"{needs} device; expected about ", *fits)


def print_table(step: Step, console: Console) -> None:
    """Prints the step, part by part."""
    console.print(step.line, highlight=False, soft_wrap=True)
    heads = ("GFLOP", "moved", "kernels", "exchanges", "sent", *RESOURCES, "binds")
    table = Table("", *(Column(head, justify="right") for head in heads), box=None)
    total = Part(
        sum(part.flops for part in step.parts.values()),
        reduce(Work.plus, (part.work for part in step.parts.values())),
        {key: sum(part.seconds[key] for part in step.parts.values()) for key in RESOURCES},
    )
    for name, part in (step.parts | {"whole step": total}).items():
        work = part.work
        times = map(describe_seconds, part.seconds.values())
        moved, sent = (describe_bytes(int(size)) for size in (work.moved, work.sent))
        sizes = moved, f"{work.kernels:,}", f"{work.exchanges:,}", sent
        table.add_row(name, f"{part.flops / 1e9:,.1f}", *sizes, *times, part.binds)
    console.print(table)
    outside = [part for name, part in step.parts.items() if name in OUTSIDE]
    kernels, seconds = sum(part.work.kernels for part in outside), sum(part.least for part in outside)
    console.print(
        f"outside encoder and pairs: {kernels:,} kernels, {seconds / step.least:.1%} of the least time", highlight=False
    )
    for note in step.notes:
        console.print(f"note: {note}", highlight=False)


def main(argv: list[str] | None = None) -> int:
    """Prints the tables; returns the exit code."""
    return run_command(argv, __doc__, _main)


def _main(argv: list[str]) -> int:
    check = "--check" in argv
    given, rest = split_arguments([one for one in argv if one != "--check"], output="", target="")
    if not given.target:
        raise InputError("no --target given; expected one such as --target=v5e:2x4; see --help")
    jax.config.update("jax_platforms", "cpu")
    target = find_target(given.target)
    configs = list(filter(is_config, rest))
    others = [one for one in rest if one not in configs]
    console, steps = Console(width=None if sys.stdout.isatty() else _WIDTH), []
    for config in configs:
        command = build.parse([others[0], config, *others[1:]])
        steps.append(compile_step(command.config, command.config_name, target))
        if check:
            print(steps[-1].line, flush=True)
        else:
            print_table(steps[-1], console)
            console.print()
    if given.output:
        write_atomically(given.output, json.dumps([step.to_dict() for step in steps], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

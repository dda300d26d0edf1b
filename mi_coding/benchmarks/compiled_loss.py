"""What the loss of many pairs needs on machines that are not present, according to their own compilers.

    python -m mi_coding.benchmarks.compiled_loss --target=h100:1 [--pairs=65536] [--dim=128] [--precision=bfloat16]
                                                 [--output=FILE.json]

    --target     as of mi_coding.benchmarks.compiled, such as v5e:16x16 or h100:8
    --pairs      in total
    --dim        numbers in a code
    --precision  of the products of codes: highest, high or bfloat16

Compiles symmetric CPC of cosines with the gradients of both codes, in two ways: as the target gets it, and one tile of
scores after the other by XLA. Nothing is run. Bytes are those of the arrays in main memory that an operation reads and
writes, each once; what a kernel reads again comes from a cache. A pass is one reading or writing of all B² scores.
"""

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from rich.console import Console
from rich.table import Column, Table

from mi_coding.benchmarks.hlo import Program
from mi_coding.benchmarks.targets import Target, find_target
from mi_coding.command import check_output, options, run_command
from mi_coding.contrast import PRECISIONS
from mi_coding.contrast.tiles import BLOCK
from mi_coding.errors import InputError
from mi_coding.objectives.cpc import cpc
from mi_coding.reporting.files import write_atomically
from mi_coding.training.memory import describe_bytes

WAYS = {"as the target gets it": None, f"tiles of {BLOCK:,} by XLA": BLOCK}
"""Name → side of a tile that is requested."""

_AXIS, _WIDTH = "devices", 110


class Cost(NamedTuple):
    """Costs of one evaluation with its gradient on one device: bytes moved, sent, held; kernels, exchanges, passes."""

    way: str
    moved: float
    passes: float
    kernels: int
    exchanges: int
    sent: float
    temporary: int


def costs(target: Target, pairs: int, dim: int, precision: str) -> Iterator[Cost]:
    """What each of `WAYS` costs on a target."""
    count, axis = len(target.devices), _AXIS if len(target.devices) > 1 else None
    mesh = Mesh(np.array(target.devices), (_AXIS,), axis_types=(AxisType.Auto,))
    spec = PartitionSpec(_AXIS)
    codes = jax.ShapeDtypeStruct((pairs, dim), jnp.float32, sharding=NamedSharding(mesh, spec))

    def loss(x: jax.Array, y: jax.Array, block_size: int | None) -> jax.Array:
        how = {"block_size": block_size, "precision": precision, "axis_name": axis}
        method = "blockwise" if axis is None else "ring"
        return cpc(x, y, temperature=0.1, normalize=True, symmetric=True, method=method, **how).loss

    for way, block_size in WAYS.items():
        run = jax.value_and_grad(partial(loss, block_size=block_size), (0, 1))
        if axis:
            run = jax.shard_map(run, mesh=mesh, in_specs=spec, out_specs=(PartitionSpec(), spec))
        compiled = jax.jit(run).lower(codes, codes).compile()
        work = Program(compiled.as_text(), count).work()
        passes = work.moved / (4 * pairs * (pairs // count))
        temporary = compiled.memory_analysis().temp_size_in_bytes
        yield Cost(way, work.moved, passes, work.kernels, work.exchanges, work.sent, temporary)


def main(argv: list[str] | None = None) -> int:
    """Prints the table; returns the exit code."""
    return run_command(argv, __doc__, _main)


def _main(argv: list[str]) -> int:
    given = options(argv, {"target": None, "pairs": 65_536, "dim": 128, "precision": "bfloat16", "output": ""})
    if given.output:
        check_output(Path(given.output))
    if given.precision not in PRECISIONS:
        raise InputError(f"--precision={given.precision} is unknown; expected one of {', '.join(PRECISIONS)}")
    jax.config.update("jax_platforms", "cpu")
    target = find_target(given.target)
    if given.pairs < 1 or given.pairs % len(target.devices) or given.dim < 1:
        devices = len(target.devices)
        raise InputError(f"--pairs={given.pairs} --dim={given.dim}: expected a multiple of {devices} devices, and >= 1")
    heads = ("moved", "passes", "kernels", "exchanges", "sent", "temporary")
    title = f"{given.pairs:,} pairs, d = {given.dim}, {given.precision}, {target.name}, each device"
    table = Table("", *(Column(head, justify="right") for head in heads), box=None, title=title)
    found = list(costs(target, given.pairs, given.dim, given.precision))
    for one in found:
        moved, sent, temporary = map(describe_bytes, (int(one.moved), int(one.sent), one.temporary))
        table.add_row(one.way, moved, f"{one.passes:.2f}", f"{one.kernels:,}", f"{one.exchanges:,}", sent, temporary)
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table)
    if given.output:
        write_atomically(given.output, json.dumps([one._asdict() for one in found], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

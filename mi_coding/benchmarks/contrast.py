"""Memory and time of the contrast methods, each beside the target it should meet.

    python -m mi_coding.benchmarks.contrast [--output=FILE.json] [--repeats=5] [--only=GROUP]

    --output   writes the rows as JSON
    --repeats  timed runs of each program
    --only     only the groups whose name has this in it: memory, dense, optax, ring, torch, gpu

About two minutes on two CPU cores, and 8 GiB of memory for the peers. Times are medians of runs that take turns, so
read them as ratios; memory is what the compiler assigns to temporaries, and needs no run. A row that cannot run here
(no GPU, no PyTorch, too little memory) says so and has no value.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

import mi_coding
from mi_coding.benchmarks.contrast_programs import (
    AXIS,
    CPU_TILE,
    DEVICES,
    DIM,
    codes,
    compiled,
    cpu_mesh,
    dense_program,
    with_gradients,
)
from mi_coding.benchmarks.timing import median_seconds
from mi_coding.command import check_output, options, run_command
from mi_coding.errors import InputError
from mi_coding.reporting.files import write_atomically
from mi_coding.training.memory import describe_bytes


class Row(NamedTuple):
    """One measurement."""

    name: str  # what was measured, with its sizes
    value: float | None  # None where it was not measured
    unit: str  # of the value and of the target; "×" for ratios
    target: float | None = None  # the number to meet, None for numbers that are only context
    at_most: bool = True  # whether meeting the target means to stay below it
    note: str = ""  # numerator and denominator of a ratio, or the reason why there is no value

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without a measurement or a target."""
        if self.value is None or self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def main(argv: list[str] | None = None) -> int:
    """Measures, prints the table, and writes the rows where requested; returns the exit code."""
    return run_command(argv, __doc__, _main)


def _main(argv: list[str]) -> int:
    given = options(argv, {"output": "", "repeats": 5, "only": ""})
    if given.output:
        check_output(Path(given.output))
    if not any(given.only in name for name in GROUPS):
        raise InputError(f"--only={given.only} is in no group's name; expected part of one of {', '.join(GROUPS)}")
    # The flag is read when JAX first looks for devices, which importing it does not.
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}"
    console = Console()
    rows = []
    for name, group in GROUPS.items():
        if given.only in name:
            console.print(f"measuring {name} …", style="dim", highlight=False)
            rows += group(given.repeats)
    print_table(rows, console)
    if given.output:
        result = {"device": jax.devices()[0].device_kind, "cpus": os.cpu_count(), "jax": jax.__version__}
        result["rows"] = [row._asdict() | {"is_met": row.is_met} for row in rows]
        write_atomically(given.output, json.dumps(result, indent=1) + "\n")
        console.print(f"written to {given.output}", highlight=False)
    return 0


def print_table(rows: list[Row], console: Console) -> None:
    """One line per row: value, target, and whether it is met."""
    title = f"contrast on {jax.devices()[0].device_kind}, jax {jax.__version__}, codes of {DIM} numbers"
    numbers = (Column(heading, justify="right") for heading in ("value", "target"))
    table = Table("measured", *numbers, "", "note", title=title)
    for row in rows:
        value = "not run" if row.value is None else f"{row.value:.4g} {row.unit}"
        target = "" if row.target is None else f"{'≤' if row.at_most else '≥'} {row.target:g}"
        met = {True: "met", False: "NOT MET", None: ""}[row.is_met]
        table.add_row(*map(escape, (row.name, value, target, met, row.note)))
    console.print(table)


def memory(repeats: int) -> Iterator[Row]:
    """How temporary memory grows with the batch, and how much of it the ring needs; nothing is run."""
    del repeats
    sizes = [2**p for p in range(15, 21)]
    for method, devices in (("blockwise", 1), ("ring", DEVICES)):
        used = [temporary(compiled(method, pairs, devices, symmetric=True)) for pairs in sizes]
        slope = float(np.polyfit(np.log(sizes), np.log(used), 1)[0])
        local = math.log(used[-1] / used[-2]) / math.log(2)  # where fixed costs no longer flatten the line
        name = f"{method}, {devices} device(s): growth of memory, 32k to 1M pairs"
        yield Row(name, max(slope, local), "", 1.05, note=f"log-log from 32k to 1M; last two {local:.3f}")
    for pairs in (2**15, 2**20):
        used = temporary(compiled("ring", pairs, DEVICES, symmetric=True))
        name, block = f"ring at {pairs:,} pairs: memory in copies of [b, d]", pairs // DEVICES * DIM * 4
        yield Row(name, used / block, "×", 8, note=describe_bytes(used))
    yield Row("ring at 1,048,576 pairs: memory a device", used / 1e9, "GB", 0.5)
    for method in ("blockwise", "gather"):
        used = temporary(compiled(method, 2**15, DEVICES, symmetric=True))
        yield Row(f"{method} at 32,768 pairs, D = {DEVICES}: memory a device", used / 1e9, "GB")


def against_dense(repeats: int) -> Iterator[Row]:
    """Blockwise on one device against the scores as one matrix product."""
    pairs = 2**14
    for symmetric in (False, True):
        programs = {"dense": dense_program(pairs, symmetric), "blockwise": compiled("blockwise", pairs, 1, symmetric)}
        yield from compare(f"16k pairs{', both directions' * symmetric}", programs, codes(pairs), repeats, 10, 1.1)


def against_optax(repeats: int) -> Iterator[Row]:
    """NT-Xent against `optax.losses.ntxent`, which broadcasts [2B, 2B, D]."""
    pairs = 2**10
    labels = jnp.tile(jnp.arange(pairs), 2)

    def peer(x, y):
        return optax.losses.ntxent(jnp.concatenate([x, y]), labels, temperature=0.5)

    def ours(x, y):
        return mi_coding.nt_xent(x, y, temperature=0.5, method="blockwise", block_size=CPU_TILE).loss

    programs = {name: with_gradients(f, pairs) for name, f in (("optax", peer), ("blockwise", ours))}
    needed = temporary(programs["optax"])
    if needed > free_memory():
        yield Row("1,024 pairs against optax.ntxent", None, "×", 5, False, f"not run: needs {describe_bytes(needed)}")
    else:
        yield from compare("1,024 pairs", programs, codes(pairs), min(repeats, 3), 500, 1 / 5)


def ring_against_gather(repeats: int) -> Iterator[Row]:
    """The ring against rows of gathered scores, on virtual devices that share the cores."""
    pairs = 2**13
    programs = {method: compiled(method, pairs, DEVICES, symmetric=False) for method in ("gather", "ring")}
    arrays = jax.device_put(codes(pairs), NamedSharding(cpu_mesh(), P(AXIS)))
    yield from compare(f"8k pairs, {DEVICES} devices", programs, arrays, repeats, None, 1.1)


def against_torch(repeats: int) -> Iterator[Row]:
    """Blockwise against dense cross-entropy in PyTorch, on the CPU."""
    name, pairs = "16k pairs: time of blockwise over PyTorch dense", 2**14
    if find_spec("torch") is None:
        yield Row(name, None, "×", note="not run: PyTorch is not installed")
        return
    import torch

    x, y = codes(pairs)
    a, b = (torch.tensor(np.asarray(z), requires_grad=True) for z in (x, y))

    def peer():
        a.grad = b.grad = None
        torch.nn.functional.cross_entropy(a @ b.T, torch.arange(pairs)).backward()

    ours = compiled("blockwise", pairs, 1, symmetric=False)
    times = median_seconds({"torch": peer, "ours": lambda: jax.block_until_ready(ours(x, y))}, repeats)
    yield Row(name, times["ours"] / times["torch"], "×", note=f"{times['ours']:.3g} s against {times['torch']:.3g} s")


def on_gpu(repeats: int) -> Iterator[Row]:
    """bfloat16 codes on one GPU, forward and backward."""
    limits = {2**16: (0.032, "65,536 candidates in bfloat16"), 2**20: (8.0, "1,048,576 candidates in bfloat16")}
    gpu = jax.default_backend() == "gpu"
    times = {}
    for pairs, (target, name) in limits.items():
        if not gpu:
            yield Row(f"GPU: {name}", None, "s", target, note="not run: no GPU is available")
            continue
        program = with_gradients(lambda x, y: mi_coding.cpc(x, y, method="blockwise").loss, pairs, jnp.bfloat16)
        arrays = codes(pairs, jnp.bfloat16)
        turns = repeats if pairs < 2**20 else 2
        times[pairs] = median_seconds({name: lambda p=program, z=arrays: jax.block_until_ready(p(*z))}, turns)[name]
        yield Row(f"GPU: {name}", times[pairs], "s", target, note=describe_bytes(temporary(program)))
    name = "GPU: 65,536 candidates, speed against torch.compile dense"
    if not gpu or find_spec("torch") is None:
        yield Row(name, None, "×", 2, False, "not run: no GPU available" if not gpu else "not run: no PyTorch")
        return
    peer = torch_compiled_seconds(2**16, repeats)
    yield Row(name, peer / times[2**16], "×", 2, False, f"torch {peer:.3g} s")


def torch_compiled_seconds(pairs: int, repeats: int) -> float:
    """Seconds of forward and backward of dense cross-entropy under torch.compile, in bfloat16 on the GPU."""
    import torch

    loss = torch.compile(
        lambda a, b: torch.nn.functional.cross_entropy((a @ b.T).float(), torch.arange(len(a), device=a.device))
    )
    x, y = (np.asarray(z, np.float32) for z in codes(pairs, jnp.bfloat16))
    a, b = (torch.tensor(z, dtype=torch.bfloat16, device="cuda", requires_grad=True) for z in (x, y))

    def run():
        a.grad = b.grad = None
        loss(a, b).backward()
        torch.cuda.synchronize()

    return median_seconds({"torch": run}, repeats)["torch"]


GROUPS: dict[str, Callable[[int], Iterator[Row]]] = {
    "memory": memory,
    "dense": against_dense,
    "optax": against_optax,
    "ring": ring_against_gather,
    "torch": against_torch,
    "gpu": on_gpu,
}


def compare(
    name: str, programs: dict[str, Callable], arrays: tuple, repeats: int, less_memory: float | None, time_bar: float
) -> Iterator[Row]:
    """Rows for the memory and the time of the second of two programs, over those of the first."""
    peer, ours = programs
    values = [float(np.ravel(jax.device_get(run(*arrays))[0])[0]) for run in programs.values()]
    if not math.isclose(*values, rel_tol=1e-4):
        raise ValueError(f"{peer} and {ours} compute different losses: {values}")
    used = {key: temporary(run) for key, run in programs.items()}
    memory_note = f"{describe_bytes(used[ours])} against {describe_bytes(used[peer])}"
    yield Row(f"{name}: memory of {peer} over {ours}", used[peer] / used[ours], "×", less_memory, False, memory_note)
    runs = {key: lambda run=run: jax.block_until_ready(run(*arrays)) for key, run in programs.items()}
    times = median_seconds(runs, repeats)
    time_note = f"{times[ours] * 1e3:.4g} ms against {times[peer] * 1e3:.4g} ms"
    yield Row(f"{name}: time of {ours} over {peer}", times[ours] / times[peer], "×", time_bar, note=time_note)


def temporary(program: jax.stages.Compiled) -> int:
    """Bytes that each device needs besides arguments and results."""
    return program.memory_analysis().temp_size_in_bytes


def free_memory() -> float:
    """Bytes of free memory, infinite where the system does not report them."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return math.inf


if __name__ == "__main__":
    sys.exit(main())

"""How far the parameters of a run move when only the number of its processes and devices changes.

    python -m mi_coding.benchmarks.agreement [--steps=20] [--precisions=float32,float64] [--config=FILE]
        [--config.KEY=VALUE …]

A run takes its first steps as one process with one device, as one with eight, as two processes with four devices each
whose ranks are given, and as two that find each other by SLURM's variables. Each sums over devices in another order, so
parameters differ by rounding, and by all that training makes of it. In float64 the same steps show what is left when
rounding all but vanishes: a bug would remain. In float64 the pairs are others, drawn from wider random numbers.
"""

import dataclasses
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from mi_coding.benchmarks.arguments import prepare_in_memory, split_arguments
from mi_coding.command import run_command
from mi_coding.errors import InputError
from mi_coding.runs import build
from mi_coding.training.devices import data_parallel
from mi_coding.training.processes import initialize_distributed, is_main_process
from mi_coding.training.step import make_step

STEPS = 20
PRECISIONS = ("float32", "float64")
COMPARED = (
    ("2 processes × 4 devices", "1 × 8"),
    ("2 × 4, by SLURM's variables", "1 × 8"),
    ("1 × 8", "1 × 1"),
    ("2 processes × 4 devices", "1 × 1"),
)
SHAPES = {"1 × 1": (1, 1), "1 × 8": (1, 8), "2 processes × 4 devices": (2, 4), "2 × 4, by SLURM's variables": (2, 4)}
"""Name → processes, and devices of each."""


def train(config: Mapping[str, Any], num_steps: int, precision: str) -> list[dict[str, np.ndarray]]:
    """Parameters by name after each of the first steps of a run, on all devices of all processes.

    Args:
        config: flat, of a run whose data lives in memory.
        num_steps: how many steps, the first ones of the whole run's schedule.
        precision: "float32", as runs are, or "float64", which needs JAX_ENABLE_X64.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = prepare_in_memory(config, Path(folder) / "run")
    if precision == "float64":
        parts = run.method.parts  # with an encoder in float64, which no config may ask for
        parts = parts._replace(encoder=parts.encoder.clone(dtype="float64"))
        run = dataclasses.replace(run, method=run.method.made_of(parts))
    key, way, state = run.key("train"), data_parallel(run.plan.run.spmd), _cast(run.initial_state, precision)
    draw = run.experiment.sample_pairs
    experiment = run.experiment._replace(sample_pairs=lambda *arguments: _cast(draw(*arguments), precision))
    step = way.parallel(make_step(experiment, key, run.num_devices))
    examples = way.replicate(jax.tree.map(jnp.asarray, run.device_data(run.dataset.train)))
    state = way.replicate(state)
    parameters = []
    for _ in range(num_steps):
        state, _ = jax.block_until_ready(step(state, examples))
        leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(way.fetch(state.params)))
        parameters.append({jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves})
    return parameters


def _cast(tree: Any, dtype: str) -> Any:
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def largest_difference(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> tuple[float, str]:
    """The largest absolute difference between two trees with the same names, and the name of its array.

    >>> largest_difference({"a": np.zeros(2), "b": np.ones(3)}, {"a": np.zeros(2), "b": np.array([1, 0.5, 1])})
    (0.5, 'b')
    """
    return max((float(np.max(np.abs(ours[name] - theirs[name]))), name) for name in ours)


def measure(arguments: list[str], steps: int, precision: str, folder: Path) -> dict[str, list[dict[str, np.ndarray]]]:
    """The name of a shape → parameters by name after each step; each shape in processes of its own.

    Raises:
        InputError: where a process fails, whose messages are on stderr.
    """
    of_shapes = {}
    for number, (name, (processes, devices)) in enumerate(SHAPES.items()):
        output = folder / f"{precision}-{number}"
        output.mkdir()
        command = [sys.executable, "-m", __spec__.name, f"--write={output}", f"--steps={steps}"]
        command += [f"--precisions={precision}", *arguments]
        environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_X64": str(int(precision == "float64")),
            "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}",
        }
        places = _places(processes, by_slurm="SLURM" in name)
        running = [subprocess.Popen([*command, *told], env=environment | own) for told, own in places]
        if any([process.wait() for process in running]):
            raise InputError(f"the run of {name} failed; the lines above say why")
        of_shapes[name] = [dict(np.load(output / f"{step}.npz")) for step in range(1, steps + 1)]
    return of_shapes


def _places(processes: int, *, by_slurm: bool) -> list[tuple[list[str], dict[str, str]]]:
    """The arguments and the environment variables of each process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if processes == 1:
        return [([], {})]
    if not by_slurm:
        told = [f"--coordinator=127.0.0.1:{port}", f"--num_processes={processes}"]
        return [([*told, f"--process_id={number}"], {}) for number in range(processes)]
    step = {"SLURM_JOB_ID": str(port), "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_NUM_NODES": "1"}
    step |= {"SLURM_NTASKS": str(processes)}
    return [([], step | {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)}) for i in range(processes)]


def print_table(of_shapes: Mapping[str, list[dict[str, np.ndarray]]], precision: str, console: Console) -> None:
    """The largest differences after some of the steps."""
    count = len(next(iter(of_shapes.values())))
    shown = sorted({1, *range(5, count + 1, 5), count})
    title = f"largest difference of a parameter after so many steps, {precision}"
    table = Table("", "against", *map(str, shown), "where", title=title, title_justify="left", box=None)
    for ours, theirs in COMPARED:
        found = [largest_difference(of_shapes[ours][step - 1], of_shapes[theirs][step - 1]) for step in shown]
        table.add_row(ours, theirs, *(f"{difference:.1e}" for difference, _ in found), found[-1][1])
    console.print(table)


def main(argv: list[str] | None = None) -> int:
    """Prints a table for each precision; returns the exit code."""
    return run_command(argv, __doc__, _main)


def _main(argv: list[str]) -> int:
    # `write` is for a process of one shape: where its parameters go.
    given, rest = split_arguments(argv, steps=STEPS, precisions=",".join(PRECISIONS), write="")
    precisions = given.precisions.split(",")
    if given.steps < 1 or not set(precisions) <= set(PRECISIONS):
        raise InputError(f"expected --steps of at least 1 and --precisions among {', '.join(PRECISIONS)}")
    command = build.parse(rest)
    if given.write:
        with initialize_distributed(command.process):
            for step, parameters in enumerate(train(command.config, given.steps, precisions[0]), start=1):
                if is_main_process():
                    np.savez(Path(given.write, f"{step}.npz"), **parameters)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for precision in precisions:
            print_table(measure(rest[1:], given.steps, precision, Path(folder)), precision, Console(width=130))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What checkpoints and logging cost the steps that run meanwhile.

    python -m mi_coding.benchmarks.jitter [--every=10] [--steps=100] [--rounds=5] [--config=FILE] [--config.KEY=VALUE …]

The training loop takes the first steps of a run, alternately without checkpoints and with one every few steps, and each
step is timed, with whatever was done before the next one. A checkpoint blocks the loop while the state is fetched and
its checksum is computed; then it is written in the background, alongside the steps.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

from mi_coding.benchmarks.arguments import prepare_in_memory, split_arguments
from mi_coding.command import run_command
from mi_coding.errors import InputError
from mi_coding.reporting.metrics import MetricsWriter
from mi_coding.runs import build
from mi_coding.training.checkpoints import Checkpoints
from mi_coding.training.devices import data_parallel
from mi_coding.training.feed import from_device_data
from mi_coding.training.loop import Hook, train
from mi_coding.training.step import TrainState, make_step

EVERY, STEPS, ROUNDS = 10, 100, 5
"""Steps between checkpoints, steps in one timing, and how often both are timed."""


def measure(config: Mapping[str, Any], every: int, steps: int, rounds: int) -> dict[str, dict[str, float]]:
    """ "without" and "with" checkpoints → milliseconds of a step, and what a checkpoint takes.

    The data of the config lives in memory. The first step of a timing is not counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = prepare_in_memory(config, Path(folder) / "run")
        way, state = data_parallel(run.plan.run.spmd), run.initial_state
        examples = jax.tree.map(jnp.asarray, run.device_data(run.dataset.train))
        step = make_step(run.experiment, run.key("train"), run.num_devices)
        advance = from_device_data(step, state, examples, way).advance
        timings = {"without": [], "with": []}
        for number in range(rounds + 1):
            for name, save_every in (("without", steps + 1), ("with", every)):
                where = Path(folder) / f"{number}-{name}"
                go = partial(train, advance, state, parallel=way, num_steps=steps)
                timings[name].append(_timing(go, where, save_every, run.plan.run.keep_checkpoints))
    counted = {name: of_name[1:] for name, of_name in timings.items()}  # the first ones warm up
    found = {name: _spread([s for timing in of_name for s in timing.steps]) for name, of_name in counted.items()}
    blocked = [s for timing in counted["with"] for s in timing.saves]
    written = [timing.written for timing in counted["with"]]
    found["checkpoint"] = {
        "blocks_ms": 1e3 * median(blocked),
        "blocks_most_ms": 1e3 * max(blocked),
        "written_ms": 1e3 * median(written),
    }
    return found


class _Timing(NamedTuple):
    """Seconds: of each step but the first, of each save but the last, and of the last until it was written."""

    steps: list[float]
    saves: list[float]
    written: float


def _timing(go: Callable[..., object], where: Path, save_every: int, keep: int) -> _Timing:
    ends, saves = [], []
    checkpoints = Checkpoints(where / "checkpoints", keep=keep)

    def end_step(step: int, state: TrainState, metrics: dict[str, jax.Array]) -> None:
        writer.write(step, {name: float(value) for name, value in jax.device_get(metrics).items()})  # as a run does
        ends.append(time.perf_counter())

    def save(step: int, state: TrainState, metrics: dict[str, jax.Array]) -> None:
        began = time.perf_counter()
        checkpoints.save(state, 0.0)
        saves.append(time.perf_counter() - began)

    with MetricsWriter(where, resume_step=0) as writer:
        go(hooks=[Hook(1, end_step)], save=Hook(save_every, save))
    began = time.perf_counter()
    checkpoints.close()
    written = saves[-1] + time.perf_counter() - began
    return _Timing([after - before for before, after in pairwise(ends)], saves[:-1], written)


def _spread(seconds: list[float]) -> dict[str, float]:
    """Milliseconds: mean, median, 95th percentile and the most."""
    in_ms = [1e3 * value for value in seconds]
    return {
        "mean_ms": mean(in_ms),
        "median_ms": median(in_ms),
        "95_percent_ms": quantiles(in_ms, n=20, method="inclusive")[18],
        "most_ms": max(in_ms),
    }


def print_table(found: dict[str, dict[str, float]], title: str, console: Console) -> None:
    """The time of a step, and what a checkpoint takes."""
    table = Table("", "mean", "median", "95th percentile", "most", title=title, title_justify="left", box=None)
    for name in ("without", "with"):
        table.add_row(f"a step, {name} checkpoints", *(f"{value:.2f} ms" for value in found[name].values()))
    console.print(table)
    checkpoint, slower = found["checkpoint"], found["with"]["mean_ms"] / found["without"]["mean_ms"] - 1
    console.print(
        f"a checkpoint keeps the loop for {checkpoint['blocks_ms']:.1f} ms (most {checkpoint['blocks_most_ms']:.1f}) "
        f"of the {checkpoint['written_ms']:.1f} ms until it is written; steps are {slower:.1%} slower in the mean"
    )


def main(argv: list[str] | None = None) -> int:
    """Prints the table and one line of JSON; returns the exit code."""
    return run_command(argv, __doc__, _main)


def _main(argv: list[str]) -> int:
    sizes, rest = split_arguments(argv, every=EVERY, steps=STEPS, rounds=ROUNDS)
    if sizes.every < 1 or sizes.rounds < 1 or sizes.steps <= max(sizes.every, 2):
        raise InputError("expected --every and --rounds of at least 1, and more --steps than --every, at least 3")
    command = build.parse(rest)
    found = measure(command.config, sizes.every, sizes.steps, sizes.rounds)
    title = f"{command.config_name}, batch {command.config['batch_size']}, a checkpoint every {sizes.every} steps"
    print_table(found, title, Console(width=120))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

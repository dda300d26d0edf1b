"""How many images per second the augmentations produce: each preset, and each augmentation by itself.

    python -m mi_coding.benchmarks.augmentations [--batch_size=256] [--side=32] [--repeats=15]

An image is counted once for every augmentation of it, so a pair counts as two. Programs take bytes and return floats,
jitted and mapped over a batch with one key per image, as in a training step. They take turns, so that a busy machine
slows them alike, and medians are printed, with the fastest run beside them. The bar applies to the row
"simclr_cifar10": crop, flip, jitter with hue, grayscale.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Column, Table

from mi_coding.benchmarks.timing import take_turns
from mi_coding.pairs.augmentations import AUGMENTATIONS, PRESETS

BAR, BAR_ROW = 25_000, "simclr_cifar10"
"""Images per second to reach on two cores, at 32 × 32 × 3, and the row that has to reach it."""

CHANNELS = {"gray28": 1}
"""Channels of the images that a program is timed with, where they are not 3."""


def measure(batch_size: int, side: int, repeats: int) -> dict[str, dict[str, float]]:
    """Median and highest images per second of every program, by its name."""
    images = {
        channels: jax.random.randint(jax.random.key(1), (batch_size, side, side, channels), 0, 256).astype(jnp.uint8)
        for channels in (1, 3)
    }
    keys = jax.random.split(jax.random.key(0), batch_size)
    runs, made = {}, {}
    for name, augmentation, images_a_call in programs():
        batch = images[CHANNELS.get(name, 3)]
        run = jax.jit(jax.vmap(augmentation)).lower(keys, batch).compile()
        runs[name] = lambda run=run, batch=batch: jax.block_until_ready(run(keys, batch))
        made[name] = batch_size * images_a_call
    seconds = take_turns(runs, repeats)
    return {
        name: {"images_per_second": made[name] / statistics.median(times), "highest": made[name] / min(times)}
        for name, times in seconds.items()
    }


def programs() -> list[tuple[str, Callable, int]]:
    """Name, (key, image) → image or pair, and how many images it makes from one."""
    presets = [(name, preset(size=None).pair, 2) for name, preset in PRESETS.items()]
    return presets + [(name, augmentation(), 1) for name, augmentation in AUGMENTATIONS.items()]


def main(argv: list[str] | None = None) -> None:
    """Prints the table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch_size", type=int, default=256, help="images a call (default 256)")
    parser.add_argument("--side", type=int, default=32, help="height and width of the images (default 32)")
    parser.add_argument("--repeats", type=int, default=15, help="timed runs of each program (default 15)")
    args = parser.parse_args(argv)
    for name, value in vars(args).items():
        if value < 1:
            parser.error(f"--{name} {value}; expected at least 1")
    rows = measure(args.batch_size, args.side, args.repeats)
    machine = {"device": jax.devices()[0].device_kind, "cpus": os.cpu_count(), "jax": jax.__version__}
    print_table(rows, vars(args), machine)
    print(json.dumps(machine | vars(args) | {"rows": rows}))


def print_table(rows: dict[str, dict[str, float]], sizes: dict[str, int], machine: dict[str, str | int]) -> None:
    """One line per program; the line with the bar also shows whether it is met."""
    title = "batch {batch_size}, {side} × {side} pixels on {device} ({cpus} CPUs), jax {jax}".format(**sizes, **machine)
    numbers = (Column(heading, justify="right") for heading in ("images/s, median", "fastest run", "bar"))
    table = Table("augmentation", *numbers, title=title, box=None, padding=(0, 2))
    for name, row in rows.items():
        is_bar = name == BAR_ROW and sizes["side"] == 32
        bar = f"≥ {BAR:,} {'met' if row['images_per_second'] >= BAR else 'NOT MET'}" if is_bar else ""
        table.add_row(name, f"{row['images_per_second']:,.0f}", f"{row['highest']:,.0f}", bar)
    Console().print(table)


if __name__ == "__main__":
    main()

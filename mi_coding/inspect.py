"""Shows a source before training, on one HTML page: what was found, what is used, and what it looks like.

    python -m mi_coding.inspect --source=folder:PATH [--config=FILE] [--output=inspect.html]

    --source       digits, tfds:NAME, folder:PATH, npz:PATH, video:GLOB, parquet:PATH or webdataset:GLOB
    --config       config whose pairs are drawn, and whose image size and channels are used, such as configs/simclr.py
    --output       the page; written atomically
    --image_size   pixels, --channels: of the images after conversion; by default as in the config, else 0: unchanged
    --white        value that is white in images of more than 8 bits per pixel, --layout: how a folder is interpreted
                   (auto, classes, splits or flat); by default as in the config

The page shows what was found, used and left out, twenty examples as the encoder receives them, pairs as the config
draws them, and the ten examples that differ most from the others.
"""

from mi_coding.help import answer_help
from mi_coding.interrupts import end_while_importing

if __name__ == "__main__":
    answer_help(__doc__)
    end_while_importing()

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding import data
from mi_coding.command import IMAGE_OPTIONS, check_output, image_options, options, run_command, spelled_as_flags
from mi_coding.data.oddities import oddest
from mi_coding.errors import InputError
from mi_coding.evaluation.base import subsample
from mi_coding.evaluation.data_account import DataAccount
from mi_coding.evaluation.pairs import NUM_PAIRS, strip_section
from mi_coding.pairs import pairs_of_batch
from mi_coding.reporting import terminal
from mi_coding.reporting.environment import describe_environment
from mi_coding.reporting.page import Report, Section, Table, write_report
from mi_coding.reporting.results import Tile
from mi_coding.reporting.strips import are_images, contact_sheet
from mi_coding.runs import build
from mi_coding.runs.build import Plan
from mi_coding.runs.examples import load_data, usable

NUM_SHOWN, NUM_ODD = 20, 10  # examples on the contact sheet, and the odd ones
MOST_MEASURED = 2000  # examples among which the odd ones are searched for


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code: 0 done, 2 a mistake in the command."""
    return run_command(argv, __doc__, _inspect)


def _inspect(argv: list[str]) -> int:
    given = options(argv, {"source": "", "config": "", "output": "inspect.html"} | IMAGE_OPTIONS)
    if not given.source and not given.config:
        raise InputError("no --source and no --config given; see --help")
    output = Path(given.output)
    check_output(output)
    plan = _plan(given.config, given.source, image_options(given)) if given.config else None
    warnings: list[str] = []
    warn = partial(_warn, warnings)
    if plan is None:
        with spelled_as_flags(given):
            dataset = data.load(given.source, **image_options(given), warn=warn)
    else:
        dataset = usable(plan, load_data(plan, warn))
    print(*dataset.account.lines(), sep="\n", flush=True)
    write_report(output, _report(given.source or plan.data.source, dataset, plan, warnings))
    print(f"\npage: {output}")
    return 0


def _plan(config: str, source: str, images: Mapping[str, Any]) -> Plan:
    changed = ({"source": source} if source else {}) | dict(images)
    command = build.parse(["inspect", f"--config={config}", *(f"--config.data.{k}={v}" for k, v in changed.items())])
    return build.plan(command.config, command.typed)


def _warn(collected: list[str], message: str) -> None:
    collected.append(message)
    terminal.warning(message)


def _report(source: str, dataset: data.Dataset, plan: Plan | None, warnings: list[str]) -> Report:
    account = dataset.account.summary()
    some = subsample(data.one_half(dataset.train, 0), MOST_MEASURED)
    sections = [*_contact_sheet(some), *(_pairs(dataset, plan) if plan else ()), *_odd(some)]
    return Report(
        title=f"mi_coding: {source}, before training",
        lead="What came in, what is used, what is left out and why; and what it looks like to an encoder.",
        warnings=warnings,
        tiles=[Tile(label, f"{account[f'data/{label}']:,}", dataset.account.unit) for label in ("found", "used")],
        sections=sections,
        groups=DataAccount().groups(account),
        config=plan.nested_config if plan else {},
        environment=describe_environment(),
    )


def _contact_sheet(some: data.Split) -> list[Section]:
    """Twenty examples, evenly spaced among `some`, which are training examples."""
    if not are_images(some.examples):
        return []
    chosen, names = data.evenly_spaced(len(some.examples), NUM_SHOWN), list(data.names(some))
    captions = ["" if some.labels is None else str(some.labels[i]) for i in chosen]
    figure = contact_sheet(some.examples[chosen], captions, title="Training examples, as decoded")
    table = Table("Names", ("example", "name"), [(str(number + 1), names[i]) for number, i in enumerate(chosen)])
    return [
        Section(
            "Examples", "As the encoder receives them, before augmentation.", figure, "examples", table, pictures=True
        )
    ]


def _pairs(dataset: data.Dataset, plan: Plan) -> list[Section]:
    """Pairs of single examples as the config draws them."""
    pairs = plan.pairs
    if pairs.takes_films or pairs.are_sequences:
        return []
    shapes = [tuple(half["shape"]) for half in data.describe_examples(dataset.train)]
    pairs.check_examples(plan.data.source, shapes, dataset.train)
    examples: Any = jax.tree.map(jnp.asarray, subsample(dataset.test, NUM_PAIRS).examples)
    rows = jnp.arange(len(jax.tree.leaves(examples)[0]))
    x, y = jax.jit(partial(pairs_of_batch, pairs=pairs))(jax.random.key(plan.run.seed), examples, rows)
    originals = None if pairs.takes_given_pairs else examples
    return strip_section(originals, np.asarray(x), np.asarray(y), pairs.describe())


def _odd(some: data.Split) -> list[Section]:
    """The examples that differ most from the others."""
    found = oddest(some.examples, NUM_ODD)
    if not are_images(some.examples) or not found:
        return []
    names = list(data.names(some))
    rows = [(names[odd.position], odd.measure, f"{odd.deviations:.1f}") for odd in found]
    captions = [f"{odd.deviations:.0f} σ" for odd in found]
    figure = contact_sheet(some.examples[[odd.position for odd in found]], captions, title="Farthest from the median")
    text = (
        f"Among {len(some.examples):,}, by brightness, contrast, sharpness and colour, in robust standard deviations."
    )
    table = Table("Names", ("name", "most unusual in", "σ"), rows)
    return [Section("Odd ones", text, figure, "odd", table, pictures=True)]


if __name__ == "__main__":
    sys.exit(main())

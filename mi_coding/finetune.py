"""Trains a classifier on top of the encoder of a run; compares it with a linear probe and with no pre-training.

    python -m mi_coding.finetune --workdir=DIR --source=folder:PATH [--freeze] [--output=DIR]

    --workdir        work directory of the run whose encoder is fine-tuned; its newest checkpoint is read
    --source         examples with labels: digits, tfds:NAME, folder:PATH, npz:PATH, parquet:PATH or webdataset:GLOB
    --freeze         keeps the encoder fixed and trains only a linear classifier, on modified examples
    --output         directory for the two runs and for their comparison, finetune.json, or with --freeze
                     finetune_frozen.json; by default DIR/finetune
    --num_steps      steps of each of the two runs, 500 by default; --batch_size: by default that of the run
    --learning_rate  1e-3 by default; --seed: 0
    --image_size     pixels, --channels, --white, --layout: as in mi_coding.embed, by default as the run was trained

The encoder and the same network with random weights are trained alike: on examples both as they are and modified as in
the pairs of the run, for the same steps, at the same learning rates. Both are evaluated on the test split; nothing is
selected on it. The same command continues a stopped run.
"""

import time

_STARTED = time.perf_counter()

# ruff: noqa: E402
from mi_coding.help import answer_help
from mi_coding.interrupts import end_while_importing, keeps

if __name__ == "__main__":
    answer_help(__doc__)
    end_while_importing()

import signal
import sys
from pathlib import Path

from mi_coding import data
from mi_coding.command import IMAGE_OPTIONS, image_options, options, run_command, spelled_as_flags
from mi_coding.reporting import terminal
from mi_coding.reporting.metrics import write_json
from mi_coding.runs.finetune import Settings, compared, comparison, configs, finetune
from mi_coding.runs.restore import restore

_SETTINGS = {"num_steps": 500, "learning_rate": 1e-3, "batch_size": 0, "seed": 0}


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code: 0 done, 2 a mistake in the command, 130 or 143 stopped by a signal."""
    return run_command(argv, __doc__, _finetune)


def _finetune(argv: list[str]) -> int:
    freeze = "--freeze" in argv
    argv = [argument for argument in argv if argument != "--freeze"]
    given = options(argv, dict.fromkeys(("workdir", "source")) | {"output": ""} | _SETTINGS | IMAGE_OPTIONS)
    output = Path(given.output) if given.output else Path(given.workdir) / "finetune"
    keeps("stopped; the same command continues")
    with spelled_as_flags(given):
        data.open_source(given.source, given.layout or "auto")
        run = restore(given.workdir, terminal.warning)
        batch_size = given.batch_size or run.plan.run.batch_size
        settings = Settings(given.num_steps, given.learning_rate, batch_size, given.seed)
        images = run.image_options(given.source) | image_options(given)
        runs = configs(run, given.source, images, settings, freeze=freeze)
        summaries = finetune(runs, output, command_started=_STARTED)
    if isinstance(summaries, signal.Signals):
        return 128 + summaries
    found = comparison(summaries)
    path = output / ("finetune_frozen.json" if freeze else "finetune.json")
    write_json(path, found)
    terminal.closing_table([compared(found)])
    print(f"\nfine-tuning: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

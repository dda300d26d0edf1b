"""Evaluates the codes of a run on data other than its training data: held-out bounds, health, probes.

    python -m mi_coding.evaluate --workdir=DIR --source=folder:PATH [--output=FILE.json]

    --workdir      work directory of the run; its newest checkpoint is read
    --source       digits, tfds:NAME, folder:PATH, npz:PATH, video:GLOB, parquet:PATH or webdataset:GLOB,
                   with examples of the shape that the run was trained on
    --output       file for the results; by default DIR/evaluation-<source>-<hash>.json; summary.json stays as it is
    --cache_dir    cache of decoded films; by default that of the run
    --image_size   pixels, --channels: size and channels that images are converted to; by default those of training
    --white        value that is white in images of more than 8 bits per pixel; by default that of the run
    --layout       how a folder is interpreted: auto, classes, splits or flat; by default as in the run

The data is split as for training: probes are trained on its training split, and all results are on its test split.
"""

from mi_coding.help import answer_help
from mi_coding.interrupts import end_while_importing, keeps

if __name__ == "__main__":
    answer_help(__doc__)
    end_while_importing()

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mi_coding import data
from mi_coding.command import IMAGE_OPTIONS, check_output, image_options, options, run_command, spelled_as_flags
from mi_coding.reporting import terminal
from mi_coding.reporting.metrics import write_json
from mi_coding.reporting.results import group_results
from mi_coding.runs.evaluate import evaluate_run, run_on
from mi_coding.runs.examples import load_data, scaled, usable
from mi_coding.runs.restore import other_shapes, restore
from mi_coding.runs.run import warn_of_shortcomings

_LONGEST = 50  # last letters, of up to 4 bytes each, of a source in a file name, which has 255 bytes at most


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code: 0 done, 2 a mistake in the command, 130 or 143 stopped by a signal."""
    return run_command(argv, __doc__, _evaluate)


def file_name(source: str, images: Mapping[str, Any] = MappingProxyType({})) -> str:
    """The file name of the evaluation of a source, another one for every source and options of its images.

    >>> file_name("digits"), file_name("folder:/data/my photos")
    ('evaluation-digits.json', 'evaluation-folder-data-my-photos-4893e4.json')
    """
    if re.fullmatch(r"[\w.]+", source) and not images:
        return f"evaluation-{source}.json"
    whole = json.dumps([source, *sorted(images.items())])
    readable = re.sub(r"[^\w.]+", "-", source).strip("-")[-_LONGEST:]
    return f"evaluation-{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:6]}.json"


def _evaluate(argv: list[str]) -> int:
    given = options(argv, dict.fromkeys(("workdir", "source")) | {"output": "", "cache_dir": ""} | IMAGE_OPTIONS)
    workdir = Path(given.workdir)
    typed = image_options(given)
    output = Path(given.output) if given.output else workdir / file_name(given.source, typed)
    keeps(f"interrupted; {output} was not written")
    with spelled_as_flags(given):
        data.open_source(given.source, given.layout or "auto")
        restored = restore(workdir, terminal.warning)
        check_output(output)
        images = restored.image_options(given.source) | typed
        dataset = load_data(restored.plan, terminal.warning, given.source, given.cache_dir, **images)
        dataset = usable(restored.plan, dataset)
        described = data.describe_examples(dataset.train), restored.examples
        here, trained = ([tuple(half["shape"]) for half in halves] for halves in described)
        if len(here) != len(trained) or not all(map(restored.plan.pairs.takes_shape, here, trained)):
            raise other_shapes(given.source, here, trained)
        dataset = scaled(dataset, restored.scale)
    run = run_on(restored, dataset, terminal.warning)
    warn_of_shortcomings(run.plan, run.dataset, run.warn)
    print(f"evaluating step {restored.step:,} on {given.source}", flush=True)
    _, summary = evaluate_run(run, restored.variables)
    what = {"evaluation/source": given.source, "evaluation/step": restored.step}
    write_json(output, what | {f"evaluation/{name}": value for name, value in typed.items()} | summary)
    keeps(f"interrupted; {output} was written")
    terminal.closing_table(group_results(summary, run.plan.evaluators))
    print(f"\nevaluation: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

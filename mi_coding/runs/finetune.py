"""Classifiers trained on top of a trained encoder, next to a linear probe and the same network from scratch."""

import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mi_coding.errors import InputError
from mi_coding.evaluation.classifier import ACCURACY, COUNT
from mi_coding.evaluation.probes import FEATURES, RAW, STARTED
from mi_coding.reporting.results import Group, Summary, percent, show
from mi_coding.runs import build
from mi_coding.runs.choices import METHOD_CHOICE
from mi_coding.runs.execute import execute
from mi_coding.runs.restore import Restored

FINETUNED, FROZEN, SCRATCH = "finetuned", "frozen", "from_scratch"
"""Names of the runs' folders."""

_KEYS = ("accuracy", "accuracy_stderr")


class Settings(NamedTuple):
    """How a classifier is trained; the same with and without the trained encoder."""

    num_steps: int
    learning_rate: float
    batch_size: int
    seed: int = 0


def configs(
    run: Restored, source: str, images: Mapping[str, Any], settings: Settings, *, freeze: bool
) -> dict[str, dict[str, Any]]:
    """Folder → flat config of the run on the trained encoder and of that from scratch, on a source with labels.

    Pairs and encoder are those of the trained run, so that x is drawn as it was.
    """
    chosen = run.plan.config | {METHOD_CHOICE.key: "supervised"}
    own = build.own_options(chosen)
    kept = {key: value for key, value in chosen.items() if key in own and not key.startswith("optimizer.")}
    kept |= {f"data.{name}": value for name, value in images.items()}
    kept |= {
        "data.source": source,
        "batch_size": settings.batch_size,
        "num_steps": settings.num_steps,
        "num_epochs": 0.0,
        "seed": settings.seed,
        "init_from": "",
        "evaluation.every_steps": max(1, settings.num_steps // 4),
        "optimizer.learning_rate": settings.learning_rate,
        "optimizer.warmup_steps": settings.num_steps // 10,
        "optimizer.weight_decay": 1e-4,
        "objective.freeze": False,
    }
    kept |= {key: value for key, value in {"pairs.views": 2, "pairs.small_views": 0}.items() if key in own}
    on_trained = kept | {"init_from": str(run.workdir), "objective.freeze": freeze}
    return {FROZEN if freeze else FINETUNED: on_trained, SCRATCH: kept}


def finetune(
    runs: Mapping[str, dict[str, Any]], output: Path, *, command_started: float
) -> dict[str, Summary] | signal.Signals:
    """Carries out the runs of `configs`, each in its folder; their summaries, or the signal that stopped one."""
    summaries = {}
    for name, config in runs.items():
        print(f"{name}:", flush=True)
        outcome = execute(config, output / name, command_started=command_started, again="the same command")
        if outcome.stopped_by:
            return outcome.stopped_by
        if ACCURACY not in outcome.summary:
            raise InputError(f"{output / name} has no accuracy to compare: a warning above says why")
        summaries[name] = outcome.summary
        command_started = time.perf_counter()  # of the next, for its time to the first step
    return summaries


def comparison(summaries: Mapping[str, Summary]) -> dict[str, float | int]:
    """Accuracies of the runs, of a linear probe of the encoder before them and one of raw input, as plain values."""
    on_trained = next(summary for name, summary in summaries.items() if name != SCRATCH)
    found = {f"{name}/{key}": summary[f"classifier/{key}"] for name, summary in summaries.items() for key in _KEYS}
    probes = {"linear_probe/accuracy": FEATURES[STARTED][0], "raw_input/accuracy": FEATURES[RAW][0]}
    return found | {name: on_trained.get(key) for name, key in probes.items()} | {"test_examples": on_trained[COUNT]}


def compared(found: Summary) -> Group:
    """The result of `comparison` as a table."""
    name = FROZEN if f"{FROZEN}/accuracy" in found else FINETUNED
    what = "frozen encoder, classifier trained" if name == FROZEN else "fine-tuned encoder"

    def accuracy(run: str) -> str:
        return " ± ".join(show(found, f"{run}/{key}", percent) for key in _KEYS)

    rows = [
        (what, accuracy(name)),
        ("linear probe of the encoder before", show(found, "linear_probe/accuracy", percent)),
        ("the same network from scratch", accuracy(SCRATCH)),
        ("linear probe of raw input", show(found, "raw_input/accuracy", percent)),
    ]
    count = show(found, "test_examples")
    note = f"Share of {count} test examples whose label is right, ± one standard error of their draw."
    return Group("labels", ("", "accuracy"), tuple(rows), note)

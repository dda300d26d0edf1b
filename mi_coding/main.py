"""Trains codes and says what they know.

    python -m mi_coding.main --config=configs/cpc.py [--workdir=DIR] [--config.KEY=VALUE …]

This is the only place that joins all rooms: config → data → pairs → training → evaluation → reporting.
"""

import time

_STARTED = time.perf_counter()  # before the slow imports: the first step is counted from the command

# ruff: noqa: E402
import logging
import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from mi_coding import data, pairs
from mi_coding.config import check_config, check_data, parse_command
from mi_coding.errors import InputError, NonFiniteLossError
from mi_coding.evaluation import suite
from mi_coding.evaluation.bound import HeldoutBound, make_heldout_bound
from mi_coding.evaluation.codes import encode, map_codes, nearest
from mi_coding.reporting import sections, terminal
from mi_coding.reporting.environment import describe_environment
from mi_coding.reporting.metrics import MetricsWriter, read_metrics, write_json
from mi_coding.reporting.page import Section, write_plots, write_report
from mi_coding.reporting.recorder import Recorder
from mi_coding.training import build
from mi_coding.training.checkpoints import Checkpoints
from mi_coding.training.devices import spmd
from mi_coding.training.experiment import Codes, Experiment
from mi_coding.training.loop import Hook, Trained, train
from mi_coding.training.step import init_state, make_step
from mi_coding.workdir import begin, check_workdir

VALIDATION_BATCHES = 4
"""Batches of a held-out bound during training: enough to draw a curve with."""

NUM_STRIP, NUM_QUERIES, NUM_NEIGHBOURS = 10, 10, 6
"""How many pairs, test frames and neighbours the report shows."""


class Run(NamedTuple):
    """A run that was checked and built; nothing is computed yet."""

    config: ConfigDict
    workdir: Path
    dataset: data.Dataset
    kind: pairs.PairKind
    experiment: Experiment
    codes: Codes
    num_devices: int
    num_candidates: int

    def key(self, purpose: str) -> jax.Array:
        """The random key of one purpose, from the seed: "init", "train", "validation", "test", "probe" or "report"."""
        purposes = ("init", "train", "validation", "test", "probe", "report")
        return jax.random.fold_in(jax.random.key(self.config.seed), purposes.index(purpose))


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit code: 0 done or stopped and saved, 1 diverged, 2 a mistake in the command."""
    argv = sys.argv if argv is None else argv
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        return 0
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax tells of every file it writes
    try:
        command = parse_command(argv)
        workdir = command.workdir or Path("runs") / f"{command.config_name}-{datetime.now():%Y%m%d-%H%M%S}"
        return run(command.config, workdir)
    except InputError as error:
        print(f"mi_coding: error: {error}", file=sys.stderr)
        return 2
    except NonFiniteLossError as error:
        print(f"mi_coding: error: {error}", file=sys.stderr)
        return 1


def run(config: ConfigDict, workdir: Path) -> int:
    """Trains, evaluates and reports one config in one work directory, continuing what is there; returns 0.

    Raises:
        InputError: before anything is written, for a config, data or a directory that cannot work.
        NonFiniteLossError: if training diverges; the last good checkpoint stays.
    """
    this = _prepare(config, workdir)
    warnings: list[str] = []
    trained, summary = _train(this, partial(_warn, warnings))
    if trained.stopped_by:
        print(
            f"{trained.stopped_by.name}: saved step {int(trained.state.step)}; the same command with "
            f"--workdir={workdir} continues from it"
        )
        return 0
    variables = (trained.state.params, trained.state.stats)
    summary |= _measure_bounds(this, variables, partial(_warn, warnings))
    if this.dataset.test.labels is not None:
        summary |= _probe(this, variables)
    write_json(workdir / "summary.json", summary)
    terminal.closing_table(summary)
    report = _write_report(this, variables, summary, warnings)
    print(f"\nreport: {report}")
    return 0


def _prepare(config: ConfigDict, workdir: Path) -> Run:
    num_devices = jax.local_device_count()
    check_config(config, num_devices)
    check_workdir(workdir, config.to_dict())
    dataset = data.load(config.data.source)
    check_data(config, dataset)
    experiment, codes = build.build_experiment(config, jax.default_backend())
    kind, num_candidates = build.build_pairs(config), build.num_candidates(config, num_devices)
    begin(workdir, config.to_dict())
    return Run(config, workdir, dataset, kind, experiment, codes, num_devices, num_candidates)


def _train(this: Run, warn: Callable[[str], None]) -> tuple[Trained, dict[str, float]]:
    """Trains to the end or to a signal; returns that and the entries of summary.json that tell how it went."""
    config, how, images = this.config, spmd(this.config.spmd), jnp.asarray(this.dataset.train.images)
    checkpoints = Checkpoints(this.workdir / "checkpoints", keep=config.checkpoint.keep)
    state = init_state(this.experiment, this.key("init"), images)
    state, seconds = checkpoints.restore(state) or (state, 0.0)
    step = int(state.step)
    if step:
        print(f"continuing {this.workdir} after step {step}")
    with (
        MetricsWriter(this.workdir, resume_step=step) as writer,
        terminal.Progress(config.num_steps, first_step=step, ceiling=np.log(this.num_candidates)) as progress,
    ):
        recorder = Recorder(
            writer,
            progress,
            warn,
            batch_size=config.batch_size,
            num_candidates=this.num_candidates,
            is_bound=not config.pairs.distinct,
            warmup_steps=min(config.optimizer.warmup_steps, config.num_steps - 1),
            resumed_at=step,
            seconds_before=seconds,
            command_started=_STARTED,
        )
        trained = train(
            how.parallel(make_step(this.experiment, this.key("train"), this.num_devices)),
            state,
            images,
            spmd=how,
            num_steps=config.num_steps,
            hooks=[
                Hook(config.log.every_steps, lambda step, state, metrics: recorder.log(step, jax.device_get(metrics))),
                Hook(config.evaluation.every_steps, _validate(this, writer)),
            ],
            save=Hook(config.checkpoint.every_steps, lambda step, state, _: checkpoints.save(state, recorder.seconds)),
        )
    checkpoints.close()
    return trained, recorder.summary()


def _heldout_bound(this: Run) -> Callable[..., HeldoutBound]:
    """Held-out bounds on independent pairs, also where training keeps twins out."""
    return make_heldout_bound(partial(pairs.sample_pairs, kind=this.kind), this.codes.contrast)


def _heldout_batch(this: Run) -> int:
    """The batch whose N is that of training: N pairs for cpc, B for NT-Xent's pool of 2B − 1."""
    return this.config.batch_size if this.config.objective.name == "nt_xent" else this.num_candidates


def _validate(this: Run, writer: MetricsWriter) -> Callable:
    heldout_bound, images = _heldout_bound(this), jnp.asarray(this.dataset.validation.images)
    size = _heldout_batch(this)

    def validate(step: int, state: Any, metrics: Any) -> None:
        del metrics
        variables, num_pairs = (state.params, state.stats), VALIDATION_BATCHES * size
        bound = heldout_bound(variables, this.key("validation"), images, batch_size=size, num_pairs=num_pairs)
        writer.write(step, suite.bound_summary(bound, "validation"))

    return validate


def _measure_bounds(this: Run, variables: tuple[Any, Any], warn: Callable[[str], None]) -> dict[str, float]:
    """Held-out bounds at the N of training and, where the test images allow more or less, at their number."""
    heldout_bound, images = _heldout_bound(this), jnp.asarray(this.dataset.test.images)
    summary = {}
    for prefix, size in {"heldout": _heldout_batch(this), "heldout_largest": len(images)}.items():
        num_pairs = this.config.evaluation.num_pairs
        bound = heldout_bound(variables, this.key("test"), images, batch_size=size, num_pairs=num_pairs)
        summary |= suite.bound_summary(bound, prefix)
        if bound.near_ceiling:
            warn(
                f"the held-out bound {bound.mi_lower_bound:.3f} is within 5 % of its ceiling ln {bound.num_candidates} "
                f"= {bound.ceiling:.3f} nats: the information is at least this much; raise batch_size"
            )
    return summary


def _probe(this: Run, variables: tuple[Any, Any]) -> dict[str, float]:
    settings = this.config.evaluation
    chosen = suite.ProbeSettings(settings.views, settings.knn_neighbours, settings.knn_temperature)
    untrained = init_state(this.experiment, this.key("init"), jnp.asarray(this.dataset.train.images))
    features = {
        suite.TRAINED: partial(this.codes.features, *variables),
        suite.UNTRAINED: partial(this.codes.features, untrained.params, untrained.stats),
        suite.RAW: suite.raw_pixels,
    }
    return suite.probe_summary(suite.probe(features, this.dataset, this.kind, this.key("probe"), chosen), chosen)


def _write_report(this: Run, variables: tuple[Any, Any], summary: dict[str, float], warnings: list[str]) -> Path:
    test, train_split, codes = this.dataset.test, this.dataset.train, partial(this.codes.codes, *variables)
    pair_key, test_key, train_key = jax.random.split(this.key("report"), 3)
    x, y = pairs.sample_pairs(pair_key, jnp.asarray(test.images), jnp.arange(NUM_STRIP), kind=this.kind)
    seen, known = (
        pairs.views(k, jnp.asarray(s.images), this.kind) for k, s in ((test_key, test), (train_key, train_split))
    )
    test_codes, train_codes = encode(codes, seen), encode(codes, known)
    positions, cosines = nearest(test_codes[:NUM_QUERIES], train_codes, count=NUM_NEIGHBOURS)
    shown: list[Section] = [
        sections.bound(read_metrics(this.workdir), this.num_candidates, len(this.dataset.validation.images)),
        *sections.probes(summary, num_classes=1 if test.labels is None else len(np.unique(train_split.labels))),
        sections.pair_strip(np.asarray(x), np.asarray(y), f"two frames of one clip, {this.config.pairs.gap:g} s apart"),
        sections.code_map(map_codes(test_codes), test.labels),
        sections.neighbours(
            np.asarray(seen[:NUM_QUERIES]),
            np.asarray(known)[positions],
            cosines,
            None if test.labels is None else (test.labels[:NUM_QUERIES], train_split.labels[positions]),
        ),
    ]
    write_plots(this.workdir / "plots", shown)
    path = this.workdir / "report.html"
    write_report(
        path,
        title=f"mi_coding: {this.config.objective.name} on {this.dataset.name}",
        lead=sections.LEAD,
        summary=summary,
        warnings=warnings,
        sections=shown,
        config=this.config.to_dict(),
        environment=describe_environment() | {"devices": f"{this.num_devices} × {jax.devices()[0].device_kind}"},
    )
    return path


def _warn(collected: list[str], message: str) -> None:
    collected.append(message)
    terminal.warning(message)


if __name__ == "__main__":
    sys.exit(main())

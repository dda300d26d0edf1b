"""Trains codes and says what they know.

    python -m mi_coding.main --config=configs/cpc.py [--workdir=DIR] [--config.KEY=VALUE …]

This is the only place that joins all rooms: config → data → pairs → training → evaluation → reporting.
"""

import time

_STARTED = time.perf_counter()  # before the slow imports: the first step is counted from the command

# ruff: noqa: E402
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from mi_coding.evaluation.bound import make_heldout_bound, make_pair_codes
from mi_coding.evaluation.codes import encode, map_codes, nearest
from mi_coding.reporting import sections, terminal
from mi_coding.reporting.environment import describe_environment
from mi_coding.reporting.metrics import MetricsWriter, read_metrics, write_json
from mi_coding.reporting.page import Section, write_plots, write_report
from mi_coding.reporting.recorder import Recorder
from mi_coding.training import build
from mi_coding.training.checkpoints import Checkpoints
from mi_coding.training.devices import Spmd, spmd
from mi_coding.training.experiment import Codes, Experiment
from mi_coding.training.feed import Feed, resident, streamed
from mi_coding.training.loop import Hook, Trained, train
from mi_coding.training.memory import bytes_needed, describe_bytes
from mi_coding.training.step import TrainState, init_state, make_step
from mi_coding.workdir import begin, check_workdir

VALIDATION_BATCHES = 4
"""Batches of a held-out bound during training: enough to draw a curve with."""

NUM_STRIP, NUM_QUERIES, NUM_NEIGHBOURS, NUM_MAPPED = 10, 10, 6, 1000
"""How many pairs, test images, their neighbours and codes on the map the report shows."""

NUM_HEALTH = 4096
"""Pairs that health figures are taken from."""


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
    num_steps: int
    steps_per_call: int
    num_classes: int
    warn: Callable[[str], None]

    @property
    def streamed(self) -> bool:
        """Whether training images are read batch by batch, and do not live on the devices."""
        return not isinstance(self.dataset.train.images, np.ndarray)

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
    warnings: list[str] = []
    this = _prepare(config, workdir, partial(_warn, warnings))
    trained, summary = _train(this)
    if trained.stopped_by:
        print(
            f"{trained.stopped_by.name}: saved step {int(trained.state.step)}; the same command with "
            f"--workdir={workdir} continues from it"
        )
        return 0
    print("evaluating on images that training never saw", flush=True)
    variables = trained.state.variables
    test_images = jnp.asarray(suite.fair_sample(this.dataset.test, suite.MOST_HELDOUT).images)
    summary |= _measure_bounds(this, variables, test_images)
    summary |= _measure_health(this, variables, test_images)
    if this.num_classes:
        summary |= _probe(this, variables)
    write_json(workdir / "summary.json", summary)
    terminal.closing_table(summary)
    report = _write_report(this, variables, summary, warnings)
    print(f"\nreport: {report}")
    return 0


def _prepare(config: ConfigDict, workdir: Path, warn: Callable[[str], None]) -> Run:
    num_devices, platform = jax.local_device_count(), jax.default_backend()
    check_config(config, num_devices)
    check_workdir(workdir, config.to_dict())
    dataset = data.load(
        config.data.source,
        image_size=config.data.image_size,
        channels=config.data.channels,
        placement=config.data.placement,
        warn=warn,
    )
    check_data(config, dataset)
    streamed = not isinstance(dataset.train.images, np.ndarray)
    num_steps = build.num_steps(config, data.num_examples(dataset.train))
    steps_per_call = build.steps_per_call(config, platform, num_devices, streamed=streamed)
    num_classes = 0 if dataset.train.labels is None else int(dataset.train.labels.max()) + 1
    experiment, codes = build.build_experiment(
        config,
        platform,
        num_steps=num_steps,
        num_classes=num_classes if config.optimizer.probe_learning_rate else 0,
        streamed=streamed,
    )
    kind, num_candidates = build.build_pairs(config), build.num_candidates(config, num_devices)
    begin(workdir, config.to_dict())
    return Run(
        config,
        workdir,
        dataset,
        kind,
        experiment,
        codes,
        num_devices,
        num_candidates,
        num_steps,
        steps_per_call,
        num_classes,
        warn,
    )


def _train(this: Run) -> tuple[Trained, dict[str, float]]:
    """Trains to the end or to a signal; returns that and the entries of summary.json that tell how it went."""
    config, how = this.config, spmd(this.config.spmd)
    checkpoints = Checkpoints(this.workdir / "checkpoints", keep=config.checkpoint.keep)
    state = _initial_state(this)
    state, seconds = checkpoints.restore(state) or (state, 0.0)
    step = int(state.step)
    if step:
        print(f"continuing {this.workdir} after step {step}")
    with (
        _feed(this, how, state) as (feed, input_wait),
        MetricsWriter(this.workdir, resume_step=step) as writer,
        terminal.Progress(this.num_steps, first_step=step, ceiling=np.log(this.num_candidates)) as progress,
    ):
        print(_forecast(this, how, feed.compiled), flush=True)
        recorder = Recorder(
            writer,
            progress,
            this.warn,
            batch_size=config.batch_size,
            num_candidates=this.num_candidates,
            is_bound=not config.pairs.distinct,
            warmup_steps=min(config.optimizer.warmup_steps, this.num_steps - 1),
            resumed_at=step,
            seconds_before=seconds,
            command_started=_STARTED,
            input_wait=input_wait,
        )
        trained = train(
            feed.advance,
            state,
            spmd=how,
            num_steps=this.num_steps,
            steps_per_call=this.steps_per_call,
            hooks=[
                Hook(config.log.every_steps, lambda step, state, metrics: recorder.log(step, jax.device_get(metrics))),
                Hook(config.evaluation.every_steps, _validate(this, writer)),
            ],
            save=Hook(config.checkpoint.every_steps, lambda step, state, _: checkpoints.save(state, recorder.seconds)),
        )
    checkpoints.close()
    return trained, recorder.summary()


def _initial_state(this: Run) -> TrainState:
    """The state before the first step, which is also the untrained encoder of the baseline."""
    examples = _blank_examples(this, 2) if this.streamed else _as_data(this, *this.dataset.train)
    return init_state(this.experiment, this.key("init"), jax.tree.map(jnp.asarray, examples))


def _as_data(this: Run, images: np.ndarray, labels: np.ndarray | None) -> Any:
    """What the experiment draws pairs of: images, with their labels where an online probe learns from them."""
    return (images, labels) if this.codes.online_logits else images


def _blank_examples(this: Run, count: int) -> Any:
    """So many examples of a stream, for their shapes."""
    return _as_data(this, np.zeros((count, *this.dataset.train.images.shape[1:]), np.uint8), np.zeros(count, np.int32))


@contextmanager
def _feed(this: Run, how: Spmd, state: TrainState) -> Iterator[tuple[Feed, Callable[[], float] | None]]:
    """The steps with their data, and seconds that they have waited for it so far."""
    config, train_split = this.config, this.dataset.train
    step = make_step(this.experiment, this.key("train"), this.num_devices)
    if not this.streamed:
        examples = jax.tree.map(jnp.asarray, _as_data(this, *train_split))
        yield resident(step, state, examples, how, steps_per_call=this.steps_per_call), None
        return
    with data.stream(
        train_split,
        batch_size=config.batch_size,
        first_batch=int(state.step),
        seed=config.seed,
        distinct=config.pairs.distinct,
        num_workers=config.data.num_workers,
        warn=this.warn,
    ) as batches:
        blank = _blank_examples(this, config.batch_size)
        feed = streamed(step, state, blank, (_as_data(this, *batch) for batch in batches), how)
        yield feed, lambda: batches.wait_seconds
        if len(batches.unreadable) > 1:
            this.warn(f"{len(batches.unreadable):,} images could not be decoded; others took their places")


def _forecast(this: Run, how: Spmd, compiled: jax.stages.Compiled) -> str:
    """One line before training starts: N, what the bound cannot pass, and the memory it will take."""
    loss, step = (describe_bytes(b) for b in (this.experiment.loss_memory(how), bytes_needed(compiled)))
    return (
        f"{this.config.batch_size:,} pairs on {this.num_devices} device{'s' * (this.num_devices > 1)}, "
        f"N = {this.num_candidates:,} candidates, ceiling ln N = {np.log(this.num_candidates):.2f} nats; "
        f"memory on each device, as compiled: loss {loss}, whole step {step}"
    )


def _pair_codes(this: Run) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Codes of independent pairs, also where training keeps twins out."""
    return make_pair_codes(partial(pairs.sample_pairs, kind=this.kind), this.codes.codes)


def _heldout_batch(this: Run) -> int:
    """The batch whose N is that of training: N pairs for cpc, B for NT-Xent's pool of 2B − 1."""
    return this.config.batch_size if this.config.objective.name == "nt_xent" else this.num_candidates


def _validate(this: Run, writer: MetricsWriter) -> Callable:
    """Writes the bound on validation pairs, and how often the online probe is right about validation images."""
    split = this.dataset.validation
    images, size = jnp.asarray(suite.fair_sample(split, suite.MOST_HELDOUT).images), _heldout_batch(this)
    heldout_bound = make_heldout_bound(_pair_codes(this), this.codes.contrast)
    online = None
    if this.codes.online_logits:
        online = suite.make_accuracy(this.codes.online_logits, this.kind, split, this.key("validation"))

    def validate(step: int, state: TrainState, metrics: Any) -> None:
        del metrics
        num_pairs = VALIDATION_BATCHES * size
        bound = heldout_bound(state.variables, this.key("validation"), images, batch_size=size, num_pairs=num_pairs)
        scalars = suite.bound_summary(bound, "validation")
        if online:
            scalars["validation/online_probe_accuracy"] = online(state.variables)
        writer.write(step, scalars)

    return validate


def _measure_bounds(this: Run, variables: tuple[Any, Any], images: jax.Array) -> dict[str, float]:
    """Held-out bounds at the N of training and, where the test images allow more or less, at their number."""
    heldout_bound = make_heldout_bound(_pair_codes(this), this.codes.contrast)
    summary = {}
    for prefix, size in {"heldout": _heldout_batch(this), "heldout_largest": len(images)}.items():
        num_pairs = this.config.evaluation.num_pairs
        bound = heldout_bound(variables, this.key("test"), images, batch_size=size, num_pairs=num_pairs)
        summary |= suite.bound_summary(bound, prefix)
        if bound.near_ceiling:
            this.warn(
                f"the held-out bound {bound.mi_lower_bound:.3f} is within 5 % of its ceiling ln {bound.num_candidates} "
                f"= {bound.ceiling:.3f} nats: the information is at least this much; raise batch_size"
            )
    return summary


def _measure_health(this: Run, variables: tuple[Any, Any], images: jax.Array) -> dict[str, float]:
    some = images[:NUM_HEALTH]
    z_x, z_y = _pair_codes(this)(variables, this.key("test"), images, jnp.arange(NUM_HEALTH))
    shown = jax.jit(partial(pairs.views, kind=this.kind))(this.key("test"), some)
    return suite.health(np.asarray(z_x), np.asarray(z_y), encode(partial(this.codes.features, *variables), shown))


def _probe(this: Run, variables: tuple[Any, Any]) -> dict[str, float]:
    settings = this.config.evaluation
    chosen = suite.ProbeSettings(
        settings.views, settings.knn_neighbours, settings.knn_temperature, settings.most_images
    )
    untrained = _initial_state(this)
    features = {
        suite.TRAINED: partial(this.codes.features, *variables),
        suite.UNTRAINED: partial(this.codes.features, untrained.params, untrained.stats),
        suite.RAW: suite.raw_pixels,
    }
    return suite.probe_summary(suite.probe(features, this.dataset, this.kind, this.key("probe"), chosen), chosen)


def _write_report(this: Run, variables: tuple[Any, Any], summary: dict[str, float], warnings: list[str]) -> Path:
    test = suite.fair_sample(this.dataset.test, NUM_MAPPED)
    known_split = suite.fair_sample(this.dataset.train, suite.MOST_HELDOUT)
    codes = partial(this.codes.codes, *variables)
    pair_key, test_key, train_key = jax.random.split(this.key("report"), 3)
    originals = test.images[:NUM_STRIP]
    x, y = pairs.pairs_of_batch(pair_key, jnp.asarray(originals), jnp.arange(len(originals)), kind=this.kind)
    seen, known = (
        pairs.views(k, jnp.asarray(s.images), this.kind) for k, s in ((test_key, test), (train_key, known_split))
    )
    test_codes, train_codes = encode(codes, seen), encode(codes, known)
    positions, cosines = nearest(test_codes[:NUM_QUERIES], train_codes, count=NUM_NEIGHBOURS)
    shown: list[Section] = [
        sections.bound(read_metrics(this.workdir), this.num_candidates, data.num_examples(this.dataset.validation)),
        *sections.probes(summary, num_classes=this.num_classes),
        sections.pair_strip(originals, np.asarray(x), np.asarray(y), build.describe_pairs(this.config)),
        sections.code_map(map_codes(test_codes), test.labels),
        sections.neighbours(
            np.asarray(seen[:NUM_QUERIES]),
            np.asarray(known)[positions],
            cosines,
            None if test.labels is None else (test.labels[:NUM_QUERIES], known_split.labels[positions]),
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

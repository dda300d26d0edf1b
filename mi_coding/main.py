"""Trains codes and says what they know.

    python -m mi_coding.main --config=configs/cpc.py [--workdir=DIR] [--config.KEY=VALUE …] [--profile]
        [--coordinator=HOST:PORT --num_processes=P --process_id=I]

Here the rooms are joined: runs.py builds a run of a config, this trains it, and measure.py says what it is worth.
"""

import time

_STARTED = time.perf_counter()  # before the slow imports: the first step is counted from the command

# ruff: noqa: E402
import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from mi_coding import data, measure
from mi_coding.command import run_command
from mi_coding.config import parse_command
from mi_coding.errors import AloneError, NonFiniteLossError, SaveError
from mi_coding.reporting import terminal
from mi_coding.reporting.metrics import MetricsWriter, read_metrics, write_json
from mi_coding.reporting.phases import Phases
from mi_coding.reporting.recorder import Recorder
from mi_coding.runs import Run, about, as_data, blank_examples, initial_state, prepare
from mi_coding.training import build
from mi_coding.training.checkpoints import Checkpoints
from mi_coding.training.devices import Spmd, programs_kept, spmd
from mi_coding.training.feed import Feed, resident, streamed
from mi_coding.training.flops import peak_flops
from mi_coding.training.loop import Hook, Trained, train
from mi_coding.training.memory import bytes_needed, describe_bytes
from mi_coding.training.processes import is_first, joined, of_first, together
from mi_coding.training.step import TrainState, make_step
from mi_coding.training.trace import traced
from mi_coding.workdir import begin

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR)


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit code: 0 done or stopped and saved, 1 failed, 2 a mistake in the command."""
    return run_command(argv, __doc__, _main)


def _main(argv: list[str]) -> int:
    command = parse_command(argv)
    try:
        with joined(command.place):
            name = of_first(f"{command.config_name}-{datetime.now():%Y%m%d-%H%M%S}")
            return run(command.config, command.workdir or Path("runs") / name, profile=command.profile)
    except (NonFiniteLossError, SaveError, AloneError) as error:
        if is_first():
            print(f"mi_coding: error: {error}", file=sys.stderr)
        return 1
    except (OSError, jax.errors.JaxRuntimeError) as error:
        if not (reason := _reason(error)):
            raise
        print(f"mi_coding: error: {reason}", file=sys.stderr)
        return 1


def _reason(error: OSError | jax.errors.JaxRuntimeError) -> str:
    """One line for a disk that is full or refuses, and for devices that are full; "" for all else, our mistakes."""
    if isinstance(error, OSError):
        return str(error) if error.errno in _OF_THE_DISK else ""
    first = str(error).partition("\n")[0]
    if "RESOURCE_EXHAUSTED" not in first:
        return ""
    return f"{first[:200]}; lower batch_size or microbatch_size, or train on more devices"


def run(config: ConfigDict, workdir: Path, *, profile: bool = False) -> int:
    """Trains, evaluates and reports one config in one work directory, continuing what is there; returns 0.

    Args:
        config: from a config file, see configs/.
        workdir: made where it is missing.
        profile: whether to write a trace of some steps there, for the profiler of TensorBoard or XProf.
    Raises:
        InputError: before anything is written, for a config, data or a directory that cannot work.
        NonFiniteLossError: if training diverges; the last good checkpoint stays.
    """
    warnings: list[str] = []
    this = together(lambda: prepare(config, workdir, partial(_warn, warnings)))
    with (
        together(lambda: begin(workdir, config.to_dict()) if is_first() else nullcontext()),
        programs_kept(workdir / "programs"),
    ):
        return _train_and_measure(this, warnings, profile)


def _train_and_measure(this: Run, warnings: list[str], profile: bool) -> int:
    with Checkpoints(this.workdir / "checkpoints", keep=this.config.checkpoint.keep, about=about(this)) as checkpoints:
        trained, summary = _train(this, checkpoints, profile)
    if trained.stopped_by:
        _say(
            f"{trained.stopped_by.name}: saved step {int(trained.state.step)}; the same command with "
            f"--workdir={this.workdir} continues from it"
        )
    if trained.stopped_by or not is_first():  # the others have nothing more to do, and wait to leave together
        return 0
    if told := measure.learnt_by_heart(read_metrics(this.workdir)):
        this.warn(told)
    print("evaluating on examples that training never saw", flush=True)
    variables = trained.state.variables
    summary |= measure.measure(this, variables)
    write_json(this.workdir / "summary.json", summary)
    terminal.closing_table(summary)
    report = measure.write_report(this, variables, summary, warnings)
    print(f"\nreport: {report}")
    return 0


def _train(this: Run, checkpoints: Checkpoints, profile: bool) -> tuple[Trained, dict[str, float]]:
    """Trains to the end or to a signal; returns that and the entries of summary.json that tell how it went."""
    config, how, phases = this.config, spmd(this.config.spmd), Phases()
    state = initial_state(this)
    state, seconds = together(lambda: checkpoints.restore(state, this.warn)) or (state, 0.0)
    step = int(state.step)
    if step:
        _say(f"continuing {this.workdir} after step {step}")
    with (
        _feed(this, how, state) as (feed, input_wait),
        MetricsWriter(this.workdir, resume_step=step) if is_first() else nullcontext() as writer,
        terminal.Progress(this.num_steps, first_step=step, ceiling=_ceiling(this)) as progress,
        traced(this.workdir / "profile") if profile else nullcontext() as trace,
    ):
        _say(_forecast(this, how, feed.compiled))
        recorder = Recorder(
            writer,
            progress,
            this.warn,
            batch_size=config.batch_size,
            ceiling=_ceiling(this),
            is_bound=build.is_bound(config),
            warmup_steps=min(config.optimizer.warmup_steps, this.num_steps - 1),
            resumed_at=step,
            seconds_before=seconds,
            command_started=_STARTED,
            input_wait=input_wait,
            phases=phases,
            flops=feed.flops,
            peak_flops=peak_flops(jax.local_devices()[0].device_kind),
        )
        hooks, save = _hooks(this, recorder, phases, checkpoints, writer)
        trained = train(
            feed.advance,
            state,
            spmd=how,
            num_steps=this.num_steps,
            steps_per_call=this.steps_per_call,
            hooks=[*hooks, trace] if trace else hooks,
            save=save,
        )
    return trained, recorder.summary()


def _hooks(
    this: Run, recorder: Recorder, phases: Phases, checkpoints: Checkpoints, writer: MetricsWriter | None
) -> tuple[list[Hook], Hook]:
    """What is done between steps, and the hook that saves. Where process 0 does it alone, the others stop there too."""
    log = validate = lambda step, state, metrics: None
    if is_first():
        log = phases.timed("log", lambda step, state, metrics: recorder.log(step, jax.device_get(metrics)))
        validate = phases.timed("validation", measure.validation(this, writer))
    save = phases.timed("checkpoint", lambda step, state, metrics: checkpoints.save(state, recorder.seconds))
    config = this.config
    hooks = [Hook(config.log.every_steps, log), Hook(config.evaluation.every_steps, validate)]
    return hooks, Hook(config.checkpoint.every_steps, save)


@contextmanager
def _feed(this: Run, how: Spmd, state: TrainState) -> Iterator[tuple[Feed, Callable[[], float] | None]]:
    """The steps with their data, and seconds that they have waited for it so far."""
    config, train_split = this.config, this.dataset.train
    step = make_step(this.experiment, this.key("train"), this.num_devices)
    if not this.streamed:
        examples = jax.tree.map(jnp.asarray, as_data(this, train_split))
        yield resident(step, state, examples, how, steps_per_call=this.steps_per_call), None
        return
    if build.of_films(config):
        moments = data.FramePairs(train_split.examples, train_split.films, config.pairs.gap)
        train_split = data.Split(moments, None)
    with data.stream(
        train_split,
        batch_size=config.batch_size,
        first_batch=int(state.step),
        seed=config.seed,
        distinct=config.pairs.distinct,
        group_size=build.group_size(config),
        num_workers=config.data.num_workers,
        shard=(jax.process_index(), jax.process_count()),
        warn=this.warn if is_first() else terminal.warning,
    ) as batches:
        blank = blank_examples(this, config.batch_size // jax.process_count())
        feed = streamed(step, state, blank, (as_data(this, batch) for batch in batches), how)
        yield feed, lambda: batches.wait_seconds
        if len(batches.unreadable) > 1:
            this.warn(f"{len(batches.unreadable):,} images could not be decoded; others took their places")


def _forecast(this: Run, how: Spmd, compiled: jax.stages.Compiled) -> str:
    """One line before training starts: N, what the bound cannot pass, and the memory it will take."""
    loss, step = (describe_bytes(b) for b in (this.experiment.loss_memory(how), bytes_needed(compiled)))
    batch = f"{this.config.batch_size:,} pairs on {this.num_devices} device{'s' * (this.num_devices > 1)}, "
    if this.codes.discrete:
        prior, count = this.codes.discrete.prior, this.codes.discrete.num_heads
        most = prior.num_symbols * np.log(prior.num_values)
        what = f"{count} code{'s' * (count > 1)} of {prior.num_symbols} × {prior.num_values} values"
        return f"{batch}{what}, at most {most:.2f} nats; memory on each device, as compiled: whole step {step}"
    return (
        f"{batch}N = {this.num_candidates:,} candidates, ceiling ln N = {_ceiling(this):.2f} nats; "
        f"memory on each device, as compiled: loss {loss}, whole step {step}"
    )


def _ceiling(this: Run) -> float | None:
    """ln N in nats, where there are candidates."""
    return None if this.num_candidates is None else float(np.log(this.num_candidates))


def _warn(collected: list[str], message: str) -> None:
    collected.append(message)
    if is_first():
        terminal.warning(message)


def _say(message: str) -> None:
    if is_first():
        print(message, flush=True)


if __name__ == "__main__":
    sys.exit(main())

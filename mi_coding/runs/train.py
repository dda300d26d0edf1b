"""Trains a run to its end or until a signal, with all that is written and checked between steps."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp

from mi_coding import data, evaluation
from mi_coding.errors import InputError, Setting
from mi_coding.interrupts import deferred
from mi_coding.reporting import terminal
from mi_coding.reporting.metrics import MetricsWriter
from mi_coding.reporting.phases import Phases
from mi_coding.reporting.recorder import Recorder, Session, TrainingSpec
from mi_coding.runs.evaluate import trained_codes
from mi_coding.runs.run import Run, steps_per_call
from mi_coding.runs.workdir import extend, note_start
from mi_coding.training.checkpoints import Checkpoints
from mi_coding.training.devices import DataParallel, data_parallel
from mi_coding.training.feed import StepRunner, from_device_data, from_stream
from mi_coding.training.flops import peak_flops
from mi_coding.training.loop import Hook, Trained, traced, train
from mi_coding.training.memory import bytes_needed, describe_bytes, loss_bytes
from mi_coding.training.processes import is_main_process, on_all_processes, same_on_all_processes, sum_over_processes
from mi_coding.training.step import TrainState, make_step

FEWEST_STEPS = 20  # before which a loss is not expected to have left chance level

_ELSEWHERE = "read by another process"
"""Stands for the name of an image that another process could not decode."""

OnStep = Callable[[int, dict[str, float]], None]


def train_run(
    run: Run,
    checkpoints: Checkpoints,
    *,
    command_started: float,
    profile: bool = False,
    on_step: OnStep | None = None,
) -> tuple[Trained, dict[str, float]]:
    """Trains to the end or until a signal; returns the result and the entries of summary.json about training.

    Args:
        run: the run to train, from its newest checkpoint if it has one.
        checkpoints: the checkpoints in its work directory.
        command_started: `time.perf_counter()` at the start of the command, for the time until the first step.
        profile: whether to write a trace of some steps into the work directory.
        on_step: called after every step with its number and its metrics, such as "loss".
    """
    phases, parallel = Phases(), data_parallel(run.plan.run.spmd)
    with terminal.waiting("compiling") if is_main_process() else nullcontext():
        state = run.initial_state
    restored = on_all_processes(lambda: checkpoints.restore(state, run.warn))
    if restored is None and run.plan.run.init_from:
        on_all_processes(lambda: _check_same_start(run))
        state, line = run.starting_state
        log_on_main(line)
        if is_main_process():
            note_start(run.workdir, run.other_run.step)
    state, seconds = restored or (state, 0.0)
    step = int(state.step)
    if run.extends_from and is_main_process():
        extend(run.workdir, run.plan.nested_config, step=step, num_steps=run.num_steps)
    if step:
        log_on_main(f"continuing {run.workdir} after step {step}")
    with (
        _told(_step_runner(run, parallel, state), "compiling") as (steps, input_wait),
        MetricsWriter(run.workdir, resume_step=step) if is_main_process() else nullcontext() as writer,
        terminal.Progress(run.num_steps, first_step=step, ceiling=run.ceiling) as progress,
        traced(run.workdir / "profile") if profile else nullcontext() as trace,
    ):
        log_on_main(forecast(run, parallel, steps.compiled))
        recorder = Recorder(
            writer,
            progress,
            run.warn,
            _training_spec(run, steps.flops),
            Session(command_started, resumed_at=step, seconds_before=seconds),
            input_wait=input_wait,
            phases=phases,
        )
        hooks, save = _hooks(run, recorder, phases, checkpoints, writer, on_step)
        on_all_processes(lambda: None)  # all have compiled: from here on a signal is deferred to the end of a step
        with deferred() as received:
            trained = train(
                steps.advance,
                state,
                parallel=parallel,
                num_steps=run.num_steps,
                steps_per_call=steps_per_call(run),
                hooks=[*hooks, trace] if trace else hooks,
                save=save,
            )
            checkpoints.wait()
        trained = trained._replace(stopped_by=trained.stopped_by or next(iter(received), None))
    return trained, {"train/steps": int(trained.state.step)} | recorder.summary()  # the last may not be logged


def _check_same_start(run: Run) -> None:
    """Raises InputError, in all processes, where they have read different checkpoints of the run to start from."""
    if not same_on_all_processes(run.other_run.step):
        found = " has other checkpoints for some processes than for others; expected a run that is not being trained, "
        raise InputError(Setting("init_from", run.plan.run.init_from), found + "in a directory that all processes see")


@contextmanager
def _told(entering: AbstractContextManager[Any], what: str) -> Iterator[Any]:
    """The same context; while it is being entered, a line every few seconds says what takes so long."""
    with ExitStack() as stack:
        with terminal.waiting(what) if is_main_process() else nullcontext():
            entered = stack.enter_context(entering)
        yield entered


def forecast(run: Run, parallel: DataParallel, compiled: jax.stages.Compiled) -> str:
    """One line before training starts: what is learnt, the ceiling of the result, and the memory needed."""
    size, count = run.plan.run.batch_size, run.num_devices
    memory = f"whole step {describe_bytes(bytes_needed(compiled))}"
    if scored := run.method.scored_shapes:
        memory = f"loss {describe_bytes(loss_bytes(*scored, parallel))}, {memory}"
    batch = f"{size:,} pairs on {count} device{'s' * (count > 1)}"
    return f"{batch}, {run.method.forecast()}; memory on each device, as compiled: {memory}"


def _training_spec(run: Run, flops: float) -> TrainingSpec:
    return TrainingSpec(
        batch_size=run.plan.run.batch_size,
        ceiling=run.ceiling,
        is_bound=run.method.is_bound,
        learning_after=min(max(run.plan.optimizer.warmup_steps, FEWEST_STEPS), run.num_steps - 1),
        flops=flops,
        peak_flops=peak_flops(jax.local_devices()[0].device_kind),
    )


def log_on_main(message: str) -> None:
    """Prints a line in the main process only."""
    if is_main_process():
        print(message, flush=True)


def _hooks(
    run: Run,
    recorder: Recorder,
    phases: Phases,
    checkpoints: Checkpoints,
    writer: MetricsWriter | None,
    on_step: OnStep | None,
) -> tuple[list[Hook], Hook]:
    """The hooks between steps, and the one that saves. Where only process 0 acts, the others pause there, too."""
    log = validate = report = lambda step, state, metrics: None
    if is_main_process():
        report = lambda step, state, metrics: on_step(step, jax.tree.map(float, metrics))  # noqa: E731
        measure = evaluation.validation(run.plan.evaluators, trained_codes(run, variables=None))
        log = phases.timed("log", lambda step, state, metrics: recorder.log(step, jax.device_get(metrics)))
        validate = phases.timed(
            "validation", lambda step, state, metrics: writer.write(step, measure(step, state.variables))
        )
    save = phases.timed("checkpoint", lambda step, state, metrics: checkpoints.save(state, recorder.seconds))
    options = run.plan.run
    hooks = [Hook(options.log_every, log), Hook(options.validate_every, validate)]
    hooks += [Hook(1, report)] if on_step else []
    return hooks, Hook(options.checkpoint_every, save)


@contextmanager
def _step_runner(
    run: Run, parallel: DataParallel, state: TrainState
) -> Iterator[tuple[StepRunner, Callable[[], float] | None]]:
    """The steps with their data, and a function that returns the seconds they have waited for it so far."""
    step = make_step(run.experiment, run.key("train"), run.num_devices)
    if not run.streamed:
        examples = jax.tree.map(jnp.asarray, run.device_data(run.dataset.train))
        yield from_device_data(step, state, examples, parallel, steps_per_call=steps_per_call(run)), None
        return
    with _stream(run, first_batch=int(state.step)) as batches:
        dummy = run.dummy_batch(run.plan.run.batch_size // jax.process_count())
        steps = from_stream(step, state, dummy, (run.batch_data(batch) for batch in batches), parallel)
        yield steps, lambda: batches.wait_seconds
        count = sum_over_processes(len(batches.unreadable))
        elsewhere = [_ELSEWHERE] * (count - len(batches.unreadable))
        run.dataset.account.leave_out("cannot be decoded", [*batches.unreadable, *elsewhere])
        if count > 1:
            run.warn(f"{count:,} images could not be decoded; others took their places")


def _stream(run: Run, *, first_batch: int) -> data.Stream:
    """The stream of batches for this process, from `first_batch` on."""
    train, pairs, options = run.dataset.train, run.plan.pairs, run.plan.run
    if pairs.film_gap:
        train = data.Split(data.FramePairs(train.examples, train.films, pairs.film_gap), None)
    spec = data.StreamSpec(
        batch_size=options.batch_size,
        seed=options.seed,
        first_batch=first_batch,
        distinct=pairs.distinct,
        group_size=pairs.group_size,
        shard=(jax.process_index(), jax.process_count()),
    )
    warn = run.warn if is_main_process() else terminal.warning
    return data.Stream(train, spec, num_workers=run.plan.data.num_workers, warn=warn)

"""Trains, evaluates and reports a config in one work directory."""

import json
import math
import signal
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import jax

from mi_coding.data import Source
from mi_coding.interrupts import Interrupted, describe, keeps, stop
from mi_coding.methods import Variables
from mi_coding.reporting import terminal
from mi_coding.reporting.environment import describe_run
from mi_coding.reporting.metrics import read_metrics, write_json
from mi_coding.reporting.page import Section
from mi_coding.reporting.results import group_results
from mi_coding.runs.evaluate import evaluate_run, write_report
from mi_coding.runs.run import Run, checkpoint_metadata, prepare
from mi_coding.runs.train import OnStep, log_on_main, train_run
from mi_coding.runs.workdir import ENDS, begin, saved_step
from mi_coding.training.checkpoints import Checkpoints
from mi_coding.training.devices import persistent_compilation_cache
from mi_coding.training.processes import is_main_process, on_all_processes


class Outcome(NamedTuple):
    """How far a run has come, and its results.

    Attributes:
        run: with its data and its method.
        variables: (params, stats) after the last step that was taken.
        step: the step that they are of.
        summary: what summary.json has; the entries of training alone where it was stopped, or not evaluated.
        sections: of the report, with their figures; none where it was not evaluated.
        stopped_by: the signal that stopped it before its last step.
    """

    run: Run
    variables: Variables
    step: int
    summary: dict[str, Any]
    sections: Sequence[Section] = ()
    stopped_by: signal.Signals | None = None


def execute(
    config: Mapping[str, Any],
    workdir: Path,
    *,
    typed: Collection[str] = (),
    command_started: float,
    profile: bool = False,
    source: Source | None = None,
    on_step: OnStep | None = None,
    evaluates: bool = True,
    again: str | None = None,
) -> Outcome:
    """Trains, evaluates and reports one config, continuing what is in its work directory.

    Args:
        config: nested or flat; keys that it does not have take their defaults.
        workdir: created if it does not exist.
        typed: keys that the user typed on the command line.
        command_started: `time.perf_counter()` at the start of the command.
        profile: whether to write a trace of some steps to `workdir`, for the profiler of TensorBoard or XProf.
        source: read in place of the source that the config names.
        on_step: called after every step, see `train_run`.
        evaluates: whether to evaluate and to report after the last step.
        again: what the user calls to continue a stopped run; None for the same command, "" if nothing can.
    Raises:
        InputError: before anything is written, for a config, data or a directory that cannot work.
        NonFiniteLossError: if training diverges; the last good checkpoint stays.
        KeyboardInterrupt: at Ctrl-C before the first step; later, the outcome so far is returned, or, in a command,
            the process ends.
    """
    warnings: list[str] = []
    with terminal.waiting("reading data") if is_main_process() else nullcontext():
        run = on_all_processes(lambda: prepare(config, workdir, partial(_warn, warnings), typed, source))
    if run.plan.ignored:
        keys, count = ", ".join(run.plan.ignored), len(run.plan.ignored)
        log_on_main(f"{count} option{'s' * (count > 1)} of kinds that this config does not choose, ignored: {keys}")
    with (
        on_all_processes(lambda: _begin(run) if is_main_process() else nullcontext()),
        persistent_compilation_cache(workdir / "programs"),
    ):
        again = f"the same command with --workdir={workdir}" if again is None else again
        if step := saved_step(workdir):
            keeps(_saved(step, again))
        else:
            keeps("stopped before the first step" + (f"; {again} starts again" if again else ""))
        log_on_main("\n".join(run.dataset.account.lines()))
        outcome = _train(run, again, command_started=command_started, profile=profile, on_step=on_step)
        # All processes but the main one have nothing more to do, and wait to exit together.
        if outcome.stopped_by or not evaluates or not is_main_process():
            return outcome
        try:
            return _evaluate(outcome, warnings)
        except Interrupted:  # of a command, which ends
            raise
        except KeyboardInterrupt:  # in Python: what is trained is worth more than its report
            log_on_main(f"\n{describe(signal.SIGINT)}; no report is written")
            return outcome


def _saved(step: int, again: str) -> str:
    """What a stop leaves behind, for the user."""
    return f"saved step {step}; {again} continues from it" if again else f"stopped after step {step}"


def _begin(run: Run) -> IO[str]:
    if step := run.extends_from:
        ends = ((end, run.begun_with.get(end, 0), run.plan.config[end]) for end in ENDS)
        changed = ", ".join(f"{end} was {before:,} and is {now:,}" for end, before, now in ends if before != now)
        schedule = run.plan.optimizer.schedule(run.plan.run.batch_size, run.num_steps)
        rate = f"at step {step:,} it is {float(schedule(step)):.3g}"
        print(f"{changed}: the schedule of the learning rate is stretched to {run.num_steps:,} steps, {rate}")
    return begin(run.workdir, None if step else run.plan.nested_config)


def _train(run: Run, again: str, **how: Any) -> Outcome:
    """The run after its last step, its summary about training and hardware alone.

    Args:
        run, again: see `execute`.
        how: further arguments of `train_run`.
    """
    environment = describe_run(run.num_devices, jax.devices()[0].device_kind)  # the source may change during training
    keep, metadata = run.plan.run.keep_checkpoints, checkpoint_metadata(run)
    with Checkpoints(run.workdir / "checkpoints", keep=keep, metadata=metadata) as checkpoints:
        trained, summary = train_run(run, checkpoints, **how)
    saved = int(trained.state.step)
    keeps(_saved(saved, again))
    if trained.stopped_by and saved == run.num_steps and jax.process_count() > 1:
        stop(trained.stopped_by)  # the others may not know, and would evaluate
    if trained.stopped_by:
        log_on_main(describe(trained.stopped_by))
    summary |= environment
    if math.isnan(summary.get("train/first_step_seconds", 0.0)):  # no step was taken
        summary |= _before(run, summary)
    return Outcome(run, trained.state.variables, saved, summary, stopped_by=trained.stopped_by)


def _before(run: Run, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What earlier sessions know of training, for one that takes no step: their entries of `summary`."""
    path = run.workdir / "summary.json"
    if path.is_file():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        return {key: value for key, value in earlier.items() if key in summary or key.startswith("train/")}
    _, losses = read_metrics(run.workdir).get("train/loss", ((), ()))
    return {"train/loss": float(losses[-1])} if len(losses) else {}


def _evaluate(outcome: Outcome, warnings: list[str]) -> Outcome:
    run = outcome.run
    print("evaluating on examples that training never saw", flush=True)
    codes, found = evaluate_run(run, outcome.variables, read_metrics(run.workdir))
    summary = outcome.summary | found
    terminal.closing_table(group_results(summary, run.plan.evaluators))
    report, sections = write_report(run, codes, summary, warnings)
    write_json(run.workdir / "summary.json", summary)  # written last: a run that has it is finished
    keeps(f"finished; {report} is written")
    print(f"\nreport: {report}")
    return outcome._replace(summary=summary, sections=sections)


def _warn(collected: list[str], message: str) -> None:
    collected.append(message)
    if is_main_process():
        terminal.warning(message)

"""Trains, evaluates and reports a config in one work directory."""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from mi_coding.interrupts import describe, keeps, stop
from mi_coding.reporting import terminal
from mi_coding.reporting.metrics import read_metrics, write_json
from mi_coding.reporting.results import group_results
from mi_coding.runs.evaluate import evaluate_run, write_report
from mi_coding.runs.run import Run, checkpoint_metadata, prepare
from mi_coding.runs.train import log_on_main, train_run
from mi_coding.runs.workdir import begin
from mi_coding.training.checkpoints import Checkpoints
from mi_coding.training.devices import persistent_compilation_cache
from mi_coding.training.processes import is_main_process, on_all_processes


def execute(
    config: Mapping[str, Any],
    workdir: Path,
    *,
    typed: Iterable[str] = (),
    command_started: float,
    profile: bool = False,
) -> int:
    """Trains, evaluates and reports one config, continuing what is in its work directory; returns 0.

    Args:
        config: nested or flat; keys that it does not have take their defaults.
        workdir: made where it is missing.
        typed: keys that a person typed on the command line.
        command_started: `time.perf_counter()` at the start of the command.
        profile: whether to write a trace of some steps there, for the profiler of TensorBoard or XProf.
    Raises:
        InputError: before anything is written, for a config, data or a directory that cannot work.
        NonFiniteLossError: if training diverges; the last good checkpoint stays.
    """
    warnings: list[str] = []
    run = on_all_processes(lambda: prepare(config, workdir, partial(_warn, warnings), typed))
    if run.plan.ignored:
        keys, count = ", ".join(run.plan.ignored), len(run.plan.ignored)
        log_on_main(f"{count} option{'s' * (count > 1)} of kinds that this config does not choose, ignored: {keys}")
    with (
        on_all_processes(lambda: begin(workdir, run.plan.nested_config) if is_main_process() else nullcontext()),
        persistent_compilation_cache(workdir / "programs"),
    ):
        keeps(f"stopped before the first step; the same command with --workdir={workdir} starts again")
        log_on_main("\n".join(run.dataset.account.lines()))
        return _train_and_evaluate(run, warnings, command_started, profile)


def _train_and_evaluate(run: Run, warnings: list[str], command_started: float, profile: bool) -> int:
    keep, metadata = run.plan.run.keep_checkpoints, checkpoint_metadata(run)
    with Checkpoints(run.workdir / "checkpoints", keep=keep, metadata=metadata) as checkpoints:
        trained, summary = train_run(run, checkpoints, command_started=command_started, profile=profile)
    saved = int(trained.state.step)
    keeps(f"saved step {saved}; the same command with --workdir={run.workdir} continues from it")
    if trained.stopped_by and saved == run.num_steps:
        stop(trained.stopped_by)  # the others may not know, and would evaluate
    if trained.stopped_by:
        log_on_main(describe(trained.stopped_by))
    if trained.stopped_by or not is_main_process():  # the others have nothing more to do, and wait to leave together
        return 0
    print("evaluating on examples that training never saw", flush=True)
    codes, found = evaluate_run(run, trained.state.variables, read_metrics(run.workdir))
    summary |= found
    terminal.closing_table(group_results(summary, run.plan.evaluators))
    report = write_report(run, codes, summary, warnings)
    write_json(run.workdir / "summary.json", summary)  # the last: with it a run has finished
    keeps(f"finished; {report} is written")
    print(f"\nreport: {report}")
    return 0


def _warn(collected: list[str], message: str) -> None:
    collected.append(message)
    if is_main_process():
        terminal.warning(message)

"""Evaluates the codes of a run on examples that training never saw: the numbers and the report."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jax

from mi_coding import evaluation
from mi_coding.data import Dataset
from mi_coding.errors import InputError
from mi_coding.evaluation.base import Trained
from mi_coding.methods import Variables
from mi_coding.reporting import page, terminal
from mi_coding.reporting.environment import describe_environment
from mi_coding.reporting.results import collect_tiles, group_results
from mi_coding.runs.examples import count_classes, in_classes_of
from mi_coding.runs.restore import Restored
from mi_coding.runs.run import Run
from mi_coding.runs.workdir import noted_start

_MOST_NAMED = 3  # classes in a warning


def trained_codes(run: Run, variables: Variables | None, curves: Mapping[str, Any] | None = None) -> Trained:
    """All that evaluations may know of a run.

    Args:
        variables: (params, stats); None if they are supplied later, as in validation.
        curves: the curves of metrics.jsonl, if the run was trained here.
    """
    return Trained(
        method=run.method,
        pairs=run.plan.pairs,
        dataset=run.dataset,
        variables=variables,
        untrained=cache(lambda: run.initial_state.variables),  # which compiles a program each time
        started=_started(run),
        key=run.key,
        warn=run.warn,
        batch_size=run.plan.run.batch_size,
        num_steps=run.num_steps,
        num_classes=count_classes(run.dataset.train),
        curves=curves or {},
    )


def _started(run: Run) -> Callable[[], Variables | None] | None:
    """A function that returns the variables before the first step of a run that started from another's encoder.

    It returns None, and warns once, where the other run is gone, has been trained on, or can no longer be read.
    """
    init_from = run.plan.run.init_from
    if not init_from:
        return None

    @cache
    def started() -> Variables | None:
        without = "so the encoder that this run started from has no probe"
        if not (Path(init_from) / "config.json").is_file():
            run.warn(f"--init_from={init_from} is gone, {without}")
            return None
        try:
            now, then = run.other_run.step, noted_start(run.workdir)
        except InputError as error:
            run.warn(f"{error}: {without}")
            return None
        if then not in (None, now):
            run.warn(f"--init_from={init_from} was at step {then:,} and is now at {now:,}, {without}")
            return None
        return run.starting_state[0].variables

    return started


def run_on(restored: Restored, dataset: Dataset, warn: Callable[[str], None]) -> Run:
    """A run that was read back, with other data, for its evaluation on the devices that are here.

    Where classes are learnt with the encoder, labels are numbered as they were then, by the names of classes; what
    judges these classes is left out, with a warning, if the data has others.
    """
    plan = restored.plan
    if any(one.judges_classes for one in plan.evaluators):
        dataset, lacking = in_classes_of(dataset, restored.metadata["data"].get("class names"))
        if lacking:
            named = ", ".join(map(repr, lacking[:_MOST_NAMED]))
            named += f" and {len(lacking) - _MOST_NAMED:,} others" * (len(lacking) > _MOST_NAMED)
            warn(f"the classifier is not judged: the data has classes that it has not learnt: {named}")
            plan = plan._replace(evaluators=tuple(one for one in plan.evaluators if not one.judges_classes))
    count, step = jax.local_device_count(), restored.step
    return Run(plan, restored.workdir, dataset, restored.method, count, step, streamed=True, warn=warn)


def evaluate_run(
    run: Run, variables: Variables, curves: Mapping[str, Any] | None = None
) -> tuple[Trained, dict[str, Any]]:
    """What was evaluated, see `trained_codes`, and the results as entries of summary.json."""
    trained = trained_codes(run, variables, curves)
    with terminal.waiting("evaluating") as tell:
        return trained, evaluation.evaluate(run.plan.evaluators, trained, tell)


def write_report(
    run: Run, trained: Trained, summary: Mapping[str, Any], warnings: list[str]
) -> tuple[Path, list[page.Section]]:
    """Writes report.html, one page that opens offline, and its plots; returns its path, and its sections."""
    with terminal.waiting("drawing the report") as tell:
        sections = evaluation.report_sections(run.plan.evaluators, trained, summary, tell)
    page.write_plots(run.workdir / "plots", sections)
    path = run.workdir / "report.html"
    report = page.Report(
        title=f"mi_coding: {run.method.name} on {run.dataset.name}",
        lead=evaluation.LEAD,
        warnings=warnings,
        tiles=collect_tiles(summary, run.plan.evaluators),
        sections=sections,
        groups=group_results(summary, run.plan.evaluators),
        config=run.plan.nested_config,
        environment=describe_environment() | {"devices": f"{run.num_devices} × {jax.devices()[0].device_kind}"},
    )
    page.write_report(path, report)
    return path, sections

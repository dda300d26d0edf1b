"""Several runs side by side: what differs in their configs, and what came out."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mi_coding.config import flatten
from mi_coding.errors import InputError
from mi_coding.reporting.figure import BLUE, ORANGE, Chart, Figure
from mi_coding.reporting.metrics import read_metrics
from mi_coding.reporting.page import results_as_html
from mi_coding.reporting.results import Group, nats, percent, show

_RESULTS = {  # heading → key of summary.json, and how it is written
    "bound": ("heldout/mi_lower_bound_nats", nats),
    "of at most": ("heldout/mi_ceiling_nats", nats),
    "linear probe": ("probe/linear_accuracy", percent),
    "kNN": ("probe/knn_accuracy", percent),
    "classifier": ("classifier/accuracy", percent),
    "information": ("heldout/mi_nats", nats),
    "seconds": ("train/seconds", "{:,.0f}".format),
    "hardware": ("train/hardware", str),
    "version": ("train/version", str),
}
_CURVES = ("train/mi_lower_bound_nats", "train/loss")  # the first that a run has is drawn
_COLOURS = (BLUE, ORANGE, "#3f8f5f", "#8d5fb8", "#b8902f", "#4f9fb8", "#b84f6f", "#6f6f6f")


class ComparedRun(NamedTuple):
    """One run, as read from its work directory.

    Attributes:
        name: the last part of its path, or as many as tell the runs apart.
        config: dotted key → value.
        summary: the entries of summary.json; {} before its end.
        state: "finished", or the step that it has reached.
        metrics: curves, see `read_metrics`.
    """

    name: str
    config: dict[str, Any]
    summary: dict[str, Any]
    state: str
    metrics: dict[str, tuple[np.ndarray, np.ndarray]]


class Comparison:
    """Runs side by side. `rows` are plain values, one dict per run, as for a data frame."""

    def __init__(self, runs: Sequence[ComparedRun]):
        self.runs = runs
        keys = dict.fromkeys(key for run in runs for key in run.config)
        self.differing = [key for key in keys if len({repr(run.config.get(key)) for run in runs}) > 1]
        found = [heading for heading, (key, _) in _RESULTS.items() if any(key in run.summary for run in runs)]
        self.rows: list[dict[str, Any]] = [
            {"run": run.name, "state": run.state}
            | {key: run.config.get(key, "") for key in self.differing}
            | {heading: run.summary.get(_RESULTS[heading][0]) for heading in found}
            for run in runs
        ]

    @property
    def group(self) -> Group:
        """The table: a column for each run, and a row for each key that differs and each result."""
        headings = [heading for heading in self.rows[0] if heading != "run"]
        rows = [
            (heading, *(self._cell(run, row, heading) for run, row in zip(self.runs, self.rows, strict=True)))
            for heading in headings
        ]
        note = "Bounds and information in nats, on pairs that training never saw."
        return Group("runs", ("", *(run.name for run in self.runs)), tuple(rows), note)

    def figure(self) -> Figure:
        """Running means of the bound on training batches of every run, or of the loss where a run has no bound."""
        chart = Chart(3.7, (0.05, 0.14, 0.745, 0.765), "bound, or loss, of training batches, nats", "step")
        for number, run in enumerate(self.runs):
            key = next((key for key in _CURVES if key in run.metrics), None)
            if key is not None:
                colour = _COLOURS[number % len(_COLOURS)]
                chart.label(chart.smooth(*run.metrics[key], colour), run.name, colour)
        return chart.finished()

    def _cell(self, run: ComparedRun, row: dict[str, Any], column: str) -> str:
        if column not in _RESULTS:
            return str(row[column])
        key, form = _RESULTS[column]
        return show(run.summary, key, form)

    def _repr_html_(self) -> str:
        return results_as_html([self.group])


def compare(workdirs: Iterable[str | Path]) -> Comparison:
    """Compares runs by their work directories: the keys of their configs that differ, and their results.

    Unfinished runs are marked as such. `comparison.rows` is for a data frame, `comparison.figure()` has the curves of
    all runs, and a notebook shows the table.

    >>> comparison = compare([WORKDIR])
    >>> comparison.rows[0]["state"]
    'step 0'

    Args:
        workdirs: work directories of runs, finished or not.
    Raises:
        InputError: (a ValueError) if none is given, or one is not the work directory of a run.
    """
    paths = [Path(workdir) for workdir in workdirs]
    if not paths:
        raise InputError("no run to compare; expected work directories, such as runs/*")
    return Comparison([_read(*one) for one in zip(paths, _short_names(paths), strict=True)])


def _short_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of each path, as many as tell all paths apart.

    >>> _short_names([Path("/runs/a"), Path("/runs/b")]), _short_names([Path("/one/a"), Path("/two/a")])
    (['a', 'b'], ['one/a', 'two/a'])
    """
    parts = [path.resolve().parts for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        names = [str(Path(*own[-count:])) for own in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names


def _read(workdir: Path, name: str) -> ComparedRun:
    try:
        config = flatten(json.loads((workdir / "config.json").read_text(encoding="utf-8")))
        path = workdir / "summary.json"
        summary = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, AttributeError):
        raise InputError(f"{workdir} holds no config.json, so it is not a run; expected work directories") from None
    try:
        metrics = read_metrics(workdir) if (workdir / "metrics.jsonl").is_file() else {}
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{workdir / 'metrics.jsonl'} has a line that is broken: {error}; remove it") from None
    last = max((int(steps[-1]) for steps, _ in metrics.values() if len(steps)), default=0)
    return ComparedRun(name, config, summary, "finished" if summary else f"step {last:,}", metrics)

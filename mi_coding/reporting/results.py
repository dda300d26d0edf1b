"""Results as a person reads them: rows in groups, headline numbers, and how numbers are written."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

Summary = Mapping[str, Any]  # the content of summary.json: name → number, text or None
Format = Callable[[Any], str]
Rows = Mapping[str, tuple[str, Format]]  # key of a summary → the name of its row, and how its value is written


class Group(NamedTuple):
    """Results that are read together."""

    title: str
    columns: tuple[str, ...]  # one heading per column; all empty where the rows need none
    rows: tuple[tuple[str, ...], ...]  # cells as text; the first one names the row
    note: str = ""  # how the numbers came about
    keys: frozenset[str] = frozenset()  # of the summary that the rows and the note show


class Tile(NamedTuple):
    """A headline number: what it is, its value, what follows it in small, a comparison, and how full its meter is."""

    label: str
    value: str
    small: str = ""
    context: str = ""
    share: float | None = None


_TRAINING: Rows = {  # what `recorder.Recorder.summary` returns
    "train/steps": ("steps", lambda v: f"{v:,.0f}"),
    "train/seconds": ("time", lambda v: f"{v:,.1f} s"),
    "train/first_step_seconds": ("time to the first step", lambda v: f"{v:,.1f} s"),
    "train/examples_per_second": ("examples/s", lambda v: f"{v:,.0f}"),
    "train/step_seconds_median": ("time per step, between lines of the log: median", lambda v: f"{1e3 * v:,.1f} ms"),
    "train/step_seconds_95_percent": ("  95th percentile", lambda v: f"{1e3 * v:,.1f} ms"),
    "train/model_teraflops_per_second": ("model TFLOP/s per device", lambda v: f"{v:,.3g}"),
    "train/model_flop_utilisation": ("model FLOP utilisation", lambda v: percent(v)),
    "train/seconds_of_log": ("time for logging, since the last start", lambda v: f"{v:,.1f} s"),
    "train/seconds_of_validation": ("time for validation, since the last start", lambda v: f"{v:,.1f} s"),
    "train/seconds_of_checkpoint": ("time for checkpoints, since the last start", lambda v: f"{v:,.1f} s"),
    "train/loss": ("last loss", lambda v: f"{v:.4g}"),
    "train/hardware": ("hardware", str),
    "train/version": ("version of mi_coding", str),
}


def group_results(summary: Summary, evaluators: Iterable[Any]) -> list[Group]:
    """Groups a flat summary by meaning: what each evaluator has found, by its `groups`, training, and everything else.

    Any key may be absent; every key that is there is in exactly one of the groups, and every group has rows.

    >>> [group.title for group in group_results({"train/steps": 10, "heldout/entropy_nats": 2.0}, evaluators=())]
    ['training', 'other results']
    """
    groups = [group for evaluator in evaluators for group in evaluator.groups(summary)]
    groups.append(group_rows("training", summary, _TRAINING))
    shown = frozenset().union(*(group.keys for group in groups))
    others = {key: (key, number) for key in summary if key not in shown}
    groups.append(group_rows("other results", summary, others))
    return [group for group in groups if group.rows]


def collect_tiles(summary: Summary, evaluators: Iterable[Any]) -> list[Tile]:
    """The headline numbers of evaluators, objects with `tiles(summary)`, in their order."""
    return [tile for evaluator in evaluators for tile in evaluator.tiles(summary)]


def group_rows(title: str, summary: Summary, rows: Rows, note: str = "") -> Group:
    """A group of single numbers, one per row; keys that the summary lacks have no row.

    >>> group_rows("training", {"loss": 0.5}, {"loss": ("last loss", nats), "steps": ("steps", number)}).rows
    (('last loss', '0.500'),)
    """
    cells = ((label, show(summary, key, form)) for key, (label, form) in rows.items())
    return Group(title, ("", ""), tuple(row for row in cells if row[1] != ""), note, frozenset(rows))


def show(summary: Summary, key: str, form: Format | None = None) -> str:
    """One value of a summary as text: "" where it is absent, "—" where it was not finite (null), else by `form`."""
    if key not in summary:
        return ""
    value = summary[key]
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "—"
    return str(value) if isinstance(value, (str, bool)) else (form or number)(value)


def finite(summary: Summary, key: str) -> float | None:
    """One value of a summary where it is a finite number; else None.

    >>> finite({"x": 0.5, "y": math.nan}, "x"), finite({"y": math.nan}, "y"), finite({}, "z")
    (0.5, None, None)
    """
    value = summary.get(key)
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def number(value: float) -> str:
    """A number of unknown meaning: whole ones in full, others with four digits."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def percent(fraction: float) -> str:
    """A fraction of one as a percentage with one decimal."""
    return f"{100 * fraction:.1f} %"


def nats(value: float) -> str:
    """An information quantity with three decimals, without its unit."""
    return f"{value:.3f}"
